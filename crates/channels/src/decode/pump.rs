//! Copies a stream into plain UTF-8, within a limit, and keeps what it got when the stream breaks.

use std::io::{self, Read, Write};

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE};
use memchr::memrchr;

use super::{Encoding, Packing, SpoolError};
use crate::row::{Reject, RejectReason};

const CHUNK: usize = 256 << 10;

/// What became of a stream.
#[derive(Debug)]
pub(crate) struct Pumped {
    pub(crate) encoding: Encoding,
    /// How many bytes of the output are text; what follows them is a piece of a line.
    pub(crate) bytes: u64,
    pub(crate) damage: Vec<Reject>,
}

/// Counts what is written, and where its last whole line ends.
struct Output<W> {
    inner: W,
    written: u64,
    whole_lines: u64,
}

impl<W: Write> Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(bytes)?;
        if let Some(at) = memrchr(b'\n', bytes) {
            self.whole_lines = self.written + at as u64 + 1;
        }
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Copies `source` to `sink`. Only the sink's errors are errors: those of the source are damage.
pub(super) fn pump<R: Read, W: Write>(mut source: R, sink: W, limit: u64) -> Result<Pumped, SpoolError> {
    let mut output = Output { inner: sink, written: 0, whole_lines: 0 };
    let mut chunk = vec![0; CHUNK];
    let mut damage = Vec::new();
    let (mut filled, mut broken) = (0, None);
    // The mark decides, so the first bytes must be there before anything is written.
    while filled < 4 && broken.is_none() {
        match read(&mut source, &mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => broken = Some(error),
        }
    }
    let beginning = &chunk[..filled];
    if Packing::detect(beginning) != Packing::None {
        return Err(SpoolError::Nested);
    }
    let encoding = Encoding::detect(beginning);
    let mark = usize::try_from(encoding.mark_length()).unwrap_or(0);
    let mut transcoder = Transcoder::new(encoding);
    let mut taken = filled as u64;
    transcoder.feed(&chunk[mark..filled], &mut output).map_err(SpoolError::Copy)?;
    while broken.is_none() {
        match read(&mut source, &mut chunk) {
            Ok(0) => break,
            Ok(count) => {
                taken += count as u64;
                if taken > limit {
                    broken = Some(Reject {
                        line: 0,
                        column: None,
                        reason: RejectReason::TooLarge,
                        message: format!("the file unpacks to more than {limit} bytes; the rest is left out"),
                    });
                } else {
                    transcoder.feed(&chunk[..count], &mut output).map_err(SpoolError::Copy)?;
                }
            }
            Err(error) => broken = Some(error),
        }
    }
    let bytes = if let Some(reject) = broken {
        damage.push(reject);
        output.whole_lines
    } else {
        if transcoder.finish(&mut output).map_err(SpoolError::Copy)? {
            damage.push(Reject {
                line: 0,
                column: None,
                reason: RejectReason::Truncated,
                message: "the UTF-16 text ends in the middle of a character".into(),
            });
        }
        output.written
    };
    output.inner.flush().map_err(SpoolError::Copy)?;
    Ok(Pumped { encoding, bytes, damage })
}

/// Reads on; an error of the source becomes the reject that tells of it.
fn read<R: Read>(source: &mut R, chunk: &mut [u8]) -> Result<usize, Reject> {
    loop {
        match source.read(chunk) {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let (reason, what) = match error.kind() {
                    io::ErrorKind::UnexpectedEof => (RejectReason::Truncated, "the packed file is cut short"),
                    _ => (RejectReason::Corrupt, "the packed file is damaged"),
                };
                let message = format!("{what} ({error}); what follows the last whole row is left out");
                return Err(Reject { line: 0, column: None, reason, message });
            }
        }
    }
}

/// Turns bytes into UTF-8.
struct Transcoder {
    /// `None`: the bytes are UTF-8 already and are passed on as they are.
    decoder: Option<Decoder>,
    buffer: Vec<u8>,
}

impl Transcoder {
    fn new(encoding: Encoding) -> Self {
        let decoder = match encoding {
            Encoding::Utf8 | Encoding::Utf8Marked => None,
            Encoding::Utf16Le => Some(UTF_16LE.new_decoder_without_bom_handling()),
            Encoding::Utf16Be => Some(UTF_16BE.new_decoder_without_bom_handling()),
        };
        let room = if decoder.is_some() { CHUNK } else { 0 };
        Self { decoder, buffer: vec![0; room] }
    }

    fn feed<W: Write>(&mut self, bytes: &[u8], output: &mut Output<W>) -> io::Result<()> {
        match self.decoder {
            None => output.write(bytes),
            Some(_) => self.decode(bytes, false, output).map(|_| ()),
        }
    }

    /// Ends the text; true when it ended in the middle of a character.
    fn finish<W: Write>(&mut self, output: &mut Output<W>) -> io::Result<bool> {
        self.decode(&[], true, output)
    }

    /// True when something was malformed.
    fn decode<W: Write>(&mut self, mut bytes: &[u8], last: bool, output: &mut Output<W>) -> io::Result<bool> {
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        let mut malformed = false;
        loop {
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(bytes, &mut self.buffer, last);
            output.write(&self.buffer[..written])?;
            bytes = &bytes[read..];
            match result {
                DecoderResult::InputEmpty => return Ok(malformed),
                DecoderResult::OutputFull => {}
                // A byte that is never UTF-8, so that the row that holds it is refused where it matters.
                DecoderResult::Malformed(..) => {
                    malformed = true;
                    output.write(b"\xff")?;
                }
            }
        }
    }
}
