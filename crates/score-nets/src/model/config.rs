//! The configuration of a model of the score: everything but its weights.

use std::fmt::Display;
use std::str::FromStr;

use sde_core::{Key, Parametrisation, Preconditioning};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    Architecture, DataSource, Error, Result,
    train::{enough_rows, sigma_data},
};

/// Everything about a [`ScoreModel`](super::ScoreModel) but its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelConfig {
    /// The network; `None` for one that is built by the user's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Architecture>,
    /// What its output stands for.
    #[serde(with = "text")]
    pub output: Parametrisation,
    /// What it is given.
    #[serde(with = "text")]
    pub preconditioning: Preconditioning,
    /// The forward process, by name ([`sde_core::sde::parse`]).
    pub sde: String,
    /// Standard deviation of a coordinate of the data: as it was said, or as a [`Trainer`](crate::Trainer) measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_data: Option<f64>,
    /// Features of the learned log-variance that it is trained with
    /// ([`ScoreModel::with_log_variance`](super::ScoreModel::with_log_variance)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_variance: Option<usize>,
    /// What the model is trained for, in whatever words let its maker know it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What a row is: how it came from the user's data, in the form of whoever prepared them. It stays with the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

impl ModelConfig {
    /// A network of the library under a process, as Karras et al. 2022 condition one: `edm` with `edm-f`.
    pub fn edm(network: Architecture, sigma_data: f64, sde: &str) -> Self {
        Self {
            network: Some(network),
            output: Parametrisation::F { sigma_data },
            preconditioning: Preconditioning::edm(sigma_data),
            sde: sde.into(),
            sigma_data: Some(sigma_data),
            log_variance: None,
            identity: None,
            data: None,
        }
    }

    /// As [`ModelConfig::edm`], with `sigma_data` measured on rows of the data that are drawn under `key`
    /// ([`sigma_data`]).
    ///
    /// # Errors
    /// [`Error::Setting`] for data that are not finite or all the same; whatever the source fails with.
    ///
    /// ```
    /// use score_nets::{Architecture, ModelConfig};
    /// use sde_core::{Key, analytic::DataSet};
    /// let json = r#"{"architecture": "residual-mlp", "args": {"dim": 2, "width": 16, "blocks": 2}}"#;
    /// let config = ModelConfig::edm_for(Architecture::parse(json)?, &DataSet::Checker, "edm", Key::root(1))?;
    /// let sigma_data = config.sigma_data.expect("was measured");
    /// assert!((1.0..2.0).contains(&sigma_data));
    /// assert_eq!(config.output.to_string(), format!("edm-f:sigma-data={sigma_data}"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn edm_for(
        network: Architecture,
        source: &dyn DataSource,
        sde: &str,
        key: Key,
    ) -> Result<Self> {
        let measured = sigma_data(source, key, enough_rows(source.dim()))?;
        Ok(Self::edm(network, measured.value, sde))
    }

    /// Checks that a file can hold the configuration: that every part is read back as it is. A process or a network
    /// of one's own is not; [`ScoreModel::open_like`](super::ScoreModel::open_like) reads it then.
    pub(crate) fn check_text(&self) -> Result<()> {
        check_text(&self.preconditioning)
    }
}

/// Checks that a preconditioning is read back from its text as it is.
pub(crate) fn check_text(preconditioning: &Preconditioning) -> Result<()> {
    let written = preconditioning.to_string();
    if written.parse::<Preconditioning>().is_ok_and(|read| read == *preconditioning) {
        return Ok(());
    }
    let reason = "has no name that a file could hold";
    Err(Error::setting("preconditioning", written, reason))
}

/// Values that are written as they are shown.
pub(crate) mod text {
    use super::*;

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
