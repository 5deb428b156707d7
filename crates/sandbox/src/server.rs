//! The server: both stood-in systems behind one listener, and a handle to look inside and to meddle.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use chrono::{NaiveDate, TimeDelta};
use http::StatusCode;
use payops_client::LimitsClient;
use payops_core::random::{Random, SystemRandom};
use payops_core::time::{Clock, NoSuchDay, SystemClock, Timestamp, Zone};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::VirtualClock;
use crate::days::{Channel, Day, DayPlan, Truth, Variant, World};
use crate::faults::{ActiveFault, Fault, FaultTarget, Faults, InvalidFault};
use crate::gateway::known::{self, KnownPayment, KnownPayments};
use crate::gateway::payments::{self, Charge, LivePayments, Payment};
use crate::kept::{Keeper, State as KeptState, refused};
use crate::requests::{LoggedRequest, RequestLog, log_request};
use crate::stripe::{
    Account, Books, Delivery, Endpoint, IdempotencyKeys, KeptAnswer, KeptRun, Outcome, RateLimit, Run, Runs,
    Settings, Settlement, WebhookTarget, Webhooks, attempt,
};
use crate::{control, gateway, stripe};

/// The port that the sandbox listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 40_091;
/// The key that Stripe's side accepts unless told otherwise.
pub const DEFAULT_STRIPE_API_KEY: &str = "sk_test_payops_sandbox";
/// The secret that the gateway accepts unless told otherwise.
pub const DEFAULT_GATEWAY_SECRET: &str = "sandbox-gateway-secret";
/// A secret for webhooks where none is chosen.
pub const DEFAULT_WEBHOOK_SECRET: &str = "whsec_payops_sandbox";
/// The seed of the days unless told otherwise.
pub const DEFAULT_SEED: u64 = 20_241_024;

/// Data become available in steps of half a day.
const AVAILABILITY_STEP_SECONDS: i64 = 12 * 3600;
/// How often the sandbox looks whether runs or webhooks are due, in real time.
pub(crate) const TICK: Duration = Duration::from_millis(20);
/// How long a shutdown waits for calls that are being answered.
const DRAIN: Duration = Duration::from_secs(2);

/// What a sandbox is made of. [`SandboxConfig::on`] gives a working one to change.
pub struct SandboxConfig {
    /// Where it listens.
    pub listener: TcpListener,
    /// How others reach it, without a slash at the end; `None` takes the listener's address. Files are
    /// offered below it.
    pub public_url: Option<String>,
    /// The time below the sandbox's own, which can be moved ahead of it.
    pub clock: Arc<dyn Clock>,
    /// Moves `clock` ahead, where others go by it too; without it the sandbox alone is moved.
    pub advance_all: Option<AdvanceAll>,
    /// Where the ids of runs, files, events and requests come from. Days do not depend on it.
    pub random: Arc<dyn Random>,
    /// What every day follows from.
    pub seed: u64,
    /// Where the state is kept between runs; `None` keeps it in memory.
    pub data: Option<PathBuf>,
    /// Payments a day and channel, about. At most [`DayPlan::MOST_PAYMENTS`].
    pub payments: u64,
    /// UTC dates that are made of something else than the default.
    pub plans: BTreeMap<NaiveDate, DayPlan>,
    /// The secret key that Stripe's side accepts.
    pub stripe_api_key: String,
    /// The `X-Service-Secret` that the gateway accepts, from any service name.
    pub gateway_secret: String,
    /// The limit service that the gateway asks about payments; without one it takes none.
    pub limits: Option<payops_client::Settings>,
    /// Who is told about every event.
    pub webhooks: Vec<WebhookTarget>,
    /// How long a run is pending, by the sandbox's clock.
    pub report_delay: TimeDelta,
    /// How long it takes, by the sandbox's clock, until data are available. `data_available_end` is the
    /// last noon or midnight (UTC) that lies at least this far back.
    pub availability_lag: TimeDelta,
    /// From when on there are data.
    pub data_available_start: Timestamp,
    /// When a failed webhook is tried again, by the sandbox's clock: after the first attempt, the second …
    pub webhook_retry_delays: Vec<TimeDelta>,
    /// Calls to Stripe's side that are answered in a second of the sandbox's clock; `None` for no limit.
    /// Stripe's own is 25 in test mode.
    pub rate_limit_per_second: Option<u32>,
    /// How long after a charge its dispute appears, by the sandbox's clock, and after that what is known of the
    /// customer in its evidence.
    pub dispute_delay: TimeDelta,
    /// How long the issuer takes to decide upon evidence with a word that decides, by the sandbox's clock.
    pub decision_delay: TimeDelta,
    /// Into which currency everything is settled; `None` settles each in its own.
    pub settlement: Option<Settlement>,
    /// Takes evidence again for a dispute whose evidence was sent, and counts it, instead of refusing it.
    pub takes_second_submission: bool,
}

