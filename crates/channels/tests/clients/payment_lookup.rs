//! Asking the gateway about a payment.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use payops_channels::payment_lookup::{GatewayPayment, LookupSettings, PaymentLookup};
use payops_channels::{RemoteError, RemoteErrorKind as Kind};

use super::server::{Reply, Server, reply};

impl Server {
    async fn payment(&self, id: &str) -> Result<Option<GatewayPayment>, RemoteError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-service-name", "dispute-service".parse().unwrap());
        headers.insert("x-service-secret", "a-secret".parse().unwrap());
        let base = self.url.join("gateway/").unwrap();
        let inject = Arc::new(|headers: &mut HeaderMap| {
            headers.insert("traceparent", "00-trace".parse().unwrap());
        });
        let mut settings = LookupSettings::new(base, headers, inject);
        settings.time_out = Duration::from_millis(500);
        assert!(!format!("{settings:?}").contains("secret"));
        PaymentLookup::new(settings).unwrap().by_channel_id(id).await
    }
}

#[tokio::test]
async fn a_payment_is_looked_up_by_the_channels_id() {
    let body = r#"{"payment_no":"PAY-1","merchant_id":"m","amount":5,"more":{"x":[]}}"#;
    let server = Server::start([reply(200, body)]).await;
    let known = server.payment("ch_1/../x?y#z ").await.unwrap().unwrap();
    assert_eq!(known, GatewayPayment { payment_no: "PAY-1".to_owned(), merchant_id: "m".to_owned() });
    let asked = server.asked().remove(0);
    assert_eq!(asked.target, "/gateway/internal/payments/by-channel/ch_1%2F..%2Fx%3Fy%23z%20");
    assert_eq!((asked.method.as_str(), asked.header("x-service-secret")), ("GET", "a-secret"));
    assert_eq!((asked.header("accept"), asked.header("traceparent")), ("application/json", "00-trace"));
    for id in ["", ".", ".."] {
        assert_eq!(server.payment(id).await.unwrap(), None);
    }
    assert_eq!(server.asked().len(), 1, "no other path is asked for");
}

#[tokio::test]
async fn what_is_no_payment_says_what_it_is() {
    let server = Server::start([reply(404, "{}")]).await;
    assert_eq!(server.payment("ch_1").await.unwrap(), None);
    let cases = [
        (reply(200, "hello"), Kind::UnexpectedAnswer, false),
        (reply(200, ""), Kind::UnexpectedAnswer, false),
        (reply(200, "{\"payment_no\":\"PAY-1\"}"), Kind::UnexpectedAnswer, false),
        (reply(200, "{\"payment_no\":1,\"merchant_id\":null}"), Kind::UnexpectedAnswer, false),
        (reply(200, "x".repeat(1 << 20)), Kind::UnexpectedAnswer, false),
        (reply(200, "{\"payment_no\":\"PAY-1\"").cut_after(10), Kind::CutShort, true),
        (reply(302, "").header("location", "http://elsewhere.example/"), Kind::UnexpectedAnswer, false),
        (reply(401, "no"), Kind::Unauthorized, false),
        (reply(429, "wait").header("retry-after", "3"), Kind::RateLimited, true),
        (reply(503, "down"), Kind::ServerError, true),
        (Reply { silent: true, ..Reply::default() }, Kind::TimedOut, true),
    ];
    for (answer, kind, retryable) in cases {
        let server = Server::start([answer]).await;
        let error = server.payment("ch_1").await.unwrap_err();
        assert_eq!((error.kind, error.is_retryable()), (kind, retryable), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}
