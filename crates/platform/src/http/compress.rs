//! Compression for those who ask for it.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use tower::{Layer, Service, ServiceExt};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};

use super::gate::Passing;

/// Smaller answers are sent as they are: compressing them takes longer than sending them.
const LEAST: u64 = 1024;

/// Compresses with gzip on the way out, except event streams, images and what is compressed already. Requests
/// that do not ask for it, as those between services, do not pay for the question.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompressLayer;

impl<S> Layer<S> for CompressLayer {
    type Service = Compress<S>;

    fn layer(&self, inner: S) -> Compress<S> {
        Compress(inner)
    }
}

#[derive(Clone)]
pub(super) struct Compress<S>(S);

impl<S> Service<Request> for Compress<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future = Passing> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Passing;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Passing {
        if !asks_for_gzip(request.headers()) {
            return self.0.call(request);
        }
        let worth_it = DefaultPredicate::new().and(SizeAbove::new(LEAST));
        let compressing = CompressionLayer::new().compress_when(worth_it).layer(self.0.clone());
        Box::pin(async move { Ok(compressing.oneshot(request).await?.into_response()) })
    }
}

fn asks_for_gzip(headers: &HeaderMap) -> bool {
    let names_gzip = |value: &[u8]| {
        value.windows(4).any(|word| word.eq_ignore_ascii_case(b"gzip")) || value.contains(&b'*')
    };
    headers.get_all(ACCEPT_ENCODING).iter().any(|value| names_gzip(value.as_bytes()))
}