impl SandboxConfig {
    /// A sandbox on `address` (port 0 for any free one) with the machine's clock and all defaults.
    pub async fn on(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::listening(TcpListener::bind(address).await?))
    }

    /// A sandbox on `listener` with the machine's clock and all defaults.
    pub fn listening(listener: TcpListener) -> Self {
        Self {
            listener,
            public_url: None,
            clock: Arc::new(SystemClock),
            advance_all: None,
            random: Arc::new(SystemRandom),
            seed: DEFAULT_SEED,
            data: None,
            payments: DayPlan::USUAL_PAYMENTS,
            plans: BTreeMap::new(),
            stripe_api_key: DEFAULT_STRIPE_API_KEY.to_owned(),
            gateway_secret: DEFAULT_GATEWAY_SECRET.to_owned(),
            limits: None,
            webhooks: Vec::new(),
            report_delay: TimeDelta::seconds(2),
            availability_lag: TimeDelta::hours(12),
            data_available_start: chrono::DateTime::from_timestamp(1_577_836_800, 0).unwrap_or_default(),
            webhook_retry_delays: vec![TimeDelta::seconds(5), TimeDelta::minutes(1)],
            rate_limit_per_second: None,
            dispute_delay: TimeDelta::milliseconds(500),
            decision_delay: TimeDelta::seconds(5),
            settlement: None,
            takes_second_submission: false,
        }
    }
}

/// What all handlers share.
pub(crate) struct Shared {
    pub(crate) base_url: String,
    pub(crate) clock: VirtualClock,
    advance_all: Option<AdvanceAll>,
    random: Arc<dyn Random>,
    world: Mutex<World>,
    pub(crate) stripe_api_key: String,
    pub(crate) gateway_secret: String,
    pub(crate) report_delay: TimeDelta,
    availability_lag: TimeDelta,
    data_available_start: Timestamp,
    pub(crate) webhook_retry_delays: Vec<TimeDelta>,
    pub(crate) rate_limit: RateLimit,
    pub(crate) faults: Faults,
    pub(crate) requests: RequestLog,
    pub(crate) runs: Runs,
    pub(crate) idempotency: IdempotencyKeys,
    pub(crate) webhooks: Webhooks,
    pub(crate) http: reqwest::Client,
    pub(crate) limits: Option<LimitsClient>,
    pub(crate) payments: LivePayments,
    pub(crate) known_payments: KnownPayments,
    pub(crate) books: Books,
    pub(crate) stop: CancellationToken,
    keeper: Option<Keeper>,
}

impl Shared {
    /// Moves the clock ahead, for all who go by it.
    pub(crate) fn advance(&self, by: TimeDelta) -> io::Result<()> {
        if let Some(advance_all) = &self.advance_all {
            return (advance_all.0)(by);
        }
        self.clock.advance(by);
        Ok(())
    }

    /// What is worth keeping.
    fn state(&self) -> KeptState {
        let world = self.world();
        let (last_fault, faults) = self.faults.kept();
        KeptState {
            seed: world.seed(),
            payments: world.payments(),
            clock_ahead_micros: self.clock.ahead().num_microseconds().unwrap_or_default(),
            plans: world.plans().clone(),
            last_fault,
            faults,
            runs: self.runs.all().iter().map(KeptRun::of).collect(),
            idempotency_keys: self.idempotency.answers(),
            account: self.books.lock().clone(),
            webhook_endpoints: self.webhooks.endpoints(|known| known.clone()),
            live_payments: self.payments.all(),
            charges: self.payments.channel.charges(),
            known_payments: self.known_payments.all(),
        }
    }

