//! From what was given to [`Settings`], one group at a time.
//!
//! Each group is read to its end before anything is made of it, so that no problem hides another.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::problem::Problems;
use super::reader::Reader;
use super::source::{self, ConfigSource};
use super::{
    Environment, GatewaySettings, IdentitySettings, Scope, Service, ServiceSettings, Settings,
    StripeSettings, TelemetryChoices, alerts, data_keys, evidence, parse, production, seals,
    services as named,
};
use crate::auth::TokenKeys;
use crate::db::{DatabaseTarget, PostgresTarget, SessionLimits};
use crate::http::{Budgets, HttpLimits, RedisSettings, TlsFiles};
use crate::jobs::RunnerOptions;
use crate::telemetry::LogFormat;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);
const CENTURY: Duration = Duration::from_hours(36_500 * 24);
/// Shortest secret of a token, in bytes: as long as the digest of HS256.
const SHORTEST_TOKEN_SECRET: usize = 32;
/// Port of Jaeger's Thrift collector, which the original used, and of its OTLP one.
const JAEGER_THRIFT_PORT: u16 = 14268;
const OTLP_HTTP_PORT: u16 = 4318;

impl Settings {
    /// Reads and checks every setting; touches nothing but `source`.
    pub fn load(source: &ConfigSource, scope: Scope) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let found = source::collect(source, &mut problems);
        let mut reader = Reader::new(found, problems);
        let settings = assemble(&mut reader, scope);
        match settings {
            Some(settings) if reader.problems.is_empty() => Ok(settings),
            _ => Err(Problems(reader.problems)),
        }
    }
}

fn assemble(reader: &mut Reader, scope: Scope) -> Option<Settings> {
    let environment = reader.value("ENV", parse::environment).unwrap_or(Environment::Development);
    let data_dir = PathBuf::from(reader.value("PAYOPS_DATA_DIR", parse::text).unwrap_or_default());
    let address = match environment {
        Environment::Development => Ipv4Addr::LOCALHOST,
        Environment::Production => Ipv4Addr::UNSPECIFIED,
    };
    let bind = reader.derived("PAYOPS_BIND", parse::address, IpAddr::V4(address), address.to_string());
    let tls = tls(reader);
    let drain = reader.value("PAYOPS_DRAIN_TIME", parse::duration(Duration::ZERO, HOUR));
    let prometheus_port = reader.optional("PROMETHEUS_PORT", parse::port);
    let services = services(reader, scope, &data_dir, prometheus_port);
    let stripe = stripe(reader);
    let gateway = gateway(reader);
    let settlement_files = folder(reader, "SETTLEMENT_FILE_PATH", &data_dir.join("settlement-files"));
    let evidence_files = evidence::read(reader, &data_dir.join("evidence"));
    report_path(reader);
    let identity = identity(reader);
    let audit_keys = seals::read(reader);
    let data_keys = data_keys::read(reader);
    let requests = requests(reader);
    let jobs = jobs(reader, drain);
    let (limit_alerts, dispute_alerts, reconciliation_alerts) = alerts::read(reader);
    let submission_margin = reader.value("PAYOPS_DISPUTE_SUBMISSION_MARGIN", parse::duration(HOUR, WEEK));
    let telemetry = telemetry(reader, environment);
    let redis = redis(reader);
    if environment == Environment::Production {
        production::check(reader, services.as_ref(), stripe.as_ref(), gateway.as_ref(), identity.as_ref());
        production::alerts(reader, &limit_alerts, &dispute_alerts, &reconciliation_alerts);
        production::redis(reader, redis.as_ref());
        production::evidence(reader, evidence_files.as_ref());
        if matches!(scope, Scope::All | Scope::One(Service::Limits)) {
            production::audit_keys(reader, &audit_keys);
        }
        if scope == Scope::All || scope == Scope::One(Service::Disputes) {
            production::data_keys(reader);
        }
    }
    let requests = requests?;
    Some(Settings {
        environment,
        data_dir,
        bind,
        tls,
        drain: drain?,
        prometheus_port,
        stripe: stripe?,
        gateway,
        settlement_files,
        evidence_files: evidence_files?,
        identity: identity?,
        audit_keys,
        data_keys,
        http: requests.http,
        budgets: requests.budgets,
        upload_bytes: requests.upload_bytes,
        jobs: jobs?,
        limit_alerts,
        dispute_alerts,
        reconciliation_alerts,
        dispute_submission_margin: submission_margin?,
        telemetry: telemetry?,
        redis,
        services: services?,
        warnings: std::mem::take(&mut reader.warnings),
        effective: reader.effective(),
    })
}

