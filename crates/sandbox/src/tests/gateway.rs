//! The payment gateway's side.

use super::*;
use crate::days::{DayPlan, PlatformRow, Variant};

const QUERY: &str = "date=2024-10-24&channel=stripe";

fn rows_of(value: &Value) -> Vec<PlatformRow> {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test]
async fn lines_end_with_a_trailer_that_is_right() {
    let bed = Bed::start().await;
    let text = bed.lines().await;
    let mut lines: Vec<&str> = text.lines().collect();
    let trailer: Value = serde_json::from_str(lines.pop().unwrap()).unwrap();
    let truth = bed.day(SEEDED).truth();
    assert_eq!(trailer["trailer"]["count"], truth.platform_totals.rows);
    assert_eq!(trailer["trailer"]["sums"], json!(truth.platform_totals.written_sums));
    let rows: Vec<PlatformRow> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, bed.day(SEEDED).platform_rows().collect::<Vec<_>>());
    let first: Value = serde_json::from_str(lines[0]).unwrap();
    for field in
        ["payment_no", "channel_trade_no", "amount", "currency", "status", "created_at", "merchant_id"]
    {
        assert!(!first[field].is_null(), "{field}");
    }
    assert!(first["created_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn pages_lead_to_the_end_and_the_last_has_the_trailer() {
    let bed = Bed::start().await;
    for (format, envelope) in [("pages", false), ("envelope", true)] {
        let (mut rows, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        let last = loop {
            let query = format!("{QUERY}&page_size=37&format={format}{cursor}");
            let answer = Answer::of(bed.feed(&query, &[]).await).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let page = if envelope { answer.body["data"].clone() } else { answer.body };
            rows.extend(rows_of(&page["items"]));
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => {
                    assert!(page["trailer"].is_null());
                    cursor = format!("&cursor={next}");
                }
                None => break page,
            }
        };
        assert_eq!(rows, bed.day(SEEDED).platform_rows().collect::<Vec<_>>());
        assert_eq!(pages, rows.len().div_ceil(37));
        assert_eq!(last["trailer"]["count"], rows.len());
    }
}

#[tokio::test]
async fn an_array_is_every_row_and_no_trailer() {
    let bed = Bed::start().await;
    let answer = Answer::of(bed.feed(&format!("{QUERY}&format=array"), &[]).await).await;
    assert_eq!(rows_of(&answer.body), bed.day(SEEDED).platform_rows().collect::<Vec<_>>());
    bed.sandbox.handle().set_plan(SEEDED.parse().unwrap(), DayPlan { variant: Variant::Seeded, payments: 0 });
    let empty = Answer::of(bed.feed(&format!("{QUERY}&format=array"), &[]).await).await;
    assert_eq!(empty.body, json!([]));
    assert_eq!(bed.lines().await, "{\"trailer\":{\"count\":0,\"sums\":{}}}\n");
    let page = Answer::of(bed.feed(QUERY, &[]).await).await;
    assert_eq!(page.body, json!({"items": [], "next_cursor": null, "trailer": {"count": 0, "sums": {}}}));
}

#[tokio::test]
async fn the_day_belongs_to_the_zone_and_the_channel() {
    let bed = Bed::start().await;
    let query = "date=2024-10-24&channel=stripe&timezone=Asia/Shanghai&format=array";
    let rows = rows_of(&Answer::of(bed.feed(query, &[]).await).await.body);
    let shanghai = Zone::named("Asia/Shanghai").unwrap();
    let day = bed.sandbox.handle().day(SEEDED.parse().unwrap(), Channel::Stripe, &shanghai).unwrap();
    assert!(rows.iter().all(|row| day.window().contains(row.created_at)));
    assert_eq!(rows, day.platform_rows().collect::<Vec<_>>());
    let alipay = Answer::of(bed.feed("date=2024-10-24&channel=alipay&format=array", &[]).await).await;
    let alipay = rows_of(&alipay.body);
    assert!(alipay.iter().all(|row| row.channel_trade_no.len() == 28), "{}", alipay[0].channel_trade_no);
}

#[tokio::test]
async fn callers_must_say_who_they_are_and_what_they_want() {
    let bed = Bed::start().await;
    let url = bed.url(&format!("/internal/payments/reconciliation?{QUERY}"));
    let nobody = Answer::of(bed.http.get(&url).send().await.unwrap()).await;
    assert_eq!((nobody.status, &nobody.body["code"]), (401, &json!("UNAUTHORIZED")));
    let wrong = bed.http.get(&url).header("x-service-name", "x").header("x-service-secret", "wrong");
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    for query in [
        "channel=stripe",
        "date=2024-10-24",
        "date=24.10.2024&channel=stripe",
        "date=2024-02-30&channel=stripe",
        "date=2024-10-24&channel=square",
        "date=2024-10-24&channel=stripe&timezone=Mars",
        "date=2024-10-24&channel=stripe&page_size=0",
        "date=2024-10-24&channel=stripe&page_size=1001",
        "date=2024-10-24&channel=stripe&format=xml",
        "date=2024-10-24&channel=stripe&cursor=nonsense",
        "date=2024-10-24&channel=stripe&surprise=1",
    ] {
        let answer = Answer::of(bed.feed(query, &[]).await).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("INVALID_REQUEST")), "{query}");
    }
    let page = Answer::of(bed.feed(&format!("{QUERY}&page_size=5"), &[]).await).await;
    let cursor = page.body["next_cursor"].as_str().unwrap();
    let elsewhere = bed.feed(&format!("date=2024-10-25&channel=stripe&cursor={cursor}"), &[]).await;
    assert_eq!(elsewhere.status(), 400, "a cursor belongs to its query");
}

