//! Bodies that stop arriving.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::time::{Sleep, sleep};

use crate::error::{Error, ErrorKind};

/// Whether a body was given up because nothing of it came for too long. The handler only sees a body that breaks
/// off, and says so in its own words.
#[derive(Clone, Default)]
pub(super) struct Stalled(Arc<AtomicBool>);

impl Stalled {
    /// The body, which ends with an error when nothing of it comes for `idle` while somebody reads it.
    pub(super) fn watch(&self, body: Body, idle: Duration) -> Body {
        Body::new(Watched { body, idle, waiting: None, stalled: self.clone() })
    }

    /// The answer to give: where the body stalled, the handler's refusal is about that.
    pub(super) fn explain(&self, response: Response) -> Response {
        let failed = response.status().is_client_error() || response.status().is_server_error();
        if failed && self.0.load(Ordering::Relaxed) { too_slow().into_response() } else { response }
    }
}

/// Most bodies are there with their head. Only one that is waited for gets a timer: to set one for every request, as a
/// general time-out of bodies does, wakes the timers' thread each time.
struct Watched {
    body: Body,
    idle: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    stalled: Stalled,
}

impl HttpBody for Watched {
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
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::into_inner)));
        }
        let idle = self.idle;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(idle)));
        ready!(waiting.as_mut().poll(context));
        self.stalled.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err("nothing of the body came for too long".into())))
    }
}

/// 408: the body came too slowly, or stopped.
pub(super) fn too_slow() -> Error {
    Error::new(ErrorKind::ClientTimeout, "REQUEST_TIMEOUT", "The request came too slowly.", "请求发送过慢。")
}
