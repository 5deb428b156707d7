//! Faults on demand: what goes wrong, where, and how often.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The calls that a fault can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FaultTarget {
    /// `GET /v1/reporting/report_types` and `…/{id}`.
    #[serde(rename = "stripe.types")]
    StripeTypes,
    /// `POST /v1/reporting/report_runs`.
    #[serde(rename = "stripe.create")]
    StripeCreate,
    /// `GET /v1/reporting/report_runs/{id}`.
    #[serde(rename = "stripe.poll")]
    StripePoll,
    /// `GET /v1/files/{id}/contents`.
    #[serde(rename = "stripe.download")]
    StripeDownload,
    /// `GET /v1/disputes` and `…/{id}`, also by charge.
    #[serde(rename = "stripe.disputes")]
    StripeDisputes,
    /// `POST /v1/disputes/{id}`, also by charge.
    #[serde(rename = "stripe.dispute_update")]
    StripeDisputeUpdate,
    /// `POST /v1/disputes/{id}/close`, also by charge.
    #[serde(rename = "stripe.dispute_close")]
    StripeDisputeClose,
    /// `POST /v1/files`.
    #[serde(rename = "stripe.upload")]
    StripeUpload,
    /// Every other call to Stripe that reads: charges, files, events, the balance …
    #[serde(rename = "stripe.read")]
    StripeRead,
    /// Every other call to Stripe that changes something: charges, refunds, file links, webhook endpoints …
    #[serde(rename = "stripe.write")]
    StripeWrite,
    /// `GET /internal/payments/reconciliation`.
    #[serde(rename = "gateway.feed")]
    GatewayFeed,
    /// `GET /internal/payments/by-channel/{id}`.
    #[serde(rename = "gateway.payment")]
    GatewayPayment,
    /// One attempt to deliver a webhook.
    #[serde(rename = "webhook")]
    Webhook,
}

impl FaultTarget {
    const ALL: [Self; 13] = {
        use FaultTarget::{
            GatewayFeed, GatewayPayment, StripeCreate, StripeDisputeClose, StripeDisputeUpdate,
            StripeDisputes, StripeDownload, StripePoll, StripeRead, StripeTypes, StripeUpload, StripeWrite,
            Webhook,
        };
        [
            StripeCreate,
            StripeDisputeUpdate,
            StripeDisputeClose,
            StripeUpload,
            StripeWrite,
            StripeTypes,
            StripePoll,
            StripeDownload,
            StripeDisputes,
            StripeRead,
            GatewayFeed,
            GatewayPayment,
            Webhook,
        ]
    };
    const CALLS: [Self; 12] = first(Self::ALL);
    const STRIPE: [Self; 10] = first(Self::ALL);
    const STRIPE_WRITES: [Self; 5] = first(Self::ALL);
}

/// The first so many of all targets, which are listed from the narrowest group to the widest.
const fn first<const N: usize>(all: [FaultTarget; 13]) -> [FaultTarget; N] {
    let mut some = [FaultTarget::Webhook; N];
    let mut at = 0;
    while at < N {
        some[at] = all[at];
        at += 1;
    }
    some
}

impl fmt::Display for FaultTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StripeTypes => "stripe.types",
            Self::StripeCreate => "stripe.create",
            Self::StripePoll => "stripe.poll",
            Self::StripeDownload => "stripe.download",
            Self::StripeDisputes => "stripe.disputes",
            Self::StripeDisputeUpdate => "stripe.dispute_update",
            Self::StripeDisputeClose => "stripe.dispute_close",
            Self::StripeUpload => "stripe.upload",
            Self::StripeRead => "stripe.read",
            Self::StripeWrite => "stripe.write",
            Self::GatewayFeed => "gateway.feed",
            Self::GatewayPayment => "gateway.payment",
            Self::Webhook => "webhook",
        })
    }
}

/// How a file or feed is corrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CorruptMode {
    /// The amount of the first row is not a number, or a payment's merchant is no id. The length stays.
    Row,
    /// One byte in 1024 has its highest bit flipped, so that the text is not UTF-8. The length stays.
    Bytes,
}

