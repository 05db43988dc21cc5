//! Text in columns.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Read};
use std::path::Path;

use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use ndarray::Array2;

use super::{OpenOptions, labels_of, peek};
use crate::{Column, ColumnValues, Dataset, Error, Labels, Result};

/// What stands for a missing value among numbers.
const MISSING: [&str; 8] = ["", "na", "n/a", "nan", "null", "none", "?", "-"];

/// Beyond this, a double does not hold every whole number.
const MOST_EXACT: u64 = 1 << 53;

pub(super) fn read(
    path: &Path,
    mut reader: impl BufRead,
    options: &OpenOptions,
    labels: Option<&str>,
) -> Result<Dataset> {
    let delimiter = match options.delimiter {
        Some(delimiter) => delimiter,
        None => delimiter_of(peek(path, &mut reader)?),
    };
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(delimiter)
        .from_reader(reader);
    let mut begin = Vec::new();
    while begin.len() < 2 {
        let mut record = StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(true) => begin.push(record),
            Ok(false) => break,
            Err(e) => return Err(Error::file(path, e)),
        }
    }
    let mut table = Table::new(path, begin, options)?;
    table.fill(&mut reader)?;
    table.finish(labels)
}

/// The commonest of the usual ones in the first line.
fn delimiter_of(start: &[u8]) -> u8 {
    let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |d: &u8| line.iter().filter(|b| *b == d).count();
    // Of equally many the last is taken: a comma.
    [b';', b'\t', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

fn is_number(field: &str) -> bool {
    field.parse::<f64>().is_ok_and(f64::is_finite)
}

/// What a column has shown so far.
enum Seen {
    Nothing,
    Integers,
    Floats,
    /// Names in the order of their first appearance.
    Names(HashMap<String, usize>),
}

struct Table<'a> {
    path: &'a Path,
    names: Vec<String>,
    seen: Vec<Seen>,
    values: Vec<f64>,
    /// Rows that were read ahead.
    ahead: Vec<StringRecord>,
    rows: usize,
    /// Of a file of scikit-learn: names of the classes in the last column.
    classes: Option<Vec<String>>,
}

impl<'a> Table<'a> {
    fn new(path: &'a Path, mut begin: Vec<StringRecord>, options: &OpenOptions) -> Result<Self> {
        let Some(first) = begin.first() else { return Err(Error::file(path, "no rows")) };
        let classes = match begin.get(1) {
            Some(second) if options.header.is_none() => classes_of(first, second),
            _ => None,
        };
        let named = options.header.unwrap_or(!first.iter().any(is_number)) && classes.is_none();
        let width = begin.get(1).filter(|_| classes.is_some()).unwrap_or(first).len();
        let mut names: Vec<String> = (0..width).map(|i| format!("c{i}")).collect();
        if named {
            let named = first.iter().enumerate().filter(|(_, name)| !name.is_empty());
            named.for_each(|(i, name)| name.clone_into(&mut names[i]));
        }
        if named || classes.is_some() {
            begin.remove(0);
        }
        let mut found = BTreeMap::new();
        for (i, name) in names.iter().enumerate() {
            if let Some(other) = found.insert(name, i) {
                let reason = format!("columns {other} and {i} are both called `{name}`");
                return Err(Error::file(path, reason));
            }
        }
        if let Some(missing) = options.categorical.iter().find(|c| !found.contains_key(c)) {
            return Err(Error::file(path, format!("no column `{missing}`: {}", few(&names))));
        }
        let seen = names.iter().map(|name| match options.categorical.contains(name) {
            true => Seen::Names(HashMap::new()),
            false => Seen::Nothing,
        });
        let seen = seen.collect();
        Ok(Self { path, names, seen, values: vec![], ahead: begin, rows: 0, classes })
    }

    fn fill(&mut self, reader: &mut Reader<impl Read>) -> Result<()> {
        for record in std::mem::take(&mut self.ahead) {
            self.push(&record)?;
        }
        let mut record = StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => self.push(&record)?,
                Ok(false) => return Ok(()),
                Err(e) => return Err(Error::file(self.path, format!("row {}: {e}", self.rows))),
            }
        }
    }

    fn push(&mut self, record: &StringRecord) -> Result<()> {
        let line = record.position().map_or(0, csv::Position::line);
        let row = self.rows;
        if record.len() != self.names.len() {
            let (found, expected) = (record.len(), self.names.len());
            let (how, last) = if found < expected {
                ("ends before", &self.names[found])
            } else {
                ("goes on after", &self.names[expected - 1])
            };
            let reason = format!(
                "row {row} (line {line}): {found} fields, expected {expected}: it {how} column `{last}`"
            );
            return Err(Error::file(self.path, reason));
        }
        for (i, field) in record.iter().enumerate() {
            let value = self.seen[i].take(field).map_err(|why| {
                let name = &self.names[i];
                let reason = format!("row {row} (line {line}), column `{name}`: {why}");
                Error::file(self.path, reason)
            })?;
            self.values.push(value);
        }
        self.rows += 1;
        Ok(())
    }

    /// The data set, without the column of labels.
    fn finish(mut self, labels: Option<&str>) -> Result<Dataset> {
        let width = self.names.len();
        let columns: Vec<Column> = (0..width).map(|i| self.column(i)).collect();
        let rows = Array2::from_shape_vec((self.rows, width), std::mem::take(&mut self.values));
        let rows = rows.map_err(|e| Error::file(self.path, e))?;
        let source = self.path.display().to_string();
        let within = |e: Error| e.of(self.path);
        let at = match labels {
            Some(name) => Some(self.find(name)?),
            None => self.classes.is_some().then(|| width - 1),
        };
        let Some(at) = at else { return Dataset::table(columns, rows, source).map_err(within) };
        let mut found = labels_of(&columns[at], rows.column(at).iter().copied()).map_err(within)?;
        if let Some(classes) =
            self.classes.take().filter(|c| at + 1 == width && c.len() == found.classes.len())
        {
            found = Labels { of: found.of, classes };
        }
        let keep: Vec<usize> = (0..width).filter(|i| *i != at).collect();
        let columns = keep.iter().map(|i| columns[*i].clone()).collect();
        let rows = rows.select(ndarray::Axis(1), &keep);
        Dataset::table(columns, rows, source).and_then(|d| d.with_labels(found)).map_err(within)
    }

    fn find(&self, name: &str) -> Result<usize> {
        let found = self.names.iter().position(|n| n == name);
        let last = (name == "last").then(|| self.names.len() - 1);
        found.or(last).ok_or_else(|| {
            let columns = few(&self.names);
            Error::file(
                self.path,
                format!("labels `{name}`: no such file, and no such column: {columns}"),
            )
        })
    }

    /// A column as it was seen; categories are put in alphabetical order.
    fn column(&mut self, i: usize) -> Column {
        let name = self.names[i].clone();
        let (Seen::Names(found), width) = (&self.seen[i], self.names.len()) else {
            let float = matches!(self.seen[i], Seen::Floats);
            return if float { Column::float(name) } else { Column::integer(name) };
        };
        let sorted: BTreeMap<&String, usize> = found.iter().map(|(n, i)| (n, *i)).collect();
        let mut place = vec![0.0; sorted.len()];
        sorted.values().enumerate().for_each(|(new, old)| place[*old] = new as f64);
        let names = sorted.into_keys().cloned().collect();
        for value in self.values.iter_mut().skip(i).step_by(width) {
            *value = place[*value as usize];
        }
        Column { name, values: ColumnValues::Categories(names) }
    }
}

