//! What is known of the data, as a linear measurement of rows of the model.

use anyhow::{Result, ensure};
use control::{Dense, Groups, Measurement};
use data::Coordinates;
use ndarray::{Array2, Axis};
use sde_core::Key;

use super::given::{Known, filled};
use crate::fit::Prepared;

/// A measurement of rows of the model, a row of values for each sample.
pub(super) struct Measured {
    pub(super) measurement: Measurement,
    /// `log |dy / dv|` of its values `y` in the known values `v` of the data: what is added to a log-density of `y`.
    pub(super) log_abs_det: f64,
}

impl Known {
    /// The row of values that sample `i` of `n` belongs to: each has as many samples.
    pub(super) fn row(&self, i: usize, n: usize) -> usize {
        i * self.values.nrows() / n.max(1)
    }

    /// The values of `n` samples.
    pub(super) fn of_samples(&self, n: usize) -> Array2<f64> {
        let rows: Vec<usize> = (0..n).map(|i| self.row(i, n)).collect();
        self.values.select(Axis(0), &rows)
    }

    /// The measurement of `n` samples.
    ///
    /// Without noise on the values whole numbers, levels and categories are known with the uniform noise that the model knows
    /// them with, another for each sample (number `i` of the key for sample `i`): it is independent of all else, so that what
    /// is drawn given the noised number is drawn given the number. With noise of standard deviation `s` on the values, that of
    /// the cell is added to it, `s^2 + 1/12` about its middle.
    ///
    /// In a whitened table every known coordinate is a sum over all those of the model.
    ///
    /// # Errors
    /// For noise on names; where everything that is known is constant.
    pub(super) fn measure(&self, prepared: &Prepared, n: usize, key: Key) -> Result<Measured> {
        let transform = &prepared.transform;
        let places: Vec<Coordinates> =
            self.columns.iter().map(|j| transform.coordinates(*j)).collect();
        let coordinates: Vec<usize> = places.iter().flat_map(|p| p.range.clone()).collect();
        ensure!(
            !coordinates.is_empty(),
            "what is known is constant in the data that were fitted: it says nothing"
        );
        let values = self.of_samples(n);
        let noiseless = self.noise == 0.0;
        let mut y = if noiseless {
            let rows = filled(prepared, &self.columns, &values)?;
            transform.to_model(rows.view(), key, 0)?.select(Axis(1), &coordinates)
        } else {
            self.middles(prepared, &places, &values)?
        };
        // Standard deviations in the units of the model's coordinates.
        let each = places.iter().flat_map(|p| p.range.clone().map(move |_| p));
        let stds: Vec<f64> = each.clone().map(|p| p.deviation(self.noise)).collect();
        let alike = stds.iter().all(|s| (s / stds[0] - 1.0).abs() < 1e-12);
        let (weights, noise) = match (noiseless, alike) {
            (true, _) => (vec![1.0; stds.len()], 0.0),
            (false, true) => (vec![1.0; stds.len()], stds[0]),
            (false, false) => (stds.iter().map(|s| 1.0 / s).collect(), 1.0),
        };
        let log_abs_det = each.zip(&weights).map(|(p, w)| w.ln() - p.scale.ln()).sum();
        let measurement = match prepared.measured(&coordinates) {
            Some((mut rows, offset)) => {
                for (k, w) in weights.iter().enumerate() {
                    rows.row_mut(k).mapv_inplace(|v| v * w);
                    y.column_mut(k).mapv_inplace(|v| w * (v - offset[k]));
                }
                Measurement::new(Dense::new(rows)?, y, noise)?
            }
            None => {
                let groups: Vec<Vec<(usize, f64)>> =
                    coordinates.iter().zip(&weights).map(|(k, w)| vec![(*k, *w)]).collect();
                for (k, w) in weights.iter().enumerate() {
                    y.column_mut(k).mapv_inplace(|v| w * v);
                }
                Measurement::new(Groups::new(transform.model_dim(), &groups)?, y, noise)?
            }
        };
        Ok(Measured { measurement, log_abs_det })
    }

