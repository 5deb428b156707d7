//! The evidence of a dispute: its fields, their limits, and changes to them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Account, Dispute};
use crate::stripe::error::StripeError;
use crate::stripe::form::Form;

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The id of a file whose purpose is `dispute_evidence`.
    File,
    /// So many characters at most.
    Text(usize),
}

const LONG: Field = Field::Text(20_000);
const SHORT: Field = Field::Text(5_000);

/// Every field, in the order of Stripe's object.
pub(super) const FIELDS: [(&str, Field); 27] = [
    ("access_activity_log", LONG),
    ("billing_address", SHORT),
    ("cancellation_policy", Field::File),
    ("cancellation_policy_disclosure", LONG),
    ("cancellation_rebuttal", LONG),
    ("customer_communication", Field::File),
    ("customer_email_address", SHORT),
    ("customer_name", SHORT),
    ("customer_purchase_ip", SHORT),
    ("customer_signature", Field::File),
    ("duplicate_charge_documentation", Field::File),
    ("duplicate_charge_explanation", LONG),
    ("duplicate_charge_id", SHORT),
    ("product_description", LONG),
    ("receipt", Field::File),
    ("refund_policy", Field::File),
    ("refund_policy_disclosure", LONG),
    ("refund_refusal_explanation", LONG),
    ("service_date", SHORT),
    ("service_documentation", Field::File),
    ("shipping_address", SHORT),
    ("shipping_carrier", SHORT),
    ("shipping_date", SHORT),
    ("shipping_documentation", Field::File),
    ("shipping_tracking_number", SHORT),
    ("uncategorized_file", Field::File),
    ("uncategorized_text", LONG),
];

/// All texts together.
const MOST_CHARACTERS: usize = 150_000;
/// All files together.
const MOST_BYTES: u64 = 4_500_000;
/// All files together. The text says fewer, and 50 are taken all the same.
const MOST_PAGES: u32 = 50;

const PREFIX: &str = "evidence";
const ENHANCED: &str = "evidence[enhanced_evidence]";

/// A change to the evidence of a dispute.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EvidenceUpdate {
    /// An empty value takes the field's value away.
    fields: BTreeMap<&'static str, String>,
    /// An empty map takes everything away.
    enhanced: Option<Map<String, Value>>,
    /// As given; evidence is sent unless this is `false`.
    pub(crate) submit: Option<bool>,
}

impl EvidenceUpdate {
    /// Sends what is there.
    pub(crate) fn submission() -> Self {
        Self { submit: Some(true), ..Self::default() }
    }

    pub(crate) fn of(form: &Form) -> Result<Self, StripeError> {
        let mut update = Self { submit: form.boolean("submit")?, ..Self::default() };
        for (key, value) in form.entries(PREFIX) {
            if key == PREFIX && value.is_empty() {
                continue;
            }
            if let Some(path) = key.strip_prefix(ENHANCED) {
                put(update.enhanced.get_or_insert_default(), path, value);
                continue;
            }
            let name = key.strip_prefix("evidence[").and_then(|rest| rest.strip_suffix(']'));
            let field = FIELDS.iter().find(|(field, _)| Some(*field) == name);
            let (name, kind) = field.ok_or_else(|| StripeError::unknown(key))?;
            if let Field::Text(most) = *kind {
                check_length(key, value, most)?;
            }
            update.fields.insert(name, value.to_owned());
        }
        Ok(update)
    }

    pub(super) fn is_given(&self) -> bool {
        !self.fields.is_empty() || self.enhanced.is_some()
    }

    /// Puts the change into a dispute and holds the whole against the limits.
    pub(super) fn apply(self, account: &Account, dispute: &mut Dispute) -> Result<(), StripeError> {
        if !self.is_given() {
            return Ok(());
        }
        for (name, value) in self.fields {
            if value.is_empty() {
                dispute.evidence.remove(name);
            } else {
                dispute.evidence.insert(name.to_owned(), value);
            }
        }
        if let Some(enhanced) = self.enhanced {
            if enhanced.is_empty() {
                dispute.enhanced.clear();
            }
            dispute.enhanced.extend(enhanced);
        }
        check(account, &dispute.evidence)
    }
}