    /// Puts what has changed on disk, if there is a place for it.
    pub(crate) async fn keep(shared: &Arc<Self>) -> io::Result<()> {
        if shared.keeper.is_none() {
            return Ok(());
        }
        let shared = Arc::clone(shared);
        let write = move || shared.keeper.as_ref().map_or(Ok(()), |keeper| keeper.write(|| shared.state()));
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
    }

    /// The days as they are told now.
    pub(crate) fn world(&self) -> World {
        self.world.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a UTC date tell another variant, and, if given, of another size.
    pub(crate) fn change_plan(&self, date: NaiveDate, variant: Variant, payments: Option<u64>) -> DayPlan {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let before = world.plan(date);
        *world = world.with_plan(date, DayPlan { variant, payments: payments.unwrap_or(before.payments) });
        world.plan(date)
    }

    /// A new id in Stripe's style.
    pub(crate) fn new_id(&self, prefix: &str) -> String {
        let mut bytes = [0; 12];
        self.random.fill(&mut bytes);
        format!("{prefix}{}", hex::encode(bytes))
    }

    /// From when and until when there are data, Unix seconds.
    pub(crate) fn availability(&self) -> (i64, i64) {
        let latest = (self.clock.now() - self.availability_lag).timestamp();
        let end = latest.div_euclid(AVAILABILITY_STEP_SECONDS) * AVAILABILITY_STEP_SECONDS;
        (self.data_available_start.timestamp(), end)
    }

    /// Ends every run whose time has come, and tells about it.
    pub(crate) async fn settle_runs(shared: &Arc<Self>) {
        let due = shared.runs.due(shared.clock.now());
        if due.is_empty() {
            return;
        }
        shared.settle(due).await;
        if let Err(error) = Self::keep(shared).await {
            tracing::error!(%error, "the state could not be kept");
        }
    }

    async fn settle(&self, due: Vec<Run>) {
        for due in due {
            if due.outcome == Outcome::Succeeds
                && let Err(error) = due.measure().await
            {
                tracing::error!(run = %due.id, %error, "the report could not be measured");
                continue;
            }
            if let Some(run) = self.runs.finish(&due.id, due.ready_at) {
                self.webhooks.run_ended(&self.new_id("evt_1"), &run, &self.base_url, due.ready_at);
            }
        }
    }
}

/// The stand-in for Stripe and for the payment gateway.
pub struct Sandbox;

impl Sandbox {
    /// Starts serving. The server runs until [`RunningSandbox::shutdown`], or until that is dropped.
    pub fn start(config: SandboxConfig) -> io::Result<RunningSandbox> {
        let address = config.listener.local_addr()?;
        let base_url = config.public_url.unwrap_or_else(|| format!("http://{address}"));
        let http = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
        let world = World::new(config.seed, config.payments).with_plans(config.plans);
        let limits = config.limits.map(LimitsClient::new).transpose().map_err(io::Error::other)?;
        let stop = CancellationToken::new();
        let (keeper, kept) = match &config.data {
            Some(folder) => restore(folder, &world)?,
            None => (None, Restored::default()),
        };
        let clock = VirtualClock::new(config.clock);
        clock.advance(kept.clock_ahead);
        let settings = Settings {
            base_url: base_url.clone(),
            dispute_delay: config.dispute_delay,
            decision_delay: config.decision_delay,
            settlement: config.settlement,
            takes_second_submission: config.takes_second_submission,
        };
        let files = config.data.map(|folder| folder.join("files"));
        let shared = Arc::new(Shared {
            base_url,
            clock,
            advance_all: config.advance_all,
            random: config.random,
            world: Mutex::new(world.with_plans(kept.plans)),
            stripe_api_key: config.stripe_api_key,
            gateway_secret: config.gateway_secret,
            report_delay: config.report_delay,
            availability_lag: config.availability_lag,
            data_available_start: config.data_available_start,
            webhook_retry_delays: config.webhook_retry_delays,
            rate_limit: RateLimit::new(config.rate_limit_per_second),
            faults: kept.faults,
            requests: RequestLog::default(),
            runs: Runs::new(kept.runs),
            idempotency: IdempotencyKeys::new(kept.answers),
            webhooks: Webhooks::new(config.webhooks, kept.webhook_endpoints),
            books: Books::new(kept.account, settings, files),
            http,
            limits,
            payments: LivePayments::new(kept.live_payments, kept.charges),
            known_payments: KnownPayments::new(kept.known_payments),
            stop: stop.clone(),
            keeper,
        });
        let settling = tokio::spawn(settle_in_the_background(Arc::clone(&shared), stop.clone()));
        let delivering = tokio::spawn(deliver_in_the_background(Arc::clone(&shared), stop.clone()));
        let paying = tokio::spawn(payments::carry_on_in_the_background(Arc::clone(&shared)));
        let router = router(&shared);
        let listener = config.listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps its small packets back");
            }
        });
        let until = stop.clone().cancelled_owned();
        let serving =
            tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(until).await });
        tracing::info!(url = %shared.base_url, seed = config.seed, "the sandbox is listening");
        let guard = StopOnDrop(stop);
        Ok(RunningSandbox {
            address,
            handle: SandboxHandle { shared },
            serving,
            background: [settling, delivering, paying],
            guard,
        })
    }
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .nest("/v1", stripe::routes(shared))
        .route("/links/{token}", get(stripe::follow_link))
        .route("/internal/payments/reconciliation", get(gateway::reconciliation_feed))
        .merge(payments::routes())
        .merge(known::routes())
        .merge(control::routes())
        .layer(axum::middleware::from_fn_with_state(Arc::clone(shared), log_request))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(shared), keep_what_changed))
        .with_state(Arc::clone(shared))
}

