//! The events of a dispute may come twice, late, and in any order, while it goes on: it ends as if they had come one by
//! one.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use payops_channels::stripe::api::{DisputeUpdate, EventQuery, TextField};
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_sandbox::DisputeStatus;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_disputes::MIGRATIONS; any_order_and_number_of_events_ends_in_one_state);

/// How many lives are tried.
const LIVES: usize = 16;

/// What happens to a dispute at Stripe, and which of its events arrive when.
#[derive(Debug, Clone)]
struct Life {
    begins_as_inquiry: bool,
    steps: Vec<Step>,
    /// In which order the events come that have not come before, and some that have.
    last: Vec<prop::sample::Index>,
}

#[derive(Debug, Clone)]
struct Step {
    /// Which of the things that can happen next.
    happens: prop::sample::Index,
    /// Which of the events so far arrive then.
    arrive: Vec<prop::sample::Index>,
    /// Whether the service has done its work before the next thing happens.
    settles: bool,
}

/// Something that happens at Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happening {
    /// Somebody answers at Stripe itself.
    Answered,
    /// Somebody gives in at Stripe itself.
    Conceded,
    /// The issuer decides.
    Decided(DisputeStatus),
}

/// An event of Stripe's: its id, its type, and what it is about.
type Told = (String, String, String);

fn lives() -> impl Strategy<Value = Life> {
    let index = any::<prop::sample::Index>;
    // Often none at all: the service may learn of a dispute when it is over.
    let arrive = prop_oneof![Just(Vec::new()), vec(index(), 1..4)];
    let step = (index(), arrive, any::<bool>());
    let step = step.prop_map(|(happens, arrive, settles)| Step { happens, arrive, settles });
    let life = (any::<bool>(), vec(step, 0..6), vec(index(), 4..24));
    life.prop_map(|(begins_as_inquiry, steps, last)| Life { begins_as_inquiry, steps, last })
}

/// What can happen to a dispute that stands so.
fn possible(status: &str) -> &'static [Happening] {
    use DisputeStatus as S;
    use Happening::{Answered, Conceded, Decided};
    match status {
        "warning_needs_response" => &[Answered, Decided(S::WarningClosed), Decided(S::NeedsResponse)],
        "warning_under_review" => &[Decided(S::WarningClosed), Decided(S::NeedsResponse)],
        "needs_response" => &[Answered, Conceded],
        "under_review" => &[Decided(S::Won), Decided(S::Lost)],
        "lost" => &[Decided(S::Won)],
        _ => &[],
    }
}

impl App {
    /// Has one of the possible things happen; gives what it was.
    async fn goes_on(&self, dispute: &str, which: &prop::sample::Index) -> Option<Happening> {
        let stripe = self.stripe();
        let status = stripe.dispute(dispute).await.unwrap().status.as_str().to_owned();
        let possible = possible(&status);
        let happening = (!possible.is_empty()).then(|| *which.get(possible))?;
        let key = format!("{dispute}-{status}");
        match happening {
            Happening::Answered => {
                let text = (TextField::ProductDescription, "a bench".to_owned());
                let update = DisputeUpdate { texts: [text].into(), submit: true, ..DisputeUpdate::default() };
                stripe.update_dispute(dispute, &update, &key).await.map(drop).unwrap();
            }
            Happening::Conceded => stripe.close_dispute(dispute, &key).await.map(drop).unwrap(),
            Happening::Decided(to) => self.sandbox.handle().decide_dispute(dispute, to).map(drop).unwrap(),
        }
        Some(happening)
    }

    /// All events of a dispute so far, the oldest first.
    async fn told(&self, dispute: &str) -> Vec<Told> {
        let all: Vec<_> = self.stripe().events(&EventQuery::default()).try_collect().await.unwrap();
        let told = all.into_iter().rev().map(|event| {
            let object = event.object_id().unwrap_or_default();
            (event.id, event.kind, object)
        });
        told.filter(|(_, _, object)| object == dispute).collect()
    }

    async fn arrives(&self, (id, kind, object): &Told) {
        assert_eq!(self.delivered(id, kind, object).await, 200);
    }

