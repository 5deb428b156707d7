//! The watch for expected files: what is late or missing is noted and told once, and that it came is too.
//!
//! `next_date` of an expected file says up to which business day somebody has looked when the file was due. Noting a gap,
//! moving on, and the jobs that tell are one transaction with the expected file locked, so each gap is told once, however
//! long the service was away, however many instances run and wherever one dies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDate, TimeDelta};
use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::context::ServiceContext;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{JobError, Lease};
use payops_platform::outbound::alerts;
use sea_orm::ActiveValue::Set;
use uuid::Uuid;

use crate::Reconciliation;
use crate::alerts::event::{AlertData, AlertEvent, AlertGap, EventType};
use crate::completeness::Calendar;
use crate::completeness::names::{Finding, Pattern, Seen, findings};
use crate::jobs::SendAlert;
use crate::model::{FileStatus, GapEnd, GapKind};
use crate::ops::expected_files::calendar;
use crate::store::carried;
use crate::store::expected_file::{self, Model as ExpectedFile};
use crate::store::file::{self, Kept, Subject};
use crate::store::gap::{self, Model as Gap};

/// The most business days that one transaction looks at, and the most gaps that one alert lists.
const AT_ONCE: usize = 100;
/// How many days back names of files are compared.
const NAMES_FOR: u64 = 400;

/// Looks at every expected file. One that cannot be looked at does not keep the others from it.
pub(crate) async fn look_at_all(app: &Reconciliation, lease: &Lease) -> Result<(), JobError> {
    let all = expected_file::all(app.context.db.read(), &expected_file::Filter::default()).await?;
    let mut failed = None;
    for expected in all {
        if lease.cancelled().is_cancelled() {
            let why = Error::unavailable("this process is stopping", Duration::from_secs(1));
            return Err(why.into());
        }
        if let Err(error) = look_until_now(app, lease, expected.id).await {
            tracing::error!(expected_file = %expected.id, %error, "an expected file could not be watched");
            failed = Some(error);
        }
    }
    measure(app).await?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

async fn look_until_now(app: &Reconciliation, lease: &Lease, id: Uuid) -> Result<()> {
    loop {
        let shared = Arc::new((app.clone(), lease.clone()));
        let more = app.context.db.write("reconciliation.watch_files", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, lease) = &*shared;
                lease.still_mine(tx).await?;
                match expected_file::try_lock(tx, id).await? {
                    Some(expected) => look(app, tx, &expected).await,
                    None => Ok(false),
                }
            }
            .boxed()
        });
        if !more.await? {
            return Ok(());
        }
    }
}

/// Looks at the days that have become due, and then again at what is open; true when days are left.
async fn look(app: &Reconciliation, tx: &Tx, expected: &Locked<ExpectedFile>) -> Result<bool> {
    let mut look = Look::new(app, tx, expected)?;
    let days = look.calendar.days_due(expected.next_date, look.now, AT_ONCE);
    if let (Some(first), Some(last)) = (days.first(), days.last()) {
        look.days_that_became_due(*first, *last).await?;
        let next = last.succ_opt().ok_or_else(|| Error::internal("the calendar has ended"))?;
        expected_file::advance(tx, expected, next).await?;
    }
    let more = days.len() == AT_ONCE;
    if !more {
        look.what_is_open().await?;
        look.names().await?;
    }
    tell(app, tx, expected, look.told).await?;
    Ok(more)
}

/// Looks once more at a day whose file is in force no more, without another one in its place. A day that is not due yet is looked at
/// when it is.
pub(crate) async fn file_is_gone(app: &Reconciliation, tx: &Tx, subject: &Subject) -> Result<()> {
    let (channel, account, timezone) = (subject.channel, subject.account.as_str(), subject.timezone.as_str());
    let expected = expected_file::of(tx.conn(), carried::Days { channel, account, timezone }).await?;
    let Some(expected) = expected.iter().find(|expected| expected.role == subject.role) else {
        return Ok(());
    };
    let expected = expected_file::lock(tx, expected.id).await?;
    if subject.date < expected.counts_from || subject.date >= expected.next_date {
        return Ok(());
    }
    let mut look = Look::new(app, tx, &expected)?;
    look.days_that_became_due(subject.date, subject.date).await?;
    tell(app, tx, &expected, look.told).await
}

/// One look at an expected file.
struct Look<'l> {
    tx: &'l Tx,
    expected: &'l ExpectedFile,
    calendar: Calendar,
    now: Timestamp,
    context: &'l ServiceContext,
    told: Told,
}

/// What is to be told, by what has happened and whether it is escalated.
type Told = BTreeMap<(EventType, bool), Vec<AlertGap>>;

impl<'l> Look<'l> {
    fn new(app: &'l Reconciliation, tx: &'l Tx, expected: &'l ExpectedFile) -> Result<Self> {
        let (calendar, context) = (calendar(expected)?, &app.context);
        Ok(Self { tx, expected, calendar, now: context.now(), context, told: BTreeMap::new() })
    }

