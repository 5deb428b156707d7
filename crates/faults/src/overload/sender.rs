//! Sends operations with as little work as possible: what the sender costs, the service does not get.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::tally::{Came, Tally};

/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections to one instance, as many as are needed.
#[derive(Debug)]
pub(crate) struct Sender {
    port: u16,
    service: &'static str,
    secret: &'static str,
    /// What tells its payments from those of other senders.
    series: u64,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    payments: AtomicU64,
    connections: AtomicU64,
}

impl Sender {
    pub(crate) fn new(port: u16, service: &'static str, secret: &'static str, series: u64) -> Self {
        Self {
            port,
            service,
            secret,
            series,
            idle: Mutex::default(),
            payments: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        }
    }

    /// How many were opened so far; none is closed by this side.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// One payment of 1, under a new number, that was due at `due`.
    pub(super) async fn consume(&self, merchant: Uuid, due: Instant, tally: &Tally) {
        let number = self.payments.fetch_add(1, Ordering::Relaxed);
        let series = self.series;
        let body = format!(
            r#"{{"merchant_id":"{merchant}","payment_no":"P-{series}-{number}","amount":1,"currency":"USD"}}"#
        );
        let came = match tokio::time::timeout(PATIENCE, self.send(body)).await {
            Ok(Ok(came)) => came,
            Ok(Err(_)) | Err(_) => Came::Failure,
        };
        tally.add(came, due.elapsed());
    }

    async fn send(&self, body: String) -> Result<Came> {
        let mut connection = self.connection().await?;
        let request = Request::post("/api/v1/limits/consume")
            .header(header::HOST, "127.0.0.1")
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-service-name", self.service)
            .header("x-service-secret", self.secret)
            .body(Full::new(Bytes::from(body)))?;
        let answer = connection.send_request(request).await?;
        let (head, body) = answer.into_parts();
        body.collect().await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(match head.status {
            StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY => Came::Decision,
            StatusCode::SERVICE_UNAVAILABLE => {
                Came::Refusal { retry_after: head.headers.contains_key(header::RETRY_AFTER) }
            }
            _ => Came::Failure,
        })
    }

    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(connection) if connection.is_ready() => return Ok(connection),
                Some(_) => {}
                None => break,
            }
        }
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        self.connections.fetch_add(1, Ordering::Relaxed);
        Ok(sender)
    }
}
