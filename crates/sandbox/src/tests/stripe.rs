//! Stripe's side.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use payops_core::currency::{Currency, Exponents};
use payops_core::money::parse_major;

use super::*;
use crate::days::{CURRENCIES, DayPlan, Variant};

/// Parameters as they are sent.
type Given<'a> = &'a [(&'a str, &'a str)];

fn minor(text: &str, currency: &str) -> i64 {
    parse_major(text.as_bytes(), Exponents::Stripe.of(currency.parse().unwrap())).unwrap()
}

/// Sums of one amount column by currency.
fn sums(text: &str, column: &str) -> BTreeMap<Currency, i64> {
    let rows = csv(text);
    let at = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
    let (amount, currency) = (at(column), at("currency"));
    let mut sums = BTreeMap::new();
    for row in &rows[1..] {
        *sums.entry(row[currency].parse().unwrap()).or_default() += minor(&row[amount], &row[currency]);
    }
    sums
}

#[tokio::test]
async fn report_types_say_what_is_available() {
    let bed = Bed::start().await;
    let list = bed.stripe("/v1/reporting/report_types").await;
    assert_eq!((list.status, list.body["data"].as_array().unwrap().len()), (200, 16));
    let one = bed.stripe("/v1/reporting/report_types/balance.summary.1").await;
    assert_eq!(one.body["data_available_end"], 1_729_900_800);
    assert_eq!(one.body["data_available_start"], 1_577_836_800);
    assert_eq!(one.body["default_columns"], json!(["category", "description", "net_amount", "currency"]));
    bed.clock.advance(TimeDelta::hours(13));
    let later = bed.stripe("/v1/reporting/report_types/balance.summary.1").await;
    assert_eq!(later.body["data_available_end"], 1_729_944_000);
    let none = bed.stripe("/v1/reporting/report_types/balance.summary.9").await;
    assert_eq!((none.status, none.error("code")), (404, "resource_missing"));
    assert!(none.headers["request-id"].to_str().unwrap().starts_with("req_"));
}

#[tokio::test]
async fn a_run_is_pending_then_succeeds_and_its_file_is_the_day() {
    let bed = Bed::start().await;
    let created = bed.create_run(ACTIVITY, &[]).await;
    assert_eq!((created.status, &created.body["status"]), (200, &json!("pending")));
    assert_eq!(created.body["result"], Value::Null);
    assert_eq!(created.body["parameters"]["interval_start"], INTERVAL.0);
    assert_eq!(created.headers["stripe-version"], "2024-06-20");
    let path = format!("/v1/reporting/report_runs/{}", created.body["id"].as_str().unwrap());
    bed.clock.advance(TimeDelta::milliseconds(1999));
    assert_eq!(bed.stripe(&path).await.body["status"], "pending");
    bed.clock.advance(TimeDelta::milliseconds(1));
    let run = bed.stripe(&path).await.body;
    assert_eq!(run["status"], "succeeded");
    let file = &run["result"];
    assert_eq!(
        (&file["object"], &file["type"], &file["purpose"]),
        (&json!("file"), &json!("csv"), &json!("finance_report_run"))
    );
    assert_eq!(bed.stripe(&format!("/v1/files/{}", file["id"].as_str().unwrap())).await.body, *file);

    let response = bed.download(&run, &[]).await;
    assert_eq!(response.headers()["content-length"], file["size"].to_string());
    assert_eq!(response.headers()["content-type"], "text/csv");
    assert!(response.headers().contains_key("etag"));
    let text = response.text().await.unwrap();
    let truth = bed.day(SEEDED).truth();
    assert_eq!(csv(&text).len() as u64 - 1, truth.channel_totals.rows);
    assert_eq!(sums(&text, "net"), truth.channel_totals.net);
    assert_eq!(sums(&text, "gross"), truth.channel_totals.gross);
    assert_eq!(sums(&text, "fee"), truth.channel_totals.fee);
}

