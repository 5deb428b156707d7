//! `payops limits`: the audit of a sealed log beside the service, checkpoints in files, and keys.

use std::sync::Arc;

use payops_core::random::SystemRandom;
use payops_core::time::SystemClock;
use payops_limits::{AuditKeys, Limits, MIGRATIONS, Options, routes};
use payops_platform::context::ServiceContext;
use payops_platform::db::testing::{TestPlace, postgres_place};
use payops_platform::db::{DatabaseTarget, Db};
use payops_platform::http::testing::{As, TestClient, authenticator};
use payops_platform::http::{ServiceHttp, service_router};
use payops_platform::telemetry::Metrics;
use sea_orm::ConnectionTrait;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::{Kind, Ran, bare};

/// The key of RFC 8032, section 7.1, test 1.
const KEY: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
/// The key of its test 2.
const OTHER_KEY: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";

macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(super::Books::open(super::Kind::Postgres).await).await;
                }
            )+
        }

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(super::Books::open(super::Kind::Sqlite).await).await;
                }
            )+
        }
    };
}

on_both!(
    a_log_that_is_as_it_was_sealed_passes,
    a_checkpoint_that_was_kept_finds_what_was_restored,
    files_that_are_no_checkpoints_are_named,
);

/// A limit service with one merchant, and where `payops` finds its database.
struct Books {
    folder: TempDir,
    settings: Vec<(&'static str, String)>,
    db: Db,
    limits: Limits,
    http: TestClient,
    merchant: Uuid,
    postgres: Option<TestPlace>,
}

impl Books {
    async fn open(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut settings = vec![("PAYOPS_DATA_DIR", data.display().to_string())];
        let postgres = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(postgres_place().await),
        };
        let target = match &postgres {
            None => DatabaseTarget::Sqlite { path: data.join("limits.db") },
            Some(place) => place.target.clone(),
        };
        if let DatabaseTarget::Postgres(server) = &target {
            settings.push(("DB_HOST", server.host.clone()));
            settings.push(("DB_PORT", server.port.to_string()));
            settings.push(("DB_USER", server.user.clone()));
            settings.push(("PAYOPS_LIMITS_DB_NAME", server.database.clone()));
            let password = server.password.iter().map(|password| password.expose_secret().to_owned());
            settings.extend(password.map(|password| ("DB_PASSWORD", password)));
        }
        let db = Db::open(&target, MIGRATIONS).await.unwrap();
        let name = "merchant-limit-service";
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let context = ServiceContext::new(name, db.clone(), clock, random, Metrics::new(name));
        let keys = Arc::new(AuditKeys::new([KEY], []).unwrap());
        let limits = Limits::start(context.clone(), Options { keys, ..Options::default() });
        let authenticator = authenticator().unwrap();
        let service = ServiceHttp::new(context.clone(), Arc::clone(&authenticator), routes(limits.clone()));
        let http = TestClient::new(service_router(service), authenticator, context.now());
        let merchant = context.new_id();
        let body = json!({ "merchant_id": merchant, "tier_code": "starter" });
        let made = http.post("/api/v1/limits/initialize", &body).by(As::Admin).send().await;
        assert_eq!(made.status, 201, "{}", made.json());
        Self { folder, settings, db, limits, http, merchant, postgres }
    }

    /// One more payment, in a seal and a checkpoint of its own.
    async fn consume_and_seal(&self, payment_no: &str) {
        let body =
            json!({ "merchant_id": self.merchant, "payment_no": payment_no, "amount": 5, "currency": "USD" });
        let counted = self.http.post("/api/v1/limits/consume", &body).by(As::Service).send().await;
        assert_eq!(counted.status, 200, "{}", counted.json());
        self.limits.seal().await.unwrap();
    }

    async fn payops(&self, arguments: &str, keys: (&str, &str)) -> Ran {
        let mut arguments: Vec<&str> = arguments.split(' ').collect();
        arguments.insert(0, "limits");
        let mut environment: Vec<(&str, &str)> =
            self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        environment.push(keys);
        bare(&self.folder, &arguments, &environment).await
    }

    async fn audit(&self, more: &str) -> Ran {
        self.payops(&format!("audit {more}"), ("PAYOPS_AUDIT_KEY", KEY)).await
    }