    /// Notes which of these days, all due, have no file.
    async fn days_that_became_due(&mut self, first: NaiveDate, last: NaiveDate) -> Result<()> {
        let conn = self.tx.conn();
        let kept = file::kept(conn, &self.expected.subject(first), first..=last).await?;
        let there = in_force(&kept);
        let known = gap::of_days(conn, self.expected.id, first..=last).await?;
        let known: BTreeSet<NaiveDate> = known
            .iter()
            .filter(|gap| {
                gap.kind == GapKind::Missing
                    && !matches!(gap.closed_as, Some(GapEnd::NotExpected | GapEnd::Arrived))
            })
            .map(|gap| gap.settlement_date)
            .collect();
        for day in first.iter_days().take_while(|day| *day <= last) {
            if self.calendar.expects(day) && !there.contains(&day) && !known.contains(&day) {
                self.open(day, GapKind::Missing, (0, 0)).await?;
            }
        }
        Ok(())
    }

    /// Looks again at days that had no file.
    async fn what_is_open(&mut self) -> Result<()> {
        let conn = self.tx.conn();
        let open = gap::open(conn, self.expected.id).await?;
        let days: Vec<Gap> = open.into_iter().filter(|gap| gap.kind == GapKind::Missing).collect();
        let (Some(first), Some(last)) = (days.first(), days.last()) else { return Ok(()) };
        let range = first.settlement_date..=last.settlement_date;
        let there = in_force(&file::kept(conn, &self.expected.subject(first.settlement_date), range).await?);
        for gap in days {
            let day = gap.settlement_date;
            if there.contains(&day) {
                self.close(gap, GapEnd::Arrived).await?;
            } else if self.calendar.expects(day) && self.calendar.is_due(day, self.now) {
                self.escalate_in_time(gap).await?;
            } else {
                self.close(gap, GapEnd::NotExpected).await?;
            }
        }
        Ok(())
    }

    /// Looks at what names of files say, as far as it is due.
    async fn names(&mut self) -> Result<()> {
        let conn = self.tx.conn();
        let today = self.calendar.zone.date_of(self.now);
        let back = today.checked_sub_days(Days::new(NAMES_FOR)).unwrap_or(today);
        let days = self.calendar.counts_from.max(back)..=today;
        let mut open = gap::open(conn, self.expected.id).await?;
        open.retain(|gap| gap.kind != GapKind::Missing);
        let pattern = self.expected.name_pattern.as_deref().map(Pattern::new).transpose()?;
        let counts_from = self.calendar.counts_from;
        let unwanted = |gap: &Gap| pattern.is_none() || gap.settlement_date < counts_from;
        let (unwanted, mut open): (Vec<Gap>, Vec<Gap>) = open.into_iter().partition(unwanted);
        for gap in unwanted {
            self.close(gap, GapEnd::NotExpected).await?;
        }
        let Some(pattern) = pattern else { return Ok(()) };
        // What lies further back is not compared any more, and stays as it is until somebody excuses it.
        open.retain(|gap| *days.start() <= gap.settlement_date);
        let kept = file::kept(conn, &self.expected.subject(today), days.clone()).await?;
        let found = findings(&seen(&pattern, kept), self.expected.sequence_restarts);
        let due = found.into_iter().filter(|(day, _)| self.calendar.is_due(*day, self.now));
        let mut found: BTreeMap<(NaiveDate, GapKind, i64), i64> = due.map(fact).collect();
        for gap in open {
            match found.remove(&gap.fact()) {
                Some(up_to) if up_to != gap.up_to => {
                    let gap = gap::update(self.tx, gap, |row| row.up_to = Set(up_to)).await?;
                    self.escalate_in_time(gap).await?;
                }
                Some(_) => self.escalate_in_time(gap).await?,
                None => self.close(gap, GapEnd::Arrived).await?,
            }
        }
        let settled = |gap: &Gap| matches!(gap.closed_as, Some(GapEnd::Excused | GapEnd::Noted));
        let mut known = gap::of_days(conn, self.expected.id, days).await?;
        known.retain(settled);
        for gap in known {
            found.remove(&gap.fact());
        }
        for ((day, kind, number), up_to) in found {
            self.open(day, kind, (number, up_to)).await?;
        }
        Ok(())
    }

    async fn open(&mut self, day: NaiveDate, kind: GapKind, (number, up_to): (i64, i64)) -> Result<()> {
        let due_at = self.calendar.due_at(day).unwrap_or(self.now);
        let noted = kind == GapKind::Repeated;
        let escalated = !noted && self.is_to_be_escalated(kind, due_at, self.now);
        let row = Gap {
            id: self.context.new_id(),
            expected_file_id: self.expected.id,
            settlement_date: day,
            kind,
            number,
            up_to,
            due_at,
            opened_at: self.now,
            escalated_at: escalated.then_some(self.now),
            closed_at: noted.then_some(self.now),
            closed_as: noted.then_some(GapEnd::Noted),
            closed_by: None,
            note: None,
        };
        let gap = gap::insert(self.tx, row).await?;
        tracing::warn!(channel = self.expected.channel.as_str(), %day, ?kind, number, "an expected file is missing");
        self.tell(event_of(kind), escalated, &gap);
        Ok(())
    }