#[tokio::test]
async fn the_balance_summary_ties_with_the_itemised_rows_and_the_payouts() {
    let bed = Bed::start().await;
    let (activity, summary) = (bed.report(ACTIVITY, &[]).await, bed.report(SUMMARY, &[]).await);
    let payouts = bed.report("payouts.itemized.3", &[]).await;
    let reconciliation = bed.report("payout_reconciliation.itemized.5", &[]).await;
    let mut balance: BTreeMap<(String, Currency), i64> = BTreeMap::new();
    for row in &csv(&summary)[1..] {
        balance.insert((row[0].clone(), row[3].parse().unwrap()), minor(&row[2], &row[3]));
    }
    assert_eq!(balance.len(), 16);
    for currency in CURRENCIES {
        let of = |category: &str| balance[&(category.to_owned(), currency)];
        assert_eq!(of("starting_balance") + of("activity") + of("payouts"), of("ending_balance"));
        assert_eq!(of("activity"), sums(&activity, "net")[&currency]);
        assert_eq!(of("payouts"), sums(&payouts, "net")[&currency]);
        assert_eq!(-of("payouts"), sums(&reconciliation, "net")[&currency]);
    }
    assert!(summary.contains("starting_balance,Starting balance (2024-10-24),"), "{summary}");
}

#[tokio::test]
async fn columns_timezone_and_filters_are_honoured() {
    let bed = Bed::start().await;
    let text = bed
        .report(
            ACTIVITY,
            &[
                ("parameters[columns][0]", "created"),
                ("parameters[columns][1]", "currency"),
                ("parameters[columns][]", "automatic_payout_id"),
                ("parameters[timezone]", "Asia/Shanghai"),
                ("parameters[currency]", "jpy"),
                ("parameters[reporting_category]", "charge"),
            ],
        )
        .await;
    let rows = csv(&text);
    assert_eq!(rows[0], ["created", "currency", "automatic_payout_id"]);
    assert!(rows.len() > 3);
    assert!(rows[1..].iter().all(|row| row[1] == "jpy" && row[2].starts_with("po_")));
    assert!(
        rows[1..].iter().any(|row| row[0].starts_with("2024-10-25 0")),
        "16:00 UTC is the next day there"
    );
}

