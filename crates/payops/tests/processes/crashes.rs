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
    // So many records that their transaction is seen before it ends.
    let many = kind == Kind::Sqlite && phase == Interrupted::Saving;
    let site = Site::with(kind, |config| config.payments = if many { 12_000 } else { 500 }).await;
    let mut first = site.start().await;
    let hold = phase.prepare(&site, kind).await;
    let id = first.begin(&json!({ "store_matched": many })).await;
    let hold = hold.reached(phase, &site, &mut first, &id).await;
    let seen = first.kill().await;
    let nothing = "SELECT count(*) FROM reconciliation_records";
    assert_eq!(site.count(nothing).await, 0, "a run is stored as a whole or not at all");
    let mut second = site.start().await;
    second.expect_progress(seen);
    hold.release(&site).await;
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
