//! Connections that speak PostgreSQL's protocol without `SeaORM`, for what it has no way to say: statements that follow one
//! another without waiting for answers.

pub(super) mod sqlite;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio_postgres::config::SslMode as Tls;
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::task::TaskTracker;

use super::metrics::Pools;
use super::open::{VANISHED_CLIENTS, session_settings};
use super::{Db, PostgresTarget, SslMode};
use crate::error::{Error, Result};

impl Db {
    /// A new connection of the native driver, with the session's settings of all others, in no pool: whoever asked keeps
    /// it. Transactions on it run inside [`Db::retrying`]. It closes when the client is dropped, and the server then
    /// rolls back what was under way.
    ///
    /// # Errors
    /// 503 when the server does not answer. On SQLite there is none, which is a mistake of the caller's.
    pub async fn connect_native(&self) -> Result<Client> {
        let (Some(target), Pools::Postgres { natives, .. }) = (&self.0.server, &self.0.pools) else {
            return Err(Error::internal("SQLite has no native connection"));
        };
        let client = tokio::time::timeout(target.acquire_timeout, connect(target, natives))
            .await
            .map_err(|_| Error::database_away("no connection in time"))??;
        client.batch_execute(&session_settings(target.session)).await?;
        for wish in VANISHED_CLIENTS {
            match client.batch_execute(wish).await {
                Err(error) if error.as_db_error().is_none() => return Err(error.into()),
                // Not every server that speaks the protocol has these, and none needs them.
                Err(error) => tracing::debug!(%error, "the server does without: {wish}"),
                Ok(()) => {}
            }
        }
        Ok(client)
    }
}

async fn connect(target: &PostgresTarget, connections: &TaskTracker) -> Result<Client> {
    let mut config = Config::new();
    config
        .host(&target.host)
        .port(target.port)
        .user(&target.user)
        .dbname(&target.database)
        .application_name("payops")
        // A host that has vanished answers nothing, not even that it has.
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(20))
        .ssl_mode(match target.ssl_mode {
            SslMode::Disable => Tls::Disable,
            SslMode::Prefer => Tls::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Tls::Require,
        });
    if let Some(password) = &target.password {
        config.password(password.expose_secret());
    }
    // What a connection is for ends with its client; what it says before is logged.
    let client = if target.ssl_mode == SslMode::Disable {
        let (client, connection) = config.connect(NoTls).await?;
        connections.spawn(async move { report(connection.await) });
        client
    } else {
        let (client, connection) = config.connect(tls::connector(target)?).await?;
        connections.spawn(async move { report(connection.await) });
        client
    };
    Ok(client)
}

fn report(ended: Result<(), tokio_postgres::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a native connection has ended");
    }
}
