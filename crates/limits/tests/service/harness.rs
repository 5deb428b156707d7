//! The service in one process, with a clock that stands still until it is moved.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use axum::Router;
use payops_core::random::SystemRandom;
use payops_core::time::{Clock, ManualClock, Timestamp};
use payops_limits::alerts::Destinations;
use payops_limits::{AuditKeys, AuditReport, Checkpoint, Limits, MIGRATIONS, Options, jobs, routes};
use payops_platform::context::ServiceContext;
use payops_platform::db::Db;
use payops_platform::db::testing::TestDb;
use payops_platform::error::Error;
use payops_platform::http::testing::{As, TestAnswer, TestClient, authenticator};
use payops_platform::http::{Budgets, Limiter, ServiceHttp, service_router};
use payops_platform::jobs::Runner;
use payops_platform::telemetry::Metrics;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub const NOON: &str = "2026-11-23T12:00:00Z";

/// A private key of seals.
pub const SEALING_KEY: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

/// A running service.
pub struct App {
    pub client: TestClient,
    pub clock: ManualClock,
    /// What a server of HTTP serves.
    pub router: Router,
    pub limits: Limits,
    keys: Arc<AuditKeys>,
    runner: Runner,
    metrics: Metrics,
    db: Db,
    keep: Arc<TestDb>,
}

impl App {
    /// The service at noon of 2026-11-23.
    pub async fn start(db: TestDb) -> Self {
        Self::telling(db, Destinations::default()).await
    }

    /// The same, which tells these of alerts.
    pub async fn telling(db: TestDb, destinations: Destinations) -> Self {
        Self::on(Arc::new(db), ManualClock::new(at(NOON)), destinations).await
    }

    /// Another instance on the same database, with the same clock.
    pub async fn another(&self) -> Self {
        self.another_telling(Destinations::default()).await
    }

    /// Another instance that counts requests there.
    pub async fn another_with(&self, limiter: Limiter) -> Self {
        let options = by(&self.clock);
        Self::assemble(Arc::clone(&self.keep), self.keep.db(), self.clock.clone(), options, limiter).await
    }

    /// Another instance on the same database, with other keys of seals.
    pub async fn with_keys(&self, keys: Arc<AuditKeys>) -> Self {
        let (clock, limiter) = (self.clock.clone(), Limiter::in_process(plenty()));
        let options = Options { keys, ..by(&clock) };
        Self::assemble(Arc::clone(&self.keep), self.keep.db(), clock, options, limiter).await
    }

    /// An instance that decides by the database's clock and has this one of its own.
    pub async fn by_the_database(keep: Arc<TestDb>, clock: ManualClock) -> Self {
        let db = keep.db();
        let options = Options { clock: None, ..by(&clock) };
        Self::assemble(keep, db, clock, options, Limiter::in_process(plenty())).await
    }

    /// An instance that reaches the database by another way, at noon of 2026-11-23.
    pub async fn by_way_of(keep: TestDb, way: Db) -> Self {
        let clock = ManualClock::new(at(NOON));
        let options = by(&clock);
        Self::assemble(Arc::new(keep), way, clock, options, Limiter::in_process(plenty())).await
    }

    /// The same, which tells these of alerts.
    pub async fn another_telling(&self, destinations: Destinations) -> Self {
        Self::on(Arc::clone(&self.keep), self.clock.clone(), destinations).await
    }

    async fn on(keep: Arc<TestDb>, clock: ManualClock, destinations: Destinations) -> Self {
        let db = keep.db();
        let options = Options { destinations, ..by(&clock) };
        Self::assemble(keep, db, clock, options, Limiter::in_process(plenty())).await
    }

    async fn assemble(
        keep: Arc<TestDb>,
        db: Db,
        clock: ManualClock,
        options: Options,
        limiter: Limiter,
    ) -> Self {
        let metrics = Metrics::new("merchant-limit-service");
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let context = ServiceContext::new(
            "merchant-limit-service",
            db,
            shared,
            Arc::new(SystemRandom),
            metrics.clone(),
        );
        jobs::schedule(&context).await.unwrap();
        let keys = Arc::clone(&options.keys);
        let app = Limits::start(context.clone(), options);
        let authenticator = authenticator().unwrap();
        let http = ServiceHttp {
            limiter: Arc::new(limiter),
            merchant_budgets: Some(app.merchant_budgets()),
            ..ServiceHttp::new(context.clone(), Arc::clone(&authenticator), routes(app.clone()))
        };
        let router = service_router(http);
        let client = TestClient::new(router.clone(), authenticator, context.now());
        let runner = jobs::register(&app, Runner::new(context));
        // What the tests look up themselves goes straight to the database, whichever way the instance takes.
        let db = keep.db();
        Self { client, clock, router, limits: app, keys, runner, metrics, db, keep }
    }

