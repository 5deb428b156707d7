//! Lists in pages, and fields that are expanded.

use serde_json::{Value, json};

use super::account::{Account, Settings};
use super::error::StripeError;
use super::form::Form;

/// How deep a path may lead.
const MOST_LEVELS: usize = 4;

/// The parameters that every list takes, beside `created` and `expand`.
pub(super) const PAGING: [&str; 3] = ["limit", "starting_after", "ending_before"];

/// When something may have been created.
#[derive(Debug, Default)]
pub(super) struct Created {
    at: Option<i64>,
    gt: Option<i64>,
    gte: Option<i64>,
    lt: Option<i64>,
    lte: Option<i64>,
}

impl Created {
    pub(super) fn of(form: &Form) -> Result<Self, StripeError> {
        Ok(Self {
            at: form.integer("created")?,
            gt: form.integer("created[gt]")?,
            gte: form.integer("created[gte]")?,
            lt: form.integer("created[lt]")?,
            lte: form.integer("created[lte]")?,
        })
    }

    pub(super) fn holds(&self, seconds: i64) -> bool {
        self.at.is_none_or(|at| seconds == at)
            && self.gt.is_none_or(|gt| seconds > gt)
            && self.gte.is_none_or(|gte| seconds >= gte)
            && self.lt.is_none_or(|lt| seconds < lt)
            && self.lte.is_none_or(|lte| seconds <= lte)
    }
}

/// One page of `all`, which is listed newest first. A limit outside of 1..=100 is moved into it, as the live API
/// does silently.
pub(super) fn page<T>(
    form: &Form,
    all: &[T],
    (noun, url): (&str, &str),
    id_of: impl Fn(&T) -> &str,
    render: impl Fn(&T) -> Value,
) -> Result<Value, StripeError> {
    let limit = usize::try_from(form.integer("limit")?.unwrap_or(10).clamp(1, 100)).unwrap_or(10);
    let (after, before) = (form.get("starting_after"), form.get("ending_before"));
    if after.is_some() && before.is_some() {
        return Err(StripeError::invalid_request(
            "Received both starting_after and ending_before parameters. Please pass in only one.",
        ));
    }
    let position = |param: &str, id: Option<&str>| {
        let find = |id: &str| {
            all.iter()
                .position(|one| id_of(one) == id)
                .ok_or_else(|| StripeError::no_such_cursor(noun, param, id))
        };
        id.map(find).transpose()
    };
    let (after, before) = (position("starting_after", after)?, position("ending_before", before)?);
    let (from, to) = match (after, before) {
        (Some(after), _) => (after + 1, (after + 1 + limit).min(all.len())),
        (None, Some(before)) => (before.saturating_sub(limit), before),
        (None, None) => (0, limit.min(all.len())),
    };
    let has_more = if before.is_some() { from > 0 } else { to < all.len() };
    let data: Vec<Value> = all.get(from..to).unwrap_or_default().iter().map(render).collect();
    Ok(json!({ "object": "list", "data": data, "has_more": has_more, "url": url }))
}

/// Puts objects in the place of the ids that `expand` names.
pub(super) fn expand(
    account: &Account,
    settings: &Settings,
    form: &Form,
    mut object: Value,
) -> Result<Value, StripeError> {
    for path in form.list("expand") {
        let names: Vec<&str> = path.split('.').collect();
        if names.len() > MOST_LEVELS {
            let message = format!("You cannot expand more than {MOST_LEVELS} levels of a property: {path}.");
            return Err(StripeError::invalid_request(message));
        }
        let is_list = object["object"] == "list";
        let looked_up = |id: &str| account.object(settings, id);
        if let Err(what) = walk(&looked_up, &mut object, &names) {
            let advice = if is_list && names.first() != Some(&"data") {
                format!(" You may want to try expanding 'data.{path}' instead.")
            } else {
                String::new()
            };
            let message = match what {
                Wrong::Missing => {
                    format!("This property cannot be expanded because it doesn't exist: {path}.{advice}")
                }
                Wrong::Fixed => format!("This property cannot be expanded ({path}).{advice}"),
            };
            return Err(StripeError::invalid_request(message));
        }
    }
    Ok(object)
}

/// Why something cannot be expanded.
enum Wrong {
    Missing,
    Fixed,
}

fn walk(looked_up: &impl Fn(&str) -> Option<Value>, value: &mut Value, names: &[&str]) -> Result<(), Wrong> {
    let Some((name, rest)) = names.split_first() else { return Ok(()) };
    if let Value::Array(items) = value {
        return items.iter_mut().try_for_each(|item| walk(looked_up, item, names));
    }
    let field = value.get_mut(*name).ok_or(Wrong::Missing)?;
    match field {
        Value::Null => return Ok(()),
        Value::String(id) => {
            let object = looked_up(id).filter(|_| *name != "id");
            *field = object.ok_or(Wrong::Fixed)?;
        }
        Value::Array(_) | Value::Object(_) if !rest.is_empty() || is_object(field) => {}
        _ => return Err(Wrong::Fixed),
    }
    walk(looked_up, field, rest)
}

/// Whether a field has been expanded before.
fn is_object(field: &Value) -> bool {
    field.get("object").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_expanded_where_there_is_one() {
        let looked_up = |id: &str| (id == "ch_1").then(|| json!({"id": "ch_1", "object": "charge"}));
        let expanded = |path: &str| {
            let mut list =
                json!({"object": "list", "data": [{"id": "du_1", "charge": "ch_1", "customer": null}]});
            let names: Vec<&str> = path.split('.').collect();
            walk(&looked_up, &mut list, &names).is_ok().then_some(list)
        };
        assert_eq!(expanded("data.charge").unwrap()["data"][0]["charge"]["object"], "charge");
        assert!(expanded("data.customer").is_some());
        assert!(expanded("charge").is_none() && expanded("data.id").is_none() && expanded("data").is_none());
    }
}