    /// Coordinates of noised values: whole numbers are taken for the middle of their cells.
    fn middles(
        &self,
        prepared: &Prepared,
        places: &[Coordinates],
        values: &Array2<f64>,
    ) -> Result<Array2<f64>> {
        let kind = prepared.transform.kind();
        for (place, column) in places.iter().zip(&self.columns) {
            ensure!(
                !place.one_hot,
                "--noise: column {} holds names, not numbers",
                kind.name_of(*column)
            );
        }
        let varying: Vec<usize> =
            (0..places.len()).filter(|k| !places[*k].range.is_empty()).collect();
        Ok(Array2::from_shape_fn((values.nrows(), varying.len()), |(i, k)| {
            places[varying[k]].middle(values[[i, varying[k]]])
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::{Column, Dataset};
    use ndarray::array;

    /// A table that is whitened, and rows of it.
    fn table() -> (Prepared, Array2<f64>) {
        let n = 200;
        let mut z = vec![0.0; 2 * n];
        Key::root(1).fill_normals(0, &mut z);
        let names = ["ash", "oak"].map(String::from).to_vec();
        let columns = vec![
            Column::float("height"),
            Column::float("same"),
            Column::integer("rings"),
            Column::categories("tree", names),
        ];
        let rows = Array2::from_shape_fn((n, 4), |(i, j)| match j {
            0 => 2.0 + 0.3 * z[2 * i],
            1 => 5.0,
            2 => (10.0 + 3.0 * z[2 * i] + z[2 * i + 1]).round(),
            _ => f64::from(z[2 * i + 1] > 0.3),
        });
        let data = Dataset::table(columns, rows.clone(), "made up").expect("rows");
        (Prepared::fit(&data, Key::root(2)).expect("prepared"), rows)
    }

    /// Rows of data as the model has them agree with the measurement of their own values, for any set of columns.
    #[test]
    fn rows_agree_with_what_is_known_of_them() {
        let (prepared, rows) = table();
        let key = Key::root(3);
        let w = prepared.to_model(rows.view(), key, 0).expect("rows");
        for columns in [vec![0], vec![2], vec![3], vec![0, 3], vec![0, 1, 2, 3]] {
            let values = rows.select(Axis(1), &columns);
            let known = Known { columns, values, noise: 0.0 };
            let measured = known.measure(&prepared, rows.nrows(), key).expect("measured");
            let off = measured.measurement.residual(&w).expect("rows");
            // The noise on real columns is none, and that on the others may be another where rounding asks for it.
            assert!(off.iter().all(|r| r.abs() < 1e-12), "{:?}: {off}", known.columns);
        }
    }

    /// With noise the measurement is that of the values themselves, in units of its standard deviation, and its density is
    /// taken back to the units of the data.
    #[test]
    fn noise_is_in_the_units_of_the_data() {
        let (prepared, rows) = table();
        let (s, n) = (0.4, rows.nrows());
        let w = prepared.to_model(rows.view(), Key::root(3), 0).expect("rows");
        let known = |columns: Vec<usize>| Known {
            values: rows.select(Axis(1), &columns) + 0.7,
            columns,
            noise: s,
        };
        let measured = known(vec![0]).measure(&prepared, n, Key::root(3)).expect("measured");
        let off = measured.measurement.residual(&w).expect("rows") / measured.measurement.noise();
        assert!(off.iter().all(|r| (r - 0.7 / s).abs() < 1e-10), "{off}");
        let scale = prepared.transform.coordinates(0).scale;
        assert!((measured.measurement.noise() - s / scale).abs() < 1e-15);
        assert!((measured.log_abs_det + scale.ln()).abs() < 1e-15);
        // Two columns of other scales: each in units of its own deviation.
        let both = known(vec![0, 2]).measure(&prepared, n, Key::root(3)).expect("measured");
        assert_eq!(both.measurement.noise(), 1.0);
        let off = both.measurement.residual(&w).expect("rows");
        assert!(off.column(0).iter().all(|r| (r - 0.7 / s).abs() < 1e-10));
        let wide = (s * s + (1.0 / 12.0)).sqrt();
        // A whole number is somewhere in its cell.
        assert!(off.column(1).iter().all(|r| (r - 0.7 / wide).abs() <= 0.5 / wide + 1e-10));
        assert!((both.log_abs_det + s.ln() + wide.ln()).abs() < 1e-12);
        let names = Known { columns: vec![3], values: array![[1.0]], noise: 0.1 };
        let error = names.measure(&prepared, 1, Key::root(3)).err().expect("refused").to_string();
        assert!(error.contains("tree holds names"), "{error}");
        let constant = Known { columns: vec![1], values: array![[5.0]], noise: 0.0 };
        assert!(constant.measure(&prepared, 1, Key::root(3)).is_err());
    }

    /// Of images the coordinates are the model's own, and several rows of values have as many samples each.
    #[test]
    fn pixels_are_selected() {
        let digits = data::digits();
        let prepared = Prepared::fit(&digits, Key::root(2)).expect("prepared");
        let columns: Vec<usize> = (0..32).collect();
        let rows = digits.rows(5, 2).expect("rows");
        let known = Known { values: rows.select(Axis(1), &columns), columns, noise: 0.0 };
        let measured = known.measure(&prepared, 6, Key::root(4)).expect("measured");
        assert_eq!(known.of_samples(6).row(3), known.values.row(1));
        let y = measured.measurement.values(6).expect("rows");
        assert_eq!(y.dim(), (6, 32));
        for (i, row) in y.rows().into_iter().enumerate() {
            for (j, z) in row.iter().enumerate() {
                // 17 levels on [-1, 1].
                let level = ((z + 1.0) * 8.5).floor();
                assert_eq!(level, rows[[i / 3, j]]);
            }
        }
        assert!(y.row(0) != y.row(1));
    }
}
