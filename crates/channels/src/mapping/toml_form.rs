//! The TOML form of a mapping, and the checks that turn it into rules.

use std::ops::Range;

use payops_core::currency::{Currency, Exponents};
use payops_core::time::Zone;
use serde::Deserialize;
use toml::Spanned;

use super::{Column, MappingError, ProofRow, Rules, Unit, Words};
use crate::row::{Kind, Status};
use crate::time::TimeFormat;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    name: String,
    unit: UnitWord,
    decimal_mark: Option<Spanned<String>>,
    delimiter: Option<Spanned<String>>,
    #[serde(default)]
    exponents: ExponentsWord,
    #[serde(default)]
    refund_sign: RefundSign,
    #[serde(default)]
    fee_sign: FeeSign,
    fee_decimals: Option<Spanned<u8>>,
    columns: Spanned<Columns>,
    #[serde(default)]
    optional_columns: Columns,
    #[serde(default)]
    constants: Constants,
    #[serde(default)]
    status: Option<Spanned<StatusWords>>,
    #[serde(default)]
    kind: Option<Spanned<KindWords>>,
    #[serde(default)]
    time: Time,
    proof: Option<Spanned<Proof>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UnitWord {
    Minor,
    Major,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ExponentsWord {
    #[default]
    Iso4217,
    Stripe,
    PayPal,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RefundSign {
    #[default]
    Signed,
    Positive,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FeeSign {
    #[default]
    Positive,
    Negative,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    channel_trade_no: Option<String>,
    row_id: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    status: Option<String>,
    kind: Option<String>,
    fee: Option<String>,
    net: Option<String>,
    charge_id: Option<String>,
    payment_intent_id: Option<String>,
    payout_id: Option<String>,
    merchant_id: Option<String>,
    occurred_at: Option<String>,
    refund_no: Option<String>,
}

impl Columns {
    /// In the order of [`super::Field`].
    fn into_names(self) -> [(&'static str, Option<String>); 14] {
        [
            ("channel_trade_no", self.channel_trade_no),
            ("row_id", self.row_id),
            ("amount", self.amount),
            ("currency", self.currency),
            ("status", self.status),
            ("kind", self.kind),
            ("fee", self.fee),
            ("net", self.net),
            ("charge_id", self.charge_id),
            ("payment_intent_id", self.payment_intent_id),
            ("payout_id", self.payout_id),
            ("merchant_id", self.merchant_id),
            ("occurred_at", self.occurred_at),
            ("refund_no", self.refund_no),
        ]
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Constants {
    kind: Option<Kind>,
    currency: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StatusWords {
    pending: Vec<String>,
    succeeded: Vec<String>,
    partially_refunded: Vec<String>,
    refunded: Vec<String>,
    disputed: Vec<String>,
    failed: Vec<String>,
    cancelled: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KindWords {
    payment: Vec<String>,
    refund: Vec<String>,
    dispute: Vec<String>,
    dispute_reversal: Vec<String>,
    fee: Vec<String>,
    payout: Vec<String>,
    adjustment: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    format: Option<Spanned<String>>,
    zone: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    marker: String,
    count_field: Option<usize>,
    amount_field: Option<usize>,
    currency_field: Option<usize>,
}

/// Makes errors that name the line.
struct Errors<'t>(&'t str);

impl Errors<'_> {
    fn at(&self, span: Range<usize>, message: impl Into<String>) -> MappingError {
        let before = self.0.as_bytes().get(..span.start).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        MappingError { line: Some(line), message: message.into() }
    }
}

fn plain(message: impl Into<String>) -> MappingError {
    MappingError { line: None, message: message.into() }
}

pub(super) fn parse(text: &str) -> Result<Rules, MappingError> {
    let errors = Errors(text);
    let form: Form = toml::from_str(text).map_err(|error| match error.span() {
        Some(span) => errors.at(span, error.message()),
        None => plain(error.message()),
    })?;
    let columns_span = form.columns.span();
    let columns = columns(form.columns.into_inner(), form.optional_columns)
        .map_err(|message| errors.at(columns_span.clone(), message))?;
    let statuses = words(&errors, "status", form.status, status_words)?;
    let kinds = words(&errors, "kind", form.kind, kind_words)?;
    let proof = form.proof.map(|proof| proof_row(&errors, proof)).transpose()?;
    let rules = Rules {
        name: form.name,
        unit: match form.unit {
            UnitWord::Minor => Unit::Minor,
            UnitWord::Major => Unit::Major,
        },
        decimal_mark: one_of(&errors, "decimal_mark", form.decimal_mark, b'.', b".,")?,
        delimiter: one_of(&errors, "delimiter", form.delimiter, b',', b",;\t|")?,
        exponents: match form.exponents {
            ExponentsWord::Iso4217 => Exponents::Iso4217,
            ExponentsWord::Stripe => Exponents::Stripe,
            ExponentsWord::PayPal => Exponents::PayPal,
        },
        refunds_are_positive: form.refund_sign == RefundSign::Positive,
        fees_are_negative: form.fee_sign == FeeSign::Negative,
        fee_decimals: fee_decimals(&errors, form.fee_decimals)?,
        columns,
        kind: form.constants.kind,
        currency: currency(&errors, form.constants.currency)?,
        statuses,
        kinds,
        time: time_format(&errors, form.time.format)?,
        zone: zone(&errors, form.time.zone)?,
        proof,
    };
    consistent(&rules).map_err(|message| errors.at(columns_span, message))?;
    Ok(rules)
}

fn columns(needed: Columns, optional: Columns) -> Result<Vec<Column>, String> {
    let pairs = needed.into_names().into_iter().zip(optional.into_names());
    pairs
        .map(|((field, needed), (_, optional))| match (needed, optional) {
            (Some(_), Some(_)) => Err(format!("'{field}' is both in [columns] and in [optional_columns]")),
            (Some(name), None) | (None, Some(name)) if name.trim().is_empty() => {
                Err(format!("'{field}' names no column: the name is empty"))
            }
            (Some(name), None) => Ok(Column { name, needed: true }),
            (None, Some(name)) => Ok(Column { name, needed: false }),
            (None, None) => Ok(Column::default()),
        })
        .collect()
}

/// What no single key can be blamed for.
fn consistent(rules: &Rules) -> Result<(), String> {
    use super::Field;
    let has = |field: Field| !rules.columns[field as usize].name.is_empty();
    let always = |field: Field| rules.columns[field as usize].needed;
    if !always(Field::ChannelTradeNo) {
        return Err("[columns] needs 'channel_trade_no': rows are matched by it".into());
    }
    if !always(Field::Amount) {
        return Err("[columns] needs 'amount'".into());
    }
    if !always(Field::Currency) && rules.currency.is_none() {
        return Err("the currency is not known: name a column in [columns] or give one in [constants]".into());
    }
    if !always(Field::Kind) && rules.kind.is_none() {
        return Err("the kind is not known: name a column in [columns] or give one in [constants]".into());
    }
    for (field, name, empty) in
        [(Field::Status, "status", rules.statuses.is_empty()), (Field::Kind, "kind", rules.kinds.is_empty())]
    {
        if has(field) && empty {
            return Err(format!("a '{name}' column needs a [{name}] table that says what its words mean"));
        }
        if !has(field) && !empty {
            return Err(format!("the [{name}] table is of no use without a '{name}' column"));
        }
    }
    if let Some(proof) = &rules.proof
        && proof.amount.is_some()
        && proof.currency.is_none()
        && rules.currency.is_none()
    {
        return Err("[proof] has an 'amount_field' but no currency: give 'currency_field'".into());
    }
    Ok(())
}

fn status_words(words: StatusWords) -> Vec<(Status, Vec<String>)> {
    vec![
        (Status::Succeeded, words.succeeded),
        (Status::Refunded, words.refunded),
        (Status::PartiallyRefunded, words.partially_refunded),
        (Status::Pending, words.pending),
        (Status::Failed, words.failed),
        (Status::Cancelled, words.cancelled),
        (Status::Disputed, words.disputed),
    ]
}

fn kind_words(words: KindWords) -> Vec<(Kind, Vec<String>)> {
    vec![
        (Kind::Payment, words.payment),
        (Kind::Refund, words.refund),
        (Kind::Dispute, words.dispute),
        (Kind::DisputeReversal, words.dispute_reversal),
        (Kind::Fee, words.fee),
        (Kind::Payout, words.payout),
        (Kind::Adjustment, words.adjustment),
    ]
}

fn words<F, T: Copy + PartialEq>(
    errors: &Errors<'_>,
    table: &str,
    form: Option<Spanned<F>>,
    list: impl Fn(F) -> Vec<(T, Vec<String>)>,
) -> Result<Words<T>, MappingError> {
    let Some(form) = form else { return Ok(Words::none()) };
    let span = form.span();
    let mut all = Vec::new();
    for (meaning, words) in list(form.into_inner()) {
        if words.iter().any(|word| word.trim().is_empty()) {
            return Err(errors.at(span, format!("[{table}] has an empty word")));
        }
        all.extend(words.into_iter().map(|word| (word, meaning)));
    }
    if all.is_empty() {
        return Err(errors.at(span, format!("[{table}] has no words")));
    }
    Words::new(all).map_err(|word| errors.at(span, format!("[{table}] gives '{word}' two meanings")))
}

fn one_of(
    errors: &Errors<'_>,
    key: &str,
    value: Option<Spanned<String>>,
    default: u8,
    allowed: &[u8],
) -> Result<u8, MappingError> {
    let Some(value) = value else { return Ok(default) };
    match value.as_ref().as_bytes() {
        [byte] if allowed.contains(byte) => Ok(*byte),
        _ => {
            let allowed: Vec<String> =
                allowed.iter().map(|byte| format!("{:?}", char::from(*byte))).collect();
            let message = format!("{key} is one of {}, not '{}'", allowed.join(" "), value.as_ref());
            Err(errors.at(value.span(), message))
        }
    }
}

fn fee_decimals(errors: &Errors<'_>, value: Option<Spanned<u8>>) -> Result<u8, MappingError> {
    let Some(value) = value else { return Ok(0) };
    if *value.as_ref() > crate::tally::FEE_SCALE {
        let message = format!("fee_decimals is at most {}", crate::tally::FEE_SCALE);
        return Err(errors.at(value.span(), message));
    }
    Ok(value.into_inner())
}

fn currency(errors: &Errors<'_>, value: Option<Spanned<String>>) -> Result<Option<Currency>, MappingError> {
    let Some(value) = value else { return Ok(None) };
    Currency::parse(value.as_ref().as_bytes())
        .map(Some)
        .map_err(|error| errors.at(value.span(), format!("[constants] currency: {error}")))
}

fn zone(errors: &Errors<'_>, value: Option<Spanned<String>>) -> Result<Zone, MappingError> {
    let Some(value) = value else { return Ok(Zone::utc()) };
    Zone::named(value.as_ref()).map_err(|error| errors.at(value.span(), format!("[time] zone: {error}")))
}

fn time_format(errors: &Errors<'_>, value: Option<Spanned<String>>) -> Result<TimeFormat, MappingError> {
    let Some(value) = value else { return Ok(TimeFormat::default()) };
    let text = value.as_ref().as_str();
    match text {
        "iso8601" => Ok(TimeFormat::Iso8601),
        "unix_seconds" => Ok(TimeFormat::UnixSeconds),
        "unix_milliseconds" => Ok(TimeFormat::UnixMilliseconds),
        pattern if pattern.contains('%') && is_pattern(pattern) => {
            let format = TimeFormat::Pattern(pattern.into());
            if format.reads_what_it_writes() {
                return Ok(format);
            }
            let message = format!(
                "[time] format: '{text}' tells no date and time that could be read: no row could be placed on a day"
            );
            Err(errors.at(value.span(), message))
        }
        _ => {
            let message = format!(
                "[time] format is 'iso8601', 'unix_seconds', 'unix_milliseconds' or a pattern such as \
                 '%d.%m.%Y %H:%M:%S', not '{text}'"
            );
            Err(errors.at(value.span(), message))
        }
    }
}

fn is_pattern(pattern: &str) -> bool {
    chrono::format::StrftimeItems::new(pattern).all(|item| item != chrono::format::Item::Error)
}

fn proof_row(errors: &Errors<'_>, proof: Spanned<Proof>) -> Result<ProofRow, MappingError> {
    let span = proof.span();
    let proof = proof.into_inner();
    let index = |field: Option<usize>| match field {
        Some(0) => Err(errors.at(span.clone(), "[proof] fields are counted from 1")),
        other => Ok(other.map(|field| field - 1)),
    };
    if proof.count_field.is_none() && proof.amount_field.is_none() {
        return Err(errors.at(span.clone(), "[proof] needs 'count_field' or 'amount_field'"));
    }
    if proof.marker.trim().is_empty() {
        return Err(errors.at(span.clone(), "[proof] marker is empty"));
    }
    Ok(ProofRow {
        marker: proof.marker.trim().to_owned(),
        count: index(proof.count_field)?,
        amount: index(proof.amount_field)?,
        currency: index(proof.currency_field)?,
    })
}
