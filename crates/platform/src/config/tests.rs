//! What is accepted, what is refused, and in which words.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::db::SslMode;

const TOKEN_SECRET: &str = "kJ8v0Yc3qT1mZr5xB7nW2pL9dF4hS6gA";
const AUDIT_KEY: &str = "3f0a1b5c7d9e2f4a6b8c0d1e3f5a7b9c2d4e6f8a0b1c3d5e7f9a2b4c6d8e0f1a";
const DATA_KEYS: &str = "2027:Jc0mE4vqkZ5nO8X1uLrT7yWbA2sD9fGhK3pQ6iRxV0M=";
const RECON: Scope = Scope::One(Service::Reconciliation);

fn environment(values: &[(&str, &str)]) -> ConfigSource {
    let environment = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ConfigSource { environment, ..ConfigSource::default() }
}

fn with_file(mut source: ConfigSource, text: &str) -> ConfigSource {
    source.file = Some(ConfigFile { path: "payops.toml".into(), text: text.to_owned() });
    source
}

fn production(more: &[(&str, &str)]) -> ConfigSource {
    let mut values = vec![
        ("ENV", "production"),
        ("PAYOPS_JWT_SECRET", TOKEN_SECRET),
        ("PAYOPS_AUDIT_KEY", AUDIT_KEY),
        ("PAYOPS_DATA_KEYS", DATA_KEYS),
    ];
    values.extend(more);
    environment(&values)
}

fn shown(settings: &Settings, name: &str) -> (Option<String>, &'static str) {
    let entry = settings.effective().iter().find(|entry| entry.name == name).unwrap();
    (entry.value.clone(), entry.origin.name())
}

#[test]
fn nothing_at_all_is_a_development_set_up_on_sqlite() {
    let settings = Settings::load(&ConfigSource::default(), Scope::All).unwrap();
    assert_eq!(settings.environment, Environment::Development);
    assert_eq!(settings.bind.to_string(), "127.0.0.1");
    let ports = Service::ALL.map(|service| settings.service(service).port);
    assert_eq!(ports, [40020, 40021, 40022]);
    let DatabaseTarget::Sqlite { path } = &settings.service(Service::Disputes).database else {
        panic!("SQLite")
    };
    assert_eq!(path, Path::new("./data/disputes.db"));
    assert_eq!(settings.settlement_files, Path::new("./data/settlement-files"));
    assert_eq!(settings.jobs, RunnerOptions::default());
    assert_eq!(settings.http.body_bytes, HttpLimits::default().body_bytes);
    assert_eq!(settings.http.time_out, HttpLimits::default().time_out);
    assert_eq!(settings.http.body_idle, HttpLimits::default().body_idle);
    assert_eq!(settings.budgets.service_per_minute, Budgets::default().service_per_minute);
    assert_eq!(settings.telemetry.format, LogFormat::Terminal);
    assert!(settings.warnings.is_empty() && settings.auth().is_none() && settings.gateway.is_none());
    assert_eq!(settings.effective().len(), catalog::all().count(), "every setting is read");
}

const BUCKET: Given = &[
    ("PAYOPS_EVIDENCE_S3_BUCKET", "evidence"),
    ("PAYOPS_EVIDENCE_S3_ACCESS_KEY_ID", "payops"),
    ("PAYOPS_EVIDENCE_S3_SECRET_ACCESS_KEY", "Vb2kQ9xLr7mT4wZs"),
];

/// A bucket's settings, with one more.
fn bucket(more: (&'static str, &'static str)) -> ConfigSource {
    environment(&[BUCKET, &[more]].concat())
}

#[test]
fn files_of_evidence_lie_in_a_folder_or_in_a_bucket() {
    let place = |source: &ConfigSource| Settings::load(source, Scope::All).unwrap().evidence_files;
    let bucket_of = |source: &ConfigSource| match place(source) {
        FilePlace::Bucket(bucket) => bucket,
        FilePlace::Folder(folder) => panic!("{}", folder.display()),
    };
    let folder = place(&environment(&[("PAYOPS_EVIDENCE_PATH", "/srv/evidence")]));
    assert_eq!(folder.to_string(), "PAYOPS_EVIDENCE_PATH /srv/evidence");
    let amazons = environment(BUCKET);
    assert_eq!(place(&amazons).to_string(), "PAYOPS_EVIDENCE_S3_BUCKET evidence");
    let found = bucket_of(&amazons);
    assert_eq!((found.endpoint, found.region.as_str(), found.path_style), (None, "us-east-1", false));
    let own = bucket_of(&bucket(("PAYOPS_EVIDENCE_S3_ENDPOINT", "http://minio:9000/")));
    assert_eq!((own.endpoint.as_deref(), own.path_style), (Some("http://minio:9000"), true));
    let settings = Settings::load(&amazons, Scope::All).unwrap();
    assert_eq!(
        shown(&settings, "PAYOPS_EVIDENCE_S3_SECRET_ACCESS_KEY"),
        (Some("(hidden)".into()), "environment")
    );
    assert_eq!(shown(&settings, "PAYOPS_EVIDENCE_PATH"), (None, "default"), "no folder is used");
    assert!(!format!("{settings:?}").contains("Vb2kQ9xLr7mT4wZs"));
    let by_file = "[evidence_s3]\nbucket = 'evidence'\naccess_key_id = 'a'\nsecret_access_key = 'b'\npath_style = 'true'";
    assert!(bucket_of(&with_file(ConfigSource::default(), by_file)).path_style);
}

