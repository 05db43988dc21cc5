//! What a column of numbers comes to, in a line.

use std::fmt;

use ndarray::ArrayView2;

use super::output::number;

/// The levels of [`Summary::quantiles`]: least, median and largest value among them.
const LEVELS: [f64; 5] = [0.0, 0.05, 0.5, 0.95, 1.0];

/// Mean and quantiles of the finite values of a column: a mean alone hides that a few rows make it.
pub(super) struct Summary {
    pub(super) name: &'static str,
    /// Not a number where no value is finite.
    pub(super) mean: f64,
    /// At 0, 5, 50, 95 and 100 %, interpolated linearly between the values in order.
    pub(super) quantiles: [f64; 5],
}

/// One summary a column.
pub(super) fn summaries(names: &[&'static str], table: ArrayView2<'_, f64>) -> Vec<Summary> {
    let columns = names.iter().zip(table.columns());
    columns.map(|(name, column)| Summary::of(name, column.to_vec())).collect()
}

impl Summary {
    fn of(name: &'static str, mut values: Vec<f64>) -> Self {
        values.retain(|v| v.is_finite());
        values.sort_by(f64::total_cmp);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let at = |level: f64| {
            let place = level * values.len().saturating_sub(1) as f64;
            let (low, high) =
                (values.get(place.floor() as usize), values.get(place.ceil() as usize));
            let between = |(a, b): (&f64, &f64)| a + place.fract() * (b - a);
            low.zip(high).map_or(f64::NAN, between)
        };
        Self { name, mean, quantiles: LEVELS.map(at) }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, low, median, high, most] = self.quantiles.map(number);
        let (name, mean) = (self.name, number(self.mean));
        write!(
            f,
            "{name}: mean {mean}, median {median}, 5 to 95 %: {low} to {high}, all: {least} to {most}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn one_far_row_shows_in_the_mean_and_not_in_the_median() {
        let column = array![[1.0], [f64::NAN], [3.0], [2.0], [-1e30], [4.0]];
        let [summary] = &summaries(&["log_density"], column.view())[..] else {
            panic!("one column")
        };
        assert_eq!(summary.quantiles[2], 2.0);
        assert_eq!((summary.quantiles[0], summary.quantiles[4]), (-1e30, 4.0));
        let line = summary.to_string();
        assert!(line.starts_with("log_density: mean -2.00000e29, median 2,"), "{line}");
        let none = Summary::of("a", vec![f64::NAN]);
        assert!(none.mean.is_nan() && none.quantiles.iter().all(|q| q.is_nan()));
    }
}