    async fn close(&mut self, gap: Gap, as_: GapEnd) -> Result<()> {
        let gap = gap::close(self.tx, gap, as_, self.now).await?;
        if as_ == GapEnd::Arrived {
            self.tell(EventType::FileArrived, gap.escalated_at.is_some(), &gap);
        }
        Ok(())
    }

    async fn escalate_in_time(&mut self, gap: Gap) -> Result<()> {
        if gap.escalated_at.is_none() && self.is_to_be_escalated(gap.kind, gap.due_at, gap.opened_at) {
            let now = self.now;
            let gap = gap::update(self.tx, gap, |row| row.escalated_at = Set(Some(now))).await?;
            self.tell(event_of(gap.kind), true, &gap);
        }
        Ok(())
    }

    /// A file is late from when it was due, and what names tell is missing from when it was noticed.
    fn is_to_be_escalated(&self, kind: GapKind, due_at: Timestamp, opened_at: Timestamp) -> bool {
        let since = if kind == GapKind::Missing { due_at } else { opened_at };
        since + TimeDelta::hours(i64::from(self.expected.escalate_after_hours)) <= self.now
    }

    fn tell(&mut self, event: EventType, escalated: bool, gap: &Gap) {
        let numbered = matches!(gap.kind, GapKind::Sequence | GapKind::Part | GapKind::Repeated);
        let told = AlertGap {
            settlement_date: gap.settlement_date,
            kind: gap.kind,
            number: numbered.then_some(gap.number),
            up_to: Some(gap.up_to).filter(|up_to| numbered && *up_to != gap.number),
            due_at: gap.due_at,
        };
        self.told.entry((event, escalated)).or_default().push(told);
    }
}

fn event_of(kind: GapKind) -> EventType {
    match kind {
        GapKind::Missing => EventType::FileMissing,
        GapKind::Sequence | GapKind::Part | GapKind::OtherDate => EventType::FileGap,
        GapKind::Repeated => EventType::FileRepeated,
    }
}

fn in_force(kept: &[Kept]) -> BTreeSet<NaiveDate> {
    kept.iter().filter(|file| file.status == FileStatus::Stored).map(|file| file.settlement_date).collect()
}

/// The files whose names say something.
fn seen(pattern: &Pattern, kept: Vec<Kept>) -> Vec<Seen> {
    let read = |file: Kept| {
        Some(Seen {
            day: file.settlement_date,
            name: pattern.read(file.file_name.as_deref()?)?,
            in_force: file.status == FileStatus::Stored,
            content: file.file_hash.unwrap_or_default(),
        })
    };
    kept.into_iter().filter_map(read).collect()
}

fn fact((day, finding): (NaiveDate, Finding)) -> ((NaiveDate, GapKind, i64), i64) {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (kind, first, last) = match finding {
        Finding::Sequence(hole) => (GapKind::Sequence, number(hole.first), number(hole.last)),
        Finding::Part(hole) => (GapKind::Part, number(hole.first), number(hole.last)),
        Finding::Repeated(repeated) => (GapKind::Repeated, number(repeated), number(repeated)),
        Finding::OtherDate => (GapKind::OtherDate, 0, 0),
    };
    ((day, kind, first), last)
}

/// Has everybody told, many gaps in one alert.
async fn tell(app: &Reconciliation, tx: &Tx, expected: &ExpectedFile, told: Told) -> Result<()> {
    for ((kind, escalated), gaps) in told {
        for gaps in gaps.chunks(AT_ONCE) {
            let event = AlertEvent {
                id: app.context.new_id().to_string(),
                kind,
                created_at: app.context.now(),
                escalated,
                data: AlertData {
                    expected_file_id: expected.id,
                    channel: expected.channel,
                    account: expected.account.clone(),
                    role: expected.role,
                    timezone: expected.timezone.clone(),
                    gaps: gaps.to_vec(),
                },
            };
            let job = |destination| SendAlert { event: event.clone(), destination };
            alerts::tell(tx, &app.context, &app.options.alerts, &event, job).await?;
        }
    }
    Ok(())
}

/// Sends an alert to one destination.
pub(crate) async fn send(app: &Reconciliation, job: &SendAlert) -> Result<(), JobError> {
    app.options.alerts.deliver(&job.destination, &job.event, app.context.now()).await
}

async fn measure(app: &Reconciliation) -> Result<()> {
    let open = gap::open_by_channel(app.context.db.read()).await?;
    app.metrics.open_gaps(&open, app.context.now());
    Ok(())
}
