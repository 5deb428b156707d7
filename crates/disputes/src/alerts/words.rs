//! A reminder as people read it, in English and in Chinese.

use payops_core::currency::Currency;
use payops_core::money::Money;
use payops_core::time::Zone;
use payops_platform::outbound::one_line;

use super::event::{EventType, ReminderEvent};

/// The most that is shown of a text from elsewhere, in characters.
const LONGEST: usize = 100;

/// What the mail is about.
pub(super) fn subject(event: &ReminderEvent) -> String {
    let (no, days) = (one_line(&event.data.dispute_no, LONGEST), event.data.days_before);
    match event.kind {
        EventType::Near => format!(
            "[payops] Dispute {no} has to be answered: {} or less left / 争议须在 {days} 天内回复",
            days_of(days)
        ),
        EventType::Missed => {
            format!("[payops] Dispute {no} was not answered in time / 争议未在截止时间前回复")
        }
    }
}

/// What the mail says.
pub(super) fn body(event: &ReminderEvent) -> String {
    let data = &event.data;
    let line = |text: &str| one_line(text, LONGEST);
    let no = line(&data.dispute_no);
    let (happened_en, happened_zh) = match event.kind {
        EventType::Near => (
            format!("waits for an answer: {} or less left", days_of(data.days_before)),
            format!("等待回复：剩余时间不足 {} 天", data.days_before),
        ),
        EventType::Missed => ("was not answered in time".to_owned(), "未在截止时间前回复".to_owned()),
    };
    let money = match Currency::parse(data.currency.as_bytes()) {
        Ok(currency) => Money::new(data.amount, currency).to_string(),
        Err(_) => format!("{} (minor units, {})", data.amount, one_line(&data.currency, 3)),
    };
    let due = Zone::utc().show(data.evidence_due_by);
    let or_none = |text: &Option<String>, none: &str| text.as_deref().map_or(none.to_owned(), line);
    let (payment_en, payment_zh) =
        (or_none(&data.payment_no, "not known"), or_none(&data.payment_no, "未知"));
    let (owner_en, owner_zh) = (or_none(&data.assigned_to, "nobody"), or_none(&data.assigned_to, "无"));
    let (reason, channel, id) = (line(&data.reason), data.channel.as_str(), &event.id);
    format!(
        "Dispute {no} ({channel}) {happened_en}.\n\n\
         Amount:       {money}\n\
         Due by:       {due}\n\
         Reason:       {reason}\n\
         Payment:      {payment_en}\n\
         Assigned to:  {owner_en}\n\
         Event:        {id}\n\n\
         争议 {no}（{channel}）{happened_zh}。\n\n\
         金额：{money}\n\
         截止时间：{due}\n\
         原因：{reason}\n\
         支付单号：{payment_zh}\n\
         负责人：{owner_zh}\n\
         事件编号：{id}\n"
    )
}

fn days_of(days: i32) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{Channel, Status};
    use crate::reminders::event::ReminderData;

    #[test]
    fn a_mail_says_everything_in_both_languages_and_one_line_a_thing() {
        let event = ReminderEvent {
            id: "d-1-3".to_owned(),
            kind: EventType::Near,
            created_at: "2026-11-23T12:30:00Z".parse().unwrap(),
            escalated: false,
            data: ReminderData {
                dispute_id: Uuid::nil(),
                dispute_no: "DSP-stripe-20261120-0193a2b4".to_owned(),
                channel: Channel::Stripe,
                payment_no: None,
                merchant_id: None,
                amount: 9_012_345,
                currency: "KWD".to_owned(),
                reason: "fraudulent\r\nBcc: everybody@shop.example".to_owned(),
                status: Status::NeedsResponse,
                evidence_due_by: "2026-11-26T12:00:00Z".parse().unwrap(),
                days_before: 3,
                assigned_to: Some("agent-7".to_owned()),
            },
        };
        let text = body(&event);
        for said in [
            "Dispute DSP-stripe-20261120-0193a2b4 (stripe) waits for an answer: 3 days or less left.\n",
            "9012.345 KWD\n",
            "2026-11-26 12:00:00 +00:00 (Etc/UTC)\n",
            "Payment:      not known\n",
            "Assigned to:  agent-7\n",
            "剩余时间不足 3 天",
            "支付单号：未知\n",
            "事件编号：d-1-3\n",
        ] {
            assert!(text.contains(said), "{said:?} is not in:\n{text}");
        }
        assert!(!text.contains("\nBcc") && !text.contains('\r'));
        let missed = ReminderEvent { kind: EventType::Missed, ..event };
        assert!(subject(&missed).contains("was not answered in time"), "{}", subject(&missed));
    }
}
