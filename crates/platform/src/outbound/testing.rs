//! A receiver of webhooks for tests, which answers as it is told and keeps what it got.
#![doc(hidden)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::WebhookSettings;

/// What the receiver does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Status(u16),
    /// Takes the request and never answers.
    Silence,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: String,
}

impl Received {
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn id(&self) -> String {
        self.headers["payops-event-id"].to_str().unwrap().to_owned()
    }
}

#[derive(Debug, Clone, Default)]
struct Shared {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    received: Arc<Mutex<Vec<Received>>>,
}

pub struct Receiver {
    port: u16,
    shared: Shared,
    server: tokio::task::JoinHandle<()>,
}

pub const SECRETS: [&str; 2] = ["the-new-secret-of-webhooks", "the-old-secret-of-webhooks"];

impl Receiver {
    pub async fn start() -> Self {
        Self::on(0, Shared::default()).await
    }

    async fn on(port: u16, shared: Shared) -> Self {
        let router = Router::new().fallback(take).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, shared, server }
    }

    /// Answers these first, and 204 to everything after them.
    pub fn replies(&self, replies: &[Reply]) {
        self.shared.replies.lock().unwrap().extend(replies);
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    pub fn settings(&self) -> WebhookSettings {
        WebhookSettings {
            url: format!("http://localhost:{}/alerts", self.port),
            secrets: SECRETS.map(Into::into).to_vec(),
            allow_private: true,
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(shared): State<Shared>, headers: HeaderMap, body: String) -> StatusCode {
    shared.received.lock().unwrap().push(Received { headers, body });
    let reply = shared.replies.lock().unwrap().pop_front();
    match reply.unwrap_or(Reply::Status(204)) {
        Reply::Status(status) => StatusCode::from_u16(status).unwrap(),
        Reply::Silence => std::future::pending().await,
    }
}
