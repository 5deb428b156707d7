//! Bodies that are written while they are sent, and ways to spoil them.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;

const CHUNK: usize = 64 * 1024;

/// A body made by `write`, which runs on a thread of its own and is held up while the reader is slow: at
/// most some chunks of 64 KiB are in memory. An error of `write` breaks the connection.
pub(crate) fn streamed(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut out = ChunkWriter { sender, buffer: Vec::with_capacity(CHUNK) };
        if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
            // Fails where the reader has gone, which is the usual reason for the error itself.
            let _ = out.sender.blocking_send(Err(error));
        }
    });
    Body::from_stream(futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk: io::Result<Bytes>| (chunk, receiver))
    }))
}

struct ChunkWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(Bytes::from(chunk))).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Passes on a part of what is written: the bytes from `skip` on, `take` of them, then refuses more.
pub(crate) struct Part<'a> {
    out: &'a mut dyn Write,
    skip: u64,
    take: u64,
}

impl<'a> Part<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, skip: u64, take: u64) -> Self {
        Self { out, skip, take }
    }

    /// Whether all that was to be passed on has been.
    pub(crate) fn is_complete(&self) -> bool {
        self.take == 0
    }
}

impl Write for Part<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.take == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let length = bytes.len();
        let skipped = usize::try_from(self.skip).map_or(length, |skip| skip.min(length));
        self.skip -= skipped as u64;
        let rest = &bytes[skipped..];
        let taken = usize::try_from(self.take).map_or(rest.len(), |take| take.min(rest.len()));
        self.take -= taken as u64;
        self.out.write_all(&rest[..taken])?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Flips the highest bit of one byte in 1024, so that text is no longer UTF-8. The length stays.
pub(crate) struct Flip<'a> {
    out: &'a mut dyn Write,
    offset: u64,
}

impl<'a> Flip<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, offset: 0 }
    }
}

impl Write for Flip<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut spoiled = bytes.to_vec();
        for (byte, offset) in spoiled.iter_mut().zip(self.offset..) {
            if offset % 1024 == 200 {
                *byte ^= 0x80;
            }
        }
        self.offset += bytes.len() as u64;
        self.out.write_all(&spoiled)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The same answer, whose connection breaks after `bytes` bytes of the body, if it has as many.
pub(crate) fn cut(response: Response, bytes: u64) -> Response {
    let (parts, body) = response.into_parts();
    let state = (body.into_data_stream(), Some(bytes));
    let cut = futures::stream::unfold(state, |(mut body, left)| async move {
        let left = left?;
        if left == 0 {
            // What was sent must reach the reader before the connection breaks.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let broken = io::Error::new(io::ErrorKind::ConnectionReset, "cut by a fault of the sandbox");
            return Some((Err(broken), (body, None)));
        }
        match body.next().await? {
            Ok(mut chunk) => {
                chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - chunk.len() as u64;
                Some((Ok(chunk), (body, Some(left))))
            }
            Err(error) => Some((Err(io::Error::other(error)), (body, None))),
        }
    });
    Response::from_parts(parts, Body::from_stream(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_exactly_the_bytes_asked_for() {
        let mut out = Vec::new();
        let mut part = Part::new(&mut out, 3, 5);
        part.write_all(b"01").unwrap();
        part.write_all(b"2345").unwrap();
        assert!(!part.is_complete());
        part.write_all(b"6789").unwrap();
        assert!(part.is_complete() && part.write_all(b"x").is_err());
        assert_eq!(out, b"34567");
    }

    #[tokio::test]
    async fn a_streamed_body_is_what_was_written() {
        let body = streamed(|out| {
            for number in 0..100_000 {
                writeln!(out, "line {number}")?;
            }
            Ok(())
        });
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert!(bytes.starts_with(b"line 0\n") && bytes.ends_with(b"line 99999\n"));
    }

    #[tokio::test]
    async fn a_cut_body_ends_with_an_error() {
        let mut body = cut(Response::new(Body::from("0123456789")), 4).into_body().into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "0123");
        assert!(body.next().await.unwrap().is_err());
        assert!(body.next().await.is_none());
    }
}