/// Moves a clock ahead that others go by too, or says why it cannot.
#[derive(Clone)]
pub struct AdvanceAll(pub Arc<dyn Fn(TimeDelta) -> io::Result<()> + Send + Sync>);

/// What an earlier sandbox left.
#[derive(Default)]
struct Restored {
    clock_ahead: TimeDelta,
    plans: BTreeMap<NaiveDate, DayPlan>,
    faults: Faults,
    runs: Vec<Run>,
    answers: Vec<KeptAnswer>,
    live_payments: Vec<Payment>,
    charges: Vec<Charge>,
    known_payments: BTreeMap<String, KnownPayment>,
    account: Account,
    webhook_endpoints: Vec<Endpoint>,
}

/// Claims a folder and takes up what is kept in it, provided that it belongs to such a world.
fn restore(folder: &Path, world: &World) -> io::Result<(Option<Keeper>, Restored)> {
    let (keeper, state) = Keeper::open(folder)?;
    let Some(state) = state else { return Ok((Some(keeper), Restored::default())) };
    if (state.seed, state.payments) != (world.seed(), world.payments()) {
        let why = format!(
            "the sandbox in this folder has seed {} and {} payments a day: start it with these, or in another folder",
            state.seed, state.payments
        );
        return Err(refused(folder, why));
    }
    let runs = state.runs.into_iter().map(|run| run.into_run(world.seed(), world.payments()));
    let runs: Option<Vec<Run>> = runs.collect();
    let restored = Restored {
        clock_ahead: TimeDelta::microseconds(state.clock_ahead_micros),
        plans: state.plans,
        faults: Faults::new(state.last_fault, state.faults),
        runs: runs.ok_or_else(|| refused(folder, "a run in this folder is of a report that there is not"))?,
        answers: state.idempotency_keys,
        live_payments: state.live_payments,
        charges: state.charges,
        known_payments: state.known_payments,
        account: state.account,
        webhook_endpoints: state.webhook_endpoints,
    };
    Ok((Some(keeper), restored))
}

/// Answers only when what the call has changed is on disk. Reading may change something too: faults are used
/// up by it.
async fn keep_what_changed(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match Shared::keep(&shared).await {
        Ok(()) => response,
        Err(error) => {
            tracing::error!(%error, "the state could not be kept");
            let text = format!("the call had its effect, but the state could not be kept: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": text }))).into_response()
        }
    }
}

async fn settle_in_the_background(shared: Arc<Shared>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
        if shared.has_books_to_settle() {
            shared.settle_books();
            if let Err(error) = Shared::keep(&shared).await {
                tracing::error!(%error, "the state could not be kept");
            }
        }
        Shared::settle_runs(&shared).await;
    }
}

