//! Types of elements: those that have an `f64` for every value.

use half::f16;

use crate::{Error, Result};

macro_rules! elements {
    ($($(#[$doc:meta])* $name:ident $code:literal $bits:ty, $to:expr, $from:expr;)*) => {
        /// The type of an array's elements on disk.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Element {
            $($(#[$doc])* $name,)*
        }

        impl Element {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// NumPy's code for it, without the byte order.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Bytes of an element.
            pub fn bytes(self) -> usize {
                match self {
                    $(Self::$name => size_of::<$bits>(),)*
                }
            }

            /// Appends the elements in `bytes`, each the nearest double.
            pub(crate) fn decode(self, bytes: &[u8], big_endian: bool, out: &mut Vec<f64>) {
                match self {
                    $(Self::$name => {
                        let items = bytes.as_chunks::<{ size_of::<$bits>() }>().0.iter().copied();
                        if big_endian {
                            out.extend(items.map(|b| $to(<$bits>::from_be_bytes(b))));
                        } else {
                            out.extend(items.map(|b| $to(<$bits>::from_le_bytes(b))));
                        }
                    })*
                }
            }

            /// Appends a number, the nearest of the type.
            pub(super) fn encode(self, value: f64, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name => out.extend(<$bits>::to_le_bytes($from(value))),)*
                }
            }
        }
    };
}

elements! {
    /// Half precision.
    F16 "f2" f16, f16::to_f64, f16::from_f64;
    /// Single precision.
    F32 "f4" f32, f64::from, |v: f64| v as f32;
    /// Double precision.
    F64 "f8" f64, |v: f64| v, |v: f64| v;
    /// Signed, 8 bits.
    I8 "i1" i8, f64::from, |v: f64| v as i8;
    /// Signed, 16 bits.
    I16 "i2" i16, f64::from, |v: f64| v as i16;
    /// Signed, 32 bits.
    I32 "i4" i32, f64::from, |v: f64| v as i32;
    /// Signed, 64 bits.
    I64 "i8" i64, |v: i64| v as f64, |v: f64| v as i64;
    /// Unsigned, 8 bits.
    U8 "u1" u8, f64::from, |v: f64| v as u8;
    /// Unsigned, 16 bits.
    U16 "u2" u16, f64::from, |v: f64| v as u16;
    /// Unsigned, 32 bits.
    U32 "u4" u32, f64::from, |v: f64| v as u32;
    /// Unsigned, 64 bits.
    U64 "u8" u64, |v: u64| v as f64, |v: f64| v as u64;
    /// True or false.
    Bool "b1" u8, |v: u8| f64::from(u8::from(v != 0)), |v: f64| u8::from(v != 0.0);
}

impl Element {
    /// Whether its values are real numbers.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }

    /// The type of NumPy's description, and whether its bytes are in big-endian order.
    pub(super) fn parse(descr: &str) -> Result<(Self, bool)> {
        let code = descr.strip_prefix(['<', '>', '=', '|']).unwrap_or(descr);
        let code = if code == "?" { "b1" } else { code };
        let big_endian =
            descr.starts_with('>') || (cfg!(target_endian = "big") && !descr.starts_with('<'));
        if let Some(element) = Self::ALL.iter().find(|e| e.code() == code) {
            return Ok((*element, big_endian));
        }
        let what = match code.as_bytes() {
            [b'c', ..] => "complex numbers",
            [b'f' | b'g', ..] => "floats of another size",
            [b'O', ..] => "Python objects",
            [b'S' | b'U' | b'a', ..] => "text",
            [b'M' | b'm', ..] => "dates",
            [b'V', ..] => "raw bytes",
            _ => "unknown",
        };
        Err(Error::data(format!(
            "dtype {descr:?} ({what}): expected floats of 16, 32 or 64 bits, integers or booleans, such as '<f8'"
        )))
    }
}
