//! Every setting there is: name, default, meaning. The reference in `docs/configuration.md` is made of this.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// Its name in the environment. In a file it is in lower case, without `payops_`.
    pub(super) name: &'static str,
    /// The default as it would be written, or `None` when there is none, or when it follows from others.
    pub(super) default: Option<&'static str>,
    /// Never shown; `NAME_FILE` may name a file that holds it.
    pub(super) secret: bool,
    /// What it means, in a sentence or two.
    pub(super) meaning: &'static str,
}

/// Settings that belong together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) settings: &'static [Setting],
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default: Some(default), secret: false, meaning }
}

const fn open(name: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default: None, secret: false, meaning }
}

const fn secret(name: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default: None, secret: true, meaning }
}

pub(super) const GROUPS: &[Group] = &[
    Group {
        title: "Process",
        settings: &[
            plain(
                "ENV",
                "development",
                "`development` or `production`. Production refuses missing secrets, default passwords and the sandbox.",
            ),
            plain(
                "PAYOPS_DATA_DIR",
                "./data",
                "Folder of the SQLite databases, of generated secrets, and by default of files.",
            ),
            open("PAYOPS_BIND", "Address to listen on. 127.0.0.1 in development, 0.0.0.0 in production."),
            open("PORT", "Port of the one service that is served; refused with `serve all`."),
            plain("PAYOPS_RECONCILIATION_PORT", "40020", "Port of the reconciliation service."),
            plain("PAYOPS_DISPUTES_PORT", "40021", "Port of the dispute service."),
            plain("PAYOPS_LIMITS_PORT", "40022", "Port of the merchant limit service."),
            open(
                "PAYOPS_TLS_CERTIFICATE",
                "PEM file of the certificate of the services, and of those between it and its authority. With it the services speak HTTPS only. New contents are taken up within half a minute.",
            ),
            open("PAYOPS_TLS_KEY", "PEM file of the certificate's private key."),
            open(
                "PAYOPS_TLS_CLIENT_CA",
                "PEM file of the authorities whose client certificates are believed; see PAYOPS_SERVICE_CERTIFICATES.",
            ),
            plain(
                "PAYOPS_DRAIN_TIME",
                "20s",
                "How long requests and jobs under way may go on after SIGTERM.",
            ),
        ],
    },
    Group {
        title: "Database",
        settings: &[
            open(
                "DB_HOST",
                "PostgreSQL host, or the folder of its Unix socket. Without it, SQLite files under PAYOPS_DATA_DIR.",
            ),
            plain("DB_PORT", "5432", "PostgreSQL port."),
            plain("DB_USER", "postgres", "PostgreSQL role."),
            secret("DB_PASSWORD", "Password of the role. Needed in production, except over a Unix socket."),
            open("DB_NAME", "Database of the one service that is served; refused with `serve all`."),
            plain(
                "PAYOPS_RECONCILIATION_DB_NAME",
                "payment_reconciliation",
                "Database of the reconciliation service.",
            ),
            plain("PAYOPS_DISPUTES_DB_NAME", "payment_dispute", "Database of the dispute service."),
            plain(
                "PAYOPS_LIMITS_DB_NAME",
                "payment_merchant_limit",
                "Database of the merchant limit service.",
            ),
            plain(
                "PAYOPS_DB_SSLMODE",
                "prefer",
                "TLS to PostgreSQL in libpq's words: `disable`, `prefer`, `require`, `verify-ca` or `verify-full`.",
            ),
            open("PAYOPS_DB_SSLROOTCERT", "PEM file of the authorities to trust instead of the public ones."),
            plain(
                "PAYOPS_DB_MAX_CONNECTIONS",
                "16",
                "The most connections of the pool to each PostgreSQL database, 2 to 1000. Limits has two more, which decide.",
            ),
            plain(
                "PAYOPS_DB_ACQUIRE_TIMEOUT",
                "5s",
                "How long a request waits for a free connection before it is answered 503.",
            ),
        ],
    },
    Group {
        title: "Stripe, gateway and files",
        settings: &[
            secret("STRIPE_API_KEY", "Stripe's secret or restricted key."),
            plain(
                "PAYOPS_STRIPE_API_BASE",
                "https://api.stripe.com",
                "Where Stripe's API is. The sandbox is refused in production.",
            ),
            secret(
                "PAYOPS_STRIPE_WEBHOOK_SECRET",
                "Signing secret of Stripe's webhooks; several, separated by commas, while one replaces the other.",
            ),
            open(
                "PAYMENT_GATEWAY_URL",
                "The payment gateway: source of the platform's side of a reconciliation, and asked which payment a dispute is about where Stripe's metadata do not tell.",
            ),
            secret(
                "PAYOPS_GATEWAY_SECRET",
                "What payops shows the gateway as X-Service-Secret. Needed in production with PAYMENT_GATEWAY_URL.",
            ),
            open(
                "SETTLEMENT_FILE_PATH",
                "Folder of settlement files. `settlement-files` in PAYOPS_DATA_DIR.",
            ),
            open(
                "PAYOPS_EVIDENCE_PATH",
                "Folder of the files that answer disputes, unless they lie in a bucket. `evidence` in PAYOPS_DATA_DIR.",
            ),
            open(
                "PAYOPS_EVIDENCE_S3_BUCKET",
                "Bucket of the files that answer disputes, in place of the folder, at Amazon or anything that speaks S3.",
            ),
            open(
                "PAYOPS_EVIDENCE_S3_ENDPOINT",
                "Address of the server, such as `https://minio.shop.example`; Amazon's of the region unless it is given. `https` in production.",
            ),
            plain(
                "PAYOPS_EVIDENCE_S3_REGION",
                "us-east-1",
                "Region of the bucket. Most servers but Amazon's have one, of this name.",
            ),
            open("PAYOPS_EVIDENCE_S3_ACCESS_KEY_ID", "Id of the access key."),
            secret("PAYOPS_EVIDENCE_S3_SECRET_ACCESS_KEY", "The access key."),
            open(
                "PAYOPS_EVIDENCE_S3_PATH_STYLE",
                "Whether the bucket is named in the path (`true`) or before the host (`false`). `true` with PAYOPS_EVIDENCE_S3_ENDPOINT, otherwise `false`.",
            ),
            open(
                "REPORT_PATH",
                "Accepted for compatibility, without effect: reports are not kept in files, they are made when they are downloaded (`/reports/{task_id}/download?format=csv`).",
            ),
        ],
    },
    Group {
        title: "Identity",
        settings: &[
            secret(
                "PAYOPS_JWT_SECRET",
                "HS256 secret of tokens, at least 32 bytes; several, separated by commas: the first signs, all check. Generated in development when neither this nor a JWKS is given.",
            ),
            open("PAYOPS_JWKS_FILE", "JWKS file with the public keys of tokens, instead of a secret."),
            open("PAYOPS_JWKS_URL", "Address of the JWKS, instead of a file."),
            plain("PAYOPS_JWT_ISSUER", "payops", "What tokens must say in `iss`."),
            plain("PAYOPS_JWT_AUDIENCE", "payops", "What tokens must say in `aud`."),
            secret(
                "PAYOPS_SERVICE_SECRETS",
                "Services that may call: `name=secret`, separated by commas; a name may come several times. Secrets have at least 16 bytes. Generated in development, for `payment-gateway`.",
            ),
            open(
                "PAYOPS_SERVICE_CERTIFICATES",
                "Services that may call by client certificate: `name=subject`, separated by commas, where `subject` is a DNS name or a URI among the certificate's subject alternative names; `name` alone stands for `name=name`.",
            ),
        ],
    },
    Group {
        title: "Seals of the usage log",
        settings: &[
            secret(
                "PAYOPS_AUDIT_KEY",
                "Ed25519 private key that signs the seals of the usage log of limits: 32 random bytes as 64 hexadecimal digits (`openssl rand -hex 32`); several, separated by commas: the first signs, all are believed. Generated in development.",
            ),
            open(
                "PAYOPS_AUDIT_PUBLIC_KEYS",
                "Public keys that are believed besides, in hexadecimal, separated by commas: of keys that have been retired, or for an auditor who is not to sign. `payops limits keys` prints them.",
            ),
        ],
    },
    Group {
        title: "Keys of personal data",
        settings: &[secret(
            "PAYOPS_DATA_KEYS",
            "Keys under which the keys of the personal data of disputes are wrapped: `id:key`, separated by commas or line breaks, where `id` is a name and `key` 32 random bytes as base64 (`openssl rand -base64 32`). The first wraps, all unwrap; `payops rotate-keys` wraps everything under the first. Without them evidence cannot be read. Generated in development.",
        )],
    },
    Group {
        title: "Requests",
        settings: &[
            plain(
                "PAYOPS_RATE_LIMIT_CALLER",
                "100",
                "Requests a minute of each person, and of each merchant.",
            ),
            plain(
                "PAYOPS_RATE_LIMIT_SERVICE",
                "600000",
                "Requests a minute of each service: high, so that a payment is never refused for it.",
            ),
            plain(
                "PAYOPS_RATE_LIMIT_ANONYMOUS",
                "100",
                "Requests a minute of each address without good credentials.",
            ),
            plain(
                "PAYOPS_REQUEST_TIMEOUT",
                "30s",
                "How long a handler may take until its answer begins; then 503.",
            ),
            plain(
                "PAYOPS_BODY_TIMEOUT",
                "20s",
                "How long nothing of a request's body may arrive; then 408. An upload that goes on may take longer, up to an hour; a JSON body has 15 seconds in all.",
            ),
            plain("PAYOPS_REQUEST_CONCURRENCY", "1024", "Requests worked on at once; one more is 503."),
            plain("PAYOPS_BODY_LIMIT", "1MiB", "The largest request body."),
            plain("PAYOPS_UPLOAD_LIMIT", "512MiB", "The largest uploaded file."),
            open(
                "REDIS_HOST",
                "Host of Redis, where rate limits are then counted for all instances of a service; otherwise each \
                 process gives the whole budget. While Redis is away, requests pass uncounted.",
            ),
            plain("REDIS_PORT", "6379", "Port of Redis."),
            open("PAYOPS_REDIS_USER", "User at Redis; its user `default` unless named."),
            secret("PAYOPS_REDIS_PASSWORD", "Password of that user, if Redis asks for one."),
            plain("PAYOPS_REDIS_DB", "0", "Number of the database in Redis."),
        ],
    },
    Group {
        title: "Jobs",
        settings: &[
            plain(
                "PAYOPS_JOB_LEASE",
                "30s",
                "How long a job stays with a process that gives no sign of life, 1s to 1h.",
            ),
            plain(
                "PAYOPS_JOB_CONCURRENCY",
                "4",
                "The most jobs of each service that run at once in this process.",
            ),
            plain("PAYOPS_JOB_RETENTION", "30d", "How long finished jobs are kept."),
            plain(
                "PAYOPS_AUDIT_RETENTION",
                "90d",
                "How long the audit log is kept. 365d is recommended where PCI DSS applies.",
            ),
        ],
    },
    Group {
        title: "Alerts of merchant limits",
        settings: &[
            open(
                "PAYOPS_LIMIT_ALERT_WEBHOOK_URL",
                "Where alerts are posted. `https` in production, unless private addresses are allowed.",
            ),
            secret(
                "PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET",
                "What they are signed with, at least 16 bytes; several, separated by commas, while one replaces the other.",
            ),
            plain(
                "PAYOPS_LIMIT_ALERT_WEBHOOK_ALLOW_PRIVATE",
                "false",
                "Whether the receiver may be in a private network or on this machine.",
            ),
            open("PAYOPS_LIMIT_ALERT_MAIL_TO", "Addresses that alerts are mailed to, separated by commas."),
        ],
    },
    Group {
        title: "Deadlines and alerts of disputes",
        settings: &[
            plain(
                "PAYOPS_DISPUTE_SUBMISSION_MARGIN",
                "6h",
                "How long before its deadline an answer is sent that is held until then, 1h to 7d.",
            ),
            open(
                "PAYOPS_DISPUTE_REMINDER_WEBHOOK_URL",
                "Where reminders of deadlines and other alerts about disputes are posted. `https` in production, unless private addresses are allowed.",
            ),
            secret(
                "PAYOPS_DISPUTE_REMINDER_WEBHOOK_SECRET",
                "What they are signed with, at least 16 bytes; several, separated by commas, while one replaces the other.",
            ),
            plain(
                "PAYOPS_DISPUTE_REMINDER_WEBHOOK_ALLOW_PRIVATE",
                "false",
                "Whether the receiver may be in a private network or on this machine.",
            ),
            open(
                "PAYOPS_DISPUTE_REMINDER_MAIL_TO",
                "Addresses that these are mailed to, separated by commas.",
            ),
            open(
                "PAYOPS_DISPUTE_SUPERVISOR_MAIL_TO",
                "Addresses that are mailed as well when a day is left or a deadline has passed, and when an answer is refused with less than three days left.",
            ),
        ],
    },
    Group {
        title: "Alerts of reconciliation",
        settings: &[
            open(
                "PAYOPS_RECONCILIATION_ALERT_WEBHOOK_URL",
                "Where alerts about missing settlement files are posted. `https` in production, unless private addresses are allowed.",
            ),
            secret(
                "PAYOPS_RECONCILIATION_ALERT_WEBHOOK_SECRET",
                "What they are signed with, at least 16 bytes; several, separated by commas, while one replaces the other.",
            ),
            plain(
                "PAYOPS_RECONCILIATION_ALERT_WEBHOOK_ALLOW_PRIVATE",
                "false",
                "Whether the receiver may be in a private network or on this machine.",
            ),
            open(
                "PAYOPS_RECONCILIATION_ALERT_MAIL_TO",
                "Addresses that these are mailed to, separated by commas.",
            ),
            open(
                "PAYOPS_RECONCILIATION_SUPERVISOR_MAIL_TO",
                "Addresses that are mailed as well when a file is still missing after its expectation's `escalate_after_hours`.",
            ),
        ],
    },
    Group {
        title: "Mail",
        settings: &[
            open("PAYOPS_SMTP_HOST", "The mail server."),
            plain("PAYOPS_SMTP_PORT", "587", "Its port: commonly 587 for `starttls`, 465 for `tls`."),
            plain(
                "PAYOPS_SMTP_TLS",
                "starttls",
                "`starttls` (demanded, not only tried), `tls` from the beginning, or `none`.",
            ),
            open("PAYOPS_SMTP_CA", "PEM file of the authority to trust instead of the public ones."),
            open("PAYOPS_SMTP_USER", "User at the mail server; refused with PAYOPS_SMTP_TLS=none."),
            secret("PAYOPS_SMTP_PASSWORD", "The user's password."),
            open("PAYOPS_SMTP_FROM", "Whom mail comes from: `name@host` or `Name <name@host>`."),
        ],
    },
    Group {
        title: "Telemetry",
        settings: &[
            plain(
                "PAYOPS_LOG",
                "info",
                "Which log lines are kept: a level, or directives such as `info,payops_recon=debug`.",
            ),
            open("PAYOPS_LOG_FORMAT", "`json` or `text`. `text` in development, `json` in production."),
            open(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "Where traces go, OTLP over HTTP, such as `http://jaeger:4318`. Without it none are exported.",
            ),
            open(
                "JAEGER_ENDPOINT",
                "The same, by its older name. Jaeger's Thrift address (`:14268`) is translated to the OTLP port of the same host, with a warning.",
            ),
            plain(
                "PAYOPS_TRACE_SAMPLE_RATIO",
                "1",
                "The share of traces that begin here and are exported, 0 to 1.",
            ),
            open(
                "PROMETHEUS_PORT",
                "Port of `/metrics`. Without it, `/metrics` is on each service's own port.",
            ),
        ],
    },
];

