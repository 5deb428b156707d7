//! What every answer has: the envelope, a language, ids, headers.

use std::io::Read;

use payops_platform::http::testing::As;
use serde_json::json;

use crate::site;

const ORDER: &str = "/api/v1/orders/018bcfe5-687b-7000-8000-000000000001";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_success_is_an_envelope() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let answer = client.get(ORDER).by(As::Operator).header("traceparent", TRACEPARENT).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        std::str::from_utf8(&answer.body).unwrap(),
        "{\"code\":\"SUCCESS\",\"message\":\"Success.\",\"data\":\"018bcfe5-687b-7000-8000-000000000001\",\
         \"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}"
    );
    assert_eq!(answer.header("etag"), "\"7\"");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn people_are_answered_in_their_language() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    for (accepted, ok, refused, field) in [
        ("", "Success.", "Credentials are needed", "is required"),
        ("en-GB,zh;q=0.5", "Success.", "Credentials are needed", "is required"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "操作成功", "需要身份凭证", "必填"),
        ("fr;q=0.9,zh;q=0.1", "操作成功", "需要身份凭证", "必填"),
    ] {
        let ask = |path| client.get(path).header("accept-language", accepted);
        assert_eq!(ask(ORDER).by(As::Operator).send().await.json()["message"], ok, "{accepted}");
        let message = ask(ORDER).send().await.json()["message"].clone();
        assert!(message.as_str().unwrap().starts_with(refused), "{accepted}: {message}");
        let invalid = client.post("/api/v1/orders", &json!({})).by(As::Operator);
        let invalid = invalid.header("accept-language", accepted).send().await;
        assert_eq!(invalid.data()["fields"][0]["message"], field, "{accepted}");
    }
    let unknown = client.get("/nowhere").header("accept-language", "zh").send().await;
    assert_eq!(unknown.json()["message"], "该路径不存在。");
}

#[tokio::test]
async fn requests_have_ids() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let sent = client.get("/livez").header("x-request-id", "abc-123").send().await;
    assert_eq!(sent.header("x-request-id"), "abc-123");
    let mut seen = std::collections::HashSet::new();
    for bad in ["", "a b", "<script>", &"x".repeat(200)] {
        let id =
            client.get("/livez").header("x-request-id", bad).send().await.header("x-request-id").to_owned();
        assert_eq!(id.len(), 32, "{bad}");
        assert!(seen.insert(id));
    }
    let trace = async |traceparent: &str| {
        let answer = client.get("/nowhere").header("traceparent", traceparent).send().await;
        answer.json()["trace_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(trace(TRACEPARENT).await, "4bf92f3577b34da6a3ce929d0e0e4736");
    let (first, second) = (trace("00-nonsense").await, trace("").await);
    assert_ne!(first, second);
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_ask() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let plain = client.get("/api/v1/many").by(As::Service).send().await;
    assert_eq!(plain.header("content-encoding"), "");
    let packed =
        client.get("/api/v1/many").by(As::Service).header("accept-encoding", "br, GZIP;q=0.5").send().await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(packed.body.len() * 2 < plain.body.len());
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).unwrap();
    let unpacked: serde_json::Value = serde_json::from_str(&unpacked).unwrap();
    assert_eq!(unpacked["data"], plain.json()["data"]);
    let short = client.get(ORDER).by(As::Operator).header("accept-encoding", "gzip").send().await;
    assert_eq!(short.header("content-encoding"), "");
}

#[tokio::test]
async fn a_head_has_no_body() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let answer = client.request(http::Method::HEAD, ORDER).by(As::Operator).send().await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("etag"), "\"7\"");
}
