//! Rows as a Markdown table whose columns are aligned, so that it reads as plain text too.

/// The table of `rows`, the first of them the heading; the first column is to the left, the others to
/// the right.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |c: usize| rows.iter().filter_map(|row| row.get(c)).map(|s| s.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0).max(3)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (c, &w) in widths.iter().enumerate() {
            let cell = row.get(c).map_or("", String::as_str);
            text += &if c == 0 { format!("| {cell:w$} ") } else { format!("| {cell:>w$} ") };
        }
        text += "|\n";
        if number == 0 {
            for (c, &w) in widths.iter().enumerate() {
                let line = "-".repeat(w - 1);
                text += &if c == 0 { format!("| {line}- ") } else { format!("| {line}: ") };
            }
            text += "|\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["side", "ms"], ["ours", "8.9"], ["a peer", "100.0"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let expected = "\
| side   |    ms |
| ------ | ----: |
| ours   |   8.9 |
| a peer | 100.0 |
";
        assert_eq!(markdown(&rows), expected);
    }
}
