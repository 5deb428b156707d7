//! Stripe's account: charges, refunds, disputes, files and the money they move, and what becomes of them in time.

mod balance;
mod cards;
mod charges;
mod dispute_life;
mod disputes;
mod evidence;
mod files;
mod refunds;
mod timers;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::StripeError;
pub(crate) use balance::BalanceTransaction;
pub(crate) use cards::Card;
pub(crate) use charges::{Capture, Charge, Intent, NewCharge, Payer};
pub use disputes::DisputeStatus;
pub(crate) use disputes::{Dispute, NewDispute};
pub(crate) use evidence::EvidenceUpdate;
pub(crate) use files::{Expiry, FileLink, StoredFile, type_of};
pub(crate) use refunds::{Refund, RefundRequest};
use timers::{Due, Timers};

/// How many objects of a kind there may be. More would be a mistake of whoever makes them.
const MOST_OBJECTS: usize = 100_000;

/// Into which currency money is settled when it comes in another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The currency of the account's balance, lower case.
    pub currency: String,
    /// Minor units of it for a million minor units of any other currency.
    pub per_million: i64,
}

/// How the account behaves.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) base_url: String,
    pub(crate) dispute_delay: TimeDelta,
    pub(crate) decision_delay: TimeDelta,
    pub(crate) settlement: Option<Settlement>,
    pub(crate) takes_second_submission: bool,
}

/// One thing that receivers of events are told.
#[derive(Debug)]
pub(crate) struct Happening {
    pub(crate) kind: &'static str,
    pub(crate) object: Value,
    pub(crate) previous: Option<Value>,
    pub(crate) at: Timestamp,
}

/// What an act has at hand: the time, ids, and a place for what it tells.
pub(crate) struct Act<'a> {
    pub(crate) now: Timestamp,
    pub(crate) settings: &'a Settings,
    pub(crate) new_id: &'a dyn Fn(&str) -> String,
    pub(crate) happened: Vec<Happening>,
}

impl Act<'_> {
    fn id(&self, prefix: &str) -> String {
        (self.new_id)(prefix)
    }

    fn seconds(&self) -> i64 {
        self.now.timestamp()
    }

    fn tell(&mut self, kind: &'static str, object: Value) {
        self.happened.push(Happening { kind, object, previous: None, at: self.now });
    }

    /// Tells of a change, with what was there before; nothing when nothing has changed.
    fn tell_change(&mut self, kind: &'static str, before: &Value, object: Value) {
        if let Some(previous) = previous_attributes(before, &object) {
            self.happened.push(Happening { kind, object, previous: Some(previous), at: self.now });
        }
    }
}

/// The old values of what differs, nested objects by what differs in them.
fn previous_attributes(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return (before != after).then(|| before.clone());
    };
    let mut previous = Map::new();
    for (name, value) in after {
        let old = before.get(name).unwrap_or(&Value::Null);
        if let Some(changed) = previous_attributes(old, value) {
            previous.insert(name.clone(), changed);
        }
    }
    (!previous.is_empty()).then_some(Value::Object(previous))
}

/// An early fraud warning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FraudWarning {
    pub(crate) id: String,
    pub(crate) charge: String,
    pub(crate) created: i64,
}

/// Everything that the account has. Each list is in the order of creation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) charges: Vec<Charge>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) disputes: Vec<Dispute>,
    pub(crate) warnings: Vec<FraudWarning>,
    pub(crate) balance: Vec<BalanceTransaction>,
    pub(crate) files: Vec<StoredFile>,
    pub(crate) links: Vec<FileLink>,
    timers: Timers,
    #[serde(skip)]
    index: Index,
}

/// Where objects stand in their lists, by id: follows from the lists.
#[derive(Debug, Clone, Default)]
struct Index(BTreeMap<String, usize>);

impl Account {
    /// Finds everything again after it was read from disk.
    pub(crate) fn indexed(mut self) -> Self {
        let mut index = BTreeMap::new();
        index.extend(self.charges.iter().enumerate().map(|(at, one)| (one.id.clone(), at)));
        index.extend(self.intents.iter().enumerate().map(|(at, one)| (one.id.clone(), at)));
        index.extend(self.refunds.iter().enumerate().map(|(at, one)| (one.id.clone(), at)));
        index.extend(self.disputes.iter().enumerate().map(|(at, one)| (one.id.clone(), at)));
        index.extend(self.balance.iter().enumerate().map(|(at, one)| (one.id.clone(), at)));
        index.extend(self.files.iter().enumerate().map(|(at, one)| (one.id.clone(), at)));
        index.extend(self.links.iter().enumerate().map(|(at, one)| (one.id.clone(), at)));
        self.index = Index(index);
        self
    }

