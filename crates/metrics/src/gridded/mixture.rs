//! An upper bound: the length of the path of mixtures from one law to the other.
//!
//! Along any path of laws $p_a$ with a flow $F$, $\partial_a p_a + \mathrm{div} F = 0$, the distance is at most $\int (\int |F|^2 / p_a)^{1/2} da$
//! (Benamou and Brenier 2000). For mixtures of densities that are constant on cells, $\mathrm{div} F = p - q$ is solved exactly by flows
//! that are linear between opposite faces; the Poisson equation gives one that is nearly the shortest.

use super::poisson::Conductances;

/// Nodes of the quadrature along the path.
const NODES: usize = 24;
/// Solutions of the Poisson equation, each with the weights along the path that the one before suggests.
const ROUNDS: usize = 2;

/// The length of the path $p_a = (1 - a) p + a q$ with the shortest flow, $\int_0^1 (\int |F|^2 / p_a)^{1/2} da$; infinite where mass
/// would have to flow through cells that are empty on both sides.
pub(super) fn length(shape: [usize; 2], spacing: [f64; 2], p: &[f64], q: &[f64]) -> f64 {
    let right: Vec<f64> = p.iter().zip(q).map(|(p, q)| p - q).collect();
    let nodes = nodes();
    // Shares of the path's time at its nodes.
    let mut time: Vec<f64> = nodes.iter().map(|node| node.1).collect();
    let mut round = 0;
    loop {
        let resistivity: Vec<f64> = p
            .iter()
            .zip(q)
            .map(|(p, q)| {
                let at = |(node, time): (&(f64, f64), &f64)| {
                    node.1 * node.1 / time / ((1.0 - node.0) * p + node.0 * q)
                };
                nodes.iter().zip(&time).map(at).sum()
            })
            .collect();
        let conductances = Conductances::new(shape, spacing, &resistivity);
        let solution = conductances.solve(&right);
        let energies = energies(shape, spacing, &conductances.flows(&solution.potential));
        let speed: Vec<f64> = nodes.iter().map(|node| speed(p, q, &energies, node.0)).collect();
        let length: f64 = nodes.iter().zip(&speed).map(|(node, speed)| node.1 * speed).sum();
        round += 1;
        if round == ROUNDS || length == 0.0 {
            if unreached(&conductances, &solution.potential, &right) {
                return f64::INFINITY;
            }
            // What the equation leaves has to be moved too, at most twice as far as its own energy says.
            return length + 2.0 * solution.residual.sqrt();
        }
        for ((time, node), speed) in time.iter_mut().zip(&nodes).zip(&speed) {
            *time = node.1 * speed / length;
        }
    }
}

/// $(\int |F|^2 / p_a)^{1/2}$ from that of every cell.
fn speed(p: &[f64], q: &[f64], energies: &[f64], a: f64) -> f64 {
    let cells = p.iter().zip(q).zip(energies).filter(|(_, energy)| **energy > 0.0);
    cells.map(|((p, q), energy)| energy / ((1.0 - a) * p + a * q)).sum::<f64>().sqrt()
}

/// Whether mass is left where no flow reaches it.
fn unreached(conductances: &Conductances, potential: &[f64], right: &[f64]) -> bool {
    let left: f64 = conductances.imbalance(potential, right).iter().map(|value| value.abs()).sum();
    left > 1e-9 * right.iter().map(|value| value.abs()).sum::<f64>()
}

/// $\int |F|^2$ over each cell, of a flow that is linear between opposite faces, in units of the cell's volume:
/// over the share of a cell it is the cell's energy.
fn energies(shape: [usize; 2], spacing: [f64; 2], flows: &[Vec<f64>; 2]) -> Vec<f64> {
    let [n, m] = shape;
    let quadratic = |a: f64, b: f64, h: f64| h * h * (a * a + a * b + b * b) / 3.0;
    (0..n * m)
        .map(|k| {
            let before_x = if k >= m { flows[0][k - m] } else { 0.0 };
            let before_y = if k % m > 0 { flows[1][k - 1] } else { 0.0 };
            quadratic(before_x, flows[0][k], spacing[0])
                + quadratic(before_y, flows[1][k], spacing[1])
        })
        .collect()
}

/// Nodes and weights on [0, 1], denser at the ends, where the speed may be infinite like an inverse root:
/// Gauss and Legendre's in $s$, with $a = \sin^2(\pi s / 2)$.
fn nodes() -> Vec<(f64, f64)> {
    let half = std::f64::consts::FRAC_PI_2;
    let node = |(s, weight): (f64, f64)| {
        let (sine, cosine) = (half * s).sin_cos();
        (sine * sine, weight * 2.0 * half * sine * cosine)
    };
    gauss_legendre(NODES).into_iter().map(node).collect()
}

/// Nodes and weights of Gauss and Legendre on [0, 1].
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    (0..n)
        .map(|k| {
            let mut x = (std::f64::consts::PI * (k as f64 + 0.75) / (n as f64 + 0.5)).cos();
            let mut slope = 0.0;
            for _ in 0..100 {
                let (mut last, mut value) = (0.0, 1.0);
                for j in 0..n {
                    let j = j as f64;
                    (last, value) = (value, ((2.0 * j + 1.0) * x * value - j * last) / (j + 1.0));
                }
                slope = n as f64 * (x * value - last) / (x * x - 1.0);
                let step = value / slope;
                x -= step;
                if step.abs() < 1e-15 {
                    break;
                }
            }
            (0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}
