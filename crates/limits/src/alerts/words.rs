//! An alert as people read it, in English and in Chinese.

use payops_core::currency::Currency;
use payops_core::money::Money;
use payops_core::time::{Timestamp, Zone};
use payops_platform::outbound::one_line;

use super::event::{AlertEvent, EventType};
use crate::model::LimitKind;

/// The most that is shown of a tier's name, in characters.
const LONGEST_NAME: usize = 100;

/// What the mail is about.
pub(super) fn subject(alert: &AlertEvent) -> String {
    let (en, zh) = limit(alert.data.limit_kind);
    let (merchant, threshold) = (alert.data.merchant_id, alert.data.threshold);
    match alert.kind {
        EventType::Crossed => {
            format!(
                "[payops] {en} limit {threshold} % used: merchant {merchant} / 商户{zh}限额已用 {threshold}%"
            )
        }
        EventType::Recovered => format!(
            "[payops] {en} limit below {threshold} % again: merchant {merchant} / 商户{zh}限额已回落至 {threshold}% 以下"
        ),
    }
}

/// What the mail says.
pub(super) fn body(alert: &AlertEvent) -> String {
    let data = &alert.data;
    let (merchant, threshold) = (data.merchant_id, data.threshold);
    let (en, zh) = limit(data.limit_kind);
    let (code, name) = (one_line(&data.tier_code, LONGEST_NAME), one_line(&data.tier_name, LONGEST_NAME));
    let (used, most) = (money(data.used_amount, &data.currency), money(data.limit_amount, &data.currency));
    let at = |instant: Timestamp| at(instant, &data.timezone);
    let (window, time) = (at(data.window_start), at(alert.created_at));
    let (happened_en, happened_zh) = match alert.kind {
        EventType::Crossed => {
            (format!("has used {threshold} % of its {en} limit"), format!("已使用{zh}限额的 {threshold}%"))
        }
        EventType::Recovered => (
            format!("is below {threshold} % of its {en} limit again"),
            format!("的{zh}限额用量已回落至 {threshold}% 以下"),
        ),
    };
    let (event, number) = (&alert.id, alert.sequence);
    format!(
        "Merchant {merchant} (tier {name}, {code}) {happened_en}.\n\n\
         Used, with what is held:  {used}\n\
         Limit:                    {most}\n\
         Window ({en}) from:    {window}\n\
         Time:                     {time}\n\
         Alert of the merchant:    no. {number}\n\
         Event:                    {event}\n\n\
         商户 {merchant}（等级 {name}，{code}）{happened_zh}。\n\n\
         已用（含预留）：{used}\n\
         限额：{most}\n\
         窗口（{zh}）起始：{window}\n\
         时间：{time}\n\
         该商户的第 {number} 条告警\n\
         事件编号：{event}\n"
    )
}

fn limit(kind: LimitKind) -> (&'static str, &'static str) {
    match kind {
        LimitKind::Daily => ("daily", "日"),
        LimitKind::Monthly => ("monthly", "月"),
        LimitKind::SingleTrans => ("single transaction", "单笔"),
    }
}

fn money(amount: i64, currency: &str) -> String {
    match Currency::parse(currency.as_bytes()) {
        Ok(currency) => Money::new(amount, currency).to_string(),
        Err(_) => format!("{amount} (minor units, {})", one_line(currency, 3)),
    }
}

fn at(instant: Timestamp, zone: &str) -> String {
    Zone::named(zone).unwrap_or_else(|_| Zone::utc()).show(instant)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::alerts::event::AlertData;

    fn alert() -> AlertEvent {
        AlertEvent {
            id: "m-7".to_owned(),
            kind: EventType::Crossed,
            sequence: 7,
            created_at: "2026-11-23T12:30:00Z".parse().unwrap(),
            data: AlertData {
                merchant_id: Uuid::nil(),
                tier_code: "gold".to_owned(),
                tier_name: "Gold\r\nBcc: everybody@shop.example\u{7}".to_owned(),
                limit_kind: LimitKind::Monthly,
                threshold: 90,
                used_amount: 9_012_345,
                limit_amount: 10_000_000,
                currency: "KWD".to_owned(),
                window_start: "2026-10-31T16:00:00Z".parse().unwrap(),
                timezone: "Asia/Shanghai".to_owned(),
            },
        }
    }

    #[test]
    fn a_mail_says_everything_in_both_languages_and_one_line_a_thing() {
        let text = body(&alert());
        for said in [
            "Merchant 00000000-0000-0000-0000-000000000000 (tier Gold  Bcc: everybody@shop.example, gold) has used 90 % of its monthly limit.",
            "Used, with what is held:  9012.345 KWD\n",
            "10000.000 KWD\n",
            "2026-11-01 00:00:00 +08:00 (Asia/Shanghai)\n",
            "2026-11-23 20:30:00 +08:00 (Asia/Shanghai)\n",
            "已使用月限额的 90%。",
            "事件编号：m-7\n",
        ] {
            assert!(text.contains(said), "{said:?} is not in:\n{text}");
        }
        assert!(!text.contains("\nBcc") && !text.contains('\r'));
        let subject = subject(&AlertEvent { kind: EventType::Recovered, ..alert() });
        assert!(
            subject.starts_with("[payops] monthly limit below 90 % again: merchant 00000000-"),
            "{subject}"
        );
    }
}
