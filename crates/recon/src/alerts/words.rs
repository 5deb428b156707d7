//! An alert as people read it, in English and in Chinese.

use payops_core::time::Zone;
use payops_platform::outbound::one_line;

use super::event::{AlertData, AlertEvent, AlertGap, EventType};
use crate::model::{FileRole, GapKind};

/// The most that is shown of an account's name, in characters.
const LONGEST: usize = 100;

/// What the mail is about.
pub(super) fn subject(event: &AlertEvent) -> String {
    let (channel, count) = (event.data.channel.as_str(), event.data.gaps.len());
    let first = event.data.gaps.first().map(|gap| gap.settlement_date.to_string()).unwrap_or_default();
    let others = if count > 1 { format!(" +{}", count - 1) } else { String::new() };
    let of = format!("{channel} {first}{others}");
    match (event.kind, event.escalated) {
        (EventType::FileMissing, false) => format!("[payops] File is late: {of} / 文件逾期未到"),
        (EventType::FileMissing, true) => format!("[payops] File is still missing: {of} / 文件仍未到达"),
        (EventType::FileGap, false) => format!("[payops] Gap in files: {of} / 文件有缺口"),
        (EventType::FileGap, true) => format!("[payops] Gap in files still open: {of} / 文件缺口仍未补齐"),
        (EventType::FileRepeated, _) => {
            format!("[payops] One number, two contents: {of} / 同一序号出现不同内容")
        }
        (EventType::FileArrived, _) => format!("[payops] File has arrived: {of} / 文件已到达"),
    }
}

/// What the mail says.
pub(super) fn body(event: &AlertEvent) -> String {
    let data = &event.data;
    let (en, zh) = happened(event);
    let (account_en, account_zh) = account(data);
    let (channel, zone) = (data.channel.as_str(), one_line(&data.timezone, LONGEST));
    let (role_en, role_zh) = role(data.role);
    let lines = |language: fn(&AlertGap, &AlertData) -> String| -> String {
        data.gaps.iter().flat_map(|gap| ["- ".to_owned(), language(gap, data), "\n".to_owned()]).collect()
    };
    let (gaps_en, gaps_zh, id) = (lines(gap_en), lines(gap_zh), &event.id);
    format!(
        "{en}.\n\n\
         Channel:  {channel}\n\
         Account:  {account_en}\n\
         File:     {role_en}\n\
         Zone:     {zone}\n\
         {gaps_en}\
         Event:    {id}\n\n\
         {zh}。\n\n\
         渠道：{channel}\n\
         账户：{account_zh}\n\
         文件：{role_zh}\n\
         时区：{zone}\n\
         {gaps_zh}\
         事件编号：{id}\n"
    )
}

fn happened(event: &AlertEvent) -> (&'static str, &'static str) {
    match (event.kind, event.escalated) {
        (EventType::FileMissing, false) => {
            ("The file of a business day is due and not there", "业务日文件已到期但尚未到达")
        }
        (EventType::FileMissing, true) => (
            "The file of a business day is long due and still not there; hand it over, or excuse the day",
            "业务日文件早已到期但仍未到达，请上传文件或豁免该日",
        ),
        (EventType::FileGap, false) => {
            ("The names of files say that something is missing", "文件名显示存在缺失")
        }
        (EventType::FileGap, true) => (
            "The names of files say that something is still missing; hand it over, or excuse the day",
            "文件名显示仍有缺失，请上传文件或豁免该日",
        ),
        (EventType::FileRepeated, _) => (
            "One number came with two contents: a correction, or a file that was named wrongly",
            "同一序号出现不同内容：可能是更正文件，或文件名有误",
        ),
        (EventType::FileArrived, _) => ("What was missing has come", "缺失的文件已到达"),
    }
}

fn account(data: &AlertData) -> (String, String) {
    let account = one_line(&data.account, LONGEST);
    if account.is_empty() {
        ("the only one".to_owned(), "唯一账户".to_owned())
    } else {
        (account.clone(), account)
    }
}

fn role(role: FileRole) -> (&'static str, &'static str) {
    match role {
        FileRole::Settlement => ("settlement file", "结算文件"),
        FileRole::BalanceSummary => ("balance summary", "余额汇总"),
        FileRole::Platform => ("payments of the platform", "平台支付数据"),
        FileRole::BankStatement => ("bank statement", "银行对账单"),
        FileRole::Payouts => ("report of payouts", "打款报告"),
        FileRole::PayoutRows => ("rows of payouts", "打款明细"),
    }
}