/// How the balance summary is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SummaryAbsence {
    /// Its run is refused as if the account had no such report type.
    Refuse,
    /// Its run succeeds with a header and no rows.
    Empty,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The answer (or the delivery) begins only after so many real milliseconds. Any target.
    Slow {
        /// Real milliseconds.
        ms: u64,
    },
    /// The call is answered with an error in the target's own form and has no effect. Any but webhooks.
    Status {
        /// From 400 to 599.
        status: u16,
        /// Seconds, sent as `Retry-After`.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// The call has its effect, and the answer begins only after so many real milliseconds. Calls to Stripe.
    SlowAfter {
        /// Real milliseconds.
        ms: u64,
    },
    /// The call has its effect and is answered with an error all the same, which its idempotency key remembers.
    /// Calls to Stripe that change something.
    StatusAfter {
        /// From 500 to 599.
        status: u16,
    },
    /// The call has no effect and is answered with an error, which its idempotency key remembers: a new key is needed.
    /// Calls to Stripe that change something.
    StatusKept {
        /// From 500 to 599.
        status: u16,
    },
    /// The connection breaks after so many bytes of the body; the call had its effect. Any but webhooks.
    Cut {
        /// Bytes of the body that still arrive.
        after: u64,
    },
    /// The content is damaged. Downloads, the gateway's answers, and webhooks (after they were signed).
    Corrupt {
        /// How.
        mode: CorruptMode,
    },
    /// The last rows are missing, and nothing on the wire tells. Downloads and the feed, whose trailer still
    /// counts all rows.
    TruncateRows {
        /// How many rows are missing.
        rows: u64,
    },
    /// The feed's trailer counts one row too many and sums one minor unit too much.
    WrongTrailer,
    /// The feed has no trailer.
    NoTrailer,
    /// The run that is created ends as `failed`.
    ReportFails,
    /// The run that is created stays `pending` for ever.
    ReportStaysPending,
    /// The balance summary does not tie: on `stripe.create` the run's own content (size and `ETag` fit it), on
    /// `stripe.download` only that download. Only runs of `balance.summary.*` use it up.
    BrokenSummary,
    /// The balance summary is missing. Only runs of `balance.summary.*` use it up.
    NoSummary {
        /// How.
        mode: SummaryAbsence,
    },
    /// The run's File object states a size that is wrong. On `stripe.poll`.
    LieSize {
        /// Added to the true size.
        by: i64,
    },
    /// The webhook is never sent, and counted as delivered.
    Lost,
    /// The webhook is sent twice.
    Duplicate,
    /// The webhook is signed with another secret.
    BadSignature,
    /// The webhook is sent only after the next one to the same receiver has arrived, or after a minute of the
    /// sandbox's clock.
    Reorder,
}

impl FaultKind {
    /// The kind's name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Slow { .. } => "slow",
            Self::Status { .. } => "status",
            Self::SlowAfter { .. } => "slow_after",
            Self::StatusAfter { .. } => "status_after",
            Self::StatusKept { .. } => "status_kept",
            Self::Cut { .. } => "cut",
            Self::Corrupt { .. } => "corrupt",
            Self::TruncateRows { .. } => "truncate_rows",
            Self::WrongTrailer => "wrong_trailer",
            Self::NoTrailer => "no_trailer",
            Self::ReportFails => "report_fails",
            Self::ReportStaysPending => "report_stays_pending",
            Self::BrokenSummary => "broken_summary",
            Self::NoSummary { .. } => "no_summary",
            Self::LieSize { .. } => "lie_size",
            Self::Lost => "lost",
            Self::Duplicate => "duplicate",
            Self::BadSignature => "bad_signature",
            Self::Reorder => "reorder",
        }
    }

    fn targets(&self) -> &'static [FaultTarget] {
        use FaultTarget::{GatewayFeed, GatewayPayment, StripeCreate, StripeDownload, StripePoll, Webhook};
        match self {
            Self::Slow { .. } => &FaultTarget::ALL,
            Self::Status { .. } | Self::Cut { .. } => &FaultTarget::CALLS,
            Self::SlowAfter { .. } => &FaultTarget::STRIPE,
            Self::StatusAfter { .. } | Self::StatusKept { .. } => &FaultTarget::STRIPE_WRITES,
            Self::Corrupt { .. } => &[StripeDownload, GatewayFeed, GatewayPayment, Webhook],
            Self::TruncateRows { .. } => &[StripeDownload, GatewayFeed],
            Self::WrongTrailer | Self::NoTrailer => &[GatewayFeed],
            Self::ReportFails | Self::ReportStaysPending | Self::NoSummary { .. } => &[StripeCreate],
            Self::BrokenSummary => &[StripeCreate, StripeDownload],
            Self::LieSize { .. } => &[StripePoll],
            Self::Lost | Self::Duplicate | Self::BadSignature | Self::Reorder => &[Webhook],
        }
    }

    fn is_about_summaries(&self) -> bool {
        matches!(self, Self::BrokenSummary | Self::NoSummary { .. })
    }
}

