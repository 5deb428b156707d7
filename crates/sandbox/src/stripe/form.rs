//! Parameters as Stripe takes them: form-encoded, with brackets for what is nested.

use std::collections::BTreeMap;

use super::error::StripeError;

/// The parameters of a call, in the order they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body or a query.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The last value of `name`. An empty value counts as none, as Stripe has it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let last = self.0.iter().rev().find(|(key, _)| key == name);
        last.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of `name`, which must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, StripeError> {
        self.get(name).ok_or_else(|| StripeError::missing(name))
    }

    /// The value of `name` as a whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, StripeError> {
        let number = |value: &str| {
            value
                .parse()
                .map_err(|_| StripeError::not_an_integer(name, &value.chars().take(40).collect::<String>()))
        };
        self.get(name).map(number).transpose()
    }

    /// The values of a list: `name[]=a` and `name[0]=a` alike.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let is_item = |key: &str| index_of(key, name).is_some();
        self.0.iter().filter(|(key, _)| is_item(key)).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of `name`, which must be `true` or `false`.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, StripeError> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(StripeError::invalid(name, format!("Invalid boolean: {other}"))),
        }
    }

    /// The value of `name`, also when it is empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `name` and everything nested in it.
    pub(crate) fn entries(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().filter(move |(key, _)| is_below(key, name));
        all.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Changes a map as `name[key]=value` and `name=` (empty: takes all away) say. An empty value takes its key away.
    pub(crate) fn change_map(&self, name: &str, map: &mut BTreeMap<String, String>) {
        if self.given(name) == Some("") {
            map.clear();
        }
        for (key, value) in self.entries(name) {
            let key = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
            match (key, value) {
                (None, _) => {}
                (Some(key), "") => drop(map.remove(key)),
                (Some(key), value) => drop(map.insert(key.to_owned(), value.to_owned())),
            }
        }
    }

    /// The map at `name`.
    pub(crate) fn map(&self, name: &str) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        self.change_map(name, &mut map);
        map
    }

    /// Refuses parameters other than `names` and what is nested in `maps`.
    pub(crate) fn allow(&self, names: &[&str], maps: &[&str]) -> Result<(), StripeError> {
        let is_known = |key: &str| names.contains(&key) || maps.iter().any(|map| is_below(key, map));
        match self.0.iter().find(|(key, _)| !is_known(key)) {
            Some((key, _)) => Err(StripeError::unknown(key)),
            None => Ok(()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a parameter.
    pub(crate) fn push(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    /// Refuses parameters other than `names` and the items of `lists`.
    pub(crate) fn refuse_others(&self, names: &[&str], lists: &[&str]) -> Result<(), StripeError> {
        let is_known =
            |key: &str| names.contains(&key) || lists.iter().any(|list| index_of(key, list).is_some());
        match self.0.iter().find(|(key, _)| !is_known(key)) {
            Some((key, _)) => Err(StripeError::unknown(key)),
            None => Ok(()),
        }
    }

    /// The same for the same parameters in any order: what an idempotency key is bound to.
    pub(crate) fn fingerprint(&self) -> String {
        let mut pairs: Vec<_> = self.0.iter().collect();
        pairs.sort();
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

/// Whether `key` is `name` or nested in it.
fn is_below(key: &str, name: &str) -> bool {
    key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

/// The text between the brackets when `key` is an item of the list `name`: empty or a number.
fn index_of<'a>(key: &'a str, name: &str) -> Option<&'a str> {
    let index = key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
    index.bytes().all(|byte| byte.is_ascii_digit()).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_may_be_raw_or_encoded_and_lists_indexed_or_not() {
        let form =
            Form::parse(b"report_type=x&parameters%5Bcolumns%5D%5B0%5D=a&parameters[columns][]=b+c&n=&n2=7");
        assert_eq!(form.get("report_type"), Some("x"));
        assert_eq!(form.list("parameters[columns]"), ["a", "b c"]);
        assert_eq!(form.get("n"), None);
        assert_eq!(form.integer("n2").unwrap(), Some(7));
        assert!(form.refuse_others(&["report_type", "n", "n2"], &["parameters[columns]"]).is_ok());
        assert!(form.refuse_others(&["report_type", "n"], &["parameters[columns]"]).is_err());
    }

    #[test]
    fn the_fingerprint_ignores_the_order() {
        assert_eq!(Form::parse(b"a=1&b=2").fingerprint(), Form::parse(b"b=2&a=1").fingerprint());
        assert_ne!(Form::parse(b"a=1&b=2").fingerprint(), Form::parse(b"a=1&b=3").fingerprint());
    }
}
