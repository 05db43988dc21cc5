//! The steppers, one file a family, and the table of the methods that they make.

mod corrector;
mod deis;
mod discrete;
mod dpm_multistep;
mod dpm_schedule;
mod dpm_singlestep;
mod dpm_solver_sde;
mod edm;
mod er_sde;
mod euler_maruyama;
mod expansion;
mod exponential;
mod exponential_euler_maruyama;
mod heun;
mod k_diffusion;
mod limit;
mod pndm;
mod predicted_data;
mod quadrature;
mod ratio;
mod restart;
mod rho_runge_kutta;
mod runge_kutta;
mod sa_solver;
mod sdirk;
mod seeds;
mod sra;
mod unipc;

use sde_core::{Semilinear, State};

use crate::Stepper;
use crate::constant::Allowed::{NotNegative, Positive, UpTo, Whole};
use crate::constant::{Constant, Given, constant};
use crate::info::Info;
use crate::tableau::{BOSH3, DOPRI5, RK4, TSIT5};

pub use corrector::{AnnealedLangevin, Corrector, NoPredictor, PredictorCorrector};
pub use deis::{Deis, Polynomial};
pub use discrete::{Ancestral, ReverseDiffusion};
pub use dpm_multistep::DpmMultistep;
pub use dpm_schedule::{DpmSchedule, DpmScheduled};
pub use dpm_singlestep::DpmSinglestep;
pub use dpm_solver_sde::{Correction, DpmSolverPP2MSde, DpmSolverPP3MSde, DpmSolverPPSde};
pub use edm::{EdmChurn, EdmHeun, IntegrationVariable};
pub use er_sde::{ErSde, NoiseScale};
pub use euler_maruyama::EulerMaruyama;
pub use expansion::{Expansion, LowerOrderFinal, Prediction};
pub use exponential_euler_maruyama::ExponentialEulerMaruyama;
pub use heun::Heun;
pub use k_diffusion::{EulerAncestral, Kdpm2};
pub use pndm::{Ipndm, Pndm};
pub(crate) use predicted_data::data;
pub use restart::Restart;
pub use rho_runge_kutta::RhoRungeKutta;
pub use runge_kutta::RungeKutta;
pub use sa_solver::SaSolver;
pub use sdirk::Sdirk2;
pub use seeds::Seeds;
pub use sra::{Sea, Shark, Sra1};
pub use unipc::{UniPc, Variant};

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal: $info:expr $(, $given:ident)? => $stepper:expr;)*) => {
        /// The numerical methods, by name.
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

            /// Orders, cost and reference of the method; tests hold it to them.
            pub fn info(self) -> &'static Info {
                match self {
                    $(Self::$variant => const { &$info },)*
                }
            }

            /// A stepper of the method with the constants that are given.
            pub(crate) fn made<S: State, P: Semilinear<S> + ?Sized>(
                self,
                given: &Given<'_>,
            ) -> Box<dyn Stepper<S, P>> {
                match self {
                    $(Self::$variant => {
                        $(let $given = given;)?
                        Box::new($stepper)
                    })*
                }
            }
        }
    };
}

