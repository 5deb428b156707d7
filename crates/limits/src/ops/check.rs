//! Check: what consume would say now. It decides nothing and writes nothing.
//!
//! Checks that wait at the same time are answered from one reading of the database, as operations are decided in one
//! transaction.

use std::num::NonZeroUsize;
use std::sync::Arc;

use futures::FutureExt;
use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use payops_platform::db::Db;
use payops_platform::error::{Error, ErrorKind, Result};
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use crate::Limits;
use crate::batch::Loaded;
use crate::decide::{Charge, Decision, Refusal, assess};
use crate::error;
use crate::store::hot::{Lookup, Source, brought_up, glance, peek};

/// How many checks may wait.
const QUEUE: usize = 8192;
/// How many are answered from one reading.
const BATCH: usize = 1024;
/// How many readings there are at once.
const WORKERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// May this merchant take this much?
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) merchant_id: Uuid,
    /// Minor units of `currency`, above zero.
    pub(crate) amount: i64,
    /// `None` assumes the merchant's.
    pub(crate) currency: Option<Currency>,
    pub(crate) channel: Option<String>,
}

type Reply = oneshot::Sender<Result<Decision, Unanswered>>;

/// Why a check has no answer.
#[derive(Debug, Clone)]
enum Unanswered {
    Refused(Refusal),
    Away(Arc<Error>),
}

/// Takes checks and answers them.
#[derive(Debug, Clone)]
pub(crate) struct Checks(mpsc::Sender<(Question, Reply)>);

impl Checks {
    /// Starts the workers on the present runtime; they end when the last clone is dropped.
    pub(crate) fn start(db: &Db, lookup: &Lookup) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..WORKERS.get() {
            tokio::spawn(work(db.clone(), lookup.clone(), Arc::clone(&receiver)));
        }
        Self(sender)
    }
}

/// Answers a check.
///
/// # Errors
/// 404 `LIMIT_NOT_FOUND`; 422 `RATE_MISSING` and `AMOUNT_OUT_OF_RANGE`; 503 `OVERLOADED`.
pub(crate) async fn check(app: &Limits, question: Question) -> Result<Decision> {
    let (reply, answer) = oneshot::channel();
    app.checks.0.try_send((question, reply)).map_err(|_| error::overloaded())?;
    let answer = answer.await.map_err(|_| Error::internal("a worker gave a check up"))?;
    let decision = answer.map_err(|why| match why {
        Unanswered::Refused(refusal) => error::refused(&refusal),
        Unanswered::Away(error) if error.kind() == ErrorKind::Unavailable => {
            Error::unavailable(&error, error.retry_after().unwrap_or_default())
        }
        Unanswered::Away(error) => Error::internal(format!("{error:?}")),
    })?;
    app.metrics.checked(decision.allowed);
    Ok(decision)
}

async fn work(db: Db, lookup: Lookup, queue: Arc<Mutex<mpsc::Receiver<(Question, Reply)>>>) {
    loop {
        let mut waiting = Vec::new();
        if queue.lock().await.recv_many(&mut waiting, BATCH).await == 0 {
            return;
        }
        answer(&db, &lookup, waiting).await;
    }
}

async fn answer(db: &Db, lookup: &Lookup, waiting: Vec<(Question, Reply)>) {
    let wanted: Vec<_> =
        waiting.iter().map(|(question, _)| (question.merchant_id, question.currency)).collect();
    let read = read(db, lookup, wanted).await.map_err(Arc::new);
    for (question, reply) in waiting {
        let answer = match &read {
            Ok((loaded, now)) => decide(loaded, &question, *now).map_err(Unanswered::Refused),
            Err(error) => Err(Unanswered::Away(Arc::clone(error))),
        };
        // Whoever asked may have gone away.
        let _ = reply.send(answer);
    }
}

/// What is known of these merchants: by one statement, and on a picture of the database only where that is not enough.
async fn read(
    db: &Db,
    lookup: &Lookup,
    wanted: Vec<(Uuid, Option<Currency>)>,
) -> Result<(Loaded, Timestamp)> {
    let backend = db.backend();
    if let Some(known) = glance(&Source::reading(db.read(), backend), &wanted, lookup).await? {
        return Ok(known);
    }
    let lookup = lookup.clone();
    let picture = db.snapshot(move |conn| {
        async move { peek(&Source::reading(conn, backend), &wanted, &lookup).await }.boxed()
    });
    picture.await
}

fn decide(loaded: &Loaded, question: &Question, now: Timestamp) -> Result<Decision, Refusal> {
    let mut account = brought_up(loaded, question.merchant_id, now).ok_or(Refusal::UnknownMerchant)?;
    let limit_currency = account.terms.currency;
    let charge = Charge {
        amount: question.amount,
        currency: question.currency.unwrap_or(limit_currency),
        order_no: None,
        channel: question.channel.clone(),
    };
    let rate = loaded.rates.get(&(charge.currency, limit_currency));
    let (counted, rate) = account.counted(charge.amount, charge.currency, rate)?;
    let failures = assess(&account, &charge, counted, now);
    if failures.is_empty() {
        // What would be left afterwards, as consume answers it.
        let usage = &mut account.usage;
        usage.daily_used = usage.daily_used.checked_add(counted).ok_or(Refusal::OutOfRange)?;
        usage.monthly_used = usage.monthly_used.checked_add(counted).ok_or(Refusal::OutOfRange)?;
    }
    Ok(Decision {
        currency_assumed: question.currency.is_none(),
        rate: rate.as_ref().map(|applied| applied.rate.to_string()),
        rate_id: rate.as_ref().map(|applied| applied.id),
        ..account.decision(&charge, counted, failures, now)
    })
}