fn check_length(param: &str, value: &str, most: usize) -> Result<(), StripeError> {
    if value.chars().count() <= most {
        return Ok(());
    }
    let start: String = value.chars().take(10).collect();
    let message = format!("Invalid string: {start}...; must be at most {most} characters");
    Err(StripeError::invalid(param, message))
}

fn check(account: &Account, evidence: &BTreeMap<String, String>) -> Result<(), StripeError> {
    let (mut characters, mut bytes, mut pages) = (0, 0, 0);
    for (name, field) in FIELDS {
        let Some(value) = evidence.get(name) else { continue };
        if field != Field::File {
            characters += value.chars().count();
            continue;
        }
        let param = format!("evidence[{name}]");
        let file =
            account.file(value).ok_or_else(|| StripeError::no_such_cursor("file upload", &param, value))?;
        if file.purpose != "dispute_evidence" {
            let message = format!(
                "The file {value} has the purpose {}; evidence must have the purpose dispute_evidence.",
                file.purpose
            );
            return Err(StripeError::invalid(param, message));
        }
        bytes += file.size;
        pages += file.pages;
    }
    if characters > MOST_CHARACTERS {
        let message =
            format!("The evidence has {characters} characters; it may have {MOST_CHARACTERS} at most.");
        return Err(StripeError::invalid(PREFIX, message));
    }
    if pages > MOST_PAGES {
        let message = "The file you uploaded was too long. Please upload a file with fewer than 50 pages.";
        return Err(StripeError::invalid(PREFIX, message));
    }
    if bytes > MOST_BYTES {
        let message = "The files you've attached to this dispute as evidence will exceed the limit for a \
                       dispute's total size.";
        return Err(StripeError::invalid(PREFIX, message));
    }
    Ok(())
}

/// Puts a value where a path such as `[a][b][0][c]` leads.
fn put(map: &mut Map<String, Value>, path: &str, value: &str) {
    let mut names = path.split('[').filter_map(|part| part.strip_suffix(']'));
    let Some(first) = names.next() else { return };
    let mut place = map.entry(first).or_insert(Value::Null);
    for name in names {
        place = if let Ok(index) = name.parse::<usize>() {
            if !place.is_array() {
                *place = json!([]);
            }
            let Some(items) = place.as_array_mut() else { return };
            if index >= items.len() {
                items.push(Value::Null);
            }
            let last = items.len() - 1;
            &mut items[index.min(last)]
        } else {
            if !place.is_object() {
                *place = json!({});
            }
            &mut place[name]
        };
    }
    *place = match value {
        "true" => json!(true),
        "false" => json!(false),
        text => json!(text),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(body: &str) -> Result<EvidenceUpdate, StripeError> {
        EvidenceUpdate::of(&Form::parse(body.as_bytes()))
    }

    #[test]
    fn nested_evidence_is_read_into_objects_and_lists() {
        let update = update(
            "evidence[enhanced_evidence][visa_compelling_evidence_3][prior_undisputed_transactions][0][charge]=ch_1\
             &evidence%5Benhanced_evidence%5D%5Bvisa_compelling_evidence_3%5D%5Bprior_undisputed_transactions%5D%5B1%5D%5Bcharge%5D=ch_2\
             &evidence[enhanced_evidence][visa_compliance][fee_acknowledged]=true&submit=false",
        )
        .unwrap();
        let expected = json!({
            "visa_compelling_evidence_3": {"prior_undisputed_transactions": [{"charge": "ch_1"}, {"charge": "ch_2"}]},
            "visa_compliance": {"fee_acknowledged": true},
        });
        assert_eq!(update.enhanced.map(Value::Object), Some(expected));
        assert_eq!(update.submit, Some(false));
    }

    #[test]
    fn texts_have_their_limits_and_fields_their_names() {
        let text = |name: &str, length: usize| update(&format!("evidence[{name}]={}", "a".repeat(length)));
        assert!(text("customer_name", 5_000).is_ok() && text("customer_name", 5_001).is_err());
        assert!(text("uncategorized_text", 20_000).is_ok() && text("uncategorized_text", 20_001).is_err());
        assert!(update("evidence[nope]=x").is_err());
        assert!(update("evidence[customer_name]=").unwrap().is_given());
        assert!(!update("evidence=").unwrap().is_given());
    }
}