methods! {
    // Runge-Kutta in t.
    /// Euler's method; Euler-Maruyama with noise.
    EulerMaruyama "euler-maruyama":
        Info::ode(1.0, "Kloeden, Platen 1992, equation 10.2.4").noise(1.0, 1.0).in_time()
        => EulerMaruyama;
    /// Heun's method; stochastic Heun with noise.
    Heun "heun":
        Info::ode(2.0, "Kloeden, Platen 1992, section 15.1").noise(1.0, 2.0).nfe(2).adaptive().in_time()
        => Heun;
    /// Dormand-Prince 5(4).
    Dopri5 "dopri5":
        Info::ode(5.0, "Dormand, Prince 1980, table 2").nfe(6).extra(1).adaptive().in_time()
        => RungeKutta(&DOPRI5);
    /// Tsitouras 5(4).
    Tsit5 "tsit5":
        Info::ode(5.0, "Tsitouras 2011, table 1").nfe(6).extra(1).adaptive().in_time()
        => RungeKutta(&TSIT5);
    /// Bogacki-Shampine 3(2).
    Bosh3 "bosh3":
        Info::ode(3.0, "Bogacki, Shampine 1989").nfe(3).extra(1).adaptive().in_time()
        => RungeKutta(&BOSH3);
    /// The classical Runge-Kutta method.
    Rk4 "rk4":
        Info::ode(4.0, "Kutta 1901").nfe(4).in_time()
        => RungeKutta(&RK4);
    /// Alexander's L-stable implicit method of order 2.
    Sdirk2 "sdirk2":
        Info::ode(2.0, "Alexander 1977, theorem 5").nfe(2).implicit().adaptive().in_time()
        => Sdirk2;

    // Exponential, in log(alpha / sigma).
    /// DDIM without noise, which is DPM-Solver-1 and DPM-Solver++-1.
    Ddim "ddim":
        Info::ode(1.0, "Song, Meng, Ermon 2021, arXiv 2010.02502, equation 12")
        => DpmMultistep::data(1);
    /// DPM-Solver-2, singlestep; with adaptive steps DPM-Solver-12.
    DpmSolver2 "dpm-solver-2":
        Info::ode(2.0, "Lu et al. 2022, arXiv 2206.00927, algorithm 1").nfe(2).adaptive()
            .constants(const { &[constant("r1", 0.5, UpTo(1.0), "where in a step the middle lies")] }),
        c => DpmSinglestep { r1: c.get("r1"), ..DpmSinglestep::noise(2) };
    /// DPM-Solver-3, singlestep; with adaptive steps DPM-Solver-23.
    DpmSolver3 "dpm-solver-3":
        Info::ode(3.0, "Lu et al. 2022, arXiv 2206.00927, algorithm 2").nfe(3).adaptive()
        => DpmSinglestep::noise(3);
    /// DPM-Solver-2, multistep.
    DpmSolver2M "dpm-solver-2m":
        Info::ode(2.0, "Lu et al. 2022, arXiv 2206.00927, public code")
        => DpmMultistep::noise(2);
    /// DPM-Solver-3, multistep.
    DpmSolver3M "dpm-solver-3m":
        Info::ode(2.0, "Lu et al. 2022, arXiv 2206.00927, public code")
        => DpmMultistep::noise(3);
    /// DPM-Solver++(2S).
    DpmSolverPP2S "dpm-solver++-2s":
        Info::ode(2.0, "Lu et al. 2022, arXiv 2211.01095, algorithm 1").nfe(2).adaptive()
            .constants(const { &[constant("r1", 0.5, UpTo(1.0), "where in a step the middle lies")] }),
        c => DpmSinglestep { r1: c.get("r1"), ..DpmSinglestep::data(2) };
    /// DPM-Solver++(3S).
    DpmSolverPP3S "dpm-solver++-3s":
        Info::ode(3.0, "Lu et al. 2022, arXiv 2211.01095, public code").nfe(3).adaptive()
        => DpmSinglestep::data(3);
    /// DPM-Solver++(2M).
    DpmSolverPP2M "dpm-solver++-2m":
        Info::ode(2.0, "Lu et al. 2022, arXiv 2211.01095, algorithm 2")
        => DpmMultistep::data(2);
    /// DPM-Solver++(3M).
    DpmSolverPP3M "dpm-solver++-3m":
        Info::ode(2.0, "Lu et al. 2022, arXiv 2211.01095, public code")
        => DpmMultistep::data(3);
    /// UniPC-2 with `B(h) = h`.
    UniPcBh1P2 "unipc-bh1-2":
        Info::ode(3.0, "Zhao et al. 2023, arXiv 2302.04867, algorithm 1"),
        c => UniPc { end: c.end(), ..UniPc::data(Variant::Bh1, 2) };
    /// UniPC-2 with `B(h) = e^h - 1`.
    UniPcBh2P2 "unipc-bh2-2":
        Info::ode(3.0, "Zhao et al. 2023, arXiv 2302.04867, algorithm 1"),
        c => UniPc { end: c.end(), ..UniPc::data(Variant::Bh2, 2) };
    /// UniPC-3 with `B(h) = h`.
    UniPcBh1P3 "unipc-bh1-3":
        Info::ode(4.0, "Zhao et al. 2023, arXiv 2302.04867, algorithm 1").started(3.0),
        c => UniPc { end: c.end(), ..UniPc::data(Variant::Bh1, 3) };
    /// UniPC-3 with `B(h) = e^h - 1`.
    UniPcBh2P3 "unipc-bh2-3":
        Info::ode(4.0, "Zhao et al. 2023, arXiv 2302.04867, algorithm 1").started(3.0),
        c => UniPc { end: c.end(), ..UniPc::data(Variant::Bh2, 3) };

    // In sigma / alpha, where the flow ODE is dy/drho = eps.
    /// tAB-DEIS with a polynomial of degree 1 in time.
    DeisTab1 "deis-tab-1":
        Info::ode(2.0, "Zhang, Chen 2022, arXiv 2204.13902, equation 14")
        => Deis::new(Polynomial::Time, 1);
    /// tAB-DEIS of degree 2.
    DeisTab2 "deis-tab-2":
        Info::ode(3.0, "Zhang, Chen 2022, arXiv 2204.13902, equation 14").started(2.0)
        => Deis::new(Polynomial::Time, 2);
    /// tAB-DEIS of degree 3.
    DeisTab3 "deis-tab-3":
        Info::ode(4.0, "Zhang, Chen 2022, arXiv 2204.13902, equation 14").started(2.0)
        => Deis::new(Polynomial::Time, 3);
    /// rhoAB-DEIS with a polynomial of degree 1 in sigma / alpha.
    DeisRhoab1 "deis-rhoab-1":
        Info::ode(2.0, "Zhang, Chen 2022, arXiv 2204.13902, proposition 3")
        => Deis::new(Polynomial::Ratio, 1);
    /// rhoAB-DEIS of degree 2.
    DeisRhoab2 "deis-rhoab-2":
        Info::ode(3.0, "Zhang, Chen 2022, arXiv 2204.13902, proposition 3").started(2.0)
        => Deis::new(Polynomial::Ratio, 2);
    /// Linear multistep of k-diffusion, which is rhoAB-DEIS of degree 3.
    Lms "lms":
        Info::ode(4.0, "k-diffusion, sample_lms").started(2.0)
        => Deis::new(Polynomial::Ratio, 3);
    /// rhoRK-DEIS with Heun's method.
    DeisRhoHeun "deis-rho-heun":
        Info::ode(2.0, "Zhang, Chen 2022, arXiv 2204.13902, appendix H.3").nfe(2)
        => RhoRungeKutta::HEUN;
    /// rhoRK-DEIS with Kutta's method of order 3.
    DeisRhoKutta3 "deis-rho-kutta3":
        Info::ode(3.0, "Zhang, Chen 2022, arXiv 2204.13902, appendix H.3").nfe(3)
        => RhoRungeKutta::KUTTA3;
    /// rhoRK-DEIS with the classical method of order 4.
    DeisRhoRk4 "deis-rho-rk4":
        Info::ode(4.0, "Zhang, Chen 2022, arXiv 2204.13902, appendix H.3").nfe(4)
        => RhoRungeKutta::RK4;
    /// iPNDM with four values.
    Ipndm "ipndm":
        Info::ode(2.0, "Zhang, Chen 2022, arXiv 2204.13902, appendix H.2")
            .constants(const { &[constant("order", 4.0, Whole(1, 4), "order of the formula")] }),
        c => Ipndm { order: c.whole("order") };
    /// PNDM.
    Pndm "pndm":
        Info::ode(2.0, "Liu et al. 2022, arXiv 2202.09778, algorithm 2").extra(9)
        => Pndm;
    /// The deterministic sampler of Karras et al.
    EdmHeun "edm-heun":
        Info::ode(2.0, "Karras et al. 2022, arXiv 2206.00364, algorithm 1").nfe(2)
            .constants(const { &[constant("second-stage", 1.0, UpTo(1.0), "where in a step it lies")] }),
        c => EdmHeun { second_stage: c.get("second-stage"), ..EdmHeun::default() };
    /// The stochastic sampler of Karras et al.
    EdmChurn "edm-churn":
        Info::ode(2.0, "Karras et al. 2022, arXiv 2206.00364, algorithm 2").nfe(2).own_noise()
            .constants(const { &[
                constant("churn", 40.0, NotNegative, "`S_churn`, the noise added in all"),
                constant("lowest", 0.05, NotNegative, "`S_min`, none below this level"),
                constant("highest", 50.0, Positive, "`S_max`, none above this level"),
                constant("noise-scale", 1.0, NotNegative, "`S_noise`, the noise's size"),
            ] }),
        c => EdmChurn {
            steps: c.steps().unwrap_or(EdmChurn::default().steps),
            churn: c.get("churn"),
            lowest: c.get("lowest"),
            highest: c.get("highest"),
            noise_scale: c.get("noise-scale"),
        };
    /// KDPM2 of k-diffusion.
    Kdpm2 "kdpm2":
        Info::ode(2.0, "k-diffusion, sample_dpm_2").nfe(2)
        => Kdpm2;
    /// The ancestral Euler sampler of k-diffusion.
    EulerAncestral "euler-ancestral":
        Info::ode(1.0, "k-diffusion, sample_euler_ancestral").noise(1.0, 1.0)
        => EulerAncestral;

    // Runge-Kutta in t, with space-time Levy areas.
    /// SRA1.
    Sra1 "sra1":
        Info::ode(2.0, "Rossler 2010, SIAM J. Numer. Anal. 48(3), table 6.2")
            .noise(1.5, 2.0).nfe(2).adaptive()
            .in_time()
        => Sra1;
    /// ShARK.
    Shark "shark":
        Info::ode(2.0, "Foster, dos Reis, Strange 2023, arXiv 2210.17543, definition 1.6")
            .noise(1.5, 2.0).nfe(2).adaptive()
            .in_time()
        => Shark;
    /// SEA.
    Sea "sea":
        Info::ode(1.0, "Foster, dos Reis, Strange 2023, arXiv 2210.17543, definition 1.7")
            .noise(1.0, 1.0)
            .in_time()
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
        Info::ode(4.0, "Xue et al. 2023, arXiv 2309.05019, algorithm 1").started(3.0).noise(1.0, 2.0)
            .constants(const { &[
                constant("predictor", 3.0, Whole(1, 4), "data the predictor uses"),
                constant("corrector", 4.0, Whole(0, 4), "data the corrector uses"),
            ] }),
        c => SaSolver { predictor: c.whole("predictor"), corrector: c.whole("corrector") };
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
            .constants(CORRECTIONS),
        c => corrected(ReverseDiffusion, langevin(c), c);
    /// Ancestral sampling with a Langevin correction a step.
    PcAncestralLangevin "pc-ancestral-langevin":
        Info::corrects("Song et al. 2021, arXiv 2011.13456, algorithms 1 and 4").nfe(2)
            .constants(CORRECTIONS),
        c => corrected(Ancestral, langevin(c), c);
    /// Euler-Maruyama with a Langevin correction a step.
    PcEulerMaruyamaLangevin "pc-euler-maruyama-langevin":
        Info::corrects("Song et al. 2021, arXiv 2011.13456, algorithms 1 and 4").nfe(2)
            .constants(CORRECTIONS),
        c => corrected(EulerMaruyama, langevin(c), c);
    /// Reverse diffusion with an annealed Langevin correction a step.
    PcReverseDiffusionAld "pc-reverse-diffusion-ald":
        Info::corrects("Song et al. 2021, arXiv 2011.13456, algorithms 1 and 4").nfe(2)
            .constants(CORRECTIONS),
        c => corrected(ReverseDiffusion, annealed(c), c);
    /// An annealed Langevin correction a step, and no predictor.
    PcNoneAld "pc-none-ald":
        Info::corrects("Song et al. 2021, arXiv 2011.13456, algorithms 1 and 4")
            .constants(CORRECTIONS),
        c => corrected(NoPredictor, annealed(c), c);
    /// Annealed Langevin dynamics, five steps a level.
    AnnealedLangevin "annealed-langevin":
        Info::corrects("Song, Ermon 2019, arXiv 1907.05600, algorithm 1").nfe(5)
            .constants(const { &[SNR, constant("corrections", 5.0, Whole(1, 1000), "Langevin steps a level")] }),
        c => AnnealedLangevin { corrector: annealed(c), corrections: c.whole("corrections") as u64 };

    // Up and down in time.
    /// Restart, on a grid with restart intervals; EDM's Heun on one without.
    Restart "restart":
        Info::ode(2.0, "Xu et al. 2023, arXiv 2306.14878, algorithm 1").nfe(2)
            .constants(const { &[
                constant("low", 0.06, Positive, "level `sigma/alpha` where a restart begins"),
                constant("high", 0.3, Positive, "level it goes up to"),
                constant("steps", 3.0, Whole(1, 100_000), "steps of a way down again"),
                constant("repeats", 0.0, Whole(0, 100_000), "restarts; none usually"),
            ] })
        => Restart;
}

const SNR: Constant = constant("snr", 0.16, Positive, "signal-to-noise ratio of a Langevin step");

const CORRECTIONS: &[Constant] =
    &[SNR, constant("corrections", 1.0, Whole(1, 1000), "Langevin steps a level")];

fn langevin(c: &Given<'_>) -> Corrector {
    Corrector::Langevin { snr: c.get("snr") }
}

fn annealed(c: &Given<'_>) -> Corrector {
    Corrector::Annealed { snr: c.get("snr") }
}

fn corrected<T>(predictor: T, corrector: Corrector, c: &Given<'_>) -> PredictorCorrector<T> {
    PredictorCorrector { predictor, corrector, corrections: c.whole("corrections") as u64 }
}
