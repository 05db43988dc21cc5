//! The entries: name, what is claimed of it, and the stepper behind it.

use sde_core::{Semilinear, State};

use super::Info;
use crate::Stepper;
use crate::steppers::{DpmSolverPP2M, EulerMaruyama, Heun, RungeKutta, Sdirk2};
use crate::tableau::{BOSH3, DOPRI5, RK4, TSIT5};

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal: $info:expr => $stepper:expr;)*) => {
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
            $($(#[$doc])* $variant,)*
        }

        impl Method {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name [`Method::parse`] knows it by.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What is claimed of it, and held by tests.
            pub fn info(self) -> &'static Info {
                match self {
                    $(Self::$variant => const { &$info },)*
                }
            }

            /// The method itself, with its usual constants.
            pub fn stepper<S: State, P: Semilinear<S> + ?Sized>(self) -> Box<dyn Stepper<S, P>> {
                match self {
                    $(Self::$variant => Box::new($stepper),)*
                }
            }
        }
    };
}

methods! {
    // Runge-Kutta in t.
    /// Euler's method; Euler-Maruyama with noise.
    EulerMaruyama "euler-maruyama":
        Info::ode(1.0, "Kloeden, Platen 1992, equation 10.2.4").noise(1.0, 1.0)
        => EulerMaruyama;
    /// Heun's method; stochastic Heun with noise.
    Heun "heun":
        Info::ode(2.0, "Kloeden, Platen 1992, section 15.1").noise(1.0, 2.0).nfe(2).adaptive()
        => Heun;
    /// Dormand-Prince 5(4).
    Dopri5 "dopri5":
        Info::ode(5.0, "Dormand, Prince 1980, table 2").nfe(6).extra(1).adaptive()
        => RungeKutta(&DOPRI5);
    /// Tsitouras 5(4).
    Tsit5 "tsit5":
        Info::ode(5.0, "Tsitouras 2011, table 1").nfe(6).extra(1).adaptive()
        => RungeKutta(&TSIT5);
    /// Bogacki-Shampine 3(2).
    Bosh3 "bosh3":
        Info::ode(3.0, "Bogacki, Shampine 1989").nfe(3).extra(1).adaptive()
        => RungeKutta(&BOSH3);
    /// The classical Runge-Kutta method.
    Rk4 "rk4":
        Info::ode(4.0, "Kutta 1901").nfe(4)
        => RungeKutta(&RK4);
    /// Alexander's L-stable implicit method of order 2.
    Sdirk2 "sdirk2":
        Info::ode(2.0, "Alexander 1977, theorem 5").nfe(2).implicit().adaptive()
        => Sdirk2;

    // Exponential, in log(alpha / sigma).
    /// DPM-Solver++(2M).
    DpmSolverPP2M "dpm-solver++-2m":
        Info::ode(2.0, "Lu et al. 2022, arXiv 2211.01095, algorithm 2")
        => DpmSolverPP2M::default();
}
