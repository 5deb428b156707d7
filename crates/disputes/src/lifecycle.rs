//! The life of a dispute as one pure and total function: every pair of state and event is answered. docs/disputes.md has
//! the table.
//!
//! The channel's word always wins, whatever was known before: late wins, inquiries that become chargebacks, and words that
//! are new to us. What people may do themselves is narrower.

use sea_orm::sea_query::StringLen;
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a dispute has gone. Stripe's go from inquiry to chargeback; other channels go on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A question of the issuer; no money has moved.
    Inquiry,
    /// The money is withdrawn.
    Chargeback,
    /// The issuer did not accept the answer.
    PreArbitration,
    /// The card scheme decides.
    Arbitration,
}

/// Where a dispute stands, in Stripe's words, with two more.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(30))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// An inquiry waits for an answer.
    WarningNeedsResponse,
    /// The issuer reads the answer to its inquiry.
    WarningUnderReview,
    /// The inquiry ended without a chargeback.
    WarningClosed,
    /// A chargeback waits for an answer.
    NeedsResponse,
    /// The issuer reads the answer.
    UnderReview,
    /// Decided for us.
    Won,
    /// Decided against us, conceded, or not answered in time.
    Lost,
    /// Settled before it became a dispute.
    Prevented,
    /// The payment was refunded, which ended it.
    ChargeRefunded,
    /// The channel says a word that is not known here; it stands in `channel_status`.
    Unknown,
}

impl Status {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningUnderReview => "warning_under_review",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Prevented => "prevented",
            Self::ChargeRefunded => "charge_refunded",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nothing more is expected to happen. A late win may still come.
    pub fn is_closed(self) -> bool {
        match self {
            Self::WarningClosed | Self::Won | Self::Lost | Self::Prevented | Self::ChargeRefunded => true,
            Self::WarningNeedsResponse
            | Self::WarningUnderReview
            | Self::NeedsResponse
            | Self::UnderReview
            | Self::Unknown => false,
        }
    }

    /// Whether an answer of ours is waited for.
    pub fn awaits_answer(self) -> bool {
        matches!(self, Self::WarningNeedsResponse | Self::NeedsResponse)
    }

    /// The phase that a channel's word belongs to, where it says so by itself.
    fn phase(self, before: Phase) -> Phase {
        match self {
            Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed => Phase::Inquiry,
            // An inquiry has become a chargeback: it is never answered, won or lost under these words. A later phase is the
            // channel's to leave.
            Self::NeedsResponse | Self::UnderReview | Self::Won | Self::Lost if before == Phase::Inquiry => {
                Phase::Chargeback
            }
            Self::NeedsResponse
            | Self::UnderReview
            | Self::Won
            | Self::Lost
            | Self::Prevented
            | Self::ChargeRefunded
            | Self::Unknown => before,
        }
    }
}

/// Phase and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// How far it has gone.
    pub phase: Phase,
    /// Where it stands.
    pub status: Status,
}

/// Whose dispute it is: who says how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter)]
pub enum Owner {
    /// A channel that payops reads and answers.
    Channel,
    /// People, who enter what they learn elsewhere.
    People,
}

/// What can happen to a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The channel says how it stands.
    Observed(Status),
    /// Our answer was taken.
    Answered,
    /// We conceded, and the channel took it.
    Conceded,
    /// A person says how it stands.
    Entered(Status),
}

/// The state that `event` leads to, or `None` where it is refused.
pub fn step(state: State, owner: Owner, event: Event) -> Option<State> {
    let to = |status: Status| Some(State { phase: status.phase(state.phase), status });
    match event {
        Event::Observed(status) => to(status),
        Event::Answered => match state.status {
            Status::NeedsResponse => to(Status::UnderReview),
            Status::WarningNeedsResponse => to(Status::WarningUnderReview),
            _ => None,
        },
        // An inquiry cannot be conceded: it is answered, or the payment is refunded.
        Event::Conceded => match state.status {
            Status::NeedsResponse => to(Status::Lost),
            _ => None,
        },
        Event::Entered(status) => enterable(state, owner).contains(&status).then(|| to(status)).flatten(),
    }
}

/// What a person may enter as the status. Nothing where the channel says it.
pub fn enterable(state: State, owner: Owner) -> &'static [Status] {
    use Status as S;
    if owner == Owner::Channel {
        return &[];
    }
    match state.status {
        S::WarningNeedsResponse => {
            &[S::WarningUnderReview, S::WarningClosed, S::NeedsResponse, S::ChargeRefunded]
        }
        S::WarningUnderReview => &[S::WarningClosed, S::NeedsResponse, S::ChargeRefunded],
        S::NeedsResponse => &[S::UnderReview, S::Won, S::Lost, S::ChargeRefunded],
        S::UnderReview => &[S::NeedsResponse, S::Won, S::Lost, S::ChargeRefunded],
        // An issuer may escalate what it had closed, and may change its mind late.
        S::WarningClosed => &[S::NeedsResponse],
        S::Lost => &[S::Won],
        S::Unknown => {
            &[S::NeedsResponse, S::UnderReview, S::Won, S::Lost, S::WarningClosed, S::ChargeRefunded]
        }
        S::Won | S::Prevented | S::ChargeRefunded => &[],
    }
}

