//! What else can be read: charges, payment intents, refunds, fraud warnings, the balance, files and links.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use payops_core::time::Clock;
use serde_json::Value;

use super::account::{Account, BalanceTransaction, Intent, Refund, Settings};
use super::error::StripeError;
use super::lists::{Created, PAGING, expand, page};
use super::read::{form_of, reading};
use crate::faults::FaultTarget;
use crate::server::Shared;

/// A filter of a list: the parameter and what an object must have there.
type Filter<'a> = (&'a str, Option<&'a str>);

/// One kind of object: how it is called, found, listed and filtered.
pub(crate) struct Kind {
    noun: &'static str,
    param: &'static str,
    url: &'static str,
    filters: &'static [&'static str],
    /// All objects, newest first.
    all: fn(&Account, &Settings, &Shared, &Matches<'_>) -> Vec<Value>,
    one: fn(&Account, &Settings, &Shared, &str) -> Option<Value>,
}

/// What the objects of a list must be.
pub(crate) struct Matches<'a> {
    created: Created,
    filters: Vec<Filter<'a>>,
}

impl Matches<'_> {
    fn holds(&self, object: &Value) -> bool {
        let is = |(name, wanted): &Filter<'_>| wanted.is_none_or(|wanted| object[*name] == wanted);
        object["created"].as_i64().is_some_and(|at| self.created.holds(at)) && self.filters.iter().all(is)
    }
}

fn newest_first<T>(list: &[T], matches: &Matches<'_>, render: impl Fn(&T) -> Value) -> Vec<Value> {
    list.iter().rev().map(render).filter(|object| matches.holds(object)).collect()
}

pub(crate) static CHARGES: Kind = Kind {
    noun: "charge",
    param: "charge",
    url: "/v1/charges",
    filters: &["payment_intent", "customer"],
    all: |account, settings, _, matches| newest_first(&account.charges, matches, |one| one.object(settings)),
    one: |account, settings, _, id| account.charge(id).map(|charge| charge.object(settings)),
};

pub(crate) static INTENTS: Kind = Kind {
    noun: "payment_intent",
    param: "intent",
    url: "/v1/payment_intents",
    filters: &["customer"],
    all: |account, _, _, matches| newest_first(&account.intents, matches, Intent::object),
    one: |account, _, _, id| account.intent(id).map(Intent::object),
};

pub(crate) static REFUNDS: Kind = Kind {
    noun: "refund",
    param: "id",
    url: "/v1/refunds",
    filters: &["charge", "payment_intent"],
    all: |account, _, _, matches| newest_first(&account.refunds, matches, Refund::object),
    one: |account, _, _, id| account.refund(id).map(Refund::object),
};

pub(crate) static WARNINGS: Kind = Kind {
    noun: "early fraud warning",
    param: "early_fraud_warning",
    url: "/v1/radar/early_fraud_warnings",
    filters: &["charge", "payment_intent"],
    all: |account, _, _, matches| newest_first(&account.warnings, matches, |one| account.warning_object(one)),
    one: |account, _, _, id| {
        let warning = account.warnings.iter().find(|one| one.id == id);
        warning.map(|one| account.warning_object(one))
    },
};

pub(crate) static BALANCE: Kind = Kind {
    noun: "balance transaction",
    param: "id",
    url: "/v1/balance_transactions",
    filters: &["currency", "source", "type"],
    // The live API finds no rows of a dispute by their source, although they name it.
    all: |account, _, _, matches| {
        let by_source = matches.filters.iter().any(|(name, wanted)| *name == "source" && wanted.is_some());
        let mut rows = newest_first(&account.balance, matches, BalanceTransaction::object);
        rows.retain(|row| !(by_source && row["type"] == "adjustment"));
        rows
    },
    one: |account, _, _, id| account.balance_transaction(id).map(BalanceTransaction::object),
};

pub(crate) static FILES: Kind = Kind {
    noun: "file upload",
    param: "file",
    url: "/v1/files",
    filters: &["purpose"],
    all: |account, settings, shared, matches| {
        let mut files = newest_first(&account.files, matches, |one| account.file_object(settings, one));
        let reports = shared.runs.all();
        let reports = reports.iter().rev().filter_map(|run| run.file_object(&settings.base_url, 0));
        files.extend(reports.filter(|file| matches.holds(file)));
        files.sort_by_key(|file| std::cmp::Reverse(file["created"].as_i64()));
        files
    },
    one: |account, settings, shared, id| {
        let uploaded = account.file(id).map(|file| account.file_object(settings, file));
        uploaded.or_else(|| shared.runs.by_file(id).and_then(|run| run.file_object(&settings.base_url, 0)))
    },
};

pub(crate) static LINKS: Kind = Kind {
    noun: "file link",
    param: "link",
    url: "/v1/file_links",
    filters: &["file"],
    all: |account, settings, shared, matches| {
        let now = shared.clock.now().timestamp();
        newest_first(&account.links, matches, |link| link.object(&settings.base_url, now))
    },
    one: |account, settings, shared, id| {
        let now = shared.clock.now().timestamp();
        account.link(id).map(|link| link.object(&settings.base_url, now))
    },
};

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    kind: &'static Kind,
) -> Response {
    reading(&shared, FaultTarget::StripeRead, || {
        let form = form_of(query.as_deref());
        form.allow(&[&PAGING[..], kind.filters].concat(), &["created", "expand"])?;
        let filters = kind.filters.iter().map(|name| (*name, form.get(name))).collect();
        let matches = Matches { created: Created::of(&form)?, filters };
        shared.with_account(None, |account, act| {
            let all = (kind.all)(account, act.settings, &shared, &matches);
            let id_of = |object: &Value| object["id"].as_str().unwrap_or_default().to_owned();
            let all: Vec<(String, Value)> = all.into_iter().map(|object| (id_of(&object), object)).collect();
            let words = (kind.noun, kind.url);
            let list = page(&form, &all, words, |(id, _)| id.as_str(), |(_, object)| object.clone())?;
            expand(account, act.settings, &form, list)
        })
    })
    .await
}

pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    kind: &'static Kind,
) -> Response {
    reading(&shared, FaultTarget::StripeRead, || {
        let form = form_of(query.as_deref());
        form.allow(&["client_secret"], &["expand"])?;
        shared.with_account(None, |account, act| {
            let object = (kind.one)(account, act.settings, &shared, &id);
            let object = object.ok_or_else(|| StripeError::no_such_object(kind.noun, kind.param, &id))?;
            expand(account, act.settings, &form, object)
        })
    })
    .await
}
