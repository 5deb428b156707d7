//! How many pages a file has.
//!
//! A PDF is read on a thread of its own, with a stack of its own and a deadline. What it may unpack to is bounded
//! together ([`MAX_UNPACKED`]), page trees are walked without following a loop, and a panic of the reader is a
//! refusal. A file that is still being read at the deadline is refused; its thread ends by itself, since the bounds
//! on memory bound the work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::kind::Format;
use super::{Refusal, image, reader};

pub use super::reader::MAX_UNPACKED;

/// How long reading one PDF may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Enough for the deepest nesting that the reader follows.
const STACK: usize = 16 << 20;

/// Counts the pages of a file of this format; an image is one.
pub fn count(format: Format, bytes: &[u8]) -> Result<usize, Refusal> {
    match format {
        Format::Jpeg => image::read_jpeg(bytes).map(|_| 1),
        Format::Png => image::read_png_header(bytes).map(|_| 1),
        Format::Pdf => {
            let bytes = bytes.to_vec();
            guarded(DEADLINE, move || reader::load(&bytes, 1).map(|pdf| pdf.pages.len()))
        }
    }
}

/// Runs `work` away from the caller, so that neither a panic nor a deep recursion nor endless work reaches it.
pub(super) fn guarded<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name("document".to_owned()).stack_size(STACK).spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let outcome = outcome.unwrap_or_else(|_| Err(Refusal::Malformed("the reader panicked".to_owned())));
        // Nobody listens any more when the deadline has passed.
        let _ = sender.send(outcome);
    });
    match spawned {
        Ok(_) => receiver.recv_timeout(deadline).unwrap_or(Err(Refusal::TooComplex)),
        Err(error) => Err(Refusal::Malformed(format!("no thread to read it on: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_reader_is_a_refusal() {
        let outcome: Result<(), _> = guarded(DEADLINE, || panic!("as a reader might"));
        assert!(matches!(outcome, Err(Refusal::Malformed(_))));
    }

    #[test]
    fn what_is_not_read_by_the_deadline_is_refused() {
        let (release, released) = mpsc::channel::<()>();
        let outcome = guarded(Duration::ZERO, move || {
            released.recv().map_err(|_| Refusal::Empty)?;
            Ok(())
        });
        assert_eq!(outcome, Err(Refusal::TooComplex));
        drop(release);
    }
}
