use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::batch::{Effects, Loaded, decide};
use crate::model::{Limits, PaymentState, Rule};
use payops_core::time::Zone;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn merchant() -> Uuid {
    Uuid::from_u128(7)
}

/// A merchant that has used nothing at `now`.
pub(crate) fn account(merchant_id: Uuid, zone: Zone, limits: Limits, now: Timestamp) -> Account {
    Account {
        merchant_id,
        usage: Usage {
            seq: 0,
            day: Period::Day.holding(&zone, now).unwrap(),
            month: Period::Month.holding(&zone, now).unwrap(),
            daily_used: 0,
            monthly_used: 0,
            pending: 0,
            next_expiry: None,
            daily_alert: 0,
            monthly_alert: 0,
        },
        terms: Terms {
            currency: Currency::USD,
            zone,
            tier: limits,
            custom: Limits::default(),
            overrides: Vec::new(),
            suspended: None,
            channels: None,
            currencies: None,
            thresholds: vec![80, 90, 100],
        },
    }
}

/// A merchant in memory, as the store would keep it.
struct Store {
    loaded: Loaded,
    log: Vec<LogRow>,
    alerts: Vec<Alert>,
}

impl Store {
    fn new(limits: Limits, now: &str) -> Self {
        let mut loaded = Loaded::default();
        loaded.accounts.insert(merchant(), account(merchant(), Zone::utc(), limits, at(now)));
        Self { loaded, log: Vec::new(), alerts: Vec::new() }
    }

    fn run(&mut self, operations: &[Operation], now: Timestamp) -> Vec<Outcome> {
        let due = self.loaded.payments.values().filter(|payment| {
            payment.state == PaymentState::Reserved && payment.expires_at.is_some_and(|end| end <= now)
        });
        let mut due: Vec<&Payment> = due.collect();
        due.sort_unstable_by_key(|payment| (payment.expires_at, &payment.payment_no));
        let due: Vec<String> = due.into_iter().map(|payment| payment.payment_no.clone()).collect();
        let open = self.loaded.payments.values().filter(|payment| payment.state == PaymentState::Reserved);
        let next = open.filter_map(|payment| payment.expires_at).filter(|end| *end > now).min();
        self.loaded.due.insert(merchant(), due);
        self.loaded.next_expiry.insert(merchant(), next);
        let (outcomes, effects) = decide(&mut self.loaded, operations, now);
        let Effects { log, alerts, .. } = effects;
        self.log.extend(log);
        self.alerts.extend(alerts);
        outcomes
    }

    fn one(&mut self, payment_no: &str, action: Action, now: &str) -> Outcome {
        self.run(&[operation(payment_no, action)], at(now)).remove(0)
    }

    fn usage(&self) -> (i64, i64, i64) {
        let usage = self.loaded.accounts[&merchant()].usage;
        (usage.daily_used, usage.monthly_used, usage.pending)
    }

    /// before(n) = after(n-1), numbers without gaps, and the last row equals the counters.
    fn prove(&self) {
        let mut last = Counters { daily: 0, monthly: 0, pending: 0 };
        for (index, row) in self.log.iter().enumerate() {
            assert_eq!(row.seq, i64::try_from(index).unwrap() + 1);
            assert_eq!(row.before, last, "row {} begins where the one before it ended", row.seq);
            last = row.after;
        }
        assert_eq!(last, self.loaded.accounts[&merchant()].usage.counters());
        let open = self.loaded.payments.values().filter(|payment| payment.state == PaymentState::Reserved);
        assert_eq!(open.map(|payment| payment.counted).sum::<i64>(), last.pending);
    }
}

fn operation(payment_no: &str, action: Action) -> Operation {
    Operation { merchant_id: merchant(), payment_no: payment_no.to_owned(), action }
}

fn charge(amount: i64) -> Charge {
    Charge { amount, currency: Currency::USD, order_no: None, channel: None }
}

fn consume(amount: i64) -> Action {
    Action::Consume(charge(amount))
}

