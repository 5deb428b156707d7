//! Many disputes at once: the order of work, figures, exports, and what a refund has to know.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use payops_sandbox::DisputeStatus;
use serde_json::{Value, json};

use crate::harness::{App, MERCHANT, entry};

both_databases!(payops_disputes::MIGRATIONS;
    work_is_ordered_by_time_left_and_money,
    work_is_filtered_and_paged_without_gaps,
    figures_are_those_of_the_list_however_they_are_kept,
    a_period_is_days_of_a_zone,
    figures_belong_to_their_merchant,
    all_or_none_are_assigned,
    an_export_holds_the_filtered_list,
    before_a_refund_unknown_is_not_no,
    an_inquiry_is_no_chargeback_before_a_refund,
);

const OTHER: &str = "0193a2b4-c5d6-7e8f-9a0b-000000000002";

impl App {
    /// Enters a dispute by hand that differs from the usual one; gives its id.
    async fn entered_with(&self, payment_no: &str, different: Value) -> String {
        let mut body = entry(payment_no);
        body.as_object_mut().unwrap().extend(different.as_object().unwrap().clone());
        let created = self.post("/api/v1/disputes", &body).await;
        assert_eq!(created.status, 201, "{:?}", created.json());
        created.data()["id"].as_str().unwrap().to_owned()
    }

    async fn decided(&self, id: &str, status: &str) {
        let path = format!("/api/v1/disputes/{id}/status");
        let set = self.put(&path, &json!({ "status": status })).send().await;
        assert_eq!(set.status, 200, "{:?}", set.json());
    }

    /// A due day, so many days and hours from now.
    fn due(&self, days: i64, hours: i64) -> Value {
        json!(self.context().now() + TimeDelta::days(days) + TimeDelta::hours(hours))
    }

    async fn statistics(&self, query: &str) -> Value {
        let page = self.get(&format!("/api/v1/disputes/statistics{query}")).await;
        assert_eq!(page.status, 200, "{:?}", page.json());
        page.data()
    }

    async fn refund_advice(&self, payment_no: &str, query: &str) -> (String, Value) {
        let path = format!("/api/v1/disputes/by-payment/{payment_no}{query}");
        let advice = self.get(&path).await;
        assert_eq!(advice.status, 200, "{:?}", advice.json());
        let advice = advice.data();
        (advice["refund_would_pay_twice"].as_str().unwrap().to_owned(), advice["reasons"].clone())
    }
}

