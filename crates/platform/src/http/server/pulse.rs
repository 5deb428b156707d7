//! Which connections are alive. One timer watches all of them, so that a request costs a few counters only.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;

/// Signs of life of one connection. Bytes that arrive are none: they may trickle in for ever.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    at_work: AtomicU32,
    beat: AtomicBool,
    missed: AtomicBool,
}

impl Pulse {
    /// A head is complete; the request is at work until the guard goes.
    pub(super) fn request(pulse: &Arc<Self>) -> AtWork {
        pulse.beat.store(true, Ordering::Relaxed);
        pulse.at_work.fetch_add(1, Ordering::Relaxed);
        AtWork(Arc::clone(pulse))
    }

    /// Whether this is the second look in a row that found no sign.
    fn is_silent(&self) -> bool {
        let alive = self.beat.swap(false, Ordering::Relaxed) || self.at_work.load(Ordering::Relaxed) > 0;
        self.missed.swap(!alive, Ordering::Relaxed) && !alive
    }
}

/// A request at work.
pub(super) struct AtWork(Arc<Pulse>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All connections of a server.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Vec<(AbortHandle, Arc<Pulse>)>>);

impl Connections {
    pub(super) fn add(&self, task: AbortHandle, pulse: Arc<Pulse>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((task, pulse));
    }

    /// Cuts those that showed no sign of life since the look before the last.
    pub(super) fn cut_silent(&self) {
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|(task, _)| !task.is_finished());
        for (task, pulse) in connections.iter() {
            if pulse.is_silent() {
                task.abort();
            }
        }
    }

    /// Cuts all; returns how many there were.
    pub(super) fn cut_all(&self) -> usize {
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|(task, _)| !task.is_finished());
        connections.iter().for_each(|(task, _)| task.abort());
        connections.len()
    }
}

/// A stream whose every successful write is a sign of life.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }

    fn sent(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(_)) = outcome {
            self.pulse.beat.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.sent(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_looks_without_a_sign_are_silence() {
        let pulse = Arc::new(Pulse::default());
        assert!(!pulse.is_silent() && pulse.is_silent());
        pulse.beat.store(true, Ordering::Relaxed);
        assert!(!pulse.is_silent() && !pulse.is_silent() && pulse.is_silent());
        let at_work = Pulse::request(&pulse);
        assert!(!pulse.is_silent() && !pulse.is_silent() && !pulse.is_silent());
        drop(at_work);
        assert!(!pulse.is_silent() && pulse.is_silent());
    }
}
