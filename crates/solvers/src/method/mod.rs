//! The registry of methods.

mod configured;
mod page;

use sde_core::{Error, Result, Reverse, Semilinear, State};

use crate::constant::Given;
use crate::{Constant, Order, Scheme, Stepper};

pub use crate::steppers::Method;
pub use configured::ConfiguredMethod;

impl Method {
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
        self.info().order
    }

    /// Evaluations of the score in a step after the first ones.
    pub fn nfe_per_step(self) -> u64 {
        self.info().nfe
    }

    /// Evaluations of the score in `steps` steps of a grid, what starting costs included; for an
    /// implicit method the least.
    pub fn nfe(self, steps: u64) -> u64 {
        (steps * self.info().nfe).saturating_add_signed(self.info().extra_nfe)
    }

    /// Whether it integrates noise.
    pub fn stochastic(self) -> bool {
        self.order().weak.is_some()
    }

    /// Whether it estimates its error, as adaptive steps need.
    pub fn adaptive(self) -> bool {
        self.info().adaptive
    }

    /// Whether it takes Langevin steps, which draw noise for every `eta` and have a bias of their own
    /// that no time grid takes away.
    pub fn corrects(self) -> bool {
        self.info().corrects
    }

    /// Where it comes from.
    pub fn reference(self) -> &'static str {
        self.info().reference
    }

    /// Whether it draws noise of its own over the flow ODE (`eta = 0`), as churn does.
    pub fn own_noise(self) -> bool {
        self.info().own_noise
    }

    /// The constants that [`Method::with`] changes.
    pub fn constants(self) -> &'static [Constant] {
        self.info().constants
    }

    /// A stepper of the method with its usual constants.
    pub fn stepper<S: State, P: Semilinear<S> + ?Sized>(self) -> Box<dyn Stepper<S, P>> {
        self.made(&Given { constants: self.constants(), values: None, times: None })
    }

    /// As [`Method::stepper`], for the steps between these times: what there is to add in a whole
    /// solve is spread over them (churn), and what no later step would use is left out (the corrector
    /// of UniPC in the last step).
    pub fn stepper_on<S: State, P: Semilinear<S> + ?Sized>(
        self,
        times: &[f64],
    ) -> Box<dyn Stepper<S, P>> {
        self.made(&Given { constants: self.constants(), values: None, times: Some(times) })
    }
}

impl<S: State> Scheme<S> for Method {
    fn make<'a, 'p: 'a>(&'a self, times: Option<&[f64]>) -> Box<dyn Stepper<S, Reverse<'p, S>> + 'a>
    where
        S: 'p,
    {
        match times {
            Some(times) => self.stepper_on(times),
            None => self.stepper(),
        }
    }

    fn own_noise(&self) -> bool {
        Method::own_noise(*self)
    }
}
