use ndarray::{Array2, array};
use sde_core::{Edm, Error, FnScore, Key, Result, Score};
use solvers::{Method, Sampler, SolveError};

/// The score of `N(mean of the label, 1)` under `Edm` (`alpha = 1`, `sigma = t`).
struct Labelled {
    means: Vec<f64>,
    /// The label of every particle there is.
    labels: Vec<usize>,
}

impl Score<Array2<f64>> for Labelled {
    /// Of all particles, in order.
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        let all: Vec<u64> = (0..x.nrows() as u64).collect();
        self.for_rows(&all)?.score(x, t)
    }

    /// Of the particles of these numbers: what a sampler asks for, block by block.
    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<Array2<f64>> + '_>> {
        let mean = |row: &u64| {
            let label = self.labels.get(*row as usize).ok_or_else(|| Error::Parameter {
                name: "particle".into(),
                value: row.to_string(),
                reason: format!("has no label: there are {}", self.labels.len()),
            })?;
            Ok(self.means[*label])
        };
        let means: Vec<f64> = rows.iter().map(mean).collect::<Result<_>>()?;
        Ok(Box::new(FnScore::new(move |x: &Array2<f64>, t: f64| {
            Ok(Array2::from_shape_fn(x.dim(), |(b, j)| (means[b] - x[[b, j]]) / (1.0 + t * t)))
        })))
    }
}

fn main() -> Result<(), SolveError> {
    let labels: Vec<usize> = (0..1000).map(|row| row % 3).collect();
    let score = Labelled { means: vec![-10.0, 0.0, 10.0], labels };
    let (edm, like, key) = (Edm::default(), array![[0.0]], Key::root(1));

    let plan = || Sampler::builder(Method::EdmHeun, 0.0, 20);
    let x = plan().draw(&edm, &score, 1000, &like, key)?;
    for (row, x) in x.iter().enumerate() {
        assert!((x - [-10.0, 0.0, 10.0][row % 3]).abs() < 5.0);
    }

    // However the run is cut, a particle keeps its label and its bits.
    let part = plan().block_rows(7).draw(&edm, &score, 400..500, &like, key)?;
    assert_eq!(part, x.slice(ndarray::s![400..500, ..]));

    // Who has no label is an error that says so.
    let error = plan().draw(&edm, &score, 990..1010, &like, key).unwrap_err();
    assert!(error.to_string().contains("particle = 1000: has no label"));
    Ok(())
}
