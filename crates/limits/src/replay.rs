//! A usage log gone through once more under other limits: pure, one row at a time, in the order of the log.
//!
//! What the other limits decline is left out of everything that follows; what they let through although it was declined is
//! counted as consumed. Everything else happens as it happened.

use ahash::AHashSet;
use payops_core::time::NoSuchDay;

use crate::decide::{Account, Changes, Charge, assess};
use crate::model::{ActionType, LogRow, Rule};
use crate::window::Period;

/// The most payments that a report names.
const MOST_NAMED: usize = 100;

/// The log under other limits.
#[derive(Debug)]
pub struct Replay {
    account: Account,
    begun: bool,
    /// Payments that the other limits decline, so that what happened to them later did not happen.
    declined: AHashSet<String>,
    report: Report,
}

/// What the other limits would have done.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Consumes and reserves that were looked at.
    pub payments: u64,
    /// Those that were allowed and would have been declined.
    pub declined: Tally,
    /// Those that were declined by a limit and would have been allowed.
    pub allowed: Tally,
    /// How often each rule is the first to decline one that was allowed.
    pub by_rule: Vec<(Rule, u64)>,
    /// The first of those that would have been declined.
    pub named: Vec<Named>,
}

/// How many, and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many payments.
    pub count: u64,
    /// Their sum in minor units of the limit currency.
    pub amount: i128,
}

/// A payment that would have been declined.
#[derive(Debug, Clone)]
pub struct Named {
    /// What the log says of it.
    pub row: LogRow,
    /// The first rule that says no.
    pub rule: Rule,
}

impl Replay {
    /// Begins with what would bind the merchant. Its usage is taken from the first row.
    pub fn new(account: Account) -> Self {
        let mut account = account;
        // A suspension is no limit, and the log does not tell the channel.
        account.terms.suspended = None;
        account.terms.channels = None;
        Self { account, begun: false, declined: AHashSet::new(), report: Report::default() }
    }

    /// Goes on by one row.
    ///
    /// # Errors
    /// Only instants beyond the calendar have no window.
    pub fn take(&mut self, row: &LogRow) -> Result<(), NoSuchDay> {
        if !self.begun {
            self.begin(row)?;
        }
        // The merchant's windows roll by its zone, as they did; a reset changes nothing else.
        self.account.advance(row.created_at, &mut [], &mut Changes::default());
        match row.action {
            ActionType::Consume | ActionType::Reserve => self.charge(row),
            ActionType::Reset => {}
            ActionType::Release | ActionType::Confirm | ActionType::Void | ActionType::Expire => {
                let gone = row.payment_no.as_ref().is_some_and(|number| self.declined.contains(number));
                if !gone {
                    self.follow(row);
                }
            }
        }
        Ok(())
    }

    /// What came of it.
    pub fn report(self) -> Report {
        self.report
    }

    fn begin(&mut self, row: &LogRow) -> Result<(), NoSuchDay> {
        // A reset opens the period's first window: what was counted before it is over.
        let counters = if row.action == ActionType::Reset { row.after } else { row.before };
        let zone = &self.account.terms.zone;
        let (day, month) =
            (Period::Day.holding(zone, row.created_at)?, Period::Month.holding(zone, row.created_at)?);
        let usage = &mut self.account.usage;
        (usage.day, usage.month, usage.next_expiry) = (day, month, None);
        (usage.daily_used, usage.monthly_used, usage.pending) =
            (counters.daily, counters.monthly, counters.pending);
        self.begun = true;
        Ok(())
    }

    fn charge(&mut self, row: &LogRow) {
        self.report.payments += 1;
        let charge = Charge { amount: row.amount, currency: row.currency, order_no: None, channel: None };
        let first = assess(&self.account, &charge, row.counted, row.created_at).first().map(|f| f.rule);
        match (row.success, first) {
            (true, None) => self.follow(row),
            (true, Some(rule)) => self.decline(row, rule),
            (false, None) if by_limit(row) => {
                self.report.allowed.add(row.counted);
                let usage = &mut self.account.usage;
                usage.daily_used = usage.daily_used.saturating_add(row.counted);
                usage.monthly_used = usage.monthly_used.saturating_add(row.counted);
            }
            (false, _) => {}
        }
    }

    fn decline(&mut self, row: &LogRow, rule: Rule) {
        self.report.declined.add(row.counted);
        match self.report.by_rule.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, count)) => *count += 1,
            None => self.report.by_rule.push((rule, 1)),
        }
        self.declined.extend(row.payment_no.clone());
        if self.report.named.len() < MOST_NAMED {
            self.report.named.push(Named { row: row.clone(), rule });
        }
    }

    /// Changes the counters as the row did.
    fn follow(&mut self, row: &LogRow) {
        let usage = &mut self.account.usage;
        let moved = |now: i64, before: i64, after: i64| {
            let moved = i128::from(now) + i128::from(after) - i128::from(before);
            i64::try_from(moved.max(0)).unwrap_or(i64::MAX)
        };
        usage.daily_used = moved(usage.daily_used, row.before.daily, row.after.daily);
        usage.monthly_used = moved(usage.monthly_used, row.before.monthly, row.after.monthly);
        usage.pending = moved(usage.pending, row.before.pending, row.after.pending);
    }
}

impl Tally {
    fn add(&mut self, counted: i64) {
        self.count += 1;
        self.amount += i128::from(counted);
    }
}