/// A certificate needs its key; client certificates need both, and names that they may have.
fn tls(reader: &mut Reader) -> Option<TlsFiles> {
    const NEEDS: [(&str, &[&str]); 5] = [
        ("PAYOPS_TLS_CERTIFICATE", &["PAYOPS_TLS_KEY"]),
        ("PAYOPS_TLS_KEY", &["PAYOPS_TLS_CERTIFICATE"]),
        ("PAYOPS_TLS_CLIENT_CA", &["PAYOPS_TLS_CERTIFICATE"]),
        ("PAYOPS_TLS_CLIENT_CA", &["PAYOPS_SERVICE_CERTIFICATES"]),
        ("PAYOPS_SERVICE_CERTIFICATES", &["PAYOPS_TLS_CLIENT_CA"]),
    ];
    let mut path = |name| reader.optional(name, parse::text).map(PathBuf::from);
    let certificate = path("PAYOPS_TLS_CERTIFICATE");
    let key = path("PAYOPS_TLS_KEY");
    let client_ca = path("PAYOPS_TLS_CLIENT_CA");
    reader.refuse_useless(&NEEDS);
    Some(TlsFiles { certificate: certificate?, key: key?, client_ca })
}

pub(super) fn folder(reader: &mut Reader, name: &'static str, default: &Path) -> PathBuf {
    let parse = |written: &str| Ok(PathBuf::from(written));
    reader.derived(name, parse, default.to_owned(), default.display().to_string())
}

/// The original wrote reports into a folder. Here they are made from the database whenever they are asked for.
fn report_path(reader: &mut Reader) {
    if reader.optional("REPORT_PATH", parse::text).is_some() {
        let text = "REPORT_PATH is accepted and has no effect: reports are not kept in files; GET \
                    /api/v1/reconciliation/reports/{task_id}/download makes them";
        reader.warnings.push(text.to_owned());
    }
}

struct Names {
    port: &'static str,
    database: &'static str,
    file: &'static str,
}

fn names(service: Service) -> Names {
    let (port, database, file) = match service {
        Service::Reconciliation => {
            ("PAYOPS_RECONCILIATION_PORT", "PAYOPS_RECONCILIATION_DB_NAME", "reconciliation.db")
        }
        Service::Disputes => ("PAYOPS_DISPUTES_PORT", "PAYOPS_DISPUTES_DB_NAME", "disputes.db"),
        Service::Limits => ("PAYOPS_LIMITS_PORT", "PAYOPS_LIMITS_DB_NAME", "limits.db"),
    };
    Names { port, database, file }
}

fn services(
    reader: &mut Reader,
    scope: Scope,
    data_dir: &Path,
    prometheus_port: Option<u16>,
) -> Option<[ServiceSettings; 3]> {
    let (one_port, one_name) =
        (reader.optional("PORT", parse::port), reader.optional("DB_NAME", parse::database_name));
    refuse_ambiguous(reader, scope);
    let home = home(reader);
    let read = Service::ALL.map(|service| {
        let names = names(service);
        let port = reader.value(names.port, parse::port);
        let database = reader.value(names.database, parse::database_name);
        let wanted = scope == Scope::One(service);
        let port = one_port.filter(|_| wanted).or(port)?;
        let database = one_name.clone().filter(|_| wanted).or(database)?;
        let database = match &home {
            Home::Files => DatabaseTarget::Sqlite { path: data_dir.join(names.file) },
            Home::Server(server) => DatabaseTarget::Postgres(PostgresTarget { database, ..server.clone()? }),
        };
        Some(ServiceSettings { port, database })
    });
    let [Some(reconciliation), Some(disputes), Some(limits)] = read else { return None };
    let services = [reconciliation, disputes, limits];
    refuse_shared_ports(reader, scope, &services, prometheus_port);
    Some(services)
}

