//! What a density is computed of: a potential by its values, or a score.

use ndarray::{Array2, Axis, s};
use rayon::prelude::*;
use sde_core::{Error, Potential, Result, Score};

use super::grid::Mesh;

/// Rows evaluated at a time.
const ROWS: usize = 4096;

/// Values of a function of points and time, one a row.
type Values<'a> = dyn Fn(&Array2<f64>, f64) -> Result<Vec<f64>> + Send + Sync + 'a;

/// A model of the score, as a [`super::FiniteVolumes`] asks for it.
pub enum Model<'a> {
    /// A log-density up to a function of time, by its values at the rows of a batch. Its differences are the drift across
    /// faces exactly, however rough its gradient, and one evaluation a cell and step is all that is needed.
    Potential(Box<Values<'a>>),
    /// A score, which need not be a gradient: evaluated at the middles of faces, `dim` times as many as there are cells.
    Score(&'a dyn Score<Array2<f64>>),
}

impl<'a> Model<'a> {
    /// A potential by a function of its values.
    ///
    /// ```
    /// use fp_residual::fokker_planck::Model;
    /// let model = Model::of_values(|x, _| Ok(x.rows().into_iter().map(|x| -0.5 * x.dot(&x)).collect()));
    /// # let _ = model;
    /// ```
    pub fn of_values(
        values: impl Fn(&Array2<f64>, f64) -> Result<Vec<f64>> + Send + Sync + 'a,
    ) -> Self {
        Self::Potential(Box::new(values))
    }

    /// A potential with its derivatives, of which only values are asked.
    pub fn of_potential(potential: &'a dyn Potential<Array2<f64>>) -> Self {
        Self::of_values(move |x, t| Ok(potential.derivatives(x, &vec![t; x.nrows()])?.potential))
    }

    /// Values of the potential at the middles of all cells.
    pub(super) fn at_centres(&self, mesh: &Mesh, t: f64) -> Result<Vec<f64>> {
        self.values(&mesh.centres(), t)
    }

    /// Values of the potential at rows; an error for a score.
    pub(super) fn values(&self, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
        match self {
            Self::Potential(values) => in_blocks(x, |x| values(x, t)),
            Self::Score(_) => Err(Error::Parameter {
                name: "model".into(),
                value: "a score".into(),
                reason: "its own density needs a potential".into(),
            }),
        }
    }

    /// For each axis the differences of the potential over the inner faces, in the order of [`Mesh::inner_faces`]: of a
    /// score its component along the axis times the side of a cell.
    pub(super) fn differences(&self, mesh: &Mesh, t: f64) -> Result<Vec<Vec<f64>>> {
        let n = mesh.n;
        match self {
            Self::Potential(_) => {
                let phi = self.at_centres(mesh, t)?;
                let across = mesh.len() / n;
                let first = (0..(n - 1) * across).map(|c| phi[c + across] - phi[c]).collect();
                let mut axes = vec![first];
                if mesh.dim == 2 {
                    let line = |i: usize| (0..n - 1).map(move |j| i * n + j);
                    let cells = (0..n).flat_map(line);
                    axes.push(cells.map(|c| phi[c + 1] - phi[c]).collect());
                }
                Ok(axes)
            }
            Self::Score(score) => (0..mesh.dim)
                .map(|axis| {
                    in_blocks(&mesh.inner_faces(axis), |x| {
                        let found = score.score(x, t)?;
                        if found.dim() != x.dim() {
                            let (expected, found) = (x.shape().to_vec(), found.shape().to_vec());
                            return Err(Error::Shape { expected, found });
                        }
                        Ok(found.column(axis).iter().map(|s| s * mesh.h()).collect())
                    })
                })
                .collect(),
        }
    }
}

/// Values of all rows, in blocks that are evaluated side by side.
pub(super) fn in_blocks(
    points: &Array2<f64>,
    values: impl Fn(&Array2<f64>) -> Result<Vec<f64>> + Sync,
) -> Result<Vec<f64>> {
    let starts: Vec<usize> = (0..points.nrows()).step_by(ROWS).collect();
    let blocks: Result<Vec<Vec<f64>>> = starts
        .par_iter()
        .map(|start| {
            let end = (start + ROWS).min(points.len_of(Axis(0)));
            let block = points.slice(s![*start..end, ..]).to_owned();
            let found = values(&block)?;
            if found.len() != block.nrows() {
                let (expected, found) = (vec![block.nrows()], vec![found.len()]);
                return Err(Error::Shape { expected, found });
            }
            match found.iter().position(|v| !v.is_finite()) {
                Some(row) => {
                    let what = "the potential or score";
                    Err(Error::NonFinite { what, value: found[row], row: start + row })
                }
                None => Ok(found),
            }
        })
        .collect();
    Ok(blocks?.concat())
}
