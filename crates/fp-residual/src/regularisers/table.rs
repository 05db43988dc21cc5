//! The registry of regularisers.

use score_nets::{Error, Noising, Objective, Output, Result, TimeDistribution};

use super::{
    AdaptivePenalty, CentredPenalty, CurlPenalty, DualScoreMatching, MartingalePenalty, Scheduled,
    SecondOrderMatching, WeakPenalty, WeightSchedule,
};
use crate::{Collocation, FokkerPlanckPenalty, ScoreFormPenalty, TimeWeight};

/// What the terms of the registry are made from.
#[derive(Clone)]
pub struct RegulariserSettings {
    /// The noised rows: data, rows a step, times, draws. Terms in a box take its number of rows, smallest time, proposal and
    /// draws.
    pub noising: Noising,
    /// Half the side of the box.
    pub half_width: f64,
    /// The time before which [`Regulariser::SmallTime`] looks.
    pub before: f64,
    /// The time from which [`Regulariser::LargeTime`] looks.
    pub after: f64,
    /// The growth rate in the weight of [`Regulariser::ScoreForm`], see [`TimeWeight::Gap`].
    pub growth: f64,
    /// Parts of a batch that share a time.
    pub strata: usize,
    /// The length that [`Regulariser::Weak`] smooths over.
    pub scale: f64,
    /// The step of [`Regulariser::Martingale`] as a share of the time.
    pub step: f64,
    /// Candidates a point of [`Regulariser::Adaptive`].
    pub candidates: usize,
    /// The factor by the step of training of [`Regulariser::Scheduled`].
    pub schedule: WeightSchedule,
}

impl RegulariserSettings {
    /// Usual values on these rows: the box of half-width 3.5, times before 0.5 or from 1 on, 16 strata, smoothing over 0.01, steps of a
    /// twentieth of the time, four candidates a point, no growth, a constant weight.
    pub fn new(noising: Noising) -> Self {
        Self {
            noising,
            half_width: 3.5,
            before: 0.5,
            after: 1.0,
            growth: 0.0,
            strata: 16,
            scale: 0.01,
            step: 0.05,
            candidates: 4,
            schedule: WeightSchedule::Constant,
        }
    }

    /// The residual on the box, with this number of points.
    fn in_box(&self, points: usize) -> FokkerPlanckPenalty {
        let place = Collocation::UniformBox { half_width: self.half_width };
        self.drawn(FokkerPlanckPenalty::new(points, place))
    }

    /// The residual on noised data.
    fn on_marginal(&self) -> FokkerPlanckPenalty {
        let Noising { source, batch, time, .. } = &self.noising;
        self.drawn(FokkerPlanckPenalty::on_marginal(*batch, source.clone(), *time))
    }

    fn drawn(&self, penalty: FokkerPlanckPenalty) -> FokkerPlanckPenalty {
        let Noising { t_min, proposal, draws, .. } = self.noising;
        penalty.t_min(t_min).proposal(proposal).draws(draws)
    }
}

/// What is to be known of a regulariser.
#[derive(Clone, Copy, Debug)]
pub struct RegulariserInfo {
    /// The mean that is added to the loss, `R` the residual and `s` the score.
    pub formula: &'static str,
    /// Where it is from.
    pub reference: &'static str,
    /// What a row costs beside a row of denoising score matching: evaluations of the network and how.
    pub cost: &'static str,
    /// Networks it is for; `None` for both kinds of output.
    pub output: Option<Output>,
    /// How it is made.
    make: fn(&RegulariserSettings) -> Box<dyn Objective>,
}