/// `PORT` and `DB_NAME` belong to one service, and are another name for that one's own setting.
fn refuse_ambiguous(reader: &mut Reader, scope: Scope) {
    for (name, of) in [("PORT", 0), ("DB_NAME", 1)] {
        if !reader.is_given(name) {
            continue;
        }
        match scope {
            Scope::All => {
                let own = Service::ALL.map(|service| [names(service).port, names(service).database][of]);
                let text = format!("belongs to one service; with all of them, set {}", own.join(", "));
                reader.refuse(name, text);
            }
            Scope::One(service) => {
                let own = [names(service).port, names(service).database][of];
                if reader.is_given(own) {
                    reader.refuse(name, format!("{own} is given too, and is the same setting: keep one"));
                }
            }
            Scope::None => {}
        }
    }
}

fn refuse_shared_ports(
    reader: &mut Reader,
    scope: Scope,
    services: &[ServiceSettings; 3],
    prometheus_port: Option<u16>,
) {
    let served = Service::ALL.into_iter().zip(services);
    let mut taken: Vec<(&str, u16)> = served
        .filter(|(service, _)| scope == Scope::All || scope == Scope::One(*service))
        .map(|(service, settings)| (names(service).port, settings.port))
        .collect();
    taken.extend(prometheus_port.map(|port| ("PROMETHEUS_PORT", port)));
    for (index, (name, port)) in taken.iter().enumerate() {
        if let Some((other, _)) = taken.iter().take(index).find(|(_, other)| other == port) {
            reader.refuse(name, format!("{port} is the port of {other} already"));
        }
    }
}

/// Where the databases are.
enum Home {
    Files,
    /// A server, without a database; `None` when it has problems.
    Server(Option<PostgresTarget>),
}

fn home(reader: &mut Reader) -> Home {
    const NEEDS_HOST: [&str; 6] =
        ["DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME", "PAYOPS_DB_SSLMODE", "PAYOPS_DB_SSLROOTCERT"];
    let host = reader.optional("DB_HOST", parse::host);
    let port = reader.value("DB_PORT", parse::port);
    let user = reader.value("DB_USER", parse::text);
    let password = reader.secret("DB_PASSWORD");
    let ssl_mode = reader.value("PAYOPS_DB_SSLMODE", parse::ssl_mode);
    let ssl_root_cert = reader.optional("PAYOPS_DB_SSLROOTCERT", parse::text).map(PathBuf::from);
    let max_connections = reader.value("PAYOPS_DB_MAX_CONNECTIONS", parse::count(2, 1000));
    let acquire_timeout =
        reader.value("PAYOPS_DB_ACQUIRE_TIMEOUT", parse::duration(Duration::from_millis(100), HOUR));
    let Some(host) = host else {
        for name in NEEDS_HOST {
            if reader.is_given(name) {
                reader.refuse(name, "is given without DB_HOST: payops would use SQLite and ignore it");
            }
        }
        return Home::Files;
    };
    let target = || {
        Some(PostgresTarget {
            host,
            port: port?,
            user: user?,
            password,
            database: String::new(),
            ssl_mode: ssl_mode?,
            ssl_root_cert,
            max_connections: max_connections?,
            acquire_timeout: acquire_timeout?,
            session: SessionLimits::default(),
        })
    };
    Home::Server(target())
}