/// Something that shall go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The calls it strikes.
    pub target: FaultTarget,
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// How many calls it strikes; 0 strikes all until it is removed.
    pub times: u32,
    /// Strikes only calls about report types whose id starts with this text. For targets of Stripe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_type: Option<String>,
}

/// A fault that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFault {
    /// The kind cannot strike the target.
    #[error("a fault of kind {kind} cannot strike {target}; it can strike {possible}")]
    WrongTarget {
        /// The kind's name.
        kind: &'static str,
        /// The target that was given.
        target: FaultTarget,
        /// The targets that it can strike.
        possible: String,
    },
    /// The status is no error.
    #[error("{0} is no error status: 400 to 599 are")]
    NoErrorStatus(u16),
    /// Only calls to Stripe are about report types.
    #[error("calls to {0} are about no report type")]
    NoReportType(FaultTarget),
    /// A field that the kind has no use for, or lacks.
    #[error("{0}")]
    Field(String),
}

impl Fault {
    /// A fault that strikes one call.
    pub fn once(target: FaultTarget, kind: FaultKind) -> Self {
        Self { target, kind, times: 1, report_type: None }
    }

    /// The same, striking `times` calls; 0 means all until it is removed.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// The same, for report types whose id starts with `prefix`.
    #[must_use]
    pub fn for_report(self, prefix: &str) -> Self {
        Self { report_type: Some(prefix.to_owned()), ..self }
    }

    fn check(&self) -> Result<(), InvalidFault> {
        use FaultTarget::{StripeCreate, StripeDownload, StripePoll, StripeTypes};

        let possible = self.kind.targets();
        if !possible.contains(&self.target) {
            let names: Vec<String> = possible.iter().map(ToString::to_string).collect();
            return Err(InvalidFault::WrongTarget {
                kind: self.kind.name(),
                target: self.target,
                possible: names.join(", "),
            });
        }
        if let FaultKind::Status { status, .. } = self.kind
            && !(400..=599).contains(&status)
        {
            return Err(InvalidFault::NoErrorStatus(status));
        }
        if let FaultKind::StatusAfter { status } | FaultKind::StatusKept { status } = self.kind
            && !(500..=599).contains(&status)
        {
            return Err(InvalidFault::Field(format!("{status} is not kept under a key: 500 to 599 are")));
        }
        let has_reports = matches!(self.target, StripeTypes | StripeCreate | StripePoll | StripeDownload);
        if self.report_type.is_some() && !has_reports {
            return Err(InvalidFault::NoReportType(self.target));
        }
        Ok(())
    }

    fn strikes(&self, target: FaultTarget, report_type: Option<&str>) -> bool {
        let fits = |prefix: &str| report_type.is_some_and(|id| id.starts_with(prefix));
        self.target == target
            && self.report_type.as_deref().is_none_or(fits)
            && (!self.kind.is_about_summaries() || fits("balance.summary"))
    }
}

/// A fault as it is posted: one flat object, so that an unknown or missing field can be named.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultRequest {
    target: FaultTarget,
    kind: String,
    #[serde(default = "one")]
    times: u32,
    report_type: Option<String>,
    ms: Option<u64>,
    status: Option<u16>,
    retry_after: Option<u64>,
    after: Option<u64>,
    mode: Option<String>,
    rows: Option<u64>,
    by: Option<i64>,
}

fn one() -> u32 {
    1
}

