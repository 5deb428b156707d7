//! The HTTP API of reconciliation: extract, call an operation, answer.

mod files;
mod overview;
mod records;
mod reports;
mod schedules;
mod tasks;
mod upload;
mod webhooks;
pub mod wire;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use chrono::NaiveDate;
use futures::FutureExt;
use futures::future::BoxFuture;
use payops_core::time::business_date;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, Command, openapi_document};
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Reconciliation;

/// The routes as the service serves them.
pub fn routes(app: Reconciliation) -> OpenApiRouter {
    // Forms carry a little more than the file; the file itself is counted as it is written to disk.
    let form_bytes = app.options.max_upload_bytes.saturating_add(1 << 20);
    let form_bytes = usize::try_from(form_bytes).unwrap_or(usize::MAX);
    documented_routes(DefaultBodyLimit::max(form_bytes)).with_state(app)
}

/// The OpenAPI document of the service, called `name`.
pub fn openapi(name: &str) -> OpenApi {
    openapi_document(name, &documented_routes(DefaultBodyLimit::disable()))
}

/// Every route of the service, each with its documentation.
fn documented_routes(form_limit: DefaultBodyLimit) -> OpenApiRouter<Reconciliation> {
    let uploads = OpenApiRouter::new()
        .routes(routes!(upload::upload_settlement_file))
        .routes(routes!(upload::upload_platform_file))
        .layer(form_limit);
    OpenApiRouter::new()
        .routes(routes!(tasks::create_task, tasks::list_tasks))
        .routes(routes!(tasks::get_task))
        .routes(routes!(tasks::execute_task))
        .routes(routes!(tasks::retry_task))
        .routes(routes!(tasks::cancel_task))
        .routes(routes!(tasks::task_events))
        .routes(routes!(records::list_records))
        .routes(routes!(records::get_record))
        .routes(routes!(records::resolve_record))
        .routes(routes!(records::reopen_record))
        .routes(routes!(records::comment_record))
        .routes(routes!(records::bulk_resolve_records))
        .routes(routes!(records::assign_records))
        .routes(routes!(files::download_settlement_file))
        .routes(routes!(files::list_settlement_files))
        .routes(routes!(files::get_settlement_file))
        .routes(routes!(reports::get_report))
        .routes(routes!(reports::download_report))
        .routes(routes!(overview::get_summary))
        .routes(routes!(schedules::create_schedule, schedules::list_schedules))
        .routes(routes!(schedules::get_schedule, schedules::replace_schedule, schedules::remove_schedule))
        .routes(routes!(webhooks::receive_stripe_event))
        .merge(uploads)
}

/// What an effect works with: the service, the transaction, who asks and what for.
pub(crate) struct Scope<'t, B> {
    pub(crate) app: &'t Reconciliation,
    pub(crate) tx: &'t Tx,
    pub(crate) actor: &'t Actor,
    pub(crate) body: &'t B,
}

/// Runs an effect in one transaction, once per `Idempotency-Key`.
pub(crate) async fn write<B, R, F>(
    app: &Reconciliation,
    name: &'static str,
    actor: Actor,
    command: Command<B>,
    effect: F,
) -> Result<Answer<R>>
where
    B: Send + Sync + 'static,
    R: Serialize + Send + 'static,
    F: for<'t> Fn(Scope<'t, B>) -> BoxFuture<'t, Result<Answer<R>>> + Send + Sync + 'static,
{
    let shared = Arc::new((app.clone(), actor, command, effect));
    app.context
        .db
        .write(name, move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, actor, command, effect) = &*shared;
                let scope = Scope { app, tx, actor, body: &command.body };
                command.once(tx, &app.context, actor, effect(scope)).await
            }
            .boxed()
        })
        .await
}

/// Refuses a text that is too short, too long, or holds a NUL, which PostgreSQL cannot keep; `path` names the
/// field. A text that shows nothing to a reader counts as empty.
pub(crate) fn check_text(path: &str, text: &str, least: usize, most: usize) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid_field(path, "NUL characters are not accepted", "不允许包含 NUL 字符"));
    }
    if least > 0 && is_blank(text) {
        return Err(Error::invalid_field(
            path,
            format!("{path} needs at least {least} visible characters"),
            format!("{path} 至少需要 {least} 个可见字符"),
        ));
    }
    let length = text.trim().chars().count();
    if (least..=most).contains(&length) {
        return Ok(());
    }
    Err(Error::invalid_field(
        path,
        format!("{path} has {length} characters; {least} to {most} are accepted"),
        format!("{path} 有 {length} 个字符；允许 {least} 到 {most} 个"),
    ))
}

/// Refuses a name of a channel account that is too long or holds characters that nobody sees: two accounts that
/// look alike must not be two.
pub(crate) fn check_account(account: &str) -> Result<()> {
    check_text("account", account, 0, 128)?;
    if account.trim().chars().any(|c| is_invisible(c) && c != ' ') {
        return Err(Error::invalid_field(
            "account",
            "invisible characters are not accepted",
            "不允许包含不可见字符",
        ));
    }
    Ok(())
}

/// Whether a text shows nothing to a reader.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(is_invisible)
}

/// White space, control characters, and the characters of Unicode that have no width or no ink.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Refuses a word of a query that is none of the words that there are: a filter that can match nothing must not
/// look like an empty list. `path` names the parameter.
pub(crate) fn check_word(path: &str, word: Option<&str>, known: &[&str]) -> Result<()> {
    if word.is_none_or(|word| known.contains(&word)) {
        return Ok(());
    }
    let known = known.join(", ");
    Err(Error::invalid_field(path, format!("is not one of: {known}"), format!("应为以下之一：{known}")))
}

/// Refuses dates of a query in years that no business day lies in.
pub(crate) fn check_dates(dates: &[(&str, Option<NaiveDate>)]) -> Result<()> {
    for (path, date) in dates {
        if let Some(date) = *date {
            business_date(date).map_err(|error| crate::error::implausible_date(path, error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_no_text() {
        for text in ["", "  \t\n", "\u{200b}", "\u{feff} \u{2060}", "\u{3164}", "\u{2800}\u{a0}"] {
            assert!(is_blank(text), "{text:?}");
            assert!(check_text("note", text, 1, 10).is_err(), "{text:?}");
        }
        for text in ["x", "费", " . ", "e\u{301}", "👩\u{200d}💻"] {
            assert!(check_text("note", text, 1, 10).is_ok(), "{text:?}");
        }
        assert!(check_account("acct_1 east").is_ok());
        assert!(check_account("acct\u{200b}_1").is_err());
    }
}
