//! Criterion benches of every crate (`cargo xtask bench`), and the Rust code of the book and of the
//! README, which runs here as documentation tests so that it stays true.

/// The code in the pages under `docs/src/guide` and in the README.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    mod readme {}
    #[doc = include_str!("../../docs/src/guide/sde-core.md")]
    mod sde_core {}
    #[doc = include_str!("../../docs/src/guide/solvers.md")]
    mod solvers {}
    #[doc = include_str!("../../docs/src/guide/score-nets.md")]
    mod score_nets {}
    #[doc = include_str!("../../docs/src/guide/fp-residual.md")]
    mod fp_residual {}
    #[doc = include_str!("../../docs/src/guide/control.md")]
    mod control {}
    #[doc = include_str!("../../docs/src/guide/metrics.md")]
    mod metrics {}
}
