//! Samples of the model without classes that a classifier of noised rows steers to a class.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use control::ClassifierGuidance;
use data::Labels;
use score_nets::Classifier;
use sde_core::Key;
use sde_core::sde::brief;
use solvers::{ConfiguredMethod, Control, Sampler};

use super::Fitted;
use super::draw::{Draw, Drawn};
use super::said::Said;
use crate::fit::Prepared;
use crate::model::drawn_rows;
use crate::on_rows::OnRows;
use crate::particles::Run;

impl Fitted {
    /// The classifier in a file, of rows as those of the model.
    ///
    /// # Errors
    /// A file that is none, or one for another process or other rows.
    pub(super) fn classifier(&self, path: &Path) -> Result<Classifier> {
        let shown = path.display();
        let classifier = Classifier::open_on(path, Some(self.model.parameters().backend()))
            .context("--classifier")?;
        let prepared = Prepared::noted_in(classifier.config().data.as_ref());
        let prepared = prepared.with_context(|| {
            format!("--classifier {shown}: it was not fitted by `experiment fit`")
        })?;
        let prepared = prepared.with_context(|| format!("--classifier {shown}"))?;
        if let Some(what) = self.prepared.differs(&prepared) {
            bail!("--classifier {shown}: its rows and those of the model differ in {what}");
        }
        let (own, found) = (self.sde().name(), classifier.sde().name());
        ensure!(
            own == found,
            "--classifier {shown}: trained for the sde {}, the model for {}",
            brief(&found),
            brief(&own)
        );
        let (dim, classes) = (classifier.dim(), classifier.n_classes());
        let expected = (self.model.dim(), self.prepared.transform.classes().len());
        ensure!(
            (dim, classes) == expected,
            "--classifier {shown}: a network of {dim} numbers and {classes} classes, expected {} and {}",
            expected.0,
            expected.1
        );
        Ok(classifier)
    }

    /// Samples of a class each: by any sampler, or by weighted particles.
    pub(super) fn steered(
        &self,
        sampler: &Sampler<ConfiguredMethod>,
        args: &Draw<'_>,
        (classifier, labels): (&Classifier, Option<&Labels>),
        key: Key,
    ) -> Result<Drawn> {
        let labels = labels.context("--classifier needs --class or --class-of")?;
        if args.control.weighs_classes() {
            return self.weighed(sampler, args, (classifier, labels), key);
        }
        let weight = args.control.guidance.unwrap_or(1.0);
        ensure!(weight.is_finite(), "--guidance is {weight}, expected a finite value");
        let (plain, n) = (self.model.with_labels(None)?, usize::try_from(args.n)?);
        let likelihood = classifier.with_labels(labels.of.clone())?;
        let score = ClassifierGuidance::new(self.sde(), plain, likelihood, weight);
        let go_on = &mut |_| Ok(());
        let (rows, nfe) = drawn_rows(sampler, &self.model, &score, (n, key), go_on)?;
        Ok(Drawn { rows, nfe: Some(nfe), said: None })
    }

    /// Samples by twisted sequential Monte Carlo with the classifier for a twist.
    fn weighed(
        &self,
        plan: &Sampler<ConfiguredMethod>,
        args: &Draw<'_>,
        (classifier, labels): (&Classifier, &Labels),
        key: Key,
    ) -> Result<Drawn> {
        let Control::Grid(times) = &plan.control else {
            bail!("--rtol does not go with --by smc: give --steps N");
        };
        let (sde, particles, times) = (self.sde(), args.control.particles(), times.clone());
        let counts = [("samples", args.n), ("particles", particles as u64)];
        sde_core::counts::in_memory(&counts, 16)?;
        let score = OnRows { inner: self.model.with_labels(None)?, model: &self.model };
        let each = labels.of.iter().flat_map(|label| std::iter::repeat_n(*label, particles));
        let likelihood = classifier.with_labels(each.collect())?;
        let twist = ClassifierGuidance::new(sde, &score, likelihood, 1.0);
        let run = Run { sde, score: &score, variance: 1.0, times, particles, key };
        let found = run.twisted(&twist, (labels.of.len(), self.model.dim()))?;
        let said = Said::of_classes(&found.systems, &labels.of, particles);
        Ok(Drawn { rows: found.rows, nfe: None, said: Some(said) })
    }
}