impl Seen {
    /// The number of a field.
    fn take(&mut self, field: &str) -> Result<f64, String> {
        let missing = MISSING.contains(&field.to_lowercase().as_str());
        if let Self::Nothing = self {
            *self = if missing || is_number(field) {
                Self::Integers
            } else {
                Self::Names(HashMap::new())
            };
        }
        if let Self::Names(names) = self {
            if field.is_empty() {
                return Err("a missing value".into());
            }
            if let Some(i) = names.get(field) {
                return Ok(*i as f64);
            }
            names.insert(field.to_owned(), names.len());
            return Ok((names.len() - 1) as f64);
        }
        if missing {
            return Err(if field.is_empty() {
                "a missing value".into()
            } else {
                format!("a missing value, `{field}`")
            });
        }
        match field.parse::<f64>() {
            Ok(v) if v.is_finite() => {
                let whole = field.parse::<i64>().ok();
                if whole.is_some_and(|w| w.unsigned_abs() > MOST_EXACT) {
                    return Err(format!("`{field}` has more digits than a double holds"));
                }
                if whole.is_none() {
                    *self = Self::Floats;
                }
                Ok(v)
            }
            Ok(_) => Err(format!("`{field}` is no finite number")),
            Err(_) => Err(format!("`{}` is no number", shortened(field))),
        }
    }
}

/// The names of the classes in the first line of a file of scikit-learn: rows, columns, names.
fn classes_of(first: &StringRecord, second: &StringRecord) -> Option<Vec<String>> {
    let rows = first.get(0)?.parse::<u64>();
    let columns = first.get(1)?.parse::<usize>().ok()?;
    let names: Vec<String> = first.iter().skip(2).map(str::to_owned).collect();
    let texts = names.len() >= 2 && !names.iter().any(|n| is_number(n));
    let numbers = second.len() == columns.checked_add(1)? && second.iter().all(is_number);
    (rows.is_ok() && texts && numbers).then_some(names)
}

fn shortened(field: &str) -> String {
    let end = field.char_indices().nth(40).map_or(field.len(), |(end, _)| end);
    let more = if end < field.len() { "..." } else { "" };
    format!("{}{more}", &field[..end])
}

/// The first names of many.
fn few(names: &[String]) -> String {
    let more = if names.len() > 20 { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(20)].join(", "))
}
