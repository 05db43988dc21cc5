//! The search for tight bounds of $W_2^2$ in the plane.

use super::displaced::displaced;
use super::dual::{self, Dual};
use super::envelope::transform;
use super::mixture;
use super::outcome::{BracketOptions, W2Bracket};
use super::poisson::Conductances;
use super::smooth::{self, Smooth};
use super::spline::Refinement;

/// Densities, in means over the box, below which directions of ascent are those of this density.
const FLOORS: [f64; 3] = [1e-3, 1e-2, 1e-1];
/// Pieces of a cell along an axis that smooth potentials are looked at.
const SMOOTH_CUTS: usize = 2;
/// Rounds of ascent.
const ROUNDS: usize = 12;

/// Two laws in the plane, and how much may be spent on them.
pub(super) struct Search<'a> {
    pub(super) shape: [usize; 2],
    pub(super) spacing: [f64; 2],
    pub(super) p: &'a [f64],
    pub(super) q: &'a [f64],
    pub(super) options: BracketOptions,
}

/// A lower bound with the potential that proves it, at the nodes of a refinement.
struct Lower {
    bound: f64,
    loss: f64,
    grid: Refinement,
    potential: Vec<f64>,
}

/// Conductances of a density with a floor, and the potential that they give.
struct Start {
    conductances: Conductances,
    potential: Vec<f64>,
}

impl Search<'_> {
    /// The bracket, of shares; infinite from above where mixtures cannot flow.
    pub(super) fn bracket(&self) -> W2Bracket {
        let length = mixture::length(self.shape, self.spacing, self.p, self.q);
        let mut upper = length * length;
        let mass = [1.0; 2];
        if upper == 0.0 {
            return W2Bracket { lower: 0.0, upper, mass, segments: 1, loss: 0.0 };
        }
        let lower = self.lower(upper);
        let (mut segments, width) = (1, self.options.width);
        let (p, q) = (self.p, self.q);
        let back = transform(lower.grid.nodes(), lower.grid.step(), &lower.potential).values;
        while lower.bound < (1.0 - width) * upper && 2 * segments <= self.options.segments {
            // The same laws on the way from either side, but for what the potentials get wrong.
            let forward = self.along(&lower.grid, &lower.potential, [p, q], 2 * segments);
            let length = forward.min(self.along(&lower.grid, &back, [q, p], 2 * segments));
            // Cutting on is worth it while it helps; the laws on the way are not exactly on the shortest path.
            if length * length > (1.0 - 0.1 * width) * upper {
                break;
            }
            (upper, segments) = (length * length, 2 * segments);
        }
        if upper.is_infinite() {
            segments = 0;
        }
        W2Bracket { lower: lower.bound, upper, mass, segments, loss: lower.loss }
    }

    /// The length of a path of mixtures through laws on the way from one law to another, displaced by a potential of the first.
    fn along(
        &self,
        grid: &Refinement,
        potential: &[f64],
        [start, end]: [&[f64]; 2],
        segments: usize,
    ) -> f64 {
        let (mut length, mut from) = (0.0, start.to_vec());
        for k in 1..=segments {
            let to = if k == segments {
                end.to_vec()
            } else {
                displaced(grid, start, potential, k as f64 / segments as f64)
            };
            length += mixture::length(self.shape, self.spacing, &from, &to);
            from = to;
        }
        length
    }

    fn refinement(&self, nodes: usize) -> Refinement {
        let cells = self.shape[0] * self.shape[1];
        let cuts = ((nodes / cells) as f64).sqrt().max(1.0) as usize;
        Refinement { shape: self.shape, spacing: self.spacing, cuts: [cuts; 2] }
    }

    /// The best of smooth potentials and of any.
    fn lower(&self, upper: f64) -> Lower {
        let starts = FLOORS.map(|floor| self.start(floor));
        let smooth = self.smooth(&starts);
        let coarse = Dual::new(self.refinement(self.options.nodes / 4), self.p, self.q);
        let cuts = coarse.grid.cuts.map(|cuts| 2 * cuts);
        let fine = Dual::new(Refinement { cuts, ..coarse.grid }, self.p, self.q);
        let bound = smooth.as_ref().map_or(0.0, |smooth| smooth.bound);
        let done = (1.0 - self.options.width) * upper;
        // What any potential on these nodes proves is less than the upper bound by this much at least.
        if let Some(smooth) = smooth.as_ref().filter(|_| bound > done.min(upper - fine.loss())) {
            return found(smooth, &coarse);
        }
        let any = self.any(&coarse, &fine, &starts, smooth.as_ref());
        match smooth {
            Some(smooth) if smooth.bound >= any.bound => found(&smooth, &coarse),
            _ => any,
        }
    }

    fn start(&self, floor: f64) -> Start {
        let floor = floor / self.p.len() as f64;
        let pairs = || self.p.iter().zip(self.q);
        let resistivity: Vec<f64> = pairs().map(|(p, q)| 1.0 / (0.5 * (p + q) + floor)).collect();
        let right: Vec<f64> = pairs().map(|(p, q)| p - q).collect();
        let conductances = Conductances::new(self.shape, self.spacing, &resistivity);
        let potential = conductances.solve(&right).potential;
        Start { conductances, potential }
    }

    /// The best smooth potential that the ascent finds, from the best of the largest fractions of given ones that are smooth.
    fn smooth(&self, starts: &[Start]) -> Option<smooth::Point> {
        let cuts = [SMOOTH_CUTS; 2];
        let grid = Refinement { shape: self.shape, spacing: self.spacing, cuts };
        let dual = Smooth::new(grid, self.p, self.q);
        let points = starts.iter().filter_map(|start| {
            let point = [1.0, 0.5, 0.25].iter().find_map(|fraction| {
                dual.point(start.potential.iter().map(|value| fraction * value).collect())
            })?;
            Some((point, &start.conductances))
        });
        let (point, conductances) = points.max_by(|a, b| a.0.bound.total_cmp(&b.0.bound))?;
        Some(dual.climb(conductances, point, ROUNDS))
    }

    /// The best potential on nodes that the ascent finds, on fewer of them, and what it proves on all.
    fn any(
        &self,
        coarse: &Dual,
        fine: &Dual,
        starts: &[Start],
        smooth: Option<&smooth::Point>,
    ) -> Lower {
        let given = starts.iter().map(|start| (&start.potential, &start.conductances));
        let smooth = smooth.map(|smooth| (&smooth.coefficients, &starts[0].conductances));
        let points = given.chain(smooth).map(|(potential, conductances)| {
            (coarse.close(&coarse.grid.evaluate(potential)), conductances)
        });
        let best = points.max_by(|a, b| a.0.bound.total_cmp(&b.0.bound));
        let (grid, loss) = (fine.grid, fine.loss());
        let Some((point, conductances)) = best else {
            let potential = vec![0.0; grid.nodes().iter().product()];
            return Lower { bound: 0.0, loss, grid, potential };
        };
        let point: dual::Point = coarse.climb(conductances, point, ROUNDS);
        let point = fine.close(&coarse.grid.halved(&point.potential));
        Lower { bound: point.bound, loss, grid, potential: point.potential }
    }
}

fn found(smooth: &smooth::Point, nodes: &Dual) -> Lower {
    let grid = nodes.grid;
    let potential = grid.evaluate(&smooth.coefficients);
    Lower { bound: smooth.bound, loss: 0.0, grid, potential }
}
