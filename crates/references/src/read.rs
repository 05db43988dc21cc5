//! Reading reference files, with the key in every complaint.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use ndarray::Array2;
use sde_core::analytic::GaussianMixture;
use serde_json::Value;

use crate::npy::Npz;

/// Values of a JSON file.
pub(crate) trait Json {
    /// The entries of an object.
    fn entries(&self) -> Result<Vec<(&str, &Value)>>;
    /// A member of an object.
    fn member(&self, key: &str) -> Result<&Value>;
    /// The entries of a list; none where the member is not there.
    fn items(&self, key: &str) -> Result<&[Value]>;
    /// A number, also written as `"inf"` or `"-inf"`.
    fn one(&self) -> Result<f64>;
    /// Numbers, of a list or of lists of one length, row by row.
    fn list(&self) -> Result<Vec<f64>>;
    /// A list of lists of numbers.
    fn rows(&self) -> Result<Array2<f64>>;

    /// A text.
    fn text(&self, key: &str) -> Result<&str> {
        let member = self.member(key)?;
        member.as_str().with_context(|| format!("`{key}` is {member}, expected a text"))
    }
    /// A text, or the usual one.
    fn text_or<'a>(&'a self, key: &str, usual: &'a str) -> &'a str {
        self.text(key).unwrap_or(usual)
    }
    /// A truth value, or the usual one.
    fn flag_or(&self, key: &str, usual: bool) -> bool {
        self.member(key).ok().and_then(Value::as_bool).unwrap_or(usual)
    }
    /// A count.
    fn count(&self, key: &str) -> Result<usize> {
        let member = self.member(key)?;
        let n = member.as_u64().with_context(|| format!("`{key}` is {member}, no count"))?;
        Ok(usize::try_from(n)?)
    }
    /// A number.
    fn number(&self, key: &str) -> Result<f64> {
        self.member(key)?.one().with_context(|| format!("`{key}`"))
    }
    /// A number, or the usual one where the member is not there.
    fn number_or(&self, key: &str, usual: f64) -> Result<f64> {
        if self.member(key).is_ok() { self.number(key) } else { Ok(usual) }
    }
    /// Numbers.
    fn numbers(&self, key: &str) -> Result<Vec<f64>> {
        self.member(key)?.list().with_context(|| format!("`{key}`"))
    }
    /// A list of lists of numbers.
    fn matrix(&self, key: &str) -> Result<Array2<f64>> {
        self.member(key)?.rows().with_context(|| format!("`{key}`"))
    }
    /// A list of texts; empty where there is none.
    fn texts(&self, key: &str) -> Result<Vec<String>> {
        let text = |v: &Value| Ok(v.as_str().with_context(|| format!("`{key}`: {v}"))?.into());
        self.items(key)?.iter().map(text).collect()
    }
}

impl Json for Value {
    fn entries(&self) -> Result<Vec<(&str, &Value)>> {
        let object = self.as_object().context("no JSON object")?;
        Ok(object.iter().map(|(k, v)| (k.as_str(), v)).collect())
    }

    fn member(&self, key: &str) -> Result<&Value> {
        self.get(key).with_context(|| format!("no member `{key}`"))
    }

    fn items(&self, key: &str) -> Result<&[Value]> {
        let Some(member) = self.get(key) else { return Ok(&[]) };
        Ok(member.as_array().with_context(|| format!("`{key}` is no list"))?)
    }

    fn one(&self) -> Result<f64> {
        match self {
            Value::Number(n) => n.as_f64().with_context(|| format!("{n} is out of range")),
            Value::String(s) if s == "inf" => Ok(f64::INFINITY),
            Value::String(s) if s == "-inf" => Ok(f64::NEG_INFINITY),
            other => bail!("{other} is no number"),
        }
    }

    fn list(&self) -> Result<Vec<f64>> {
        let items = self.as_array().with_context(|| format!("{self} is no list"))?;
        match items.first() {
            Some(Value::Array(_)) => Ok(self.rows()?.into_iter().collect()),
            _ => items.iter().map(Value::one).collect(),
        }
    }

    fn rows(&self) -> Result<Array2<f64>> {
        let items = self.as_array().context("no list of lists")?;
        let rows = items.iter().map(Value::list).collect::<Result<Vec<_>>>()?;
        let n = rows.first().map_or(0, Vec::len);
        ensure!(rows.iter().all(|row| row.len() == n), "rows of different lengths");
        Ok(Array2::from_shape_vec((rows.len(), n), rows.concat())?)
    }
}

/// A Gaussian mixture from its `weights`, `means` and `covs`.
pub(crate) fn mixture(target: &Value) -> Result<GaussianMixture> {
    let covs = target.items("covs")?.iter().map(Value::rows).collect::<Result<Vec<_>>>();
    let covs = covs.context("`covs`")?;
    Ok(GaussianMixture::new(&target.numbers("weights")?, &target.matrix("means")?, &covs)?)
}

/// A folder of files, any of which may be missing.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A JSON file; `None` where there is none.
    pub(crate) fn json(&self, name: &str) -> Result<Option<Value>> {
        let path = self.path(name);
        if !path.exists() {
            return Ok(None);
        }
        let shown = path.display();
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {shown}"))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| anyhow!("{shown}: {e}"))
    }

    /// An archive; `None` where there is none.
    pub(crate) fn npz(&self, name: &str) -> Result<Option<Npz>> {
        let path = self.path(name);
        Ok(path.exists().then(|| Npz::open(&path)).transpose()?)
    }

    /// The names of files with an extension, without it, in alphabetical order.
    pub(crate) fn stems(&self, extension: &str) -> Result<Vec<String>> {
        let shown = self.0.display();
        let mut stems = Vec::new();
        for entry in std::fs::read_dir(&self.0).with_context(|| format!("cannot read {shown}"))? {
            let path = entry.with_context(|| format!("cannot read {shown}"))?.path();
            if path.extension().is_some_and(|e| e == extension) {
                stems.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
        stems.sort();
        Ok(stems)
    }

    /// The published networks and histograms, in a folder beside the references.
    pub(crate) fn published(&self) -> Option<Folder> {
        let dir = self.0.canonicalize().ok()?.parent()?.parent()?.join("odesdegap");
        dir.is_dir().then_some(Self(dir))
    }
}

/// The part of a path before the file name, for what lies in a sub-folder.
pub(crate) fn parent(path: &Path) -> Result<&Path> {
    path.parent().with_context(|| format!("{} is in no folder", path.display()))
}
