//! Optimal-transport coupling of data and noise.

use metrics::{ExactTransport, GroundCost};
use ndarray::ArrayView2;
use score_nets::{Coupling, Error, Result};

/// Pairs a batch of data with the noise at the least sum of squared distances, exactly. With it the
/// paths of flow matching cross less, so that its target has less variance and its flow is straighter;
/// both marginal laws stay.
///
/// # Reference
/// Tong et al. 2024, arXiv 2302.00482, section 3.2; Pooladian et al. 2023, arXiv 2304.14772.
///
/// ```
/// use experiments::coupling::OptimalTransport;
/// use score_nets::Coupling;
/// let (data, noise) = ([0.0, 0.0, 5.0, 5.0], [4.0, 6.0, 1.0, -1.0]);
/// assert_eq!(OptimalTransport.pair(&data, &noise, 2)?, [1, 0]);
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptimalTransport;

impl Coupling for OptimalTransport {
    fn pair(&self, x0: &[f64], z: &[f64], d: usize) -> Result<Vec<usize>> {
        let rows = x0.len() / d.max(1);
        let shape = |v: &[f64]| Error::Shape {
            what: "coupled rows".into(),
            expected: vec![rows, d],
            found: vec![v.len()],
        };
        if x0.len() != rows * d {
            return Err(shape(x0));
        }
        if z.len() != x0.len() {
            return Err(shape(z));
        }
        let view = |v| ArrayView2::from_shape((rows, d), v).map_err(|_| shape(v));
        let solver = ExactTransport::new(GroundCost::SquaredEuclidean).keep_plan(true);
        let solved = solver.solve(view(x0)?, None, view(z)?, None);
        let transport = solved.map_err(|e| Error::Sde(sde_core::Error::Model(Box::new(e))))?;
        let plan = transport.plan.as_ref().map_or(&[][..], |p| p.moves());
        let mut partner = vec![usize::MAX; rows];
        for &(i, j, _) in plan {
            partner[i] = j;
        }
        // Equal masses on both sides move whole: a vertex of the polytope is a permutation.
        let mut taken = vec![false; rows];
        for &j in &partner {
            if j >= rows || std::mem::replace(&mut taken[j], true) {
                let (name, value) = ("coupling".into(), format!("{} moves", plan.len()));
                let reason = format!("the plan of {rows} rows is no permutation");
                return Err(Error::Setting { name, value, reason });
            }
        }
        Ok(partner)
    }
}

#[cfg(test)]
mod tests {
    use sde_core::Key;

    use super::*;

    /// The best of all permutations of a small batch, and both batches whole.
    #[test]
    fn no_permutation_is_shorter() {
        let (n, d) = (6, 3);
        for seed in 0..20 {
            let (mut x0, mut z) = (vec![0.0; n * d], vec![0.0; n * d]);
            Key::root(seed).fold(0).fill_normals(0, &mut x0);
            Key::root(seed).fold(1).fill_normals(0, &mut z);
            let found = OptimalTransport.pair(&x0, &z, d).unwrap();
            let cost = |p: &[usize]| -> f64 {
                let row = |v: &[f64], i: usize| v[i * d..(i + 1) * d].to_vec();
                let square = |(i, j): (usize, &usize)| -> f64 {
                    row(&x0, i).iter().zip(row(&z, *j)).map(|(a, b)| (a - b).powi(2)).sum()
                };
                p.iter().enumerate().map(square).sum()
            };
            let mut best = f64::INFINITY;
            permutations(&mut (0..n).collect::<Vec<_>>(), 0, &mut |p| best = best.min(cost(p)));
            assert!((cost(&found) - best).abs() < 1e-9, "{found:?}");
            let mut sorted = found.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..n).collect::<Vec<_>>());
        }
    }

    fn permutations(p: &mut Vec<usize>, from: usize, seen: &mut dyn FnMut(&[usize])) {
        if from == p.len() {
            return seen(p);
        }
        for i in from..p.len() {
            p.swap(from, i);
            permutations(p, from + 1, seen);
            p.swap(from, i);
        }
    }

    /// Shorter paths than independent pairs, on many rows and with ties.
    #[test]
    fn ties_and_wrong_shapes() {
        let ones = vec![1.0; 40];
        let mut pairs = OptimalTransport.pair(&ones, &ones, 2).unwrap();
        pairs.sort_unstable();
        assert_eq!(pairs, (0..20).collect::<Vec<_>>());
        assert!(OptimalTransport.pair(&ones, &ones[1..], 2).is_err());
        assert!(OptimalTransport.pair(&ones[1..], &ones[1..], 2).is_err());
        assert!(OptimalTransport.pair(&ones, &ones, 0).is_err());
        assert!(OptimalTransport.pair(&[], &[], 2).is_err());
        assert!(OptimalTransport.pair(&[f64::NAN], &[0.0], 1).is_err());
    }
}
