//! Reads what Stripe sends without stumbling over what it adds, leaves out or expands.

use std::fmt;
use std::ops::Deref;

use payops_core::time::Timestamp;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object as payops reads it, beside the JSON in which it came.
#[derive(Clone)]
pub struct Kept<T> {
    /// What was read.
    pub object: T,
    /// Every byte of it, the fields that payops does not read included.
    pub json: Box<RawValue>,
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T: fmt::Debug> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object.fmt(f)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Kept<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let object = serde_json::from_str(json.get()).map_err(D::Error::custom)?;
        Ok(Self { object, json })
    }
}

/// `null` counts as absent.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Seconds since 1970; both 0 and `null` are no time.
pub(super) fn time_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    match Option::<i64>::deserialize(deserializer)? {
        None | Some(0) => Ok(None),
        Some(seconds) => {
            let time = Timestamp::from_timestamp(seconds, 0);
            time.map(Some).ok_or_else(|| D::Error::custom(format!("{seconds} is no time")))
        }
    }
}

/// An object of Stripe's that stands for itself by its id, or whole where it was expanded.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Id(String),
    Whole { id: String },
}

impl Reference {
    fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Whole { id } => id,
        }
    }
}

pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Reference::deserialize(deserializer).map(Reference::into_id)
}

pub(super) fn id_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Reference>::deserialize(deserializer)?.map(Reference::into_id))
}
