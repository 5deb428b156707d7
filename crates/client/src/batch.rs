//! Many operations in one call.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Absence, CallError, Refusal};
use crate::transport::Answered;
use crate::wire::{Charge, Confirm, Decision, Release, Released, Reservation, Reserve, Void};

/// One operation of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Operation {
    /// Count an amount.
    Consume(Charge),
    /// Hold an amount.
    Reserve(Reserve),
    /// Count a held amount.
    Confirm(Confirm),
    /// Let a held amount go.
    Void(Void),
    /// Give a counted amount back.
    Release(Release),
}

/// What came of one operation of a batch: what the single call would have given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of consume and reserve.
    Decided(Decision),
    /// Of confirm.
    Confirmed(Reservation),
    /// Of void.
    Voided(Option<Reservation>),
    /// Of release.
    Released(Option<Released>),
}

#[derive(Debug, Serialize)]
pub(crate) struct Batch<'b> {
    pub(crate) operations: &'b [Operation],
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchAnswers {
    pub(crate) results: Vec<BatchAnswer>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchAnswer {
    code: String,
    status: u16,
    #[serde(default)]
    message: String,
    #[serde(default)]
    replayed: bool,
    #[serde(default)]
    data: Option<Value>,
}

impl BatchAnswer {
    /// What it means as the answer to `operation`.
    pub(crate) fn outcome(self, operation: &Operation) -> Result<Outcome, CallError> {
        let answers = match operation {
            Operation::Consume(_) | Operation::Reserve(_) => &crate::limits::DECLINES[..],
            Operation::Confirm(_) => &[],
            Operation::Void(_) | Operation::Release(_) => &crate::limits::NOTHING[..],
        };
        let answered = self.answered(answers)?;
        Ok(match operation {
            Operation::Consume(_) | Operation::Reserve(_) => Outcome::Decided(answered.read()?),
            Operation::Confirm(_) => Outcome::Confirmed(answered.read()?),
            Operation::Void(_) => Outcome::Voided(answered.read_if_found()?),
            Operation::Release(_) => Outcome::Released(answered.read_if_found()?),
        })
    }

    fn answered(self, answers: &[&str]) -> Result<Answered, CallError> {
        let Self { code, status, message, replayed, data } = self;
        if (200..300).contains(&status) || answers.contains(&code.as_str()) {
            return Ok(Answered { code, data, replayed });
        }
        if status == 429 || status >= 500 {
            let why = format!("it answered {status} {code}: {message}");
            return Err(CallError::Away(Absence { why, attempts: 1, retry_after: None }));
        }
        Err(CallError::Refused(Box::new(Refusal { status, code, message, data })))
    }
}
