//! The HTTP API of reconciliation: extract, call an operation, answer.

mod back_tests;
mod channel_settings;
mod completeness;
mod expected_files;
mod files;
mod overview;
mod records;
mod reports;
mod rule_sets;
mod schedules;
mod tasks;
mod upload;
mod webhooks;
pub mod wire;

use axum::extract::DefaultBodyLimit;
use chrono::NaiveDate;
use payops_core::time::business_date;
use payops_platform::error::{Error, Result};
use payops_platform::http::openapi_document;
pub(crate) use payops_platform::http::{check_text, is_blank, is_invisible, write};
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
        .routes(routes!(files::withdraw_settlement_file))
        .routes(routes!(reports::get_report))
        .routes(routes!(reports::download_report))
        .routes(routes!(overview::get_summary))
        .routes(routes!(schedules::create_schedule, schedules::list_schedules))
        .routes(routes!(schedules::get_schedule, schedules::replace_schedule, schedules::remove_schedule))
        .routes(routes!(expected_files::create_expected_file, expected_files::list_expected_files))
        .routes(routes!(
            expected_files::get_expected_file,
            expected_files::replace_expected_file,
            expected_files::remove_expected_file
        ))
        .routes(routes!(rule_sets::create_rule_set, rule_sets::list_rule_sets))
        .routes(routes!(rule_sets::get_rule_set))
        .routes(routes!(rule_sets::activate_rule_set))
        .routes(routes!(back_tests::create_back_test))
        .routes(routes!(back_tests::list_back_tests))
        .routes(routes!(back_tests::get_back_test, back_tests::remove_back_test))
        .routes(routes!(back_tests::cancel_back_test))
        .routes(routes!(back_tests::list_back_test_tasks))
        .routes(routes!(back_tests::list_back_test_changes))
        .routes(routes!(channel_settings::create_channel_settings, channel_settings::list_channel_settings))
        .routes(routes!(
            channel_settings::get_channel_settings,
            channel_settings::replace_channel_settings,
            channel_settings::remove_channel_settings
        ))
        .routes(routes!(completeness::get_completeness))
        .routes(routes!(completeness::excuse_day))
        .routes(routes!(webhooks::receive_stripe_event))
        .merge(uploads)
}

/// What an effect works with.
pub(crate) type Scope<'t, B> = payops_platform::http::Scope<'t, Reconciliation, B>;

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
    fn accounts_that_look_alike_are_one() {
        assert!(check_account("acct_1 east").is_ok());
        assert!(check_account("acct\u{200b}_1").is_err());
    }
}