#[test]
fn a_bucket_is_whole_or_refused() {
    const SECRET: &str = "PAYOPS_EVIDENCE_S3_SECRET_ACCESS_KEY";
    for (left_out, needed) in
        [("PAYOPS_EVIDENCE_S3_ACCESS_KEY_ID", "PAYOPS_EVIDENCE_S3_ACCESS_KEY_ID"), (SECRET, SECRET)]
    {
        let rest: Vec<_> = BUCKET.iter().copied().filter(|(name, _)| *name != left_out).collect();
        let said = format!("is of no use without {needed}");
        refused(&environment(&rest), Scope::All, "PAYOPS_EVIDENCE_S3_BUCKET", &said);
    }
    for (name, value) in [
        ("PAYOPS_EVIDENCE_S3_ACCESS_KEY_ID", "payops"),
        (SECRET, "Vb2kQ9xLr7mT4wZs"),
        ("PAYOPS_EVIDENCE_S3_ENDPOINT", "https://minio"),
        ("PAYOPS_EVIDENCE_S3_REGION", "eu-central-1"),
        ("PAYOPS_EVIDENCE_S3_PATH_STYLE", "true"),
    ] {
        let said = "is of no use without PAYOPS_EVIDENCE_S3_BUCKET";
        refused(&environment(&[(name, value)]), Scope::All, name, said);
    }
    for (name, value, said) in [
        ("PAYOPS_EVIDENCE_PATH", "/srv/evidence", "PAYOPS_EVIDENCE_S3_BUCKET is given too"),
        ("PAYOPS_EVIDENCE_S3_PATH_STYLE", "yes", "true or false is expected"),
        ("PAYOPS_EVIDENCE_S3_ENDPOINT", "minio:9000", "an address is expected"),
    ] {
        refused(&bucket((name, value)), Scope::All, name, said);
    }
    for name in ["no", "Evidence", "a/b", "a..b", "-evidence", "evidence."] {
        let said = "the name of a bucket is expected";
        refused(&bucket(("PAYOPS_EVIDENCE_S3_BUCKET", name)), Scope::All, "PAYOPS_EVIDENCE_S3_BUCKET", said);
    }
    for (name, value, said) in [
        ("PAYOPS_EVIDENCE_S3_ENDPOINT", "http://minio:9000", "is without TLS, refused with ENV=production"),
        (SECRET, "minioadmin", "is a default or an example"),
    ] {
        refused(&production(&[BUCKET, &[(name, value)]].concat()), Scope::All, name, said);
    }
}

#[test]
fn the_names_of_the_original_work() {
    let source = environment(&[
        ("DB_HOST", "localhost"),
        ("DB_PORT", "40432"),
        ("DB_USER", "postgres"),
        ("DB_PASSWORD", "postgres"),
        ("DB_NAME", "payment_xxx"),
        ("PORT", "40016"),
        ("ENV", "development"),
        ("JAEGER_ENDPOINT", "http://localhost:14268/api/traces"),
        ("PROMETHEUS_PORT", "40090"),
        ("REDIS_HOST", "localhost"),
        ("REDIS_PORT", "40379"),
        ("STRIPE_API_KEY", "sk_test_xxx"),
        ("SETTLEMENT_FILE_PATH", "/tmp/settlement-files"),
        ("REPORT_PATH", "/tmp/reports"),
        ("PAYMENT_GATEWAY_URL", "http://localhost:40003"),
        ("HOME", "/root"),
    ]);
    let settings = Settings::load(&source, RECON).unwrap();
    let own = settings.service(Service::Reconciliation);
    assert_eq!(own.port, 40016);
    assert_eq!(own.database.describe(), "postgres postgres@localhost:40432/payment_xxx");
    let other = settings.service(Service::Limits);
    assert_eq!(other.database.describe(), "postgres postgres@localhost:40432/payment_merchant_limit");
    assert_eq!(settings.telemetry.otlp_endpoint.as_deref(), Some("http://localhost:4318"));
    let redis = settings.redis.as_ref().unwrap();
    assert_eq!((redis.host.as_str(), redis.port, redis.database), ("localhost", 40379, 0));
    assert_eq!(settings.gateway.as_ref().unwrap().url, "http://localhost:40003");
    let warnings = settings.warnings.join("\n");
    assert!(warnings.contains("JAEGER_ENDPOINT=http://localhost:14268/api/traces"), "{warnings}");
    assert!(warnings.contains("REPORT_PATH is accepted and has no effect"), "{warnings}");
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file =
        "job_lease = '5s'\njob_concurrency = 7\nlog = 'debug'\n[db]\nhost = 'db1'\nsslmode = 'require'\n";
    let mut source = with_file(environment(&[("PAYOPS_JOB_LEASE", "6s"), ("PAYOPS_LOG", "warn")]), file);
    source.flags = BTreeMap::from([("PAYOPS_LOG".to_owned(), "trace".to_owned())]);
    let settings = Settings::load(&source, Scope::All).unwrap();
    assert_eq!(settings.telemetry.filter, "trace");
    assert_eq!(settings.jobs.lease, Duration::from_secs(6));
    assert_eq!(settings.jobs.concurrency, 7);
    let DatabaseTarget::Postgres(target) = &settings.service(Service::Limits).database else {
        panic!("PostgreSQL")
    };
    assert_eq!((target.host.as_str(), target.ssl_mode), ("db1", SslMode::Require));
    assert_eq!(shown(&settings, "PAYOPS_LOG"), (Some("trace".into()), "flag"));
    assert_eq!(shown(&settings, "PAYOPS_JOB_LEASE"), (Some("6s".into()), "environment"));
    assert_eq!(shown(&settings, "PAYOPS_JOB_CONCURRENCY"), (Some("7".into()), "file"));
    assert_eq!(shown(&settings, "DB_PORT"), (Some("5432".into()), "default"));
}