macro_rules! regularisers {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal: $info:expr;)*) => {
        /// Terms of a training loss that make the two samplers of one network agree, by name.
        ///
        /// ```
        /// use std::sync::Arc;
        /// use fp_residual::{Regulariser, RegulariserSettings};
        /// use score_nets::Noising;
        /// use sde_core::analytic::DataSet;
        /// let settings = RegulariserSettings::new(Noising::new(Arc::new(DataSet::Checker), 500));
        /// let term = Regulariser::parse("score-form")?.objective(&settings);
        /// assert_eq!(term.rows(), 500);
        /// assert!(Regulariser::ALL.iter().all(|r| Regulariser::parse(r.name()).unwrap() == *r));
        /// # Ok::<(), score_nets::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Regulariser {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Regulariser {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name [`Regulariser::parse`] knows it by.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it is, in a line.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii(),)*
                }
            }

            /// Formula, reference, cost and the networks it is for.
            #[must_use]
            pub fn info(self) -> &'static RegulariserInfo {
                match self {
                    $(Self::$variant => const { &$info },)*
                }
            }
        }
    };
}

impl Regulariser {
    /// The regulariser of a name.
    ///
    /// # Errors
    /// [`Error::Setting`] for a name that does not exist.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|r| r.name() == name).copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|r| r.name()).collect();
            let reason = format!("must be one of {}", names.join(", "));
            Error::Setting { name: "regulariser".into(), value: name.into(), reason }
        })
    }

    /// The term, without its weight.
    pub fn objective(self, settings: &RegulariserSettings) -> Box<dyn Objective> {
        (self.info().make)(settings)
    }
}

/// For potentials.
const POTENTIAL: Option<Output> = Some(Output::Potential);

