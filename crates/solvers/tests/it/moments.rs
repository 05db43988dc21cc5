//! Exact moments of whole solves on Gaussian data: a method whose steps are affine is so over a
//! whole solve, whatever it keeps between steps and however often it draws.

use std::sync::Mutex;

use ndarray::{Array2, Axis, s};
use sde_core::Result;
use solvers::{Grid, Noise, Stepper, solve};

use crate::gaussian::Moments;

/// A draw of a solve: an increment, an area, or normals apart.
type Draw = (u8, u64, u64);

/// Noise that counts its draws, or puts a unit of each into `D` rows of its own.
struct Units {
    dim: usize,
    draws: Mutex<Vec<Draw>>,
}

impl Units {
    /// Unit vectors times `size` in the rows of a draw; the draws before it are the first asked for.
    fn unit(&self, like: &Array2<f64>, draw: Draw, size: f64) -> Array2<f64> {
        let mut draws = self.draws.lock().unwrap();
        let place = draws.iter().position(|d| *d == draw).unwrap_or_else(|| {
            draws.push(draw);
            draws.len() - 1
        });
        let first = 1 + self.dim * (place + 1);
        let mut x = Array2::zeros(like.dim());
        for j in 0..self.dim {
            if first + j < x.nrows() {
                x[[first + j, j]] = size;
            }
        }
        x
    }
}

impl Noise<Array2<f64>> for Units {
    fn increment(&self, like: &Array2<f64>, t0: f64, t1: f64) -> Result<Array2<f64>> {
        Ok(self.unit(like, (0, t0.to_bits(), t1.to_bits()), (t1 - t0).abs().sqrt()))
    }

    fn increment_and_area(
        &self,
        like: &Array2<f64>,
        t0: f64,
        t1: f64,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        let size = ((t1 - t0).abs() / 12.0).sqrt();
        let area = self.unit(like, (1, t0.to_bits(), t1.to_bits()), size);
        Ok((self.increment(like, t0, t1)?, area))
    }

    fn normals(&self, like: &Array2<f64>, t: f64, index: u64) -> Result<Array2<f64>> {
        Ok(self.unit(like, (2, t.to_bits(), index), 1.0))
    }

    fn first_row(&self) -> u64 {
        0
    }
}

/// Mean and covariance after a whole solve. The intervals a method draws must not overlap, as the
/// rule of the house has it: their increments count as independent.
pub(crate) fn carry<P: sde_core::Dynamics<Array2<f64>> + ?Sized>(
    stepper: &dyn Stepper<Array2<f64>, P>,
    problem: &P,
    grid: &Grid,
    start: f64,
    now: &Moments,
) -> Moments {
    let d = now.mean.len();
    let noise = Units { dim: d, draws: Mutex::new(vec![]) };
    let run = |rows: usize| {
        let x = Array2::from_shape_fn((rows, d), |(i, j)| if i == j + 1 { 1.0 } else { 0.0 });
        solve(stepper, problem, x, start, &mut grid.clone(), &noise, &mut ()).unwrap().x
    };
    // The first run tells what is drawn.
    run(1);
    let mut drawn: Vec<Draw> = noise.draws.lock().unwrap().clone();
    drawn.retain(|d| d.0 != 2);
    drawn.sort_by(|a, b| f64::from_bits(b.1).total_cmp(&f64::from_bits(a.1)));
    for kind in [0, 1] {
        let of_kind: Vec<_> = drawn.iter().filter(|d| d.0 == kind).collect();
        let overlap = of_kind.windows(2).any(|w| f64::from_bits(w[0].2) < f64::from_bits(w[1].1));
        assert!(!overlap, "intervals overlap");
    }
    let count = noise.draws.lock().unwrap().len();
    let x = run(1 + d * (1 + count));
    let origin = x.row(0).to_owned();
    let columns = &x.slice(s![1.., ..]) - &origin.view().insert_axis(Axis(0));
    let (a, l) = (columns.slice(s![..d, ..]), columns.slice(s![d.., ..]));
    Moments {
        mean: a.t().dot(&now.mean) + &origin,
        cov: a.t().dot(&now.cov).dot(&a) + l.t().dot(&l),
    }
}