    /// What only whoever has all rights can do.
    async fn take_away_the_last_checkpoint(&self) {
        let statements: &[&str] = match &self.postgres {
            None => &[
                "DROP TRIGGER limit_checkpoints_keep_rows",
                "DROP TRIGGER limit_checkpoints_keep_all",
                "DROP TRIGGER limit_seals_keep_rows",
                "DROP TRIGGER limit_seals_keep_all",
                "DELETE FROM limit_checkpoints WHERE number = 2",
                "DELETE FROM limit_seals WHERE checkpoint = 2",
            ],
            Some(_) => &[
                "DELETE FROM limit_checkpoints WHERE number = 2",
                "DELETE FROM limit_seals WHERE checkpoint = 2",
            ],
        };
        self.db
            .write("test.tamper", move |tx| {
                Box::pin(async move {
                    for statement in statements {
                        tx.execute_raw(tx.statement(statement, [])).await?;
                    }
                    Ok(())
                })
            })
            .await
            .unwrap();
    }
}

async fn a_log_that_is_as_it_was_sealed_passes(books: Books) {
    books.consume_and_seal("p1").await;
    books.consume_and_seal("p2").await;
    let ran = books.audit("--json").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["sealed_rows"], &report["findings"]), (&json!(2), &json!([])), "{report}");
    let ran = books.audit(&format!("--merchant {}", books.merchant)).await;
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "1 merchants, 2 log rows, 2 of them sealed, 0 differences\n")
    );

    let keys = books.payops("keys", ("PAYOPS_AUDIT_KEY", KEY)).await;
    assert!(keys.code == 0 && keys.stdout.contains(PUBLIC_KEY), "{keys:?}");
    // Whoever only verifies needs no private key, and believes no other.
    let ran = books.payops("audit", ("PAYOPS_AUDIT_PUBLIC_KEYS", PUBLIC_KEY)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = books.payops("audit", ("PAYOPS_AUDIT_KEY", OTHER_KEY)).await;
    assert!(ran.code == 1 && ran.stdout.contains("is signed by key"), "{ran:?}");
}

async fn a_checkpoint_that_was_kept_finds_what_was_restored(books: Books) {
    let none = books.audit("--export-checkpoint kept.jsonl").await;
    assert!(none.code == 1 && none.stderr.contains("nothing is sealed"), "{none:?}");
    books.consume_and_seal("p1").await;
    books.consume_and_seal("p2").await;
    let ran = books.audit("--export-checkpoint kept.jsonl").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let kept = std::fs::read_to_string(books.folder.path().join("kept.jsonl")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap()["number"], 2);
    assert_eq!(books.audit("--checkpoint kept.jsonl --export-checkpoint kept.jsonl").await.code, 0);
    let kept = std::fs::read_to_string(books.folder.path().join("kept.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 2, "added, not replaced");

    books.take_away_the_last_checkpoint().await;
    let ran = books.audit("--export-checkpoint kept.jsonl").await;
    assert_eq!(ran.code, 0, "the database alone cannot know: {ran:?}");
    let ran = books.audit("--checkpoint kept.jsonl").await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("checkpoint 2 was kept elsewhere and is not in the database"), "{ran:?}");
}

async fn files_that_are_no_checkpoints_are_named(books: Books) {
    books.consume_and_seal("p1").await;
    let write = |name: &str, text: &str| std::fs::write(books.folder.path().join(name), text).unwrap();
    write("empty.jsonl", "\n");
    write("broken.jsonl", "\n{\"number\": 1}\n");
    for (arguments, code, said) in [
        ("--checkpoint missing.jsonl", 1, "missing.jsonl"),
        ("--checkpoint empty.jsonl", 1, "empty.jsonl: there is no checkpoint in it"),
        ("--checkpoint broken.jsonl", 1, "broken.jsonl, line 2: no checkpoint"),
        ("--export-checkpoint missing/kept.jsonl", 1, "missing/kept.jsonl"),
        ("--merchant 7 --json", 2, "--merchant"),
    ] {
        let ran = books.audit(arguments).await;
        assert!(ran.code == code && ran.stderr.contains(said), "{arguments}: {ran:?}");
    }
    let both = format!("--merchant {} --checkpoint kept.jsonl", books.merchant);
    assert_eq!(books.audit(&both).await.code, 2);
}
