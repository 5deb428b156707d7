//! Files that are handed over: streamed to disk, read once to see what they hold, then taken in.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::State;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::http::StatusCode;
use futures::stream;
use payops_platform::auth::{Actor, Authorized, OperatorOnly};
use payops_platform::error::{Error, ErrorKind, Result};
use payops_platform::http::Answer;
use utoipa::ToSchema;

use super::check_account;
use super::wire::{SettlementFile, Uploaded};
use crate::Reconciliation;
use crate::file_store::Received;
use crate::model::{Channel, FileFormat, FileRole, FileSource};
use crate::ops::files::{Announced, Consent, Outcome};
use crate::ops::{tasks, uploads};
use crate::store::file::Subject;

/// The largest mapping, in bytes of TOML.
const LARGEST_MAPPING: usize = 64 << 10;
/// How long the rest of a form that was refused is read.
const REST_PATIENCE: Duration = Duration::from_secs(5);

/// The parts of an upload. The file comes last, so that what it is about is known before it is read.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the form for the documentation")]
pub(super) struct UploadForm {
    /// The channel.
    channel: Channel,
    /// The business day, as 2024-10-24.
    settlement_date: String,
    /// The channel account, where there are several.
    account: Option<String>,
    /// The IANA zone that defines the day; Etc/UTC when absent.
    timezone: Option<String>,
    /// `settlement` (default), `balance_summary`, `payouts` or `payout_rows` (Stripe's reports of the payouts that left on the day,
    /// and of the rows that they carry), or `bank_statement`; not on platform-files. A bank statement is handed over for the last
    /// day that it tells of; days whose payouts may stand in it are reconciled again.
    role: Option<FileRole>,
    /// The TOML mapping, for a CSV that no built-in reader reads.
    mapping: Option<String>,
    /// `true` puts bytes in force again that a later file superseded. Without it, an old file that comes once
    /// more changes nothing. What is restored is a person's file: no download takes its place.
    restore: Option<bool>,
    /// `true` lets a file without a row take the place of one that has rows. Without it that is refused: a day that
    /// had movements has hardly lost all of them.
    allow_empty: Option<bool>,
    /// `true` lets a file without a row of its day take the place of one that has such rows. Without it that is refused:
    /// some rows of other days are usual, only such rows are another day's file.
    allow_other_day: Option<bool>,
    /// `true` takes a bank statement in of which pages are missing. Without it that is refused: all pages of a statement come in
    /// one file. Days that use it stay `incomplete`.
    allow_missing_pages: Option<bool>,
    /// The file: CSV (a bank statement is camt.053, MT940 or BAI2), plain or packed with gzip or zip. Platform files may be one JSON object a line.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Takes a channel's settlement file or balance summary in. The same bytes again change nothing; other bytes
/// for the same day are a correction. A day that was started already is reconciled again.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/settlement-files",
    tag = "files",
    request_body(content = inline(UploadForm), content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "Taken in", body = Uploaded),
        (status = 200, description = "These bytes were there already; nothing is compared anew", body = Uploaded),
        (status = 400, description = "INVALID_REQUEST: a part of the form is missing or invalid"),
        (status = 413, description = "FILE_TOO_LARGE"),
        (status = 422, description = "FILE_UNREADABLE or FILE_CUT_OFF: data lists the rejects; EMPTY_REPLACEMENT or FILE_OF_ANOTHER_DAY: data names the file that stays in force; BANK_PAGES_MISSING: data lists the statements"),
    )
)]
pub(super) async fn upload_settlement_file(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    form: Multipart,
) -> Result<Answer<Uploaded>> {
    receive(&app, caller.actor(), form, FileRole::Settlement).await
}

/// Takes the platform's payments of a day in: CSV with the feed's columns, one JSON object a line, or any CSV
/// with a mapping.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/platform-files",
    tag = "files",
    request_body(content = inline(UploadForm), content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "Taken in", body = Uploaded),
        (status = 200, description = "These bytes were there already; nothing is compared anew", body = Uploaded),
        (status = 400, description = "INVALID_REQUEST: a part of the form is missing or invalid"),
        (status = 413, description = "FILE_TOO_LARGE"),
        (status = 422, description = "FILE_UNREADABLE or FILE_CUT_OFF: data lists the rejects; EMPTY_REPLACEMENT or FILE_OF_ANOTHER_DAY: data names the file that stays in force"),
    )
)]
pub(super) async fn upload_platform_file(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    form: Multipart,
) -> Result<Answer<Uploaded>> {
    receive(&app, caller.actor(), form, FileRole::Platform).await
}