impl FaultRequest {
    pub(crate) fn into_fault(self) -> Result<Fault, InvalidFault> {
        let missing =
            |field: &str| InvalidFault::Field(format!("kind {} needs the field {field}", self.kind));
        let bad_mode = |modes: &str| InvalidFault::Field(format!("mode must be one of {modes}"));
        let kind = match self.kind.as_str() {
            "slow" => FaultKind::Slow { ms: self.ms.ok_or_else(|| missing("ms"))? },
            "status" => FaultKind::Status {
                status: self.status.ok_or_else(|| missing("status"))?,
                retry_after: self.retry_after,
            },
            "slow_after" => FaultKind::SlowAfter { ms: self.ms.ok_or_else(|| missing("ms"))? },
            "status_after" => FaultKind::StatusAfter { status: self.status.unwrap_or(500) },
            "status_kept" => FaultKind::StatusKept { status: self.status.unwrap_or(500) },
            "cut" => FaultKind::Cut { after: self.after.ok_or_else(|| missing("after"))? },
            "corrupt" => FaultKind::Corrupt {
                mode: match self.mode.as_deref() {
                    None | Some("row") => CorruptMode::Row,
                    Some("bytes") => CorruptMode::Bytes,
                    Some(_) => return Err(bad_mode("row, bytes")),
                },
            },
            "truncate_rows" => FaultKind::TruncateRows { rows: self.rows.ok_or_else(|| missing("rows"))? },
            "wrong_trailer" => FaultKind::WrongTrailer,
            "no_trailer" => FaultKind::NoTrailer,
            "report_fails" => FaultKind::ReportFails,
            "report_stays_pending" => FaultKind::ReportStaysPending,
            "broken_summary" => FaultKind::BrokenSummary,
            "no_summary" => FaultKind::NoSummary {
                mode: match self.mode.as_deref() {
                    None | Some("refuse") => SummaryAbsence::Refuse,
                    Some("empty") => SummaryAbsence::Empty,
                    Some(_) => return Err(bad_mode("refuse, empty")),
                },
            },
            "lie_size" => FaultKind::LieSize { by: self.by.unwrap_or(1) },
            "lost" => FaultKind::Lost,
            "duplicate" => FaultKind::Duplicate,
            "bad_signature" => FaultKind::BadSignature,
            "reorder" => FaultKind::Reorder,
            other => return Err(InvalidFault::Field(format!("'{other}' is no kind of fault"))),
        };
        Ok(Fault { target: self.target, kind, times: self.times, report_type: self.report_type })
    }
}

/// A fault that waits for calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveFault {
    /// Its number, for removing it.
    pub id: u64,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
    /// How many calls it has struck.
    pub struck: u32,
}

/// All that goes wrong with one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) slow: Option<Duration>,
    pub(crate) status: Option<(u16, Option<u64>)>,
    pub(crate) slow_after: Option<Duration>,
    pub(crate) error_after: Option<u16>,
    pub(crate) error_kept: Option<u16>,
    pub(crate) cut: Option<u64>,
    pub(crate) corrupt: Option<CorruptMode>,
    pub(crate) truncate_rows: Option<u64>,
    pub(crate) wrong_trailer: bool,
    pub(crate) no_trailer: bool,
    pub(crate) report_fails: bool,
    pub(crate) report_stays_pending: bool,
    pub(crate) broken_summary: bool,
    pub(crate) no_summary: Option<SummaryAbsence>,
    pub(crate) lie_size: i64,
    pub(crate) lost: bool,
    pub(crate) duplicate: bool,
    pub(crate) bad_signature: bool,
    pub(crate) reorder: bool,
}

impl Strike {
    fn add(&mut self, kind: &FaultKind) {
        match *kind {
            FaultKind::Slow { ms } => self.slow = Some(Duration::from_millis(ms)),
            FaultKind::Status { status, retry_after } => self.status = Some((status, retry_after)),
            FaultKind::SlowAfter { ms } => self.slow_after = Some(Duration::from_millis(ms)),
            FaultKind::StatusAfter { status } => self.error_after = Some(status),
            FaultKind::StatusKept { status } => self.error_kept = Some(status),
            FaultKind::Cut { after } => self.cut = Some(after),
            FaultKind::Corrupt { mode } => self.corrupt = Some(mode),
            FaultKind::TruncateRows { rows } => self.truncate_rows = Some(rows),
            FaultKind::WrongTrailer => self.wrong_trailer = true,
            FaultKind::NoTrailer => self.no_trailer = true,
            FaultKind::ReportFails => self.report_fails = true,
            FaultKind::ReportStaysPending => self.report_stays_pending = true,
            FaultKind::BrokenSummary => self.broken_summary = true,
            FaultKind::NoSummary { mode } => self.no_summary = Some(mode),
            FaultKind::LieSize { by } => self.lie_size = by,
            FaultKind::Lost => self.lost = true,
            FaultKind::Duplicate => self.duplicate = true,
            FaultKind::BadSignature => self.bad_signature = true,
            FaultKind::Reorder => self.reorder = true,
        }
    }

    pub(crate) async fn delay(&self) {
        if let Some(slow) = self.slow {
            tokio::time::sleep(slow).await;
        }
    }

    /// The delay between the effect and the answer.
    pub(crate) async fn delay_answer(&self) {
        if let Some(slow) = self.slow_after {
            tokio::time::sleep(slow).await;
        }
    }
}

/// The faults that wait for calls.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Mutex<(u64, Vec<ActiveFault>)>,
}

impl Faults {
    /// With faults from an earlier run, and the number of the last one that was added in it.
    pub(crate) fn new(last: u64, faults: Vec<ActiveFault>) -> Self {
        Self { active: Mutex::new((last, faults)) }
    }