    /// What the service holds of a dispute, without what differs between any two: ids and times.
    async fn as_it_stands(&self, dispute: &str) -> Value {
        let path = format!("/api/v1/disputes?channel_dispute_id={dispute}");
        let id = self.get(&path).await.data()["items"][0]["id"].as_str().unwrap().to_owned();
        let whole = self.get(&format!("/api/v1/disputes/{id}")).await.data();
        let money = whole["money_movements"].as_array().unwrap().iter();
        let money: BTreeSet<String> =
            money.map(|one| format!("{} {} {}", one["kind"], one["amount"], one["currency"])).collect();
        let told_of_money = self.story(&id).await.iter().filter(|event| *event == "money_moved").count();
        let mut stands = json!({
            "money": money, "told_of_money": told_of_money, "is_closed": whole["closed_at"].is_string(),
        });
        for field in [
            "status",
            "channel_status",
            "phase",
            "result",
            "lost_cause",
            "evidence_submitted",
            "submission_count",
            "evidence_due_by",
            "amount",
            "currency",
            "reason",
            "network_reason_code",
            "doubt",
            "is_charge_refundable",
            "allowed_actions",
            "allowed_statuses",
        ] {
            stands[field] = whole[field].clone();
        }
        stands
    }

    /// Lives a life in which every event comes once, in its order, before the next thing happens. Gives what happened.
    async fn in_order(&self, dispute: &str, life: &Life) -> Vec<Happening> {
        let (mut happened, mut arrived) = (Vec::new(), 0);
        for step in life.steps.iter().map(Some).chain([None]) {
            let told = self.told(dispute).await;
            for event in &told[arrived..] {
                self.arrives(event).await;
                self.work_is_through().await;
            }
            arrived = told.len();
            if let Some(step) = step {
                happened.extend(self.goes_on(dispute, &step.happens).await);
            }
        }
        happened
    }

    /// Lives the same life in which events come in any order, some of them more than once.
    async fn in_disorder(&self, dispute: &str, life: &Life) {
        let mut arrived = BTreeSet::new();
        for step in &life.steps {
            let told = self.told(dispute).await;
            for which in &step.arrive {
                let event = which.get(&told);
                self.arrives(event).await;
                arrived.insert(event.clone());
            }
            if step.settles {
                self.work_is_through().await;
            }
            self.goes_on(dispute, &step.happens).await;
        }
        let mut left = self.told(dispute).await;
        let (told, mut order) = (left.clone(), life.last.iter().cycle());
        left.retain(|event| !arrived.contains(event));
        // The last thing that happened is told of by an event of its own, which cannot have come before.
        while !left.is_empty() {
            let which = order.next().unwrap();
            self.arrives(which.get(&told)).await;
            self.arrives(&left.swap_remove(which.index(left.len()))).await;
        }
        self.work_is_through().await;
    }
}

/// The channel says that there was an answer, and not to what: that only the inquiry was answered is known where the dispute was
/// read before it was over.
fn answer_was_to_an_inquiry_that_escalated(happened: &[Happening]) -> bool {
    use Happening::{Answered, Conceded, Decided};
    happened.starts_with(&[Answered, Decided(DisputeStatus::NeedsResponse), Conceded])
}

async fn any_order_and_number_of_events_ends_in_one_state(db: TestDb) {
    let app = App::start_with(db, |config| config.webhooks.clear()).await;
    let mut runner = TestRunner::new(Config::default());
    for number in 0..LIVES {
        let life = lives().new_tree(&mut runner).unwrap().current();
        let status = if life.begins_as_inquiry {
            DisputeStatus::WarningNeedsResponse
        } else {
            DisputeStatus::NeedsResponse
        };
        let open = |name: &str| app.opened(&format!("PAY-{number}-{name}"), |order| order.status = status);
        let (ordered, disordered) = (open("a"), open("b"));
        let happened = app.in_order(&ordered, &life).await;
        app.in_disorder(&disordered, &life).await;
        let (mut one, mut other) = (app.as_it_stands(&ordered).await, app.as_it_stands(&disordered).await);
        if answer_was_to_an_inquiry_that_escalated(&happened) {
            for stands in [&mut one, &mut other] {
                stands["evidence_submitted"] = Value::Null;
                stands["lost_cause"] = Value::Null;
            }
        }
        assert_eq!(one, other, "{happened:?} with {life:#?}");
    }
}