#[tokio::test]
async fn wrong_parameters_are_answered_as_stripe_answers_them() {
    let bed = Bed::start().await;
    let bounds = [("parameters[interval_start]", "1729728000"), ("parameters[interval_end]", "1729814400")];
    let cases: [(Given<'_>, &str, &str); 10] = [
        (&[("report_type", "")], "parameter_missing", "report_type"),
        (&[("report_type", "nope.1")], "", "report_type"),
        (&[("report_type", SUMMARY), ("color", "red")], "parameter_unknown", "color"),
        (&[("report_type", SUMMARY), ("parameters[color]", "red")], "parameter_unknown", "parameters[color]"),
        (
            &[
                ("report_type", "balance_change_from_activity.itemized.2"),
                ("parameters[timezone]", "Etc/UTC"),
            ],
            "parameter_unknown",
            "parameters[timezone]",
        ),
        (&[("report_type", ACTIVITY), ("parameters[columns][]", "nope")], "", "parameters.columns"),
        (&[("report_type", ACTIVITY), ("parameters[timezone]", "Mars/Olympus")], "", "parameters.timezone"),
        (&[("report_type", ACTIVITY), ("parameters[currency]", "dollars")], "", "parameters[currency]"),
        (
            &[("report_type", ACTIVITY), ("parameters[payout]", "po_1")],
            "parameter_unknown",
            "parameters[payout]",
        ),
        (
            &[("report_type", ACTIVITY), ("parameters[decimal_separator]", "x")],
            "",
            "parameters[decimal_separator]",
        ),
    ];
    for (given, code, param) in cases {
        let answer = bed.create(&[given, &bounds].concat(), None).await;
        assert_eq!(
            (answer.status, answer.error("code"), answer.error("param")),
            (400, code, param),
            "{given:?}"
        );
        assert_eq!(answer.error("type"), "invalid_request_error");
    }
    let interval = async |start: &str, end: &str| {
        let given = [
            ("report_type", SUMMARY),
            ("parameters[interval_start]", start),
            ("parameters[interval_end]", end),
        ];
        bed.create(&given, None).await
    };
    assert_eq!(interval("abc", "5").await.error("code"), "parameter_invalid_integer");
    assert_eq!(interval("", "5").await.error("param"), "parameters[interval_start]");
    assert_eq!(interval("1729814400", "1729728000").await.error("param"), "parameters.interval_start");
    let early = interval("1", "1729814400").await;
    assert_eq!(
        early.error("message"),
        "Data for the report type balance.summary.1 is only available starting at 2020-01-01 00:00:00 UTC; \
         you requested `interval_start` = 1970-01-01 00:00:01 UTC."
    );
    let late = interval("1729728000", "1729900801").await;
    assert_eq!((late.status, late.error("param")), (400, "parameters.interval_end"));
    assert!(late.error("message").contains("only available through 2024-10-26 00:00:00 UTC"));
    let json_body = bed.http.post(bed.url("/v1/reporting/report_runs")).bearer_auth(DEFAULT_STRIPE_API_KEY);
    let json_body = Answer::of(json_body.json(&json!({})).send().await.unwrap()).await;
    assert_eq!((json_body.status, json_body.error("type")), (400, "invalid_request_error"));
}

#[tokio::test]
async fn only_the_right_key_opens() {
    let bed = Bed::start().await;
    let url = bed.url("/v1/reporting/report_types");
    let none = Answer::of(bed.http.get(&url).send().await.unwrap()).await;
    assert_eq!((none.status, none.error("type")), (401, "invalid_request_error"));
    assert!(none.headers.contains_key("www-authenticate") && none.headers.contains_key("request-id"));
    let wrong = Answer::of(bed.http.get(&url).bearer_auth("sk_test_wrong").send().await.unwrap()).await;
    assert_eq!((wrong.status, wrong.error("message")), (401, "Invalid API Key provided: ****rong"));
    let basic = bed.http.get(&url).basic_auth(DEFAULT_STRIPE_API_KEY, None::<&str>).send().await.unwrap();
    assert_eq!(basic.status(), 200);
    let file = Answer::of(bed.http.get(bed.url("/v1/files/x/contents")).send().await.unwrap()).await;
    assert_eq!(file.status, 401);
}

#[tokio::test]
async fn an_idempotency_key_stands_for_one_run() {
    let bed = Bed::start().await;
    let (start, end) = (INTERVAL.0.to_string(), INTERVAL.1.to_string());
    let parameters = |report_type| {
        [
            ("report_type", report_type),
            ("parameters[interval_start]", start.as_str()),
            ("parameters[interval_end]", end.as_str()),
        ]
    };
    let first = bed.create(&parameters(ACTIVITY), Some("key-1")).await;
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(first.headers["idempotency-key"], "key-1");
    let repeat = bed.create(&parameters(ACTIVITY), Some("key-1")).await;
    assert_eq!((repeat.status, &repeat.body), (200, &first.body));
    assert_eq!(repeat.headers["idempotent-replayed"], "true");
    assert_eq!(repeat.headers["original-request"], first.headers["request-id"]);
    let other = bed.create(&parameters(SUMMARY), Some("key-1")).await;
    assert_eq!((other.status, other.error("type")), (400, "idempotency_error"));
    assert!(other.error("message").contains("Try using a key other than 'key-1'"));
    assert_eq!(bed.create(&parameters("nope"), Some("key-2")).await.status, 400);
    assert_eq!(
        bed.create(&parameters(ACTIVITY), Some("key-2")).await.status,
        200,
        "a refusal leaves the key free"
    );
    assert_eq!(bed.create(&parameters(ACTIVITY), Some(&"k".repeat(256))).await.status, 400);
    bed.clock.advance(TimeDelta::hours(25));
    let next_day = bed.create(&parameters(ACTIVITY), Some("key-1")).await;
    assert_ne!(next_day.body["id"], first.body["id"]);
}

#[tokio::test]
async fn a_key_whose_first_call_is_still_running_is_a_conflict() {
    let bed = Bed::start().await;
    bed.fault(json!({"target": "stripe.create", "kind": "slow", "ms": 1500})).await;
    let (start, end) = (INTERVAL.0.to_string(), INTERVAL.1.to_string());
    let parameters = [
        ("report_type", ACTIVITY),
        ("parameters[interval_start]", start.as_str()),
        ("parameters[interval_end]", end.as_str()),
    ];
    let first = bed.create(&parameters, Some("key"));
    let second = async {
        until(|| bed.sandbox.handle().faults().is_empty()).await;
        bed.create(&parameters, Some("key")).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status, second.status, second.error("code")), (200, 409, "idempotency_key_in_use"));
}