#[test]
fn lists_in_a_file_are_lists() {
    let secrets = "service_secrets = ['gateway=0123456789abcdef', 'gateway=fedcba9876543210', 'portal=0123456789abcdef']";
    let settings = Settings::load(&with_file(ConfigSource::default(), secrets), Scope::All).unwrap();
    let services: Vec<_> = settings
        .identity
        .services
        .iter()
        .map(|service| (service.name.as_str(), service.secrets.len()))
        .collect();
    assert_eq!(services, [("gateway", 2), ("portal", 1)]);
}

#[test]
fn a_service_secret_in_the_wrong_place_is_not_repeated() {
    let secret = "9f8e7d6c5b4a3f2e";
    let refused = |source: &ConfigSource| Settings::load(source, Scope::All).unwrap_err().to_string();
    for written in ["9f8e7d6c5b4a3f2e=portal", "9f8e7d6c5b4a3f2e:portal", "portal:9f8e7d6c5b4a3f2e"] {
        let said = refused(&environment(&[("PAYOPS_SERVICE_SECRETS", written)]));
        assert!(said.contains("entry 1") && !said.contains(secret), "{said}");
    }
    for file in
        ["[service_secrets]\n9f8e7d6c5b4a3f2e = 'portal'", "[service_secrets]\n9f8e7d6c5b4a3f2e = 1979-05-27"]
    {
        let said = refused(&with_file(ConfigSource::default(), file));
        assert!(said.contains("service_secrets") && !said.contains(secret), "{said}");
    }
    // Long enough on both sides, it cannot be told from a good entry.
    let swapped = environment(&[("PAYOPS_SERVICE_SECRETS", "9f8e7d6c5b4a3f2e=reconciliation-portal")]);
    let settings = Settings::load(&swapped, Scope::All).unwrap();
    assert!(!format!("{settings:?}").contains(secret));
}

#[test]
fn services_may_come_by_secret_by_certificate_or_by_both() {
    let mut given = with_clients("gateway,gateway=spiffe://shop/Gateway, portal=Portal.shop").to_vec();
    given.push(("PAYOPS_SERVICE_SECRETS", "gateway=0123456789abcdef"));
    let settings = Settings::load(&environment(&given), Scope::All).unwrap();
    let services = &settings.identity.services;
    let shown: Vec<_> = services
        .iter()
        .map(|service| (service.name.as_str(), service.secrets.len(), service.certificates.join(" ")))
        .collect();
    let expected =
        [("gateway", 1, "gateway spiffe://shop/Gateway".to_owned()), ("portal", 0, "portal.shop".to_owned())];
    assert_eq!(shown, expected);
    let tls = settings.tls.unwrap();
    assert_eq!((tls.certificate.as_path(), tls.key.as_path()), (Path::new("c"), Path::new("k")));
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("a")));
}

#[test]
fn secrets_may_come_from_files_and_are_never_shown() {
    let mut source = environment(&[
        ("DB_HOST", "db1"),
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("STRIPE_API_KEY", "sk_live_visible"),
    ]);
    source.secret_files.insert("/run/secrets/db".into(), Ok("hunter2-visible".to_owned().into()));
    let settings = Settings::load(&source, Scope::All).unwrap();
    let DatabaseTarget::Postgres(target) = &settings.service(Service::Limits).database else {
        panic!("PostgreSQL")
    };
    assert_eq!(secrecy::ExposeSecret::expose_secret(target.password.as_ref().unwrap()), "hunter2-visible");
    assert_eq!(shown(&settings, "DB_PASSWORD"), (Some("(hidden)".into()), "environment"));
    assert!(!format!("{settings:?}").contains("visible"));
}

#[test]
fn a_gathered_secret_file_loses_its_line_break() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "sk_live_1\r\n").unwrap();
    let file = format!("stripe_api_key_file = '{}'", path.display());
    let mut source = with_file(ConfigSource::default(), &file);
    source.read_secret_files();
    let settings = Settings::load(&source, Scope::All).unwrap();
    let key = settings.stripe.api_key.unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&key), "sk_live_1");
}

#[test]
fn empty_values_count_as_absent() {
    let settings = Settings::load(&environment(&[("PORT", ""), ("DB_PASSWORD", "")]), Scope::All).unwrap();
    assert_eq!(settings.service(Service::Reconciliation).port, 40020);
}

#[test]
fn a_sound_production_set_up_is_accepted() {
    let source = production(&[
        ("DB_HOST", "db1"),
        ("DB_PASSWORD", "xV9-q1"),
        ("PAYMENT_GATEWAY_URL", "http://gateway:40003/"),
        ("PAYOPS_GATEWAY_SECRET", "3b1f0c9d8e7a6b5c"),
        ("PAYOPS_SERVICE_SECRETS", "payment-gateway=9f8e7d6c5b4a3f2e"),
        ("JAEGER_ENDPOINT", "http://jaeger:4318"),
    ]);
    let settings = Settings::load(&source, Scope::All).unwrap();
    assert_eq!(settings.bind.to_string(), "0.0.0.0");
    assert_eq!(settings.telemetry.format, LogFormat::Json);
    assert_eq!(settings.gateway.as_ref().unwrap().url, "http://gateway:40003");
    assert_eq!(settings.telemetry.otlp_endpoint.as_deref(), Some("http://jaeger:4318"));
    assert!(settings.auth().is_some() && settings.warnings.is_empty());
    let socket = production(&[("DB_HOST", "/run/postgresql")]);
    Settings::load(&socket, Scope::All).unwrap();
}

