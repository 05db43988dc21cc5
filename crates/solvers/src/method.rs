//! The registry of methods.

use sde_core::{Error, Result, Semilinear, State};

use crate::Stepper;
use crate::steppers::{DpmSolverPP2M, EulerMaruyama, Heun, RungeKutta};
use crate::tableau::DOPRI5;

/// Orders of convergence; `None` where a method does not apply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// On ODEs.
    pub ode: f64,
    /// Strong, with additive noise.
    pub strong: Option<f64>,
    /// Weak, with additive noise.
    pub weak: Option<f64>,
}

/// Every method there is.
///
/// ```
/// use solvers::Method;
/// assert_eq!(Method::parse("heun")?, Method::Heun);
/// assert!(Method::ALL.iter().all(|m| Method::parse(m.name()).unwrap() == *m));
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Euler's method; Euler-Maruyama with noise.
    EulerMaruyama,
    /// Heun's method; stochastic Heun with noise.
    Heun,
    /// Dormand-Prince 5(4).
    Dopri5,
    /// DPM-Solver++(2M).
    DpmSolverPP2M,
}

impl Method {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::EulerMaruyama, Self::Heun, Self::Dopri5, Self::DpmSolverPP2M];

    /// The name [`Method::parse`] knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::EulerMaruyama => "euler-maruyama",
            Self::Heun => "heun",
            Self::Dopri5 => "dopri5",
            Self::DpmSolverPP2M => "dpm-solver++-2m",
        }
    }

    /// The method of a name.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that does not exist.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|m| m.name() == name.trim()).ok_or_else(|| Error::Unknown {
            what: "method",
            name: name.into(),
            expected: Self::ALL.iter().map(|m| m.name().into()).collect(),
        })
    }

    /// Its orders of convergence.
    pub fn order(self) -> Order {
        let ode_only = |ode| Order { ode, strong: None, weak: None };
        match self {
            Self::EulerMaruyama => Order { ode: 1.0, strong: Some(1.0), weak: Some(1.0) },
            Self::Heun => Order { ode: 2.0, strong: Some(1.0), weak: Some(2.0) },
            Self::Dopri5 => ode_only(5.0),
            Self::DpmSolverPP2M => ode_only(2.0),
        }
    }

    /// Evaluations of the score in a step after the first.
    pub fn nfe_per_step(self) -> u64 {
        match self {
            Self::EulerMaruyama | Self::DpmSolverPP2M => 1,
            Self::Heun => 2,
            Self::Dopri5 => 6,
        }
    }

    /// Whether it integrates noise.
    pub fn stochastic(self) -> bool {
        self.order().strong.is_some()
    }

    /// Whether it estimates its error, as adaptive steps need.
    pub fn adaptive(self) -> bool {
        matches!(self, Self::Heun | Self::Dopri5)
    }

    /// Where it comes from.
    pub fn reference(self) -> &'static str {
        match self {
            Self::EulerMaruyama => "Kloeden, Platen 1992, equation 10.2.4",
            Self::Heun => "Kloeden, Platen 1992, section 15.1",
            Self::Dopri5 => "Dormand, Prince 1980, table 2",
            Self::DpmSolverPP2M => "Lu et al. 2022, arXiv 2211.01095, algorithm 2",
        }
    }

    /// The method itself.
    pub fn stepper<S: State, P: Semilinear<S> + ?Sized>(self) -> Box<dyn Stepper<S, P>> {
        match self {
            Self::EulerMaruyama => Box::new(EulerMaruyama),
            Self::Heun => Box::new(Heun),
            Self::Dopri5 => Box::new(RungeKutta(&DOPRI5)),
            Self::DpmSolverPP2M => Box::new(DpmSolverPP2M::default()),
        }
    }
}