regularisers! {
    /// The residual on a uniform box: the published penalty.
    Box "box": RegulariserInfo {
        formula: "R^2, t uniform, x uniform in a box",
        reference: "Deveney et al. 2025, arXiv 2311.15996, section 4",
        cost: "1 row of value, first and second derivatives, fused",
        output: POTENTIAL,
        make: |s| Box::new(s.in_box(s.noising.batch)),
    };
    /// The residual on noised data.
    Marginal "marginal": RegulariserInfo {
        formula: "R^2, x ~ p_t",
        reference: "Deveney et al. 2025, arXiv 2311.15996, section 4; on p_t: Lai et al. 2023, arXiv 2210.04296",
        cost: "1 row of value, first and second derivatives, fused",
        output: POTENTIAL,
        make: |s| Box::new(s.on_marginal()),
    };
    /// The residual on noised data at small times alone.
    SmallTime "small-time": RegulariserInfo {
        formula: "1[t < before] R^2, x ~ p_t",
        reference: "Plainer et al. 2025, arXiv 2506.17139, regularise small times alone",
        cost: "as `marginal`, of the rows before that time",
        output: POTENTIAL,
        make: |s| Box::new(s.on_marginal().time_weight(TimeWeight::Before { t: s.before })),
    };
    /// The residual on noised data at large times alone, where the flow keeps what the noise of the SDE forgets.
    LargeTime "large-time": RegulariserInfo {
        formula: "R^2, t uniform on [after, T], x ~ p_t",
        reference: "as `marginal`; the gap of the published networks is made at large times (the book, experiment `densities`)",
        cost: "as `marginal`",
        output: POTENTIAL,
        make: |s| {
            let Noising { source, batch, draws, .. } = &s.noising;
            let uniform = TimeDistribution::Uniform;
            let late = FokkerPlanckPenalty::on_marginal(*batch, source.clone(), uniform);
            Box::new(late.t_min(s.after).draws(*draws))
        },
    };
    /// The residual without its mean at each time, which no sampler sees.
    Centred "centred": RegulariserInfo {
        formula: "E_t Var_x R, x ~ p_t",
        reference: "the gauge of Deveney et al. 2025, arXiv 2311.15996, taken out",
        cost: "2 rows of value, first and second derivatives, one of them without gradients, fused",
        output: POTENTIAL,
        make: |s| Box::new(CentredPenalty::new(s.noising.clone(), s.strata)),
    };
    /// The gradient of the residual on noised data, weighted as the bound on the distance of the samplers is.
    ScoreForm "score-form": RegulariserInfo {
        formula: "omega(t) |grad R|^2, x ~ p_t; omega(u) = (1/2) int_0^u g^2 e^(growth t) alpha(u)/alpha(t) dt",
        reference: "Lai et al. 2023, arXiv 2210.04296, equation 13, there with weight g^2",
        cost: "D + 1 tangents through the reverse pass, composite",
        output: None,
        make: |s| {
            let weight = TimeWeight::Gap { growth: s.growth };
            Box::new(ScoreFormPenalty(s.on_marginal().time_weight(weight)))
        },
    };
    /// The time derivative of the potential, matched on data.
    DualScore "dual-score": RegulariserInfo {
        formula: "sigma^4 (d_t phi - d_t log p(x_t | x_0))^2",
        reference: "Guth, Kadkhodaie, Simoncelli 2025, arXiv 2506.05310",
        cost: "1 row of value and first derivatives, fused",
        output: POTENTIAL,
        make: |s| Box::new(DualScoreMatching(s.noising.clone())),
    };
    /// The residual smoothed over a length, without second derivatives.
    Weak "weak": RegulariserInfo {
        formula: "R_1 R_2, R_i = (g^2/2) v_i.(s(x+v_i) - s(x-v_i))/(2 scale^2) + (g^2/2)|s|^2 - f.s - div f - d_t phi",
        reference: "ScoreMD: Plainer et al. 2025, arXiv 2506.17139",
        cost: "4 rows, composite",
        output: POTENTIAL,
        make: |s| Box::new(WeakPenalty::new(s.noising.clone(), s.scale)),
    };
    /// Consistency of the expected data along the model's own reverse SDE.
    Martingale "martingale": RegulariserInfo {
        formula: "alpha^2 (D(x_1, t-h) - D(x, t)).(D(x_2, t-h) - D(x, t)), D = (x + sigma^2 s)/alpha",
        reference: "Daras et al. 2023, arXiv 2302.09057",
        cost: "1 row of the score and 2 without gradients, composite",
        output: None,
        make: |s| Box::new(MartingalePenalty::new(s.noising.clone(), s.step)),
    };
    /// The Jacobian of the score, matched on data.
    SecondOrder "second-order": RegulariserInfo {
        formula: "(|sigma^2 J v + v - (e.v) e|^2 + (sigma^2 v.Jv + |v|^2 - (e.v)^2)^2)/D^2, e = sigma s + z",
        reference: "Lu et al. 2022, arXiv 2206.08265",
        cost: "1 row of the score and a tangent, composite",
        output: None,
        make: |s| Box::new(SecondOrderMatching(s.noising.clone())),
    };
    /// The asymmetry of the Jacobian: how far a vector score is from a gradient.
    Curl "curl": RegulariserInfo {
        formula: "|J - J^T|_F^2, by random signs",
        reference: "Lai et al. 2023, arXiv 2210.04296; Hutchinson 1990",
        cost: "2 rows of the score and a tangent, composite",
        output: Some(Output::Score),
        make: |s| Box::new(CurlPenalty(s.noising.clone())),
    };
    /// The residual on the box, on more points where it is large.
    Adaptive "adaptive": RegulariserInfo {
        formula: "R^2 on points chosen with chance |R|/mean|R| + 1 out of a pool, unbiased for `box`",
        reference: "Wu et al. 2023, arXiv 2207.10289",
        cost: "as `box`, and the pool without gradients, fused",
        output: POTENTIAL,
        make: |s| {
            let pool = s.in_box(s.noising.batch.saturating_mul(s.candidates.max(1)));
            Box::new(AdaptivePenalty::new(pool, s.noising.batch))
        },
    };
    /// The residual on the box with a weight by the step of training.
    Scheduled "scheduled": RegulariserInfo {
        formula: "factor(step) R^2 on the box",
        reference: "w_R on early and decayed with the learning rate",
        cost: "as `box`",
        output: POTENTIAL,
        make: |s| {
            Box::new(Scheduled { term: s.in_box(s.noising.batch), schedule: s.schedule })
        },
    };
}