#[test]
fn alerts_go_where_the_settings_say_or_nowhere() {
    let none = Settings::load(&environment(&[]), Scope::All).unwrap().limit_alerts;
    assert!(none.webhook.is_none() && none.mail.is_none());
    let mut given = vec![
        ("PAYOPS_LIMIT_ALERT_WEBHOOK_URL", "https://hooks.shop.example/alerts/"),
        ("PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET", "a-new-secret-0123456, an-old-secret-012345"),
    ];
    given.extend(mail("ops@shop.example, risk@shop.example", "payops <a@shop.example>", "starttls"));
    let settings = Settings::load(&production(&given), Scope::All).unwrap();
    assert!(!format!("{:?}", settings.limit_alerts).contains("secret-01"));
    assert_eq!(shown(&settings, "PAYOPS_SMTP_PASSWORD").0.as_deref(), Some("(hidden)"));
    let webhook = settings.limit_alerts.webhook.unwrap();
    assert_eq!((webhook.url.as_str(), webhook.secrets.len()), ("https://hooks.shop.example/alerts/", 2));
    assert!(!webhook.allow_private);
    let mail = settings.limit_alerts.mail.unwrap();
    assert_eq!(mail.to, ["ops@shop.example", "risk@shop.example"]);
    assert_eq!((mail.server.port, mail.server.security), (587, crate::outbound::SmtpSecurity::StartTls));
    assert!(mail.server.credentials.is_some());
    assert!(
        settings.reconciliation_alerts.webhook.is_none() && settings.reconciliation_alerts.mail.is_none()
    );
    given.extend([
        ("PAYOPS_RECONCILIATION_ALERT_WEBHOOK_URL", "https://hooks.shop.example/files"),
        ("PAYOPS_RECONCILIATION_ALERT_WEBHOOK_SECRET", "a-secret-of-files-01"),
        ("PAYOPS_RECONCILIATION_ALERT_MAIL_TO", "files@shop.example"),
        ("PAYOPS_RECONCILIATION_SUPERVISOR_MAIL_TO", "lead@shop.example"),
    ]);
    let files = Settings::load(&production(&given), Scope::All).unwrap().reconciliation_alerts;
    assert_eq!(files.webhook.unwrap().url, "https://hooks.shop.example/files");
    let to = [files.mail, files.supervisors].map(|mail| mail.unwrap().to);
    assert_eq!(to, [["files@shop.example"], ["lead@shop.example"]]);
}

/// Whose settings, what was given, which setting is named, and what is said of it.
type Bad = (Scope, Given, &'static str, &'static str);
/// Names and values.
type Given = &'static [(&'static str, &'static str)];

/// TLS with client certificates, and the services that may have them.
const fn with_clients(services: &'static str) -> [(&'static str, &'static str); 4] {
    [
        ("PAYOPS_TLS_CERTIFICATE", "c"),
        ("PAYOPS_TLS_KEY", "k"),
        ("PAYOPS_TLS_CLIENT_CA", "a"),
        ("PAYOPS_SERVICE_CERTIFICATES", services),
    ]
}

/// Mail to somebody, from somebody, over something.
const fn mail(
    to: &'static str,
    from: &'static str,
    security: &'static str,
) -> [(&'static str, &'static str); 6] {
    [
        ("PAYOPS_LIMIT_ALERT_MAIL_TO", to),
        ("PAYOPS_SMTP_HOST", "mail.internal"),
        ("PAYOPS_SMTP_FROM", from),
        ("PAYOPS_SMTP_TLS", security),
        ("PAYOPS_SMTP_USER", "payops"),
        ("PAYOPS_SMTP_PASSWORD", "xV9-q1"),
    ]
}

