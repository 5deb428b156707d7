//! The arithmetic of days: every currency ties, and the truth equals what a slow, separate recount finds.

use std::collections::{BTreeMap, HashMap, HashSet};

use payops_core::currency::Currency;
use payops_core::time::Zone;

use super::*;

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A Thursday: seeded by default.
fn seeded_day() -> Day {
    Day::new(7, date("2024-10-24"), Channel::Stripe, &Zone::utc(), 500).unwrap()
}

/// A reconciliation as one would do it by hand, from the rows alone.
#[derive(Default)]
struct Recount {
    types: BTreeMap<DifferenceType, Group>,
    not_expected: u64,
    unbooked: u64,
}

fn signed(row: &PlatformRow) -> i64 {
    row.kind.signed(row.amount)
}

impl Recount {
    fn of(day: &Day) -> Self {
        let mut recount = Self::default();
        let mut channel: HashMap<(MovementKind, String), Vec<ChannelRow>> = HashMap::new();
        let mut charge_of_intent: HashMap<String, HashSet<String>> = HashMap::new();
        for row in day.channel_rows() {
            if row.kind == MovementKind::Fee {
                recount.unbooked += 1;
                continue;
            }
            if row.kind == MovementKind::Payment {
                charge_of_intent
                    .entry(row.payment_intent_id.clone())
                    .or_default()
                    .insert(row.source_id.clone());
            }
            channel.entry((row.kind, row.source_id.clone())).or_default().push(row);
        }
        let mut platform: HashMap<(MovementKind, String), Vec<PlatformRow>> = HashMap::new();
        for row in day.platform_rows() {
            let charges = charge_of_intent.get(&row.channel_trade_no);
            let key = match charges {
                Some(charges) if charges.len() == 1 => charges.iter().next().unwrap().clone(),
                _ => row.channel_trade_no.clone(),
            };
            platform.entry((row.kind, key)).or_default().push(row);
        }
        for (key, rows) in platform {
            recount.pair(rows, channel.remove(&key).unwrap_or_default());
        }
        for row in channel.into_values().flatten() {
            recount.add(DifferenceType::ChannelOnly, None, Some(&row));
        }
        recount
    }

    fn pair(&mut self, platform: Vec<PlatformRow>, mut channel: Vec<ChannelRow>) {
        let pairs = platform.len().min(channel.len());
        let mut platform = platform.into_iter();
        for row in platform.by_ref().take(pairs) {
            let other = channel.remove(0);
            let moved = !matches!(
                row.status,
                PlatformStatus::Pending | PlatformStatus::Failed | PlatformStatus::Cancelled
            );
            let found = if row.currency != other.currency {
                DifferenceType::CurrencyDiff
            } else if signed(&row) != other.gross {
                DifferenceType::AmountDiff
            } else if !moved {
                DifferenceType::StatusDiff
            } else {
                DifferenceType::Matched
            };
            self.add(found, Some(&row), Some(&other));
        }
        for row in platform {
            match row.status {
                _ if pairs > 0 => self.add(DifferenceType::DuplicatePlatform, Some(&row), None),
                PlatformStatus::Failed | PlatformStatus::Cancelled => self.not_expected += 1,
                PlatformStatus::Pending => self.add(DifferenceType::Timing, Some(&row), None),
                _ => self.add(DifferenceType::PlatformOnly, Some(&row), None),
            }
        }
        for row in channel {
            self.add(DifferenceType::DuplicateChannel, None, Some(&row));
        }
    }

    fn add(&mut self, found: DifferenceType, platform: Option<&PlatformRow>, channel: Option<&ChannelRow>) {
        let group = self.types.entry(found).or_default();
        group.count += 1;
        if let Some(row) = platform {
            *group.platform_amounts.entry(row.currency).or_default() += signed(row);
        }
        if let Some(row) = channel {
            *group.channel_amounts.entry(row.currency).or_default() += row.gross;
        }
    }
}

fn assert_truth_equals_recount(day: &Day) -> Truth {
    let (truth, recount) = (day.truth(), Recount::of(day));
    for (found, group) in &truth.types {
        assert_eq!(
            group,
            recount.types.get(found).unwrap_or(&Group::default()),
            "{found:?} of {}",
            day.date()
        );
    }
    assert_eq!(truth.not_expected.count, recount.not_expected);
    assert_eq!(truth.unbooked.count, recount.unbooked);
    assert_eq!(truth.platform_totals.rows, day.platform_rows().count() as u64);
    assert_eq!(truth.channel_totals.rows, day.channel_rows().count() as u64);
    truth
}

fn assert_ties(day: &Day) {
    let truth = day.truth();
    let mut net: BTreeMap<Currency, i64> = BTreeMap::new();
    for row in day.channel_rows() {
        assert_eq!(row.net, row.gross - row.fee);
        assert_eq!(row.fee, fee_of(row.kind, row.gross.abs(), row.currency));
        *net.entry(row.currency).or_default() += row.net;
    }
    for currency in CURRENCIES {
        let balance = truth.balance[&currency];
        assert_eq!(balance.opening + balance.activity + balance.payouts, balance.ending, "{currency}");
        assert_eq!(balance.activity, net.get(&currency).copied().unwrap_or(0), "{currency}");
    }
}