/// What can be done to a dispute now.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Add evidence.
    AddEvidence,
    /// Send the answer, or hold it until it is due.
    Submit,
    /// Concede.
    Accept,
    /// Enter a status; `allowed_statuses` says which.
    SetStatus,
    /// Say what was sold.
    SetProductType,
    /// Give it to somebody.
    Assign,
    /// Write something down.
    Note,
    /// Read it from the channel.
    Sync,
}

/// What can be done to a dispute in this state.
pub fn actions(state: State, owner: Owner, deadline_passed: bool) -> Vec<Action> {
    let open = !state.status.is_closed();
    let answerable = state.status.awaits_answer() && !deadline_passed;
    let concedable = step(state, owner, Event::Conceded).is_some();
    [
        (Action::AddEvidence, open),
        (Action::Submit, answerable && owner == Owner::Channel),
        (Action::Accept, concedable && owner == Owner::Channel),
        (Action::SetStatus, !enterable(state, owner).is_empty()),
        (Action::SetProductType, open),
        (Action::Assign, open),
        (Action::Note, true),
        (Action::Sync, owner == Owner::Channel),
    ]
    .into_iter()
    .filter_map(|(action, may)| may.then_some(action))
    .collect()
}

#[cfg(test)]
mod tests {
    use sea_orm::Iterable;

    use super::*;

    fn states() -> impl Iterator<Item = State> {
        Phase::iter().flat_map(|phase| Status::iter().map(move |status| State { phase, status }))
    }

    fn events() -> Vec<Event> {
        let mut events = vec![Event::Answered, Event::Conceded];
        events.extend(Status::iter().flat_map(|status| [Event::Observed(status), Event::Entered(status)]));
        events
    }

    #[test]
    fn the_channels_word_always_wins() {
        for state in states() {
            for owner in Owner::iter() {
                for status in Status::iter() {
                    let next = step(state, owner, Event::Observed(status)).unwrap();
                    assert_eq!(next.status, status, "{state:?}");
                }
            }
        }
    }

    #[test]
    fn the_last_word_alone_decides_the_status_and_twice_is_once() {
        for state in states() {
            for event in events() {
                let Some(next) = step(state, Owner::People, event) else { continue };
                if let Event::Observed(_) = event {
                    assert_eq!(step(next, Owner::People, event), Some(next), "{state:?} {event:?}");
                }
            }
        }
    }

    #[test]
    fn people_enter_nothing_where_the_channel_says_it() {
        for state in states() {
            for status in Status::iter() {
                assert_eq!(step(state, Owner::Channel, Event::Entered(status)), None);
            }
        }
    }

    #[test]
    fn only_what_waits_for_an_answer_is_answered_and_only_a_chargeback_is_conceded() {
        for state in states() {
            let answered = step(state, Owner::Channel, Event::Answered);
            assert_eq!(answered.is_some(), state.status.awaits_answer(), "{state:?}");
            let conceded = step(state, Owner::Channel, Event::Conceded);
            assert_eq!(conceded.is_some(), state.status == Status::NeedsResponse, "{state:?}");
        }
    }

    #[test]
    fn an_inquiry_that_escalates_is_a_chargeback() {
        let inquiry = State { phase: Phase::Inquiry, status: Status::WarningUnderReview };
        let escalated = step(inquiry, Owner::Channel, Event::Observed(Status::NeedsResponse)).unwrap();
        assert_eq!(escalated, State { phase: Phase::Chargeback, status: Status::NeedsResponse });
    }

    #[test]
    fn a_dispute_that_was_lost_can_be_won_late() {
        let lost = State { phase: Phase::Chargeback, status: Status::Lost };
        for owner in Owner::iter() {
            let won = step(lost, owner, Event::Observed(Status::Won)).unwrap();
            assert_eq!(won.status, Status::Won);
        }
        assert!(step(lost, Owner::People, Event::Entered(Status::Won)).is_some());
    }

    #[test]
    fn what_is_closed_takes_no_answer_and_no_evidence() {
        for state in states().filter(|state| state.status.is_closed()) {
            let actions = actions(state, Owner::Channel, false);
            assert!(
                !actions.contains(&Action::Submit) && !actions.contains(&Action::AddEvidence),
                "{state:?}"
            );
        }
    }

    #[test]
    fn after_the_deadline_nothing_can_be_sent() {
        let state = State { phase: Phase::Chargeback, status: Status::NeedsResponse };
        assert!(actions(state, Owner::Channel, false).contains(&Action::Submit));
        assert!(!actions(state, Owner::Channel, true).contains(&Action::Submit));
    }
}