async fn receive(
    app: &Reconciliation,
    actor: Actor,
    mut form: Multipart,
    default_role: FileRole,
) -> Result<Answer<Uploaded>> {
    let answer = take_form(app, actor, &mut form, default_role).await;
    if answer.is_err() {
        // A client that is still sending reads an answer only when it has sent all: a connection that is closed
        // before that is a broken one to it, and the reason is lost.
        let rest = async { while matches!(form.next_field().await, Ok(Some(_))) {} };
        let _ended = tokio::time::timeout(REST_PATIENCE, rest).await;
    }
    answer
}

async fn take_form(
    app: &Reconciliation,
    actor: Actor,
    form: &mut Multipart,
    default_role: FileRole,
) -> Result<Answer<Uploaded>> {
    let mut about = About::default();
    while let Some(field) = form.next_field().await.map_err(multipart_error)? {
        if field.name() != Some("file") {
            about.take(field).await?;
            continue;
        }
        let file_name = field.file_name().map(|name| name.chars().take(255).collect());
        let subject = about.subject(app, default_role)?;
        about.check_reader(&subject)?;
        let received = store(app, field).await?;
        // Nothing may follow the file: a part that came later would be ignored in silence.
        if let Some(part) = form.next_field().await.map_err(multipart_error)? {
            let name = part.name().unwrap_or_default().to_owned();
            return Err(Error::invalid_field(
                name,
                "the file must be the last part of the form",
                "文件必须是表单的最后一部分",
            ));
        }
        let announced = about.announced(subject, file_name);
        let (taken, rerun_task_ids) = uploads::take(app, actor, announced, received).await?;
        let known = taken.outcome == Outcome::AlreadyKnown;
        let outcome = match taken.outcome {
            Outcome::New => "new",
            Outcome::Correction => "correction",
            Outcome::AlreadyKnown => "already_known",
        };
        let uploaded = Uploaded {
            file: SettlementFile::from(taken.file),
            outcome: outcome.to_owned(),
            rerun_task_id: rerun_task_ids.first().copied(),
            rerun_task_ids,
        };
        return Ok(if known { Answer::ok(uploaded) } else { Answer::created(uploaded) });
    }
    Err(missing("file"))
}

async fn store(app: &Reconciliation, field: Field<'_>) -> Result<Received> {
    let chunks = stream::unfold(Some(field), |field| async move {
        let mut field = field?;
        match field.chunk().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(field))),
            Ok(None) => None,
            Err(error) => Some((Err(multipart_error(error)), None)),
        }
    });
    app.files.receive(app.context.new_id(), chunks, app.options.max_upload_bytes).await
}

/// What the parts before the file say.
#[derive(Default)]
struct About {
    channel: Option<Channel>,
    date: Option<chrono::NaiveDate>,
    account: String,
    timezone: Option<String>,
    role: Option<FileRole>,
    mapping: Option<String>,
    consent: Consent,
    seen: BTreeSet<String>,
}

impl About {
    async fn take(&mut self, field: Field<'_>) -> Result<()> {
        let name = field.name().unwrap_or_default().to_owned();
        if !self.seen.insert(name.clone()) {
            return Err(Error::invalid_field(name, "this part comes twice", "该部分重复"));
        }
        let text = read_text(&name, field).await?;
        match name.as_str() {
            "channel" => self.channel = Some(word(&name, &text)?),
            "role" => self.role = Some(word(&name, &text)?),
            "settlement_date" => {
                self.date = Some(text.trim().parse().map_err(|_| {
                    Error::invalid_field(
                        &name,
                        "a date such as 2024-10-24 is expected",
                        "应为日期，例如 2024-10-24",
                    )
                })?);
            }
            "account" => {
                check_account(&text)?;
                text.trim().clone_into(&mut self.account);
            }
            "timezone" => self.timezone = Some(text.trim().to_owned()),
            "mapping" => self.mapping = Some(text),
            "restore" => self.consent.restore = yes_or_no(&name, &text)?,
            "allow_empty" => self.consent.allow_empty = yes_or_no(&name, &text)?,
            "allow_other_day" => self.consent.allow_other_day = yes_or_no(&name, &text)?,
            "allow_missing_pages" => self.consent.allow_missing_pages = yes_or_no(&name, &text)?,
            _ => return Err(Error::invalid_field(name, "no such part of the form", "表单中没有此部分")),
        }
        Ok(())
    }

