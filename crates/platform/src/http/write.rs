//! Handlers that change something: one transaction, one effect for each `Idempotency-Key`.

use std::sync::Arc;

use futures::FutureExt;
use serde::Serialize;

use super::{Answer, Command};
use crate::auth::Actor;
use crate::context::ServiceContext;
use crate::db::{BoxFuture, Tx};
use crate::error::Result;

/// What an effect works with: the service, the transaction, who asks and what for.
#[derive(Debug)]
pub struct Scope<'t, A, B> {
    /// The service.
    pub app: &'t A,
    /// The transaction.
    pub tx: &'t Tx,
    /// Who asks.
    pub actor: &'t Actor,
    /// What for.
    pub body: &'t B,
}

/// Runs an effect in one transaction called `name`, once per `Idempotency-Key`. It may run again when the
/// transaction clashes, so it touches nothing but the database.
pub async fn write<A, B, R, F>(
    app: &A,
    name: &'static str,
    actor: Actor,
    command: Command<B>,
    effect: F,
) -> Result<Answer<R>>
where
    A: AsRef<ServiceContext> + Clone + Send + Sync + 'static,
    B: Send + Sync + 'static,
    R: Serialize + Send + 'static,
    F: for<'t> Fn(Scope<'t, A, B>) -> BoxFuture<'t, Result<Answer<R>>> + Send + Sync + 'static,
{
    let shared = Arc::new((app.clone(), actor, command, effect));
    app.as_ref()
        .db
        .write(name, move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, actor, command, effect) = &*shared;
                let scope = Scope { app, tx, actor, body: &command.body };
                command.once(tx, app.as_ref(), actor, effect(scope)).await
            }
            .boxed()
        })
        .await
}