#[test]
fn the_truth_equals_a_recount_and_every_currency_ties() {
    for variant in [Variant::Clean, Variant::Seeded, Variant::Corrected] {
        for payments in [0, 1, 2, 17, 60, 500, 3000] {
            let day = Day::new(payments, date("2024-10-24"), Channel::Stripe, &Zone::utc(), payments);
            let day = day.unwrap().with_variant(variant);
            assert_truth_equals_recount(&day);
            assert_ties(&day);
        }
    }
    for channel in Channel::ALL {
        let day = Day::new(5, date("2024-10-23"), channel, &Zone::utc(), 300).unwrap();
        assert_truth_equals_recount(&day);
        assert_ties(&day);
    }
}

#[test]
fn a_business_day_of_any_zone_ties_with_its_neighbours() {
    for (zone, day) in [
        ("Asia/Shanghai", "2024-10-24"),
        ("America/New_York", "2024-03-10"),
        ("America/New_York", "2024-11-03"),
        ("Asia/Kathmandu", "2024-10-24"),
    ] {
        let zone = Zone::named(zone).unwrap();
        let today = Day::new(7, date(day), Channel::Stripe, &zone, 400).unwrap();
        assert_truth_equals_recount(&today);
        assert_ties(&today);
        let tomorrow = today.world().day(date(day).succ_opt().unwrap(), Channel::Stripe, &zone).unwrap();
        for currency in CURRENCIES {
            assert_eq!(today.balance()[&currency].ending, tomorrow.balance()[&currency].opening);
        }
    }
    let apia = Zone::named("Pacific/Apia").unwrap();
    let skipped = Day::new(7, date("2011-12-30"), Channel::Stripe, &apia, 400).unwrap();
    assert_eq!(skipped.platform_rows().count() + skipped.channel_rows().count(), 0);
    assert_eq!(skipped.truth().verdict, Verdict::Reconciled);
}

#[test]
fn a_seeded_day_has_every_difference_in_every_currency_or_kind_that_matters() {
    let truth = seeded_day().truth();
    assert_eq!(truth.verdict, Verdict::Differences);
    for found in DifferenceType::ALL {
        assert!(truth.group(found).count >= 3, "{found:?}: {}", truth.group(found).count);
    }
    assert!(truth.not_expected.count >= 10 && truth.unbooked.count == 4);
    let matched = &truth.group(DifferenceType::Matched).channel_amounts;
    assert_eq!(matched.keys().copied().collect::<Vec<_>>(), {
        let mut all = CURRENCIES.to_vec();
        all.sort();
        all
    });
    let rows: Vec<PlatformRow> = seeded_day().platform_rows().collect();
    for prefix in ["ch_", "py_", "pi_", "re_", "du_"] {
        assert!(rows.iter().any(|row| row.channel_trade_no.starts_with(prefix)), "{prefix}");
    }
    for status in
        ["pending", "succeeded", "partially_refunded", "refunded", "disputed", "failed", "cancelled"]
    {
        assert!(rows.iter().any(|row| row.status.as_str() == status), "{status}");
    }
    assert!(rows.iter().all(|row| row.amount > 0));
    assert!(rows.iter().all(|row| row.refund_no.is_some() == (row.kind == MovementKind::Refund)));
    assert!(seeded_day().channel_rows().any(|row| row.description.contains('"')));
}

#[test]
fn ids_are_unique_but_for_the_duplicates() {
    let day = Day::new(7, date("2024-10-24"), Channel::Stripe, &Zone::utc(), 5000).unwrap();
    let truth = day.truth();
    let mut transactions = HashSet::new();
    assert!(day.channel_rows().all(|row| transactions.insert(row.balance_transaction_id)));
    let mut numbers = HashSet::new();
    assert!(day.platform_rows().all(|row| numbers.insert(row.refund_no.unwrap_or(row.payment_no))));
    let mut keys = HashSet::new();
    let repeated = day
        .channel_rows()
        .filter(|row| row.kind != MovementKind::Fee)
        .filter(|row| !keys.insert((row.kind, row.source_id.clone())));
    assert_eq!(repeated.count() as u64, truth.group(DifferenceType::DuplicateChannel).count);
    let merchants: HashSet<_> = day.platform_rows().map(|row| row.merchant_id).collect();
    assert_eq!(merchants.len(), 40);
}

