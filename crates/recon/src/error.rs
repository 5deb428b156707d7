//! What reconciliation refuses, in stable words. The API lists them in its documentation.

use chrono::NaiveDate;
use payops_core::time::{BUSINESS_YEARS, ImplausibleDate};
use payops_platform::auth::Actor;
use payops_platform::error::{Error, ErrorKind, Result};
use serde_json::json;
use uuid::Uuid;

use crate::formats::PartOfStatement;
use crate::model::TaskStatus;
use crate::payouts::Days;
use crate::store::{channel_settings, expected_file, file, record, rule_set, schedule, task};

pub(crate) fn task_not_found(id: Uuid) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "TASK_NOT_FOUND",
        format!("there is no reconciliation task {id}"),
        format!("对账任务 {id} 不存在"),
    )
}

pub(crate) fn record_not_found(id: Uuid) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "RECORD_NOT_FOUND",
        format!("there is no reconciliation record {id}"),
        format!("对账记录 {id} 不存在"),
    )
}

pub(crate) fn file_not_found(file_no: &str) -> Error {
    let file_no: String = file_no.chars().take(64).collect();
    Error::new(
        ErrorKind::NotFound,
        "FILE_NOT_FOUND",
        format!("there is no settlement file {file_no}"),
        format!("结算文件 {file_no} 不存在"),
    )
}

pub(crate) fn stored_file_missing(file: &file::Model) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "STORED_FILE_MISSING",
        format!("{} is no longer in the folder of files; hand the file over again", file.file_no),
        format!("文件 {} 已不在文件目录中；请重新上传", file.file_no),
    )
}

pub(crate) fn stored_file_changed(file: &file::Model) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "STORED_FILE_CHANGED",
        format!(
            "the bytes of {} are no longer those that were stored; hand the file over again",
            file.file_no
        ),
        format!("文件 {} 的内容已与入库时不同；请重新上传", file.file_no),
    )
}

/// Whether a run failed for want of a stored file's bytes, so that the same file, handed over again, lets it go on.
pub(crate) fn is_cured_by_the_same_file(code: &str) -> bool {
    matches!(code, "STORED_FILE_MISSING" | "STORED_FILE_CHANGED")
}

pub(crate) fn schedule_not_found(id: Uuid) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "SCHEDULE_NOT_FOUND",
        format!("there is no reconciliation schedule {id}"),
        format!("对账计划 {id} 不存在"),
    )
}

pub(crate) fn schedule_exists(existing: &schedule::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "SCHEDULE_EXISTS",
        format!("schedule {} already makes the tasks of these days; change or remove it", existing.id),
        format!("计划 {} 已负责创建这些日期的任务，请修改或删除它", existing.id),
    )
    .with_data(json!({ "schedule_id": existing.id, "cron": existing.cron, "enabled": existing.enabled }))
}

pub(crate) fn rule_set_not_found(version: i64) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "RULE_SET_NOT_FOUND",
        format!("there is no version {version} of the rules of tolerance"),
        format!("容差规则集版本 {version} 不存在"),
    )
}

pub(crate) fn rule_set_activated(set: &rule_set::Model) -> Error {
    let (version, by) = (set.version, set.activated_by.as_deref().unwrap_or_default());
    Error::new(
        ErrorKind::Conflict,
        "RULE_SET_ALREADY_ACTIVATED",
        format!(
            "{by} has activated version {version} already; to have its rules back, make them a new version"
        ),
        format!("版本 {version} 已由 {by} 启用；如需恢复其规则，请以其新建版本"),
    )
    .with_data(json!({ "activated_by": set.activated_by, "activated_at": set.activated_at }))
}

pub(crate) fn rule_set_overtaken(version: i64, in_force: i64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "RULE_SET_OVERTAKEN",
        format!(
            "version {in_force} is in force, and version {version} is older; make its rules a new version"
        ),
        format!("版本 {in_force} 已生效，版本 {version} 较旧；请以其规则新建版本"),
    )
    .with_data(json!({ "in_force": in_force }))
}

pub(crate) fn back_test_not_found(id: Uuid) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "BACK_TEST_NOT_FOUND",
        format!("there is no back-test {id}"),
        format!("回测 {id} 不存在"),
    )
}

pub(crate) fn back_test_empty(left_out: usize) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "BACK_TEST_EMPTY",
        format!(
            "none of these tasks has a completed run ({left_out} without one); name days that were reconciled"
        ),
        format!("所选任务均无已完成的运行（{left_out} 个未完成）；请选择已对账的日期"),
    )
    .with_data(json!({ "tasks_left_out": left_out }))
}

