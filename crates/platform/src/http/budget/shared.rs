//! Budgets counted in Redis, for all instances of a service.
//!
//! A request never waits for a connection. One task keeps the connection: it connects, looks every second whether Redis
//! still answers, and begins anew after a failure. (The client's own manager reconnects only after the connection broke,
//! not when the other side stopped answering.) Without a connection the gate is open.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, Script};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::local::InProcess;
use super::{Budgets, Policy, Ruling, network};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::http::HealthCheck;
use crate::telemetry::Metrics;

/// How long a request waits for Redis.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a new connection may take.
const CONNECTING: Duration = Duration::from_secs(1);
/// How often is looked whether Redis is there.
const CHECK_EVERY: Duration = Duration::from_secs(1);
const MINUTE_MICROS: u32 = 60_000_000;

/// How Redis is reached.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; Redis calls it `default` when none is given.
    pub user: Option<String>,
    /// The user's password, if there is one.
    pub password: Option<SecretString>,
    /// Number of the database.
    pub database: u32,
}

/// Budgets counted in Redis, except those of services.
#[derive(Debug)]
pub struct Shared {
    callers: Policy,
    anonymous: Policy,
    services: InProcess,
    store: Arc<Store>,
    _keeper: AbortOnDropHandle<()>,
}

impl Shared {
    pub(super) async fn open(redis: &RedisSettings, budgets: Budgets, metrics: &Metrics) -> Result<Self> {
        let store = Arc::new(Store::new(redis, metrics)?);
        store.check().await;
        Ok(Self {
            callers: Policy::callers(budgets),
            anonymous: Policy::anonymous(budgets),
            services: InProcess::new(budgets),
            _keeper: AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(&store)))),
            store,
        })
    }

    pub(super) fn take_service(&self, name: &str) -> Ruling {
        self.services.take_service(name)
    }

    pub(super) async fn take(
        &self,
        caller: Option<&Caller>,
        peer: Option<IpAddr>,
        own: Option<NonZeroU32>,
    ) -> Option<Ruling> {
        match caller {
            Some(Caller::Person { subject, .. }) => self.store.take(&self.callers, "person", subject).await,
            Some(Caller::Merchant { merchant_id, .. }) => {
                let policy = own.map_or_else(|| self.callers.clone(), Policy::merchant);
                self.store.take(&policy, "merchant", &merchant_id.to_string()).await
            }
            Some(Caller::Service { name }) => Some(self.take_service(name)),
            None => {
                let network = peer.map(|peer| network(peer).to_string()).unwrap_or_default();
                self.store.take(&self.anonymous, "address", &network).await
            }
        }
    }

    pub(super) fn health_check(&self) -> HealthCheck {
        let store = Arc::clone(&self.store);
        HealthCheck::optional("redis", move || {
            let store = Arc::clone(&store);
            async move {
                store.check().await;
                let away = || Error::unavailable("Redis does not answer", CHECK_EVERY);
                store.link().map(drop).ok_or_else(away)
            }
        })
    }
}

