//! Rows against their definition, one at a time.

use sde_core::{Vp, analytic::DataSet};

use super::*;

const D: usize = 2;

/// Row `row` by its definition: data, noise and the uniform numbers of its group.
fn drawn(noising: &Noising, key: Key, row: u64) -> Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let pairs = noising.antithetic && noising.draws == Draws::QuasiMonteCarlo;
    let (number, sign) = match pairs {
        true => (row / 2, if row.is_multiple_of(2) { 1.0 } else { -1.0 }),
        false => (row, 1.0),
    };
    let axes = if noising.outlier_weighting.is_some() { 2 } else { 1 };
    let (mut x0, mut z, mut u) = (vec![0.0; D], vec![0.0; D], vec![0.0; axes]);
    noising.source.fill(key.fold(0), number, &mut x0)?;
    match noising.draws {
        Draws::Independent => key.fold(1).fill_uniforms(number * axes as u64, &mut u),
        Draws::QuasiMonteCarlo => {
            KroneckerSequence::new(key.fold(1), axes).fill_uniforms(number, &mut u)
        }
    }
    key.fold(2).fill_normals(number * D as u64, &mut z);
    z.iter_mut().for_each(|z| *z *= sign);
    Ok((x0, z, u))
}

/// Against the order of rows: the last noise meets the first data.
struct Turned;

impl Coupling for Turned {
    fn pair(&self, x0: &[f64], _: &[f64], d: usize) -> Result<Vec<usize>> {
        Ok((0..x0.len() / d).rev().collect())
    }
}

#[test]
fn every_row_is_that_of_its_definition() -> Result<()> {
    let (sde, key, batch) = (Vp::default(), Key::root(11), 1300_u64);
    let outlier_weighting =
        Some(OutlierWeighting { share: 0.3, scale: 1.5, half_width: 0.5, blur: 0.1 });
    let proposal =
        Proposal { share: 0.4, distribution: TimeDistribution::LogUniform { shift: 0.02 } };
    let plain = Noising {
        time: TimeDistribution::Beta { a: 1.0, b: 2.0 },
        proposal,
        t_min: 1e-3,
        ..Noising::new(Arc::new(DataSet::Blob), batch as usize)
    };
    let spread = Noising { draws: Draws::QuasiMonteCarlo, ..plain.clone() };
    let cases = [
        plain.clone(),
        Noising { outlier_weighting, ..plain.clone() },
        Noising { coupling: Arc::new(Turned), ..plain },
        Noising { antithetic: false, ..spread.clone() },
        Noising { outlier_weighting, ..spread.clone() },
        spread,
    ];
    for (case, noising) in cases.iter().enumerate() {
        for rows in [0..batch, 600..batch] {
            let found = noising.rows(&sde, key, rows.clone())?;
            for (i, row) in rows.enumerate() {
                let (x0, mut z, u) = drawn(noising, key, row)?;
                if !noising.coupling.is_independent() {
                    z = drawn(noising, key, batch - 1 - row)?.1;
                }
                if noising.outlier_weighting.is_some_and(|outliers| u[1] < outliers.share) {
                    z.iter_mut().for_each(|z| *z *= 1.5);
                }
                let (t, share) = proposal.draw(noising.time, &sde, 1e-3, u[0])?;
                let m = sde.marginal(t);
                let x: Vec<f64> =
                    x0.iter().zip(&z).map(|(x0, z)| m.alpha * x0 + m.sigma * z).collect();
                let own = i * D..(i + 1) * D;
                assert_eq!(
                    (found.t[i], found.time_weight[i]),
                    (t, share),
                    "case {case}, row {row}"
                );
                assert_eq!(found.x0[own.clone()], x0, "case {case}, row {row}");
                assert_eq!(found.z[own.clone()], z, "case {case}, row {row}");
                assert_eq!(found.x[own], x, "case {case}, row {row}");
                let tail = noising
                    .outlier_weighting
                    .map(|outliers| outliers.weight(&x, &z, m.alpha, m.sigma));
                assert_eq!(found.outlier_weight.get(i).copied(), tail, "case {case}, row {row}");
            }
        }
    }
    Ok(())
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let noising = Noising::new(Arc::new(DataSet::Blob), 8);
    let error = |noising: &Noising, rows| {
        noising.rows(&Vp::default(), Key::root(1), rows).unwrap_err().to_string()
    };
    assert_eq!(error(&noising, 3..3), "batch = 0: must be at least 1");
    let coupled = Noising { coupling: Arc::new(Turned), ..noising };
    assert_eq!(error(&coupled, 4..9), "batch = 8: has no row 8");
}