pub(crate) fn back_test_too_large(tasks: usize, most: usize) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "BACK_TEST_TOO_LARGE",
        format!("these are {tasks} tasks, and a back-test takes {most} at most; name fewer days"),
        format!("共 {tasks} 个任务，而一次回测最多 {most} 个；请缩小日期范围"),
    )
    .with_data(json!({ "tasks": tasks, "most": most }))
}

pub(crate) fn back_test_over(id: Uuid, status: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "BACK_TEST_OVER",
        format!("back-test {id} is {status} already; there is nothing to call off"),
        format!("回测 {id} 已结束（{status}），无法取消"),
    )
    .with_data(json!({ "status": status }))
}

pub(crate) fn back_test_not_over(id: Uuid, status: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "BACK_TEST_NOT_OVER",
        format!("back-test {id} is {status}; call it off first, or wait for its end"),
        format!("回测 {id} 尚未结束（{status}）；请先取消，或等待其结束"),
    )
    .with_data(json!({ "status": status }))
}

pub(crate) fn expected_file_not_found(id: Uuid) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "EXPECTED_FILE_NOT_FOUND",
        format!("there is no expected file {id}"),
        format!("预期文件 {id} 不存在"),
    )
}

pub(crate) fn expected_file_exists(existing: &expected_file::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "EXPECTED_FILE_EXISTS",
        format!("expected file {} already watches these days; change or remove it", existing.id),
        format!("预期文件 {} 已监控这些日期，请修改或删除它", existing.id),
    )
    .with_data(json!({ "expected_file_id": existing.id }))
}

pub(crate) fn channel_settings_not_found(id: Uuid) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "CHANNEL_SETTINGS_NOT_FOUND",
        format!("there are no channel settings {id}"),
        format!("渠道设置 {id} 不存在"),
    )
}

pub(crate) fn channel_settings_exist(existing: &channel_settings::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "CHANNEL_SETTINGS_EXIST",
        format!("settings {} already hold for these days; change or remove them", existing.id),
        format!("设置 {} 已适用于这些日期，请修改或删除它", existing.id),
    )
    .with_data(json!({ "channel_settings_id": existing.id }))
}

/// Whose days something is about stays as it is: each field with whether it does.
pub(crate) fn check_same_subject(fields: impl IntoIterator<Item = (&'static str, bool)>) -> Result<()> {
    match fields.into_iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((field, _)) => Err(Error::invalid_field(
            field,
            "cannot be changed: remove this one and make another one",
            "不能修改：请删除后新建",
        )),
    }
}

pub(crate) fn nothing_to_excuse(day: NaiveDate, why: &str, why_zh: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "NOTHING_TO_EXCUSE",
        format!("there is nothing to excuse on {day}: {why}"),
        format!("{day} 无需豁免：{why_zh}"),
    )
}

pub(crate) fn task_exists(task: &task::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "TASK_EXISTS",
        format!("{} already reconciles this day; execute it again or cancel it first", task.task_no),
        format!("该日期已有对账任务 {}，请重新执行或先取消它", task.task_no),
    )
    .with_data(json!({ "task_id": task.id, "task_no": task.task_no, "status": task.status }))
}

pub(crate) fn task_state(task: &task::Model, wanted: &str, wanted_zh: &str) -> Error {
    let status = match task.status {
        TaskStatus::Pending => "pending",
        TaskStatus::Processing => "processing",
        TaskStatus::Completed => "completed",
        TaskStatus::Failed => "failed",
        TaskStatus::Cancelled => "cancelled",
    };
    Error::new(
        ErrorKind::Conflict,
        "TASK_STATE",
        format!("task {} is {status} and cannot be {wanted}", task.task_no),
        format!("任务 {} 当前状态为 {status}，不能{wanted_zh}", task.task_no),
    )
    .with_data(json!({ "status": task.status }))
}

pub(crate) fn record_closed(record: &record::Model, actor: &Actor) -> Error {
    let closer = record.resolved_by.as_deref().unwrap_or_default();
    let (by, by_zh) = if closer == actor.id {
        ("you".to_owned(), "您".to_owned())
    } else {
        (closer.to_owned(), format!(" {closer} "))
    };
    Error::new(
        ErrorKind::Conflict,
        "RECORD_ALREADY_CLOSED",
        format!("record {} was closed by {by} already; reopen it with a reason to change that", record.id),
        format!("记录 {} 已由{by_zh}关闭；如需更改请说明原因并重新打开", record.id),
    )
    .with_data(json!({
        "status": record.status,
        "resolved_by": record.resolved_by,
        "resolved_at": record.resolved_at,
        "version": record.version,
    }))
}