async fn deliver_in_the_background(shared: Arc<Shared>, stop: CancellationToken) {
    let mut attempts = JoinSet::new();
    while stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
        let now = shared.clock.now();
        for delivery in shared.webhooks.take_due(now) {
            let strike = shared.faults.strike(FaultTarget::Webhook, None);
            if strike.reorder {
                shared.webhooks.hold(delivery.number, now);
                continue;
            }
            let shared = Arc::clone(&shared);
            attempts.spawn(async move {
                attempt(&shared, delivery, strike).await;
                // A fault may have been used up.
                if let Err(error) = Shared::keep(&shared).await {
                    tracing::error!(%error, "the state could not be kept");
                }
            });
        }
        while attempts.try_join_next().is_some() {}
    }
}

struct StopOnDrop(CancellationToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A sandbox that serves. Dropping it stops it.
pub struct RunningSandbox {
    address: SocketAddr,
    handle: SandboxHandle,
    serving: JoinHandle<io::Result<()>>,
    background: [JoinHandle<()>; 3],
    guard: StopOnDrop,
}

impl RunningSandbox {
    /// How others reach it, without a slash at the end: the value for both `STRIPE_API_BASE` and
    /// `PAYMENT_GATEWAY_URL`.
    pub fn base_url(&self) -> &str {
        &self.handle.shared.base_url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// To look inside and to meddle.
    pub fn handle(&self) -> &SandboxHandle {
        &self.handle
    }

    /// Stops accepting, waits up to two seconds for calls that are being answered, and ends.
    pub async fn shutdown(self) {
        self.guard.0.cancel();
        let mut serving = self.serving;
        if tokio::time::timeout(DRAIN, &mut serving).await.is_err() {
            serving.abort();
        }
        for task in self.background {
            task.abort();
            // Only then does nobody hold the folder any more.
            drop(task.await);
        }
        if let Err(error) = Shared::keep(&self.handle.shared).await {
            tracing::error!(%error, "the state could not be kept");
        }
    }
}

/// Looks into a running sandbox and changes what it does. Cheap to clone.
#[derive(Clone)]
pub struct SandboxHandle {
    pub(crate) shared: Arc<Shared>,
}

impl SandboxHandle {
    /// The present, by the sandbox's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Moves the sandbox's clock ahead; what is due by then happens, each at its own time.
    pub fn advance(&self, by: TimeDelta) {
        if let Err(error) = self.shared.advance(by) {
            tracing::error!(%error, "the clock is not moved");
        }
        self.shared.settle_books();
    }

    /// The first instant that no report can be asked for yet.
    pub fn data_available_end(&self) -> Timestamp {
        chrono::DateTime::from_timestamp(self.shared.availability().1, 0).unwrap_or_default()
    }

    /// Makes something go wrong.
    pub fn add_fault(&self, fault: Fault) -> Result<ActiveFault, InvalidFault> {
        self.shared.faults.add(fault)
    }

    /// The faults that still wait for calls.
    pub fn faults(&self) -> Vec<ActiveFault> {
        self.shared.faults.all()
    }

    /// Takes every fault back.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// A day as it is told now.
    pub fn day(&self, date: NaiveDate, channel: Channel, zone: &Zone) -> Result<Day, NoSuchDay> {
        self.shared.world().day(date, channel, zone)
    }

    /// What a reconciliation of a day must find. Walks over the whole day.
    pub fn truth(&self, date: NaiveDate, channel: Channel, zone: &Zone) -> Result<Truth, NoSuchDay> {
        self.day(date, channel, zone).map(|day| day.truth())
    }

    /// Makes a UTC date tell another variant, for reports that are created and feeds that are read from now on.
    pub fn set_variant(&self, date: NaiveDate, variant: Variant) -> DayPlan {
        self.shared.change_plan(date, variant, None)
    }

    /// Makes a UTC date consist of something else altogether.
    pub fn set_plan(&self, date: NaiveDate, plan: DayPlan) -> DayPlan {
        self.shared.change_plan(date, plan.variant, Some(plan.payments))
    }

    /// The calls that came in, oldest first; the last 2000.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.requests.all()
    }

    /// Forgets the calls that came in.
    pub fn clear_requests(&self) {
        self.shared.requests.clear();
    }

    /// What the simulated channel has charged for payments of the gateway.
    pub fn charges(&self) -> Vec<Charge> {
        self.shared.payments.channel.charges()
    }

    /// Tells one more receiver about every event; one with the same URL is replaced.
    pub fn add_webhook(&self, target: WebhookTarget) {
        self.shared.webhooks.add_target(target);
    }

    /// The webhooks that went out or will, oldest first; the last 10,000.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.webhooks.deliveries()
    }
}
