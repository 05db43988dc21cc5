//! Upper bounds of the gap between the reverse SDE and the probability-flow ODE of a model.
//!
//! Notation: the model's potential $\varphi_t$ with score $s = \nabla \varphi$; $p^S_t$ and $p^O_t$ the laws of its reverse SDE and of its
//! probability-flow ODE, both from the same prior at $T$; $r = \log p^S_t - \varphi_t$ and $\rho^0 = \log p^O_t - \varphi_t$. The two laws move
//! with velocities that differ by
//!
//! $$v_S - v_O = \tfrac{g^2}{2} \nabla r, \qquad v_O = f - \tfrac{g^2}{2} s,$$
//!
//! and both $r$ and $\rho^0$ are driven by the residual $R$ of the Fokker-Planck equation alone. Every bound here follows from these
//! two lines; each function says how.
//!
//! | bound | of | from | says nothing where |
//! |---|---|---|---|
//! | [`coupling`] | $W_2$ | $\|\nabla r\|$, a supremum of growth | the potential is far from concave somewhere |
//! | [`along_paths`] | $W_2$ | $\nabla r$ transported along paths | |
//! | [`mixed_coupling`] | $W_2$ | both couplings | as the first |
//! | [`grad_r_from_residual`] in [`coupling`] | $W_2$ | $\|\nabla R\|$ | as the first |
//! | [`relative_entropy_bound`] | $\mathrm{KL}(p^O \Vert p^S)$ | $\|\nabla \rho^0\|$ | $p^O$ is rough |
//! | [`relative_entropy`] | both, exactly | $\nabla \rho^0$ and $\nabla r$ | |
//! | [`path_entropy`] | the entropy of the paths, exactly | $\|\nabla r\|$ | |
//!
//! | [`coupling_from_entropy`] | $W_2$ | that, or a bound of it | as the first |
//!
//! What is known of $r$ on a grid is a [`GapField`] between its nodes, and with a model the score of the law of its SDE ([`LawScore`]).
//! [`FlowPair`] has both flows, so that those of their particles that leave a box can be told; [`carried`] where the gap's gradient goes,
//! and so when the displacement comes about; [`flow_gap`] the gradient of $\rho^0$.
//!
//! What the residual of every time does to the two densities, point by point: [`flow_response`], [`noised_response`].
//!
//! Of any model, by paths, with standard errors: [`flow_coupling`] (an upper bound of $W_2^2$ without any constant),
//! [`transported`] for [`along_paths`], and [`residual_excess`], a bound of the entropy of the paths by the residual alone.
//!
//! Profiles over time are values at the times of a [`TimeRule`]; [`GaussianModel`] has all of them in closed form.

mod costate;
mod field;
mod follow;
mod gaussian;
mod matrix;
mod pair;
mod paths;
mod profiles;
mod response;
mod rule;

pub use costate::{FlowGap, GradResidual, flow_gap};
pub use field::{GapField, LawScore};
pub use gaussian::{GaussianModel, GaussianProfiles, Matrices};
pub use pair::{Carried, FlowPair, carried};
pub use paths::{PathMean, flow_coupling, residual_excess, residual_excess_within, transported};
pub use profiles::{
    Coupled, along_paths, coupling, coupling_from_entropy, grad_r_from_residual, mixed_coupling,
    path_entropy, relative_entropy, relative_entropy_bound,
};
pub use response::{Response, flow_response, noised_response};
pub use rule::TimeRule;
