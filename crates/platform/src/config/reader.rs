//! Reads settings one by one and keeps what is wrong, so that all of it can be said at once.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::catalog;
use super::parse::Parsed;
use super::problem::Problem;
use super::source::{Found, Origin};

/// A setting as it is in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Its name in the environment.
    pub name: &'static str,
    /// Its value, or `(hidden)` for a secret; `None` when it has none.
    pub value: Option<String>,
    /// Where it was found.
    pub origin: Origin,
}

/// A refused value as it may be shown: of one that may hold credentials, which in an address stand before an
/// '@' or behind a '?' or '#', no more than the scheme.
fn harmless(written: &str) -> String {
    if !written.contains(['@', '?', '#']) {
        return written.to_owned();
    }
    let scheme = written.split_once("://").map(|(scheme, _)| scheme);
    let scheme =
        scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+'));
    scheme.map_or_else(|| "…".to_owned(), |scheme| format!("{scheme}://…"))
}

pub(super) struct Reader {
    found: BTreeMap<&'static str, Found>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    shown: BTreeMap<&'static str, Effective>,
}

impl Reader {
    pub(super) fn new(found: BTreeMap<&'static str, Found>, problems: Vec<Problem>) -> Self {
        Self { found, problems, warnings: Vec::new(), shown: BTreeMap::new() }
    }

    /// Whether the setting was given anywhere.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    pub(super) fn refuse(&mut self, name: &str, text: impl Into<String>) {
        self.problems.push(Problem::new(name, text));
    }

    /// Refuses what is given without what it needs; of several, one is enough.
    pub(super) fn refuse_useless(&mut self, needs: &[(&str, &[&str])]) {
        for (given, needed) in needs {
            if self.is_given(given) && !needed.iter().any(|needed| self.is_given(needed)) {
                self.refuse(given, format!("is of no use without {}", needed.join(" or ")));
            }
        }
    }

    /// A setting with a default in the catalogue. `None` only when it cannot be read, which is then a problem.
    pub(super) fn value<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let default = catalog::find(name).and_then(|setting| setting.default);
        if self.is_given(name) {
            return self.optional(name, parse);
        }
        self.show(name, default.map(str::to_owned), Origin::Default);
        let parsed = default.map(&parse);
        if let Some(Err(expected)) = &parsed {
            self.refuse(name, format!("its own default cannot be read: {expected}"));
        }
        parsed.and_then(Result::ok)
    }

    /// A setting that may be absent.
    pub(super) fn optional<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let Some(found) = self.found.get(name).cloned() else {
            self.show(name, None, Origin::Default);
            return None;
        };
        let written = found.text.expose_secret();
        self.show(name, Some(written.to_owned()), found.origin);
        match parse(written.trim()) {
            Ok(value) => Some(value),
            Err(expected) => {
                let text = format!("'{}' ({}): {expected}", harmless(written), found.origin.name());
                self.refuse(name, text);
                None
            }
        }
    }

    /// A setting whose default follows from others.
    pub(super) fn derived<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<T>,
        default: T,
        shown: impl Into<String>,
    ) -> T {
        if self.is_given(name) {
            return self.optional(name, parse).unwrap_or(default);
        }
        self.show(name, Some(shown.into()), Origin::Default);
        default
    }

    /// A secret that may be absent.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<SecretString> {
        let Some(found) = self.found.get(name).cloned() else {
            self.show(name, None, Origin::Default);
            return None;
        };
        self.show(name, Some("(hidden)".to_owned()), found.origin);
        Some(found.text)
    }

    fn show(&mut self, name: &'static str, value: Option<String>, origin: Origin) {
        self.shown.insert(name, Effective { name, value, origin });
    }

    /// Every setting that was read, in the catalogue's order.
    pub(super) fn effective(&mut self) -> Vec<Effective> {
        catalog::all().filter_map(|setting| self.shown.remove(setting.name)).collect()
    }
}