    fn subject(&self, app: &Reconciliation, default_role: FileRole) -> Result<Subject> {
        let date = self.date.ok_or_else(|| missing("settlement_date"))?;
        let role = self.role.unwrap_or(default_role);
        if (role == FileRole::Platform) != (default_role == FileRole::Platform) {
            let en = "platform files go to /platform-files, all others to /settlement-files";
            return Err(Error::invalid_field(
                "role",
                en,
                "平台文件请上传到 /platform-files，其他文件上传到 /settlement-files",
            ));
        }
        let zone =
            tasks::check_day(app, "settlement_date", date, self.timezone.as_deref().unwrap_or("Etc/UTC"))?;
        Ok(Subject {
            role,
            channel: self.channel.ok_or_else(|| missing("channel"))?,
            account: self.account.clone(),
            date,
            timezone: zone.name().to_owned(),
            // A bank statement tells them itself.
            bank_accounts: String::new(),
        })
    }

    /// Refuses a channel's file that nothing would read: of the channels, only Stripe's files are read without a
    /// mapping, and only its balance summaries are read at all.
    fn check_reader(&self, subject: &Subject) -> Result<()> {
        let channel = subject.channel.as_str();
        let stripe = subject.channel == Channel::Stripe;
        match (subject.role, &self.mapping) {
            (FileRole::Settlement, None) if !stripe => Err(Error::invalid_field(
                "mapping",
                format!(
                    "files of {channel} need a mapping, in a part before the file: only stripe's files are read \
                     without one"
                ),
                format!("{channel} 的文件需要 mapping，且须放在文件之前：只有 stripe 的文件无需映射即可读取"),
            )),
            (FileRole::BalanceSummary, _) if !stripe => Err(Error::invalid_field(
                "role",
                format!("balance summaries of {channel} cannot be read: only stripe's can"),
                format!("无法读取 {channel} 的余额汇总：仅支持 stripe"),
            )),
            (FileRole::Payouts | FileRole::PayoutRows, _) if !stripe => Err(Error::invalid_field(
                "role",
                format!("reports of payouts of {channel} cannot be read: only stripe's can"),
                format!("无法读取 {channel} 的打款报告：仅支持 stripe"),
            )),
            (FileRole::Payouts | FileRole::PayoutRows, Some(_)) => Err(Error::invalid_field(
                "mapping",
                "a report of payouts is read without a mapping",
                "打款报告不使用 mapping",
            )),
            (FileRole::BankStatement, Some(_)) => Err(Error::invalid_field(
                "mapping",
                "a bank statement is read without a mapping",
                "银行对账单不使用 mapping",
            )),
            (FileRole::BalanceSummary, Some(_)) => Err(Error::invalid_field(
                "mapping",
                "a balance summary is read without a mapping",
                "余额汇总不使用 mapping",
            )),
            _ => Ok(()),
        }
    }

    /// Without a mapping, a platform file's format is seen from its first byte once it is on disk.
    fn announced(self, subject: Subject, file_name: Option<String>) -> Announced {
        let format = match (&self.mapping, subject.role) {
            (_, FileRole::BalanceSummary) => FileFormat::StripeSummary,
            (_, FileRole::BankStatement) => FileFormat::Bank,
            (_, FileRole::Payouts) => FileFormat::StripePayouts,
            (Some(_), _) => FileFormat::Mapped,
            (None, FileRole::Platform) => FileFormat::PlatformCsv,
            (None, FileRole::Settlement | FileRole::PayoutRows) => FileFormat::StripeItemized,
        };
        Announced {
            subject,
            source: FileSource::Upload,
            format,
            mapping: self.mapping,
            report_type: None,
            file_name,
            consent: self.consent,
        }
    }
}

async fn read_text(name: &str, mut field: Field<'_>) -> Result<String> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(multipart_error)? {
        if text.len() + chunk.len() > LARGEST_MAPPING {
            return Err(Error::invalid_field(name, "the part is larger than 64 KiB", "该部分大于 64 KiB"));
        }
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text)
        .map_err(|_| Error::invalid_field(name, "the part is not UTF-8", "该部分不是 UTF-8"))
}

fn word<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(text.trim().to_owned())).map_err(|error| {
        let why = error.to_string();
        Error::invalid_field(name, why.clone(), format!("无效的值：{why}"))
    })
}

fn yes_or_no(name: &str, text: &str) -> Result<bool> {
    let wanted = text.trim().parse();
    wanted.map_err(|_| Error::invalid_field(name, "true or false is expected", "应为 true 或 false"))
}

fn missing(part: &'static str) -> Error {
    Error::invalid_field(
        part,
        "this part of the form is missing, or stands behind the file: the file is the last part",
        "缺少表单的此部分，或其位于文件之后：文件必须是最后一部分",
    )
}

/// A form that breaks off or is none.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn multipart_error(error: MultipartError) -> Error {
    let why = error.body_text();
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Error::new(ErrorKind::PayloadTooLarge, "FILE_TOO_LARGE", why, "文件过大；未保存任何内容");
    }
    Error::invalid_field("", why.clone(), format!("无法读取表单：{why}"))
}
