//! What a database said, as an [`Error`].

use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

use super::{Error, ErrorKind};

/// How long callers are asked to wait when the database is away.
const AWAY: Duration = Duration::from_secs(5);
/// How long callers are asked to wait when the database is merely busy.
const BUSY: Duration = Duration::from_secs(1);

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::ConnectionAcquire(_) => Self::unavailable(&error, BUSY),
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => from_driver(cause),
            DbErr::Conn(_) => Self::unavailable(&error, AWAY),
            _ => Self::internal(error),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        from_driver(&error)
    }
}

impl Error {
    /// The database did not answer in time.
    pub(crate) fn database_away(cause: impl std::fmt::Display) -> Self {
        Self::of_trouble(Trouble::Away, cause)
    }

    fn of_trouble(trouble: Trouble, cause: impl std::fmt::Display) -> Self {
        match trouble {
            Trouble::Clash => Self::unavailable(cause, BUSY).retryable(),
            Trouble::Duplicate => duplicate(cause),
            Trouble::Busy => Self::unavailable(cause, BUSY),
            Trouble::Away => Self::unavailable(cause, AWAY),
            Trouble::Full => Self::no_room(cause),
            Trouble::Ours => Self::internal(cause.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let trouble = error
            .sqlite_error()
            .map_or(Trouble::Ours, |failure| sqlite_trouble(&failure.extended_code.to_string()));
        Self::of_trouble(trouble, error)
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let source = std::error::Error::source(&error);
        let is_away = error.is_closed() || source.is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        let trouble = match error.code() {
            Some(state) => postgres_trouble(state.code()),
            None if is_away => Trouble::Away,
            None => Trouble::Ours,
        };
        // The driver's own text says what failed, its cause says why.
        let cause = source.map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::of_trouble(trouble, format!("{error}{cause}"))
    }
}

/// What kind of trouble a database's own error code tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Two transactions met; one of them has to run again.
    Clash,
    /// A unique index stood against it.
    Duplicate,
    /// Another transaction held a lock for too long. To run again at once would only wait again.
    Busy,
    /// The database is stopping, starting, or only a replica.
    Away,
    /// Its disk is full.
    Full,
    /// Anything else is a mistake of ours.
    Ours,
}

fn from_driver(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            let sqlite = database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
            Error::of_trouble(trouble(&code, sqlite), error)
        }
        sqlx::Error::PoolTimedOut => Error::unavailable(error, BUSY),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Error::unavailable(error, AWAY)
        }
        _ => Error::internal(error.to_string()),
    }
}

fn duplicate(error: impl std::fmt::Display) -> Error {
    let mut duplicate =
        Error::new(ErrorKind::Conflict, "ALREADY_EXISTS", "There is such a thing already.", "该记录已存在。")
            .with_internal(error.to_string());
    duplicate.0.unique_violation = true;
    duplicate
}

fn trouble(code: &str, sqlite: bool) -> Trouble {
    if sqlite { sqlite_trouble(code) } else { postgres_trouble(code) }
}

/// SQLSTATE, see PostgreSQL's appendix A. Distributed engines answer with the same codes.
fn postgres_trouble(code: &str) -> Trouble {
    match code {
        // serialization_failure, deadlock_detected, in_failed_sql_transaction (of pipelined statements, the one after the
        // one that failed may be heard first)
        "40001" | "40P01" | "25P02" => Trouble::Clash,
        // lock_not_available
        "55P03" => Trouble::Busy,
        "23505" => Trouble::Duplicate,
        // query_canceled (a time-out), read_only_sql_transaction (a replica after a fail-over),
        // idle_in_transaction_session_timeout
        "57014" | "25006" | "25P03" => Trouble::Away,
        // disk_full
        "53100" => Trouble::Full,
        // connection exceptions; resources (memory, connections); operator (shutdown, starting)
        code if code.starts_with("08") || code.starts_with("53") || code.starts_with("57P") => Trouble::Away,
        _ => Trouble::Ours,
    }
}

/// Extended result codes; the low byte is the primary code.
fn sqlite_trouble(code: &str) -> Trouble {
    let Ok(code) = code.parse::<u32>() else { return Trouble::Ours };
    match (code, code & 0xff) {
        // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE
        (1555 | 2067, _) => Trouble::Duplicate,
        // SQLITE_BUSY, SQLITE_LOCKED
        (_, 5 | 6) => Trouble::Clash,
        // SQLITE_FULL
        (_, 13) => Trouble::Full,
        // SQLITE_IOERR, SQLITE_CANTOPEN
        (_, 10 | 14) => Trouble::Away,
        _ => Trouble::Ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_the_trouble() {
        for (code, sqlite, expected) in [
            ("40001", false, Trouble::Clash),
            ("40P01", false, Trouble::Clash),
            ("55P03", false, Trouble::Busy),
            ("25P03", false, Trouble::Away),
            ("25P02", false, Trouble::Clash),
            ("23505", false, Trouble::Duplicate),
            ("53100", false, Trouble::Full),
            ("57P01", false, Trouble::Away),
            ("08006", false, Trouble::Away),
            ("42601", false, Trouble::Ours),
            ("5", true, Trouble::Clash),
            ("517", true, Trouble::Clash),
            ("6", true, Trouble::Clash),
            ("2067", true, Trouble::Duplicate),
            ("1555", true, Trouble::Duplicate),
            ("13", true, Trouble::Full),
            ("778", true, Trouble::Away),
            ("1", true, Trouble::Ours),
            ("", true, Trouble::Ours),
        ] {
            assert_eq!(trouble(code, sqlite), expected, "{code}");
        }
    }

    #[test]
    fn a_database_that_is_away_is_unavailable() {
        let error = Error::from(DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout));
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(BUSY)));
        let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = Error::from(sqlx::Error::Io(cause));
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(AWAY)));
        assert!(!error.is_retryable() && !error.text().en.contains("refused"));
    }
}
