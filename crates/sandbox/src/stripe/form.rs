//! Parameters as Stripe takes them: form-encoded, with brackets for what is nested.

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