fn stripe(reader: &mut Reader) -> Option<StripeSettings> {
    let api_key = reader.secret("STRIPE_API_KEY");
    let api_base = reader.value("PAYOPS_STRIPE_API_BASE", parse::url);
    let webhook_secrets = list(reader.secret("PAYOPS_STRIPE_WEBHOOK_SECRET").as_ref());
    Some(StripeSettings { api_key, api_base: api_base?, webhook_secrets })
}

fn gateway(reader: &mut Reader) -> Option<GatewaySettings> {
    let url = reader.optional("PAYMENT_GATEWAY_URL", parse::url);
    let secret = reader.secret("PAYOPS_GATEWAY_SECRET");
    Some(GatewaySettings { url: url?, secret })
}

/// The parts of a secret that holds several, separated by commas.
pub(super) fn list(secret: Option<&SecretString>) -> Vec<SecretString> {
    let parts = secret.map(|secret| secret.expose_secret().split(',')).into_iter().flatten();
    parts.map(str::trim).filter(|part| !part.is_empty()).map(SecretString::from).collect()
}

fn identity(reader: &mut Reader) -> Option<IdentitySettings> {
    let secrets = list(reader.secret("PAYOPS_JWT_SECRET").as_ref());
    let file = reader.optional("PAYOPS_JWKS_FILE", parse::text);
    let url = reader.optional("PAYOPS_JWKS_URL", parse::url);
    let issuer = reader.value("PAYOPS_JWT_ISSUER", parse::text);
    let audience = reader.value("PAYOPS_JWT_AUDIENCE", parse::text);
    let services = named::read(reader);
    if secrets.iter().any(|secret| secret.expose_secret().len() < SHORTEST_TOKEN_SECRET) {
        reader.refuse(
            "PAYOPS_JWT_SECRET",
            format!("is too short: at least {SHORTEST_TOKEN_SECRET} bytes are needed"),
        );
    }
    let tokens = match (secrets.is_empty(), file, url) {
        (true, None, None) => None,
        (false, None, None) => Some(TokenKeys::Secrets(secrets)),
        (true, Some(file), None) => Some(TokenKeys::JwksFile(file.into())),
        (true, None, Some(url)) => Some(TokenKeys::JwksUrl(url)),
        _ => {
            let text = "PAYOPS_JWT_SECRET, PAYOPS_JWKS_FILE and PAYOPS_JWKS_URL exclude each other: keep one";
            reader.refuse("PAYOPS_JWT_SECRET", text);
            None
        }
    };
    Some(IdentitySettings { issuer: issuer?, audience: audience?, tokens, services })
}

struct Requests {
    http: HttpLimits,
    budgets: Budgets,
    upload_bytes: u64,
}

fn requests(reader: &mut Reader) -> Option<Requests> {
    let caller = reader.value("PAYOPS_RATE_LIMIT_CALLER", parse::per_minute);
    let service = reader.value("PAYOPS_RATE_LIMIT_SERVICE", parse::per_minute);
    let anonymous = reader.value("PAYOPS_RATE_LIMIT_ANONYMOUS", parse::per_minute);
    let time_out = reader.value("PAYOPS_REQUEST_TIMEOUT", parse::duration(SECOND, HOUR));
    let body_idle = reader.value("PAYOPS_BODY_TIMEOUT", parse::duration(SECOND, HOUR));
    let concurrency = reader.value("PAYOPS_REQUEST_CONCURRENCY", parse::count(1, 1_000_000));
    let body = reader.value("PAYOPS_BODY_LIMIT", parse::bytes);
    let upload = reader.value("PAYOPS_UPLOAD_LIMIT", parse::bytes);
    Some(Requests {
        http: HttpLimits {
            concurrency: usize::try_from(concurrency?).ok()?,
            time_out: time_out?,
            body_idle: body_idle?,
            body_bytes: usize::try_from(body?).ok()?,
            ..HttpLimits::default()
        },
        budgets: Budgets {
            caller_per_minute: caller?,
            service_per_minute: service?,
            anonymous_per_minute: anonymous?,
        },
        upload_bytes: upload?,
    })
}

