//! A real mail server beside a test, private and on free ports, which ends with the test. The tests of every service that sends
//! mail take this file in.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use payops_platform::config::MailSettings;
use payops_platform::outbound::{SmtpCredentials, SmtpSecurity, SmtpSettings};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Names the Python whose packages hold the mail server.
const PYTHON: &str = "PAYOPS_TEST_SMTP_PYTHON";
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct MailServer {
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    /// Ends when this is dropped: its input is closed then, and it is killed.
    _process: Child,
}

impl MailServer {
    pub async fn start() -> Self {
        let python = std::env::var_os(PYTHON).unwrap_or_else(|| {
            panic!("{PYTHON} is not set: run the tests by `cargo xtask test`, or see `cargo xtask servers`")
        });
        let folder = tempfile::tempdir().unwrap();
        let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (pem, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        std::fs::write(&pem, certificate.cert.pem()).unwrap();
        std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../platform/tests/support/mail_server.py");
        let mut process = Command::new(python)
            .args(["-W", "ignore"])
            .arg(script)
            .args([folder.path(), &pem, &key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        tokio::time::timeout(PATIENCE, output.read_line(&mut line)).await.unwrap().unwrap();
        let ports: Vec<u16> = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
        assert_eq!(ports.len(), 2, "the mail server did not start");
        Self { folder, ports, _process: process }
    }

    /// How it is reached, and by whom the mails are to be got.
    pub fn settings(&self, security: SmtpSecurity, to: &[&str]) -> MailSettings {
        let port = match security {
            SmtpSecurity::Tls => self.ports[1],
            SmtpSecurity::StartTls | SmtpSecurity::None => self.ports[0],
        };
        let server = SmtpSettings {
            host: "localhost".to_owned(),
            port,
            security,
            authorities: Some(self.folder.path().join("server.pem")),
            credentials: Some(SmtpCredentials {
                user: "payops".to_owned(),
                password: "the-mail-password".into(),
            }),
            from: "payops alerts <alerts@shop.example>".to_owned(),
        };
        MailSettings { server, to: to.iter().map(|to| (*to).to_owned()).collect() }
    }

    /// The mails that a recipient has, in no order.
    pub fn mails(&self, to: &str) -> Vec<Mail> {
        let prefix = format!("{to}~");
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let ours = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&prefix));
        ours.map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
    }
}

/// A mail as the server has read it.
#[derive(Debug, serde::Deserialize)]
pub struct Mail {
    pub recipients: Vec<String>,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Mail {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}
