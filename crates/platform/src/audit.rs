//! Who did what, append-only.

use payops_core::time::Timestamp;
use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::auth::Actor;
use crate::context::ServiceContext;
use crate::db::{PURGED_AT_ONCE, Tx};
use crate::error::Result;
use crate::telemetry::current_trace_id;

/// Writes down, in the transaction of the deed, that `actor` did `action` (noun and verb, such as
/// `task.created`) to an object. `detail` holds particulars; never a secret, never personal data.
pub async fn record(
    tx: &Tx,
    context: &ServiceContext,
    actor: &Actor,
    action: &str,
    object_type: &str,
    object_id: &str,
    detail: Value,
) -> Result<()> {
    const INSERT: &str = "-- audit::record
        INSERT INTO audit_log (id, at, actor_kind, actor_id, actor_role, action, object_type, object_id,
            detail, trace_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = [
        context.new_id().into(),
        context.now().into(),
        actor.kind.as_str().into(),
        actor.id.as_str().into(),
        actor.role.into(),
        action.into(),
        object_type.into(),
        object_id.into(),
        detail.into(),
        current_trace_id().map(|id| id.to_string()).into(),
    ];
    tx.execute_raw(tx.statement(INSERT, values)).await?;
    Ok(())
}

/// Removes what was recorded before `before`, a thousand rows at most; returns how many. Runners call it.
pub async fn purge(tx: &Tx, before: Timestamp) -> Result<u64> {
    let delete = format!(
        "-- audit::purge
        DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < $1 ORDER BY at LIMIT {PURGED_AT_ONCE})"
    );
    Ok(tx.execute_raw(tx.statement(&delete, [before.into()])).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use payops_core::random::SeededRandom;
    use payops_core::time::ManualClock;
    use serde_json::json;

    use super::*;
    use crate::db::testing::TestDb;
    use crate::telemetry::Metrics;

    crate::both_databases!(&[]; deeds_are_written_down_and_kept_for_their_time);

    async fn deeds_are_written_down_and_kept_for_their_time(db: TestDb) {
        let clock = ManualClock::new(Timestamp::from_timestamp(1_700_000_000, 0).unwrap());
        let context = ServiceContext::new(
            "test-service",
            db.db(),
            Arc::new(clock.clone()),
            Arc::new(SeededRandom::new(1)),
            Metrics::new("test-service"),
        );
        for object in ["a", "b"] {
            let context = context.clone();
            db.write("deed", move |tx| {
                let context = context.clone();
                Box::pin(async move {
                    let actor = Actor::system("scheduler");
                    record(tx, &context, &actor, "task.created", "task", object, json!({"n": 1})).await
                })
            })
            .await
            .unwrap();
            clock.advance(TimeDelta::days(1));
        }
        let select =
            "SELECT actor_kind, actor_id, actor_role, action, object_id, detail FROM audit_log ORDER BY at";
        let rows = db.read().query_all_raw(db.backend().statement(select, [])).await.unwrap();
        let text = |column: &str| rows[1].try_get_by::<String, _>(column).unwrap();
        assert_eq!(
            (text("actor_kind"), text("actor_id"), text("actor_role")),
            ("system".into(), "scheduler".into(), "system".into())
        );
        assert_eq!((text("action"), text("object_id")), ("task.created".into(), "b".into()));
        assert_eq!(rows[1].try_get_by::<Value, _>("detail").unwrap(), json!({"n": 1}));
        let before = Timestamp::from_timestamp(1_700_000_001, 0).unwrap();
        assert_eq!(db.write("purge", move |tx| Box::pin(purge(tx, before))).await.unwrap(), 1);
    }
}
