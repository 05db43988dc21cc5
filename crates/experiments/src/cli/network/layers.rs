//! The tensors of a network by layer.

use serde::Serialize;

/// A tensor of a network.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Whether it is trained, rather than a buffer.
    pub(super) trained: bool,
}

impl Part {
    fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// The name of its layer, and its own within.
    fn split(&self) -> (&str, &str) {
        self.name.rsplit_once('.').unwrap_or(("", &self.name))
    }
}

/// Sorts by name, numbers within names by their value.
pub(super) fn sort(parts: &mut [Part]) {
    parts.sort_by_cached_key(|p| natural(&p.name));
}

/// A name cut into words and numbers.
fn natural(name: &str) -> Vec<(String, u64)> {
    let piece = |word: &str| {
        let digits = word.trim_start_matches(|c: char| !c.is_ascii_digit());
        match digits.parse() {
            Ok(n) => (word[..word.len() - digits.len()].to_owned(), n),
            Err(_) => (word.to_owned(), 0),
        }
    };
    name.split(['.', '_', '/']).map(piece).collect()
}

/// One row a layer: its name, its tensors with their shapes, its number of trained scalars.
pub(super) fn rows(parts: &[Part]) -> Vec<Vec<String>> {
    let mut rows: Vec<(String, Vec<String>, usize)> = Vec::new();
    for part in parts {
        let (layer, own) = part.split();
        let shape =
            format!("{own} {:?}{}", part.shape, if part.trained { "" } else { " (buffer)" });
        let trained = if part.trained { part.size() } else { 0 };
        match rows.last_mut() {
            Some((name, shapes, n)) if name == layer => {
                shapes.push(shape);
                *n += trained;
            }
            _ => rows.push((layer.to_owned(), vec![shape], trained)),
        }
    }
    let heading = ["layer", "parameters", "tensors"].map(String::from).to_vec();
    let row = |(name, shapes, n): (String, Vec<String>, usize)| {
        vec![name, n.to_string(), shapes.join(", ")]
    };
    [heading].into_iter().chain(rows.into_iter().map(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_by_their_value() {
        let part = |name: &str| Part { name: name.into(), shape: vec![2, 3], trained: true };
        let mut parts = ["b.10.weight", "b.9.weight", "a.bias", "b.9.bias"].map(part);
        sort(&mut parts);
        let names: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["a.bias", "b.9.bias", "b.9.weight", "b.10.weight"]);
        let rows = rows(&parts);
        assert_eq!(rows[2], ["b.9", "12", "bias [2, 3], weight [2, 3]"]);
        assert_eq!(rows.len(), 4);
    }
}
