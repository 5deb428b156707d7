//! The clients against a real server on loopback that answers well, badly, and in pieces.

#![expect(clippy::unwrap_used, reason = "what cannot be in a test may stop it")]

mod payment_lookup;
mod server;
mod stripe_api;
mod stripe_failures;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use payops_channels::platform_feed::{FeedClient, FeedQuery, FeedSettings};
use payops_channels::row::RowSink;
use payops_channels::stripe::reporting::{
    NewReportRun, ReportFile, ReportingClient, ReportingSettings, RunStatus,
};
use payops_channels::{Format, ReadOptions, RemoteError, RemoteErrorKind as Kind, StoredFile, read_rows};
use sha2::{Digest, Sha256};

use server::{Asked, Reply, Server, reply};

impl Server {
    fn target(&self) -> PathBuf {
        self.directory.path().join("report.csv")
    }

    /// What is in the folder: nothing half-stored may be left.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    fn stripe(&self) -> ReportingClient {
        let inject = Arc::new(|headers: &mut HeaderMap| {
            headers.insert("traceparent", "00-trace".parse().unwrap());
        });
        let mut settings = ReportingSettings::new(self.url.clone(), "sk_test_secret".into(), inject);
        settings.idle_timeout = Duration::from_millis(500);
        settings.resume_pause = Duration::from_millis(1);
        settings.max_resumes = 3;
        settings.api_version = Some("2025-01-01".into());
        assert!(!format!("{settings:?}").contains("secret"));
        ReportingClient::new(settings).unwrap()
    }

    fn file(&self, size: usize) -> ReportFile {
        let url = Some(self.url.join("v1/files/file_1/contents").unwrap().to_string());
        ReportFile { id: "file_1".into(), url, size: Some(size as u64), filename: None }
    }

    async fn download(&self, size: usize) -> Result<StoredFile, RemoteError> {
        self.stripe().download(&self.file(size), &self.target()).await
    }

    async fn fetch(&self) -> Result<StoredFile, RemoteError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-service-name", "reconciliation-service".parse().unwrap());
        let mut settings = FeedSettings::new(self.url.clone(), headers, Arc::new(|_: &mut HeaderMap| {}));
        settings.idle_timeout = Duration::from_millis(500);
        settings.max_bytes = 1 << 20;
        let query = FeedQuery {
            date: "2026-01-30".parse().unwrap(),
            channel: "stripe".into(),
            timezone: Some("Asia/Shanghai".into()),
        };
        FeedClient::new(settings).unwrap().fetch(&query, &self.target()).await
    }
}

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn assert_stored(path: &Path, stored: &StoredFile, expected: &[u8]) {
    assert!(std::fs::read(path).unwrap() == expected, "the file is what was sent");
    assert_eq!(stored.bytes, expected.len() as u64);
    assert_eq!(stored.sha256, hex::encode(Sha256::digest(expected)));
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_broke() {
    let content = content();
    let whole = || reply(200, content.clone()).header("etag", "\"v1\"").ranged();
    let server = Server::start([whole().cut_after(300_000), whole().cut_after(100_000), whole()]).await;
    let stored = server.download(content.len()).await.unwrap();
    assert_stored(&server.target(), &stored, &content);
    assert_eq!(server.files(), ["report.csv"]);
    let asked = server.asked();
    let from = |asked: &Asked| {
        let range = asked.header("range").strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse::<u64>().ok()
    };
    let ranges: Vec<Option<u64>> = asked.iter().map(from).collect();
    assert!(ranges.len() == 3 && ranges[0].is_none(), "{ranges:?}");
    assert!(ranges[1] > Some(0) && ranges[2] > ranges[1], "{ranges:?}");
    assert_eq!(asked[1].header("if-range"), "\"v1\"");
    assert_eq!(asked[0].header("authorization"), "Bearer sk_test_secret");
    assert_eq!(asked[0].header("accept-encoding"), "");
}

#[tokio::test]
async fn a_server_without_ranges_starts_again() {
    let content = content();
    let whole = || reply(200, content.clone());
    let server = Server::start([whole().cut_after(300_000), whole()]).await;
    let stored = server.download(content.len()).await.unwrap();
    assert_stored(&server.target(), &stored, &content);
    // A range that does not begin where it should is not trusted either.
    let wrong = reply(206, &content[5..]).header("content-range", "bytes 5-9/10");
    let server = Server::start([whole().cut_after(300_000), wrong, whole()]).await;
    let stored = server.download(content.len()).await.unwrap();
    assert_stored(&server.target(), &stored, &content);
}

#[tokio::test]
async fn nothing_half_stored_is_left() {
    let content = content();
    let cases = [
        (reply(200, content.clone()).cut_after(1000), content.len(), Kind::CutShort, true, 4),
        (reply(200, content.clone()), content.len() + 1, Kind::CutShort, true, 4),
        (reply(200, content.clone()), content.len() - 1, Kind::UnexpectedAnswer, false, 1),
        (reply(503, "down"), 1, Kind::ServerError, true, 4),
        (reply(429, "").header("retry-after", "9"), 1, Kind::RateLimited, true, 1),
        (reply(404, "{}"), 1, Kind::NotFound, false, 1),
        (reply(302, "").header("location", "http://example.com/"), 1, Kind::UnexpectedAnswer, false, 1),
    ];
    for (answer, size, kind, retryable, requests) in cases {
        let server = Server::start([answer]).await;
        let error = server.download(size).await.unwrap_err();
        assert_eq!(
            (error.kind, error.is_retryable(), server.asked().len()),
            (kind, retryable, requests),
            "{error}"
        );
        assert!(server.files().is_empty(), "{:?}", server.files());
    }
}

#[tokio::test]
async fn the_key_goes_to_no_other_host() {
    let trusted = Server::start([reply(200, "")]).await;
    let other = Server::start([reply(200, "content")]).await;
    let error = trusted.stripe().download(&other.file(7), &trusted.target()).await.unwrap_err();
    assert_eq!((error.kind, error.is_retryable()), (Kind::ForeignHost, false));
    assert!(other.asked().is_empty() && trusted.files().is_empty());
    let none = ReportFile { url: None, ..trusted.file(1) };
    let error = trusted.stripe().download(&none, &trusted.target()).await.unwrap_err();
    assert_eq!(error.kind, Kind::UnexpectedAnswer);
}

const RUN: &str = r#"{"id":"frr_1","object":"reporting.report_run","report_type":"balance.summary.1",
    "status":"succeeded","error":null,"livemode":false,"result":{"id":"file_1","object":"file","size":12,
    "url":"https://files.stripe.com/v1/files/file_1/contents","filename":"a.csv"}}"#;

