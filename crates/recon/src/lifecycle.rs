//! Which changes of state are allowed. Pure: every pair of state and event is answered.

use crate::model::{RecordStatus, TaskStatus};

/// What can happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEvent {
    /// Somebody asks for it to be run (again).
    Execute,
    /// Somebody asks for a failed run to be repeated.
    Retry,
    /// Somebody calls it off.
    Cancel,
    /// The run ended with a verdict.
    Complete,
    /// The run ended without one.
    Fail,
}

/// What can happen to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordEvent {
    /// It gets an owner.
    Assign,
    /// It is explained or put right.
    Resolve,
    /// It is left as it is.
    Ignore,
    /// An end is taken back.
    Reopen,
}

/// The state that `event` leads to, or `None` where it is refused.
pub fn task_step(status: TaskStatus, event: TaskEvent) -> Option<TaskStatus> {
    use TaskEvent as E;
    use TaskStatus as S;
    match (status, event) {
        (S::Pending | S::Completed | S::Failed, E::Execute) | (S::Failed, E::Retry) => Some(S::Processing),
        (S::Pending | S::Processing | S::Failed, E::Cancel) => Some(S::Cancelled),
        (S::Processing, E::Complete) => Some(S::Completed),
        (S::Processing, E::Fail) => Some(S::Failed),
        (S::Pending | S::Processing | S::Completed | S::Failed | S::Cancelled, _) => None,
    }
}

/// The state that `event` leads to, or `None` where it is refused.
pub fn record_step(status: RecordStatus, event: RecordEvent) -> Option<RecordStatus> {
    use RecordEvent as E;
    use RecordStatus as S;
    match (status, event) {
        (S::Open | S::Assigned, E::Assign) => Some(S::Assigned),
        (S::Open | S::Assigned, E::Resolve) => Some(S::Resolved),
        (S::Open | S::Assigned, E::Ignore) => Some(S::Ignored),
        (S::Resolved | S::Ignored, E::Reopen) => Some(S::Open),
        (S::Open | S::Assigned, E::Reopen)
        | (S::Resolved | S::Ignored, E::Assign | E::Resolve | E::Ignore) => None,
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::Iterable;

    use super::*;

    #[test]
    fn a_cancelled_task_stays_cancelled() {
        for event in
            [TaskEvent::Execute, TaskEvent::Retry, TaskEvent::Cancel, TaskEvent::Complete, TaskEvent::Fail]
        {
            assert_eq!(task_step(TaskStatus::Cancelled, event), None);
        }
    }

    #[test]
    fn only_a_processing_task_ends() {
        for status in TaskStatus::iter() {
            for event in [TaskEvent::Complete, TaskEvent::Fail] {
                assert_eq!(
                    task_step(status, event).is_some(),
                    status == TaskStatus::Processing,
                    "{status:?}"
                );
            }
        }
    }

    #[test]
    fn a_closed_record_changes_only_by_being_reopened() {
        for status in [RecordStatus::Resolved, RecordStatus::Ignored] {
            for event in [RecordEvent::Assign, RecordEvent::Resolve, RecordEvent::Ignore] {
                assert_eq!(record_step(status, event), None);
            }
            assert_eq!(record_step(status, RecordEvent::Reopen), Some(RecordStatus::Open));
        }
    }
}
