//! Use cases: the only place where rules and store meet.

pub(crate) mod alerts;
pub mod audit;
pub(crate) mod check;
pub(crate) mod enforce;
pub(crate) mod limits;
pub(crate) mod overrides;
pub(crate) mod rates;
pub(crate) mod seal;
pub(crate) mod tiers;
pub(crate) mod upkeep;
pub(crate) mod usage;
pub(crate) mod view;
pub(crate) mod what_if;

use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::http::IfMatch;
use serde_json::Value;

use crate::Limits;

/// Who changes something, in which transaction, and which version of it they looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) app: &'a Limits,
    pub(crate) tx: &'a Tx,
    pub(crate) actor: &'a Actor,
    pub(crate) if_match: &'a IfMatch,
}

impl Change<'_> {
    /// Writes the deed down.
    async fn audit(&self, action: &str, object: &str, id: impl ToString, detail: Value) -> Result<()> {
        let context = &self.app.context;
        payops_platform::audit::record(self.tx, context, self.actor, action, object, &id.to_string(), detail)
            .await
    }
}

/// Of two who create the same at once, the second begins anew and sees the first.
fn retry_unique(error: Error) -> Error {
    if error.unique_violation() { error.retryable() } else { error }
}