fn release(release_no: &str, amount: Option<i64>) -> Action {
    Action::Release(ReleaseRequest { release_no: release_no.to_owned(), amount, reason: None })
}

fn limits(daily: i64, monthly: i64, single_trans: i64) -> Limits {
    Limits { daily: Some(daily), monthly: Some(monthly), single_trans: Some(single_trans) }
}

fn answer(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Approved(approval) => serde_json::from_str(&approval.answer).unwrap(),
        Outcome::Declined { answer, .. } => serde_json::from_str(answer).unwrap(),
        other => panic!("no answer: {other:?}"),
    }
}

fn replayed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Approved(approval) => approval.replayed,
        Outcome::Declined { replayed, .. } => *replayed,
        _ => false,
    }
}

const NOON: &str = "2026-11-23T12:00:00Z";

#[test]
fn a_payment_passes_up_to_the_limit_itself() {
    let mut store = Store::new(limits(100, 1000, 60), NOON);
    assert_eq!(answer(&store.one("a", consume(60), NOON))["daily_remaining"], 40);
    assert_eq!(answer(&store.one("b", consume(40), NOON))["daily_remaining"], 0);
    let declined = store.one("c", consume(1), NOON);
    assert!(matches!(declined, Outcome::Declined { rule: Rule::Daily, .. }));
    let said = answer(&declined);
    assert_eq!(said["reason"], "Exceeds daily limit");
    assert_eq!(said["failures"][0]["resets_at"], "2026-11-24T00:00:00Z");
    assert_eq!(store.usage(), (100, 100, 0));
    store.prove();
}

