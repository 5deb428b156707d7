//! One line of the feed: a row or the trailer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use payops_core::currency::Currency;
use payops_core::money::AmountError;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::amount::parse_minor;
use crate::control::{Stated, Statement};
use crate::fault::{Fault, excerpt};
use crate::row::{Kind, RejectReason, Status};

/// What a line says.
#[derive(Debug)]
pub(super) enum FeedLine<'a> {
    Row(Box<Fields<'a>>),
    Trailer(Trailer<'a>),
}

/// A row as it is written. Fields that payops does not know are ignored: the feed is somebody else's.
#[derive(Debug, Deserialize)]
pub(super) struct Fields<'a> {
    #[serde(borrow, default)]
    pub(super) payment_no: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) channel_trade_no: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    amount: Option<&'a RawValue>,
    #[serde(borrow, default)]
    currency: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) created_at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) merchant_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) refund_no: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    trailer: Option<Trailer<'a>>,
}

/// The feed's own totals.
#[derive(Debug, Deserialize)]
pub(super) struct Trailer<'a> {
    #[serde(borrow, default)]
    count: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sums: Option<BTreeMap<Cow<'a, str>, &'a RawValue>>,
}

impl<'a> FeedLine<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        // serde would read an array as the fields in order.
        if !text.trim_ascii_start().starts_with(b"{") {
            return Err(bad_line("is not a JSON object", text));
        }
        let mut fields: Box<Fields<'a>> =
            serde_json::from_slice(text).map_err(|error| bad_line(&json_error(&error), text))?;
        match fields.trailer.take() {
            None => Ok(Self::Row(fields)),
            Some(_) if fields.payment_no.is_some() || fields.amount.is_some() => Err(Fault::new(
                RejectReason::BadJson,
                Some("trailer"),
                "a line is a row or the trailer, not both",
            )),
            Some(trailer) => Ok(Self::Trailer(trailer)),
        }
    }
}

#[cold]
fn bad_line(what: &str, text: &[u8]) -> Fault {
    let readable = std::str::from_utf8(text).is_ok();
    let reason = if readable { RejectReason::BadJson } else { RejectReason::BadEncoding };
    Fault::new(reason, None, format!("the line {what}: '{}'", excerpt(text)))
}

/// The parser's message; its line number is always 1 here and would mislead.
fn json_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or_default();
    format!("cannot be read, {message} at column {}", error.column())
}

impl Trailer<'_> {
    /// Count and sums; a trailer that lacks one of them states it unreadably.
    pub(super) fn stated(&self) -> Stated {
        let sums = self.sums.as_ref().and_then(|sums| {
            let sum = |(currency, sum): (&Cow<'_, str>, &&RawValue)| {
                Some((Currency::parse(currency.as_bytes()).ok()?, sum.get().parse().ok()?))
            };
            sums.iter().map(sum).collect()
        });
        Stated {
            count: Statement::from_option(self.count.and_then(|count| count.get().parse().ok())),
            sums: Statement::from_option(sums),
        }
    }
}

impl Fields<'_> {
    pub(super) fn currency(&self) -> Result<Currency, Fault> {
        let text = needed("currency", self.currency.as_deref())?;
        Currency::parse(text.as_bytes()).map_err(|_| {
            let what = "is not a currency code of three letters";
            Fault::value(RejectReason::BadCurrency, "currency", what, text.as_bytes())
        })
    }

    /// The amount as written: a JSON integer, nothing else.
    pub(super) fn amount(&self) -> Result<i64, Fault> {
        let Some(raw) = self.amount else { return Err(missing("amount")) };
        let text = raw.get().as_bytes();
        parse_minor(text).map_err(|error| {
            if error == AmountError::OutOfRange {
                return Fault::amount("amount", error, text);
            }
            let what = "is not a JSON integer of minor units";
            Fault::value(RejectReason::BadAmount, "amount", what, text)
        })
    }

    pub(super) fn kind(&self) -> Result<Kind, Fault> {
        let word = self.kind.as_deref().unwrap_or_default().trim();
        match word.to_ascii_lowercase().as_str() {
            "" | "payment" => Ok(Kind::Payment),
            "refund" => Ok(Kind::Refund),
            "dispute" => Ok(Kind::Dispute),
            "dispute_reversal" => Ok(Kind::DisputeReversal),
            _ => {
                let what = "is none of payment, refund, dispute, dispute_reversal";
                Err(Fault::value(RejectReason::UnknownKind, "kind", what, word.as_bytes()))
            }
        }
    }

    pub(super) fn status(&self) -> Result<(Status, &[u8]), Fault> {
        let word = needed("status", self.status.as_deref())?;
        let status = match word.to_ascii_lowercase().as_str() {
            "pending" => Status::Pending,
            "succeeded" | "success" => Status::Succeeded,
            "partially_refunded" => Status::PartiallyRefunded,
            "refunded" => Status::Refunded,
            "disputed" => Status::Disputed,
            "failed" => Status::Failed,
            "cancelled" | "canceled" => Status::Cancelled,
            _ => {
                let what = "is no status of the feed";
                return Err(Fault::value(RejectReason::UnknownStatus, "status", what, word.as_bytes()));
            }
        };
        Ok((status, word.as_bytes()))
    }
}

/// An id of a bearable length, trimmed; empty when the line does not have it.
pub(super) fn id<'s>(name: &str, value: Option<&'s str>, longest: usize) -> Result<&'s [u8], Fault> {
    let text = value.unwrap_or_default().trim().as_bytes();
    if text.contains(&0) {
        return Err(Fault::value(RejectReason::NulByte, name, "contains a NUL", text));
    }
    if text.len() > longest {
        let what = format!("{} bytes are longer than the {longest} that are accepted", text.len());
        return Err(Fault::value(RejectReason::FieldTooLong, name, &what, text));
    }
    Ok(text)
}

fn needed<'s>(name: &str, value: Option<&'s str>) -> Result<&'s str, Fault> {
    match value.map(str::trim) {
        None => Err(missing(name)),
        Some("") => Err(Fault::empty(name)),
        Some(text) => Ok(text),
    }
}

#[cold]
fn missing(name: &str) -> Fault {
    Fault::new(RejectReason::EmptyField, Some(name), format!("the line has no {name}"))
}
