//! The header of a `.npy` file: a magic number, a version, a length, and a Python dictionary.
//!
//! # Reference
//! NumPy enhancement proposal 1, `numpy.lib.format`: versions 1 (length in two bytes), 2 (in four)
//! and 3 (text in UTF-8).

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use half::f16;

/// Longer headers are those of structured arrays, or damaged.
const LONGEST: u32 = 1 << 16;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What is said about an array before its numbers.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    /// Whether the first index runs fastest.
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

/// An element type that has an `f64` for every value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dtype {
    kind: Kind,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    F16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl Header {
    /// Reads a header and leaves `reader` at the first number.
    pub(super) fn read(reader: &mut impl Read) -> Result<Self> {
        let mut start = [0; 8];
        let n = fill(reader, &mut start)?;
        ensure!(n >= 6 && start[..6] == *MAGIC, "not a .npy file: it does not begin as one");
        ensure!(n == 8, "not a .npy file: it ends in its header");
        let mut length = [0; 4];
        let wide = match start[6] {
            1 => 2,
            2 | 3 => 4,
            _ => bail!("version {}.{} of .npy is not known", start[6], start[7]),
        };
        ensure!(fill(reader, &mut length[..wide])? == wide, "it ends in its header");
        let length = u32::from_le_bytes(length);
        ensure!(length <= LONGEST, "a header of {length} bytes, expected at most {LONGEST}");
        let mut text = vec![0; length as usize];
        let n = fill(reader, &mut text)?;
        ensure!(n == text.len(), "it ends in its header: {n} bytes of {length}");
        let text = std::str::from_utf8(&text).context("its header is no text")?;
        Self::parse(text).with_context(|| format!("not a .npy file: header {:?}", text.trim_end()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut text = Text(text);
        let (mut dtype, mut fortran, mut shape) = (None, None, None);
        text.expect('{')?;
        while !text.eat('}') {
            let key = text.string()?;
            text.expect(':')?;
            let again = match key {
                "descr" => dtype.replace(text.dtype()?).is_some(),
                "fortran_order" => fortran.replace(text.boolean()?).is_some(),
                "shape" => shape.replace(text.tuple()?).is_some(),
                _ => bail!("unknown key {key:?}"),
            };
            ensure!(!again, "{key:?} occurs twice");
            if !text.eat(',') {
                text.expect('}')?;
                break;
            }
        }
        ensure!(text.0.trim().is_empty(), "text after the dictionary");
        Ok(Self {
            dtype: dtype.context("no `descr`")?,
            fortran: fortran.context("no `fortran_order`")?,
            shape: shape.context("no `shape`")?,
        })
    }

    /// Numbers in the array, and their bytes; `None` when a `usize` cannot hold them, or could not
    /// if the lengths that are 0 were 1: no array has such a shape.
    pub(super) fn sizes(&self) -> Option<(usize, usize)> {
        let most = self.shape.iter().filter(|&&n| n > 0);
        most.copied().chain([self.dtype.bytes()]).try_fold(1_usize, usize::checked_mul)?;
        let n = self.shape.iter().product();
        Some((n, n * self.dtype.bytes()))
    }
}

/// Reads until `buffer` is full or the stream ends, and says how far it came.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match reader.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(n)
}

impl Dtype {
    fn parse(descr: &str) -> Result<Self> {
        let order = descr.chars().next().filter(|c| "<>=|".contains(*c));
        let kind = match &descr[order.map_or(0, char::len_utf8)..] {
            "f2" => Kind::F16,
            "f4" => Kind::F32,
            "f8" => Kind::F64,
            "i1" => Kind::I8,
            "i2" => Kind::I16,
            "i4" => Kind::I32,
            "i8" => Kind::I64,
            "u1" => Kind::U8,
            "u2" => Kind::U16,
            "u4" => Kind::U32,
            "u8" => Kind::U64,
            "b1" | "?" => Kind::Bool,
            other => bail!(
                "dtype {descr:?} ({}): expected floats of 16, 32 or 64 bits, integers or booleans, such as '<f8'",
                match other.as_bytes() {
                    [b'c', ..] => "complex numbers",
                    [b'f' | b'g', ..] => "floats of another size",
                    [b'O', ..] => "Python objects",
                    [b'S' | b'U' | b'a', ..] => "text",
                    [b'M' | b'm', ..] => "dates",
                    [b'V', ..] => "raw bytes",
                    _ => "unknown",
                }
            ),
        };
        let native = cfg!(target_endian = "big");
        let big_endian = match order {
            Some('>') => true,
            Some('<') => false,
            _ => native,
        };
        Ok(Self { kind, big_endian })
    }

    /// Bytes of an element.
    pub(super) fn bytes(self) -> usize {
        match self.kind {
            Kind::I8 | Kind::U8 | Kind::Bool => 1,
            Kind::F16 | Kind::I16 | Kind::U16 => 2,
            Kind::F32 | Kind::I32 | Kind::U32 => 4,
            Kind::F64 | Kind::I64 | Kind::U64 => 8,
        }
    }

    /// Appends the elements in `bytes`, each the nearest double.
    pub(super) fn decode(self, bytes: &[u8], out: &mut Vec<f64>) {
        let big = self.big_endian;
        match self.kind {
            Kind::F16 => each(bytes, big, out, |b| f16::from_le_bytes(b).to_f64()),
            Kind::F32 => each(bytes, big, out, |b| f32::from_le_bytes(b).into()),
            Kind::F64 => each(bytes, big, out, f64::from_le_bytes),
            Kind::I8 => each(bytes, big, out, |b| i8::from_le_bytes(b).into()),
            Kind::I16 => each(bytes, big, out, |b| i16::from_le_bytes(b).into()),
            Kind::I32 => each(bytes, big, out, |b| i32::from_le_bytes(b).into()),
            Kind::I64 => each(bytes, big, out, |b| i64::from_le_bytes(b) as f64),
            Kind::U8 => each(bytes, big, out, |b| u8::from_le_bytes(b).into()),
            Kind::U16 => each(bytes, big, out, |b| u16::from_le_bytes(b).into()),
            Kind::U32 => each(bytes, big, out, |b| u32::from_le_bytes(b).into()),
            Kind::U64 => each(bytes, big, out, |b| u64::from_le_bytes(b) as f64),
            Kind::Bool => each(bytes, big, out, |[b]| f64::from(b != 0)),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], big: bool, out: &mut Vec<f64>, read: fn([u8; N]) -> f64) {
    let items = bytes.as_chunks::<N>().0.iter().copied();
    if big {
        out.extend(items.map(|mut b| {
            b.reverse();
            read(b)
        }));
    } else {
        out.extend(items.map(read));
    }
}

/// What is left of the dictionary.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn eat(&mut self, c: char) -> bool {
        self.0 = self.0.trim_start();
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, c: char) -> Result<()> {
        ensure!(self.eat(c), "expected `{c}` before {:?}", self.start());
        Ok(())
    }

    /// The next few characters.
    fn start(&self) -> String {
        self.0.trim_end().chars().take(12).collect()
    }

    fn string(&mut self) -> Result<&'a str> {
        let quote = if self.eat('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let (word, rest) = self.0.split_once(quote).context("a quote is not closed")?;
        self.0 = rest;
        Ok(word)
    }

    fn dtype(&mut self) -> Result<Dtype> {
        self.0 = self.0.trim_start();
        ensure!(
            !self.0.starts_with(['[', '(']),
            "a structured dtype: expected numbers of one kind, such as '<f8'"
        );
        Dtype::parse(self.string()?)
    }

    fn boolean(&mut self) -> Result<bool> {
        self.0 = self.0.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest;
                return Ok(value);
            }
        }
        bail!("expected True or False before {:?}", self.start())
    }

    /// Lengths in parentheses; those of Python 2 may end in `L`.
    fn tuple(&mut self) -> Result<Vec<usize>> {
        let mut lengths = Vec::new();
        self.expect('(')?;
        while !self.eat(')') {
            self.0 = self.0.trim_start();
            let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
            let (digits, rest) = self.0.split_at(end);
            ensure!(!digits.is_empty(), "expected a length before {:?}", self.start());
            lengths.push(digits.parse().with_context(|| format!("length {digits}"))?);
            self.0 = rest.strip_prefix('L').unwrap_or(rest);
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(lengths)
    }
}