const BAD_ENVIRONMENTS: &[Bad] = &[
    (Scope::All, &[("ENV", "staging")], "ENV", "'staging' (environment): development or production"),
    (
        Scope::All,
        &[("PORT", "40020")],
        "PORT",
        "belongs to one service; with all of them, set PAYOPS_RECONCILIATION_PORT",
    ),
    (Scope::All, &[("DB_HOST", "h"), ("DB_NAME", "x")], "DB_NAME", "set PAYOPS_RECONCILIATION_DB_NAME"),
    (RECON, &[("PORT", "0")], "PORT", "a port is expected, 1 to 65535"),
    (RECON, &[("PORT", "70000")], "PORT", "'70000' (environment): a port"),
    (RECON, &[("PORT", "1"), ("PAYOPS_RECONCILIATION_PORT", "2")], "PORT", "is the same setting: keep one"),
    (
        Scope::All,
        &[("PAYOPS_LIMITS_PORT", "40020")],
        "PAYOPS_LIMITS_PORT",
        "40020 is the port of PAYOPS_RECONCILIATION_PORT already",
    ),
    (
        RECON,
        &[("PROMETHEUS_PORT", "40020")],
        "PROMETHEUS_PORT",
        "is the port of PAYOPS_RECONCILIATION_PORT already",
    ),
    (Scope::All, &[("PAYOPS_BIND", "localhost")], "PAYOPS_BIND", "an IP address is expected"),
    (
        Scope::All,
        &[("PAYOPS_LIMIT_ALERT_WEBHOOK_URL", "https://a.example")],
        "PAYOPS_LIMIT_ALERT_WEBHOOK_URL",
        "is of no use without PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET",
    ),
    (
        Scope::All,
        &[("PAYOPS_RECONCILIATION_ALERT_WEBHOOK_URL", "https://a.example")],
        "PAYOPS_RECONCILIATION_ALERT_WEBHOOK_URL",
        "is of no use without PAYOPS_RECONCILIATION_ALERT_WEBHOOK_SECRET",
    ),
    (
        Scope::All,
        &[
            ("PAYOPS_LIMIT_ALERT_WEBHOOK_URL", "https://a.example"),
            ("PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET", "long-enough-012345,short"),
        ],
        "PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET",
        "at least 16 bytes",
    ),
    (
        Scope::All,
        &[
            ("PAYOPS_LIMIT_ALERT_WEBHOOK_URL", "https://a.example"),
            ("PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET", "long-enough-012345"),
            ("PAYOPS_LIMIT_ALERT_WEBHOOK_ALLOW_PRIVATE", "yes"),
        ],
        "PAYOPS_LIMIT_ALERT_WEBHOOK_ALLOW_PRIVATE",
        "true or false is expected",
    ),
    (
        Scope::All,
        &mail("ops@shop.example, nobody", "a@shop.example", "tls"),
        "PAYOPS_LIMIT_ALERT_MAIL_TO",
        "addresses like name@host are expected",
    ),
    (
        Scope::All,
        &mail("ops@shop.example", "alerts", "tls"),
        "PAYOPS_SMTP_FROM",
        "Name <name@host> is expected",
    ),
    (
        Scope::All,
        &mail("ops@shop.example", "a@shop.example", "none"),
        "PAYOPS_SMTP_USER",
        "would be sent in the clear",
    ),
    (
        Scope::All,
        &[("PAYOPS_SMTP_HOST", "mail"), ("PAYOPS_LIMIT_ALERT_MAIL_TO", "ops@shop.example")],
        "PAYOPS_SMTP_HOST",
        "is of no use without PAYOPS_SMTP_FROM",
    ),
    (
        Scope::All,
        &[("PAYOPS_DRAIN_TIME", "20")],
        "PAYOPS_DRAIN_TIME",
        "a whole number with its unit (ms, s, m, h, d) is expected, 0ms to 1h",
    ),
    (Scope::All, &[("PAYOPS_DRAIN_TIME", "2h")], "PAYOPS_DRAIN_TIME", "0ms to 1h"),
    (Scope::All, &[("PAYOPS_JOB_LEASE", "500ms")], "PAYOPS_JOB_LEASE", "1s to 1h"),
    (
        Scope::All,
        &[("PAYOPS_JOB_CONCURRENCY", "0")],
        "PAYOPS_JOB_CONCURRENCY",
        "a whole number is expected, 1 to 1000",
    ),
    (Scope::All, &[("PAYOPS_AUDIT_RETENTION", "1h")], "PAYOPS_AUDIT_RETENTION", "1d to 36500d"),
    (Scope::All, &[("PAYOPS_BODY_LIMIT", "1MB")], "PAYOPS_BODY_LIMIT", "such as 65536, 512KiB"),
    (
        Scope::All,
        &[("PAYOPS_RATE_LIMIT_CALLER", "-5")],
        "PAYOPS_RATE_LIMIT_CALLER",
        "a whole number is expected, 1 to",
    ),
    (Scope::All, &[("PAYOPS_REQUEST_TIMEOUT", "soon")], "PAYOPS_REQUEST_TIMEOUT", "'soon' (environment)"),
    (
        Scope::All,
        &[("PAYOPS_TRACE_SAMPLE_RATIO", "1.5")],
        "PAYOPS_TRACE_SAMPLE_RATIO",
        "a number is expected, 0 to 1",
    ),
    (Scope::All, &[("PAYOPS_TRACE_SAMPLE_RATIO", "NaN")], "PAYOPS_TRACE_SAMPLE_RATIO", "0 to 1"),
    (Scope::All, &[("PAYOPS_LOG", "loud")], "PAYOPS_LOG", "a level (error, warn, info, debug, trace, off)"),
    (Scope::All, &[("PAYOPS_LOG_FORMAT", "xml")], "PAYOPS_LOG_FORMAT", "json or text"),
    (
        Scope::All,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "jaeger:4318")],
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "an address is expected",
    ),
    (
        Scope::All,
        &[("PAYMENT_GATEWAY_URL", "http://u:p@host")],
        "PAYMENT_GATEWAY_URL",
        "credentials do not belong",
    ),
    (Scope::All, &[("PAYMENT_GATEWAY_URL", "ftp://host")], "PAYMENT_GATEWAY_URL", "an address is expected"),
    (
        Scope::All,
        &[("PAYOPS_STRIPE_API_BASE", "https://host/?a=b")],
        "PAYOPS_STRIPE_API_BASE",
        "without ? and #",
    ),
    (Scope::All, &[("DB_PASSWORD", "x")], "DB_PASSWORD", "is given without DB_HOST"),
    (Scope::All, &[("PAYOPS_REDIS_PASSWORD", "x")], "PAYOPS_REDIS_PASSWORD", "is given without REDIS_HOST"),
    (
        Scope::All,
        &[("REDIS_HOST", "h"), ("PAYOPS_REDIS_USER", "payops")],
        "PAYOPS_REDIS_PASSWORD",
        "is needed beside PAYOPS_REDIS_USER",
    ),
    (Scope::All, &[("REDIS_HOST", "/run/redis.sock")], "REDIS_HOST", "a host is expected, not a path"),
    (
        Scope::All,
        &[("DB_HOST", "postgres://u:p@db/x")],
        "DB_HOST",
        "'postgres://…' (environment): a host alone is expected",
    ),
    (Scope::All, &[("DB_HOST", "db:5432")], "DB_HOST", "the port has a setting of its own"),
    (Scope::All, &[("DB_HOST", "h"), ("DB_PORT", "five")], "DB_PORT", "'five' (environment): a port"),
    (
        Scope::All,
        &[("DB_HOST", "h"), ("PAYOPS_DB_SSLMODE", "on")],
        "PAYOPS_DB_SSLMODE",
        "one of disable, prefer, require, verify-ca, verify-full",
    ),
    (
        Scope::All,
        &[("DB_HOST", "h"), ("PAYOPS_DB_MAX_CONNECTIONS", "1")],
        "PAYOPS_DB_MAX_CONNECTIONS",
        "2 to 1000",
    ),
    (
        Scope::All,
        &[("DB_HOST", "h"), ("PAYOPS_LIMITS_DB_NAME", "a;b")],
        "PAYOPS_LIMITS_DB_NAME",
        "a database name is expected",
    ),
    (Scope::All, &[("PAYOPS_JWT_SECRET", "short")], "PAYOPS_JWT_SECRET", "at least 32 bytes"),
    (
        Scope::All,
        &[("PAYOPS_JWKS_FILE", "a"), ("PAYOPS_JWKS_URL", "http://b")],
        "PAYOPS_JWT_SECRET",
        "exclude each other",
    ),
    (Scope::All, &[("PAYOPS_SERVICE_SECRETS", "gateway")], "PAYOPS_SERVICE_SECRETS", "entry 1 has no '='"),
    (
        Scope::All,
        &[("PAYOPS_SERVICE_SECRETS", "a=0123456789abcdef,=x")],
        "PAYOPS_SERVICE_SECRETS",
        "entry 2 has no name",
    ),
    (
        Scope::All,
        &[("PAYOPS_SERVICE_SECRETS", "gateway=short")],
        "PAYOPS_SERVICE_SECRETS",
        "the secret of entry 1 is too short",
    ),
    (
        Scope::All,
        &[("PAYOPS_AUDIT_KEY", "0123456789abcdef")],
        "PAYOPS_AUDIT_KEY",
        "entry 1: 64 hexadecimal digits are expected",
    ),
    (
        Scope::All,
        &[("PAYOPS_AUDIT_PUBLIC_KEYS", "x")],
        "PAYOPS_AUDIT_PUBLIC_KEYS",
        "entry 1: 64 hexadecimal digits are expected",
    ),
    (Scope::All, &[("PAYOPS_DATA_KEYS", "a:b")], "PAYOPS_DATA_KEYS", "entry 1: base64 of 32 random bytes"),
    (Scope::All, &[("PAYOPS_TLS_KEY", "k")], "PAYOPS_TLS_KEY", "is of no use without PAYOPS_TLS_CERTIFICATE"),
    (
        Scope::All,
        &[("PAYOPS_TLS_CERTIFICATE", "c")],
        "PAYOPS_TLS_CERTIFICATE",
        "is of no use without PAYOPS_TLS_KEY",
    ),
    (
        Scope::All,
        &[("PAYOPS_TLS_CERTIFICATE", "c"), ("PAYOPS_TLS_KEY", "k"), ("PAYOPS_TLS_CLIENT_CA", "a")],
        "PAYOPS_TLS_CLIENT_CA",
        "is of no use without PAYOPS_SERVICE_CERTIFICATES",
    ),
    (
        Scope::All,
        &[("PAYOPS_SERVICE_CERTIFICATES", "gateway")],
        "PAYOPS_SERVICE_CERTIFICATES",
        "is of no use without PAYOPS_TLS_CLIENT_CA",
    ),
    (
        Scope::All,
        &with_clients("gateway,gate way"),
        "PAYOPS_SERVICE_CERTIFICATES",
        "entry 2 has no name of letters",
    ),
    (
        Scope::All,
        &with_clients("gateway=*.shop"),
        "PAYOPS_SERVICE_CERTIFICATES",
        "entry 1: a DNS name without wildcards, or a URI",
    ),
    (
        Scope::All,
        &with_clients("gateway=pay.shop,portal=PAY.shop"),
        "PAYOPS_SERVICE_CERTIFICATES",
        "entry 2: 'pay.shop' is of gateway already",
    ),
    (
        Scope::All,
        &[("PAYOPS_JOB_LEASES", "5s")],
        "PAYOPS_JOB_LEASES",
        "no such setting; did you mean PAYOPS_JOB_LEASE?",
    ),
    (Scope::All, &[("PAYOPS_STRIPE_API_KEY", "x")], "PAYOPS_STRIPE_API_KEY", "there is no such setting"),
    (Scope::All, &[("PAYOPS_ZZZZZZZZZZZZZZZ", "x")], "PAYOPS_ZZZZZZZZZZZZZZZ", "there is no such setting"),
    (
        Scope::All,
        &[("DB_HOST", "h"), ("DB_PASSWORD", "a"), ("DB_PASSWORD_FILE", "/b")],
        "DB_PASSWORD",
        "DB_PASSWORD and DB_PASSWORD_FILE are both given (environment)",
    ),
    (
        Scope::All,
        &[("STRIPE_API_KEY_FILE", "/nowhere")],
        "STRIPE_API_KEY",
        "STRIPE_API_KEY_FILE: /nowhere: it was not read",
    ),
];

