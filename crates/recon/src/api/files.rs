//! Settlement files: fetch, list, show.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{Authorized, OperatorOnly};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command, PageParams, PageQuery, PathParams};
use uuid::Uuid;

use super::wire::{DownloadFile, SettlementFile, WithdrawFile, Withdrawn};
use super::{check_account, check_dates, check_text, write};
use crate::Reconciliation;
use crate::ops::{files, tasks, uploads};
use crate::store::file::{self, Subject};

/// Fetches a channel's file of a day, now, whether or not a task needs it.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/settlement-files/download",
    tag = "files",
    request_body = DownloadFile,
    responses(
        (status = 202, description = "Asked for; watch it by its file_no", body = SettlementFile),
        (status = 422, description = "CHANNEL_WITHOUT_DOWNLOAD or NOT_CONFIGURED"),
    )
)]
pub(super) async fn download_settlement_file(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    command: Command<DownloadFile>,
) -> Result<Answer<SettlementFile>> {
    check_account(&command.body.account)?;
    write(&app, "reconciliation.download_file", caller.actor(), command, |scope| {
        async move {
            let body = scope.body;
            let zone = tasks::check_day(scope.app, "settlement_date", body.settlement_date, &body.timezone)?;
            let subject = Subject {
                role: body.role,
                channel: body.channel,
                account: body.account.trim().to_owned(),
                date: body.settlement_date,
                timezone: zone.name().to_owned(),
                bank_accounts: String::new(),
            };
            let file = files::request_download(scope.app, scope.tx, scope.actor, &subject).await?;
            Ok(Answer::accepted(SettlementFile::from(file)))
        }
        .boxed()
    })
    .await
}

/// Takes a bank statement out of force that is none of the day's. Days that rest on it are reconciled again without it. The
/// same bytes, handed over with `restore=true`, put it in force again.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/settlement-files/{file_no}/withdraw",
    tag = "files",
    params(("file_no" = String, Path, description = "The file's number, such as BANK-stripe-20241024-1234")),
    request_body = WithdrawFile,
    responses(
        (status = 200, description = "Withdrawn: superseded by no other file", body = Withdrawn),
        (status = 400, description = "INVALID_REQUEST: the note is missing or too long"),
        (status = 404, description = "FILE_NOT_FOUND"),
        (status = 409, description = "FILE_NOT_IN_FORCE: it was superseded or withdrawn; data says so"),
        (status = 422, description = "FILE_NOT_WITHDRAWABLE: it is no bank statement"),
    )
)]
pub(super) async fn withdraw_settlement_file(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    PathParams(file_no): PathParams<String>,
    command: Command<WithdrawFile>,
) -> Result<Answer<Withdrawn>> {
    check_text("note", &command.body.note, 1, 2000)?;
    write(&app, "reconciliation.withdraw_file", caller.actor(), command, move |scope| {
        let file_no = file_no.clone();
        async move {
            let which = (file_no.as_str(), scope.body.note.trim());
            let (file, rerun_task_ids) = uploads::withdraw(scope.app, scope.tx, scope.actor, which).await?;
            Ok(Answer::ok(Withdrawn { file: SettlementFile::from(file), rerun_task_ids }))
        }
        .boxed()
    })
    .await
}

/// Lists files, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/settlement-files",
    tag = "files",
    params(file::Filter, PageParams),
    responses((status = 200, description = "A page of files", body = Vec<SettlementFile>))
)]
pub(super) async fn list_settlement_files(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    query: PageQuery<Uuid, file::Filter>,
) -> Result<Answer<Page<SettlementFile>>> {
    check_dates(&[("settlement_date", query.filter.settlement_date)])?;
    let page = file::list(app.context.db.read(), &query.filter, &query.page).await?;
    Ok(Answer::ok(page.map(SettlementFile::from)))
}

/// Gives one file's row by its number.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/settlement-files/{file_no}",
    tag = "files",
    params(("file_no" = String, Path, description = "The file's number, such as SETTLE-stripe-20241024-1234")),
    responses(
        (status = 200, description = "The file", body = SettlementFile),
        (status = 404, description = "FILE_NOT_FOUND"),
    )
)]
pub(super) async fn get_settlement_file(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathParams(file_no): PathParams<String>,
) -> Result<Answer<SettlementFile>> {
    let file = file::by_number(app.context.db.read(), &file_no).await?;
    Ok(Answer::ok(SettlementFile::from(file)))
}