async fn work_is_ordered_by_time_left_and_money(db: TestDb) {
    let app = App::start(db).await;
    for (payment, amount, due) in [
        ("later", 900, app.due(30, 0)),
        ("week", 900, app.due(6, 0)),
        ("small today", 100, app.due(0, 3)),
        ("three days", 900, app.due(2, 0)),
        ("large today", 500, app.due(0, 20)),
        ("passed", 900, app.due(0, -1)),
        ("undated", 900, Value::Null),
    ] {
        app.entered_with(payment, json!({ "amount": amount, "evidence_due_by": due })).await;
    }
    let done = app.entered_with("done", json!({ "evidence_due_by": app.due(0, 2) })).await;
    app.decided(&done, "lost").await;
    let queue = app.get("/api/v1/disputes/queue").await.data();
    let order: Vec<(&str, &str)> = queue["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|work| (work["payment_no"].as_str().unwrap(), work["urgency"].as_str().unwrap()))
        .collect();
    let expected = [
        ("large today", "day"),
        ("small today", "day"),
        ("three days", "three_days"),
        ("week", "week"),
        ("later", "later"),
        ("undated", "undated"),
        ("passed", "overdue"),
    ];
    assert_eq!(order, expected);
    assert_eq!(queue["total"], 7);
}

async fn work_is_filtered_and_paged_without_gaps(db: TestDb) {
    let app = App::start(db).await;
    let mut all = Vec::new();
    for n in 0..23 {
        let currency = ["USD", "EUR", "JPY"][n % 3];
        let different = json!({
            "amount": 100 + i64::try_from(n / 6).unwrap(), "currency": currency,
            "evidence_due_by": app.due(i64::try_from(n % 9).unwrap(), 1),
        });
        all.push(app.entered_with(&format!("PAY-{n}"), different).await);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("/api/v1/disputes/queue?page_size=5{cursor}")).await.data();
        let items = page["items"].as_array().unwrap().clone();
        seen.extend(items.iter().map(|work| work["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        // Things become more urgent while somebody turns the pages.
        app.advance(TimeDelta::hours(7));
    }
    let whole = app.get("/api/v1/disputes/queue?page_size=100").await.data();
    assert_eq!(whole["total"], 23);
    let mut sorted = seen.clone();
    sorted.sort();
    all.sort();
    assert_eq!(sorted, all, "each once");

    let given = &all[..4];
    let body = json!({ "dispute_ids": given, "assigned_to": "agent-7" });
    let assigned = app.client.post("/api/v1/disputes/bulk/assign", &body).by(As::Admin).send().await;
    assert_eq!((assigned.status, &assigned.data()["count"]), (200, &json!(4)), "{:?}", assigned.json());
    for (query, count) in [
        ("?assigned_to=agent-7", 4),
        ("?unassigned=true", 19),
        ("?unassigned=false", 4),
        ("?currency=usd", 8),
        ("?channel=paypal", 0),
        (&format!("?merchant_id={MERCHANT}"), 23),
        (&format!("?merchant_id={OTHER}"), 0),
    ] {
        let page = app.get(&format!("/api/v1/disputes/queue{query}")).await.data();
        assert_eq!(page["total"], count, "{query}");
    }
    let own = As::Merchant(MERCHANT.parse().unwrap());
    assert_eq!(app.client.get("/api/v1/disputes/queue").by(own).send().await.status, 403);
}

/// What statistics have to say, counted from the list.
async fn counted(app: &App, group: &str) -> BTreeMap<(String, String, String), (i64, i128)> {
    let page = app.get("/api/v1/disputes?page_size=100").await.data();
    let mut counted = BTreeMap::new();
    for dispute in page["items"].as_array().unwrap() {
        let outcome = match dispute["status"].as_str().unwrap() {
            "won" => "won",
            "lost" => "lost",
            "charge_refunded" => "refunded",
            "warning_closed" | "prevented" => "closed",
            _ => "pending",
        };
        let value = dispute[group].as_str().unwrap_or_default().to_owned();
        let key = (value, dispute["currency"].as_str().unwrap().to_owned(), outcome.to_owned());
        let (count, amount) = counted.entry(key).or_insert((0_i64, 0_i128));
        *count += 1;
        *amount += i128::from(dispute["amount"].as_i64().unwrap());
    }
    counted
}

/// The amounts in a group, by currency and outcome, and how many disputes ended each way.
fn figures(group: &Value) -> (BTreeMap<(String, String), i128>, BTreeMap<String, i64>) {
    let (mut money, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for currency in group["money"].as_array().unwrap() {
        for outcome in ["won", "lost", "pending", "refunded"] {
            let amount: i128 = currency[format!("{outcome}_amount")].to_string().parse().unwrap();
            if amount != 0 {
                let code = currency["currency"].as_str().unwrap().to_owned();
                money.insert((code, outcome.to_owned()), amount);
            }
        }
    }
    for outcome in ["won", "lost", "pending", "refunded", "closed"] {
        let count = group[format!("{outcome}_count")].as_i64().unwrap();
        if count != 0 {
            counts.insert(outcome.to_owned(), count);
        }
    }
    (money, counts)
}

async fn figures_are_those_of_the_list_however_they_are_kept(db: TestDb) {
    let app = App::start(db).await;
    let none = app.statistics("").await;
    assert_eq!((&none["total_count"], &none["win_rate"]), (&json!(0), &Value::Null));
    let mut ids = Vec::new();
    for n in 0_usize..12 {
        let amount = if n == 3 { i64::MAX } else { 1_000 + i64::try_from(n).unwrap() };
        let (currency, channel) = (["USD", "JPY"][n % 2], ["stripe", "paypal", "adyen"][n % 3]);
        let reason = ["fraudulent", "duplicate"][n / 6];
        let different =
            json!({ "amount": amount, "currency": currency, "channel": channel, "reason": reason });
        ids.push(app.entered_with(&format!("PAY-{n}"), different).await);
    }
    for (id, status) in ids.iter().zip(["won", "lost", "lost", "lost", "charge_refunded", "under_review"]) {
        app.decided(id, status).await;
    }
    app.keep_schedules().await;
    for folded in [false, true] {
        if folded {
            // What was kept apart is in the sums now; what changes afterwards is not.
            app.advance(TimeDelta::minutes(1));
            app.until_true(async || {
                let page = app.context().metrics.render().unwrap();
                let found =
                    page.contains("disputes_win_rate{service=\"dispute-service\",channel=\"stripe\"}");
                if found { Ok(()) } else { Err(json!(page)) }
            })
            .await;
            app.decided(&ids[1], "won").await;
            app.decided(&ids[6], "lost").await;
        }
        for (group_by, field) in [
            ("channel", "channel"),
            ("reason", "reason"),
            ("currency", "currency"),
            ("assignee", "assigned_to"),
        ] {
            let wanted = counted(&app, field).await;
            let found = app.statistics(&format!("?group_by={group_by}")).await;
            let mut total = 0;
            for group in found["groups"].as_array().unwrap() {
                let value = group["value"].as_str().unwrap_or_default();
                let of = wanted.iter().filter(|((group, ..), _)| group == value);
                let (mut money, mut counts) = (BTreeMap::new(), BTreeMap::new());
                for ((_, currency, outcome), (count, amount)) in of {
                    money.insert((currency.clone(), outcome.clone()), *amount);
                    *counts.entry(outcome.clone()).or_insert(0) += count;
                }
                assert_eq!(figures(group), (money, counts), "{group_by} {value}");
                total += group["total_count"].as_i64().unwrap();
            }
            assert_eq!((total, &found["total_count"]), (12, &json!(12)), "{group_by}");
        }
    }
    let all = app.statistics("").await;
    assert_eq!(all["win_rate"], json!(40.0), "two of five");
    assert!(all.get("groups").is_none());
}

async fn a_period_is_days_of_a_zone(db: TestDb) {
    let app = App::start(db).await;
    let first = (app.context().now() + TimeDelta::days(1)).date_naive();
    let [second, third] = [1, 2].map(|days| first + TimeDelta::days(days));
    for (payment, day, time) in [
        ("a", first, "15:59:59"),
        ("b", first, "16:00:00"),
        ("c", third, "15:59:59"),
        ("d", third, "16:00:00"),
    ] {
        // In Shanghai, another day begins at 16:00 of UTC.
        let at: payops_core::time::Timestamp = format!("{day}T{time}Z").parse().unwrap();
        app.advance(at - app.context().now());
        app.entered(payment).await;
    }
    for (query, count) in [
        (format!("?from={second}&to={third}&timezone=Asia/Shanghai"), 2),
        (format!("?from={second}&timezone=Asia/Shanghai"), 3),
        (format!("?to={first}&timezone=Asia/Shanghai"), 1),
        (format!("?from={first}&to={first}"), 2),
        (format!("?from={second}&to={second}"), 0),
        (format!("?from={third}"), 2),
        (format!("?to={third}"), 4),
    ] {
        assert_eq!(app.statistics(&query).await["total_count"], count, "{query}");
    }
    for bad in
        ["?from=2026-02-30", "?timezone=Mars/Olympus", "?from=2026-03-03&to=2026-03-02", "?group_by=card"]
    {
        let refused = app.get(&format!("/api/v1/disputes/statistics{bad}")).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_REQUEST"), "{bad}");
    }
}

async fn figures_belong_to_their_merchant(db: TestDb) {
    let app = App::start(db).await;
    app.entered("PAY-1").await;
    app.advance(TimeDelta::days(3));
    app.entered_with("PAY-2", json!({ "merchant_id": OTHER })).await;
    let (own, other) = (As::Merchant(MERCHANT.parse().unwrap()), As::Merchant(OTHER.parse().unwrap()));
    for (who, total) in [(own, 1), (other, 1), (As::Operator, 2)] {
        let found = app.client.get("/api/v1/disputes/statistics").by(who).send().await;
        assert_eq!((found.status, &found.data()["total_count"]), (200, &json!(total)));
    }
    let today = app.context().now().date_naive();
    let today = format!("/api/v1/disputes/statistics?from={today}");
    assert_eq!(app.client.get(&today).by(own).send().await.data()["total_count"], 0);
    assert_eq!(app.client.get(&today).by(other).send().await.data()["total_count"], 1);
    let others = format!("/api/v1/disputes/statistics?merchant_id={OTHER}");
    assert_eq!(app.client.get(&others).by(own).send().await.status, 404);
    let export = app.client.get("/api/v1/disputes/export").by(own).send().await;
    let export = String::from_utf8_lossy(&export.body).into_owned();
    assert!(export.contains("PAY-1") && !export.contains("PAY-2"), "{export}");
    assert_eq!(app.client.get("/api/v1/disputes/by-payment/PAY-1").by(own).send().await.status, 403);
}

async fn all_or_none_are_assigned(db: TestDb) {
    let app = App::start(db).await;
    let (first, second) = (app.entered("PAY-1").await, app.entered("PAY-2").await);
    app.decided(&second, "lost").await;
    let missing = "0193a2b4-c5d6-7e8f-9a0b-00000000dead";
    let path = "/api/v1/disputes/bulk/assign";
    let body = json!({ "dispute_ids": [missing, first, second], "assigned_to": "agent-7" });
    let refused = app.client.post(path, &body).by(As::Admin).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "BULK_REFUSED"));
    let problems = json!([
        { "dispute_id": missing, "code": "DISPUTE_NOT_FOUND" },
        { "dispute_id": second, "code": "DISPUTE_STATUS", "status": "lost" },
    ]);
    assert_eq!(refused.data()["problems"], problems);
    let kept = app.get(&format!("/api/v1/disputes/{first}")).await.data();
    assert_eq!(kept["assigned_to"], Value::Null, "none was");
    for bad in [
        json!({ "dispute_ids": [], "assigned_to": "agent-7" }),
        json!({ "dispute_ids": [first, first], "assigned_to": "agent-7" }),
        json!({ "dispute_ids": vec![&first; 501], "assigned_to": "agent-7" }),
        json!({ "dispute_ids": [first], "assigned_to": "" }),
        json!({ "dispute_ids": [first] }),
    ] {
        let refused = app.client.post(path, &bad).by(As::Admin).send().await;
        assert_eq!(refused.status, 400, "{:?}", refused.json());
    }
    let body = json!({ "dispute_ids": [first], "assigned_to": "agent-7" });
    assert_eq!(app.post(path, &body).await.status, 403, "operators work, their lead assigns");
    assert_eq!(app.client.post(path, &body).by(As::Admin).send().await.status, 200);
    let body = json!({ "dispute_ids": [first], "assigned_to": null });
    assert_eq!(app.client.post(path, &body).by(As::Admin).send().await.status, 200);
    assert_eq!(app.story(&first).await, ["created", "assigned", "assigned"]);
}

async fn an_export_holds_the_filtered_list(db: TestDb) {
    let app = App::start(db).await;
    for n in 0..7 {
        app.entered_with(&format!("PAY-{n}"), json!({ "reason": "=HYPERLINK(\"x\"),\"y\"" })).await;
    }
    let lost = app.entered("PAY-L").await;
    app.decided(&lost, "lost").await;
    let export = app.get("/api/v1/disputes/export?status=needs_response").await;
    assert_eq!(export.status, 200);
    let mut reader = csv::Reader::from_reader(export.body.as_ref());
    let heads = reader.headers().unwrap().clone();
    let place = |name: &str| heads.iter().position(|head| head == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let payments: Vec<&str> = rows.iter().map(|row| &row[place("payment_no")]).collect();
    assert_eq!(payments, ["PAY-6", "PAY-5", "PAY-4", "PAY-3", "PAY-2", "PAY-1", "PAY-0"], "the newest first");
    assert!(rows.iter().all(|row| &row[place("reason")] == "'=HYPERLINK(\"x\"),\"y\""));
    assert!(rows.iter().all(|row| &row[place("amount")] == "12300" && &row[place("currency")] == "USD"));
    for path in ["/api/v1/disputes", "/api/v1/disputes/export"] {
        let nothing = "due_from=2026-03-01T00:00:00Z&due_before=2026-03-01T00:00:00Z";
        let refused = app.get(&format!("{path}?{nothing}")).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, "due_before"), "{path}");
    }
}

async fn before_a_refund_unknown_is_not_no(db: TestDb) {
    let app = App::start(db).await;
    let unknown = |reasons: Value| ("unknown".to_owned(), reasons);
    assert_eq!(app.refund_advice("PAY-1", "").await, unknown(json!(["channel_not_named"])));
    let (stripe, paypal) = ("?channel=stripe", "?channel=paypal");
    assert_eq!(app.refund_advice("PAY-1", paypal).await, unknown(json!(["channel_not_read"])));
    assert_eq!(app.refund_advice("PAY-1", stripe).await, unknown(json!(["channel_not_read"])), "not yet");
    app.keep_schedules().await;
    app.advance(TimeDelta::hours(1));
    app.until_true(async || {
        let advice = app.refund_advice("PAY-1", stripe).await;
        if advice.0 == "no" { Ok(()) } else { Err(json!(advice)) }
    })
    .await;
    assert_eq!(app.refund_advice("PAY-1", stripe).await, ("no".to_owned(), json!(["no_dispute"])));

    let disputed = app.opened("PAY-1", |_| {});
    app.until(&disputed, |dispute| dispute["payment_no"] == "PAY-1").await;
    let yes = |reason: &str| ("yes".to_owned(), json!([reason]));
    assert_eq!(app.refund_advice("PAY-1", "").await, yes("chargeback_open"));
    assert_eq!(app.refund_advice("PAY-2", stripe).await, ("no".to_owned(), json!(["no_dispute"])));
    app.sandbox.handle().decide_dispute(&disputed, DisputeStatus::Lost).unwrap();
    app.until(&disputed, |dispute| dispute["status"] == "lost").await;
    assert_eq!(app.refund_advice("PAY-1", "").await, yes("dispute_lost"));

    // One that nobody can tie to a payment makes each payment doubtful, but for the channel's own id.
    let unlinked = app.opened("PAY-3", |order| order.charge_metadata.clear());
    let row = app.until(&unlinked, |dispute| dispute["channel_read_at"].is_string()).await;
    assert_eq!(app.refund_advice("PAY-2", stripe).await, unknown(json!(["unlinked_disputes"])));
    let charge = row["channel_charge_id"].as_str().unwrap();
    let by_charge = format!("?channel=stripe&channel_payment_id={charge}");
    assert_eq!(app.refund_advice("PAY-3", &by_charge).await, yes("chargeback_open"));
    let by_other = "?channel=stripe&channel_payment_id=ch_of_somebody_else";
    assert_eq!(app.refund_advice("PAY-2", by_other).await, ("no".to_owned(), json!(["no_dispute"])));
}

async fn an_inquiry_is_no_chargeback_before_a_refund(db: TestDb) {
    let app = App::start(db).await;
    app.keep_schedules().await;
    app.advance(TimeDelta::hours(1));
    let inquiry = app.opened("PAY-1", |order| order.status = DisputeStatus::WarningNeedsResponse);
    app.until(&inquiry, |dispute| dispute["status"] == "warning_needs_response").await;
    app.until_true(async || {
        let advice = app.refund_advice("PAY-1", "").await;
        if advice == ("no".to_owned(), json!(["inquiry_open"])) { Ok(()) } else { Err(json!(advice)) }
    })
    .await;
    app.sandbox.handle().decide_dispute(&inquiry, DisputeStatus::NeedsResponse).unwrap();
    app.until(&inquiry, |dispute| dispute["status"] == "needs_response").await;
    let advice = app.refund_advice("PAY-1", "").await;
    assert_eq!(advice, ("yes".to_owned(), json!(["chargeback_open"])));
}