#[tokio::test]
async fn a_report_is_asked_for_once_by_its_key() {
    let server = Server::start([reply(200, RUN)]).await;
    let run = NewReportRun {
        report_type: "balance.summary.1".into(),
        interval_start: chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
        interval_end: chrono::DateTime::from_timestamp(1_700_086_400, 0).unwrap(),
        timezone: Some("Asia/Shanghai".into()),
        columns: vec!["gross".into(), "payment_metadata[a]".into()],
        connected_account: None,
    };
    let made = server.stripe().create_run(&run, "task-1/balance").await.unwrap();
    assert_eq!((made.id.as_str(), &made.status), ("frr_1", &RunStatus::Succeeded));
    assert_eq!(made.result.unwrap().size, Some(12));
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/v1/reporting/report_runs"));
    assert_eq!(asked.header("idempotency-key"), "task-1/balance");
    assert_eq!((asked.header("stripe-version"), asked.header("traceparent")), ("2025-01-01", "00-trace"));
    assert_eq!(
        asked.text(),
        "report_type=balance.summary.1&parameters%5Binterval_start%5D=1700000000\
         &parameters%5Binterval_end%5D=1700086400&parameters%5Btimezone%5D=Asia%2FShanghai\
         &parameters%5Bcolumns%5D%5B%5D=gross&parameters%5Bcolumns%5D%5B%5D=payment_metadata%5Ba%5D"
    );
    let error = server.stripe().create_run(&run, "line\nbreak").await.unwrap_err();
    assert_eq!(error.kind, Kind::BadRequest);
}

