//! What disputes refuse, in stable words. The API lists them in its documentation.

use payops_platform::error::{Error, ErrorKind};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::evidence::preflight::Problem;
use crate::lifecycle::{self, Status};
use crate::store::dispute::Model as Dispute;
use crate::store::submission::Model as Submission;

/// The channel has no such dispute.
pub(crate) const CHANNEL_DISPUTE_NOT_FOUND: &str = "CHANNEL_DISPUTE_NOT_FOUND";
/// What is personal was erased.
pub(crate) const ERASED: &str = "ERASED";

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

/// Why one of many disputes cannot be changed.
#[derive(Debug, Serialize)]
pub(crate) struct Refused {
    dispute_id: Uuid,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

impl Refused {
    /// There is none of this id.
    pub(crate) fn missing(dispute_id: Uuid) -> Self {
        Self { dispute_id, code: "DISPUTE_NOT_FOUND", status: None }
    }

    /// It is closed.
    pub(crate) fn closed(dispute: &Dispute) -> Self {
        Self { dispute_id: dispute.id, code: "DISPUTE_STATUS", status: Some(dispute.status) }
    }
}

/// Some of many disputes cannot be changed, so that none was.
pub(crate) fn bulk_refused(refused: &[Refused]) -> Error {
    let count = refused.len();
    Error::new(
        ErrorKind::Conflict,
        "BULK_REFUSED",
        format!("{count} of the disputes cannot be assigned; none was changed, and data.problems names each"),
        format!("有 {count} 个争议无法分配；未做任何更改，详见 data.problems"),
    )
    .with_data(json!({ "problems": refused }))
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
        CHANNEL_DISPUTE_NOT_FOUND,
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

/// No channel takes an answer to it.
pub(crate) fn not_the_channels(dispute: &Dispute) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "NOT_THE_CHANNELS",
        format!(
            "{} was entered by hand and no channel's dispute was found for it: answer where it was opened, and enter its status",
            dispute.dispute_no
        ),
        format!("{} 为手工录入，未关联渠道争议；请在开立方处答复，并录入其状态", dispute.dispute_no),
    )
}

/// An answer would come too late.
pub(crate) fn deadline_passed(dispute: &Dispute) -> Error {
    let due_by = dispute.evidence_due_by.unwrap_or_default();
    Error::new(
        ErrorKind::Unprocessable,
        "DEADLINE_PASSED",
        format!("the answer was due by {due_by}; nothing is sent after that"),
        format!("答复截止时间为 {due_by}，逾期不再提交"),
    )
    .with_data(json!({ "evidence_due_by": due_by }))
}

/// An answer or a concession is on its way or waits.
pub(crate) fn submission_open(open: &Submission) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "SUBMISSION_OPEN",
        format!(
            "submission {} of this dispute is not done; withdraw it first, if it still waits",
            open.number
        ),
        format!("该争议的第 {} 次提交尚未完成；如仍在等待，请先撤回", open.number),
    )
    .with_data(json!({ "submission_id": open.id, "number": open.number, "state": open.state }))
}

/// Nothing waits that could be called off.
pub(crate) fn submission_not_held(sending: bool) -> Error {
    let (en, zh) = if sending {
        ("it is being sent, which cannot be taken back", "正在提交，无法撤回")
    } else {
        ("nothing of this dispute waits to be sent", "该争议没有等待提交的答复")
    };
    Error::new(ErrorKind::Conflict, "SUBMISSION_NOT_HELD", en, zh)
}

/// The channel would not take the packet, or it would be spent for nothing.
pub(crate) fn packet_blocked(problems: &[Problem]) -> Error {
    let told: Vec<_> = problems
        .iter()
        .map(|problem| {
            json!({
                "code": problem.code, "blocks": problem.blocks, "about": problem.about.name(),
                "message": problem.text.en, "message_zh": problem.text.zh,
            })
        })
        .collect();
    Error::new(
        ErrorKind::Unprocessable,
        "PACKET_BLOCKED",
        "the evidence cannot be sent as it is, and there is one submission only; data.problems says why",
        "证据尚不能提交，而提交机会只有一次；原因见 data.problems",
    )
    .with_data(json!({ "problems": told }))
}

/// It was part of an answer that was sent.
pub(crate) fn evidence_submitted(id: Uuid) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "EVIDENCE_SUBMITTED",
        format!("evidence {id} was part of an answer that was sent, and stays"),
        format!("证据 {id} 已随答复提交，不能删除"),
    )
}

/// The dispute has more than any channel would take.
pub(crate) fn evidence_full(most_files: usize, most_bytes: u64) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "EVIDENCE_FULL",
        format!(
            "a dispute holds at most {most_files} files and {most_bytes} bytes of them; take away what proves nothing"
        ),
        format!("每个争议最多 {most_files} 个文件、合计 {most_bytes} 字节；请先删除无关文件"),
    )
}

/// The store of files has it no longer, or has something else in its place.
pub(crate) fn file_missing(sha256: &str) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "EVIDENCE_FILE_MISSING",
        format!(
            "the store has no file with the SHA-256 {sha256}; attach it again, or take the evidence away"
        ),
        format!("存储中没有 SHA-256 为 {sha256} 的文件；请重新上传，或删除该证据"),
    )
}

/// What is personal in the dispute was erased, and is nowhere any more.
pub(crate) fn erased(dispute_id: Uuid) -> Error {
    Error::new(
        ErrorKind::Gone,
        ERASED,
        format!(
            "the personal data of dispute {dispute_id} was erased; what happened to the dispute still stands"
        ),
        format!("争议 {dispute_id} 的个人数据已被删除；争议本身的记录仍然保留"),
    )
}

/// Personal data is needed as long as a dispute is open.
pub(crate) fn subject_disputes_open(open: &[&Dispute]) -> Error {
    let count = open.len();
    let told: Vec<_> = open
        .iter()
        .map(|dispute| {
            json!({ "dispute_id": dispute.id, "dispute_no": dispute.dispute_no, "status": dispute.status })
        })
        .collect();
    Error::new(
        ErrorKind::Conflict,
        "SUBJECT_DISPUTES_OPEN",
        format!("open, or with an answer on its way: {count} of the disputes, which data.disputes names; nothing was erased"),
        format!("有 {count} 个争议尚未结束，或答复正在提交；未删除任何数据，详见 data.disputes"),
    )
    .with_data(json!({ "disputes": told }))
}
