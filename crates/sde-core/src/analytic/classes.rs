//! Classes of components of a mixture: the exact noise-conditional classifier.

use ndarray::Array2;

use super::mixture::{GaussianMixture, log_sum_exp};
use super::score::AnalyticScore;
use crate::{Error, LogLikelihood, Result, Score, Sde};

/// A mixture whose components belong to classes. Everything about a class is in closed form:
///
/// `p(c) = sum of w_k over its components`, `p(x | c)` the mixture of these,
/// `log p(c | x_t) = log p(c) + log p_t(x | c) - log p_t(x)`.
///
/// [`GaussianMixture::classes`] makes one.
#[derive(Clone, Debug)]
pub struct MixtureClasses {
    whole: GaussianMixture,
    classes: Vec<GaussianMixture>,
    log_prior: Vec<f64>,
}

impl GaussianMixture {
    /// Assigns component `k` to the class `labels[k]`, of classes `0 .. C` that all occur.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a label a component; [`Error::Parameter`] for a class without components.
    pub fn classes(&self, labels: &[usize]) -> Result<MixtureClasses> {
        let k = self.weights().len();
        if labels.len() != k {
            return Err(Error::Shape { expected: vec![k], found: vec![labels.len()] });
        }
        let count = labels.iter().max().map_or(0, |c| c.saturating_add(1));
        if count > k {
            let reason = format!("{k} components cannot fill {count} classes");
            let value = (count - 1).to_string();
            return Err(Error::Parameter { name: "class".into(), value, reason });
        }
        let (mut classes, mut log_prior) = (vec![], vec![]);
        for c in 0..count {
            let members: Vec<usize> = (0..k).filter(|k| labels[*k] == c).collect();
            if members.is_empty() {
                let (name, reason) = ("class".into(), "has no component".into());
                return Err(Error::Parameter { name, value: c.to_string(), reason });
            }
            let logs: Vec<f64> = members.iter().map(|k| self.log_weights()[*k]).collect();
            log_prior.push(log_sum_exp(&logs));
            classes.push(self.some(&members));
        }
        Ok(MixtureClasses { whole: self.clone(), classes, log_prior })
    }
}

impl MixtureClasses {
    /// The number of classes.
    pub fn count(&self) -> usize {
        self.classes.len()
    }

    /// The law of a class.
    ///
    /// # Panics
    /// When there is no such class.
    pub fn class(&self, c: usize) -> &GaussianMixture {
        &self.classes[c]
    }

    /// `log p(c)` of every class.
    pub fn log_prior(&self) -> &[f64] {
        &self.log_prior
    }

    /// The classifier at every time of `sde`; all particles are of class 0 until [`ClassLikelihood::of`] says otherwise.
    pub fn under<'a>(&self, sde: &'a dyn Sde) -> ClassLikelihood<'a> {
        ClassLikelihood {
            whole: self.whole.under(sde),
            classes: self.classes.iter().map(|c| c.under(sde)).collect(),
            log_prior: self.log_prior.clone(),
            labels: vec![0],
        }
    }
}

/// The exact `log p(c | x_t)` of a class a particle.
pub struct ClassLikelihood<'a> {
    whole: AnalyticScore<'a>,
    classes: Vec<AnalyticScore<'a>>,
    log_prior: Vec<f64>,
    /// One a particle, or one for all.
    labels: Vec<usize>,
}

impl ClassLikelihood<'_> {
    /// The same with these classes: one a particle, or one for all.
    #[must_use]
    pub fn of(mut self, labels: Vec<usize>) -> Self {
        self.labels = labels;
        self
    }

    fn class(&self, label: usize) -> Result<&AnalyticScore<'_>> {
        self.classes.get(label).ok_or_else(|| {
            let reason = format!("there are {} classes", self.classes.len());
            Error::Parameter { name: "class".into(), value: label.to_string(), reason }
        })
    }

    /// `log p(c | x_t)` of every row for one class, and its gradient.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a class that is not there; as [`Score::score`].
    pub fn log_class(&self, c: usize, x: &Array2<f64>, t: f64) -> Result<(Vec<f64>, Array2<f64>)> {
        let class = self.class(c)?;
        let (with, without) = (class.log_density(x, t)?, self.whole.log_density(x, t)?);
        let log = with.iter().zip(&without).map(|(a, b)| a - b + self.log_prior[c]).collect();
        Ok((log, class.score(x, t)? - self.whole.score(x, t)?))
    }

    fn labels_of(&self, rows: usize) -> Result<Vec<usize>> {
        match self.labels.len() {
            1 => Ok(vec![self.labels[0]; rows]),
            n if n == rows => Ok(self.labels.clone()),
            n => Err(Error::Shape { expected: vec![n], found: vec![rows] }),
        }
    }
}

impl LogLikelihood<Array2<f64>> for ClassLikelihood<'_> {
    fn log_likelihood(&self, x: &Array2<f64>, t: f64) -> Result<(Vec<f64>, Array2<f64>)> {
        let labels = self.labels_of(x.nrows())?;
        let (mut log, mut gradient) = (vec![0.0; x.nrows()], Array2::zeros(x.dim()));
        for c in 0..self.classes.len() {
            let rows: Vec<usize> = (0..labels.len()).filter(|b| labels[*b] == c).collect();
            if rows.is_empty() {
                continue;
            }
            let (l, g) = self.log_class(c, &x.select(ndarray::Axis(0), &rows), t)?;
            for (i, b) in rows.into_iter().enumerate() {
                log[b] = l[i];
                gradient.row_mut(b).assign(&g.row(i));
            }
        }
        match labels.iter().find(|c| **c >= self.classes.len()) {
            Some(c) => self.class(*c).map(|_| (log, gradient)),
            None => Ok((log, gradient)),
        }
    }

    fn likelihood_for_rows(
        &self,
        rows: &[u64],
    ) -> Result<Box<dyn LogLikelihood<Array2<f64>> + '_>> {
        if self.labels.len() == 1 {
            return Ok(Box::new(self));
        }
        let label = |row: &u64| {
            let known = usize::try_from(*row).ok().and_then(|row| self.labels.get(row));
            known.copied().ok_or_else(|| {
                let reason = format!("there are classes of {} particles", self.labels.len());
                Error::Parameter { name: "particle".into(), value: row.to_string(), reason }
            })
        };
        let labels = rows.iter().map(label).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(ClassLikelihood {
            whole: self.whole.clone(),
            classes: self.classes.clone(),
            log_prior: self.log_prior.clone(),
            labels,
        }))
    }
}