#[test]
fn bad_settings_are_named_with_what_is_expected() {
    for (scope, values, name, said) in BAD_ENVIRONMENTS {
        refused(&environment(values), *scope, name, said);
    }
}

#[test]
fn bad_files_are_named_with_what_is_expected() {
    for (text, name, said) in [
        ("a = \n", "payops.toml", "line 1: this is not TOML"),
        ("log = 'info'\nport = = 5\n", "payops.toml", "line 2: this is not TOML"),
        (
            "db_pasword = 'x'",
            "db_pasword",
            "no such key in the configuration file; did you mean db_password?",
        ),
        ("[db]\nhots = 'x'", "db_hots", "did you mean db_host?"),
        ("payops_log = 'info'", "payops_log", "there is no such key in the configuration file"),
        ("job_lease = 30", "PAYOPS_JOB_LEASE", "'30' (file): a whole number with its unit"),
        ("log = 1979-05-27", "payops.toml", "log: a text, a number or a list of them is expected"),
        ("db_host = 'a'\n[db]\nhost = 'b'", "payops.toml", "db_host is given twice"),
    ] {
        refused(&with_file(ConfigSource::default(), text), Scope::All, name, said);
    }
}

const UNSAFE_IN_PRODUCTION: &[(Given, &str, &str)] = &[
    (&[("DB_HOST", "db1")], "DB_PASSWORD", "is needed with ENV=production"),
    (
        &[("REDIS_HOST", "h"), ("PAYOPS_REDIS_PASSWORD", "changeme")],
        "PAYOPS_REDIS_PASSWORD",
        "is a default or an example",
    ),
    (&[("DB_HOST", "db1"), ("DB_PASSWORD", "postgres")], "DB_PASSWORD", "is a default or an example"),
    (&[("DB_HOST", "db1"), ("DB_PASSWORD", "Password")], "DB_PASSWORD", "is a default or an example"),
    (&[("DB_HOST", "db1"), ("DB_PASSWORD", "changeme")], "DB_PASSWORD", "choose one at random"),
    (&[("PAYOPS_JWT_SECRET", "changemechangemechangemechangeme")], "PAYOPS_JWT_SECRET", "is a default"),
    (&[("PAYOPS_JWT_SECRET", "")], "PAYOPS_JWT_SECRET", "or PAYOPS_JWKS_FILE or PAYOPS_JWKS_URL instead"),
    (&[("PAYOPS_DATA_KEYS", "")], "PAYOPS_DATA_KEYS", "is needed with ENV=production by disputes"),
    (&[("PAYOPS_AUDIT_KEY", "")], "PAYOPS_AUDIT_KEY", "is needed with ENV=production by merchant limits"),
    (
        &[("PAYOPS_AUDIT_KEY", "0000000000000000000000000000000000000000000000000000000000000000")],
        "PAYOPS_AUDIT_KEY",
        "is a default",
    ),
    (&[("PAYOPS_SERVICE_SECRETS", "gateway=xxxxxxxxxxxxxxxxxxxx")], "PAYOPS_SERVICE_SECRETS", "is a default"),
    (
        &[("PAYOPS_STRIPE_API_BASE", "http://localhost:40091")],
        "PAYOPS_STRIPE_API_BASE",
        "is the sandbox or a local address",
    ),
    (
        &[("PAYOPS_STRIPE_API_BASE", "https://127.0.0.1")],
        "PAYOPS_STRIPE_API_BASE",
        "is the sandbox or a local address",
    ),
    (
        &[("PAYOPS_STRIPE_API_BASE", "https://payops-sandbox:40091")],
        "PAYOPS_STRIPE_API_BASE",
        "is the sandbox",
    ),
    (
        &[
            ("PAYOPS_LIMIT_ALERT_WEBHOOK_URL", "http://hooks.shop.example"),
            ("PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET", "a-new-secret-0123456"),
        ],
        "PAYOPS_LIMIT_ALERT_WEBHOOK_URL",
        "is without TLS",
    ),
    (
        &[("PAYMENT_GATEWAY_URL", "http://gateway")],
        "PAYOPS_GATEWAY_SECRET",
        "is needed with PAYMENT_GATEWAY_URL",
    ),
    (
        &[("PAYMENT_GATEWAY_URL", "http://gateway"), ("PAYOPS_GATEWAY_SECRET", "secret")],
        "PAYOPS_GATEWAY_SECRET",
        "is a default",
    ),
];