#[tokio::test]
async fn runs_and_types_are_looked_up() {
    let server = Server::start([
        reply(200, RUN.replace("succeeded", "paused")),
        reply(200, r#"{"id":"balance.summary.1","data_available_start":0,"data_available_end":1700000000}"#),
        reply(200, "<html>"),
    ])
    .await;
    let run = server.stripe().run("frr_1/../x").await.unwrap();
    assert_eq!(run.status, RunStatus::Unknown("paused".into()));
    let kind = server.stripe().report_type("balance.summary.1").await.unwrap();
    assert_eq!((kind.data_available_end.timestamp(), kind.default_columns), (1_700_000_000, None));
    let error = server.stripe().run("frr_1").await.unwrap_err();
    assert_eq!((error.kind, error.is_retryable()), (Kind::UnexpectedAnswer, false));
    assert_eq!(server.asked()[0].target, "/v1/reporting/report_runs/frr_1%2F..%2Fx");
}

#[tokio::test]
async fn stripes_errors_say_whether_to_try_again() {
    let error_body = |code: &str| {
        format!(
            r#"{{"error":{{"type":"invalid_request_error","code":"{code}","message":"No such column.","param":"parameters[columns]"}}}}"#
        )
    };
    let cases = [
        (reply(400, error_body("x")), Kind::BadRequest, false),
        (reply(401, error_body("x")), Kind::Unauthorized, false),
        (reply(404, error_body("x")), Kind::NotFound, false),
        (reply(409, error_body("x")), Kind::Conflict, false),
        (reply(409, error_body("idempotency_key_in_use")), Kind::Conflict, true),
        (reply(429, error_body("x")).header("retry-after", "7"), Kind::RateLimited, true),
        (reply(500, error_body("x")), Kind::ServerError, true),
        (reply(500, error_body("x")).header("stripe-should-retry", "false"), Kind::ServerError, false),
        (reply(400, error_body("x")).header("stripe-should-retry", "true"), Kind::BadRequest, true),
        (reply(200, RUN).cut_after(10), Kind::CutShort, true),
        (Reply { silent: true, ..Reply::default() }, Kind::TimedOut, true),
    ];
    for (answer, kind, retryable) in cases {
        let status = answer.status;
        let server = Server::start([answer]).await;
        let error = server.stripe().run("frr_1").await.unwrap_err();
        assert_eq!((error.kind, error.is_retryable()), (kind, retryable), "{error}");
        if status >= 400 {
            assert_eq!((error.status, error.param.as_deref()), (Some(status), Some("parameters[columns]")));
            assert!(error.to_string().ends_with("No such column."), "{error}");
        }
        assert_eq!(error.retry_after, (status == 429).then(|| Duration::from_secs(7)));
        assert!(!format!("{error:?}").contains("sk_test"));
    }
    let nobody = "http://127.0.0.1:1/".parse().unwrap();
    let settings = ReportingSettings::new(nobody, "sk".into(), Arc::new(|_: &mut HeaderMap| {}));
    let error = ReportingClient::new(settings).unwrap().run("frr_1").await.unwrap_err();
    assert_eq!((error.kind, error.is_retryable()), (Kind::Connect, true));
}

const ROW: &str = r#"{"payment_no":"P1","channel_trade_no":"ch_1","amount":5,"currency":"USD","status":"success","created_at":"2026-01-30T00:00:00Z","merchant_id":"M"}"#;
const TRAILER: &str = r#"{"count":2,"sums":{"USD":10}}"#;

#[derive(Default)]
struct Count(u64);

impl RowSink for Count {
    fn row(&mut self, _: payops_channels::row::Position, _: &payops_channels::row::Row<'_>) {
        self.0 += 1;
    }

    fn reject(&mut self, reject: payops_channels::row::Reject) {
        panic!("{reject:?}");
    }
}

fn proven(path: &Path) {
    let mut count = Count::default();
    let file = std::fs::File::open(path).unwrap();
    let report = read_rows(file, &Format::PlatformNdjson, &ReadOptions::default(), &mut count);
    assert_eq!((count.0, report.control.proof), (2, payops_channels::row::Proof::Proven));
}

#[tokio::test]
async fn every_shape_of_the_feed_becomes_lines() {
    let lines = format!("{ROW}\n{ROW}\n{{\"trailer\":{TRAILER}}}\n");
    let pretty = ROW.replace(',', ",\n  ");
    let shapes = [
        vec![reply(200, lines.clone()).header("content-type", "application/x-ndjson; charset=utf-8")],
        vec![reply(200, format!(" [{ROW},\n{pretty}, {{\"trailer\":{TRAILER}}} ]\n"))],
        vec![reply(
            200,
            format!("{{\"items\":[{ROW},{pretty}],\"next_cursor\":null,\"trailer\":{TRAILER}}}"),
        )],
        vec![
            reply(200, format!("{{\"items\":[{ROW}],\"next_cursor\":\"c 1\"}}")),
            reply(200, format!("{{\"items\":[{ROW}],\"next_cursor\":\"\",\"trailer\":{TRAILER}}}")),
        ],
        vec![
            reply(
                200,
                format!("\n{{\"code\":\"SUCCESS\",\"data\":{{\"items\":[{ROW}],\"next_cursor\":\"c\"}}}}"),
            ),
            reply(
                200,
                format!("{{\"code\":\"SUCCESS\",\"data\":{{\"items\":[{ROW}],\"trailer\":{TRAILER}}}}}"),
            ),
        ],
        vec![reply(
            200,
            format!("{{\"code\":\"SUCCESS\",\"data\":[{ROW},{ROW},{{\"trailer\":{TRAILER}}}]}}"),
        )],
    ];
    for replies in shapes {
        let pages = replies.len();
        let server = Server::start(replies).await;
        let stored = server.fetch().await.unwrap();
        proven(&server.target());
        assert_stored(&server.target(), &stored, &std::fs::read(server.target()).unwrap());
        assert_eq!((server.files().len(), server.asked().len()), (1, pages));
        let asked = &server.asked()[0];
        assert_eq!(
            asked.target,
            "/internal/payments/reconciliation?date=2026-01-30&channel=stripe&timezone=Asia%2FShanghai"
        );
        assert_eq!(asked.header("x-service-name"), "reconciliation-service");
        assert!(asked.header("accept").starts_with("application/x-ndjson"));
    }
}

#[tokio::test]
async fn a_feed_that_breaks_is_not_stored() {
    let lines = format!("{ROW}\n{ROW}\n");
    let ndjson = |answer: Reply| answer.header("content-type", "application/x-ndjson");
    let large = "x".repeat(2 << 20);
    let cases = [
        (ndjson(reply(200, lines.clone()).cut_after(20)), Kind::CutShort, true),
        (reply(200, format!("[{ROW},")), Kind::CutShort, true),
        (reply(200, format!("[{ROW}] {ROW}")), Kind::UnexpectedAnswer, false),
        (reply(200, "{\"items\":["), Kind::CutShort, true),
        (reply(200, "{\"code\":\"ERROR\"}"), Kind::UnexpectedAnswer, false),
        (reply(200, "{\"items\":[],\"next_cursor\":\"same\"}"), Kind::UnexpectedAnswer, false),
        (reply(200, "hello"), Kind::UnexpectedAnswer, false),
        (reply(200, ""), Kind::UnexpectedAnswer, false),
        (ndjson(reply(200, large)), Kind::UnexpectedAnswer, false),
        (reply(403, "no"), Kind::Unauthorized, false),
        (reply(422, "no"), Kind::BadRequest, false),
        (reply(429, "wait").header("retry-after", "3"), Kind::RateLimited, true),
        (reply(503, "down"), Kind::ServerError, true),
        (Reply { silent: true, ..Reply::default() }, Kind::TimedOut, true),
    ];
    for (answer, kind, retryable) in cases {
        let status = answer.status;
        let server = Server::start([answer]).await;
        let error = server.fetch().await.unwrap_err();
        assert_eq!((error.kind, error.is_retryable()), (kind, retryable), "{error}");
        assert_eq!(error.retry_after, (status == 429).then(|| Duration::from_secs(3)));
        assert!(server.files().is_empty(), "{error}");
    }
}

#[tokio::test]
async fn a_stored_file_replaces_the_one_before() {
    let server = Server::start([reply(200, "second")]).await;
    std::fs::write(server.target(), "first").unwrap();
    let stored = server.download(6).await.unwrap();
    assert_stored(&server.target(), &stored, b"second");
}
