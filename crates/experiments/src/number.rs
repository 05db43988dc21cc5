//! Numbers in our own JSON: finite ones as numbers, the others as the words `"NaN"`, `"inf"` and
//! `"-inf"`, since JSON has no numbers for them and `null` would not come back.
//!
//! For `#[serde(with = "crate::number")]` on every field that holds `f64`: alone, optional, in lists
//! and arrays, nested.

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

pub(crate) fn serialize<T: Number, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.shown().serialize(to)
}

pub(crate) fn deserialize<'de, T: Number, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::Shown::deserialize(from).map(T::found)
}

/// What holds `f64`, and the same with each as it is in the file.
pub(crate) trait Number {
    type Shown: Serialize + for<'de> Deserialize<'de>;
    fn shown(&self) -> Self::Shown;
    fn found(shown: Self::Shown) -> Self;
}

/// A number as it is in a file.
#[derive(Clone, Copy)]
pub(crate) struct Shown(f64);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            v if v.is_finite() => to.serialize_f64(v),
            v => to.collect_str(&v),
        }
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Words;
        impl de::Visitor<'_> for Words {
            type Value = f64;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, \"NaN\", \"inf\" or \"-inf\"")
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<f64, E> {
                Ok(v)
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<f64, E> {
                Ok(v as f64)
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<f64, E> {
                Ok(v as f64)
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<f64, E> {
                match word {
                    "NaN" => Ok(f64::NAN),
                    "inf" => Ok(f64::INFINITY),
                    "-inf" => Ok(f64::NEG_INFINITY),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        from.deserialize_any(Words).map(Self)
    }
}

/// A value by itself.
pub(crate) struct Exact<T>(pub(crate) T);

impl<T: Number> Serialize for Exact<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, to)
    }
}

impl<'de, T: Number> Deserialize<'de> for Exact<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        deserialize(from).map(Self)
    }
}

impl Number for f64 {
    type Shown = Shown;
    fn shown(&self) -> Shown {
        Shown(*self)
    }
    fn found(shown: Shown) -> Self {
        shown.0
    }
}

impl<T: Number> Number for Option<T> {
    type Shown = Option<T::Shown>;
    fn shown(&self) -> Self::Shown {
        self.as_ref().map(T::shown)
    }
    fn found(shown: Self::Shown) -> Self {
        shown.map(T::found)
    }
}

impl<T: Number> Number for Vec<T> {
    type Shown = Vec<T::Shown>;
    fn shown(&self) -> Self::Shown {
        self.iter().map(T::shown).collect()
    }
    fn found(shown: Self::Shown) -> Self {
        shown.into_iter().map(T::found).collect()
    }
}

impl<T: Number> Number for [T; 2] {
    type Shown = [T::Shown; 2];
    fn shown(&self) -> Self::Shown {
        self.each_ref().map(T::shown)
    }
    fn found(shown: Self::Shown) -> Self {
        shown.map(T::found)
    }
}

impl<A: Number, B: Number, C: Number> Number for (A, B, C) {
    type Shown = (A::Shown, B::Shown, C::Shown);
    fn shown(&self) -> Self::Shown {
        (self.0.shown(), self.1.shown(), self.2.shown())
    }
    fn found(shown: Self::Shown) -> Self {
        (A::found(shown.0), B::found(shown.1), C::found(shown.2))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize)]
    struct All {
        #[serde(with = "crate::number")]
        one: f64,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::number")]
        maybe: Option<f64>,
        #[serde(with = "crate::number")]
        rows: Vec<Vec<f64>>,
        #[serde(with = "crate::number")]
        pair: [f64; 2],
    }

    #[test]
    fn every_double_comes_back() {
        let values = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            1.0 / 3.0,
            5e-324,
            f64::MAX,
            -1e15,
            1e16,
        ];
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        for one in values {
            for maybe in [None, Some(one)] {
                let all = All { one, maybe, rows: vec![vec![one, 1.0], vec![]], pair: [2.0, one] };
                let text = serde_json::to_string(&all).expect("json");
                assert!(!text.contains("null"), "{text}");
                let back: All = serde_json::from_str(&text).expect("read back");
                assert!(same(back.one, one) && same(back.rows[0][0], one), "{text}");
                assert!(same(back.pair[1], one) && back.rows[1].is_empty(), "{text}");
                assert_eq!(back.maybe.map(f64::to_bits), maybe.map(f64::to_bits), "{text}");
            }
        }
        let whole: All =
            serde_json::from_str(r#"{"one":3,"rows":[],"pair":[-1,18446744073709551615]}"#)
                .expect("whole numbers");
        assert_eq!((whole.one, whole.pair[0]), (3.0, -1.0));
        for word in ["\"nan\"", "\"1\"", "null", "[]", "true"] {
            let text = format!(r#"{{"one":{word},"rows":[],"pair":[0,0]}}"#);
            assert!(serde_json::from_str::<All>(&text).is_err(), "{text}");
        }
    }
}