#[test]
fn production_refuses_what_is_not_safe() {
    for (values, name, said) in UNSAFE_IN_PRODUCTION {
        refused(&production(values), Scope::All, name, said);
    }
}

#[test]
fn only_limits_need_a_key_for_seals() {
    let no_key = production(&[("PAYOPS_AUDIT_KEY", "")]);
    Settings::load(&no_key, RECON).unwrap();
    Settings::load(&no_key, Scope::One(Service::Limits)).unwrap_err();
    let auditor = production(&[("PAYOPS_AUDIT_KEY", ""), ("PAYOPS_AUDIT_PUBLIC_KEYS", AUDIT_KEY)]);
    let settings = Settings::load(&auditor, Scope::One(Service::Limits)).unwrap();
    assert_eq!((settings.audit_keys.private.len(), settings.audit_keys.public.len()), (0, 1));
}

#[test]
fn only_disputes_need_keys_of_personal_data() {
    let no_keys = production(&[("PAYOPS_DATA_KEYS", "")]);
    assert!(Settings::load(&no_keys, RECON).unwrap().data_keys.is_none());
    Settings::load(&no_keys, Scope::One(Service::Disputes)).unwrap_err();
    let settings = Settings::load(&production(&[]), Scope::One(Service::Disputes)).unwrap();
    assert_eq!(settings.data_keys.as_ref().unwrap().first(), "2027");
    let key = DATA_KEYS.split_once(':').unwrap().1;
    assert!(!format!("{settings:?}").contains(key));
    assert_eq!(shown(&settings, "PAYOPS_DATA_KEYS").0.as_deref(), Some("(hidden)"));
}

