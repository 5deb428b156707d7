//! A server on loopback that says what a test wrote for it, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use futures::{StreamExt, stream};
use reqwest::Url;
use tempfile::TempDir;

/// What a server was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// One answer of the server.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Breaks the connection after so many bytes of the body.
    pub cut_after: Option<usize>,
    /// Answers a range of the body when one is asked for.
    pub ranged: bool,
    /// Never answers.
    pub silent: bool,
}

pub fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, body: body.into(), ..Reply::default() }
}

impl Reply {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn ranged(mut self) -> Self {
        self.ranged = true;
        self
    }

    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }
}

#[derive(Debug, Default)]
pub struct Script {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
}

/// A server that gives the scripted replies in order; the last one is repeated.
pub struct Server {
    pub url: Url,
    pub script: Arc<Mutex<Script>>,
    pub directory: TempDir,
}

impl Server {
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Script { replies: replies.into_iter().collect(), asked: Vec::new() };
        let script = Arc::new(Mutex::new(script));
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, script, directory: tempfile::tempdir().unwrap() }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().asked.clone()
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let range = head.headers.get("range").and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let from = range.and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
    let mut reply = {
        let mut script = script.lock().unwrap();
        script.asked.push(Asked {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: head.headers,
            body,
        });
        if script.replies.len() > 1 { script.replies.pop_front().unwrap() } else { script.replies[0].clone() }
    };
    if reply.silent {
        return std::future::pending().await;
    }
    if let (true, Some(from)) = (reply.ranged, from) {
        let length = reply.body.len();
        reply.status = 206;
        reply.headers.push(("content-range", format!("bytes {from}-{}/{length}", length - 1)));
        reply.body.drain(..from);
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    let body = match reply.cut_after {
        None => Body::from(reply.body),
        Some(bytes) => {
            response = response.header("content-length", reply.body.len());
            let sent = Ok(Bytes::copy_from_slice(&reply.body[..bytes]));
            let cut = async {
                // The client gets the chance to take what was sent.
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                Err(std::io::Error::other("cut"))
            };
            Body::from_stream(stream::iter([sent]).chain(stream::once(cut)))
        }
    };
    response.body(body).unwrap()
}
