//! Reading reference files, with the key in every complaint.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ndarray::Array2;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::case::{Absent, Family};
use crate::flow::Rows;
use crate::npy::Npz;

/// Values of a JSON file.
pub(crate) trait Json {
    /// The value itself.
    fn value(&self) -> &Value;

    /// The entries of an object.
    fn entries(&self) -> Result<Vec<(&str, &Value)>> {
        let object = self.value().as_object().context("no JSON object")?;
        Ok(object.iter().map(|(k, v)| (k.as_str(), v)).collect())
    }
    /// A member of an object.
    fn member(&self, key: &str) -> Result<&Value> {
        self.value().get(key).with_context(|| format!("no member `{key}`"))
    }
    /// The entries of a list; none where the member is not there.
    fn items(&self, key: &str) -> Result<&[Value]> {
        let Ok(member) = self.member(key) else { return Ok(&[]) };
        Ok(member.as_array().with_context(|| format!("`{key}` is no list"))?)
    }
    /// A text.
    fn text(&self, key: &str) -> Result<&str> {
        let member = self.member(key)?;
        member.as_str().with_context(|| format!("`{key}` is {member}, expected a text"))
    }
    /// A text, or the usual one.
    fn text_or<'a>(&'a self, key: &str, usual: &'a str) -> &'a str {
        self.text(key).unwrap_or(usual)
    }
    /// A member of any type, or the usual one where there is none.
    fn or<T: DeserializeOwned>(&self, key: &str, usual: T) -> Result<T> {
        match self.value().get(key) {
            None | Some(Value::Null) => Ok(usual),
            Some(member) => T::deserialize(member).with_context(|| format!("`{key}`")),
        }
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
    /// Numbers.
    fn numbers(&self, key: &str) -> Result<Vec<f64>> {
        self.member(key)?.list().with_context(|| format!("`{key}`"))
    }
    /// A list of lists of numbers.
    fn matrix(&self, key: &str) -> Result<Rows> {
        self.member(key)?.rows().with_context(|| format!("`{key}`"))
    }
    /// This value as a number, also written as `"inf"` or `"-inf"`.
    fn one(&self) -> Result<f64> {
        match self.value() {
            Value::Number(n) => n.as_f64().with_context(|| format!("{n} is out of range")),
            Value::String(s) if s == "inf" => Ok(f64::INFINITY),
            Value::String(s) if s == "-inf" => Ok(f64::NEG_INFINITY),
            other => bail!("{other} is no number"),
        }
    }
    /// This value as numbers: of a list, or of lists of one length, row by row.
    fn list(&self) -> Result<Vec<f64>> {
        let value = self.value();
        let items = value.as_array().with_context(|| format!("{value} is no list"))?;
        match items.first() {
            Some(Value::Array(_)) => Ok(self.rows()?.into_iter().collect()),
            _ => items.iter().map(Value::one).collect(),
        }
    }
    /// This value as a list of lists of numbers.
    fn rows(&self) -> Result<Rows> {
        let items = self.value().as_array().context("no list of lists")?;
        let rows = items.iter().map(Value::list).collect::<Result<Vec<_>>>()?;
        let n = rows.first().map_or(0, Vec::len);
        ensure!(rows.iter().all(|row| row.len() == n), "rows of different lengths");
        Ok(Array2::from_shape_vec((rows.len(), n), rows.concat())?)
    }
}

impl Json for Value {
    fn value(&self) -> &Value {
        self
    }
}

/// What a name stands for in a table.
pub(crate) fn one_of<T: Clone>(name: &str, table: &[(&str, T)]) -> Result<T> {
    let known = || table.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
    let found = table.iter().find(|(known, _)| *known == name);
    Ok(found.with_context(|| format!("`{name}`: expected one of {}", known()))?.1.clone())
}

/// Numbers that are indices below `limit`.
pub(crate) fn indices<'a>(
    numbers: impl IntoIterator<Item = &'a f64>,
    limit: usize,
) -> Result<Vec<usize>> {
    let index = |v: &f64| {
        let inside = *v >= 0.0 && v.fract() == 0.0 && *v < limit as f64;
        ensure!(inside, "{v} is no index below {limit}");
        Ok(*v as usize)
    };
    numbers.into_iter().map(index).collect()
}

/// A folder of files, any of which may be missing.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The path of a file that is there.
    fn file(&self, name: &str) -> Result<PathBuf> {
        ensure!(self.has(name), Absent(format!("{name} is not there")));
        Ok(self.path(name))
    }

    /// A JSON file.
    pub(crate) fn json(&self, name: &str) -> Result<Value> {
        let path = self.file(name)?;
        let shown = path.display();
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {shown}"))?;
        serde_json::from_slice(&bytes).map_err(|e| anyhow!("{shown}: {e}"))
    }

    /// An archive.
    pub(crate) fn npz(&self, name: &str) -> Result<Npz> {
        Ok(Npz::open(&self.file(name)?)?)
    }

    /// Groups of cases, one an archive; `compare` gets its name and what it holds.
    pub(crate) fn archives(
        &self,
        family: &mut Family,
        mut compare: impl FnMut(&str, Npz, &mut Family) -> Result<()>,
    ) -> Result<()> {
        for stem in self.stems("npz")? {
            let npz = self.npz(&format!("{stem}.npz"));
            family.group(&stem, |family| compare(&stem, npz?, family));
        }
        Ok(())
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
    pub(crate) fn published(&self) -> Folder {
        Self(self.0.join("../../odesdegap"))
    }
}
