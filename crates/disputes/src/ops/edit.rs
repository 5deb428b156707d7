//! One change of a dispute and what its timeline tells of it, written together.

use payops_core::time::Timestamp;
use payops_platform::audit;
use payops_platform::auth::{Actor, ActorKind};
use payops_platform::db::{Locked, Tx};
use payops_platform::error::Result;
use sea_orm::ActiveEnum;
use serde_json::{Value, json};

use crate::Disputes;
use crate::lifecycle::{State, Status};
use crate::model::{LostCause, Outcome, TimelineEvent};
use crate::store::dispute::{self, Model as Dispute};
use crate::store::timeline;

/// Where a change comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A call of the API.
    Api,
    /// What the channel says, read because an event said that there is news.
    Channel,
    /// Work that was ordered before.
    Job,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Channel => "channel",
            Self::Job => "job",
        }
    }
}

/// Who changes something, in which transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) app: &'a Disputes,
    pub(crate) tx: &'a Tx,
    pub(crate) actor: &'a Actor,
    pub(crate) source: Source,
}

/// A locked dispute, what is to become of it, and what is told of that.
#[derive(Debug)]
pub(crate) struct Edit {
    before: Locked<Dispute>,
    pub(crate) after: Dispute,
    told: Vec<(TimelineEvent, Value)>,
}

impl Edit {
    pub(crate) fn of(before: Locked<Dispute>) -> Self {
        let after = (*before).clone();
        Self { before, after, told: Vec::new() }
    }

    pub(crate) fn before(&self) -> &Dispute {
        &self.before
    }

    /// Adds a row to the timeline.
    pub(crate) fn tell(&mut self, event: TimelineEvent, detail: Value) {
        self.told.push((event, detail));
    }

    /// Moves the dispute to another state, with all that depends on it. `cause` says why one is lost, where that is known.
    pub(crate) fn move_to(&mut self, state: State, cause: Option<LostCause>, now: Timestamp) {
        let before = self.after.state();
        if before == state {
            return;
        }
        let after = &mut self.after;
        if state.phase != before.phase {
            // Each phase wants an answer of its own.
            after.evidence_submitted = false;
            after.submitted_at = None;
        }
        (after.phase, after.status) = (state.phase, state.status);
        after.result = match state.status {
            Status::Won => Some(Outcome::Won),
            Status::Lost => Some(Outcome::Lost),
            _ => None,
        };
        after.lost_cause = if state.status == Status::Lost { cause } else { None };
        after.closed_at = state.status.is_closed().then(|| after.closed_at.unwrap_or(now));
        let words = |state: State| json!({ "phase": state.phase, "status": state.status });
        self.tell(
            TimelineEvent::StatusChanged,
            json!({ "before": words(before), "after": words(state), "lost_cause": self.after.lost_cause }),
        );
    }

    /// Writes the dispute and its timeline; nothing where nothing has changed.
    pub(crate) async fn save(self, by: &By<'_>) -> Result<Dispute> {
        let Self { before, mut after, told } = self;
        if told.is_empty() && after == *before {
            return Ok(after);
        }
        let now = by.app.context.now();
        let first = before.timeline_seq + 1;
        let rows: Vec<timeline::Model> =
            (first..).zip(told).map(|(seq, told)| row(by, before.id, seq, told, now)).collect();
        if let Some(last) = rows.last() {
            after.timeline_seq = last.seq;
        }
        let saved = dispute::update(by.tx, &before, after, now).await?;
        if saved.status != before.status {
            count(by, saved.status);
        }
        write_down(by, rows).await?;
        Ok(saved)
    }

    /// Stores a new dispute and the first row of its timeline.
    pub(crate) async fn insert(by: &By<'_>, new: Dispute, detail: Value) -> Result<Dispute> {
        let created = dispute::insert(by.tx, Dispute { timeline_seq: 1, ..new }).await?;
        count(by, created.status);
        let told = (TimelineEvent::Created, detail);
        write_down(by, vec![row(by, created.id, 1, told, by.app.context.now())]).await?;
        Ok(created)
    }
}

/// Counts what came to a status, once it is committed.
fn count(by: &By<'_>, status: Status) {
    let metrics = by.app.metrics.clone();
    by.tx.after_commit(move || metrics.came_to(status));
}

fn row(
    by: &By<'_>,
    dispute_id: uuid::Uuid,
    seq: i64,
    (event_type, detail): (TimelineEvent, Value),
    now: Timestamp,
) -> timeline::Model {
    timeline::Model {
        dispute_id,
        seq,
        event_type,
        actor_kind: by.actor.kind.as_str().to_owned(),
        actor: by.actor.id.clone(),
        source: by.source.as_str().to_owned(),
        detail,
        created_at: now,
    }
}

/// What somebody did stands in the audit log of all services as well.
async fn write_down(by: &By<'_>, rows: Vec<timeline::Model>) -> Result<()> {
    if by.actor.kind != ActorKind::System {
        for row in &rows {
            let (action, id) = (format!("dispute.{}", row.event_type.to_value()), row.dispute_id.to_string());
            let context = &by.app.context;
            audit::record(by.tx, context, by.actor, &action, "dispute", &id, row.detail.clone()).await?;
        }
    }
    timeline::insert_all(by.tx, rows).await
}