async fn keep(store: Arc<Store>) {
    loop {
        tokio::select! {
            () = store.lost.notified() => {}
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
        store.check().await;
    }
}

/// A connection, numbered so that a late failure of an old one does not cost the new one.
#[derive(Clone)]
struct Link {
    number: u64,
    connection: MultiplexedConnection,
}

struct Store {
    client: Client,
    service: &'static str,
    script: Script,
    link: Mutex<Option<Link>>,
    links: AtomicU64,
    lost: Notify,
    told: AtomicBool,
    skipped: Counter,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Store {
    fn new(redis: &RedisSettings, metrics: &Metrics) -> Result<Self> {
        let mut login = RedisConnectionInfo::default().set_db(redis.database.into());
        if let Some(user) = &redis.user {
            login = login.set_username(user);
        }
        if let Some(password) = &redis.password {
            login = login.set_password(password.expose_secret());
        }
        let address = ConnectionAddr::Tcp(redis.host.clone(), redis.port).into_connection_info();
        let address = address.map_err(Error::internal)?.set_redis_settings(login);
        Ok(Self {
            client: Client::open(address).map_err(Error::internal)?,
            service: metrics.service(),
            script: Script::new(include_str!("gcra.lua")),
            link: Mutex::default(),
            links: AtomicU64::new(0),
            lost: Notify::new(),
            told: AtomicBool::new(false),
            skipped: metrics.family(
                "http_rate_limits_skipped",
                "Requests that passed uncounted, because Redis was away or late.",
                Counter::default,
            ),
        })
    }

    async fn take(&self, policy: &Policy, kind: &str, name: &str) -> Option<Ruling> {
        let Some(mut link) = self.link() else {
            self.skipped.inc();
            return None;
        };
        match self.ask(&mut link, &self.key(kind, name), policy.per_minute).await {
            Ok((remaining, micros)) => {
                let wait = (micros > 0).then(|| Duration::from_micros(micros));
                Some(Ruling { policy: policy.clone(), remaining, wait })
            }
            Err(fault) => {
                self.skipped.inc();
                self.lose(&link, &fault);
                None
            }
        }
    }

    /// Asks Redis whether one more passes, or looks for a new connection.
    async fn check(&self) {
        if let Some(mut link) = self.link() {
            if let Err(fault) = self.probe(&mut link).await {
                self.lose(&link, &fault);
            }
            return;
        }
        match self.connect().await {
            Ok(link) => {
                *self.slot() = Some(link);
                if self.told.swap(false, Ordering::Relaxed) {
                    tracing::info!("Redis is back: rate limits are counted again");
                }
            }
            Err(fault) => self.tell(&fault),
        }
    }

    async fn connect(&self) -> std::result::Result<Link, Fault> {
        let connecting = async {
            // Every wait is bounded where it happens.
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECTING))
                .set_response_timeout(None);
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            self.script.load_async(&mut connection).await?;
            Ok::<_, redis::RedisError>(connection)
        };
        let connection = tokio::time::timeout(CONNECTING, connecting).await.map_err(|_| Fault::Late)??;
        let mut link = Link { number: self.links.fetch_add(1, Ordering::Relaxed), connection };
        self.probe(&mut link).await?;
        Ok(link)
    }

    /// The same as a request does, so that a server which answers but does not write counts as away.
    async fn probe(&self, link: &mut Link) -> std::result::Result<(), Fault> {
        self.ask(link, &self.key("probe", ""), NonZeroU32::MAX).await.map(drop)
    }

    /// What is left, and the microseconds to wait.
    async fn ask(
        &self,
        link: &mut Link,
        key: &str,
        per_minute: NonZeroU32,
    ) -> std::result::Result<(u32, u64), Fault> {
        // Rounded up: never more than the budget.
        let interval = MINUTE_MICROS.div_ceil(per_minute.get());
        let mut call = self.script.key(key);
        let call = call.arg(interval).arg(per_minute.get());
        let answer = tokio::time::timeout(PATIENCE, call.invoke_async(&mut link.connection)).await;
        Ok(answer.map_err(|_| Fault::Late)??)
    }

    /// Redis learns the hash of a name, and forgets it when the budget is whole again, within a minute or so.
    fn key(&self, kind: &str, name: &str) -> String {
        let digest = Sha256::digest(name);
        let (short, _) = digest.split_at(16);
        format!("payops:rate:{}:{kind}:{}", self.service, hex::encode(short))
    }

    fn lose(&self, link: &Link, fault: &Fault) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|present| present.number == link.number) {
            *slot = None;
            drop(slot);
            self.tell(fault);
            self.lost.notify_one();
        }
    }

    /// Once, not for every request.
    fn tell(&self, fault: &Fault) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(%fault, "Redis is away: requests pass without being counted until it is back");
        }
    }

    fn link(&self) -> Option<Link> {
        self.slot().clone()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why Redis does not count.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("no answer in time")]
    Late,
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
}