/// Names that are read elsewhere: the file's place, and what tests need.
pub(super) const READ_ELSEWHERE: [&str; 1] = ["PAYOPS_CONFIG"];
/// Names that begin so belong to tests.
pub(super) const TEST_PREFIX: &str = "PAYOPS_TEST_";

pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}

pub(super) fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

impl Setting {
    /// Its key in a file.
    pub(super) fn key(&self) -> String {
        let lower = self.name.to_ascii_lowercase();
        lower.strip_prefix("payops_").map(str::to_owned).unwrap_or(lower)
    }
}

/// The reference of all settings, as it stands in `docs/configuration.md`.
pub fn reference() -> String {
    GROUPS.iter().map(Group::section).collect()
}

impl Group {
    fn section(&self) -> String {
        let head = "| setting | key in the file | default | meaning |\n| --- | --- | --- | --- |\n";
        let rows: String = self.settings.iter().map(Setting::row).collect();
        format!("\n### {}\n\n{head}{rows}", self.title)
    }
}

impl Setting {
    fn row(&self) -> String {
        let default = self.default.map_or_else(String::new, |default| format!("`{default}`"));
        let mark = if self.secret { " 🔒" } else { "" };
        format!("| `{}`{mark} | `{}` | {default} | {} |\n", self.name, self.key(), self.meaning)
    }
}
