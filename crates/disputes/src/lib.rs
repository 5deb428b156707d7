//! Disputes: what a channel takes back, and the answer to it.
//!
//! [`lifecycle`] is the state machine, a pure function. [`evidence`] knows what an answer may contain and what this dispute
//! calls for; [`documents`] reads, merges and writes the files of it. Around them the service: what the channel says is
//! read after each event, what people do is written with its history, and [`routes`] is the API.

pub mod alerts;
pub mod api;
pub mod documents;
pub mod evidence;
pub mod jobs;
pub mod lifecycle;
pub mod model;

mod error;
mod files;
mod metrics;
mod ops;
mod store;
mod vault;

use std::sync::Arc;
use std::time::Duration;

use payops_channels::payment_lookup::PaymentLookup;
use payops_channels::stripe::api::StripeClient;
use payops_platform::context::ServiceContext;
use payops_platform::db::Migration;
use payops_platform::error::Result;
use payops_platform::vault::{DataKey, KeyRing};
use secrecy::SecretString;

use metrics::DisputeMetrics;
use ops::intake::Intake;
use ops::payment::GatewayHealth;

pub use api::{openapi, routes};
pub use files::Files;
pub use ops::rotation::{check_ring, rotate_keys};
pub use vault::DisputeKeys;

/// The service's tables, the oldest migration first.
pub const MIGRATIONS: &[Migration] = &[
    Migration::portable("0001_disputes", include_str!("../migrations/0001_disputes.sql")),
    Migration {
        name: "0002_timeline",
        sqlite: include_str!("../migrations/0002_timeline.sqlite.sql"),
        postgres: include_str!("../migrations/0002_timeline.postgres.sql"),
    },
    Migration::portable("0003_desk", include_str!("../migrations/0003_desk.sql")),
    Migration::portable("0004_payments", include_str!("../migrations/0004_payments.sql")),
    Migration::portable("0005_personal_data", include_str!("../migrations/0005_personal_data.sql")),
];

/// What the service is told at its start.
#[derive(Debug)]
pub struct Options {
    /// The secrets that Stripe signs its webhooks with; several while one is being replaced.
    pub stripe_webhook_secrets: Vec<SecretString>,
    /// Under which name a charge's or payment intent's metadata hold our payment's number.
    pub payment_no_key: String,
    /// Under which name they hold the merchant's id.
    pub merchant_id_key: String,
    /// How long before the deadline an answer is sent that is held until then.
    pub submission_margin: Duration,
    /// Who is told of deadlines, and of what else must not be overlooked.
    pub alerts: alerts::Destinations,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stripe_webhook_secrets: Vec::new(),
            payment_no_key: "payment_no".to_owned(),
            merchant_id_key: "merchant_id".to_owned(),
            submission_margin: Duration::from_hours(6),
            alerts: alerts::Destinations::default(),
        }
    }
}

/// Who is asked: channels are read and answered, and refused when they are needed and not configured; the gateway can be done
/// without.
#[derive(Debug, Default)]
pub struct Channels {
    /// Stripe's API.
    pub stripe: Option<StripeClient>,
    /// The payment gateway, which knows payments by the channel's ids.
    pub gateway: Option<PaymentLookup>,
}

/// The dispute service. Clones share everything.
#[derive(Debug, Clone)]
pub struct Disputes {
    pub(crate) context: ServiceContext,
    pub(crate) files: Files,
    pub(crate) channels: Arc<Channels>,
    pub(crate) options: Arc<Options>,
    pub(crate) metrics: DisputeMetrics,
    pub(crate) intake: Intake,
    pub(crate) gateway_health: GatewayHealth,
    /// What the keys of disputes are wrapped under.
    pub(crate) ring: KeyRing,
    /// What addresses are hashed with.
    pub(crate) subjects: Arc<DataKey>,
}

impl AsRef<ServiceContext> for Disputes {
    fn as_ref(&self) -> &ServiceContext {
        &self.context
    }
}

impl Disputes {
    /// Puts the service together. `ring` must have every key that is in use.
    ///
    /// # Errors
    /// 503 `DATA_KEY_MISSING` where the ring lacks a key; its internal text says which.
    pub async fn start(
        context: ServiceContext,
        files: Files,
        ring: KeyRing,
        channels: Channels,
        options: Options,
    ) -> Result<Self> {
        check_ring(context.db.read(), &ring).await?;
        let subjects = Arc::new(ops::vault::subjects_key(&context, &ring).await?);
        let metrics = DisputeMetrics::register(&context.metrics);
        Ok(Self {
            context,
            files,
            channels: Arc::new(channels),
            options: Arc::new(options),
            metrics,
            intake: Intake::default(),
            gateway_health: GatewayHealth::default(),
            ring,
            subjects,
        })
    }

    /// Stripe's API, or 422 where it is not configured.
    pub(crate) fn stripe(&self) -> Result<&StripeClient> {
        let stripe = self.channels.stripe.as_ref();
        stripe.ok_or_else(|| error::channel_not_configured("stripe", "STRIPE_API_KEY"))
    }
}
