//! A task whose owner is killed in any phase is finished by another instance, and no record is there twice.

use serde_json::json;

use crate::harness::{Kind, Site};
use crate::holds::Interrupted;

macro_rules! killed_in {
    ($($test:ident: $phase:ident),+ $(,)?) => {
        /// Two instances share one database and one folder.
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::finished_by_another(super::Kind::Postgres, super::Interrupted::$phase).await;
                }
            )+
        }

        /// One instance is killed and started again on its folder.
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::finished_by_another(super::Kind::Sqlite, super::Interrupted::$phase).await;
                }
            )+
        }
    };
}

killed_in!(
    killed_while_downloading: Downloading,
    killed_while_fetching: Fetching,
    killed_while_matching: Matching,
    killed_while_saving: Saving,
);

async fn finished_by_another(kind: Kind, phase: Interrupted) {
    let site = Site::new(kind).await;
    let mut first = site.start().await;
    let hold = phase.prepare(&site, kind).await;
    let id = first.begin(&json!({ "store_matched": true })).await;
    let hold = hold.reached(phase, &site, &mut first, &id).await;
    // On one database the other instance is there already and watches the lease.
    let waiting = if kind == Kind::Postgres { Some(site.start().await) } else { None };
    let seen = first.kill().await;
    let shown = "SELECT count(*) FROM reconciliation_records WHERE (task_id, added_run) NOT IN \
         (SELECT id, saving_run FROM reconciliation_tasks WHERE saving_run IS NOT NULL)";
    assert_eq!(site.count(shown).await, 0, "a run is shown as a whole or not at all");
    hold.release(&site).await;
    let mut second = if let Some(instance) = waiting { instance } else { site.start().await };
    second.expect_progress(seen);
    let task = second.ended(&id).await;
    site.assert_whole(&second, &task).await;
    assert_eq!(task["run_no"], 1, "the same run went on: {task}");
    let mut keys: Vec<String> = site
        .sandbox
        .handle()
        .requests()
        .iter()
        .filter(|request| request.method == "POST" && request.path.ends_with("/report_runs"))
        .filter_map(|request| request.headers.get("idempotency-key").cloned())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 2, "each report was asked for once");
}
