//! A quadratic potential.

use ndarray::Array2;
use sde_core::{Derivatives, Potential, Result, Score, ScoreJvp, State};

/// $\varphi = -x^T A x / 2$ with a constant symmetric A, in the plane.
pub(crate) struct Bowl(pub(crate) Array2<f64>);

impl Score<Array2<f64>> for Bowl {
    fn score(&self, x: &Array2<f64>, _: f64) -> Result<Array2<f64>> {
        Ok(-x.dot(&self.0))
    }
}

impl ScoreJvp<Array2<f64>> for Bowl {
    fn score_jvp(
        &self,
        x: &Array2<f64>,
        _: f64,
        v: &Array2<f64>,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        Ok((-x.dot(&self.0), -v.dot(&self.0)))
    }

    fn divergence(&self, x: &Array2<f64>, _: f64) -> Result<Vec<f64>> {
        Ok(vec![-self.0.diag().sum(); x.nrows()])
    }
}

impl Potential<Array2<f64>> for Bowl {
    fn derivatives(&self, x: &Array2<f64>, t: &[f64]) -> Result<Derivatives<Array2<f64>>> {
        let score = self.score(x, 0.0)?;
        let half = |row: f64| 0.5 * row;
        Ok(Derivatives {
            potential: x.row_dot(&score)?.into_iter().map(half).collect(),
            d_t: vec![0.0; t.len()],
            laplacian: vec![-self.0.diag().sum(); t.len()],
            score,
        })
    }
}
