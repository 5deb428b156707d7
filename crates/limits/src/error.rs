//! What merchant limits refuse, in stable words. The API lists them in its documentation.

use std::time::Duration;

use payops_platform::error::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::decide::Refusal;
use crate::model::{PaymentState, Rule};

/// Too much waits already.
pub(crate) fn overloaded() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "OVERLOADED",
        "too many operations wait to be decided; nothing has happened, try again shortly",
        "等待处理的操作过多；本次未产生任何影响，请稍后重试",
    )
    .with_retry_after(Duration::from_secs(1))
}

/// A rule said no. `answer` is the whole decision.
pub(crate) fn declined(rule: Rule, answer: &str) -> Error {
    let (code, zh) = match rule {
        Rule::Suspended => ("MERCHANT_SUSPENDED", "商户已被暂停"),
        Rule::SingleTrans => ("LIMIT_EXCEEDED", "超出单笔限额"),
        Rule::Daily => ("LIMIT_EXCEEDED", "超出日限额"),
        Rule::Monthly => ("LIMIT_EXCEEDED", "超出月限额"),
        Rule::Channel => ("CHANNEL_NOT_ALLOWED", "不允许该支付渠道"),
        Rule::Currency => ("CURRENCY_NOT_ALLOWED", "不允许该币种"),
    };
    let data: Value = serde_json::from_str(answer).unwrap_or_default();
    Error::new(ErrorKind::Unprocessable, code, rule.reason(), zh).with_data(data)
}

/// The operation cannot be done as asked.
pub(crate) fn refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::UnknownMerchant => merchant_not_found(),
        Refusal::UnknownPayment => Error::new(
            ErrorKind::NotFound,
            "PAYMENT_NOT_FOUND",
            "the merchant has no payment of this number",
            "该商户没有此编号的支付",
        ),
        Refusal::Mismatch(fields) => mismatch(fields),
        Refusal::WrongState(state) => wrong_state(*state),
        Refusal::ConfirmExceeds(held) => Error::new(
            ErrorKind::Unprocessable,
            "CONFIRM_EXCEEDS_RESERVATION",
            format!("only {held} is held for this payment; nothing was confirmed"),
            format!("该支付仅预留了 {held}；未确认任何金额"),
        )
        .with_data(json!({ "reserved_amount": held })),
        Refusal::ReleaseExceeds(left) => Error::new(
            ErrorKind::Unprocessable,
            "RELEASE_EXCEEDS_PAYMENT",
            format!("only {left} of this payment can still be released; nothing was released"),
            format!("该支付最多还可释放 {left}；未释放任何金额"),
        )
        .with_data(json!({ "releasable_amount": left })),
        Refusal::RateMissing(from, to) => Error::new(
            ErrorKind::Unprocessable,
            "RATE_MISSING",
            format!("there is no rate from {from} to {to}; set one at /api/v1/rates and try again"),
            format!("没有从 {from} 到 {to} 的汇率；请在 /api/v1/rates 设置后重试"),
        )
        .with_data(json!({ "from_currency": from, "to_currency": to })),
        Refusal::OutOfRange => Error::new(
            ErrorKind::Unprocessable,
            "AMOUNT_OUT_OF_RANGE",
            "the amount, or its sum with what is used, is beyond the range of 64-bit minor units",
            "金额或其与已用额度之和超出 64 位最小货币单位的范围",
        ),
        Refusal::Inconsistent => Error::internal("the counters are below what a payment took from them"),
    }
}

/// The merchant has no limits.
pub(crate) fn merchant_not_found() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "LIMIT_NOT_FOUND",
        "the merchant has no limits; initialize them first",
        "该商户尚未初始化额度",
    )
}

fn mismatch(fields: &[&'static str]) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "PAYMENT_MISMATCH",
        "this number was used with other parameters; nothing was changed",
        "该编号已用于不同参数的请求；未作任何更改",
    )
    .with_data(json!({ "fields": fields }))
}

fn wrong_state(state: PaymentState) -> Error {
    let (advice, zh) = match state {
        PaymentState::Declined => ("was declined, so nothing is held for it", "已被拒绝，没有占用额度"),
        PaymentState::Consumed => ("was consumed at once; release it instead", "已直接扣减，请改用释放"),
        PaymentState::Reserved => ("is reserved; confirm it or void it", "处于预留状态，请确认或作废"),
        PaymentState::Confirmed => ("is confirmed; release it instead", "已确认，请改用释放"),
        PaymentState::Voided => ("was voided; use a new payment number", "已作废，请使用新的支付编号"),
        PaymentState::Expired => ("has expired, so nothing is held for it", "预留已过期，没有占用额度"),
    };
    Error::new(ErrorKind::Conflict, "PAYMENT_STATE", format!("the payment {advice}"), format!("该支付{zh}"))
        .with_data(json!({ "state": state }))
}
