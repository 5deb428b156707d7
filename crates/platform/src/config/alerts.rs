//! Who is told that merchants come near their limits.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::load::list;
use super::reader::Reader;
use super::{AlertSettings, MailSettings, parse};
use crate::outbound::{SmtpCredentials, SmtpSecurity, SmtpSettings, WebhookSettings};

/// Shortest secret of a webhook, in bytes.
const SHORTEST_SECRET: usize = 16;

/// What is of no use without what.
const NEEDS: [(&str, &str); 13] = [
    ("PAYOPS_LIMIT_ALERT_WEBHOOK_URL", "PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET"),
    ("PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET", "PAYOPS_LIMIT_ALERT_WEBHOOK_URL"),
    ("PAYOPS_LIMIT_ALERT_WEBHOOK_ALLOW_PRIVATE", "PAYOPS_LIMIT_ALERT_WEBHOOK_URL"),
    ("PAYOPS_LIMIT_ALERT_MAIL_TO", "PAYOPS_SMTP_HOST"),
    ("PAYOPS_SMTP_HOST", "PAYOPS_SMTP_FROM"),
    ("PAYOPS_SMTP_HOST", "PAYOPS_LIMIT_ALERT_MAIL_TO"),
    ("PAYOPS_SMTP_PORT", "PAYOPS_SMTP_HOST"),
    ("PAYOPS_SMTP_TLS", "PAYOPS_SMTP_HOST"),
    ("PAYOPS_SMTP_CA", "PAYOPS_SMTP_HOST"),
    ("PAYOPS_SMTP_USER", "PAYOPS_SMTP_HOST"),
    ("PAYOPS_SMTP_USER", "PAYOPS_SMTP_PASSWORD"),
    ("PAYOPS_SMTP_PASSWORD", "PAYOPS_SMTP_USER"),
    ("PAYOPS_SMTP_FROM", "PAYOPS_SMTP_HOST"),
];

pub(super) fn read(reader: &mut Reader) -> AlertSettings {
    let settings = AlertSettings { webhook: webhook(reader), mail: mail(reader) };
    for (given, needed) in NEEDS {
        if reader.is_given(given) && !reader.is_given(needed) {
            reader.refuse(given, format!("is of no use without {needed}"));
        }
    }
    settings
}

fn webhook(reader: &mut Reader) -> Option<WebhookSettings> {
    const SECRET: &str = "PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET";
    let url = reader.optional("PAYOPS_LIMIT_ALERT_WEBHOOK_URL", parse::exact_url);
    let secrets = list(reader.secret(SECRET).as_ref());
    let allow_private = reader.value("PAYOPS_LIMIT_ALERT_WEBHOOK_ALLOW_PRIVATE", parse::flag);
    if secrets.iter().any(|secret| secret.expose_secret().len() < SHORTEST_SECRET) {
        reader.refuse(SECRET, format!("is too short: at least {SHORTEST_SECRET} bytes are needed"));
    } else if reader.is_given(SECRET) && secrets.is_empty() {
        reader.refuse(SECRET, "holds nothing but commas");
    }
    Some(WebhookSettings { url: url?, secrets, allow_private: allow_private? })
}

fn mail(reader: &mut Reader) -> Option<MailSettings> {
    let to = reader.optional("PAYOPS_LIMIT_ALERT_MAIL_TO", parse::mail_addresses);
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
    let server =
        SmtpSettings { host: host?, port: port?, security: security?, authorities, credentials, from: from? };
    Some(MailSettings { server, to: to? })
}
