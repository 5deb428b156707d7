//! The keys of personal data change while services are away and there.

use crate::harness::{Kind, Site};

const OLD: &str = "2026:q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";
const NEXT: &str = "2027:EjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze8=";

async fn keys_change_by_command(kind: Kind) {
    let mut site = Site::new(kind).await;
    site.set("PAYOPS_DATA_KEYS", OLD);
    assert!(site.start_disputes().await.stop().await.success());
    site.set("PAYOPS_DATA_KEYS", NEXT);
    for command in ["rotate-keys", "serve disputes"] {
        let refused = site
            .run(&format!("{command} --set PAYOPS_DISPUTES_PORT={}", crate::harness::free_port().await))
            .await;
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(
            refused.stderr.contains("'2026'") && refused.stderr.contains("PAYOPS_DATA_KEYS"),
            "{refused:?}"
        );
    }
    site.set("PAYOPS_DATA_KEYS", format!("{NEXT},{OLD}"));
    for count in [1, 0] {
        let rotated = site.run("rotate-keys").await;
        assert_eq!(rotated.code, 0, "{rotated:?}");
        assert_eq!(rotated.stdout, format!("keys that were wrapped anew: {count}; all are under '2027'\n"));
    }
    site.set("PAYOPS_DATA_KEYS", NEXT);
    assert!(site.start_disputes().await.stop().await.success(), "the old key is needed no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_personal_data_change_by_command_on_sqlite() {
    keys_change_by_command(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_personal_data_change_by_command_on_postgresql() {
    keys_change_by_command(Kind::Postgres).await;
}
