//! Processes that are told to stop, and processes that meet one another.

use std::time::Duration;

use payops_sandbox::{Fault, FaultKind, FaultTarget};
use serde_json::json;

use crate::harness::{Kind, Site, bare, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_during_a_run_ends_in_time_and_the_next_start_finishes_the_task() {
    let mut site = Site::new(Kind::Sqlite).await;
    site.set("PAYOPS_DRAIN_TIME", "1h");
    let silence = FaultKind::Slow { ms: Duration::from_hours(1).as_millis().try_into().unwrap() };
    site.sandbox.handle().add_fault(Fault::once(FaultTarget::GatewayFeed, silence)).unwrap();
    let mut first = site.start().await;
    let id = first.begin(&json!({})).await;
    first.watch(&id, |task| task["phase"] == "fetching").await;
    until("the call is made", async || site.sandbox.handle().faults().is_empty()).await;
    // The source does not answer for an hour, and draining may take as long: only a run that gives up ends.
    let status = first.stop().await;
    assert_eq!(status.code(), Some(0), "{}", first.log());
    let attempts = "SELECT count(*) FROM jobs WHERE attempts > 0 AND name = 'reconciliation.run_task'";
    assert_eq!(site.count(attempts).await, 0, "a run that was stopped does not count");
    let mut second = site.start().await;
    let task = second.ended(&id).await;
    site.assert_whole(&second, &task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_served_by_one_process() {
    let site = Site::new(Kind::Sqlite).await;
    let mut serving = site.start().await;
    let port = crate::harness::free_port().await;
    let second = site.run(&format!("serve reconciliation --set PORT={port}")).await;
    assert_ne!(second.code, 0);
    for said in ["another payops process is serving", "reconciliation.db", "stop it"] {
        assert!(second.stderr.contains(said), "{second:?}");
    }
    let migrated = site.run("migrate").await;
    assert_ne!(migrated.code, 0);
    assert!(migrated.stderr.contains("stop it"), "{migrated:?}");
    assert!(serving.stop().await.success());
    assert_eq!(site.run("migrate").await.code, 0, "once nobody serves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in [&["demo", "--once", "--port", &port][..], &["serve", "reconciliation"]] {
        let ran = bare(&folder, arguments, &[("PORT", &port)]).await;
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(&port) && ran.stderr.contains("cannot be listened on"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_meets_the_truth_and_may_be_run_again() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let ran = bare(&folder, &["demo", "--once"], &[]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains("the result equals it"), "{ran:?}");
        assert!(ran.stdout.contains("ended as they must, each of them"), "{ran:?}");
        assert!(ran.stdout.contains("Exceeds daily limit"), "{ran:?}");
        assert!(ran.stdout.contains("Disputes ended as they must, each of them"), "{ran:?}");
        assert!(!ran.stdout.contains("DIFFERENT") && !ran.stdout.contains("NOT MET"), "{ran:?}");
    }
}
