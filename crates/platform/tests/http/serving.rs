//! Listening, and the end of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use payops_platform::http::{ServeOptions, listen, serve, serve_with, service_router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::site;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn more_connections_than_usual_wait_to_be_accepted() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..400 {
        waiting.push(in_time("nobody accepts, and yet", TcpStream::connect(address)).await.unwrap());
    }
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: too long"))
}

/// A route that answers when told to, and tells when it was reached.
fn waiting_route() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&reached), Arc::clone(&go_on));
    let router = Router::new().route(
        "/wait",
        get(move || {
            let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
            async move {
                tell.notify_one();
                wait.notified().await;
                "done"
            }
        }),
    );
    (router, reached, go_on)
}

fn ask(address: SocketAddr, path: &str) -> JoinHandle<reqwest::Result<String>> {
    let url = format!("http://{address}{path}");
    tokio::spawn(async move { reqwest::get(url).await?.text().await })
}

#[tokio::test]
async fn requests_at_work_are_finished_before_the_end() {
    let (listener, address) = listener().await;
    let (router, reached, go_on) = waiting_route();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, router, stop.clone(), PATIENCE));
    let asked = ask(address, "/wait");
    in_time("the request arrives", reached.notified()).await;
    stop.cancel();
    // New connections find nobody once the listener is gone.
    in_time("the listener closes", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!server.is_finished());
    go_on.notify_one();
    assert_eq!(in_time("the answer", asked).await.unwrap().unwrap(), "done");
    in_time("the server ends", server).await.unwrap();
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let (listener, address) = listener().await;
    let (router, reached, _never) = waiting_route();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, router, stop.clone(), Duration::from_millis(50)));
    let asked = ask(address, "/wait");
    in_time("the request arrives", reached.notified()).await;
    stop.cancel();
    in_time("the server ends", server).await.unwrap();
    assert!(in_time("the connection is cut", asked).await.unwrap().is_err());
}

#[tokio::test]
async fn event_streams_are_told_to_end() {
    let db = site::some_db().await;
    let (listener, address) = listener().await;
    let stop = CancellationToken::new();
    let router = service_router(site::running(db.db()));
    let server = tokio::spawn(serve(listener, router, stop.clone(), PATIENCE));
    let client = reqwest::Client::builder().gzip(true).build().unwrap();
    let mut stream = client.get(format!("http://{address}/api/v1/events")).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert!(!stream.headers().contains_key("content-encoding"));
    let first = in_time("the first event", stream.chunk()).await.unwrap().unwrap();
    assert_eq!(first, "data: first\n\n");
    stop.cancel();
    assert_eq!(in_time("the stream ends", stream.chunk()).await.unwrap(), None);
    in_time("the server ends", server).await.unwrap();
}

#[tokio::test]
async fn a_stopping_server_is_not_ready() {
    let db = site::some_db().await;
    let (listener, address) = listener().await;
    let stop = CancellationToken::new();
    let router = service_router(site::running(db.db()));
    let server = tokio::spawn(serve(listener, router, stop.clone(), PATIENCE));
    // One connection, kept busy by a stream, over which HTTP/2 lets a second request go.
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let ready = || client.get(format!("http://{address}/readyz")).send();
    assert_eq!(ready().await.unwrap().status(), 200);
    stop.cancel();
    // Refused outright, or answered with 503: in no case ready.
    if let Ok(answer) = in_time("an answer", ready()).await {
        assert_eq!(answer.status(), 503);
    }
    in_time("the server ends", server).await.unwrap();
}

#[tokio::test]
async fn http2_is_spoken_without_tls() {
    let db = site::some_db().await;
    let (listener, address) = listener().await;
    let stop = CancellationToken::new();
    let router = service_router(site::running(db.db()));
    let server = tokio::spawn(serve(listener, router, stop.clone(), PATIENCE));
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let answer = client.get(format!("http://{address}/livez")).send().await.unwrap();
    assert_eq!((answer.version(), answer.status()), (http::Version::HTTP_2, http::StatusCode::OK));
    drop(client);
    stop.cancel();
    in_time("the server ends", server).await.unwrap();
}

/// What the server sends until it closes the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    match in_time("the server closes", stream.read_to_end(&mut received)).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    received
}

#[tokio::test]
async fn silence_and_trickles_are_cut() {
    let (listener, address) = listener().await;
    let (router, reached, go_on) = waiting_route();
    let stop = CancellationToken::new();
    let options = ServeOptions { patience: Duration::from_millis(200), ..ServeOptions::default() };
    let server = tokio::spawn(serve_with(listener, router, stop.clone(), options));

    let silent = TcpStream::connect(address).await.unwrap();
    let mut half_a_head = TcpStream::connect(address).await.unwrap();
    half_a_head.write_all(b"GET /wait HTTP/1.1\r\nhost:").await.unwrap();
    let mut half_a_preface = TcpStream::connect(address).await.unwrap();
    half_a_preface.write_all(b"PRI * HT").await.unwrap();
    let at_work = ask(address, "/wait");
    in_time("the request arrives", reached.notified()).await;

    for stream in [silent, half_a_head, half_a_preface] {
        assert_eq!(until_closed(stream).await, b"");
    }
    // Whoever waits for an answer is not silent, however long it takes.
    assert!(!at_work.is_finished());
    go_on.notify_one();
    assert_eq!(in_time("the answer", at_work).await.unwrap().unwrap(), "done");
    stop.cancel();
    in_time("the server ends", server).await.unwrap();
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (listener, address) = listener().await;
    let (router, _reached, _go_on) = waiting_route();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, router, stop.clone(), PATIENCE));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /wait HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "x".repeat(200_000));
    // The server may close before it has read all.
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = until_closed(stream).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    stop.cancel();
    in_time("the server ends", server).await.unwrap();
}
