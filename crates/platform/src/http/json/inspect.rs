//! The look at a body before it becomes a type: well-formed, no name twice, not too deep.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};

/// No request needs more levels; parsers that recurse stay safe.
const DEEPEST: usize = 32;

/// 400 with the place of what is wrong.
pub(super) fn inspect(text: &[u8]) -> Result<()> {
    let mut finding = None;
    let mut json = serde_json::Deserializer::from_slice(text);
    let seed = Inspect { path: String::new(), finding: &mut finding, depth: 0 };
    match seed.deserialize(&mut json).and_then(|()| json.end()) {
        Ok(()) => Ok(()),
        Err(error) => Err(finding.unwrap_or_else(|| malformed(&error))),
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    Error::invalid_field(
        "",
        format!("is not well-formed JSON: see line {}, column {}", error.line(), error.column()),
        format!("不是有效的 JSON：第 {} 行第 {} 列", error.line(), error.column()),
    )
}

struct Inspect<'f> {
    path: String,
    finding: &'f mut Option<Error>,
    depth: usize,
}

impl Inspect<'_> {
    fn inner(&mut self, path: String) -> Inspect<'_> {
        Inspect { path, finding: self.finding, depth: self.depth + 1 }
    }

    fn check_depth<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth < DEEPEST {
            return Ok(());
        }
        let path = std::mem::take(&mut self.path);
        *self.finding = Some(Error::invalid_field(path, "is nested too deeply", "嵌套层级过深"));
        Err(E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Inspect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inspect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut index = 0_usize;
        loop {
            let path = format!("{}[{index}]", self.path);
            if items.next_element_seed(self.inner(path))?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut names: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Name(name)) = entries.next_key::<Name<'de>>()? {
            let path = if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
            // Sorted, so that a body of a hundred thousand names is no attack.
            let Err(place) = names.binary_search(&name) else {
                *self.finding = Some(Error::invalid_field(path, "is given twice", "字段重复"));
                return Err(A::Error::custom("given twice"));
            };
            names.insert(place, name);
            entries.next_value_seed(self.inner(path))?;
        }
        Ok(())
    }
}

/// A name, borrowed from the text where it has no escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
