//! `/v1/charges`, `/v1/payment_intents` and `/v1/refunds`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use payops_core::currency::Currency;
use serde_json::Value;

use super::account::{Account, Act, Capture, Card, NewCharge, Payer, RefundRequest};
use super::error::StripeError;
use super::form::Form;
use super::lists::expand;
use super::post::{Call, once};
use crate::faults::FaultTarget;
use crate::server::Shared;

/// The largest amount of a charge: eight digits.
const MOST_AMOUNT: i64 = 99_999_999;

async fn write(
    shared: &Shared,
    call: Call,
    act: impl FnOnce(&Form, &mut Account, &mut Act<'_>) -> Result<Value, StripeError>,
) -> Response {
    once(shared, call, (FaultTarget::StripeWrite, None), |call, _| {
        shared.with_account(Some(&call.cause), |account, at_hand| {
            let object = act(&call.form, account, at_hand)?;
            expand(account, &shared.books.settings, &call.form, object)
        })
    })
    .await
}

fn shown(account: &Account, act: &Act<'_>, id: &str) -> Value {
    account.object(act.settings, id).unwrap_or_default()
}

pub(crate) async fn create_charge(State(shared): State<Arc<Shared>>, call: Call) -> Response {
    write(&shared, call, |form, account, act| {
        form.allow(
            &["amount", "currency", "capture", "customer", "description", "receipt_email"],
            &["source", "card", "metadata", "shipping", "statement_descriptor", "expand"],
        )?;
        let (amount, currency) = (amount_of(form)?, currency_of(form)?);
        let capture =
            if form.boolean("capture")? == Some(false) { Capture::Manual } else { Capture::Automatic };
        let card = card_of(form, "source", &["source[number]", "card[number]", "card"])?;
        let card = card.ok_or_else(|| {
            StripeError::invalid_request("Must provide source or customer.").with_code("parameter_missing")
        })?;
        let payer = payer_of(form, "source[name]", "source[address_");
        let terms = NewCharge { capture, ..terms_of(form, (amount, currency), card, payer) };
        let id = account.make_charge(act, terms, None)?;
        Ok(shown(account, act, &id))
    })
    .await
}

pub(crate) async fn capture_charge(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    write(&shared, call, |form, account, act| {
        form.allow(&[], &["expand"])?;
        account.capture(act, &id)?;
        let object = shown(account, act, &id);
        act.happened.push(super::account::Happening {
            kind: "charge.captured",
            object: object.clone(),
            previous: None,
            at: act.now,
        });
        Ok(object)
    })
    .await
}

pub(crate) async fn create_intent(State(shared): State<Arc<Shared>>, call: Call) -> Response {
    write(&shared, call, |form, account, act| {
        form.allow(
            &[
                "amount", "currency", "capture_method", "confirm", "confirmation_method", "customer", "description",
                "error_on_requires_action", "off_session", "payment_method", "receipt_email", "return_url",
                "setup_future_usage", "statement_descriptor", "statement_descriptor_suffix",
            ],
            &[
                "automatic_payment_methods", "expand", "metadata", "payment_method_data",
                "payment_method_options", "payment_method_types", "shipping",
            ],
        )?;
        let money = (amount_of(form)?, currency_of(form)?);
        let capture = match form.get("capture_method") {
            Some("manual") => Capture::Manual,
            None | Some("automatic" | "automatic_async") => Capture::Automatic,
            Some(other) => {
                let message = format!(
                    "Invalid capture_method: must be one of automatic, automatic_async, or manual, not {other}"
                );
                return Err(StripeError::invalid("capture_method", message));
            }
        };
        let card = card_of(form, "payment_method", &["payment_method_data[card][number]", "payment_method_data[card][token]"])?;
        let payer = payer_of(
            form,
            "payment_method_data[billing_details][name]",
            "payment_method_data[billing_details][address][",
        );
        let terms = card.map(|card| terms_of(form, money.clone(), card, payer));
        let id = account.make_intent(act, money, terms, capture)?;
        if form.boolean("confirm")? == Some(true) {
            account.confirm(act, &id, None)?;
        }
        Ok(shown(account, act, &id))
    })
    .await
}

pub(crate) async fn confirm_intent(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    write(&shared, call, |form, account, act| {
        form.allow(&["payment_method", "off_session", "return_url"], &["expand"])?;
        let card = card_of(form, "payment_method", &[])?;
        account.confirm(act, &id, card)?;
        Ok(shown(account, act, &id))
    })
    .await
}

pub(crate) async fn capture_intent(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    call: Call,
) -> Response {
    write(&shared, call, |form, account, act| {
        form.allow(&[], &["expand"])?;
        account.capture_intent(act, &id)?;
        Ok(shown(account, act, &id))
    })
    .await
}

pub(crate) async fn create_refund(State(shared): State<Arc<Shared>>, call: Call) -> Response {
    write(&shared, call, |form, account, act| {
        form.allow(&["charge", "payment_intent", "amount", "reason"], &["metadata", "expand"])?;
        let charge = match (form.get("charge"), form.get("payment_intent")) {
            (Some(charge), _) => charge.to_owned(),
            (None, Some(id)) => {
                let missing = || StripeError::no_such_object("payment_intent", "payment_intent", id);
                let intent = account.intent(id).ok_or_else(missing)?;
                let charge = intent.latest_charge().map(str::to_owned);
                charge.ok_or_else(|| {
                    let message = format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
                    StripeError::invalid_request(message)
                })?
            }
            (None, None) => {
                return Err(StripeError::invalid_request(
                    "One of the following params should be provided for this request: payment_intent or charge.",
                ));
            }
        };
        let amount = if form.get("amount").is_some() { Some(amount_of(form)?) } else { None };
        let reason = form.get("reason").map(str::to_owned);
        let request = RefundRequest { amount, reason, metadata: form.map("metadata") };
        let id = account.make_refund(act, &charge, request)?;
        Ok(shown(account, act, &id))
    })
    .await
}

fn amount_of(form: &Form) -> Result<i64, StripeError> {
    form.required("amount")?;
    match form.integer("amount")?.unwrap_or_default() {
        amount @ 1..=MOST_AMOUNT => Ok(amount),
        amount if amount < 1 => {
            Err(StripeError::invalid("amount", "Invalid positive integer")
                .with_code("parameter_invalid_integer"))
        }
        _ => {
            let message = "Amount must be no more than 999,999.99 in major units (eight digits).";
            Err(StripeError::invalid("amount", message).with_code("amount_too_large"))
        }
    }
}

fn currency_of(form: &Form) -> Result<String, StripeError> {
    let text = form.required("currency")?;
    let known = Currency::parse(text.as_bytes());
    let known = known.map_err(|_| StripeError::invalid("currency", format!("Invalid currency: {text}.")))?;
    Ok(known.as_str().to_ascii_lowercase())
}

/// The card that `name`, or one of the others, gives.
fn card_of(form: &Form, name: &str, others: &[&str]) -> Result<Option<Card>, StripeError> {
    let mut given = std::iter::once(name).chain(others.iter().copied());
    let Some((param, text)) = given.find_map(|param| form.get(param).map(|text| (param, text))) else {
        return Ok(None);
    };
    let unknown = || {
        if param.contains("number") {
            StripeError::invalid(param, "Your card number is incorrect.").with_code("incorrect_number")
        } else {
            let noun = if name == "source" { "token" } else { "PaymentMethod" };
            StripeError::no_such_cursor(noun, param, text)
        }
    };
    Card::named(text).map(Some).ok_or_else(unknown)
}

/// Who pays: the name, and the parts of the address, whose parameters begin with `address`.
fn payer_of(form: &Form, name: &str, address: &str) -> Payer {
    let part = |part: &&str| {
        let value = form.get(&format!("{address}{part}]"));
        let value = value.or_else(|| form.get(&format!("shipping[address][{part}]")));
        value.map(|value| ((*part).to_owned(), value.to_owned()))
    };
    let parts = ["city", "country", "line1", "line2", "postal_code", "state"];
    let text = |name: &str| form.get(name).map(str::to_owned);
    Payer {
        name: text(name).or_else(|| text("shipping[name]")),
        email: text("payment_method_data[billing_details][email]"),
        phone: text("payment_method_data[billing_details][phone]"),
        address: parts.iter().filter_map(part).collect::<BTreeMap<_, _>>(),
    }
}

fn terms_of(form: &Form, (amount, currency): (i64, String), card: Card, payer: Payer) -> NewCharge {
    let text = |name: &str| form.get(name).map(str::to_owned);
    NewCharge {
        amount,
        currency,
        card,
        capture: Capture::Automatic,
        customer: text("customer"),
        description: text("description"),
        receipt_email: text("receipt_email"),
        payer,
        metadata: form.map("metadata"),
    }
}
