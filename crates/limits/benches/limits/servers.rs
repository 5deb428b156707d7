//! The servers that are measured, each with threads of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use payops_core::random::SystemRandom;
use payops_core::time::SystemClock;
use payops_limits::{Limits, MIGRATIONS, Options, jobs, routes};
use payops_platform::ServiceContext;
use payops_platform::db::testing::{self, TestDb};
use payops_platform::db::{DatabaseTarget, Db};
use payops_platform::http::load::runtime;
use payops_platform::http::testing::{SERVICE_NAME, SERVICE_SECRET, authenticator};
use payops_platform::http::{Budgets, Limiter, ServiceHttp, listen, serve, service_router};
use payops_platform::telemetry::Metrics;
use sea_orm::ConnectionTrait;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::load::{Aim, Ask};
use crate::rivals;

/// How many merchants there are.
pub const MERCHANTS: usize = 1000;
/// Any free port.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Connections of a rival to PostgreSQL: more were not faster.
const RIVAL_POOL: u32 = 16;

/// A server, and where it listens.
pub struct Server {
    pub name: &'static str,
    pub address: SocketAddr,
    credentials: bool,
    _runtime: Runtime,
    _db: Option<TestDb>,
}

impl Server {
    /// The first `count` merchants, asked for on this server.
    pub fn aim(&self, merchants: &[Uuid], ask: Ask) -> Aim {
        let credentials = if self.credentials {
            format!("x-service-name: {SERVICE_NAME}\r\nx-service-secret: {SERVICE_SECRET}\r\n")
        } else {
            String::new()
        };
        Aim { address: self.address, credentials, merchants: Arc::new(merchants.to_vec()), ask }
    }
}

/// A bare handler that answers nothing to anything.
pub fn empty() -> anyhow::Result<Server> {
    let runtime = runtime("empty", 2)?;
    let mut router = Router::new();
    for path in ["consume", "check", "batch"] {
        router = router.route(&format!("/api/v1/limits/{path}"), post(|| async { "{}" }));
    }
    let address = runtime.block_on(async {
        let listener = listen(LOOPBACK)?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        anyhow::Ok(address)
    })?;
    Ok(Server { name: "empty handler", address, credentials: false, _runtime: runtime, _db: None })
}

/// payops on a database of its own.
pub fn payops(name: &'static str, postgres: bool, merchants: &[Uuid]) -> anyhow::Result<Server> {
    let runtime = runtime(if postgres { "payops-pg" } else { "payops-lite" }, 2)?;
    let (db, address) = runtime.block_on(async {
        let db =
            if postgres { testing::postgres(MIGRATIONS).await } else { testing::sqlite(MIGRATIONS).await };
        fill(&db, merchants).await?;
        let context = context(db.db());
        jobs::schedule(&context).await?;
        let app = Limits::start(context.clone(), Options::default());
        let address = answer(context, routes(app))?;
        anyhow::Ok((db, address))
    })?;
    Ok(Server { name, address, credentials: true, _runtime: runtime, _db: Some(db) })
}

/// A rival behind the same HTTP stack.
pub fn rival(name: &'static str, one_statement: bool, merchants: &[Uuid]) -> anyhow::Result<Server> {
    let runtime = runtime("rival", 2)?;
    let (db, address) = runtime.block_on(async {
        let db = testing::postgres(&[]).await;
        let pool = pool(&db).await?;
        for table in rivals::TABLES {
            pool.execute(table).await?;
        }
        let merchant = "INSERT INTO rival_limits (merchant_id, daily_limit, monthly_limit, single_trans_limit) \
             SELECT unnest($1), 1000000000000, 30000000000000, 1000000";
        sqlx::query(merchant).bind(merchants.to_vec()).execute(&pool).await?;
        let path = "/api/v1/limits/consume";
        let routes = OpenApiRouter::new();
        let routes = if one_statement {
            routes.route(path, post(rivals::one_statement))
        } else {
            routes.route(path, post(rivals::three_statements))
        };
        let address = answer(context(db.db()), routes.with_state(pool))?;
        anyhow::Ok((db, address))
    })?;
    Ok(Server { name, address, credentials: true, _runtime: runtime, _db: Some(db) })
}

/// Makes commits as durable as they are in production: the server for tests does without.
pub fn make_durable() -> anyhow::Result<()> {
    runtime("settings", 1)?.block_on(async {
        let db = testing::postgres(&[]).await;
        let pool = pool(&db).await?;
        for setting in
            ["fsync = on", "full_page_writes = on", "synchronous_commit = on", "shared_buffers = '512MB'"]
        {
            pool.execute(sqlx::AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"))).await?;
        }
        pool.execute("SELECT pg_reload_conf()").await?;
        anyhow::Ok(())
    })
}

async fn pool(db: &TestDb) -> anyhow::Result<PgPool> {
    let DatabaseTarget::Postgres(target) = db.target() else { anyhow::bail!("not PostgreSQL") };
    let options = PgConnectOptions::new_without_pgpass()
        .host(&target.host)
        .port(target.port)
        .username(&target.user)
        .database(&target.database);
    Ok(PgPoolOptions::new()
        .max_connections(RIVAL_POOL)
        .test_before_acquire(false)
        .connect_with(options)
        .await?)
}

fn context(db: Db) -> ServiceContext {
    let service = "merchant-limit-service";
    ServiceContext::new(service, db, Arc::new(SystemClock), Arc::new(SystemRandom), Metrics::new(service))
}

fn answer(context: ServiceContext, routes: OpenApiRouter) -> anyhow::Result<SocketAddr> {
    let budgets = Budgets { service_per_minute: NonZeroU32::MAX, ..Budgets::default() };
    let http = ServiceHttp {
        limiter: Arc::new(Limiter::in_process(budgets)),
        ..ServiceHttp::new(context, authenticator()?, routes)
    };
    let listener = listen(LOOPBACK)?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, service_router(http), CancellationToken::new(), Duration::ZERO));
    Ok(address)
}

/// The merchants, of a tier that never says no.
async fn fill(db: &Db, merchants: &[Uuid]) -> anyhow::Result<()> {
    let merchants = merchants.to_vec();
    db.write("bench.fill", move |tx| {
        let merchants = merchants.clone();
        Box::pin(async move {
            let tier = rivals::fresh_id();
            let sql = "INSERT INTO merchant_tiers (id, tier_code, tier_name, tier_level, currency, daily_limit, \
                 monthly_limit, single_trans_limit, transaction_fee_rate, withdrawal_fee_rate, alert_thresholds, \
                 created_at, updated_at) \
                 VALUES ($1, 'bench', 'Bench', 9, 'USD', 1000000000000, 30000000000000, 1000000, 0, 0, $2, $3, $3)";
            let (long_ago, thresholds) = (chrono::DateTime::UNIX_EPOCH, serde_json::json!([80, 90, 100]));
            tx.execute_raw(tx.statement(sql, [tier.into(), thresholds.into(), long_ago.into()])).await?;
            let sql = "INSERT INTO merchant_limits (merchant_id, id, tier_id, timezone, day_start, daily_reset_at, \
                 month_start, monthly_reset_at, created_at, updated_at) \
                 VALUES ($1, $1, $2, 'Etc/UTC', $3, $3, $3, $3, $3, $3)";
            for merchant in merchants {
                tx.execute_raw(tx.statement(sql, [merchant.into(), tier.into(), long_ago.into()])).await?;
            }
            Ok(())
        })
    })
    .await?;
    Ok(())
}
