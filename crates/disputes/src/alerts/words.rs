//! An alert as people read it, in English and in Chinese.

use payops_core::currency::Currency;
use payops_core::money::Money;
use payops_core::time::Zone;
use payops_platform::outbound::one_line;

use super::event::{AlertData, AlertEvent, EventType};
use crate::store::submission::Kind;

/// The most that is shown of a text from elsewhere, in characters.
const LONGEST: usize = 100;
/// The most that is shown of the channel's words, in characters.
const LONGEST_OUTCOME: usize = 300;

/// What the mail is about.
pub(super) fn subject(event: &AlertEvent) -> String {
    let no = one_line(&event.data.dispute_no, LONGEST);
    match event.kind {
        EventType::DeadlineNear => {
            let days = days_before(&event.data);
            let left = days_of(days);
            format!(
                "[payops] Dispute {no} has to be answered: {left} or less left / 争议须在 {days} 天内回复"
            )
        }
        EventType::DeadlineMissed => {
            format!("[payops] Dispute {no} was not answered in time / 争议未在截止时间前回复")
        }
        EventType::PaymentUnknown => {
            format!("[payops] Nobody knows the payment of dispute {no} / 争议对应的支付单未知")
        }
        EventType::SubmissionRefused => match refused_kind(&event.data) {
            Kind::Answer => format!("[payops] The answer to dispute {no} was refused / 争议的答复被拒绝"),
            Kind::Concession => {
                format!("[payops] The concession of dispute {no} was refused / 争议的认赔被拒绝")
            }
        },
    }
}

/// What the mail says.
pub(super) fn body(event: &AlertEvent) -> String {
    let data = &event.data;
    let line = |text: &str| one_line(text, LONGEST);
    let no = line(&data.dispute_no);
    let (happened_en, happened_zh) = happened(event);
    let money = match Currency::parse(data.currency.as_bytes()) {
        Ok(currency) => Money::new(data.amount, currency).to_string(),
        Err(_) => format!("{} (minor units, {})", data.amount, one_line(&data.currency, 3)),
    };
    let due = data.evidence_due_by.map(|due_by| Zone::utc().show(due_by));
    let or_none = |text: &Option<String>, none: &str| text.as_deref().map_or(none.to_owned(), line);
    let (due_en, due_zh) = (or_none(&due, "no answer is expected"), or_none(&due, "无需回复"));
    let (ours_en, ours_zh) =
        (or_none(&data.channel_dispute_id, "none"), or_none(&data.channel_dispute_id, "无"));
    let (payment_en, payment_zh) =
        (or_none(&data.payment_no, "not known"), or_none(&data.payment_no, "未知"));
    let (owner_en, owner_zh) = (or_none(&data.assigned_to, "nobody"), or_none(&data.assigned_to, "无"));
    let (reason, channel, id) = (line(&data.reason), data.channel.as_str(), &event.id);
    let why = data.submission.as_ref().map(|refused| one_line(&refused.outcome, LONGEST_OUTCOME));
    let why_en = why.as_ref().map(|why| format!("Refused:      {why}\n")).unwrap_or_default();
    let why_zh = why.as_ref().map(|why| format!("拒绝原因：{why}\n")).unwrap_or_default();
    format!(
        "Dispute {no} ({channel}) {happened_en}.\n\n\
         {why_en}\
         Amount:       {money}\n\
         Due by:       {due_en}\n\
         Reason:       {reason}\n\
         Payment:      {payment_en}\n\
         Channel's id: {ours_en}\n\
         Assigned to:  {owner_en}\n\
         Event:        {id}\n\n\
         争议 {no}（{channel}）{happened_zh}。\n\n\
         {why_zh}\
         金额：{money}\n\
         截止时间：{due_zh}\n\
         原因：{reason}\n\
         支付单号：{payment_zh}\n\
         渠道争议号：{ours_zh}\n\
         负责人：{owner_zh}\n\
         事件编号：{id}\n"
    )
}

