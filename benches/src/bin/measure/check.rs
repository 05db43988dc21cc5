//! Whether a peer computes the same. Times of different things are not compared.

use anyhow::{Context, Result, ensure};
use candle_core::DType;
use serde::Serialize;

use crate::ours::{Ours, in_order};
use crate::peer::Found;
use crate::side::Item;
use crate::work::Work;

/// Largest relative difference of a loss.
const LOSS: f64 = 1e-4;
/// Largest relative difference of a tensor of the gradient, in the Euclidean norm.
const GRADIENT: f64 = 2e-4;
/// Largest root mean square difference where a path ends, relative to the points there.
const PATH: f64 = 1e-3;

/// What all sides must come to.
pub(crate) struct Expected {
    steps: [(Item, Step, Exact); 2],
    path: Vec<f32>,
}

/// The gradient in double precision by candle operations, rounded.
struct Exact(Vec<Vec<f32>>);

/// A loss, and the gradient tensor by tensor.
pub(crate) struct Step {
    pub(crate) loss: f64,
    pub(crate) gradient: Vec<(String, Vec<f32>)>,
}

/// The relative differences found, the worst of their kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Differences {
    pub(crate) loss: f64,
    pub(crate) gradient: f64,
    pub(crate) path: f64,
    /// The error of the gradient: its difference from one in double precision.
    pub(crate) error: f64,
}

impl Expected {
    pub(crate) fn new(work: &Work, ours: &Ours<'_>) -> Result<Self> {
        let step = |item| -> Result<Step> {
            let found = ours.gradient(item)?;
            let names = work.parameters().into_iter().map(|(name, _)| name);
            let gradient = names.zip(in_order(work, &found)?).collect();
            Ok(Step { loss: found.loss, gradient })
        };
        let double = work.net.copy_as(DType::F64)?;
        let double = Ours::new("double precision", work, &double)?;
        let both = |item| -> Result<_> {
            Ok((item, step(item)?, Exact(in_order(work, &double.gradient(item)?)?)))
        };
        Ok(Self { steps: [both(Item::Dsm)?, both(Item::DsmFp)?], path: ours.path()? })
    }

    /// The error of our own gradients, that of the worst tensor.
    pub(crate) fn own_error(&self) -> Result<f64> {
        let mut worst = 0.0_f64;
        for (_, step, exact) in &self.steps {
            for ((_, ours), exact) in step.gradient.iter().zip(&exact.0) {
                worst = worst.max(apart(ours, exact)?);
            }
        }
        Ok(worst)
    }

    /// Asks somebody for all of it.
    pub(crate) fn hold(
        &self,
        name: &str,
        mut find: impl FnMut(Item) -> Result<Found>,
    ) -> Result<Differences> {
        let mut ask = |item: Item| {
            find(item).with_context(|| format!("{name}: {} cannot be checked", item.name()))
        };
        let mut worst = Differences::default();
        for (item, step, exact) in &self.steps {
            let found = ask(*item)?;
            let (loss, gradient) = step.compare(name, item.name(), &found)?;
            worst.loss = worst.loss.max(loss);
            worst.gradient = worst.gradient.max(gradient);
            let mut rest = &found.values[..];
            for exact in &exact.0 {
                let (theirs, after) = rest.split_at(exact.len());
                rest = after;
                worst.error = worst.error.max(apart(theirs, exact)?);
            }
        }
        let found = ask(Item::Sample)?;
        worst.path = apart(&found.values, &self.path)?;
        ensure!(
            worst.path <= PATH,
            "{name}: the flow ODE ends {:.1e} from ours, at most {PATH:.0e}",
            worst.path
        );
        Ok(worst)
    }
}

impl Step {
    /// The relative differences of the loss and of the tensor of the gradient that differs most.
    pub(crate) fn compare(&self, name: &str, item: &str, found: &Found) -> Result<(f64, f64)> {
        let theirs = found.loss.unwrap_or(f64::NAN);
        let loss = ((theirs - self.loss) / self.loss).abs();
        ensure!(
            loss <= LOSS,
            "{name}: the loss of {item} is {theirs}, ours {}: {loss:.1e} apart, at most {LOSS:.0e}",
            self.loss
        );
        let expected: usize = self.gradient.iter().map(|(_, ours)| ours.len()).sum();
        let n = found.values.len();
        ensure!(n == expected, "{name}: {n} numbers in the gradient of {item}, not {expected}");
        let (mut rest, mut worst) = (&found.values[..], 0.0_f64);
        for (tensor, ours) in &self.gradient {
            let (theirs, after) = rest.split_at(ours.len());
            rest = after;
            let apart = apart(theirs, ours)?;
            ensure!(
                apart <= GRADIENT,
                "{name}: the gradient of {item} in {tensor} is {apart:.1e} from ours, at most \
                 {GRADIENT:.0e}"
            );
            worst = worst.max(apart);
        }
        Ok((loss, worst))
    }
}

/// `|a - b| / |b|` in the Euclidean norm; 0 for equal zeros. Not a number when one of them is not.
fn apart(a: &[f32], b: &[f32]) -> Result<f64> {
    ensure!(a.len() == b.len(), "{} numbers, not {}", a.len(), b.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    let scale = norm(&mut b.iter().map(|&b| f64::from(b)));
    Ok(if difference == 0.0 { 0.0 } else { difference / scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_relative() {
        assert_eq!(apart(&[3.0, 4.0], &[3.0, 4.0]).ok(), Some(0.0));
        assert_eq!(apart(&[3.0, 9.0], &[3.0, 4.0]).ok(), Some(1.0));
        assert_eq!(apart(&[0.0], &[0.0]).ok(), Some(0.0));
        assert_eq!(apart(&[1.0], &[0.0]).ok(), Some(f64::INFINITY));
        assert!(apart(&[f32::NAN], &[1.0]).is_ok_and(f64::is_nan));
        assert!(apart(&[1.0], &[]).is_err());
    }

    #[test]
    fn a_step_must_be_the_same() {
        let gradient = vec![("w".to_owned(), vec![1.0, 2.0]), ("b".to_owned(), vec![0.0])];
        let step = Step { loss: 2.0, gradient };
        let compare = |loss, values: &[f32]| {
            let found = Found { loss, memory_kib: None, values: values.to_vec() };
            step.compare("peer", "dsm", &found).map_err(|e| e.to_string())
        };
        assert_eq!(compare(Some(2.0), &[1.0, 2.0, 0.0]), Ok((0.0, 0.0)));
        let cases = [
            (Some(2.1), vec![1.0, 2.0, 0.0], "peer: the loss of dsm is 2.1, ours 2: 5.0e-2 apart"),
            (None, vec![1.0, 2.0, 0.0], "peer: the loss of dsm is NaN, ours 2: NaN apart"),
            (Some(2.0), vec![1.0, 2.0], "peer: 2 numbers in the gradient of dsm, not 3"),
            (Some(2.0), vec![1.0, 2.0, 0.1], "peer: the gradient of dsm in b is inf from ours"),
            (Some(2.0), vec![f32::NAN, 2.0, 0.0], "peer: the gradient of dsm in w is NaN from"),
        ];
        for (loss, values, expected) in cases {
            let error = compare(loss, &values).expect_err(expected);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
