//! `POST /v1/reporting/report_runs`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use payops_core::currency::Currency;
use payops_core::time::{Clock, Timestamp, Zone};
use serde_json::{Map, Value};

use super::error::StripeError;
use super::form::Form;
use super::post::{Call, once};
use super::runs::{Outcome, Run};
use crate::days::Channel;
use crate::faults::{FaultTarget, Strike, SummaryAbsence};
use crate::report::{Family, Flaw, Report, ReportType};
use crate::server::Shared;

pub(crate) async fn create_run(State(shared): State<Arc<Shared>>, call: Call) -> Response {
    let report_type = call.form.get("report_type").map(str::to_owned);
    once(&shared, call, (FaultTarget::StripeCreate, report_type.as_deref()), |call, strike| {
        let run = new_run(&shared, &call.form, strike)?;
        let object = run.object(&shared.base_url, 0);
        shared.runs.add(run);
        Ok(object)
    })
    .await
}

fn new_run(shared: &Shared, form: &Form, strike: &Strike) -> Result<Run, StripeError> {
    let mut report = report_of(shared, form)?;
    match strike.no_summary {
        Some(SummaryAbsence::Refuse) => {
            return Err(StripeError::no_such("report type", &report.kind.to_string()));
        }
        Some(SummaryAbsence::Empty) => report.flaw = Some(Flaw::Empty),
        None if strike.broken_summary => report.flaw = Some(Flaw::Unbalanced),
        None => {}
    }
    let outcome = match (strike.report_stays_pending, strike.report_fails) {
        (true, _) => Outcome::StaysPending,
        (false, true) => Outcome::Fails,
        (false, false) => Outcome::Succeeds,
    };
    let created = shared.clock.now();
    let ready_at = created + shared.report_delay;
    let ids = (shared.new_id("frr_1"), shared.new_id("file_1"));
    Ok(Run::new(ids, (created, ready_at), report, parameters_object(form), outcome))
}

/// The parameters as the run shows them.
fn parameters_object(form: &Form) -> Value {
    let mut shown = Map::new();
    for name in ["currency", "decimal_separator", "reporting_category", "timezone"] {
        if let Some(value) = form.get(&format!("parameters[{name}]")) {
            shown.insert(name.to_owned(), Value::from(value));
        }
    }
    for name in ["interval_start", "interval_end"] {
        if let Ok(Some(value)) = form.integer(&format!("parameters[{name}]")) {
            shown.insert(name.to_owned(), Value::from(value));
        }
    }
    let columns = form.list("parameters[columns]");
    if !columns.is_empty() {
        shown.insert("columns".to_owned(), Value::from(columns));
    }
    Value::Object(shown)
}

fn report_of(shared: &Shared, form: &Form) -> Result<Report, StripeError> {
    let id = form.required("report_type")?;
    let report_type = ReportType::parse(id).ok_or_else(|| {
        StripeError::invalid("report_type", format!("Invalid report_type: '{id}' is not a report type."))
    })?;
    refuse_unknown_parameters(report_type, form)?;
    let (start, end) = interval_of(shared, report_type, form)?;
    let world = shared.world();
    let mut report = Report::plain(&world, Channel::Stripe, report_type, (start, end));
    let columns = form.list("parameters[columns]");
    if let Some(unknown) = columns.iter().find(|name| report_type.field(name).is_none()) {
        let message = format!("Invalid column for the report type {report_type}: {unknown}");
        return Err(StripeError::invalid("parameters.columns", message));
    }
    if !columns.is_empty() {
        report.columns = columns.into_iter().map(str::to_owned).collect();
    }
    if let Some(zone) = form.get("parameters[timezone]") {
        report.zone = zone_named(zone)?;
    }
    if let Some(currency) = form.get("parameters[currency]") {
        let known = currency.parse::<Currency>();
        report.currency = Some(known.map_err(|_| {
            StripeError::invalid("parameters[currency]", format!("Invalid currency: {currency}."))
        })?);
    }
    report.category = form.get("parameters[reporting_category]").map(str::to_owned);
    report.decimal_separator = match form.get("parameters[decimal_separator]") {
        None | Some("." | "point") => '.',
        Some("," | "comma") => ',',
        Some(other) => {
            let message = format!("Invalid decimal_separator: '{other}'.");
            return Err(StripeError::invalid("parameters[decimal_separator]", message));
        }
    };
    Ok(report)
}

fn refuse_unknown_parameters(report_type: ReportType, form: &Form) -> Result<(), StripeError> {
    let mut names =
        vec!["report_type", "parameters[interval_start]", "parameters[interval_end]", "parameters[currency]"];
    if report_type.takes_timezone() {
        names.push("parameters[timezone]");
    }
    if report_type.family != Family::BalanceSummary {
        names.extend(["parameters[reporting_category]", "parameters[decimal_separator]"]);
    }
    form.refuse_others(&names, &["parameters[columns]", "expand"])
}

pub(super) fn zone_named(name: &str) -> Result<jiff::tz::TimeZone, StripeError> {
    let invalid = || StripeError::invalid("parameters.timezone", format!("Invalid timezone: {name}"));
    Zone::named(name).map_err(|_| invalid())?;
    if name == "Etc/UTC" {
        Ok(jiff::tz::TimeZone::UTC)
    } else {
        jiff::tz::TimeZone::get(name).map_err(|_| invalid())
    }
}

fn interval_of(shared: &Shared, report_type: ReportType, form: &Form) -> Result<(i64, i64), StripeError> {
    let bound = |name: &str| {
        form.required(name)?;
        form.integer(name).map(Option::unwrap_or_default)
    };
    let (start, end) = (bound("parameters[interval_start]")?, bound("parameters[interval_end]")?);
    let (first, last) = shared.availability();
    let show = |seconds: i64| {
        chrono::DateTime::from_timestamp(seconds, 0).map_or_else(
            || seconds.to_string(),
            |at: Timestamp| at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
    };
    if start >= end {
        let message =
            format!("`interval_start` ({}) must be before `interval_end` ({}).", show(start), show(end));
        return Err(StripeError::invalid("parameters.interval_start", message));
    }
    let outside = |name: &str, word: &str, bound: i64, asked: i64| {
        StripeError::invalid(
            format!("parameters.{name}"),
            format!(
                "Data for the report type {report_type} is only available {word} {}; you requested `{name}` = {}.",
                show(bound),
                show(asked)
            ),
        )
    };
    if start < first {
        return Err(outside("interval_start", "starting at", first, start));
    }
    if end > last {
        return Err(outside("interval_end", "through", last, end));
    }
    Ok((start, end))
}