#[test]
fn every_failing_rule_is_listed_in_order() {
    let mut store = Store::new(limits(10, 20, 5), NOON);
    let terms = &mut store.loaded.accounts.get_mut(&merchant()).unwrap().terms;
    terms.suspended = Some("chargebacks".into());
    terms.channels = Some(vec!["stripe".into()]);
    terms.currencies = Some(vec![Currency::EUR]);
    let said = answer(&store.one("a", consume(21), NOON));
    let rules: Vec<&str> =
        said["failures"].as_array().unwrap().iter().map(|f| f["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["suspended", "single_trans", "daily", "monthly", "channel", "currency"]);
    assert_eq!(said["reason"], "Merchant is suspended");
}

#[test]
fn the_same_number_is_answered_the_same_and_other_parameters_are_named() {
    let mut store = Store::new(limits(100, 100, 100), NOON);
    let first = store.one("a", consume(60), NOON);
    let again = store.one("a", consume(60), "2026-11-23T13:00:00Z");
    assert_eq!(answer(&first), answer(&again));
    assert!(!replayed(&first) && replayed(&again));
    let other = Action::Consume(Charge { amount: 61, channel: Some("x".into()), ..charge(0) });
    assert_eq!(store.one("a", other, NOON), Outcome::Refused(Refusal::Mismatch(vec!["amount", "channel"])));
    let held = Action::Reserve(charge(60), 900);
    assert_eq!(store.one("a", held, NOON), Outcome::Refused(Refusal::Mismatch(vec!["operation"])));
    assert_eq!(store.usage(), (60, 60, 0));
}

#[test]
fn a_decline_is_final_for_its_number() {
    let mut store = Store::new(limits(10, 100, 100), NOON);
    let declined = store.one("a", consume(11), NOON);
    store.loaded.accounts.get_mut(&merchant()).unwrap().terms.custom.daily = Some(1000);
    let again = store.one("a", consume(11), NOON);
    assert_eq!(answer(&declined), answer(&again));
    assert!(replayed(&again));
    assert!(matches!(store.one("b", consume(11), NOON), Outcome::Approved(_)));
}

#[test]
fn yesterday_s_payment_never_frees_today() {
    let mut store = Store::new(limits(100, 1000, 100), "2026-11-23T23:59:59.900Z");
    store.one("a", consume(70), "2026-11-23T23:59:59.900Z");
    store.one("b", consume(5), "2026-11-24T00:00:00Z");
    let said = answer(&store.one("a", release("r", None), "2026-11-24T00:00:00.100Z"));
    assert_eq!(said["windows"][0]["closed"], true);
    assert_eq!((&said["windows"][0]["returned"], &said["windows"][1]["returned"]), (&0.into(), &70.into()));
    assert_eq!(store.usage(), (5, 5, 0));
    let said = answer(&store.one("b", release("r", None), "2026-12-01T00:00:00Z"));
    assert_eq!((&said["windows"][0]["returned"], &said["windows"][1]["returned"]), (&0.into(), &0.into()));
    store.prove();
}

#[test]
fn partial_releases_in_another_currency_return_exactly_what_was_counted() {
    let mut store = Store::new(limits(10_000, 10_000, 10_000), NOON);
    let applied = AppliedRate { id: Uuid::from_u128(1), rate: "0.1389".parse().unwrap() };
    let yuan: Currency = "CNY".parse().unwrap();
    store.loaded.rates.insert((yuan, Currency::USD), applied);
    let said = answer(&store.one("a", Action::Consume(Charge { currency: yuan, ..charge(1000) }), NOON));
    assert_eq!((&said["counted_amount"], &said["rate"]), (&139.into(), &"0.1389".into()));
    for (release_no, amount, back) in [("1", 333, 46), ("2", 333, 46), ("3", 334, 47)] {
        assert_eq!(answer(&store.one("a", release(release_no, Some(amount)), NOON))["counted_amount"], back);
    }
    assert_eq!(store.usage(), (0, 0, 0));
    let more = store.one("a", release("4", Some(1)), NOON);
    assert_eq!(more, Outcome::Refused(Refusal::ReleaseExceeds(0)));
    let unknown = store.one("b", Action::Consume(Charge { currency: Currency::JPY, ..charge(1) }), NOON);
    assert_eq!(unknown, Outcome::Refused(Refusal::RateMissing(Currency::JPY, Currency::USD)));
    store.prove();
}

#[test]
fn reservations_count_until_they_end() {
    let mut store = Store::new(limits(100, 1000, 100), NOON);
    let said = answer(&store.one("a", Action::Reserve(charge(80), 900), NOON));
    assert_eq!(said["expires_at"], "2026-11-23T12:15:00Z");
    assert!(matches!(store.one("b", consume(21), NOON), Outcome::Declined { .. }));
    let said = answer(&store.one("a", Action::Confirm(Some(50)), "2026-11-23T12:14:59Z"));
    assert_eq!((&said["freed_amount"], &said["late"]), (&30.into(), &false.into()));
    assert_eq!(store.usage(), (50, 50, 0));
    assert!(replayed(&store.one("a", Action::Confirm(Some(50)), NOON)));
    assert_eq!(
        store.one("a", Action::Void, NOON),
        Outcome::Refused(Refusal::WrongState(PaymentState::Confirmed))
    );
    store.one("c", Action::Reserve(charge(50), 60), NOON);
    assert!(matches!(store.one("d", consume(1), NOON), Outcome::Declined { .. }));
    assert!(
        matches!(store.one("e", consume(1), "2026-11-23T12:01:00Z"), Outcome::Approved(_)),
        "expired by now"
    );
    assert_eq!(store.usage(), (51, 51, 0));
    store.one("f", consume(49), "2026-11-23T12:01:00Z");
    let late = answer(&store.one("c", Action::Confirm(None), "2026-11-23T12:02:00Z"));
    assert_eq!((&late["late"], &late["over_limit"]), (&true.into(), &true.into()));
    assert_eq!(store.usage(), (150, 150, 0));
    store.prove();
}

#[test]
fn a_reservation_over_midnight_is_booked_where_it_is_confirmed() {
    let mut store = Store::new(limits(100, 100, 100), "2026-11-30T23:55:00Z");
    store.one("a", Action::Reserve(charge(40), 900), "2026-11-30T23:55:00Z");
    store.one("b", consume(30), "2026-11-30T23:56:00Z");
    store.one("a", Action::Confirm(None), "2026-12-01T00:05:00Z");
    assert_eq!(store.usage(), (40, 40, 0));
    store.prove();
}

#[test]
fn suspension_stops_new_payments_only() {
    let mut store = Store::new(limits(100, 100, 100), NOON);
    store.one("a", consume(10), NOON);
    store.one("b", Action::Reserve(charge(10), 900), NOON);
    store.one("c", Action::Reserve(charge(10), 900), NOON);
    store.loaded.accounts.get_mut(&merchant()).unwrap().terms.suspended = Some("risk".into());
    assert!(matches!(store.one("d", consume(1), NOON), Outcome::Declined { rule: Rule::Suspended, .. }));
    for (number, action) in [("a", release("r", None)), ("b", Action::Confirm(None)), ("c", Action::Void)] {
        assert!(matches!(store.one(number, action, NOON), Outcome::Approved(_)));
    }
    assert_eq!(store.usage(), (10, 10, 0));
}

#[test]
fn lowering_below_usage_leaves_nothing_and_breaks_nothing() {
    let mut store = Store::new(limits(100, 100, 100), NOON);
    store.one("a", consume(90), NOON);
    store.loaded.accounts.get_mut(&merchant()).unwrap().terms.custom.daily = Some(50);
    let said = answer(&store.one("b", consume(1), NOON));
    assert_eq!(said["failures"][0]["remaining"], 0);
    assert!(matches!(store.one("a", release("r", Some(60)), NOON), Outcome::Approved(_)));
    assert!(matches!(store.one("c", consume(20), NOON), Outcome::Approved(_)));
}

#[test]
fn thresholds_are_told_once_each_way() {
    let mut store = Store::new(limits(100, 10_000, 100), NOON);
    for number in 0..10 {
        store.one(&format!("p{number}"), consume(10), NOON);
    }
    let told = |store: &Store| store.alerts.iter().map(|a| (a.threshold, a.crossed)).collect::<Vec<_>>();
    assert_eq!(told(&store), [(80, true), (90, true), (100, true)]);
    store.one("p0", release("r", None), NOON);
    store.one("p1", release("r", None), NOON);
    assert_eq!(told(&store)[3..], [(100, false), (90, false)]);
}

#[test]
fn amounts_at_the_edge_of_64_bits_are_refused_not_wrapped() {
    let mut store = Store::new(Limits::default(), NOON);
    assert!(matches!(store.one("a", consume(i64::MAX), NOON), Outcome::Approved(_)));
    assert_eq!(store.one("b", consume(1), NOON), Outcome::Refused(Refusal::OutOfRange));
    assert_eq!(store.usage(), (i64::MAX, i64::MAX, 0));
    let mut bounded = Store::new(limits(i64::MAX, i64::MAX, i64::MAX), NOON);
    bounded.one("a", consume(i64::MAX), NOON);
    assert!(matches!(bounded.one("b", consume(1), NOON), Outcome::Declined { rule: Rule::Daily, .. }));
    store.prove();
}

#[test]
fn what_is_held_can_always_be_booked() {
    let mut store = Store::new(Limits::default(), NOON);
    store.one("a", Action::Reserve(charge(i64::MAX), 900), NOON);
    assert_eq!(store.one("b", consume(1), NOON), Outcome::Refused(Refusal::OutOfRange));
    assert!(matches!(store.one("a", Action::Confirm(None), NOON), Outcome::Approved(_)));
    assert_eq!(store.one("c", Action::Reserve(charge(1), 900), NOON), Outcome::Refused(Refusal::OutOfRange));
    store.prove();
}

#[test]
fn a_part_is_released_under_a_number_of_its_own() {
    let mut store = Store::new(limits(100, 100, 100), NOON);
    store.one("a", consume(100), NOON);
    let unnamed = store.one("a", release(FULL_RELEASE, Some(40)), NOON);
    assert_eq!(unnamed, Outcome::Refused(Refusal::ReleaseUnnamed(100)));
    assert!(matches!(store.one("a", release("r1", Some(40)), NOON), Outcome::Approved(_)));
    assert!(matches!(store.one("a", release(FULL_RELEASE, Some(60)), NOON), Outcome::Approved(_)));
    assert_eq!(store.usage(), (0, 0, 0));
    store.prove();
}

#[test]
fn a_late_confirmation_counts_in_the_currency_of_its_time() {
    let mut store = Store::new(Limits::default(), NOON);
    let rate = |from: &str, rate: &str| {
        let applied = AppliedRate { id: Uuid::from_u128(9), rate: rate.parse().unwrap() };
        ((from.parse().unwrap(), "EUR".parse().unwrap()), applied)
    };
    store.one("same", Action::Reserve(charge(500), 60), NOON);
    store.one("none", Action::Reserve(charge(500), 60), NOON);
    store.one("later", Action::Reserve(charge(500), 60), NOON);
    let account = store.loaded.accounts.get_mut(&merchant()).unwrap();
    account.terms.currency = "EUR".parse().unwrap();
    let late = "2026-11-23T12:02:00Z";
    let missing = store.one("none", Action::Confirm(None), late);
    assert_eq!(
        missing,
        Outcome::Refused(Refusal::RateMissing("USD".parse().unwrap(), "EUR".parse().unwrap()))
    );
    store.loaded.rates.extend([rate("USD", "0.9")]);
    let said = answer(&store.one("later", Action::Confirm(None), late));
    assert_eq!((&said["counted_amount"], &said["rate"]), (&450.into(), &"0.9".into()));
    assert_eq!(store.usage(), (450, 450, 0));
    store.loaded.accounts.get_mut(&merchant()).unwrap().terms.currency = "USD".parse().unwrap();
    let said = answer(&store.one("same", Action::Confirm(Some(300)), late));
    assert_eq!((&said["counted_amount"], said.get("rate")), (&300.into(), None));
}

#[test]
fn a_clock_that_goes_back_opens_no_old_window() {
    let mut store = Store::new(limits(100, 100, 100), NOON);
    store.one("a", consume(10), "2026-11-24T00:00:01Z");
    store.one("b", consume(10), "2026-11-23T23:59:59Z");
    assert_eq!(store.usage(), (20, 20, 0));
    assert!(store.log.iter().all(|row| row.created_at >= at("2026-11-24T00:00:00Z")));
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let number = 0_u8..12;
    let action = prop_oneof![
        4 => (1_i64..60).prop_map(consume),
        2 => (1_i64..60, 1_i64..90_000).prop_map(|(amount, ttl)| Action::Reserve(charge(amount), ttl)),
        2 => proptest::option::of(1_i64..60).prop_map(Action::Confirm),
        1 => Just(Action::Void),
        2 => (0_u8..3, proptest::option::of(1_i64..40)).prop_map(|(n, amount)| release(&n.to_string(), amount)),
        1 => Just(Action::Sweep),
    ];
    (number, action).prop_map(|(number, action)| operation(&format!("p{number}"), action))
}

proptest! {
    #[test]
    fn any_partition_into_batches_gives_the_result_of_the_sequence(
        groups in proptest::collection::vec(
            (0_i64..50_000, proptest::collection::vec(any_operation(), 1..20)), 1..8,
        ),
    ) {
        let start = at("2026-11-30T20:00:00Z");
        let mut together = Store::new(limits(150, 400, 50), NOON);
        let mut alone = Store::new(limits(150, 400, 50), NOON);
        let mut now = start;
        for (later, operations) in groups {
            now += chrono::Duration::seconds(later);
            let batch = together.run(&operations, now);
            let each: Vec<Outcome> =
                operations.iter().map(|one| alone.run(std::slice::from_ref(one), now).remove(0)).collect();
            prop_assert_eq!(batch, each);
            let usage = together.loaded.accounts[&merchant()].usage;
            prop_assert!(usage.daily_used >= 0 && usage.monthly_used >= usage.daily_used - 400 && usage.pending >= 0);
        }
        prop_assert_eq!(&together.log, &alone.log);
        prop_assert_eq!(&together.alerts, &alone.alerts);
        together.prove();
    }
}
