//! `sample` of a fitted model: rows in the units of the data, of a class, given what is known of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use candle_core::Tensor;
use control::steppers::{Ddnm, Ddrm, DpsStep, Replacement, TimeTravel};
use control::{Covariance, Guidance, ReconstructionGuidance, Strength};
use ndarray::{Array2, s};
use score_nets::Classifier;
use sde_core::counts::in_memory;
use sde_core::sde::brief;
use sde_core::{Key, Score, ScoreVjp, TimeGrid};
use serde_json::json;
use solvers::steppers::ExponentialEulerMaruyama;
use solvers::{ConfiguredMethod, Control, CustomStepper, End, Sampler, Scheme, SolveError};

use super::super::Output;
use super::super::output::short;
use super::given::{By, ControlOptions, Known};
use super::measured::Measured;
use super::said::Said;
use super::{ClassOptions, Fitted};
use crate::model::drawn_rows;
use crate::on_rows::OnRows;
use crate::particles::Run;

/// How many samples, of what, go where.
pub(in crate::cli) struct Draw<'a> {
    pub(in crate::cli) n: u64,
    pub(in crate::cli) seed: u64,
    pub(in crate::cli) class: &'a ClassOptions,
    pub(in crate::cli) control: &'a ControlOptions,
    pub(in crate::cli) out: &'a Path,
}

/// A sampler where nothing is said.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Unsaid {
    pub(in crate::cli) method: &'static str,
    pub(in crate::cli) steps: u32,
    pub(in crate::cli) grid: TimeGrid,
    pub(in crate::cli) t_end: f64,
    pub(in crate::cli) end: End,
}

/// A score of tensors with products.
type Model<'a> = Box<dyn ScoreVjp<Tensor> + 'a>;

/// Rows of the model with how they were found.
pub(super) struct Drawn {
    pub(super) rows: Array2<f64>,
    pub(super) nfe: Option<u64>,
    pub(super) said: Option<Said>,
}

/// Passes of RePaint over its steps.
const PASSES: usize = 5;

impl Fitted {
    /// The sampler where nothing is said: steps with noise where something is known.
    pub(in crate::cli) fn unsaid(&self, conditions: bool) -> Unsaid {
        let usual = self.usual();
        let (method, steps) =
            if conditions { ("exponential-euler-maruyama", 64) } else { ("heun", 32) };
        Unsaid { method, steps, grid: usual.grid, t_end: usual.t_end, end: End::Denoise }
    }

    /// Draws, turns into rows of data, writes.
    pub(in crate::cli) fn sample(
        &self,
        sampler: &Sampler<ConfiguredMethod>,
        args: &Draw<'_>,
        output: &Output,
    ) -> Result<()> {
        let start = Instant::now();
        let columns = self.prepared.transform.model_dim() as u64;
        // The rows of the model, those of the data, and what is written.
        in_memory(&[("samples", args.n), ("columns", columns)], 24)?;
        let n = usize::try_from(args.n)?;
        let classifier = args.control.classifier.as_deref().map(|path| self.classifier(path));
        let classifier = classifier.transpose()?;
        let all = classifier.as_ref().map_or(self.model.n_classes(), Classifier::n_classes);
        let labels = self.classes_of(args.class, n, all)?;
        let known = self.known(args.control)?;
        let key = Key::root(args.seed);
        let (drawn, missed) = match (&known, &classifier) {
            (None, None) => (self.plain(sampler, args, labels.as_ref(), key)?, None),
            (None, Some(classifier)) => {
                (self.steered(sampler, args, (classifier, labels.as_ref()), key)?, None)
            }
            (Some(known), _) => {
                let rows = known.values.nrows();
                ensure!(
                    n.is_multiple_of(rows),
                    "--n {n}: must be a multiple of the {rows} rows of --values, as many samples of each"
                );
                let measured = known.measure(&self.prepared, n, key.fold(2))?;
                let drawn =
                    self.conditional(sampler, args, labels.as_ref(), (known, &measured), key)?;
                let off = measured.measurement.residual(&drawn.rows)?;
                let missed = (off.iter().map(|r| r * r).sum::<f64>() / off.len() as f64).sqrt();
                (drawn, Some(missed))
            }
        };
        let mut rows = self.prepared.to_data(drawn.rows.view())?;
        if let Some(known) = known.as_ref().filter(|k| k.noise == 0.0) {
            // What is known is known: whatever a method leaves of it.
            let values = known.of_samples(n);
            for (k, column) in known.columns.iter().enumerate() {
                rows.column_mut(*column).assign(&values.column(k));
            }
        }
        output.replacing(args.out);
        data::save(args.out, self.prepared.transform.kind(), rows.view(), labels.as_ref())?;
        self.say_draw(sampler, args, &drawn, known.as_ref().zip(missed), start, output)
    }

