//! The constants in a name: `key=value`, with commas between.

use crate::{Error, Result};

/// Reads `key=word,word,...,key=word,...`: what has no `=` of its own belongs to the key before it.
///
/// # Errors
/// [`Error::Parameter`] for words before the first key, and for a key given twice.
pub(crate) fn lists(text: &str) -> Result<Vec<(&str, Vec<&str>)>> {
    let mut lists: Vec<(&str, Vec<&str>)> = Vec::new();
    let refuse = |key: &str, value: &str, reason: &str| {
        let (name, value, reason) = (key.into(), value.into(), reason.into());
        Err(Error::Parameter { name, value, reason })
    };
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        match (part.split_once('='), lists.last_mut()) {
            (Some((key, word)), _) => {
                let (key, word) = (key.trim(), word.trim());
                if lists.iter().any(|(k, _)| *k == key) {
                    return refuse(key, word, "is given twice");
                }
                lists.push((key, vec![word]));
            }
            (None, Some((_, words))) => words.push(part),
            (None, None) => return refuse(part, "", "is no constant: expected key=value"),
        }
    }
    Ok(lists)
}