fn jobs(reader: &mut Reader, drain: Option<Duration>) -> Option<RunnerOptions> {
    let lease = reader.value("PAYOPS_JOB_LEASE", parse::duration(SECOND, HOUR));
    let concurrency = reader.value("PAYOPS_JOB_CONCURRENCY", parse::count(1, 1000));
    let jobs = reader.value("PAYOPS_JOB_RETENTION", parse::duration(DAY, CENTURY));
    let audit = reader.value("PAYOPS_AUDIT_RETENTION", parse::duration(DAY, CENTURY));
    Some(RunnerOptions {
        lease: lease?,
        concurrency: usize::try_from(concurrency?).ok()?,
        drain: drain?,
        job_retention: jobs?,
        audit_retention: audit?,
        ..RunnerOptions::default()
    })
}

fn telemetry(reader: &mut Reader, environment: Environment) -> Option<TelemetryChoices> {
    let filter = reader.value("PAYOPS_LOG", parse::log_filter);
    let (format, shown) = match environment {
        Environment::Development => (LogFormat::Terminal, "text"),
        Environment::Production => (LogFormat::Json, "json"),
    };
    let format = reader.derived("PAYOPS_LOG_FORMAT", parse::log_format, format, shown);
    let sample_ratio = reader.value("PAYOPS_TRACE_SAMPLE_RATIO", parse::share);
    let otlp = reader.optional("OTEL_EXPORTER_OTLP_ENDPOINT", parse::url);
    let jaeger = reader.optional("JAEGER_ENDPOINT", parse::url);
    let otlp_endpoint = match (otlp, jaeger) {
        (Some(otlp), None) => Some(otlp),
        (otlp @ Some(_), Some(_)) => {
            let text = "JAEGER_ENDPOINT is ignored: OTEL_EXPORTER_OTLP_ENDPOINT is given too";
            reader.warnings.push(text.to_owned());
            otlp
        }
        (None, jaeger) => jaeger.map(|jaeger| from_jaeger(reader, jaeger)),
    };
    Some(TelemetryChoices { format, filter: filter?, otlp_endpoint, sample_ratio: sample_ratio? })
}

fn from_jaeger(reader: &mut Reader, address: String) -> String {
    let Ok(mut url) = reqwest::Url::parse(&address) else { return address };
    if url.port() != Some(JAEGER_THRIFT_PORT) || url.set_port(Some(OTLP_HTTP_PORT)).is_err() {
        return address;
    }
    url.set_path("");
    let translated = url.as_str().trim_end_matches('/').to_owned();
    reader.warnings.push(format!(
        "JAEGER_ENDPOINT={address} is Jaeger's Thrift address, which payops does not speak; traces go to \
         {translated} (OTLP) instead: set that"
    ));
    translated
}

fn redis(reader: &mut Reader) -> Option<RedisSettings> {
    let host = reader.optional("REDIS_HOST", parse::network_host);
    let port = reader.value("REDIS_PORT", parse::port);
    let database = reader.value("PAYOPS_REDIS_DB", parse::count(0, 65_535));
    let user = reader.optional("PAYOPS_REDIS_USER", parse::text);
    let password = reader.secret("PAYOPS_REDIS_PASSWORD");
    for name in ["PAYOPS_REDIS_USER", "PAYOPS_REDIS_PASSWORD"] {
        if !reader.is_given("REDIS_HOST") && reader.is_given(name) {
            reader.refuse(name, "is given without REDIS_HOST");
        }
    }
    if user.is_some() && password.is_none() {
        reader.refuse("PAYOPS_REDIS_PASSWORD", "is needed beside PAYOPS_REDIS_USER");
    }
    Some(RedisSettings { host: host?, port: port?, user, password, database: database? })
}
