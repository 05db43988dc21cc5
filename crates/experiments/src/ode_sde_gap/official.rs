//! The published figures, recomputed with an exact solver from the histograms of the paper.
//!
//! # Reference
//! Deveney, Stanczuk, Kreusser, Budd, Schonlieb, "Closing the ODE-SDE gap in score-based diffusion
//! models through the Fokker-Planck equation", arXiv 2311.15996; Phil. Trans. R. Soc. A
//! 383:20240503 (2025).

/// What the published networks give for one data set and weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Official {
    /// Data set.
    pub dataset: &'static str,
    /// Weight of the residual in the loss.
    pub w_r: f64,
    /// Squared W2 of ODE and truth, SDE and truth, ODE and SDE, on the nodes of `[-4, 4]^2`.
    pub w2: [f64; 3],
    /// Total variation of the same.
    pub tv: [f64; 3],
    /// Share of the samples of ODE and SDE outside +-3.5.
    pub discarded: [f64; 2],
}

/// From squared W2 on the script's nodes (`[-4, 4]`) to the true ones (`[-3.5, 3.5]`): `(7/8)^2`.
pub const TRUE_NODES: f64 = 0.765625;

/// Number of samples behind every published figure.
pub const N: u64 = 3_000_000;

impl Official {
    /// The same figures with squared W2 on the true nodes.
    #[must_use]
    pub fn on_true_nodes(self) -> Self {
        Self { w2: self.w2.map(|w2| w2 * TRUE_NODES), ..self }
    }
}

/// The published figures of a data set and weight, if there are any.
pub fn find(dataset: &str, w_r: f64) -> Option<&'static Official> {
    TABLE.iter().find(|o| o.dataset == dataset && o.w_r == w_r)
}

const fn row(
    dataset: &'static str,
    w_r: f64,
    w2: [f64; 3],
    tv: [f64; 3],
    [ode, sde]: [f64; 2],
) -> Official {
    Official { dataset, w_r, w2, tv, discarded: [ode / 100.0, sde / 100.0] }
}

/// Every published network: squared W2 (ODE-truth, SDE-truth, ODE-SDE), TV in the same order,
/// discarded share of ODE and SDE in percent.
pub const TABLE: [Official; 12] = [
    row("blob", 0.0, [0.01432, 0.00285, 0.01515], [0.2597, 0.0189, 0.2592], [0.147, 0.052]),
    row("blob", 0.1, [0.00789, 0.00384, 0.00406], [0.0629, 0.0205, 0.0581], [0.163, 0.156]),
    row("blob", 1.0, [0.00690, 0.00558, 0.00379], [0.0608, 0.0360, 0.0446], [0.349, 0.357]),
    row("blob", 10.0, [0.02250, 0.02088, 0.00288], [0.1091, 0.1061, 0.0351], [2.480, 2.591]),
    row("circles2", 0.0, [0.01875, 0.00296, 0.01750], [0.3747, 0.0205, 0.3752], [0.075, 0.005]),
    row("circles2", 0.1, [0.00963, 0.00434, 0.00690], [0.0849, 0.0245, 0.0812], [0.136, 0.125]),
    row("circles2", 1.0, [0.01081, 0.00593, 0.00404], [0.0693, 0.0393, 0.0507], [0.437, 0.437]),
    row("circles2", 10.0, [0.01225, 0.01188, 0.00223], [0.1102, 0.0997, 0.0320], [1.794, 1.869]),
    row("checker", 0.0, [0.03189, 0.00481, 0.03552], [0.3507, 0.0342, 0.3460], [0.058, 0.0]),
    row("checker", 0.1, [0.01487, 0.00704, 0.00935], [0.1666, 0.1000, 0.1153], [0.174, 0.165]),
    row("checker", 1.0, [0.01493, 0.01509, 0.00461], [0.1788, 0.1699, 0.0487], [0.333, 0.331]),
    row("checker", 10.0, [0.04317, 0.04200, 0.00275], [0.2633, 0.2629, 0.0302], [2.327, 2.420]),
];