    fn at(&self, id: &str) -> Option<usize> {
        self.index.0.get(id).copied()
    }

    /// Remembers where the object that is about to be pushed will stand.
    fn place(&mut self, id: &str, at: usize) {
        self.index.0.insert(id.to_owned(), at);
    }

    pub(crate) fn charge(&self, id: &str) -> Option<&Charge> {
        self.charges.get(self.at(id)?).filter(|charge| charge.id == id)
    }

    fn charge_mut(&mut self, id: &str) -> Option<&mut Charge> {
        let at = self.at(id)?;
        self.charges.get_mut(at).filter(|charge| charge.id == id)
    }

    pub(crate) fn intent(&self, id: &str) -> Option<&Intent> {
        self.intents.get(self.at(id)?).filter(|intent| intent.id == id)
    }

    fn intent_mut(&mut self, id: &str) -> Option<&mut Intent> {
        let at = self.at(id)?;
        self.intents.get_mut(at).filter(|intent| intent.id == id)
    }

    pub(crate) fn refund(&self, id: &str) -> Option<&Refund> {
        self.refunds.get(self.at(id)?).filter(|refund| refund.id == id)
    }

    pub(crate) fn dispute(&self, id: &str) -> Option<&Dispute> {
        self.disputes.get(self.at(id)?).filter(|dispute| dispute.id == id)
    }

    fn dispute_mut(&mut self, id: &str) -> Option<&mut Dispute> {
        let at = self.at(id)?;
        self.disputes.get_mut(at).filter(|dispute| dispute.id == id)
    }

    pub(crate) fn balance_transaction(&self, id: &str) -> Option<&BalanceTransaction> {
        self.balance.get(self.at(id)?).filter(|row| row.id == id)
    }

    pub(crate) fn file(&self, id: &str) -> Option<&StoredFile> {
        self.files.get(self.at(id)?).filter(|file| file.id == id)
    }

    pub(crate) fn link(&self, id: &str) -> Option<&FileLink> {
        self.links.get(self.at(id)?).filter(|link| link.id == id)
    }

    /// An object by its id, as the API shows it: what an expanded field becomes.
    pub(crate) fn object(&self, settings: &Settings, id: &str) -> Option<Value> {
        let found = self.charge(id).map(|charge| charge.object(settings));
        let found = found.or_else(|| self.intent(id).map(Intent::object));
        let found = found.or_else(|| self.balance_transaction(id).map(BalanceTransaction::object));
        let found = found.or_else(|| self.dispute(id).map(|dispute| self.dispute_object(dispute)));
        let found = found.or_else(|| self.refund(id).map(Refund::object));
        found.or_else(|| self.file(id).map(|file| self.file_object(settings, file)))
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Does the one thing that is due first, if it is due at `until`, as of its own time. `false` when nothing is.
    pub(crate) fn settle_next(&mut self, act: &mut Act<'_>, until: Timestamp) -> bool {
        let Some((at, due)) = self.timers.take_due(until) else { return false };
        act.now = at;
        match due {
            Due::Dispute { charge, share, more } => self.issuer_disputes(act, &charge, share, more),
            Due::Warning { charge } => self.issuer_warns(act, &charge),
            Due::Prefill { dispute } => self.prefill(&dispute),
            Due::Decide { dispute, verdict } => self.decide_if_waiting(act, &dispute, verdict),
            Due::Deadline { dispute, due_by } => self.deadline_passes(act, &dispute, due_by),
            Due::Quiet { dispute } => self.inquiry_stayed_quiet(act, &dispute),
        }
        true
    }

    /// Refuses when a list is as long as it may become.
    fn room(list: usize, noun: &str) -> Result<(), StripeError> {
        if list < MOST_OBJECTS {
            return Ok(());
        }
        let message = format!("The sandbox holds at most {MOST_OBJECTS} {noun}; start another one.");
        Err(StripeError::invalid_request(message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_names_what_was_there_before() {
        let before = json!({"status": "a", "same": 1, "evidence": {"x": null, "y": 2}});
        let after = json!({"status": "b", "same": 1, "evidence": {"x": "text", "y": 2}});
        let expected = json!({"status": "a", "evidence": {"x": null}});
        assert_eq!(previous_attributes(&before, &after), Some(expected));
        assert_eq!(previous_attributes(&after, &after), None);
    }
}
