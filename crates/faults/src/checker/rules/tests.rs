use uuid::Uuid;

use super::*;

const MERCHANT: Merchant = Merchant { id: Uuid::from_u128(1), daily_limit: 100, monthly_limit: 150 };

fn payment(number: u64, state: &str, amount: i64, booked: i64) -> PaymentRow {
    PaymentRow {
        payment_no: payment_no(number),
        state: state.to_owned(),
        amount,
        counted_amount: amount,
        booked_amount: booked,
        released_amount: 0,
        end_answer: None,
    }
}

fn row(seq: i64, action: &str, number: u64, amount: i64, before: [i64; 3], after: [i64; 3]) -> LogRow {
    LogRow {
        seq,
        action_type: action.to_owned(),
        payment_no: Some(payment_no(number)),
        release_no: None,
        counted_amount: amount,
        success: before != after,
        daily_used_before: before[0],
        daily_used_after: after[0],
        monthly_used_before: before[1],
        monthly_used_after: after[1],
        pending_before: before[2],
        pending_after: after[2],
    }
}

fn told(number: u64, asked: Asked, amount: i64, told: Told) -> Entry {
    Entry { merchant: 0, payment: number, asked, amount, told }
}

/// A consume, its release, a reservation with its confirm, a decline.
fn books() -> (Books, Vec<Entry>) {
    let released = PaymentRow { released_amount: 60, ..payment(1, "consumed", 60, 60) };
    let release =
        LogRow { release_no: Some(release_no(1)), ..row(2, "release", 1, 60, [60, 60, 0], [0, 0, 0]) };
    let books = Books {
        counters: Counters { seq: 5, daily_used: 70, monthly_used: 70, pending_amount: 0 },
        payments: vec![released, payment(2, "confirmed", 80, 70), payment(3, "declined", 50, 0)],
        releases: vec![ReleaseRow { payment_no: payment_no(1), release_no: release_no(1), amount: 60 }],
        log: vec![
            row(1, "consume", 1, 60, [0, 0, 0], [60, 60, 0]),
            release,
            row(3, "reserve", 2, 80, [0, 0, 0], [0, 0, 80]),
            row(4, "consume", 3, 50, [0, 0, 80], [0, 0, 80]),
            row(5, "confirm", 2, 70, [0, 0, 80], [70, 70, 0]),
        ],
    };
    let told = vec![
        told(1, Asked::Consume, 60, Told::Done),
        told(1, Asked::Release(1), 60, Told::Done),
        told(2, Asked::Reserve, 80, Told::Done),
        told(2, Asked::Confirm, 70, Told::Done),
        told(3, Asked::Consume, 50, Told::Declined),
        told(9, Asked::Consume, 50, Told::Nothing),
    ];
    (books, told)
}

fn found(change: impl FnOnce(&mut Books, &mut Vec<Entry>)) -> Findings {
    let (mut books, mut told) = books();
    change(&mut books, &mut told);
    let mut findings = Findings::default();
    check(&MERCHANT, &books, &told, &mut findings);
    findings
}

#[test]
fn books_that_agree_have_no_findings() {
    assert_eq!(found(|_, _| {}), Findings::default());
}

#[test]
fn an_acknowledged_payment_that_is_gone_is_lost() {
    let findings = found(|books, _| _ = books.payments.remove(2));
    assert_eq!(findings.lost, 1, "{findings:?}");
    let findings = found(|_, told| told.push(Entry { payment: 7, ..told[0] }));
    assert_eq!(findings.lost, 1, "{findings:?}");
}

#[test]
fn an_answer_that_is_told_otherwise_is_lost() {
    assert_eq!(found(|books, _| books.payments[2].state = "consumed".to_owned()).lost, 1);
    assert_eq!(found(|books, _| books.payments[1].booked_amount = 71).lost, 1);
    assert_eq!(found(|books, _| books.releases[0].amount = 59).lost, 1);
    assert_eq!(found(|_, told| told[3].asked = Asked::Void).lost, 1);
}

#[test]
fn an_effect_that_came_twice_is_double() {
    let twice = found(|books, _| {
        books.log.push(row(6, "consume", 1, 10, [70, 70, 0], [80, 80, 0]));
        books.counters = Counters { seq: 6, daily_used: 80, monthly_used: 80, pending_amount: 0 };
    });
    assert_eq!((twice.double, twice.over), (1, 0), "{twice:?}");
    let twice = found(|books, _| {
        let again =
            LogRow { release_no: Some(release_no(1)), ..row(6, "release", 1, 60, [70, 70, 0], [10, 10, 0]) };
        books.log.push(again);
        books.counters = Counters { seq: 6, daily_used: 10, monthly_used: 10, pending_amount: 0 };
    });
    assert_eq!(twice.double, 1, "{twice:?}");
}

#[test]
fn a_payment_beyond_the_day_or_the_month_is_over() {
    for (day, month) in [(101, 101), (50, 151)] {
        let findings = found(|books, told| {
            let (before, after) = ([0, month - day, 0], [day, month, 0]);
            books.log = vec![row(1, "consume", 1, day, before, after)];
            books.payments = vec![payment(1, "consumed", day, day)];
            books.releases.clear();
            told.clear();
        });
        assert_eq!(findings.over, 1, "{findings:?}");
    }
}

#[test]
fn a_confirm_counts_more_than_it_held_only_when_it_is_late() {
    let late = |answer: &str| {
        found(|books, _| {
            books.log[4] = row(5, "confirm", 2, 70, [0, 0, 0], [70, 70, 0]);
            books.log.insert(4, row(5, "expire", 2, 80, [0, 0, 80], [0, 0, 0]));
            books.log[5].seq = 6;
            books.counters.seq = 6;
            books.payments[1].end_answer = Some(answer.to_owned());
        })
    };
    assert_eq!(late(r#"{"late":true}"#), Findings::default());
    assert_eq!(late(r#"{"late":false}"#).over, 1);
}

#[test]
fn counters_log_and_payments_that_differ_have_drifted() {
    let changes: [fn(&mut Books); 8] = [
        |books| books.counters.daily_used += 1,
        |books| books.counters.pending_amount += 1,
        |books| books.counters.seq += 1,
        |books| books.log[1].seq = 7,
        |books| books.log[2].daily_used_before = 1,
        |books| books.log[4].success = false,
        |books| books.payments[0].released_amount = 0,
        |books| books.payments.push(payment(8, "consumed", 5, 5)),
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let findings = found(|books, _| change(books));
        assert!(findings.drift > 0, "change {place}: {findings:?}");
    }
    let absent = found(|books, told| {
        _ = books.payments.remove(0);
        told.clear();
    });
    assert!(absent.drift > 0, "the log counts what no payment holds: {absent:?}");
}
