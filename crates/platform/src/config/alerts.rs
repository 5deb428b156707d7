//! Who is told that merchants come near their limits, and what must not be overlooked of disputes and settlement files.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::load::list;
use super::reader::Reader;
use super::{AlertSettings, EscalatedAlertSettings, MailSettings, parse};
use crate::outbound::{SmtpCredentials, SmtpSecurity, SmtpSettings, WebhookSettings};

/// Shortest secret of a webhook, in bytes.
const SHORTEST_SECRET: usize = 16;

/// What is of no use without what; of several, one is enough.
const NEEDS: [(&str, &[&str]); 23] = [
    ("PAYOPS_LIMIT_ALERT_WEBHOOK_URL", &["PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET"]),
    ("PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET", &["PAYOPS_LIMIT_ALERT_WEBHOOK_URL"]),
    ("PAYOPS_LIMIT_ALERT_WEBHOOK_ALLOW_PRIVATE", &["PAYOPS_LIMIT_ALERT_WEBHOOK_URL"]),
    ("PAYOPS_LIMIT_ALERT_MAIL_TO", &["PAYOPS_SMTP_HOST"]),
    ("PAYOPS_DISPUTE_REMINDER_WEBHOOK_URL", &["PAYOPS_DISPUTE_REMINDER_WEBHOOK_SECRET"]),
    ("PAYOPS_DISPUTE_REMINDER_WEBHOOK_SECRET", &["PAYOPS_DISPUTE_REMINDER_WEBHOOK_URL"]),
    ("PAYOPS_DISPUTE_REMINDER_WEBHOOK_ALLOW_PRIVATE", &["PAYOPS_DISPUTE_REMINDER_WEBHOOK_URL"]),
    ("PAYOPS_DISPUTE_REMINDER_MAIL_TO", &["PAYOPS_SMTP_HOST"]),
    ("PAYOPS_DISPUTE_SUPERVISOR_MAIL_TO", &["PAYOPS_SMTP_HOST"]),
    ("PAYOPS_RECONCILIATION_ALERT_WEBHOOK_URL", &["PAYOPS_RECONCILIATION_ALERT_WEBHOOK_SECRET"]),
    ("PAYOPS_RECONCILIATION_ALERT_WEBHOOK_SECRET", &["PAYOPS_RECONCILIATION_ALERT_WEBHOOK_URL"]),
    ("PAYOPS_RECONCILIATION_ALERT_WEBHOOK_ALLOW_PRIVATE", &["PAYOPS_RECONCILIATION_ALERT_WEBHOOK_URL"]),
    ("PAYOPS_RECONCILIATION_ALERT_MAIL_TO", &["PAYOPS_SMTP_HOST"]),
    ("PAYOPS_RECONCILIATION_SUPERVISOR_MAIL_TO", &["PAYOPS_SMTP_HOST"]),
    ("PAYOPS_SMTP_HOST", &["PAYOPS_SMTP_FROM"]),
    (
        "PAYOPS_SMTP_HOST",
        &[
            "PAYOPS_LIMIT_ALERT_MAIL_TO",
            "PAYOPS_DISPUTE_REMINDER_MAIL_TO",
            "PAYOPS_DISPUTE_SUPERVISOR_MAIL_TO",
            "PAYOPS_RECONCILIATION_ALERT_MAIL_TO",
            "PAYOPS_RECONCILIATION_SUPERVISOR_MAIL_TO",
        ],
    ),
    ("PAYOPS_SMTP_PORT", &["PAYOPS_SMTP_HOST"]),
    ("PAYOPS_SMTP_TLS", &["PAYOPS_SMTP_HOST"]),
    ("PAYOPS_SMTP_CA", &["PAYOPS_SMTP_HOST"]),
    ("PAYOPS_SMTP_USER", &["PAYOPS_SMTP_HOST"]),
    ("PAYOPS_SMTP_USER", &["PAYOPS_SMTP_PASSWORD"]),
    ("PAYOPS_SMTP_PASSWORD", &["PAYOPS_SMTP_USER"]),
    ("PAYOPS_SMTP_FROM", &["PAYOPS_SMTP_HOST"]),
];

/// The names of a receiver's settings.
struct Names {
    url: &'static str,
    secret: &'static str,
    allow_private: &'static str,
}