    /// The model with its classes and guidance, of so many particles a sample.
    fn score(
        &self,
        args: &Draw<'_>,
        labels: Option<&data::Labels>,
        particles: usize,
    ) -> Result<Model<'_>> {
        let given = self.labelled(labels, particles)?;
        let Some(w) = args.control.guidance else { return Ok(Box::new(given)) };
        ensure!(labels.is_some(), "--guidance {w} needs --class or --class-of");
        ensure!(w.is_finite(), "--guidance is {w}, expected a finite value");
        let plain = self.model.with_labels(None)?;
        Ok(Box::new(Guidance::new(self.sde(), given, plain, Strength::Constant(w))))
    }

    /// Samples of which nothing is known.
    fn plain(
        &self,
        sampler: &Sampler<ConfiguredMethod>,
        args: &Draw<'_>,
        labels: Option<&data::Labels>,
        key: Key,
    ) -> Result<Drawn> {
        let score = self.score(args, labels, 1)?;
        let n = usize::try_from(args.n)?;
        let go_on = &mut |_| Ok(());
        let (rows, nfe) = drawn_rows(sampler, &self.model, &score, (n, key), go_on)?;
        Ok(Drawn { rows, nfe: Some(nfe), said: None })
    }

    /// Samples given what is known.
    fn conditional(
        &self,
        plan: &Sampler<ConfiguredMethod>,
        args: &Draw<'_>,
        labels: Option<&data::Labels>,
        (known, measured): (&Known, &Measured),
        key: Key,
    ) -> Result<Drawn> {
        let (sde, by) = (self.sde(), args.control.by());
        let variance = self.model.config().sigma_data.unwrap_or(1.0).powi(2);
        let particles = if by == By::Smc { args.control.particles() } else { 1 };
        let score = OnRows { inner: self.score(args, labels, particles)?, model: &self.model };
        let score: &dyn ScoreVjp<Array2<f64>> = &score;
        let Control::Grid(times) = &plan.control else {
            bail!("--rtol does not go with what is known: give --steps N");
        };
        if by == By::Smc {
            let times = times.clone();
            let run = Run { sde, score, variance, times, particles, key };
            let found = run.samples(&measured.measurement, usize::try_from(args.n)?)?;
            let said = Said::of_values(&found.systems, known, measured.log_abs_det, particles);
            return Ok(Drawn { rows: found.rows, nfe: None, said: Some(said) });
        }
        let (method, seen) = (plan.method.clone(), measured.measurement.clone());
        let steps = times.len().saturating_sub(1).max(1);
        let guided = |covariance| ReconstructionGuidance::new(sde, score, seen.clone(), covariance);
        let guide = match by {
            By::Pigdm => Some(guided(Covariance::Isotropic { data_variance: variance })),
            By::Tmpd => Some(guided(Covariance::Full)),
            _ => None,
        };
        // All steps of DPS together could go twice as far as the known values are from none in the mean.
        let m = measured.measurement.operator().output_len() as f64;
        let zeta = 2.0 * (m * variance).sqrt() / steps as f64;
        let scheme: Arc<dyn Scheme<Array2<f64>> + '_> = match by {
            By::Replacement => Arc::new(Replacement::new(method, seen)),
            By::Repaint => {
                Arc::new(TimeTravel::repaint(method, seen, (steps / 10).max(1), PASSES)?)
            }
            By::Dps => {
                let inner = ExponentialEulerMaruyama;
                Arc::new(CustomStepper(DpsStep::new(inner, sde, score, seen, zeta)))
            }
            By::Ddrm => Arc::new(CustomStepper(Ddrm::new(seen))),
            By::Ddnm => Arc::new(CustomStepper(Ddnm::new(seen))),
            By::Pigdm | By::Tmpd | By::Smc => Arc::new(method),
        };
        // Those two draw the noise of their steps themselves.
        let eta = if matches!(by, By::Ddrm | By::Ddnm) { 0.0 } else { plan.eta };
        let sampler = Sampler {
            method: scheme,
            eta,
            control: plan.control.clone(),
            end: plan.end,
            block_rows: plan.block_rows,
        };
        let mut rows = Array2::zeros((usize::try_from(args.n)?, self.model.dim()));
        let like = Array2::zeros((1, rows.ncols()));
        let mut sink = |first: u64, x: Array2<f64>| {
            let first = first as usize;
            rows.slice_mut(s![first..first + x.nrows(), ..]).assign(&x);
            Ok::<(), SolveError>(())
        };
        let followed: &dyn Score<Array2<f64>> = match &guide {
            Some(guide) => guide,
            None => &score,
        };
        let summary = solvers::sample(&sampler, sde, followed, args.n, key, &like, &mut sink)?;
        Ok(Drawn { rows, nfe: Some(summary.nfe), said: None })
    }

    fn say_draw(
        &self,
        sampler: &Sampler<ConfiguredMethod>,
        args: &Draw<'_>,
        drawn: &Drawn,
        known: Option<(&Known, f64)>,
        start: Instant,
        output: &Output,
    ) -> Result<()> {
        let (sde, by, seconds) = (self.sde(), args.control.by(), start.elapsed().as_secs_f64());
        let said = drawn.said.as_ref();
        let own = (known.is_some() || said.is_some()) && by.has_own_steps();
        let method = if own { by.name() } else { sampler.method.name() };
        let control = (known.is_some() || said.is_some()).then(|| {
            json!({
                "by": by.name(), "columns": known.map(|k| k.0.columns.len()), "rows": known.map(|k| k.0.values.nrows()),
                "noise": known.map(|k| k.0.noise), "missed": known.map(|k| k.1),
                "particles": said.map(|s| s.particles), "effective": said.map(|s| s.effective),
                "least_effective": said.map(|s| s.least), "resampled": said.map(|s| s.resampled),
                "log_evidence": said.map(|s| s.log_evidence.iter().map(|e| e.0).collect::<Vec<_>>()),
                "log_evidence_standard_error":
                    said.map(|s| s.log_evidence.iter().map(|e| e.1).collect::<Vec<_>>()),
            })
        });
        let report = json!({
            "out": args.out, "n": args.n, "dim": self.prepared.transform.data_dim(), "sde": sde.name(),
            "class": args.class.class, "class_of": args.class.class_of, "guidance": args.control.guidance,
            "classifier": args.control.classifier,
            "method": method, "eta": sampler.eta, "end": sampler.end.name(), "nfe": drawn.nfe,
            "control": control, "seed": args.seed, "seconds": seconds,
        });
        let (n, shown, sde) = (args.n, args.out.display(), sde.name());
        let steps = match drawn.nfe {
            Some(nfe) if own => format!(", {nfe} steps"),
            Some(nfe) => format!(" with eta = {}, {nfe} evaluations a row", sampler.eta),
            None => String::new(),
        };
        let mut lines = vec![format!(
            "{n} samples in {shown}: {method} on {}{steps}, {seconds:.2} s",
            brief(&sde)
        )];
        lines.extend(known.map(|(known, missed)| missed_words(by, known, missed)));
        lines.extend(said.map(Said::sentence));
        output.emit(&report, &lines.join("\n"))
    }
}

/// How far samples were from what is known before it was put in.
fn missed_words(by: By, known: &Known, missed: f64) -> String {
    let (columns, missed) = (known.columns.len(), short(missed));
    let name = by.name();
    match known.noise {
        0.0 => format!(
            "{columns} known values by {name}, which missed them by {missed} (root mean square, in units of the model) before \
             they were put in"
        ),
        noise => format!(
            "{columns} known values with noise {noise} by {name}, {missed} away (root mean square, in units of the model)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_said_where_it_was() {
        let known = |noise| Known { columns: vec![1, 2], values: Array2::zeros((1, 2)), noise };
        let exact = missed_words(By::Pigdm, &known(0.0), 0.0123);
        assert!(
            exact.contains("pigdm") && exact.contains("0.012") && exact.ends_with("put in"),
            "{exact}"
        );
        let noisy = missed_words(By::Smc, &known(0.5), 0.4);
        assert!(noisy.contains("noise 0.5") && !noisy.contains("put in"), "{noisy}");
    }
}