#[test]
fn a_refused_value_keeps_its_credentials_to_itself() {
    let urls = [
        "PAYMENT_GATEWAY_URL",
        "PAYOPS_EVIDENCE_S3_ENDPOINT",
        "PAYOPS_STRIPE_API_BASE",
        "PAYOPS_JWKS_URL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "JAEGER_ENDPOINT",
    ];
    let hosts = ["DB_HOST", "REDIS_HOST"];
    let values = [
        "http://user:unspoken@gateway:40003",
        "postgres://user:unspoken@db:5432/payops",
        "https://user:uns?poken@gateway",
        "https://user:unspoken@ga teway",
        "https://gateway/?key=unspoken",
        "https://gateway/#unspoken",
        "user:unspoken@gateway:5432",
        "unspoken://user@gateway?a://b",
    ];
    for name in urls.into_iter().chain(hosts) {
        for value in values.iter().filter(|value| !value.starts_with("unspoken") || hosts.contains(&name)) {
            let problems = Settings::load(&environment(&[(name, *value)]), Scope::All).expect_err(value);
            assert!(problems.0.iter().any(|problem| problem.name == name), "{problems}");
            let shown = format!("{problems} {problems:?}").replace("unspoken://", "");
            assert!(!shown.contains("unspoken") && !shown.contains("poken@"), "{name}={value}: {problems}");
        }
    }
    let text = Settings::load(&environment(&[(urls[0], values[0])]), Scope::All).unwrap_err().to_string();
    assert!(text.contains("'http://…' (environment): credentials do not belong into an address"), "{text}");
}

#[test]
fn a_broken_file_is_not_repeated() {
    for text in [
        "stripe_api_key = sk_unspoken",
        "stripe_api_key = 'unspoken",
        "db_password = \"a\\unspoken\"",
        "[db]\npassword = 'x' unspoken",
        "payment_gateway_url = 'http://user:unspoken@gateway'",
    ] {
        let problems = Settings::load(&with_file(ConfigSource::default(), text), Scope::All).unwrap_err();
        assert!(!problems.to_string().contains("unspoken"), "{text}: {problems}");
    }
}

fn refused(source: &ConfigSource, scope: Scope, name: &str, said: &str) {
    let problems = Settings::load(source, scope).expect_err(said);
    let found = problems.0.iter().any(|problem| problem.name == name && problem.text.contains(said));
    assert!(found, "{name}: {said}\nis not in\n{problems}");
    assert_eq!(problems.0.len(), 1, "{problems}");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let source = with_file(
        environment(&[
            ("ENV", "production"),
            ("PORT", "x"),
            ("PAYOPS_JOB_LEASE", "x"),
            ("PAYOPS_JOB_CONCURRENCY", "x"),
            ("PAYOPS_LOG_FORMAT", "x"),
            ("DB_HOST", "h"),
            ("DB_PASSWORD", "postgres"),
            ("PAYOPS_JWTSECRET", "x"),
        ]),
        "nonsense_key_of_mine = 1",
    );
    let problems = Settings::load(&source, RECON).unwrap_err();
    let mut names: Vec<_> = problems.0.iter().map(|problem| problem.name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "DB_PASSWORD",
        "PAYOPS_JOB_CONCURRENCY",
        "PAYOPS_JOB_LEASE",
        "PAYOPS_JWTSECRET",
        "PAYOPS_JWT_SECRET",
        "PAYOPS_LOG_FORMAT",
        "PORT",
        "nonsense_key_of_mine",
    ];
    assert_eq!(names, expected);
    let text = problems.to_string();
    assert!(text.starts_with("the configuration is not usable, 8 problems:\n  "), "{text}");
    assert!(text.contains("did you mean PAYOPS_JWT_SECRET?"), "{text}");
    assert!(!text.contains("'postgres'"), "secrets are not repeated: {text}");
}

#[test]
fn names_and_keys_are_unique() {
    let names: std::collections::BTreeSet<_> = catalog::all().map(|setting| setting.name).collect();
    let keys: std::collections::BTreeSet<_> = catalog::all().map(catalog::Setting::key).collect();
    assert_eq!((names.len(), keys.len()), (catalog::all().count(), catalog::all().count()));
}

#[test]
fn the_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let reference = reference();
    assert!(
        page.contains(&reference),
        "docs/configuration.md is behind the settings; put this into it:\n{reference}"
    );
}
