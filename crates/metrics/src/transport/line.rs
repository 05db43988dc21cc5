//! Transport on the line: the monotone plan is optimal for every convex cost of x - y.

use super::cloud::Cloud;
use super::masses::Mass;
use super::number::Number;

/// Flows `(i, j, mass)` and potentials of both sides.
pub(crate) type Staircase<N> = (Vec<(u32, u32, Mass)>, Vec<N>, Vec<N>);

/// Sorts both sides and sweeps them together.
///
/// The sweep is a staircase of n + m - 1 pairs on which the constraint u + v <= c is tight; costs
/// that are convex in x - y satisfy the Monge condition, so these potentials are feasible for all
/// the other pairs: the plan and its certificate cost one sort.
pub(crate) fn solve<N: Number>(
    x: &Cloud,
    y: &Cloud,
    cost: impl Fn(usize, usize) -> N,
) -> Staircase<N> {
    let sorted = |cloud: &Cloud| {
        let mut order: Vec<u32> = (0..cloud.len() as u32).collect();
        order.sort_unstable_by(|&i, &j| {
            cloud.points[i as usize].total_cmp(&cloud.points[j as usize]).then(i.cmp(&j))
        });
        order
    };
    let (from, to) = (sorted(x), sorted(y));
    let pair = |i: usize, j: usize| cost(from[i] as usize, to[j] as usize);
    let (mut u, mut v) = (vec![N::ZERO; x.len()], vec![N::ZERO; y.len()]);
    let mut flows = Vec::with_capacity(x.len() + y.len());
    let (mut i, mut j) = (0, 0);
    let (mut left, mut right) = (x.mass[from[0] as usize], y.mass[to[0] as usize]);
    u[from[0] as usize] = pair(0, 0);
    loop {
        let flow = left.min(right);
        if flow > 0 {
            flows.push((from[i], to[j], flow));
        }
        left -= flow;
        right -= flow;
        if left == 0 && i + 1 < from.len() {
            i += 1;
            left = x.mass[from[i] as usize];
            u[from[i] as usize] = pair(i, j) - v[to[j] as usize];
        } else if j + 1 < to.len() {
            j += 1;
            right = y.mass[to[j] as usize];
            v[to[j] as usize] = pair(i, j) - u[from[i] as usize];
        } else {
            return (flows, u, v);
        }
    }
}
