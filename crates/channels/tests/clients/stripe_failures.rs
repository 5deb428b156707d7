//! The client of Stripe's disputes when things go wrong: what is tried again, and what is certain afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use payops_channels::RemoteErrorKind as Kind;
use payops_channels::stripe::api::{DisputeUpdate, StripeClient, StripeSettings};
use payops_channels::stripe::{Certainty, ErrorType, StripeError};
use payops_core::random::SeededRandom;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::server::{Reply, Server, reply};
use crate::stripe_api::{client, dispute_reply, settings};

fn refused(status: u16, code: &str) -> Reply {
    let error = json!({ "error": { "type": "invalid_request_error", "code": code, "message": "No.",
        "param": "evidence[receipt]", "request_log_url": "https://dashboard.stripe.com/logs/req_1" } });
    reply(status, error.to_string()).header("request-id", "req_1")
}

/// A client that does not wait long between attempts, of which there are four.
fn quick(server: &Server) -> StripeClient {
    let mut settings = settings(server);
    settings.retries.first_pause = Duration::from_millis(1);
    client(settings)
}

async fn close(client: &StripeClient) -> Result<(), StripeError> {
    client.close_dispute("du_1", "close-1").await.map(drop)
}

#[tokio::test]
async fn what_may_pass_is_tried_again_under_the_same_key() {
    let failures = [
        refused(409, "idempotency_key_in_use"),
        refused(429, "lock_timeout"),
        refused(429, "rate_limit").header("retry-after", "0"),
        reply(424, ""),
        reply(500, "down"),
        reply(503, "").header("stripe-should-retry", "true"),
        refused(400, "x").header("stripe-should-retry", "true"),
        dispute_reply(&json!({})).cut_after(5),
    ];
    for failure in failures {
        let server = Server::start([failure.clone(), failure.clone(), dispute_reply(&json!({}))]).await;
        close(&quick(&server)).await.unwrap();
        let asked = server.asked();
        assert_eq!(asked.len(), 3, "{failure:?}");
        assert!(asked.iter().all(|asked| asked.header("idempotency-key") == "close-1"));
        assert!(asked.iter().all(|asked| asked.target == "/v1/disputes/du_1/close"));
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    let cases = [
        (refused(400, "x"), Kind::BadRequest, Certainty::Refused),
        (refused(401, "x"), Kind::Unauthorized, Certainty::Refused),
        (refused(402, "x"), Kind::BadRequest, Certainty::Refused),
        (refused(404, "resource_missing"), Kind::NotFound, Certainty::Refused),
        (refused(409, "other"), Kind::Conflict, Certainty::Refused),
        (refused(429, "x").header("stripe-should-retry", "false"), Kind::RateLimited, Certainty::Refused),
        (refused(429, "x").header("retry-after", "31"), Kind::RateLimited, Certainty::Refused),
        (refused(500, "x").header("stripe-should-retry", "false"), Kind::ServerError, Certainty::Unknown),
        (
            reply(302, "").header("location", "http://example.test/"),
            Kind::UnexpectedAnswer,
            Certainty::Unknown,
        ),
        (reply(200, "<html>"), Kind::UnexpectedAnswer, Certainty::Unknown),
    ];
    for (answer, kind, certainty) in cases {
        let server = Server::start([answer]).await;
        let error = close(&quick(&server)).await.unwrap_err();
        assert_eq!((error.kind(), error.certainty, server.asked().len()), (kind, certainty, 1), "{error}");
    }
}

#[tokio::test]
async fn attempts_end() {
    let server = Server::start([reply(503, "down")]).await;
    let error = close(&quick(&server)).await.unwrap_err();
    assert_eq!((error.status(), error.certainty, server.asked().len()), (Some(503), Certainty::Unknown, 4));
    // One attempt of which the outcome is unknown makes that of the call unknown.
    let server = Server::start([reply(500, ""), refused(400, "x")]).await;
    let error = close(&quick(&server)).await.unwrap_err();
    assert_eq!((error.status(), error.certainty, server.asked().len()), (Some(400), Certainty::Unknown, 2));
}

#[tokio::test]
async fn one_attempt_is_one_attempt() {
    let submit = DisputeUpdate { submit: true, ..DisputeUpdate::default() };
    let cases = [
        (reply(500, ""), Certainty::Unknown),
        (refused(409, "idempotency_key_in_use"), Certainty::Unknown),
        (reply(408, ""), Certainty::Unknown),
        (reply(424, ""), Certainty::Unknown),
        (dispute_reply(&json!({})).cut_after(5), Certainty::Unknown),
        (refused(429, "lock_timeout"), Certainty::Refused),
        (refused(400, "x").header("stripe-should-retry", "true"), Certainty::Refused),
    ];
    for (answer, certainty) in cases {
        let server = Server::start([answer]).await;
        let error = quick(&server).once().update_dispute("du_1", &submit, "submit-1").await.unwrap_err();
        assert_eq!((error.certainty, server.asked().len()), (certainty, 1), "{error}");
        assert!(error.is_retryable(), "{error}");
    }
}

#[tokio::test]
async fn a_missing_answer_leaves_the_outcome_open() {
    let server = Server::start([Reply { silent: true, ..Reply::default() }]).await;
    let mut settings = settings(&server);
    settings.answer_timeout = Duration::from_millis(200);
    let error = close(&client(settings).once()).await.unwrap_err();
    assert_eq!((error.kind(), error.certainty), (Kind::TimedOut, Certainty::Unknown), "{error}");
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_leaves_the_outcome_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let connections = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            connection.read_u8().await.unwrap();
        }
    });
    let settings = StripeSettings::new(url, "sk_test_secret".into(), Arc::new(|_| {}));
    let error = close(&client(settings).once()).await.unwrap_err();
    assert_eq!((error.kind(), error.certainty), (Kind::CutShort, Certainty::Unknown), "{error}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let nobody = "http://127.0.0.1:1/".parse().unwrap();
    let mut settings = StripeSettings::new(nobody, "sk_test_secret".into(), Arc::new(|_| {}));
    settings.retries.first_pause = Duration::from_millis(1);
    let error = close(&client(settings)).await.unwrap_err();
    assert_eq!((error.kind(), error.certainty, error.status()), (Kind::Connect, Certainty::NotSent, None));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn beyond_the_own_limit_nothing_is_sent() {
    let server = Server::start([dispute_reply(&json!({}))]).await;
    let mut settings = settings(&server);
    settings.requests_per_second = 1.try_into().unwrap();
    settings.longest_wait_for_turn = Duration::ZERO;
    let client = client(settings);
    close(&client).await.unwrap();
    let error = close(&client.clone()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty, error.status()),
        (Kind::RateLimited, Certainty::NotSent, None)
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_key_that_no_header_can_carry_is_refused_here() {
    let server = Server::start([dispute_reply(&json!({}))]).await;
    let client = quick(&server);
    for key in ["", "line\nbreak", &"k".repeat(256)] {
        let error = client.close_dispute("du_1", key).await.unwrap_err();
        assert_eq!((error.kind(), error.certainty), (Kind::BadRequest, Certainty::NotSent), "{error}");
    }
    let mut bad_version = settings(&server);
    bad_version.api_version = "line\nbreak".into();
    assert!(StripeClient::new(bad_version, Arc::new(SeededRandom::new(1))).is_err());
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn errors_carry_stripes_words_and_no_secret() {
    let closed = r#"{"error":{"message":"This dispute is already closed","type":"invalid_request_error"}}"#;
    let server = Server::start([
        refused(404, "resource_missing"),
        reply(400, closed),
        reply(402, r#"{"error":{"type":"solar_error","decline_code":"flare"}}"#),
    ])
    .await;
    let client = quick(&server);
    let error = close(&client).await.unwrap_err();
    assert_eq!(error.to_string(), "Stripe answered 404 Not Found: No. (req_1)");
    assert_eq!(
        (error.code(), error.remote.param.as_deref()),
        (Some("resource_missing"), Some("evidence[receipt]"))
    );
    assert_eq!(error.request_id.as_deref(), Some("req_1"));
    assert_eq!(error.detail.as_ref().unwrap().kind, Some(ErrorType::InvalidRequestError));
    let error = close(&client).await.unwrap_err();
    assert_eq!((error.code(), error.remote.param.as_deref()), (None, None));
    assert!(error.to_string().ends_with("This dispute is already closed"), "{error}");
    let error = close(&client).await.unwrap_err();
    let detail = error.detail.as_ref().unwrap();
    assert_eq!(detail.kind, Some(ErrorType::Unknown("solar_error".into())));
    assert_eq!(detail.decline_code.as_deref(), Some("flare"));
    for shown in [format!("{error:?}"), format!("{client:?}"), format!("{:?}", settings(&server))] {
        assert!(!shown.contains("sk_test"), "{shown}");
    }
}