#[tokio::test]
async fn runs_are_listed_newest_first_and_in_pages() {
    let bed = Bed::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, bed.create_run(SUMMARY, &[]).await.body["id"].as_str().unwrap().to_owned());
        bed.clock.advance(TimeDelta::seconds(10));
    }
    let page = async |query: &str| bed.stripe(&format!("/v1/reporting/report_runs?{query}")).await;
    let listed = |answer: &Answer| {
        let data = answer.body["data"].as_array().unwrap();
        data.iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = page("limit=2").await;
    assert_eq!((listed(&first), &first.body["has_more"]), (ids[..2].to_vec(), &json!(true)));
    let rest = page(&format!("limit=101&starting_after={}", ids[1])).await;
    assert_eq!((listed(&rest), &rest.body["has_more"]), (ids[2..].to_vec(), &json!(false)));
    let before = page(&format!("limit=2&ending_before={}", ids[3])).await;
    assert_eq!((listed(&before), &before.body["has_more"]), (ids[1..3].to_vec(), &json!(true)));
    assert_eq!(listed(&page("created[gte]=1729944020").await), ids[..3]);
    let wrong = page("starting_after=frr_none").await;
    assert_eq!(
        (wrong.status, wrong.error("code"), wrong.error("param")),
        (400, "resource_missing", "starting_after")
    );
    let both = page(&format!("starting_after={}&ending_before={}", ids[0], ids[1])).await;
    assert_eq!(both.status, 400);
    assert_eq!(page("limit=abc").await.error("code"), "parameter_invalid_integer");
    assert_eq!(page("nope=1").await.error("code"), "parameter_unknown");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_stripes_words() {
    let bed = Bed::start().await;
    let run = bed.stripe("/v1/reporting/report_runs/frr_none").await;
    assert_eq!((run.status, run.error("message")), (404, "No such report run: 'frr_none'"));
    assert_eq!(bed.stripe("/v1/files/file_none").await.status, 404);
    assert_eq!(bed.stripe("/v1/files/file_none/contents").await.error("code"), "resource_missing");
    let url = bed.stripe("/v1/invoices").await;
    assert_eq!((url.status, url.error("message")), (404, "Unrecognized request URL (GET: /v1/invoices)."));
    let method = bed.http.delete(bed.url("/v1/reporting/report_runs")).bearer_auth(DEFAULT_STRIPE_API_KEY);
    let method = Answer::of(method.send().await.unwrap()).await;
    assert_eq!(method.status, 404);
    let version = bed.http.get(bed.url("/v1/events")).bearer_auth(DEFAULT_STRIPE_API_KEY);
    let version =
        Answer::of(version.header("stripe-version", "not-a-real-version").send().await.unwrap()).await;
    assert_eq!(
        (version.status, version.error("message")),
        (400, "Invalid Stripe API version: not-a-real-version")
    );
    let created = bed.create_run(SUMMARY, &[]).await;
    let file = created.body["id"].as_str().unwrap().replace("frr_", "file_");
    assert_eq!(
        bed.stripe(&format!("/v1/files/{file}/contents")).await.status,
        404,
        "pending runs have no file"
    );
}

#[tokio::test]
async fn a_download_can_be_resumed() {
    let bed = Bed::start().await;
    let run = bed.finished_run(ACTIVITY, &[]).await;
    let whole = bed.download(&run, &[]).await;
    let etag = whole.headers()["etag"].to_str().unwrap().to_owned();
    let whole = whole.bytes().await.unwrap();
    let rest = bed.download(&run, &[("range", "bytes=1000-"), ("if-range", &etag)]).await;
    assert_eq!(rest.status(), 206);
    assert_eq!(rest.headers()["content-range"], format!("bytes 1000-{}/{}", whole.len() - 1, whole.len()));
    assert_eq!(rest.headers()["content-length"], (whole.len() - 1000).to_string());
    assert_eq!(rest.bytes().await.unwrap(), whole[1000..]);
    let middle = bed.download(&run, &[("range", "bytes=100-199")]).await;
    assert_eq!(middle.bytes().await.unwrap(), whole[100..200]);
    let changed = bed.download(&run, &[("range", "bytes=1000-"), ("if-range", "\"other\"")]).await;
    assert_eq!((changed.status().as_u16(), changed.bytes().await.unwrap()), (200, whole.clone()));
    let beyond = bed.download(&run, &[("range", "bytes=99999999-")]).await;
    assert_eq!(beyond.status(), 416);
    assert_eq!(beyond.headers()["content-range"], format!("bytes */{}", whole.len()));
}

#[tokio::test]
async fn a_file_stays_as_it_was_when_the_day_is_corrected() {
    let bed = Bed::start().await;
    let run = bed.finished_run(ACTIVITY, &[]).await;
    let before = bed.download(&run, &[]).await.text().await.unwrap();
    bed.sandbox.handle().set_variant(SEEDED.parse().unwrap(), Variant::Corrected);
    assert_eq!(bed.download(&run, &[]).await.text().await.unwrap(), before);
    let after = bed.report(ACTIVITY, &[]).await;
    let truth = bed.day(SEEDED).truth();
    assert_ne!(after, before);
    assert_eq!(sums(&after, "net"), truth.channel_totals.net);
}

#[tokio::test]
async fn a_rate_limit_counts_each_second() {
    let bed = Bed::start_with(|config| config.rate_limit_per_second = Some(25)).await;
    for _ in 0..25 {
        assert_eq!(bed.stripe("/v1/events").await.status, 200);
    }
    let refused = bed.stripe("/v1/events").await;
    assert_eq!((refused.status, refused.error("code")), (429, "rate_limit"));
    assert_eq!(refused.headers["stripe-rate-limited-reason"], "global-rate");
    bed.clock.advance(TimeDelta::seconds(1));
    assert_eq!(bed.stripe("/v1/events").await.status, 200);
}

#[tokio::test]
async fn a_large_report_is_streamed() {
    let bed = Bed::start().await;
    let plan = DayPlan { variant: Variant::Seeded, payments: 200_000 };
    bed.sandbox.handle().set_plan(SEEDED.parse().unwrap(), plan);
    let run = bed
        .finished_run(ACTIVITY, &[("parameters[columns][]", "source_id"), ("parameters[columns][]", "net")])
        .await;
    let mut response = bed.download(&run, &[]).await;
    let (mut size, mut lines, mut largest) = (0, 0, 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        size += chunk.len();
        lines += chunk.split(|&byte| byte == b'\n').count() - 1;
        largest = largest.max(chunk.len());
    }
    assert_eq!(json!(size), run["result"]["size"]);
    assert_eq!(lines as u64 - 1, bed.day(SEEDED).truth().channel_totals.rows);
    assert!(largest < size / 10, "the file came in parts: {largest} of {size}");
    drop(bed.download(&run, &[]).await);
    assert_eq!(bed.stripe("/v1/events").await.status, 200, "a reader who leaves does no harm");
}

#[tokio::test]
async fn a_shutdown_ends_the_server() {
    let bed = Bed::start().await;
    let url = bed.url("/");
    bed.sandbox.shutdown().await;
    assert!(bed.http.get(url).send().await.is_err());
}