    /// The number of the last fault that was added, and the faults that still wait.
    pub(crate) fn kept(&self) -> (u64, Vec<ActiveFault>) {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Vec<ActiveFault>)> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, fault: Fault) -> Result<ActiveFault, InvalidFault> {
        fault.check()?;
        let mut active = self.lock();
        active.0 += 1;
        let added = ActiveFault { id: active.0, fault, struck: 0 };
        active.1.push(added.clone());
        Ok(added)
    }

    pub(crate) fn all(&self) -> Vec<ActiveFault> {
        self.lock().1.clone()
    }

    pub(crate) fn clear(&self) {
        self.lock().1.clear();
    }

    pub(crate) fn remove(&self, id: u64) -> bool {
        let mut active = self.lock();
        let before = active.1.len();
        active.1.retain(|fault| fault.id != id);
        active.1.len() < before
    }

    /// Everything that strikes a call now; each fault in it is used up by one.
    pub(crate) fn strike(&self, target: FaultTarget, report_type: Option<&str>) -> Strike {
        let mut strike = Strike::default();
        self.lock().1.retain_mut(|active| {
            if !active.fault.strikes(target, report_type) {
                return true;
            }
            strike.add(&active.fault.kind);
            active.struck += 1;
            active.fault.times == 0 || active.struck < active.fault.times
        });
        strike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_as_often_as_it_says() {
        let faults = Faults::default();
        let fault = Fault::once(FaultTarget::StripePoll, FaultKind::Cut { after: 3 }).times(2);
        faults.add(fault).unwrap();
        assert_eq!(faults.strike(FaultTarget::StripeCreate, None), Strike::default());
        assert_eq!(faults.strike(FaultTarget::StripePoll, None).cut, Some(3));
        assert_eq!(faults.all()[0].struck, 1);
        assert_eq!(faults.strike(FaultTarget::StripePoll, None).cut, Some(3));
        assert_eq!(faults.strike(FaultTarget::StripePoll, None).cut, None);
        assert!(faults.all().is_empty());
    }

    #[test]
    fn a_fault_without_end_stays_until_it_is_removed() {
        let faults = Faults::default();
        let fault = Fault::once(FaultTarget::GatewayFeed, FaultKind::NoTrailer).times(0);
        let id = faults.add(fault).unwrap().id;
        assert!((0..5).all(|_| faults.strike(FaultTarget::GatewayFeed, None).no_trailer));
        assert!(faults.remove(id) && !faults.remove(id));
        assert!(!faults.strike(FaultTarget::GatewayFeed, None).no_trailer);
    }

    #[test]
    fn faults_of_summaries_wait_for_summaries() {
        let faults = Faults::default();
        faults.add(Fault::once(FaultTarget::StripeCreate, FaultKind::BrokenSummary)).unwrap();
        let strike = |report| faults.strike(FaultTarget::StripeCreate, Some(report)).broken_summary;
        assert!(!strike("balance_change_from_activity.itemized.3"));
        assert!(strike("balance.summary.1"));
    }

    #[test]
    fn faults_that_make_no_sense_are_refused() {
        let refused = |fault: Fault| Faults::default().add(fault).is_err();
        assert!(refused(Fault::once(FaultTarget::GatewayFeed, FaultKind::ReportFails)));
        assert!(refused(Fault::once(FaultTarget::Webhook, FaultKind::Cut { after: 1 })));
        assert!(refused(Fault::once(
            FaultTarget::StripePoll,
            FaultKind::Status { status: 200, retry_after: None }
        )));
        assert!(refused(Fault::once(FaultTarget::GatewayFeed, FaultKind::NoTrailer).for_report("balance")));
        let posted = |text: &str| {
            serde_json::from_str::<FaultRequest>(text)
                .map_err(|_| ())
                .and_then(|posted| posted.into_fault().map_err(|_| ()))
        };
        assert!(posted(r#"{"target":"stripe.poll","kind":"slow","ms":5}"#).is_ok());
        for bad in [
            r#"{"target":"stripe.poll","kind":"slow"}"#,
            r#"{"target":"stripe.poll","kind":"slow","ms":5,"nope":1}"#,
            r#"{"target":"nowhere","kind":"slow","ms":5}"#,
            r#"{"target":"stripe.poll","kind":"explode"}"#,
            r#"{"target":"stripe.download","kind":"corrupt","mode":"all"}"#,
        ] {
            assert!(posted(bad).is_err(), "{bad}");
        }
    }
}