pub(crate) fn not_a_candidate(record: &record::Model, candidate: Uuid) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "NOT_A_CANDIDATE",
        format!(
            "record {candidate} is none of the candidates of record {}; read the record again",
            record.id
        ),
        format!("记录 {candidate} 不是记录 {} 的候选；请重新读取该记录", record.id),
    )
}

pub(crate) fn record_not_closed(record: &record::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "RECORD_NOT_CLOSED",
        "the record is open already, so there is nothing to take back",
        "该记录尚未关闭，无需重新打开",
    )
    .with_data(json!({ "status": record.status, "version": record.version }))
}

pub(crate) fn statement_of_other_days(date: NaiveDate, days: Days) -> Error {
    let Days { first, last } = days;
    Error::new(
        ErrorKind::Unprocessable,
        "FILE_OF_ANOTHER_DAY",
        format!(
            "the statement tells of {first} to {last} and is handed over for {date}. Its settlement_date is the last day that it \
             tells of; if {date} is meant, upload it with allow_other_day=true"
        ),
        format!(
            "该对账单涵盖 {first} 至 {last}，却作为 {date} 的文件上传。settlement_date 应为其涵盖的最后一天；如确为 {date}，请以 \
             allow_other_day=true 上传"
        ),
    )
}

pub(crate) fn record_gone(id: Uuid) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "RECORD_GONE",
        format!(
            "a later run of the task no longer has record {id}; its history stands, it cannot be changed"
        ),
        format!("后续运行已不再包含记录 {id}；其历史保留，但不能再更改"),
    )
}

pub(crate) fn not_reconciled_yet(task: &task::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "TASK_NOT_COMPLETED",
        format!("task {} has no result yet; execute it and wait until it is completed", task.task_no),
        format!("任务 {} 尚无结果，请执行并等待完成", task.task_no),
    )
    .with_data(json!({ "status": task.status }))
}

pub(crate) fn file_unreadable(rejects: &serde_json::Value) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "FILE_UNREADABLE",
        "no row of the file could be read; nothing was stored",
        "文件中没有可读取的行；未保存任何内容",
    )
    .with_data(json!({ "rejects": rejects }))
}

pub(crate) fn file_cut_off(rejects: &serde_json::Value) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "FILE_CUT_OFF",
        "the bank's file ends in the middle; nothing was stored. Hand the whole file over",
        "银行文件不完整，中途截断；未保存任何内容。请上传完整的文件",
    )
    .with_data(json!({ "rejects": rejects }))
}

/// `parts` are not none.
pub(crate) fn bank_pages_missing(parts: &[PartOfStatement]) -> Error {
    let (en, zh) = parts.first().map_or_else(Default::default, |part| {
        let PartOfStatement { account, statement_id, pages_at_least, pages_found, .. } = part;
        (
            format!("statement {statement_id} of account {account} has at least {pages_at_least} pages, of which {pages_found} came"),
            format!("账户 {account} 的对账单 {statement_id} 至少有 {pages_at_least} 页，仅收到 {pages_found} 页"),
        )
    });
    Error::new(
        ErrorKind::Unprocessable,
        "BANK_PAGES_MISSING",
        format!(
            "{en}; nothing was stored. Hand over all pages in one file (camt.053: <Pages>…</Pages> around them; MT940: one \
             behind the other), or, if they are not to be had, this one with allow_missing_pages=true"
        ),
        format!(
            "{zh}；未保存任何内容。请将所有页合并为一个文件上传（camt.053：以 <Pages>…</Pages> 包裹；MT940：依次相连）；\
             如无法取得，请以 allow_missing_pages=true 上传"
        ),
    )
    .with_data(json!({ "statements": parts }))
}

pub(crate) fn no_download(channel: &str) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "CHANNEL_WITHOUT_DOWNLOAD",
        format!(
            "files of {channel} cannot be fetched; upload them to /api/v1/reconciliation/settlement-files"
        ),
        format!("{channel} 的文件无法自动下载，请上传至 /api/v1/reconciliation/settlement-files"),
    )
}

pub(crate) fn not_configured(setting: &'static str) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "NOT_CONFIGURED",
        format!("{setting} is not set, so there is nowhere to fetch from; set it or upload the file"),
        format!("未设置 {setting}，无法下载；请设置该项或上传文件"),
    )
}