#[test]
fn a_seed_fixes_every_byte_and_another_gives_another_day() {
    let text = |day: &Day| {
        let mut out = Vec::new();
        crate::write_platform_csv(day, &mut out).unwrap();
        crate::write_settlement_csv(day, &mut out).unwrap();
        crate::write_balance_summary_csv(day, &mut out).unwrap();
        crate::write_payouts_csv(day, &mut out).unwrap();
        crate::write_payout_rows_csv(day, &mut out).unwrap();
        crate::write_bank_statement(day, &mut out).unwrap();
        out
    };
    let day = |seed, day| Day::new(seed, date(day), Channel::Stripe, &Zone::utc(), 200).unwrap();
    assert_eq!(text(&day(1, "2024-10-24")), text(&day(1, "2024-10-24")));
    assert_ne!(text(&day(1, "2024-10-24")), text(&day(2, "2024-10-24")));
    assert_ne!(text(&day(1, "2024-10-24")), text(&day(1, "2024-10-25")));
}

#[test]
fn sundays_are_clean_and_a_forced_variant_wins() {
    let sunday = Day::new(7, date("2024-10-27"), Channel::Stripe, &Zone::utc(), 500).unwrap();
    let truth = assert_truth_equals_recount(&sunday);
    assert_eq!(truth.verdict, Verdict::Reconciled);
    assert!(truth.not_expected.count > 0 && truth.group(DifferenceType::Timing).count == 0);
    assert_eq!(sunday.with_variant(Variant::Seeded).truth().verdict, Verdict::Differences);
    assert_eq!(seeded_day().with_variant(Variant::Clean).truth().verdict, Verdict::Reconciled);
}

#[test]
fn a_correction_changes_some_rows_of_the_channel_and_nothing_that_was_paid_out() {
    let (before, after) = (seeded_day(), seeded_day().with_variant(Variant::Corrected));
    let rows = |day: &Day| {
        day.channel_rows().map(|row| (row.balance_transaction_id.clone(), row)).collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (rows(&before), rows(&after));
    let added = new.keys().filter(|id| !old.contains_key(*id)).count();
    let changed: Vec<_> =
        new.iter().filter(|(id, row)| old.get(*id).is_some_and(|old| old != *row)).collect();
    assert!(added >= 1 && changed.len() >= 2, "{added} added, {} changed", changed.len());
    assert!(old.keys().all(|id| new.contains_key(id)));
    assert!(changed.iter().all(|(_, row)| *row.created.format("%H:%M").to_string() >= *"19:12"));
    assert_eq!(
        before.platform_rows().collect::<Vec<_>>(),
        after.platform_rows().collect::<Vec<_>>(),
        "the platform's side does not change"
    );
    assert_eq!(before.payouts(), after.payouts());
    let (old, new) = (before.truth(), after.truth());
    assert!(new.group(DifferenceType::PlatformOnly).count < old.group(DifferenceType::PlatformOnly).count);
    assert_ne!(new.group(DifferenceType::AmountDiff), old.group(DifferenceType::AmountDiff));
}

#[test]
fn payouts_equal_the_rows_that_carry_their_id() {
    let day = seeded_day();
    let yesterday = day.world().day(date("2024-10-23"), Channel::Stripe, &Zone::utc()).unwrap();
    let mut net: BTreeMap<String, (i64, u64)> = BTreeMap::new();
    for row in yesterday.channel_rows().chain(day.channel_rows()) {
        let group = net.entry(row.automatic_payout_id).or_default();
        group.0 += row.net;
        group.1 += 1;
    }
    let payouts = day.payouts();
    assert_eq!(payouts.len(), 4);
    for payout in payouts {
        assert_eq!(net[&payout.payout_id], (-payout.gross, payout.rows));
        assert!(payout.gross < 0);
    }
}

#[test]
fn the_feed_can_be_resumed_at_any_row() {
    let zone = Zone::named("Asia/Shanghai").unwrap();
    let day = Day::new(7, date("2024-10-24"), Channel::Stripe, &zone, 120).unwrap();
    let whole: Vec<PlatformRow> = day.platform_rows().collect();
    let mut place = None;
    let mut walked = Vec::new();
    while let Some(placed) = day.platform_rows_from(place).next() {
        walked.push(placed.row);
        place = Some(placed.next);
    }
    assert_eq!(walked, whole);
}

#[test]
fn truth_is_written_and_read_back() {
    let truth = seeded_day().truth();
    let text = serde_json::to_string(&truth).unwrap();
    assert!(text.contains("\"platform_only\":{\"count\":8"), "{text}");
    assert_eq!(serde_json::from_str::<Truth>(&text).unwrap(), truth);
}

#[test]
fn a_million_payments_are_made_one_by_one() {
    let day = Day::new(7, date("2024-10-24"), Channel::Stripe, &Zone::utc(), 1_000_000).unwrap();
    let first = day.platform_rows().next().unwrap();
    let last =
        day.platform_rows_from(Some(Place { day: 20_020, position: 999_999, skip: 0 })).next().unwrap();
    assert_eq!(first.created_at.to_rfc3339(), "2024-10-24T00:00:00+00:00");
    assert_eq!(last.row.created_at.to_rfc3339(), "2024-10-24T23:59:59+00:00");
    assert!(std::mem::size_of::<Day>() < 1000);
}