const LIMIT_ALERTS: Names = Names {
    url: "PAYOPS_LIMIT_ALERT_WEBHOOK_URL",
    secret: "PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET",
    allow_private: "PAYOPS_LIMIT_ALERT_WEBHOOK_ALLOW_PRIVATE",
};

const DISPUTE_ALERTS: Names = Names {
    url: "PAYOPS_DISPUTE_REMINDER_WEBHOOK_URL",
    secret: "PAYOPS_DISPUTE_REMINDER_WEBHOOK_SECRET",
    allow_private: "PAYOPS_DISPUTE_REMINDER_WEBHOOK_ALLOW_PRIVATE",
};

const RECONCILIATION_ALERTS: Names = Names {
    url: "PAYOPS_RECONCILIATION_ALERT_WEBHOOK_URL",
    secret: "PAYOPS_RECONCILIATION_ALERT_WEBHOOK_SECRET",
    allow_private: "PAYOPS_RECONCILIATION_ALERT_WEBHOOK_ALLOW_PRIVATE",
};

/// Of limits, of disputes, and of reconciliation.
pub(super) fn read(reader: &mut Reader) -> (AlertSettings, EscalatedAlertSettings, EscalatedAlertSettings) {
    let server = mail_server(reader);
    let mail = |to: Option<Vec<String>>| Some(MailSettings { server: server.clone()?, to: to? });
    let mut to = |name| reader.optional(name, parse::mail_addresses);
    let alerted = to("PAYOPS_LIMIT_ALERT_MAIL_TO");
    let told = to("PAYOPS_DISPUTE_REMINDER_MAIL_TO");
    let supervisors = to("PAYOPS_DISPUTE_SUPERVISOR_MAIL_TO");
    let missing = to("PAYOPS_RECONCILIATION_ALERT_MAIL_TO");
    let still_missing = to("PAYOPS_RECONCILIATION_SUPERVISOR_MAIL_TO");
    let alerts = AlertSettings { webhook: webhook(reader, &LIMIT_ALERTS), mail: mail(alerted) };
    let disputes = EscalatedAlertSettings {
        webhook: webhook(reader, &DISPUTE_ALERTS),
        mail: mail(told),
        supervisors: mail(supervisors),
    };
    let reconciliation = EscalatedAlertSettings {
        webhook: webhook(reader, &RECONCILIATION_ALERTS),
        mail: mail(missing),
        supervisors: mail(still_missing),
    };
    reader.refuse_useless(&NEEDS);
    (alerts, disputes, reconciliation)
}

fn webhook(reader: &mut Reader, names: &Names) -> Option<WebhookSettings> {
    let url = reader.optional(names.url, parse::exact_url);
    let secrets = list(reader.secret(names.secret).as_ref());
    let allow_private = reader.value(names.allow_private, parse::flag);
    if secrets.iter().any(|secret| secret.expose_secret().len() < SHORTEST_SECRET) {
        reader.refuse(names.secret, format!("is too short: at least {SHORTEST_SECRET} bytes are needed"));
    } else if reader.is_given(names.secret) && secrets.is_empty() {
        reader.refuse(names.secret, "holds nothing but commas");
    }
    Some(WebhookSettings { url: url?, secrets, allow_private: allow_private? })
}

fn mail_server(reader: &mut Reader) -> Option<SmtpSettings> {
    let host = reader.optional("PAYOPS_SMTP_HOST", parse::host);
    let port = reader.value("PAYOPS_SMTP_PORT", parse::port);
    let security = reader.value("PAYOPS_SMTP_TLS", parse::smtp_security);
    let authorities = reader.optional("PAYOPS_SMTP_CA", parse::text).map(PathBuf::from);
    let user = reader.optional("PAYOPS_SMTP_USER", parse::text);
    let password = reader.secret("PAYOPS_SMTP_PASSWORD");
    let from = reader.optional("PAYOPS_SMTP_FROM", parse::mailbox);
    if user.is_some() && security == Some(SmtpSecurity::None) {
        reader.refuse("PAYOPS_SMTP_USER", "would be sent in the clear with PAYOPS_SMTP_TLS=none");
    }
    let credentials = user.zip(password).map(|(user, password)| SmtpCredentials { user, password });
    Some(SmtpSettings {
        host: host?,
        port: port?,
        security: security?,
        authorities,
        credentials,
        from: from?,
    })
}
