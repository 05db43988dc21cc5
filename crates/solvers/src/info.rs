//! Properties of a method: orders of convergence, cost, reference.

use crate::Constant;

/// Orders of convergence on smooth problems; `None` where a method does not apply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// On ODEs, once the method has its history.
    pub ode: f64,
    /// On ODEs with the first steps that the method takes by itself on equal steps: a multistep
    /// method that begins with Euler's has order 2 at most.
    pub started: f64,
    /// Strong, with additive noise.
    pub strong: Option<f64>,
    /// Weak, with additive noise.
    pub weak: Option<f64>,
}

/// Properties of a method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Info {
    /// Orders of convergence.
    pub order: Order,
    /// Evaluations of the score in a step after the first ones: for an implicit method the least.
    pub nfe: u64,
    /// What a whole solve costs beyond that: more for a start, less for a shorter end.
    pub extra_nfe: i64,
    /// Whether it solves equations, with as many evaluations as that takes.
    pub implicit: bool,
    /// Whether it estimates its error.
    pub adaptive: bool,
    /// Whether it draws noise of its own over the flow ODE; its orders are weak ones then.
    pub own_noise: bool,
    /// Whether it takes Langevin steps at a noise level: they draw noise for every `eta`, and their
    /// bias does not fall with the steps in time. All orders of such a method are 0.
    pub corrects: bool,
    /// Whether it steps in time, on the drift and the diffusion of a problem, and asks for neither `alpha` nor `sigma`.
    pub in_time: bool,
    /// The constants that [`crate::Method::with`] changes.
    pub constants: &'static [Constant],
    /// Where it comes from.
    pub reference: &'static str,
}

impl Info {
    /// A method for ODEs of some order, with one evaluation a step.
    pub(crate) const fn ode(order: f64, reference: &'static str) -> Self {
        let order = Order { ode: order, started: order, strong: None, weak: None };
        Self {
            order,
            nfe: 1,
            extra_nfe: 0,
            implicit: false,
            adaptive: false,
            own_noise: false,
            corrects: false,
            in_time: false,
            constants: &[],
            reference,
        }
    }

    /// With noise, of a strong and a weak order.
    pub(crate) const fn noise(mut self, strong: f64, weak: f64) -> Self {
        self.order.strong = Some(strong);
        self.order.weak = Some(weak);
        self
    }

    /// Of a lower order with its own first steps.
    pub(crate) const fn started(mut self, order: f64) -> Self {
        self.order.started = order;
        self
    }

    /// With some evaluations a step.
    pub(crate) const fn nfe(mut self, nfe: u64) -> Self {
        self.nfe = nfe;
        self
    }

    /// With some evaluations more, or less, in a whole solve.
    pub(crate) const fn extra(mut self, nfe: i64) -> Self {
        self.extra_nfe = nfe;
        self
    }

    /// With equations to solve.
    pub(crate) const fn implicit(mut self) -> Self {
        self.implicit = true;
        self
    }

    /// Of Langevin steps at every noise level, which do not converge as time steps shrink.
    pub(crate) const fn corrects(reference: &'static str) -> Self {
        let mut info = Self::ode(0.0, reference).noise(0.0, 0.0);
        info.corrects = true;
        info
    }

    /// With an estimate of its error.
    pub(crate) const fn adaptive(mut self) -> Self {
        self.adaptive = true;
        self
    }

    /// With noise of its own.
    pub(crate) const fn own_noise(mut self) -> Self {
        self.own_noise = true;
        self
    }
    /// With steps in time.
    pub(crate) const fn in_time(mut self) -> Self {
        self.in_time = true;
        self
    }

    /// With constants.
    pub(crate) const fn constants(mut self, constants: &'static [Constant]) -> Self {
        self.constants = constants;
        self
    }
}
