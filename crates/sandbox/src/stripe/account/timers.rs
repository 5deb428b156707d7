//! What becomes due, in the order of time.

use std::collections::BTreeMap;

use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::disputes::Verdict;

/// What happens when its time comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "due", rename_all = "snake_case")]
pub(crate) enum Due {
    /// The issuer disputes a charge for `share` hundredths of it; `more` disputes follow.
    Dispute { charge: String, share: i64, more: u32 },
    /// The issuer reports fraud.
    Warning { charge: String },
    /// What the charge tells of the customer appears in the evidence.
    Prefill { dispute: String },
    /// The issuer decides upon what was sent to it.
    Decide { dispute: String, verdict: Verdict },
    /// The time for an answer ends.
    Deadline { dispute: String, due_by: i64 },
    /// An inquiry has been quiet for long enough.
    Quiet { dispute: String },
}

/// Things that become due; those of one instant in the order in which they were added.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Timestamp, u64, Due)>", into = "Vec<(Timestamp, u64, Due)>")]
pub(crate) struct Timers(BTreeMap<(Timestamp, u64), Due>);

impl From<Vec<(Timestamp, u64, Due)>> for Timers {
    fn from(list: Vec<(Timestamp, u64, Due)>) -> Self {
        Self(list.into_iter().map(|(at, number, due)| ((at, number), due)).collect())
    }
}

impl From<Timers> for Vec<(Timestamp, u64, Due)> {
    fn from(timers: Timers) -> Self {
        timers.0.into_iter().map(|((at, number), due)| (at, number, due)).collect()
    }
}

impl Timers {
    pub(crate) fn add(&mut self, at: Timestamp, due: Due) {
        let last = self.0.range((at, 0)..=(at, u64::MAX)).next_back();
        let number = last.map_or(0, |((_, number), _)| number + 1);
        self.0.insert((at, number), due);
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.0.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn take_due(&mut self, until: Timestamp) -> Option<(Timestamp, Due)> {
        let first = self.0.first_entry().filter(|first| first.key().0 <= until)?;
        let ((at, _), due) = first.remove_entry();
        Some((at, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_equals_keep_their_order() {
        let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap();
        let warning = |charge: &str| Due::Warning { charge: charge.to_owned() };
        let mut timers = Timers::default();
        for (seconds, name) in [(20, "c"), (10, "a"), (10, "b"), (30, "d")] {
            timers.add(at(seconds), warning(name));
        }
        let text = serde_json::to_string(&timers).unwrap();
        let mut timers: Timers = serde_json::from_str(&text).unwrap();
        assert_eq!(timers.next(), Some(at(10)));
        let mut taken = Vec::new();
        while let Some((_, Due::Warning { charge })) = timers.take_due(at(20)) {
            taken.push(charge);
        }
        assert_eq!((taken, timers.next()), (vec!["a".into(), "b".into(), "c".into()], Some(at(30))));
    }
}
