//! Mail, handed to an SMTP server.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Category;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use payops_core::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{SetupError, Undelivered, one_line, reason};

/// How many time-outs of single commands one mail may take in all.
const COMMANDS: u32 = 4;
/// The longest subject, in characters.
const LONGEST_SUBJECT: usize = 200;

/// How the SMTP server is reached.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub security: SmtpSecurity,
    /// PEM file of the authorities to trust instead of the public ones.
    pub authorities: Option<PathBuf>,
    /// Who payops is there.
    pub credentials: Option<SmtpCredentials>,
    /// Whom mail comes from: `name@host` or `Name <name@host>`.
    pub from: String,
}

/// Who payops is at an SMTP server.
#[derive(Debug, Clone)]
pub struct SmtpCredentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// How a connection to an SMTP server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// The connection begins in the clear and must become TLS before anything is said.
    StartTls,
    /// TLS from the beginning.
    Tls,
    /// Not at all.
    None,
}

/// One mail to one person.
#[derive(Debug, Clone, Copy)]
pub struct Mail<'m> {
    /// The recipient's address.
    pub to: &'m str,
    /// What it is about; line breaks and other control characters become blanks.
    pub subject: &'m str,
    /// The text.
    pub body: &'m str,
    /// Becomes the `Message-ID`, together with the sender's host: the same however often it is sent.
    pub id: &'m str,
}

/// An SMTP server to hand mail to.
#[derive(Debug, Clone)]
pub struct Mailer {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// Of one mail, in all.
    time_out: Duration,
}

impl Mailer {
    /// A server that has `time_out` for the answer to each command.
    pub fn new(settings: &SmtpSettings, time_out: Duration) -> Result<Self, SetupError> {
        let from: Mailbox = settings
            .from
            .parse()
            .map_err(|error: lettre::address::AddressError| SetupError::new("the sender of mail", &error))?;
        let tls = match settings.security {
            SmtpSecurity::StartTls => Tls::Required(tls(settings)?),
            SmtpSecurity::Tls => Tls::Wrapper(tls(settings)?),
            SmtpSecurity::None => Tls::None,
        };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.as_str())
            .port(settings.port)
            .tls(tls)
            .hello_name(ClientId::Domain(from.email.domain().to_owned()))
            .timeout(Some(time_out));
        if let Some(SmtpCredentials { user, password }) = &settings.credentials {
            server = server.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Self { server: server.build(), from, time_out: time_out * COMMANDS })
    }

    /// Hands a mail over, dated `now`. `Ok` is the server's word that it will deliver it.
    pub async fn send(&self, mail: Mail<'_>, now: Timestamp) -> Result<(), Undelivered> {
        let message = self.message(mail, now).map_err(|error| Undelivered::Refused(reason(&error)))?;
        match tokio::time::timeout(self.time_out, self.server.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unsent(&error)),
            Err(_) => {
                let text = format!("the server did not take the mail within {} s", self.time_out.as_secs());
                Err(Undelivered::Unreachable(text))
            }
        }
    }

    fn message(&self, mail: Mail<'_>, now: Timestamp) -> Result<Message, MailError> {
        let to: Address = mail.to.parse()?;
        let host = self.from.email.domain();
        Ok(Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(one_line(mail.subject, LONGEST_SUBJECT))
            .date(now.into())
            .message_id(Some(format!("<{}@{host}>", mail.id)))
            // Nobody is on holiday for a machine.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .header(ContentType::TEXT_PLAIN)
            .body(mail.body.to_owned())?)
    }
}

/// Why there is no such mail.
#[derive(Debug, thiserror::Error)]
enum MailError {
    #[error("the recipient's address is none")]
    Address(#[from] lettre::address::AddressError),
    #[error("the mail cannot be put together")]
    Message(#[from] lettre::error::Error),
}

fn tls(settings: &SmtpSettings) -> Result<TlsParameters, SetupError> {
    let mut parameters = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.authorities {
        let what = format!("the authority of the mail server, {}", path.display());
        let pem = fs::read(path).map_err(|error| SetupError::new(&what, &error))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| SetupError::new(&what, &error))?;
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    parameters.build().map_err(|error| SetupError::new("TLS to the mail server", &error))
}

fn unsent(error: &lettre::transport::smtp::Error) -> Undelivered {
    let text = reason(error);
    match error.status() {
        // 55x is about this mail or its recipient. Other permanent answers are about how payops comes, which may be mended.
        Some(code) if error.is_permanent() && code.category == Category::MailSystem => {
            Undelivered::Refused(text)
        }
        Some(_) => Undelivered::NotTaken(text),
        None => Undelivered::Unreachable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(port: u16) -> SmtpSettings {
        SmtpSettings {
            host: "localhost".to_owned(),
            port,
            security: SmtpSecurity::None,
            authorities: None,
            credentials: None,
            from: "payops <alerts@shop.example>".to_owned(),
        }
    }

    const MAIL: Mail<'_> = Mail { to: "ops@shop.example", subject: "s", body: "b", id: "1" };

    #[tokio::test]
    async fn a_server_that_says_nothing_is_not_waited_for() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let mailer = Mailer::new(&settings(port), Duration::from_millis(50)).unwrap();
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        assert!(matches!(mailer.send(MAIL, now).await, Err(Undelivered::Unreachable(_))));
        drop(silent);
        assert!(matches!(mailer.send(MAIL, now).await, Err(Undelivered::Unreachable(_))));
    }

    #[test]
    fn an_authority_that_cannot_be_read_is_named() {
        let authorities = Some(PathBuf::from("/nowhere/mail-ca.pem"));
        let settings = SmtpSettings { security: SmtpSecurity::Tls, authorities, ..settings(465) };
        let error = Mailer::new(&settings, Duration::from_secs(1)).unwrap_err().to_string();
        assert!(
            error.starts_with("the authority of the mail server, /nowhere/mail-ca.pem: No such"),
            "{error}"
        );
    }

    #[test]
    fn no_text_adds_a_header() {
        let mailer = Mailer::new(&settings(25), Duration::from_secs(1)).unwrap();
        let mail = Mail { subject: "a\r\nBcc: all@shop.example\r\n\r\nb 限额", ..MAIL };
        let message = mailer.message(mail, "2026-11-23T12:00:00Z".parse().unwrap()).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        assert!(!text.to_lowercase().contains("\nbcc"), "{text}");
        assert!(text.contains("Message-ID: <1@shop.example>"), "{text}");
        assert!(text.contains("Date: Mon, 23 Nov 2026 12:00:00 "), "{text}");
        let wrong = Mail { to: "a@b.example>\r\nRCPT TO:<c@d.example", ..MAIL };
        assert!(mailer.message(wrong, "2026-11-23T12:00:00Z".parse().unwrap()).is_err());
    }
}