#[tokio::test]
async fn a_large_feed_is_streamed() {
    let bed = Bed::start().await;
    let plan = DayPlan { variant: Variant::Seeded, payments: 200_000 };
    bed.sandbox.handle().set_plan(SEEDED.parse().unwrap(), plan);
    let mut response = bed.feed(QUERY, &[("accept", "application/x-ndjson")]).await;
    let (mut lines, mut size, mut largest) = (0_u64, 0, 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        lines += chunk.split(|&byte| byte == b'\n').count() as u64 - 1;
        size += chunk.len();
        largest = largest.max(chunk.len());
    }
    assert_eq!(lines - 1, bed.day(SEEDED).truth().platform_totals.rows);
    assert!(largest < size / 10);
}

async fn pay(bed: &Bed, body: &str, secret: &str) -> (u16, Value) {
    let call = bed.http.post(bed.url("/internal/payments")).body(body.to_owned());
    let call = call.header("x-service-name", "shop").header("x-service-secret", secret);
    let answer = call.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn without_a_limit_service_no_payment_is_taken() {
    let bed = Bed::start().await;
    let (status, said) = pay(&bed, "{}", DEFAULT_GATEWAY_SECRET).await;
    assert_eq!((status, said["code"].as_str()), (503, Some("LIMITS_NOT_CONFIGURED")));
    assert!(said["message"].as_str().unwrap().contains("--limits-url"), "{said}");
    assert_eq!(pay(&bed, "{}", "guess").await.0, 401);
}

#[tokio::test]
async fn payments_that_cannot_be_read_are_refused_with_the_reason() {
    let bed = Bed::start_with(|config| {
        // Nothing is sent there.
        let url = "http://127.0.0.1:9".parse().unwrap();
        let random = Arc::new(SeededRandom::new(1));
        config.limits =
            Some(payops_client::Settings::new(url, "gateway", "secret".to_owned().into(), random));
    })
    .await;
    let good = json!({ "merchant_id": "01930000-0000-7000-8000-000000000001", "payment_no": "P-1", "amount": 5,
                       "currency": "USD", "channel": "stripe" });
    for (field, value, reason) in [
        ("amount", json!(0), "above zero"),
        ("amount", json!("5"), "expected i64"),
        ("payment_no", json!("a/b"), "payment_no must be 1 to 64"),
        ("payment_no", json!("x".repeat(65)), "payment_no must be 1 to 64"),
        ("card", json!("gold"), "unknown variant `gold`"),
        ("tip", json!(1), "unknown field `tip`"),
        ("merchant_id", json!(null), "invalid type: null"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let (status, said) = pay(&bed, &body.to_string(), DEFAULT_GATEWAY_SECRET).await;
        assert_eq!((status, said["code"].as_str()), (400, Some("INVALID_REQUEST")), "{said}");
        assert!(said["message"].as_str().unwrap().contains(reason), "{reason}: {said}");
    }
}

#[tokio::test]
async fn a_payment_is_known_by_the_channels_id_once_it_was_told() {
    let bed = Bed::start().await;
    let ask = async |secret: &str| {
        let call = bed.http.get(bed.url("/internal/payments/by-channel/ch_1"));
        let call = call.header("x-service-name", "dispute-service").header("x-service-secret", secret);
        Answer::of(call.send().await.unwrap()).await
    };
    let unknown = ask(DEFAULT_GATEWAY_SECRET).await;
    assert_eq!((unknown.status, &unknown.body["code"]), (404, &json!("PAYMENT_NOT_FOUND")));
    let payment = json!({ "payment_no": "PAY-1", "merchant_id": "01930000-0000-7000-8000-000000000001" });
    let mut told = payment.clone();
    told["channel_id"] = json!("ch_1");
    let told = bed.http.post(bed.url("/sandbox/payments")).json(&told).send().await.unwrap();
    assert_eq!(told.status(), 201);
    let known = ask(DEFAULT_GATEWAY_SECRET).await;
    assert_eq!((known.status, known.body), (200, payment.clone()));
    assert_eq!(ask("guess").await.status, 401);
    for (fault, status, same) in [
        (json!({ "target": "gateway.payment", "kind": "status", "status": 503 }), 503, false),
        (json!({ "target": "gateway.payment", "kind": "corrupt" }), 200, false),
        (json!({ "target": "gateway.payment", "kind": "slow", "ms": 1 }), 200, true),
    ] {
        assert_eq!(bed.fault(fault.clone()).await.status, 201, "{fault}");
        let struck = ask(DEFAULT_GATEWAY_SECRET).await;
        assert_eq!((struck.status, struck.body == payment), (status, same), "{fault}: {}", struck.body);
    }
    assert_eq!(bed.fault(json!({ "target": "gateway.payment", "kind": "no_trailer" })).await.status, 400);
}