fn gap_en(gap: &AlertGap, data: &AlertData) -> String {
    let (day, due, numbers) = (gap.settlement_date, due(gap, data), numbers(gap));
    match gap.kind {
        GapKind::Missing => format!("{day}: the file, due {due}"),
        GapKind::Sequence => format!("{day}: sequence number {numbers}, before this day's file"),
        GapKind::Part => format!("{day}: part {numbers}; the file in force is another part"),
        GapKind::Repeated => format!("{day}: sequence number {numbers}"),
        GapKind::OtherDate => format!("{day}: the name of the file in force says another day"),
    }
}

fn gap_zh(gap: &AlertGap, data: &AlertData) -> String {
    let (day, due, numbers) = (gap.settlement_date, due(gap, data), numbers(gap));
    match gap.kind {
        GapKind::Missing => format!("{day}：文件，应于 {due} 到达"),
        GapKind::Sequence => format!("{day}：该日文件之前的序号 {numbers}"),
        GapKind::Part => format!("{day}：分片 {numbers}；生效文件是另一分片"),
        GapKind::Repeated => format!("{day}：序号 {numbers}"),
        GapKind::OtherDate => format!("{day}：生效文件的文件名为其他日期"),
    }
}

fn due(gap: &AlertGap, data: &AlertData) -> String {
    Zone::named(&data.timezone).unwrap_or_else(|_| Zone::utc()).show(gap.due_at)
}

fn numbers(gap: &AlertGap) -> String {
    match (gap.number, gap.up_to) {
        (Some(first), Some(last)) => format!("{first}-{last}"),
        (Some(number), None) => number.to_string(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::Channel;

    fn gap(day: &str, kind: GapKind, number: Option<i64>, up_to: Option<i64>) -> AlertGap {
        let due_at = "2026-01-07T01:30:00Z".parse().unwrap();
        AlertGap { settlement_date: day.parse().unwrap(), kind, number, up_to, due_at }
    }

    fn event(kind: EventType, gaps: Vec<AlertGap>) -> AlertEvent {
        AlertEvent {
            id: "w-1".to_owned(),
            kind,
            created_at: "2026-01-07T01:31:00Z".parse().unwrap(),
            escalated: false,
            data: AlertData {
                expected_file_id: Uuid::nil(),
                channel: Channel::Wechat,
                account: "east\r\nBcc: everybody@shop.example".to_owned(),
                role: FileRole::Settlement,
                timezone: "Asia/Shanghai".to_owned(),
                gaps,
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
    fn a_mail_lists_the_days_in_both_languages() {
        let days = vec![
            gap("2026-01-05", GapKind::Missing, None, None),
            gap("2026-01-06", GapKind::Missing, None, None),
        ];
        let late = event(EventType::FileMissing, days);
        assert_eq!(subject(&late), "[payops] File is late: wechat 2026-01-05 +1 / 文件逾期未到");
        let all = [
            "- 2026-01-05: the file, due 2026-01-07 09:30:00 +08:00 (Asia/Shanghai)\n",
            "- 2026-01-06: the file",
            "Account:  east  Bcc: everybody@shop.example\n",
            "- 2026-01-06：文件，应于 2026-01-07 09:30:00 +08:00",
            "文件：结算文件\n",
            "事件编号：w-1\n",
        ];
        says(&body(&late), &all);
        let escalated = AlertEvent { escalated: true, ..late };
        says(&subject(&escalated), &["still missing"]);
        says(&body(&escalated), &["excuse the day", "豁免该日"]);
    }

    #[test]
    fn a_mail_names_numbers_and_parts() {
        let gaps = vec![
            gap("2026-01-06", GapKind::Sequence, Some(118), None),
            gap("2026-01-06", GapKind::Sequence, Some(130), Some(9000)),
            gap("2026-01-06", GapKind::Part, Some(2), None),
            gap("2026-01-06", GapKind::OtherDate, None, None),
        ];
        let all = [
            "sequence number 118, before",
            "sequence number 130-9000, before",
            "part 2; the",
            "says another day",
        ];
        says(&body(&event(EventType::FileGap, gaps)), &all);
        let twice = vec![gap("2026-01-06", GapKind::Repeated, Some(118), None)];
        says(&body(&event(EventType::FileRepeated, twice)), &["- 2026-01-06: sequence number 118\n"]);
    }
}
