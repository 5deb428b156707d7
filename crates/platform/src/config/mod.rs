//! Settings of all services: flags over environment over file over defaults.
//!
//! [`ConfigSource::gather`] reads the outside once; [`Settings::load`] is a pure function of that and says
//! everything that is wrong at once. With `ENV=development`, [`Settings::generate_missing_secrets`] then makes
//! up the secrets that nobody gave.

mod alerts;
mod catalog;
mod data_keys;
mod development;
mod evidence;
mod load;
mod parse;
mod problem;
mod production;
mod reader;
mod seals;
mod services;
mod source;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

pub use self::catalog::reference;
pub use self::evidence::{Bucket, FilePlace};
pub use self::problem::{Problem, Problems};
pub use self::reader::Effective;
pub use self::source::{ConfigFile, ConfigSource, Origin};
use crate::auth::{AuthSettings, ServiceIdentity, TokenKeys};
use crate::db::DatabaseTarget;
use crate::http::{Budgets, HttpLimits, RedisSettings, TlsFiles};
use crate::jobs::RunnerOptions;
use crate::outbound::{SmtpSettings, WebhookSettings};
use crate::telemetry::LogFormat;
use crate::vault::KeyRing;

/// How strict payops is about its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Missing secrets are generated, and listeners bind to 127.0.0.1.
    Development,
    /// Missing secrets, default passwords and the sandbox are refused.
    Production,
}

/// The three services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Tasks, matching, records, settlement files, reports.
    Reconciliation,
    /// Disputes and their evidence.
    Disputes,
    /// Limits of merchants.
    Limits,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reconciliation, Self::Disputes, Self::Limits];

    /// The service's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reconciliation => "reconciliation",
            Self::Disputes => "disputes",
            Self::Limits => "limits",
        }
    }

    /// The service's name towards others: in `/health`, logs and traces.
    pub fn full_name(self) -> &'static str {
        match self {
            Self::Reconciliation => "reconciliation-service",
            Self::Disputes => "dispute-service",
            Self::Limits => "merchant-limit-service",
        }
    }
}

/// Which services a process is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of them: `PORT` and `DB_NAME` would not say whose they are.
    All,
    /// One of them.
    One(Service),
    /// None is served: what belongs to one is not looked at.
    None,
}

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How strict payops is.
    pub environment: Environment,
    /// Folder of databases and generated secrets.
    pub data_dir: PathBuf,
    /// Address that listeners bind to.
    pub bind: IpAddr,
    /// The files of TLS, when the services speak it.
    pub tls: Option<TlsFiles>,
    /// How long requests and jobs under way may go on after SIGTERM.
    pub drain: Duration,
    /// Port of `/metrics`, when it has one of its own.
    pub prometheus_port: Option<u16>,
    /// Stripe.
    pub stripe: StripeSettings,
    /// The payment gateway, when there is one.
    pub gateway: Option<GatewaySettings>,
    /// Folder of settlement files.
    pub settlement_files: PathBuf,
    /// Where the files that answer disputes are kept.
    pub evidence_files: FilePlace,
    /// Who may call.
    pub identity: IdentitySettings,
    /// What the seals of the usage log are signed with.
    pub audit_keys: AuditKeySettings,
    /// What the keys of personal data are wrapped under; none in development until one is generated, and none where nothing needs it.
    pub data_keys: Option<KeyRing>,
    /// Time-outs and sizes of requests.
    pub http: HttpLimits,
    /// Rate limits.
    pub budgets: Budgets,
    /// The largest uploaded file, in bytes.
    pub upload_bytes: u64,
    /// How jobs are run.
    pub jobs: RunnerOptions,
    /// Who is told that merchants come near their limits.
    pub limit_alerts: AlertSettings,
    /// Who is told of deadlines of disputes, and of what else must not be overlooked.
    pub dispute_alerts: EscalatedAlertSettings,
    /// Who is told of settlement files that are missing.
    pub reconciliation_alerts: EscalatedAlertSettings,
    /// How long before its deadline an answer is sent that is held until then.
    pub dispute_submission_margin: Duration,
    /// Logs and traces.
    pub telemetry: TelemetryChoices,
    /// Where rate limits are counted for all instances; in each process when there is none.
    pub redis: Option<RedisSettings>,
    /// What should be said at the start, though it does not stand in the way.
    pub warnings: Vec<String>,
    services: [ServiceSettings; 3],
    effective: Vec<Effective>,
}

