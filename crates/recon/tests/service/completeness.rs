//! The watch for expected files: what is late or missing is told once, and that it came is too.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use http::Method;
use payops_core::time::Clock;
use payops_platform::both_databases;
use payops_platform::config::EscalatedAlertSettings;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use payops_platform::outbound::testing::{Received, Receiver, Reply};
use payops_recon::alerts::{Destinations, TIME_OUT};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::expected_files::{EXPECTED, call};
use crate::harness::App;
use crate::payouts::{CAME, wires};

both_databases!(payops_recon::MIGRATIONS;
    a_late_file_is_told_once_escalated_once_and_closed_when_it_comes,
    a_day_whose_file_is_withdrawn_is_told,
    a_service_that_was_away_tells_each_missing_day_once,
    an_alert_outlives_the_instance_that_sends_it,
    a_skipped_number_is_told_until_its_file_comes,
    a_part_is_missing_until_the_whole_is_in_force,
    a_number_with_two_contents_is_told_once,
    a_day_that_is_excused_is_told_of_no_more,
    another_plan_holds_for_the_days_before,
    the_days_are_those_of_the_zone,
    bad_questions_name_their_field,
);

const COMPLETENESS: &str = "/api/v1/reconciliation/completeness";
const MAPPING: &str = r#"
name = "adyen"
unit = "major"
[columns]
channel_trade_no = "Ref"
row_id = "Ref"
amount = "Amount"
currency = "Currency"
kind = "Type"
[kind]
payment = ["Settled"]
"#;

/// A service whose alerts a receiver gets, and the day on which the test begins.
struct Watched {
    app: App,
    receiver: Receiver,
    today: NaiveDate,
}

impl Watched {
    async fn start(db: TestDb) -> Self {
        let receiver = Receiver::start().await;
        let settings = EscalatedAlertSettings {
            webhook: Some(receiver.settings()),
            ..EscalatedAlertSettings::default()
        };
        let destinations = Destinations::new(&settings, TIME_OUT).unwrap();
        let app = App::start_as(db, |_| {}, |options| options.alerts = destinations).await;
        app.keep_schedules().await;
        // The morning of a day, whatever the time is now.
        let today = app.clock.now().date_naive() + TimeDelta::days(1);
        let watched = Self { app, receiver, today };
        watched.to(0, "06:00:00");
        watched
    }

    /// The business day so many days after the first.
    fn day(&self, after: i64) -> NaiveDate {
        self.today + TimeDelta::days(after)
    }

    /// Has files of Adyen expected at noon of the next day.
    async fn expect(&self, first: i64, change: impl FnOnce(&mut Value)) -> Value {
        let mut body = json!({ "channel": "adyen", "due_time": "12:00", "counts_from": self.day(first) });
        change(&mut body);
        let made = call(&self.app, Method::POST, EXPECTED, &body).await;
        assert_eq!(made.status, 201, "{:?}", made.json());
        made.data()
    }

    /// Lets time pass until so many days after the first, at this time in UTC.
    fn to(&self, after: i64, time: &str) {
        let then = self.day(after).and_time(time.parse().unwrap()).and_utc();
        let ahead = then - self.app.clock.now();
        assert!(ahead > TimeDelta::zero(), "{then} has passed");
        self.app.clock.advance(ahead);
    }

    /// Hands a file over for a day.
    async fn hand_over(&self, after: i64, name: &str, reference: &str) {
        let date = self.day(after).to_string();
        let parts = [("channel", "adyen"), ("settlement_date", date.as_str()), ("mapping", MAPPING)];
        let file = format!("Ref,Amount,Currency,Type\n{reference},10.00,EUR,Settled\n");
        let answer = self.app.upload_named("settlement-files", &parts, name, file.as_bytes()).await;
        assert!(matches!(answer.status, 200 | 201), "{:?}", answer.json());
    }

