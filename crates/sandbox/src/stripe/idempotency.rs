//! Idempotency keys as Stripe honours them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::Duration;
use payops_core::time::Timestamp;

use super::error::StripeError;
use super::kept::KeptAnswer;

const LONGEST_KEY: usize = 255;

#[derive(Debug)]
enum Use {
    /// The first call with the key has not been answered yet.
    InFlight {
        fingerprint: String,
    },
    Answered {
        fingerprint: String,
        answer: Answered,
        at: Timestamp,
    },
}

/// The answer to the first call with a key.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    /// The request id of that call.
    pub(crate) original_request: String,
}

/// The keys of the last day.
#[derive(Debug)]
pub(crate) struct IdempotencyKeys {
    keys: Mutex<HashMap<String, Use>>,
}

/// What a call with a key is.
#[derive(Debug)]
pub(crate) enum Begin<'a> {
    /// The first one: it must be carried out, and [`InFlight::answered`] told.
    First(InFlight<'a>),
    /// A repeat, with the first call's answer.
    Repeat(Answered),
}

/// A key that is in use until this is answered or dropped.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    keys: &'a IdempotencyKeys,
    key: Option<String>,
    fingerprint: String,
}

impl IdempotencyKeys {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Use>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With answers from an earlier run.
    pub(crate) fn new(answers: Vec<KeptAnswer>) -> Self {
        let answered = |kept: KeptAnswer| {
            let KeptAnswer { key, fingerprint, request_id, status, body, at } = kept;
            let answer = Answered { status, body: body.into(), original_request: request_id };
            (key, Use::Answered { fingerprint, answer, at })
        };
        Self { keys: Mutex::new(answers.into_iter().map(answered).collect()) }
    }

    /// The answers so far, in the order of their keys.
    pub(crate) fn answers(&self) -> Vec<KeptAnswer> {
        let keys = self.lock();
        let mut answers: Vec<KeptAnswer> = keys
            .iter()
            .filter_map(|(key, used)| match used {
                Use::InFlight { .. } => None,
                Use::Answered { fingerprint, answer, at } => Some(KeptAnswer {
                    key: key.clone(),
                    fingerprint: fingerprint.clone(),
                    request_id: answer.original_request.clone(),
                    status: answer.status,
                    body: String::from_utf8_lossy(&answer.body).into_owned(),
                    at: *at,
                }),
            })
            .collect();
        answers.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        answers
    }

    /// Takes `key` for a call with `fingerprint`. Keys older than a day are forgotten.
    pub(crate) fn begin(
        &self,
        key: Option<String>,
        fingerprint: String,
        now: Timestamp,
    ) -> Result<Begin<'_>, StripeError> {
        let Some(key) = key else {
            return Ok(Begin::First(InFlight { keys: self, key: None, fingerprint }));
        };
        if key.is_empty() || key.len() > LONGEST_KEY {
            let message = format!("Idempotency keys must have 1 to {LONGEST_KEY} characters.");
            return Err(StripeError::invalid_request(message));
        }
        let mut keys = self.lock();
        let day_ago = now - Duration::hours(24);
        keys.retain(|_, used| !matches!(used, Use::Answered { at, .. } if *at < day_ago));
        match keys.get(&key) {
            Some(Use::InFlight { fingerprint: first } | Use::Answered { fingerprint: first, .. })
                if *first != fingerprint =>
            {
                Err(StripeError::idempotency(format!(
                    "Keys for idempotent requests can only be used with the same parameters they were first used \
                     with. Try using a key other than '{key}' if you meant to execute a different request."
                )))
            }
            Some(Use::InFlight { .. }) => Err(StripeError::key_in_use(&key)),
            Some(Use::Answered { answer, .. }) => Ok(Begin::Repeat(answer.clone())),
            None => {
                keys.insert(key.clone(), Use::InFlight { fingerprint: fingerprint.clone() });
                Ok(Begin::First(InFlight { keys: self, key: Some(key), fingerprint }))
            }
        }
    }
}

impl InFlight<'_> {
    /// Remembers the answer for repeats.
    pub(crate) fn answered(mut self, answer: Answered, at: Timestamp) {
        if let Some(key) = self.key.take() {
            let fingerprint = std::mem::take(&mut self.fingerprint);
            self.keys.lock().insert(key, Use::Answered { fingerprint, answer, at });
        }
    }
}

impl Drop for InFlight<'_> {
    /// A call that was refused, or whose caller hung up before it was carried out, leaves its key free.
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.keys.lock().remove(&key);
        }
    }
}
