//! Values of registries in configurations: read from their names once, written as they were given.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use sde_core::analytic::DataSet;
use sde_core::{Result, Sde, TimeGrid};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use solvers::{ConfiguredMethod, End};

/// What a configuration names.
pub trait ByName {
    /// The value of a name.
    ///
    /// # Errors
    /// For a name that does not exist, or constants that it does not allow.
    fn by_name(name: &str) -> Result<Arc<Self>>;
}

impl ByName for dyn Sde {
    fn by_name(name: &str) -> Result<Arc<Self>> {
        Ok(sde_core::sde::parse(name)?.into())
    }
}

macro_rules! by_name {
    ($($value:ty),*) => {
        $(impl ByName for $value {
            fn by_name(name: &str) -> Result<Arc<Self>> {
                Self::parse(name).map(Arc::new)
            }
        })*
    };
}
by_name!(DataSet, TimeGrid, End, ConfiguredMethod);

/// A value with the name it was given by. A configuration is written with that name, not with one that
/// means the same: its hash stays what it was.
///
/// ```
/// use experiments::named::Named;
/// use sde_core::Sde;
/// let sde = Named::<dyn Sde>::parse("ve")?;
/// assert_eq!((sde.to_string(), sde.horizon()), ("ve".into(), 1.0));
/// assert!(Named::<dyn Sde>::parse("vee").is_err());
/// # Ok::<(), sde_core::Error>(())
/// ```
pub struct Named<T: ?Sized> {
    given: String,
    value: Arc<T>,
}

impl<T: ByName + ?Sized> Named<T> {
    /// The value of a name.
    ///
    /// # Errors
    /// As [`ByName::by_name`].
    pub fn parse(name: &str) -> Result<Self> {
        Ok(Self { given: name.into(), value: T::by_name(name)? })
    }
}

impl<T: ?Sized> Named<T> {
    /// The name it was given by.
    pub fn given(&self) -> &str {
        &self.given
    }
}

impl<T: ?Sized> Deref for Named<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> Clone for Named<T> {
    fn clone(&self) -> Self {
        Self { given: self.given.clone(), value: Arc::clone(&self.value) }
    }
}

impl<T: ?Sized> PartialEq for Named<T> {
    fn eq(&self, other: &Self) -> bool {
        self.given == other.given
    }
}

impl<T: ?Sized> fmt::Display for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

impl<T: ?Sized> fmt::Debug for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.given, f)
    }
}

impl<T: ?Sized> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.given)
    }
}

impl<'de, T: ByName + ?Sized> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}
