//! One line about every request.

use std::time::Duration;

use http::StatusCode;
use tracing::Span;

use super::MethodMeter;
use crate::auth::Caller;
use crate::http::envelope::Remark;
use crate::http::service::AccessLog;

pub(super) struct AccessLine<'r> {
    pub(super) meter: &'r MethodMeter,
    pub(super) status: StatusCode,
    pub(super) took: Duration,
    pub(super) caller: Option<&'r Caller>,
    pub(super) remark: Remark,
}

impl AccessLine<'_> {
    /// Our faults are errors, callers' faults news, the rest is news only where the settings say so.
    pub(super) fn write(self, span: &Span, setting: AccessLog) {
        // Signed, since the exporter of traces writes unsigned numbers as text.
        let status = i64::from(self.status.as_u16());
        span.record("http.response.status_code", status);
        if status >= 500 {
            span.record("otel.status_code", "ERROR");
        }
        macro_rules! line {
            ($write:ident) => {
                tracing::$write!(
                    target: "payops::access",
                    parent: span,
                    status,
                    duration_us = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
                    actor = self.caller.map(|caller| tracing::field::display(caller.actor())),
                    code = self.remark.code,
                    internal = self.remark.internal.as_deref(),
                    "{}",
                    self.meter.name
                )
            };
        }
        match (status, setting) {
            (500.., _) => line!(error),
            (400.., _) | (_, AccessLog::All) => line!(info),
            (_, AccessLog::Failures) => line!(debug),
        }
    }
}
