//! How curved a potential can be, from the norms of its layers alone.

use ndarray::Array2;

use super::{ScoreNet, to_host};
use crate::{Activation, Error, Output, Result};

/// Squarings of a Gram matrix: its norm is over-estimated by the 64th root of its size at most.
const SQUARINGS: u32 = 5;

/// Upper bounds over all inputs, of one layer after another.
struct Spread {
    /// Of the norm of the gradient of each unit, and of the norm of the Jacobian.
    slopes: Vec<f64>,
    jacobian: f64,
    /// Of the norm of the Hessian of each unit, and of the second derivative of all of them along a unit vector.
    bends: Vec<f64>,
    second: f64,
}

impl ScoreNet {
    /// An upper bound of the largest eigenvalue of the Hessian of `phi(., t)`, over all of space: the one-sided Lipschitz
    /// constant of the score is not above it.
    ///
    /// Layer after layer, with `h = a(z)`, `z = W h_before + b`, and `|a'| <= c_1`, `|a''| <= c_2`,
    ///
    /// `|grad z_i| <= min(sum_j |W_ij| |grad h_j|, |W_i| |Dh|)`, `|Hess h_i| <= c_2 |grad z_i|^2 + c_1 |Hess z_i|`,
    ///
    /// and the same sums or norms for `Hess z_i`. It holds whatever the inputs, so for networks that learned something it is far
    /// above what they do: a certificate, where the maximum on a grid is an estimate from below.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a network whose output is the score; whatever candle fails with.
    ///
    /// # Reference
    /// Singla, Feizi 2020, "Second-order provable defenses against adversarial attacks", arXiv 2006.00731.
    ///
    /// ```
    /// use candle_core::{DType, Device};
    /// use score_nets::{NetConfig, ScoreNet};
    /// use sde_core::Key;
    /// let net = ScoreNet::new(NetConfig::published(), Key::root(1), DType::F32, &Device::Cpu)?;
    /// assert!(net.curvature_bound(0.0)? > 0.0);
    /// # Ok::<(), score_nets::Error>(())
    /// ```
    pub fn curvature_bound(&self, t: f64) -> Result<f64> {
        if self.config.output != Output::Potential {
            let needs = "a network whose output is a potential".into();
            return Err(Error::Unsupported { what: "the curvature of a potential", needs });
        }
        let scales = self.time.scales(self.sde(), t);
        Ok(scales.k.powi(2) * self.network_curvature()? - scales.precision)
    }

    /// A bound of the norm of the Hessian of the network itself in its inputs of space.
    fn network_curvature(&self) -> Result<f64> {
        let weights: Vec<Array2<f64>> = self
            .detached
            .layers
            .iter()
            .map(|layer| matrix(&layer.weight))
            .collect::<Result<_>>()?;
        let space = weights[0].slice(ndarray::s![.., self.time.width()..]).to_owned();
        let (slopes, jacobian) = (rows(&space), norm(&space));
        let mut at = Spread { bends: vec![0.0; slopes.len()], slopes, jacobian, second: 0.0 };
        for weight in &weights[1..] {
            at = at.activated(self.config.activation).through(weight);
        }
        Ok(at.bends[0].min(at.second))
    }
}

impl Spread {
    /// Of `a(z)`.
    fn activated(self, activation: Activation) -> Self {
        let [first, second] = activation.largest_derivatives();
        let steepest = self.slopes.iter().copied().fold(0.0, f64::max);
        let bend = |(slope, bend): (&f64, f64)| second * slope * slope + first * bend;
        Self {
            bends: self.slopes.iter().zip(self.bends).map(bend).collect(),
            second: second * steepest * self.jacobian + first * self.second,
            slopes: self.slopes.iter().map(|slope| first * slope).collect(),
            jacobian: first * self.jacobian,
        }
    }

    /// Of `W h`.
    fn through(self, weight: &Array2<f64>) -> Self {
        let (lengths, largest) = (rows(weight), norm(weight));
        let each = |of: &[f64], all: f64| -> Vec<f64> {
            let sum = |row: ndarray::ArrayView1<'_, f64>| -> f64 {
                row.iter().zip(of).map(|(w, v)| w.abs() * v).sum()
            };
            weight.outer_iter().zip(&lengths).map(|(row, l)| sum(row).min(l * all)).collect()
        };
        Self {
            slopes: each(&self.slopes, self.jacobian),
            bends: each(&self.bends, self.second),
            jacobian: largest * self.jacobian,
            second: largest * self.second,
        }
    }
}

fn matrix(weight: &candle_core::Tensor) -> Result<Array2<f64>> {
    let (rows, columns) = weight.dims2()?;
    let values = to_host(weight)?;
    Ok(Array2::from_shape_fn((rows, columns), |(i, j)| values[i * columns + j]))
}

/// The lengths of rows.
fn rows(weight: &Array2<f64>) -> Vec<f64> {
    weight.outer_iter().map(|row| row.dot(&row).sqrt()).collect()
}

/// A bound of the spectral norm that rounding alone can take below it: `tr(G^p)^(1/2p)`, `G = W^T W`, `p` = 32.
fn norm(weight: &Array2<f64>) -> f64 {
    let mut gram = weight.t().dot(weight);
    let (mut log, mut power) = (0.0, 1.0);
    for _ in 0..SQUARINGS {
        let trace = gram.diag().sum();
        if trace == 0.0 {
            return 0.0;
        }
        gram /= trace;
        log += trace.ln() / power;
        gram = gram.dot(&gram);
        power *= 2.0;
    }
    (0.5 * (log + gram.diag().sum().ln() / power)).exp()
}
