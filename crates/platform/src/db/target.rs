//! Where a database is.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Where a service's database is.
#[derive(Debug, Clone)]
pub enum DatabaseTarget {
    /// A file; it and its folder are made when they are missing.
    Sqlite {
        /// The file's path.
        path: PathBuf,
    },
    /// A database on a PostgreSQL server; it must exist.
    Postgres(PostgresTarget),
}

impl DatabaseTarget {
    /// What may be shown of it: the path, or user, host, port and database, never a password.
    pub fn describe(&self) -> String {
        match self {
            Self::Sqlite { path } => format!("sqlite {}", path.display()),
            Self::Postgres(target) => {
                format!("postgres {}@{}:{}/{}", target.user, target.host, target.port, target.database)
            }
        }
    }
}

/// A database on a PostgreSQL server, and how to use it.
#[derive(Debug, Clone)]
pub struct PostgresTarget {
    /// Host name, address, or the folder of a Unix socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Role to log in as.
    pub user: String,
    /// Its password, if it needs one.
    pub password: Option<SecretString>,
    /// Database name.
    pub database: String,
    /// How much TLS is asked for.
    pub ssl_mode: SslMode,
    /// PEM file of the authorities to trust instead of the public ones.
    pub ssl_root_cert: Option<PathBuf>,
    /// The most connections this process opens to the database.
    pub max_connections: u32,
    /// How long to wait for a free connection before answering 503.
    pub acquire_timeout: Duration,
    /// What a session may keep others waiting for.
    pub session: SessionLimits,
}

/// How long a session may keep others waiting. The server holds it to these, so that they hold for a process
/// that has stopped or a host that has vanished too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// A transaction in which nothing was asked for so long is rolled back, its locks are given back, and its
    /// connection is closed.
    pub idle_in_transaction: Duration,
    /// A statement that waited so long for another transaction's lock is given up, and answered 503.
    /// Shorter than a request may take, so that the caller learns that there was no effect. Migrations wait
    /// for as long as it takes.
    pub lock_wait: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { idle_in_transaction: Duration::from_mins(1), lock_wait: Duration::from_secs(20) }
    }
}

/// How much TLS is asked for, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server offers it.
    #[default]
    Prefer,
    /// Always, without checking the certificate.
    Require,
    /// Always, and the certificate is signed by a trusted authority.
    VerifyCa,
    /// Always, and the certificate is also of that host.
    VerifyFull,
}

impl SslMode {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    /// The mode's name in libpq's words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl PostgresTarget {
    pub(super) fn connect_options(&self) -> PgConnectOptions {
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .database(&self.database)
            // Told in any case: the driver would look for one in its own variables of the environment.
            .password(self.password.as_ref().map_or("", |password| password.expose_secret()))
            .application_name("payops")
            .ssl_mode(match self.ssl_mode {
                SslMode::Disable => PgSslMode::Disable,
                SslMode::Prefer => PgSslMode::Prefer,
                SslMode::Require => PgSslMode::Require,
                SslMode::VerifyCa => PgSslMode::VerifyCa,
                SslMode::VerifyFull => PgSslMode::VerifyFull,
            });
        if let Some(path) = &self.ssl_root_cert {
            options = options.ssl_root_cert(path);
        }
        options
    }
}
