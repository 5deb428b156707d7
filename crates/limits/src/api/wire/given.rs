//! Fields that must be there and may be null.

use serde::{Deserialize, Deserializer};

/// A field that must be there and may be null: what null means is too much to be said by leaving it out.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}
