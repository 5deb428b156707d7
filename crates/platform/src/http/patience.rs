//! Bodies that stop arriving.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tower_http::timeout::TimeoutBody;

use crate::error::{Error, ErrorKind};

/// Whether a body was given up because nothing of it came for too long. The handler only sees a body that breaks
/// off, and says so in its own words.
#[derive(Clone, Default)]
pub(super) struct Stalled(Arc<AtomicBool>);

impl Stalled {
    /// The body, which ends with an error when nothing of it comes for `idle` while somebody reads it.
    pub(super) fn watch(&self, body: Body, idle: Duration) -> Body {
        let body = TimeoutBody::new(idle, body.map_err(axum::Error::into_inner));
        Body::new(Watched { body: Box::pin(body), stalled: self.clone() })
    }

    /// The answer to give: where the body stalled, the handler's refusal is about that.
    pub(super) fn explain(&self, response: Response) -> Response {
        let failed = response.status().is_client_error() || response.status().is_server_error();
        if failed && self.0.load(Ordering::Relaxed) { too_slow().into_response() } else { response }
    }
}

struct Watched<B> {
    body: Pin<Box<TimeoutBody<B>>>,
    stalled: Stalled,
}

impl<B> HttpBody for Watched<B>
where
    B: HttpBody<Data = Bytes, Error = axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        // Whoever reads on after the error must not wait once more.
        if self.stalled.0.load(Ordering::Relaxed) {
            return Poll::Ready(None);
        }
        let frame = ready!(self.body.as_mut().poll_frame(context));
        if let Some(Err(error)) = &frame
            && error.is::<tower_http::timeout::TimeoutError>()
        {
            self.stalled.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }
}

/// 408: the body came too slowly, or stopped.
pub(super) fn too_slow() -> Error {
    Error::new(ErrorKind::ClientTimeout, "REQUEST_TIMEOUT", "The request came too slowly.", "请求发送过慢。")
}
