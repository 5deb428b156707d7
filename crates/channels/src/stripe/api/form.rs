//! Parameters in Stripe's form encoding, where brackets nest.

use std::collections::BTreeMap;

use serde_json::Value;

/// Names and values in the order in which they are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Form(pub(super) Vec<(String, String)>);

impl Form {
    pub(super) fn text(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<impl ToString>) {
        self.0.extend(value.map(|value| (name.to_owned(), value.to_string())));
    }

    /// An empty value takes the key away at Stripe.
    pub(super) fn metadata(&mut self, metadata: &BTreeMap<String, String>) {
        for (key, value) in metadata {
            self.text(format!("metadata[{key}]"), value);
        }
    }

    /// `null` is left out; an empty text clears what Stripe holds.
    pub(super) fn nested(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::String(text) => self.text(name, text),
            Value::Bool(_) | Value::Number(_) => self.text(name, value.to_string()),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.nested(&format!("{name}[{index}]"), item);
                }
            }
            Value::Object(fields) => {
                for (key, field) in fields {
                    self.nested(&format!("{name}[{key}]"), field);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_nest() {
        let mut form = Form::default();
        let value = serde_json::json!({
            "a": { "list": [{ "charge": "ch_1" }, "two"], "none": null, "flag": true },
            "cleared": "",
            "number": 7,
        });
        form.nested("evidence", &value);
        form.metadata(&BTreeMap::from([("order".to_owned(), "P 1".to_owned())]));
        form.optional("limit", Some(5));
        form.optional("charge", None::<String>);
        let pairs: Vec<_> = form.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("evidence[a][flag]", "true"),
                ("evidence[a][list][0][charge]", "ch_1"),
                ("evidence[a][list][1]", "two"),
                ("evidence[cleared]", ""),
                ("evidence[number]", "7"),
                ("metadata[order]", "P 1"),
                ("limit", "5"),
            ]
        );
    }
}
