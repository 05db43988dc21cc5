//! Numbers in our own JSON: finite ones as numbers, the others as the words `"NaN"`, `"inf"` and
//! `"-inf"`, since JSON has no numbers for them and `null` would not come back.
//!
//! For `#[serde(with = "crate::number")]` on every field that holds `f64`: alone, optional, in lists
//! and arrays, nested.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

pub(crate) fn serialize<T: Number, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.shown().serialize(to)
}

pub(crate) fn deserialize<'de, T: Number, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let shown = Value::deserialize(from)?;
    T::found(&shown).ok_or_else(|| {
        let found = sde_core::shorten(&shown.to_string());
        D::Error::custom(format!("{found}: expected a number, \"NaN\", \"inf\" or \"-inf\""))
    })
}

/// What holds `f64`, and how it is in a file.
pub(crate) trait Number: Sized {
    fn shown(&self) -> Value;
    fn found(shown: &Value) -> Option<Self>;
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
    fn shown(&self) -> Value {
        if self.is_finite() { (*self).into() } else { self.to_string().into() }
    }
    fn found(shown: &Value) -> Option<Self> {
        match shown {
            Value::Number(number) => number.as_f64(),
            Value::String(word) if ["NaN", "inf", "-inf"].contains(&&**word) => word.parse().ok(),
            _ => None,
        }
    }
}

impl<T: Number> Number for Option<T> {
    fn shown(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::shown)
    }
    fn found(shown: &Value) -> Option<Self> {
        if shown.is_null() { Some(None) } else { T::found(shown).map(Some) }
    }
}

impl<T: Number> Number for Vec<T> {
    fn shown(&self) -> Value {
        self.iter().map(T::shown).collect()
    }
    fn found(shown: &Value) -> Option<Self> {
        shown.as_array()?.iter().map(T::found).collect()
    }
}

impl<T: Number> Number for [T; 2] {
    fn shown(&self) -> Value {
        self.iter().map(T::shown).collect()
    }
    fn found(shown: &Value) -> Option<Self> {
        Vec::<T>::found(shown)?.try_into().ok()
    }
}

impl<A: Number, B: Number, C: Number> Number for (A, B, C) {
    fn shown(&self) -> Value {
        [self.0.shown(), self.1.shown(), self.2.shown()].into_iter().collect()
    }
    fn found(shown: &Value) -> Option<Self> {
        let [a, b, c] = shown.as_array()?.as_slice() else { return None };
        Some((A::found(a)?, B::found(b)?, C::found(c)?))
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