pub(crate) fn webhook_secret_missing() -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "NOT_CONFIGURED",
        "PAYOPS_STRIPE_WEBHOOK_SECRET is not set, so no event of Stripe can be told from a forged one; set it to the \
         signing secret of this endpoint in Stripe's dashboard",
        "未设置 PAYOPS_STRIPE_WEBHOOK_SECRET，无法验证 Stripe 事件；请将其设为 Stripe 控制台中该端点的签名密钥",
    )
}

/// Every other file of a day is replaced by the right one, or fetched anew.
pub(crate) fn file_not_withdrawable(file: &file::Model) -> Error {
    Error::new(
        ErrorKind::Unprocessable,
        "FILE_NOT_WITHDRAWABLE",
        format!("{} is no bank statement; hand the right file over in its place", file.file_no),
        format!("{} 不是银行对账单；请上传正确的文件来替换它", file.file_no),
    )
}

pub(crate) fn file_not_in_force(file: &file::Model) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "FILE_NOT_IN_FORCE",
        format!("{} is not in force: there is nothing to withdraw", file.file_no),
        format!("{} 当前未生效，无需撤回", file.file_no),
    )
    .with_data(json!({ "file_no": file.file_no, "status": file.status, "superseded_by": file.superseded_by }))
}

pub(crate) fn empty_replacement(in_force: &file::Model) -> Error {
    let (stays, stays_zh) = stays_in_force(in_force);
    refused_replacement(
        in_force,
        "EMPTY_REPLACEMENT",
        format!(
            "the new file has no rows and would take the place of {stays}. If the day really has no rows, upload the \
             file with allow_empty=true"
        ),
        format!("新文件没有任何行，却会取代 {stays_zh}。如该日确实没有数据，请以 allow_empty=true 上传"),
    )
}

/// `first` says what of the new file could not be read first.
pub(crate) fn unreadable_replacement(in_force: &file::Model, first: &str) -> Error {
    let (stays, stays_zh) = stays_in_force(in_force);
    refused_replacement(
        in_force,
        "FILE_UNREADABLE",
        format!(
            "no row of the new file could be read ({first}) and it would take the place of {stays}. Fetch it again when \
             its source is well, or upload a file that can be read"
        ),
        format!(
            "新文件没有可读取的行（{first}），却会取代 {stays_zh}。请待来源恢复后重新获取，或上传可读取的文件"
        ),
    )
}

pub(crate) fn file_of_another_day(in_force: &file::Model) -> Error {
    let (stays, stays_zh) = stays_in_force(in_force);
    let (date, timezone) = (in_force.settlement_date, &in_force.timezone);
    refused_replacement(
        in_force,
        "FILE_OF_ANOTHER_DAY",
        format!(
            "no row of the new file is of {date} ({timezone}) and it would take the place of {stays}. Check its day; if \
             it is the right file, upload it with allow_other_day=true"
        ),
        format!(
            "新文件没有任何一行属于 {date}（{timezone}），却会取代 {stays_zh}。请核对日期；如文件无误，请以 \
             allow_other_day=true 上传"
        ),
    )
}

fn stays_in_force(in_force: &file::Model) -> (String, String) {
    let number = &in_force.file_no;
    match in_force.record_count {
        Some(rows) => (
            format!("{number}, which has {rows} rows; {number} stays in force"),
            format!("{number}（{rows} 行）；{number} 继续有效"),
        ),
        None => (
            format!("{number}, which was not found to be empty; {number} stays in force"),
            format!("{number}；{number} 继续有效"),
        ),
    }
}

fn refused_replacement(in_force: &file::Model, code: &'static str, en: String, zh: String) -> Error {
    Error::new(ErrorKind::Unprocessable, code, en, zh)
        .with_data(json!({ "file_no": in_force.file_no, "record_count": in_force.record_count }))
}

pub(crate) fn implausible_date(field: &str, error: ImplausibleDate) -> Error {
    let (first, last) = (BUSINESS_YEARS.start(), BUSINESS_YEARS.end());
    Error::invalid_field(
        field,
        error.to_string(),
        format!("日期 {} 的年份应在 {first} 到 {last} 之间", error.0),
    )
}

pub(crate) fn no_such_day(date: NaiveDate, timezone: &str) -> Error {
    Error::invalid_field(
        "timezone",
        format!("{date} is no day in {timezone}"),
        format!("{timezone} 没有 {date} 这一天"),
    )
}
