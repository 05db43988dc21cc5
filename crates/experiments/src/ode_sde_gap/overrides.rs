//! `--set a.b=c`: one value of a configuration changed from the command line.

use anyhow::{Context as _, Result, bail, ensure};
use toml::{Table, Value};

use super::config::{OPTIONAL, current_name};

/// Sets the value at `a.b` in `table` to `c`, read as TOML (`3`, `1e-3`, `[1, 2]`, `{..}`) or, when it
/// is none, as a string.
///
/// # Errors
/// When the text has no `=`, or the key is not in the configuration.
pub(crate) fn apply(table: &mut Table, assignment: &str) -> Result<()> {
    let (path, text) = assignment.split_once('=').with_context(|| {
        format!("--set {assignment}: expected KEY=VALUE, as in sampling.n=1000")
    })?;
    let (path, text) = (current_name(path.trim()), text.trim());
    ensure!(!path.is_empty(), "--set {assignment}: the key is empty");
    let keys: Vec<&str> = path.split('.').collect();
    let mut at = &mut *table;
    for (depth, key) in keys.iter().enumerate() {
        if depth + 1 == keys.len() {
            let value = match at.get(*key) {
                Some(old) => coerce(read(text), old),
                None if path == "models" => Value::String(text.to_string()),
                None if OPTIONAL.contains(&path.as_str()) => read(text),
                None => return Err(unknown(at, &keys, depth)),
            };
            at.insert((*key).to_string(), value);
            return Ok(());
        }
        if !at.contains_key(*key) {
            return Err(unknown(at, &keys, depth));
        }
        at = match at.get_mut(*key) {
            Some(Value::Table(inner)) => inner,
            _ => bail!("--set {assignment}: {} is a value, not a table", keys[..=depth].join(".")),
        };
    }
    Ok(())
}

fn unknown(table: &Table, keys: &[&str], depth: usize) -> anyhow::Error {
    let names: Vec<&str> = table.keys().map(String::as_str).collect();
    let place =
        if depth == 0 { String::new() } else { format!(" in `{}`", keys[..depth].join(".")) };
    anyhow::anyhow!(
        "--set: unknown key `{}`{place}: expected one of {}",
        keys[depth],
        names.join(", ")
    )
}

/// A whole number where a float stood is a float; a single item where a list stood is a list of it.
fn coerce(new: Value, old: &Value) -> Value {
    match (new, old) {
        (Value::Integer(v), Value::Float(_)) => Value::Float(v as f64),
        (Value::Array(items), Value::Array(was)) if was.iter().any(Value::is_float) => {
            let float = |v| match v {
                Value::Integer(v) => Value::Float(v as f64),
                other => other,
            };
            Value::Array(items.into_iter().map(float).collect())
        }
        (one @ (Value::Integer(_) | Value::Float(_) | Value::String(_)), Value::Array(_)) => {
            let items = match one {
                Value::String(s) => s.split(',').map(|s| read(s.trim())).collect(),
                other => vec![other],
            };
            coerce(Value::Array(items), old)
        }
        (new, _) => new,
    }
}

fn read(text: &str) -> Value {
    let wrapped = format!("v = {text}");
    match wrapped
        .parse::<Table>()
        .ok()
        .and_then(|mut t| if t.len() == 1 { t.remove("v") } else { None })
    {
        Some(value) => value,
        None => Value::String(text.to_string()),
    }
}
