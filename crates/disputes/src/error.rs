//! What disputes refuse, in stable words. The API lists them in its documentation.

use payops_platform::error::{Error, ErrorKind};
use serde_json::json;
use uuid::Uuid;

use crate::lifecycle::{self, Status};
use crate::store::dispute::Model as Dispute;

/// Nothing is known by this id, or it is another merchant's.
pub(crate) fn dispute_not_found(id: Uuid) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "DISPUTE_NOT_FOUND",
        format!("there is no dispute {id}"),
        format!("争议 {id} 不存在"),
    )
}

/// The channel's dispute is here already.
pub(crate) fn dispute_exists(holder: &Dispute) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "DISPUTE_EXISTS",
        format!("the channel's dispute is {} already", holder.dispute_no),
        format!("该渠道争议已存在：{}", holder.dispute_no),
    )
    .with_data(json!({ "dispute_id": holder.id, "dispute_no": holder.dispute_no }))
}

/// The status cannot be entered.
pub(crate) fn status_not_allowed(dispute: &Dispute, wanted: Status) -> Error {
    let allowed = lifecycle::enterable(dispute.state(), dispute.owner());
    let words: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
    let (now, wanted) = (dispute.status.as_str(), wanted.as_str());
    let (en, zh) = if dispute.channel_dispute_id.is_some() {
        (
            "the channel says how this dispute stands; what it says is read by itself".to_owned(),
            "该争议的状态由渠道决定，系统会自动读取".to_owned(),
        )
    } else if words.is_empty() {
        (format!("a dispute that is {now} stays so"), format!("状态为 {now} 的争议不能再变更"))
    } else {
        let words = words.join(", ");
        (
            format!("a dispute that is {now} cannot become {wanted}; it can become: {words}"),
            format!("状态为 {now} 的争议不能变为 {wanted}；可变为：{words}"),
        )
    };
    Error::new(ErrorKind::Conflict, "DISPUTE_STATUS", en, zh)
        .with_data(json!({ "status": dispute.status, "allowed_statuses": words }))
}

/// What is asked for cannot be done in this status.
pub(crate) fn action_not_allowed(dispute: &Dispute, what: &str, zh: &str) -> Error {
    let now = dispute.status.as_str();
    Error::new(
        ErrorKind::Conflict,
        "DISPUTE_STATUS",
        format!("a dispute that is {now} cannot be {what}"),
        format!("状态为 {now} 的争议不能{zh}"),
    )
    .with_data(json!({ "status": dispute.status }))
}

/// The channel is not configured.
pub(crate) fn channel_not_configured(channel: &str, setting: &str) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "NOT_CONFIGURED",
        format!("{channel} cannot be asked: {setting} is not set"),
        format!("无法访问 {channel}：未设置 {setting}"),
    )
}

/// The channel knows no such dispute.
pub(crate) fn channel_dispute_unknown(id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "CHANNEL_DISPUTE_NOT_FOUND",
        format!("the channel knows no dispute {id}"),
        format!("渠道没有争议 {id}"),
    )
}

/// A merchant asked for another merchant's disputes.
pub(crate) fn no_such_merchant() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "MERCHANT_NOT_FOUND",
        "there is no such merchant; leave merchant_id out for your own disputes",
        "该商户不存在；查询本商户的争议无需提供 merchant_id",
    )
}

/// Nothing is known by this id, or it was taken away.
pub(crate) fn evidence_not_found(id: Uuid) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "EVIDENCE_NOT_FOUND",
        format!("there is no evidence {id}"),
        format!("证据 {id} 不存在"),
    )
}