/// What one service has for itself.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// Port of its API.
    pub port: u16,
    /// Its database.
    pub database: DatabaseTarget,
}

/// How Stripe is reached.
#[derive(Debug, Clone)]
pub struct StripeSettings {
    /// The API key, when there is one.
    pub api_key: Option<SecretString>,
    /// Where the API is, without a slash at the end.
    pub api_base: String,
    /// Signing secrets of webhooks; any of them is accepted.
    pub webhook_secrets: Vec<SecretString>,
}

/// How the payment gateway is reached.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Where it is, without a slash at the end.
    pub url: String,
    /// What payops shows it as `X-Service-Secret`.
    pub secret: Option<SecretString>,
}

/// Who is told that merchants come near their limits; nobody unless it is set.
#[derive(Debug, Clone, Default)]
pub struct AlertSettings {
    /// The receiver of webhooks.
    pub webhook: Option<WebhookSettings>,
    /// Those who get mail.
    pub mail: Option<MailSettings>,
}

/// Who is told of what must not be overlooked of a service; nobody unless it is set.
#[derive(Debug, Clone, Default)]
pub struct EscalatedAlertSettings {
    /// The receiver of webhooks.
    pub webhook: Option<WebhookSettings>,
    /// Those who get mail of everything.
    pub mail: Option<MailSettings>,
    /// Those who get mail as well of what is escalated.
    pub supervisors: Option<MailSettings>,
}

/// Who gets mail, and through which server.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The server.
    pub server: SmtpSettings,
    /// The recipients' addresses.
    pub to: Vec<String>,
}

/// Who may call.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// What tokens must say in `iss`.
    pub issuer: String,
    /// What tokens must say in `aud`.
    pub audience: String,
    /// The keys that tokens are signed with; absent in development until they are generated.
    pub tokens: Option<TokenKeys>,
    /// The services that may call; none in development until they are generated.
    pub services: Vec<ServiceIdentity>,
}

/// What the seals of the usage log are signed with, and whose signatures are believed. All are 64 hexadecimal digits.
#[derive(Debug, Clone, Default)]
pub struct AuditKeySettings {
    /// Ed25519 private keys; the first signs. None in development until one is generated.
    pub private: Vec<SecretString>,
    /// Public keys that are believed besides.
    pub public: Vec<String>,
}

/// How a process tells about itself.
#[derive(Debug, Clone)]
pub struct TelemetryChoices {
    /// The form of log lines.
    pub format: LogFormat,
    /// Which lines are kept: a level or directives.
    pub filter: String,
    /// Where traces go.
    pub otlp_endpoint: Option<String>,
    /// The share of traces that begin here and are exported, 0 to 1.
    pub sample_ratio: f64,
}

impl Settings {
    /// What `service` has for itself.
    pub fn service(&self, service: Service) -> &ServiceSettings {
        let [reconciliation, disputes, limits] = &self.services;
        match service {
            Service::Reconciliation => reconciliation,
            Service::Disputes => disputes,
            Service::Limits => limits,
        }
    }

    /// Every setting as it is in effect, secrets hidden: what `payops config` prints.
    pub fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// What the authenticator needs; `None` as long as there are no token keys, which only happens in
    /// development before [`Settings::generate_missing_secrets`].
    pub fn auth(&self) -> Option<AuthSettings> {
        Some(AuthSettings {
            issuer: self.identity.issuer.clone(),
            audience: self.identity.audience.clone(),
            tokens: self.identity.tokens.clone()?,
            services: self.identity.services.clone(),
        })
    }
}
