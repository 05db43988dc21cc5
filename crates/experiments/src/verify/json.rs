//! Reading values out of reference files, with the key in every complaint.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// A whole file.
pub(super) fn load(path: &Path) -> Result<Value> {
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    serde_json::from_slice(&bytes).map_err(|e| anyhow!("{name}: {e}"))
}

/// The entries of an object.
pub(super) fn entries<'a>(value: &'a Value, what: &str) -> Result<Vec<(&'a str, &'a Value)>> {
    let object = value.as_object().with_context(|| format!("{what} is no JSON object"))?;
    Ok(object.iter().map(|(k, v)| (k.as_str(), v)).collect())
}

/// A member of an object.
pub(super) fn member<'a>(value: &'a Value, key: &str) -> Result<&'a Value> {
    value.get(key).with_context(|| format!("no member `{key}`"))
}

/// A text member.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    let member = member(value, key)?;
    member.as_str().with_context(|| format!("`{key}` is {member}, expected a text"))
}

/// A count.
pub(super) fn count(value: &Value, key: &str) -> Result<usize> {
    let member = member(value, key)?;
    let n = member.as_u64().with_context(|| format!("`{key}` is {member}, expected a count"))?;
    Ok(usize::try_from(n)?)
}

/// A number.
pub(super) fn number(value: &Value, key: &str) -> Result<f64> {
    one(member(value, key)?).with_context(|| format!("`{key}`"))
}

/// A list of numbers.
pub(super) fn numbers(value: &Value, key: &str) -> Result<Vec<f64>> {
    list(member(value, key)?).with_context(|| format!("`{key}`"))
}

/// A list of lists of numbers.
pub(super) fn matrix(value: &Value, key: &str) -> Result<Vec<Vec<f64>>> {
    rows(member(value, key)?).with_context(|| format!("`{key}`"))
}

/// A list of lists of numbers, from the value itself.
pub(super) fn rows(value: &Value) -> Result<Vec<Vec<f64>>> {
    value.as_array().context("no list of lists")?.iter().map(list).collect()
}

/// A list of numbers, from the value itself.
pub(super) fn list(value: &Value) -> Result<Vec<f64>> {
    let items = value.as_array().with_context(|| format!("{value} is no list"))?;
    items.iter().map(one).collect()
}

/// A number, also written as `"inf"` or `"-inf"`.
pub(super) fn one(value: &Value) -> Result<f64> {
    match value {
        Value::Number(n) => n.as_f64().with_context(|| format!("{n} is out of range")),
        Value::String(s) if s == "inf" => Ok(f64::INFINITY),
        Value::String(s) if s == "-inf" => Ok(f64::NEG_INFINITY),
        other => bail!("{other} is no number"),
    }
}