    /// Lets one more minute pass, and waits until all work that is due by then is done.
    async fn look(&self) {
        const WAITING: &str = "SELECT (SELECT COUNT(*) FROM schedules WHERE next_at <= $1)
            + (SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running')) AS waiting";
        self.app.clock.advance(TimeDelta::minutes(1));
        let now = self.app.clock.now();
        self.until(async || {
            let db = &self.app.db;
            let row = db.read().query_one_raw(db.backend().statement(WAITING, [now.into()])).await.unwrap();
            let waiting: i64 = row.unwrap().try_get("", "waiting").unwrap();
            if waiting == 0 { Ok(()) } else { Err(json!(waiting)) }
        })
        .await;
    }

    async fn until<T>(&self, look: impl AsyncFn() -> Result<T, Value>) -> T {
        let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
        loop {
            let seen = match look().await {
                Ok(found) => return found,
                Err(seen) => seen,
            };
            assert!(tokio::time::Instant::now() < deadline, "{seen}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// What has arrived, each event once: a clock that jumps ends the lease of whoever sends it.
    fn events(&self) -> Vec<Value> {
        let mut ids = BTreeSet::new();
        let mut events: Vec<Value> = self.receiver.received().iter().map(Received::event).collect();
        events.retain(|event| ids.insert(event["id"].to_string()));
        events
    }

    /// The same in short: what, escalated or not, and of which gaps.
    fn told(&self) -> Vec<String> {
        let short = |event: Value| {
            let kind = event["type"].as_str().unwrap().trim_start_matches("reconciliation.file_").to_owned();
            let escalated = if event["escalated"] == true { "!" } else { "" };
            let gaps = event["data"]["gaps"].as_array().unwrap().iter().map(|gap| {
                let day: NaiveDate = gap["settlement_date"].as_str().unwrap().parse().unwrap();
                let number = gap["number"].as_i64().map(|number| format!("#{number}")).unwrap_or_default();
                format!(" {}{number}@{}", gap["kind"].as_str().unwrap(), (day - self.today).num_days())
            });
            format!("{kind}{escalated}{}", gaps.collect::<String>())
        };
        self.events().into_iter().map(short).collect()
    }

    async fn days(&self, from: i64, to: i64) -> Vec<Value> {
        let path = format!("{COMPLETENESS}?channel=adyen&from={}&to={}", self.day(from), self.day(to));
        let answer = self.app.get(&path).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        answer.data()["days"].as_array().unwrap().clone()
    }

    async fn states(&self, from: i64, to: i64) -> Vec<String> {
        self.days(from, to).await.iter().map(|day| day["state"].as_str().unwrap().to_owned()).collect()
    }

    fn excuse_path(&self, expected: &Value, after: i64) -> String {
        format!("{COMPLETENESS}/{}/{}/excuse", expected["id"].as_str().unwrap(), self.day(after))
    }

    fn shows(&self, line: &str) -> bool {
        self.app.context().metrics.render().unwrap().lines().any(|shown| shown == line)
    }
}

fn open_gaps(count: i64) -> String {
    format!("reconciliation_open_gaps{{service=\"reconciliation-service\",channel=\"adyen\"}} {count}")
}

async fn a_late_file_is_told_once_escalated_once_and_closed_when_it_comes(db: TestDb) {
    let watched = Watched::start(db).await;
    watched.app.run_jobs();
    let others: Vec<_> = (1..9).map(|after| watched.day(after)).collect();
    watched.expect(0, |body| body["holidays"] = json!(others)).await;
    watched.to(1, "11:58:00");
    watched.look().await;
    assert_eq!((watched.states(0, 3).await, watched.told()), (vec!["not_due".to_owned()], vec![]));
    watched.receiver.replies(&[Reply::Status(500)]);
    watched.to(1, "12:00:00");
    watched.look().await;
    assert_eq!(watched.told(), ["missing missing@0"]);
    let posts = watched.receiver.received();
    assert!(posts.len() >= 2 && posts[0].id() == posts[1].id(), "the first was refused once");
    let data = &posts[0].event()["data"];
    assert_eq!((&data["channel"], &data["role"]), (&json!("adyen"), &json!("settlement")));
    assert_eq!(data["gaps"][0]["due_at"], json!(format!("{}T12:00:00Z", watched.day(1))));
    let late = watched.days(0, 0).await;
    assert_eq!((&late[0]["state"], &late[0]["since"]), (&json!("late"), &data["gaps"][0]["due_at"]));
    assert!(watched.shows(&open_gaps(1)));
    watched.to(2, "11:50:00");
    watched.look().await;
    assert_eq!(watched.told().len(), 1);
    watched.to(2, "12:00:00");
    watched.look().await;
    watched.to(4, "12:00:00");
    watched.look().await;
    assert_eq!(watched.told(), ["missing missing@0", "missing! missing@0"]);
    watched.hand_over(0, "late.csv", "A").await;
    watched.look().await;
    watched.hand_over(0, "corrected.csv", "B").await;
    watched.look().await;
    assert_eq!(watched.told()[2..], ["arrived! missing@0"]);
    let day = watched.days(0, 0).await;
    assert_eq!(
        (&day[0]["state"], &day[0]["gaps"][0]["closed_as"]),
        (&json!("arrived_late"), &json!("arrived"))
    );
    assert!(watched.shows(&open_gaps(0)));
}

async fn a_day_whose_file_is_withdrawn_is_told(db: TestDb) {
    let watched = Watched::start(db).await;
    watched.app.run_jobs();
    let others: Vec<_> = (1..9).map(|after| watched.day(after)).collect();
    watched
        .expect(0, |body| (body["holidays"], body["role"]) = (json!(others), json!("bank_statement")))
        .await;
    let date = watched.day(0).to_string();
    let parts = [
        ("channel", "adyen"),
        ("settlement_date", &date),
        ("role", "bank_statement"),
        ("restore", "true"),
        ("allow_other_day", "true"),
    ];
    let hand_over =
        async || watched.app.upload("settlement-files", &parts, &wires(("0116", "0131"), &[CAME])).await;
    let path = format!(
        "/api/v1/reconciliation/settlement-files/{}/withdraw",
        hand_over().await.data()["file"]["file_no"].as_str().unwrap()
    );
    watched.to(1, "12:00:00");
    watched.look().await;
    assert_eq!(watched.told(), [""; 0]);
    for told in [&["missing missing@0", "arrived missing@0"][..], &["missing missing@0", "arrived missing@0"]]
    {
        let before = watched.told().len();
        assert_eq!(watched.app.post(&path, &json!({ "note": "another company's" })).await.status, 200);
        watched.look().await;
        assert_eq!(watched.days(0, 0).await[0]["state"], "late");
        assert_eq!(hand_over().await.status, 201);
        watched.look().await;
        assert_eq!(watched.told()[before..], *told);
    }
}

async fn a_service_that_was_away_tells_each_missing_day_once(db: TestDb) {
    let watched = Watched::start(db).await;
    watched.expect(0, |body| body["escalate_after_hours"] = json!(720)).await;
    watched.hand_over(0, "in-time.csv", "A").await;
    watched.look().await;
    watched.app.stop_jobs().await;
    watched.to(4, "12:30:00");
    // Several instances come back at once.
    for _ in 0..3 {
        watched.app.run_jobs();
    }
    watched.look().await;
    watched.look().await;
    assert_eq!(watched.told(), ["missing missing@1 missing@2 missing@3"]);
    assert_eq!(watched.states(0, 4).await, ["arrived", "late", "late", "late", "not_due"]);
}

async fn an_alert_outlives_the_instance_that_sends_it(db: TestDb) {
    let watched = Watched::start(db).await;
    watched.expect(0, |body| body["holidays"] = json!([watched.day(1)])).await;
    watched.receiver.replies(&[Reply::Silence]);
    watched.to(1, "12:01:00");
    watched
        .until(async || if watched.events().len() == 1 { Ok(()) } else { Err(json!("nothing came")) })
        .await;
    watched.app.crash().await;
    watched.app.run_jobs();
    // The lease of the instance that is gone runs out.
    watched.app.clock.advance(TimeDelta::minutes(2));
    watched.look().await;
    let posts = watched.receiver.received();
    assert!(posts.len() >= 2, "it was sent again");
    assert_eq!(watched.told(), ["missing missing@0"]);
}

async fn a_skipped_number_is_told_until_its_file_comes(db: TestDb) {
    let watched = Watched::start(db).await;
    watched.app.stop_jobs().await;
    watched.expect(-4, |body| body["name_pattern"] = json!("batch_(?<sequence>\\d+)\\.csv")).await;
    for (day, number) in [(-4, 117), (-2, 119), (-1, 120)] {
        watched.hand_over(day, &format!("batch_{number}.csv"), &number.to_string()).await;
    }
    watched.to(1, "11:00:00");
    watched.app.run_jobs();
    watched.look().await;
    let told: BTreeSet<String> = watched.told().into_iter().collect();
    assert_eq!(told, ["gap sequence#118@-2".to_owned(), "missing! missing@-3".to_owned()].into());
    assert_eq!(watched.states(-4, 0).await, ["arrived_late", "late", "gap", "arrived", "not_due"]);
    assert!(watched.shows(&open_gaps(2)));
    watched.hand_over(-3, "batch_118.csv", "118").await;
    watched.look().await;
    let told: BTreeSet<String> = watched.told().into_iter().skip(2).collect();
    assert_eq!(told, ["arrived sequence#118@-2".to_owned(), "arrived! missing@-3".to_owned()].into());
    assert_eq!(watched.states(-4, -1).await, ["arrived_late", "arrived_late", "arrived_late", "arrived"]);
}

async fn a_part_is_missing_until_the_whole_is_in_force(db: TestDb) {
    let watched = Watched::start(db).await;
    watched.app.stop_jobs().await;
    let pattern = "ledger(-(?<part>\\d{4})of(?<parts>\\d{4}))?";
    watched.expect(-1, |body| body["name_pattern"] = json!(pattern)).await;
    watched.hand_over(-1, "ledger-0001of0002", "A").await;
    watched.to(0, "23:59:00");
    watched.app.run_jobs();
    watched.look().await;
    assert_eq!(watched.told(), ["gap part#2@-1"]);
    // The other part takes the place of the first: now that one is missing of the day.
    watched.hand_over(-1, "ledger-0002of0002", "B").await;
    watched.look().await;
    let told: BTreeSet<String> = watched.told().into_iter().skip(1).collect();
    assert_eq!(told, ["arrived part#2@-1".to_owned(), "gap part#1@-1".to_owned()].into());
    watched.hand_over(-1, "ledger", "A,10.00,EUR,Settled\nB").await;
    watched.look().await;
    assert_eq!(watched.told()[3..], ["arrived part#1@-1"]);
    assert_eq!(watched.states(-1, -1).await, ["arrived"]);
}

async fn a_number_with_two_contents_is_told_once(db: TestDb) {
    let watched = Watched::start(db).await;
    watched.app.stop_jobs().await;
    watched.expect(-2, |body| body["name_pattern"] = json!("batch_(?<sequence>\\d+)\\.csv")).await;
    watched.hand_over(-2, "batch_7.csv", "7").await;
    watched.hand_over(-1, "batch_7.csv", "8").await;
    watched.to(0, "23:57:00");
    watched.app.run_jobs();
    watched.look().await;
    watched.look().await;
    assert_eq!(watched.told(), ["repeated repeated#7@-1"]);
    assert_eq!(watched.states(-2, -1).await, ["arrived_late", "arrived"]);
}

async fn a_day_that_is_excused_is_told_of_no_more(db: TestDb) {
    let watched = Watched::start(db).await;
    let expected = watched.expect(0, |_| {}).await;
    let note = json!({ "note": "Bank holiday." });
    // One ahead of time, one that is late.
    let ahead = watched.app.post(&watched.excuse_path(&expected, 1), &note).await;
    assert_eq!((ahead.status, &ahead.data()["state"]), (200, &json!("excused")), "{:?}", ahead.json());
    watched.to(1, "12:01:00");
    watched.look().await;
    assert_eq!(watched.told(), ["missing missing@0"]);
    let path = watched.excuse_path(&expected, 0);
    let keyed = |body: &Value| {
        let request = watched.app.client.post(&path, body).by(As::Operator);
        request.header("idempotency-key", "excuse-1").send()
    };
    let (first, again) = (keyed(&note).await, keyed(&note).await);
    assert_eq!((first.status, first.data()), (200, again.data()));
    let gap = &first.data()["gaps"][0];
    assert_eq!((&gap["closed_as"], &gap["note"]), (&json!("excused"), &json!("Bank holiday.")));
    assert!(gap["closed_by"].is_string() && gap["closed_at"] == first.data()["since"]);
    watched.to(2, "12:01:00");
    watched.look().await;
    assert_eq!(watched.states(0, 2).await, ["excused", "excused", "not_due"]);
    assert_eq!(watched.told().len(), 1);
    watched.hand_over(2, "in-time.csv", "A").await;
    for (after, code) in [(0, "NOTHING_TO_EXCUSE"), (2, "NOTHING_TO_EXCUSE"), (-9, "NOTHING_TO_EXCUSE")] {
        let refused = watched.app.post(&watched.excuse_path(&expected, after), &note).await;
        assert_eq!((refused.status, refused.code().as_str()), (409, code), "{after}");
    }
    let audited = "SELECT CAST(COUNT(*) AS BIGINT) AS counted FROM audit_log \
        WHERE action = 'expected_file.day_excused'";
    let db = &watched.app.db;
    let row = db.read().query_one_raw(db.backend().statement(audited, [])).await.unwrap();
    assert_eq!(row.unwrap().try_get::<i64>("", "counted").unwrap(), 2);
    // What comes after all has arrived.
    watched.hand_over(0, "after-all.csv", "B").await;
    watched.look().await;
    assert_eq!((watched.states(0, 0).await, watched.told().len()), (vec!["arrived_late".to_owned()], 1));
}

async fn another_plan_holds_for_the_days_before(db: TestDb) {
    let watched = Watched::start(db).await;
    watched.app.stop_jobs().await;
    let holidays = json!([watched.day(-3), watched.day(-2)]);
    let late = |body: &mut Value| body["escalate_after_hours"] = json!(720);
    let expected = watched
        .expect(-4, |body| {
            late(body);
            body["holidays"] = holidays;
        })
        .await;
    watched.to(0, "23:56:00");
    watched.app.run_jobs();
    watched.look().await;
    assert_eq!(watched.told(), ["missing missing@-4 missing@-1"]);
    // The first was a holiday, and the second of those that were said to be was none.
    let path = format!("{EXPECTED}/{}", expected["id"].as_str().unwrap());
    let mut body =
        json!({ "channel": "adyen", "due_time": "12:00", "holidays": [watched.day(-4), watched.day(-3)] });
    late(&mut body);
    assert_eq!(call(&watched.app, Method::PUT, &path, &body).await.status, 200);
    watched.look().await;
    watched.look().await;
    assert_eq!(watched.told()[1..], ["missing missing@-2"]);
    assert_eq!(watched.states(-4, -1).await, ["late", "late"]);
    assert_eq!(call(&watched.app, Method::DELETE, &path, &json!({})).await.status, 200);
    assert!(watched.days(-4, -1).await.is_empty());
    watched.look().await;
    assert_eq!((watched.told().len(), watched.shows(&open_gaps(0))), (2, true));
}

async fn the_days_are_those_of_the_zone(db: TestDb) {
    let watched = Watched::start(db).await;
    watched
        .expect(0, |body| {
            body["timezone"] = json!("Asia/Shanghai");
            body["due_time"] = json!("02:30");
        })
        .await;
    let due_at = json!(format!("{}T18:30:00Z", watched.day(0)));
    assert_eq!(watched.days(0, 0).await[0]["due_at"], due_at);
    // The same date in UTC is another day.
    watched.hand_over(0, "utc.csv", "A").await;
    watched.to(0, "18:30:30");
    watched.look().await;
    assert_eq!(
        (watched.told(), watched.states(0, 0).await),
        (vec!["missing missing@0".to_owned()], vec!["late".to_owned()])
    );
}

async fn bad_questions_name_their_field(db: TestDb) {
    let app = App::start(db).await;
    for (query, field) in [
        ("from=2026-01-02&to=2026-01-01", "from"),
        ("from=2026-01-01&to=2026-04-04", "from"),
        ("to=9999-01-01", "to"),
        ("channel=cash", "channel"),
        ("day=2026-01-01", "day"),
    ] {
        let refused = app.get(&format!("{COMPLETENESS}?{query}")).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, field), "{query}");
    }
    let unknown = format!("{COMPLETENESS}/0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b/2026-01-01/excuse");
    for (body, code) in [(json!({ "note": " " }), 400), (json!({}), 400), (json!({ "note": "x" }), 404)] {
        assert_eq!(app.post(&unknown, &body).await.status, code, "{body}");
    }
    assert_eq!(app.client.get(COMPLETENESS).send().await.status, 401);
}