    /// A merchant of a tier of its own, with these limits in USD.
    pub async fn merchant(&self, daily: Option<i64>, monthly: Option<i64>, single: Option<i64>) -> Uuid {
        let (tier, merchant) = (self.id(), self.id());
        let db = self.db.clone();
        let now = self.clock.now();
        let day = at("2026-11-23T00:00:00Z");
        db.write("test.merchant", move |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO merchant_tiers (id, tier_code, tier_name, tier_level, currency, daily_limit, \
                    monthly_limit, single_trans_limit, transaction_fee_rate, withdrawal_fee_rate, alert_thresholds, \
                    created_at, updated_at) VALUES ($1, $2, 'Test', 1, 'USD', $3, $4, $5, 0, 0, $6, $7, $7)";
                let code = format!("t{}", tier.simple());
                let thresholds = json!([80, 90, 100]);
                let values = [
                    tier.into(), code.into(), daily.into(), monthly.into(), single.into(), thresholds.into(), now.into(),
                ];
                tx.execute_raw(tx.statement(sql, values)).await?;
                let sql = "INSERT INTO merchant_limits (merchant_id, id, tier_id, timezone, day_start, daily_reset_at, \
                    month_start, monthly_reset_at, created_at, updated_at) \
                    VALUES ($1, $1, $2, 'Etc/UTC', $3, $4, $5, $6, $7, $7)";
                let values = [
                    merchant.into(),
                    tier.into(),
                    day.into(),
                    (day + chrono::Duration::days(1)).into(),
                    at("2026-11-01T00:00:00Z").into(),
                    at("2026-12-01T00:00:00Z").into(),
                    now.into(),
                ];
                tx.execute_raw(tx.statement(sql, values)).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
        merchant
    }

    /// What a service is answered.
    pub async fn ask(&self, operation: &str, body: &Value) -> TestAnswer {
        self.client.post(&format!("/api/v1/limits/{operation}"), body).by(As::Service).send().await
    }

    /// Consumes; a short form for many tests.
    pub async fn consume(&self, merchant: Uuid, payment_no: &str, amount: i64) -> TestAnswer {
        self.ask("consume", &charge(merchant, payment_no, amount)).await
    }

    /// What is used of the day and the month, and what is pending, as the database has them.
    pub async fn counters(&self, merchant: Uuid) -> (i64, i64, i64) {
        let sql =
            "SELECT daily_used, monthly_used, pending_amount FROM merchant_limits WHERE merchant_id = $1";
        let row = self.rows(sql, merchant).await.remove(0);
        let get = |column| row.try_get::<i64>("", column).unwrap();
        (get("daily_used"), get("monthly_used"), get("pending_amount"))
    }

    /// Proves the log: numbered without gaps, each row begins where the one before it ended, the last equals the
    /// counters. Gives the number of rows.
    pub async fn prove(&self, merchant: Uuid) -> usize {
        let sql = "SELECT * FROM limit_usage_logs WHERE merchant_id = $1 ORDER BY seq";
        let rows = self.rows(sql, merchant).await;
        let mut last = (0, 0, 0);
        for (index, row) in rows.iter().enumerate() {
            let get = |column: &str| row.try_get::<i64>("", column).unwrap();
            assert_eq!(get("seq"), i64::try_from(index).unwrap() + 1);
            let before = (get("daily_used_before"), get("monthly_used_before"), get("pending_before"));
            assert_eq!(before, last, "row {}", index + 1);
            last = (get("daily_used_after"), get("monthly_used_after"), get("pending_after"));
            assert_eq!(last.0 - before.0, get("daily_delta"));
        }
        assert_eq!(last, self.counters(merchant).await);
        let audit = payops_limits::audit(&self.db, &self.keys, Some(merchant), &[]).await.unwrap();
        assert_eq!(audit.findings, []);
        rows.len()
    }

    /// What an audit finds of a merchant.
    pub async fn audit(&self, merchant: Uuid) -> String {
        let report = payops_limits::audit(&self.db, &self.keys, Some(merchant), &[]).await.unwrap();
        report.findings.into_iter().map(|finding| finding.what).collect::<Vec<_>>().join("; ")
    }

    /// An audit of everything, with checkpoints that were kept elsewhere.
    pub async fn audit_all(&self, kept: &[Checkpoint]) -> AuditReport {
        payops_limits::audit(&self.db, &self.keys, None, kept).await.unwrap()
    }

    /// Rows that a statement about a text gives.
    pub async fn rows_of(&self, sql: &str, text: String) -> Vec<sea_orm::QueryResult> {
        let statement = self.db.backend().statement(sql, [text.into()]);
        self.db.read().query_all_raw(statement).await.unwrap()
    }

    pub async fn rows(&self, sql: &str, merchant: Uuid) -> Vec<sea_orm::QueryResult> {
        let statement = self.db.backend().statement(sql, [merchant.into()]);
        self.db.read().query_all_raw(statement).await.unwrap()
    }

    /// Runs a statement about a merchant that no endpoint has.
    pub async fn change(&self, sql: &'static str, merchant: Uuid) {
        let run = move |tx: &payops_platform::db::Tx| tx.statement(sql, [merchant.into()]);
        self.db
            .write("test.change", move |tx| {
                Box::pin(async move { Ok(tx.execute_raw(run(tx)).await.map(drop)?) })
            })
            .await
            .unwrap();
    }

    /// Runs a statement without parameters that no endpoint has.
    pub async fn run(&self, sql: &'static str) {
        self.run_after(vec![sql]).await.unwrap();
    }

    /// Runs a statement as the owner of the tables, who is an ordinary role on PostgreSQL and not the tests' superuser.
    pub async fn run_as_owner(&self, sql: &'static str) -> Result<(), Error> {
        let mut statements = self.db.backend().pick(
            vec![],
            vec![
                "CREATE ROLE payops_owner",
                "ALTER TABLE limit_usage_logs OWNER TO payops_owner",
                "ALTER TABLE limit_usage_logs_2026_11 OWNER TO payops_owner",
                "ALTER TABLE limit_seals OWNER TO payops_owner",
                "ALTER TABLE limit_checkpoints OWNER TO payops_owner",
                "SET LOCAL ROLE payops_owner",
            ],
        );
        statements.push(sql);
        self.run_after(statements).await
    }

    async fn run_after(&self, statements: Vec<&'static str>) -> Result<(), Error> {
        self.db
            .write("test.run", move |tx| {
                let statements = statements.clone();
                Box::pin(async move {
                    for statement in statements {
                        tx.execute_raw(tx.statement(statement, [])).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Locks a merchant's row, as another transaction does, until what is given back is sent to.
    pub async fn hold(&self, merchant: Uuid) -> (oneshot::Sender<()>, JoinHandle<()>) {
        let (held, is_held) = oneshot::channel();
        let (free, is_free) = oneshot::channel::<()>();
        let once = Arc::new(Mutex::new(Some((held, is_free))));
        let db = self.db.clone();
        let holder = tokio::spawn(async move {
            let body = move |tx: &payops_platform::db::Tx| {
                let sql = "UPDATE merchant_limits SET version = version WHERE merchant_id = $1";
                tx.statement(sql, [merchant.into()])
            };
            db.write("test.hold", move |tx| {
                let once = Arc::clone(&once);
                Box::pin(async move {
                    tx.execute_raw(body(tx)).await?;
                    let (held, is_free) = once.lock().unwrap().take().unwrap();
                    held.send(()).unwrap();
                    is_free.await.unwrap();
                    Ok(())
                })
            })
            .await
            .unwrap();
        });
        is_held.await.unwrap();
        (free, holder)
    }

    /// How many sessions of the database on PostgreSQL are as `condition` says.
    pub async fn sessions(&self, condition: &str) -> i64 {
        let sql = format!(
            "SELECT COUNT(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND {condition}"
        );
        let statement = self.keep.backend().statement(&sql, []);
        let row = self.keep.read().query_one_raw(statement).await.unwrap().unwrap();
        row.try_get("", "n").unwrap()
    }

    /// The id of the key that signs seals.
    pub fn key_id(&self) -> String {
        self.keys.public_keys().into_iter().find(|key| key.signs).unwrap().id
    }

    /// Runs the jobs that are due.
    pub async fn work(&self) {
        self.runner.run_until_idle().await;
    }

    /// The present, in whole seconds of Unix time.
    pub fn clock_seconds(&self) -> i64 {
        self.clock.now().timestamp()
    }

    /// The text for this database.
    pub fn pick<T>(&self, sqlite: T, postgres: T) -> T {
        self.db.backend().pick(sqlite, postgres)
    }

    /// What `/metrics` shows.
    pub fn metrics(&self) -> String {
        self.metrics.render().unwrap()
    }

    /// What works in the background, for a test that breaks it off.
    pub fn runner(&self) -> Runner {
        self.runner.clone()
    }

    pub fn set(&self, time: &str) {
        self.clock.set(at(time));
    }

    pub fn id(&self) -> Uuid {
        payops_core::id::new_id(&self.clock, &SystemRandom)
    }
}

/// Budgets that no test but those of budgets spends.
pub fn plenty() -> Budgets {
    Budgets { caller_per_minute: NonZeroU32::MAX, service_per_minute: NonZeroU32::MAX, ..Budgets::default() }
}

/// Deciding by this clock, sealing with a key of the tests.
fn by(clock: &ManualClock) -> Options {
    Options { clock: Some(Arc::new(clock.clone())), keys: keys(&[SEALING_KEY]), ..Options::default() }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Keys of seals, the first of which signs.
pub fn keys(private: &[&'static str]) -> Arc<AuditKeys> {
    Arc::new(AuditKeys::new(private.iter().copied(), []).unwrap())
}

pub fn charge(merchant: Uuid, payment_no: &str, amount: i64) -> Value {
    json!({ "merchant_id": merchant, "payment_no": payment_no, "amount": amount, "currency": "USD" })
}

/// The migrations, for the macro that stamps tests on both databases.
pub const TABLES: &[payops_platform::db::Migration] = MIGRATIONS;
