//! The entries: name, what is claimed of it, and the stepper behind it.

use sde_core::{Semilinear, State};

use super::Info;
use crate::Stepper;
use crate::steppers::{
    Ancestral, AnnealedLangevin, Correction, DpmSolverPP2MSde, DpmSolverPP3MSde, DpmSolverPPSde,
    ErSde, ExponentialEulerMaruyama, NoiseScale, PredictorCorrector, Restart, ReverseDiffusion,
    SaSolver, Sea, Seeds, Shark, Sra1, Stay,
};
use crate::steppers::{DpmSolverPP2M, EulerMaruyama, Heun, RungeKutta};
use crate::tableau::DOPRI5;

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

    // Exponential, in log(alpha / sigma).
    /// DPM-Solver++(2M).
    DpmSolverPP2M "dpm-solver++-2m":
        Info::ode(2.0, "Lu et al. 2022, arXiv 2211.01095, algorithm 2")
        => DpmSolverPP2M::default();

    // Runge-Kutta in t, with space-time Levy areas.
    /// SRA1.
    Sra1 "sra1":
        Info::ode(2.0, "Rossler 2010, SIAM J. Numer. Anal. 48(3), table 6.2")
            .noise(1.5, 2.0).nfe(2).adaptive()
        => Sra1;
    /// ShARK.
    Shark "shark":
        Info::ode(2.0, "Foster, dos Reis, Strange 2023, arXiv 2210.17543, definition 1.6")
            .noise(1.5, 2.0).nfe(2).adaptive()
        => Shark;
    /// SEA.
    Sea "sea":
        Info::ode(1.0, "Foster, dos Reis, Strange 2023, arXiv 2210.17543, definition 1.7")
            .noise(1.0, 1.0)
        => Sea;

    // Exponential, in log(alpha / sigma), with noise.
    /// Exponential Euler-Maruyama: DDIM with noise.
    ExponentialEulerMaruyama "exponential-euler-maruyama":
        Info::ode(1.0, "Lu et al. 2022, arXiv 2211.01095, equation 18").noise(1.0, 1.0)
        => ExponentialEulerMaruyama;
    /// DPM-Solver++ (SDE).
    DpmSolverPPSde "dpm-solver++-sde":
        Info::ode(2.0, "Crowson 2022, k-diffusion, sample_dpmpp_sde").noise(1.0, 2.0).nfe(2)
        => DpmSolverPPSde;
    /// DPM-Solver++(2M) SDE, midpoint.
    DpmSolverPP2MSde "dpm-solver++-2m-sde":
        Info::ode(2.0, "Lu et al. 2022, arXiv 2211.01095, equation 19").noise(1.0, 2.0)
        => DpmSolverPP2MSde { correction: Correction::Midpoint };
    /// DPM-Solver++(2M) SDE, Heun.
    DpmSolverPP2MSdeHeun "dpm-solver++-2m-sde-heun":
        Info::ode(2.0, "Crowson 2022, k-diffusion, sample_dpmpp_2m_sde").noise(1.0, 2.0)
        => DpmSolverPP2MSde { correction: Correction::Heun };
    /// DPM-Solver++(3M) SDE.
    DpmSolverPP3MSde "dpm-solver++-3m-sde":
        Info::ode(2.0, "Crowson 2022, k-diffusion, sample_dpmpp_3m_sde").noise(1.0, 2.0)
        => DpmSolverPP3MSde;
    /// SEEDS-1.
    Seeds1 "seeds-1":
        Info::ode(1.0, "Gonzalez et al. 2023, arXiv 2305.14267, algorithm 1").noise(1.0, 1.0)
        => Seeds::ONE;
    /// SEEDS-2.
    Seeds2 "seeds-2":
        Info::ode(2.0, "Gonzalez et al. 2023, arXiv 2305.14267, algorithm 2").noise(1.0, 2.0).nfe(2)
        => Seeds::TWO;
    /// SEEDS-3.
    Seeds3 "seeds-3":
        Info::ode(3.0, "Gonzalez et al. 2023, arXiv 2305.14267, algorithm 3").noise(1.0, 2.0).nfe(3)
        => Seeds::THREE;
    /// SA-Solver, three-step predictor and corrector of order 4.
    SaSolver "sa-solver":
        Info::ode(4.0, "Xue et al. 2023, arXiv 2309.05019, algorithm 1").started(4.0).noise(1.0, 2.0)
        => SaSolver::default();
    /// ER-SDE-Solver-1.
    ErSde1 "er-sde-1":
        Info::ode(1.0, "Cui et al. 2023, arXiv 2309.06169, algorithm 1").noise(1.0, 1.0)
        => ErSde { order: 1, scale: NoiseScale::Problem };
    /// ER-SDE-Solver-2.
    ErSde2 "er-sde-2":
        Info::ode(2.0, "Cui et al. 2023, arXiv 2309.06169, algorithm 2").noise(1.0, 2.0)
        => ErSde { order: 2, scale: NoiseScale::Problem };
    /// ER-SDE-Solver-3.
    ErSde3 "er-sde-3":
        Info::ode(2.0, "Cui et al. 2023, arXiv 2309.06169, algorithm 3").noise(1.0, 2.0)
        => ErSde { order: 3, scale: NoiseScale::Problem };

    // Discrete-time samplers and Langevin correctors.
    /// Ancestral sampling (DDPM).
    Ancestral "ancestral":
        Info::ode(1.0, "Song et al. 2021, arXiv 2011.13456, equations 4 and 47").noise(1.0, 1.0)
        => Ancestral;
    /// Reverse diffusion.
    ReverseDiffusion "reverse-diffusion":
        Info::ode(1.0, "Song et al. 2021, arXiv 2011.13456, equation 46").noise(1.0, 1.0)
        => ReverseDiffusion;
    /// Reverse diffusion with a Langevin correction a step.
    PcReverseDiffusionLangevin "pc-reverse-diffusion-langevin":
        Info::corrects("Song et al. 2021, arXiv 2011.13456, algorithms 1 and 4").nfe(2)
        => PredictorCorrector::langevin(ReverseDiffusion);
    /// Ancestral sampling with a Langevin correction a step.
    PcAncestralLangevin "pc-ancestral-langevin":
        Info::corrects("Song et al. 2021, arXiv 2011.13456, algorithms 1 and 4").nfe(2)
        => PredictorCorrector::langevin(Ancestral);
    /// Euler-Maruyama with a Langevin correction a step.
    PcEulerMaruyamaLangevin "pc-euler-maruyama-langevin":
        Info::corrects("Song et al. 2021, arXiv 2011.13456, algorithms 1 and 4").nfe(2)
        => PredictorCorrector::langevin(EulerMaruyama);
    /// Reverse diffusion with an annealed Langevin correction a step.
    PcReverseDiffusionAld "pc-reverse-diffusion-ald":
        Info::corrects("Song et al. 2021, arXiv 2011.13456, algorithms 1 and 4").nfe(2)
        => PredictorCorrector::annealed(ReverseDiffusion);
    /// An annealed Langevin correction a step, and no predictor.
    PcNoneAld "pc-none-ald":
        Info::corrects("Song et al. 2021, arXiv 2011.13456, algorithms 1 and 4")
        => PredictorCorrector::annealed(Stay);
    /// Annealed Langevin dynamics, five steps a level.
    AnnealedLangevin "annealed-langevin":
        Info::corrects("Song, Ermon 2019, arXiv 1907.05600, algorithm 1").nfe(5)
        => AnnealedLangevin::default();

    // Up and down in time.
    /// Restart, on a grid that climbs; EDM's Heun on one that does not.
    Restart "restart":
        Info::ode(2.0, "Xu et al. 2023, arXiv 2306.14878, algorithm 1").nfe(2)
        => Restart;
}
