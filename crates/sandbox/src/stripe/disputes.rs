//! `/v1/disputes`, and the older `/v1/charges/{id}/dispute`.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;

use super::account::{Account, EvidenceUpdate};
use super::error::StripeError;
use super::lists::{Created, PAGING, expand, page};
use super::post::{Call, once};
use super::read::{form_of, reading};
use crate::faults::FaultTarget;
use crate::server::Shared;

/// Which dispute a path means.
#[derive(Clone, Copy)]
enum Named<'a> {
    Dispute(&'a str),
    Charge(&'a str),
}

impl Named<'_> {
    fn id(self, account: &Account) -> Result<String, StripeError> {
        match self {
            Self::Dispute(id) => {
                let missing = || StripeError::no_such_object("dispute", "dispute", id);
                account.dispute(id).map(|dispute| dispute.id.clone()).ok_or_else(missing)
            }
            Self::Charge(id) => {
                let missing = || StripeError::no_such_object("charge", "charge", id);
                let charge = account.charge(id).ok_or_else(missing)?;
                let none = || StripeError::not_found(format!("No dispute for charge: {id}"));
                charge.disputes.last().cloned().ok_or_else(none)
            }
        }
    }
}

fn shown(
    shared: &Shared,
    account: &Account,
    id: &str,
    form: &super::form::Form,
) -> Result<Value, StripeError> {
    let object = account.object(&shared.books.settings, id).unwrap_or_default();
    expand(account, &shared.books.settings, form, object)
}

pub(crate) async fn list(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    reading(&shared, FaultTarget::StripeDisputes, || {
        let form = form_of(query.as_deref());
        form.allow(&[&PAGING[..], &["charge", "payment_intent"]].concat(), &["created", "expand"])?;
        let created = Created::of(&form)?;
        let (charge, intent) = (form.get("charge"), form.get("payment_intent"));
        shared.with_account(None, |account, _| {
            let wanted: Vec<_> = account
                .disputes
                .iter()
                .rev()
                .filter(|one| charge.is_none_or(|charge| one.charge == charge))
                .filter(|one| intent.is_none_or(|intent| one.payment_intent.as_deref() == Some(intent)))
                .filter(|one| created.holds(one.created))
                .collect();
            let words = ("dispute", "/v1/disputes");
            let list = page(&form, &wanted, words, |one| &one.id, |one| account.dispute_object(one))?;
            expand(account, &shared.books.settings, &form, list)
        })
    })
    .await
}

pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    read(&shared, Named::Dispute(&id), query).await
}

pub(crate) async fn of_charge(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    read(&shared, Named::Charge(&id), query).await
}

async fn read(shared: &Shared, named: Named<'_>, query: Option<String>) -> Response {
    reading(shared, FaultTarget::StripeDisputes, || {
        let form = form_of(query.as_deref());
        form.allow(&[], &["expand"])?;
        shared.with_account(None, |account, _| shown(shared, account, &named.id(account)?, &form))
    })
    .await
}

pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    change(&shared, Named::Dispute(&id), call).await
}

pub(crate) async fn update_of_charge(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    change(&shared, Named::Charge(&id), call).await
}

async fn change(shared: &Shared, named: Named<'_>, call: Call) -> Response {
    once(shared, call, (FaultTarget::StripeDisputeUpdate, None), |call, _| {
        let form = &call.form;
        form.allow(&["submit"], &["evidence", "metadata", "expand"])?;
        let update = EvidenceUpdate::of(form)?;
        shared.with_account(Some(&call.cause), |account, act| {
            let id = named.id(account)?;
            account.update_dispute(act, &id, update, |metadata| form.change_map("metadata", metadata))?;
            shown(shared, account, &id, form)
        })
    })
    .await
}

pub(crate) async fn close(State(shared): State<Arc<Shared>>, Path(id): Path<String>, call: Call) -> Response {
    give_in(&shared, Named::Dispute(&id), call).await
}

pub(crate) async fn close_of_charge(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    give_in(&shared, Named::Charge(&id), call).await
}

async fn give_in(shared: &Shared, named: Named<'_>, call: Call) -> Response {
    once(shared, call, (FaultTarget::StripeDisputeClose, None), |call, _| {
        call.form.allow(&[], &["expand"])?;
        shared.with_account(Some(&call.cause), |account, act| {
            let id = named.id(account)?;
            account.close_dispute(act, &id)?;
            shown(shared, account, &id, &call.form)
        })
    })
    .await
}