/// Whether it was a limit that declined it, and not a suspension, a channel or a currency.
fn by_limit(row: &LogRow) -> bool {
    let reason = row.reason.as_deref();
    [Rule::SingleTrans, Rule::Daily, Rule::Monthly].iter().any(|rule| reason == Some(rule.reason()))
}

#[cfg(test)]
mod tests {
    use payops_core::currency::Currency;
    use payops_core::time::{Timestamp, Zone};
    use uuid::Uuid;

    use super::*;
    use crate::model::{Counters, Limits, Terms, Usage};
    use crate::window::Span;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn account(daily: Option<i64>, monthly: Option<i64>, single_trans: Option<i64>) -> Account {
        let now = at("2026-11-01T00:00:00Z");
        let span = Span { start: now, end: now };
        Account {
            merchant_id: Uuid::nil(),
            usage: Usage {
                seq: 0,
                day: span,
                month: span,
                daily_used: 0,
                monthly_used: 0,
                pending: 0,
                next_expiry: None,
                daily_alert: 0,
                monthly_alert: 0,
            },
            terms: Terms {
                currency: Currency::USD,
                zone: Zone::utc(),
                tier: Limits { daily, monthly, single_trans },
                custom: Limits::default(),
                overrides: Vec::new(),
                suspended: Some("no matter".into()),
                channels: Some(vec![]),
                currencies: None,
                thresholds: Vec::new(),
            },
        }
    }

    /// A log with what is written of it, and counters that follow.
    #[derive(Default)]
    struct Log(Vec<LogRow>);

    impl Log {
        fn add(
            &mut self,
            time: &str,
            action: ActionType,
            number: &str,
            counted: i64,
            delta: (i64, i64, i64),
        ) {
            let none = Counters { daily: 0, monthly: 0, pending: 0 };
            let before = self.0.last().map_or(none, |row| row.after);
            let after = Counters {
                daily: before.daily + delta.0,
                monthly: before.monthly + delta.1,
                pending: before.pending + delta.2,
            };
            let charging = matches!(action, ActionType::Consume | ActionType::Reserve);
            let refused = charging && delta == (0, 0, 0);
            self.0.push(LogRow {
                merchant_id: Uuid::nil(),
                seq: i64::try_from(self.0.len()).unwrap() + 1,
                created_at: at(time),
                action,
                payment_no: Some(number.to_owned()),
                order_no: None,
                release_no: None,
                amount: counted,
                currency: Currency::USD,
                counted,
                before,
                after,
                success: !refused,
                reason: refused.then(|| Rule::Daily.reason().to_owned()),
            });
        }

        fn replay(&self, account: Account) -> Report {
            let mut replay = Replay::new(account);
            for row in &self.0 {
                replay.take(row).unwrap();
            }
            replay.report()
        }
    }

    fn log() -> Log {
        use ActionType::{Confirm, Consume, Release, Reserve, Reset};
        let mut log = Log::default();
        log.add("2026-11-23T10:00:00Z", Consume, "p1", 60, (60, 60, 0));
        log.add("2026-11-23T11:00:00Z", Reserve, "p2", 30, (0, 0, 30));
        log.add("2026-11-23T12:00:00Z", Confirm, "p2", 30, (30, 30, -30));
        log.add("2026-11-23T13:00:00Z", Consume, "p3", 20, (0, 0, 0));
        log.add("2026-11-23T14:00:00Z", Release, "p1", 60, (-60, -60, 0));
        log.add("2026-11-23T15:00:00Z", Consume, "p4", 50, (50, 50, 0));
        log.add("2026-11-24T00:00:01Z", Reset, "", 0, (-80, 0, 0));
        log.add("2026-11-24T01:00:00Z", Consume, "p5", 70, (70, 70, 0));
        log
    }

    #[test]
    fn the_same_limits_change_nothing() {
        let report = log().replay(account(Some(100), Some(1000), None));
        assert_eq!(
            (report.payments, report.declined, report.allowed),
            (5, Tally::default(), Tally::default())
        );
    }

    #[test]
    fn lower_limits_decline_and_leave_out_what_followed() {
        // p1 is declined, so its release gives nothing back; p3 fits then, and p4 no longer does.
        let report = log().replay(account(Some(55), None, None));
        let named: Vec<_> = report.named.iter().map(|named| named.row.payment_no.clone().unwrap()).collect();
        assert_eq!(named, ["p1", "p4", "p5"]);
        assert_eq!(report.declined, Tally { count: 3, amount: 180 });
        assert_eq!(report.allowed, Tally { count: 1, amount: 20 });
        assert_eq!(report.by_rule, [(Rule::Daily, 3)]);
    }

    #[test]
    fn higher_limits_let_through_what_was_declined() {
        let report = log().replay(account(Some(200), None, None));
        assert_eq!((report.declined, report.allowed), (Tally::default(), Tally { count: 1, amount: 20 }));
    }

    #[test]
    fn a_month_goes_on_where_a_day_ends() {
        let report = log().replay(account(None, Some(120), Some(65)));
        let rules: Vec<_> = report.named.iter().map(|named| named.rule).collect();
        // p1 60, p2 30, p3 20: 110; less p1: 50; p4 50: 100; p5 70 is beyond both, and single comes first.
        assert_eq!(rules, [Rule::SingleTrans]);
    }
}
