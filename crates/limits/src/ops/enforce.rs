//! Deciding operations: through the coalescer, counted by the metrics.

use payops_platform::error::{Error, Result};

use crate::Limits;
use crate::decide::{Action, Approval, Operation, Outcome};
use crate::error;

/// Decides one operation.
pub(crate) async fn decide(app: &Limits, operation: Operation) -> Result<Outcome> {
    let decides = decides(&operation.action);
    let outcome = app.coalescer.submit(operation).await;
    count(app, decides, &outcome);
    outcome
}

/// Decides many; what is an error already stays one.
pub(crate) async fn decide_all(app: &Limits, operations: Vec<Result<Operation>>) -> Vec<Result<Outcome>> {
    let decides: Vec<bool> = operations
        .iter()
        .map(|operation| operation.as_ref().is_ok_and(|operation| decides(&operation.action)))
        .collect();
    let outcomes = app.coalescer.submit_all(operations).await;
    for (decides, outcome) in decides.into_iter().zip(&outcomes) {
        count(app, decides, outcome);
    }
    outcomes
}

/// What was done, or the error that says why not.
pub(crate) fn approved(outcome: Result<Outcome>) -> Result<Approval> {
    match outcome? {
        Outcome::Approved(approval) => Ok(approval),
        Outcome::Declined { rule, answer, .. } => Err(error::declined(rule, &answer)),
        Outcome::Refused(refusal) => Err(error::refused(&refusal)),
        Outcome::Swept => Err(Error::internal("a sweep answers nothing")),
    }
}

/// Whether this is what an earlier call was answered, be it a yes or a no.
pub(crate) fn is_replayed(outcome: &Result<Outcome>) -> bool {
    match outcome {
        Ok(Outcome::Approved(approval)) => approval.replayed,
        Ok(Outcome::Declined { replayed, .. }) => *replayed,
        _ => false,
    }
}

/// Whether an operation asks for a decision that the metrics count.
fn decides(action: &Action) -> bool {
    matches!(action, Action::Consume(_) | Action::Reserve(..))
}

fn count(app: &Limits, decides: bool, outcome: &Result<Outcome>) {
    match outcome {
        Ok(Outcome::Approved(approval)) if decides && !approval.replayed => app.metrics.decided(None),
        Ok(Outcome::Declined { rule, replayed: false, .. }) => app.metrics.decided(Some(*rule)),
        _ => {}
    }
}
