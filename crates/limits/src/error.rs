//! What merchant limits refuse, in stable words. The API lists them in its documentation.

use std::time::Duration;

use payops_platform::error::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::decide::Refusal;
use crate::model::{PaymentState, Rule, Terms, Usage};
use crate::store::{limit, overrides, tier};

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
        Refusal::ReleaseUnnamed(left) => Error::invalid_field(
            "release_no",
            format!("this is a part of the {left} that is left; give each part a release_no of its own"),
            format!("这只是剩余 {left} 的一部分；请为每次部分释放指定各自的 release_no"),
        ),
        Refusal::RateMissing(from, to) => Error::new(
            ErrorKind::Unprocessable,
            "RATE_MISSING",
            format!("there is no rate from {from} to {to}; set one at /api/v1/rates and try again"),
            format!("没有从 {from} 到 {to} 的汇率；请在 /api/v1/rates 设置后重试"),
        )
        .with_data(json!({ "from_currency": from, "to_currency": to })),
        Refusal::OutOfRange => sum_out_of_range(),
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

/// No 64 bits hold it.
pub(crate) fn sum_out_of_range() -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "AMOUNT_OUT_OF_RANGE",
        "the amount, or its sum with what is used, is beyond the range of 64-bit minor units",
        "金额或其与已用额度之和超出 64 位最小货币单位的范围",
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

/// Nothing is known by this id or code.
pub(crate) fn tier_not_found() -> Error {
    Error::new(ErrorKind::NotFound, "TIER_NOT_FOUND", "there is no such tier", "该等级不存在")
}

/// The code is taken.
pub(crate) fn tier_exists(holder: &tier::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "TIER_EXISTS",
        format!("there is a tier {} already; edit it or choose another code", holder.tier_code),
        format!("等级 {} 已存在，请修改它或使用其他代码", holder.tier_code),
    )
    .with_data(json!({ "tier_id": holder.id, "tier_code": holder.tier_code }))
}

/// Merchants have the tier.
pub(crate) fn tier_in_use(merchants: u64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "TIER_IN_USE",
        format!("{merchants} merchants have this tier; move them to another one first"),
        format!("有 {merchants} 个商户使用该等级，请先将其移至其他等级"),
    )
    .with_data(json!({ "merchants": merchants }))
}

/// The merchant has limits already.
pub(crate) fn limit_exists(present: &limit::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "LIMIT_EXISTS",
        "the merchant has limits already; edit them or change its tier",
        "该商户已有额度，请修改额度或变更等级",
    )
    .with_data(json!({ "id": present.id, "tier_id": present.tier_id, "version": present.version }))
}

/// The tier's currency is not that of what is counted.
pub(crate) fn currency_differs(from: &str, to: &str, usage: &Usage, terms: &Terms) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "CURRENCY_DIFFERS",
        format!("the merchant's usage and limits are in {from}, and the tier is in {to}; wait for the end of the month, or remove custom limits, overrides and reservations"),
        format!("该商户的用量和限额以 {from} 计，而该等级以 {to} 计；请等到月末，或移除自定义限额、临时限额和预留"),
    )
    .with_data(json!({
        "daily_used": usage.daily_used,
        "monthly_used": usage.monthly_used,
        "pending_amount": usage.pending,
        "has_custom_limits": terms.custom != crate::model::Limits::default(),
        "has_overrides": !terms.overrides.is_empty(),
    }))
}

/// Somebody was faster.
pub(crate) fn already_suspended(limit: &limit::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "ALREADY_SUSPENDED",
        "the merchant is suspended already; data says why",
        "该商户已被暂停，原因见 data",
    )
    .with_data(json!({
        "suspended_reason": limit.suspended_reason,
        "suspended_at": limit.suspended_at,
        "version": limit.version,
    }))
}

/// There is nothing to end.
pub(crate) fn not_suspended() -> Error {
    Error::new(ErrorKind::Conflict, "NOT_SUSPENDED", "the merchant is not suspended", "该商户未被暂停")
}

/// The merchant has no such override.
pub(crate) fn override_not_found() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "OVERRIDE_NOT_FOUND",
        "the merchant has no such override",
        "该商户没有此临时限额",
    )
}

/// Two of one limit would hold at once.
pub(crate) fn override_overlaps(other: &overrides::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "OVERRIDE_OVERLAPS",
        "another override of this limit holds at that time; data names it",
        "该时段已有同类临时限额，详见 data",
    )
    .with_data(json!({
        "id": other.id,
        "limit_kind": other.limit_kind,
        "value": other.value,
        "starts_at": other.starts_at,
        "ends_at": other.ends_at,
    }))
}

/// What is over is history.
pub(crate) fn override_over(found: &overrides::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "OVERRIDE_OVER",
        "the override is over or was taken back, so there is nothing to take back",
        "该临时限额已结束或已撤销",
    )
    .with_data(
        json!({ "ends_at": found.ends_at, "deleted_at": found.deleted_at, "deleted_by": found.deleted_by }),
    )
}

/// Every decision reads them.
pub(crate) fn too_many_overrides(most: usize) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "TOO_MANY_OVERRIDES",
        format!("a merchant has at most {most} overrides that are not over"),
        format!("每个商户最多有 {most} 个未结束的临时限额"),
    )
    .with_data(json!({ "most": most }))
}

/// The merchant has no alert of this number.
pub(crate) fn alert_not_found() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "ALERT_NOT_FOUND",
        "the merchant has no alert of this number",
        "该商户没有此编号的告警",
    )
}

/// Nobody waits for it.
pub(crate) fn nothing_to_resend() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "NOTHING_TO_RESEND",
        "every destination has this alert already, or none is configured",
        "所有接收方均已收到该告警，或尚未配置接收方",
    )
}

/// More than one question goes through.
pub(crate) fn period_too_long(rows: i64, most: i64) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "PERIOD_TOO_LONG",
        format!("the period has about {rows} rows in the log, and {most} are replayed at most; choose a shorter one"),
        format!("该时段约有 {rows} 条记录，最多重放 {most} 条；请缩短时段"),
    )
    .with_data(json!({ "rows": rows, "most": most }))
}