/// What has happened to the dispute, in both languages.
fn happened(event: &AlertEvent) -> (String, String) {
    let both = |en: &str, zh: &str| (en.to_owned(), zh.to_owned());
    match event.kind {
        EventType::DeadlineNear => {
            let days = days_before(&event.data);
            let left = days_of(days);
            (format!("waits for an answer: {left} or less left"), format!("等待回复：剩余时间不足 {days} 天"))
        }
        EventType::DeadlineMissed => both("was not answered in time", "未在截止时间前回复"),
        EventType::PaymentUnknown => both(
            "cannot be tied to a payment, and no merchant sees it: neither the channel's data nor the gateway tell",
            "无法关联到支付单，商户看不到该争议：渠道数据与支付网关均未说明",
        ),
        EventType::SubmissionRefused => match refused_kind(&event.data) {
            Kind::Answer => both(
                "has an answer that was not taken: see why, and order it again if the dispute still waits",
                "的答复未被接受：请查看原因，如仍待回复请重新提交",
            ),
            Kind::Concession => both("has a concession that was not taken", "的认赔未被接受"),
        },
    }
}

fn days_before(data: &AlertData) -> i32 {
    data.days_before.unwrap_or_default()
}

fn refused_kind(data: &AlertData) -> Kind {
    data.submission.as_ref().map_or(Kind::Answer, |refused| refused.kind)
}

fn days_of(days: i32) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::alerts::event::RefusedSubmission;
    use crate::model::{Channel, Status};

    fn near() -> AlertEvent {
        AlertEvent {
            id: "d-1-3".to_owned(),
            kind: EventType::DeadlineNear,
            created_at: "2026-11-23T12:30:00Z".parse().unwrap(),
            escalated: false,
            data: AlertData {
                dispute_id: Uuid::nil(),
                dispute_no: "DSP-stripe-20261120-0193a2b4".to_owned(),
                channel: Channel::Stripe,
                channel_dispute_id: Some("du_1".to_owned()),
                payment_no: None,
                merchant_id: None,
                amount: 9_012_345,
                currency: "KWD".to_owned(),
                reason: "fraudulent\r\nBcc: everybody@shop.example".to_owned(),
                status: Status::NeedsResponse,
                evidence_due_by: Some("2026-11-26T12:00:00Z".parse().unwrap()),
                days_before: Some(3),
                submission: None,
                assigned_to: Some("agent-7".to_owned()),
            },
        }
    }

    fn says(text: &str, all: &[&str]) {
        for said in all {
            assert!(text.contains(said), "{said:?} is not in:\n{text}");
        }
        assert!(!text.contains("\nBcc") && !text.contains('\r'), "{text}");
    }

    #[test]
    fn a_mail_says_everything_in_both_languages_and_one_line_a_thing() {
        let event = near();
        let all = [
            "Dispute DSP-stripe-20261120-0193a2b4 (stripe) waits for an answer: 3 days or less left.\n",
            "9012.345 KWD\n",
            "2026-11-26 12:00:00 +00:00 (Etc/UTC)\n",
            "Payment:      not known\n",
            "Channel's id: du_1\n",
            "Assigned to:  agent-7\n",
            "剩余时间不足 3 天",
            "支付单号：未知\n",
            "渠道争议号：du_1\n",
            "事件编号：d-1-3\n",
        ];
        says(&body(&event), &all);
        let missed = AlertEvent { kind: EventType::DeadlineMissed, ..event };
        says(&subject(&missed), &["was not answered in time"]);
    }

    #[test]
    fn a_mail_says_what_was_refused_and_what_nobody_knows() {
        let event = near();
        let outcome = "no such file\r\nBcc: everybody@shop.example".to_owned();
        let refused = RefusedSubmission { number: 2, kind: Kind::Answer, outcome };
        let data = AlertData { days_before: None, submission: Some(refused), ..event.data };
        let event = AlertEvent { kind: EventType::SubmissionRefused, data, ..event };
        says(&subject(&event), &["The answer to dispute", "争议的答复被拒绝"]);
        says(&body(&event), &["Refused:      no such file", "拒绝原因：no such file", "请重新提交"]);
        let data = AlertData { submission: None, evidence_due_by: None, ..event.data };
        let event = AlertEvent { kind: EventType::PaymentUnknown, data, ..event };
        says(&subject(&event), &["Nobody knows the payment of dispute", "支付单未知"]);
        says(
            &body(&event),
            &["no merchant sees it", "商户看不到该争议", "Due by:       no answer is expected\n"],
        );
        assert!(!body(&event).contains("Refused"));
    }
}
