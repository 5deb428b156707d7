//! Reads both files with all threads.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

use payops_channels::fast::{PartBuffer, PartReader, SharedFile};
use payops_channels::report::FileReport;

use super::Input;
use super::entry::Side;
use super::error::EngineError;
use super::observer::{Meter, MeteredFile};
use super::side::{PartNotes, SideBuilder, SideRows, SideSettings};
use super::threads::on_all;

/// One file, and where its rows go.
struct Source<'a> {
    side: Side,
    file: SharedFile<'a, MeteredFile<'a>>,
    builder: SideBuilder<'a>,
}

/// What one thread has read of one file.
struct Share<'a> {
    reader: PartReader<'a>,
    notes: PartNotes,
}

/// Reads our file and the channel's. Each thread begins with one of them and helps with the other when there is
/// nothing left to take.
pub(super) fn read_sides(
    inputs: [(&Input, &File); 2],
    settings: &SideSettings<'_>,
    threads: usize,
    meter: &Meter<'_>,
) -> Result<[(SideRows, FileReport); 2], EngineError> {
    let files = inputs.map(|(_, file)| MeteredFile::new(file, meter));
    let open = |side: Side| {
        let index = side as usize;
        let (input, file) = (inputs[index].0, &files[index]);
        let file = SharedFile::open(file, &input.format, &input.options)
            .map_err(|source| EngineError::Input { side, source })?;
        let builder = SideBuilder::new(side, settings, file.times());
        Ok::<_, EngineError>(Source { side, file, builder })
    };
    let sources = [open(Side::Platform)?, open(Side::Channel)?];
    let stop = AtomicBool::new(false);
    let shares = on_all(threads, |thread| {
        let mut buffer = PartBuffer::default();
        let share = |index: usize| sources[index].read(&mut buffer, meter, &stop);
        let shares = if thread % 2 == 0 { [0, 1] } else { [1, 0] }.map(share);
        let [first, second] = shares;
        let (first, second) = (first?, second?);
        Ok::<_, EngineError>(if thread % 2 == 0 { [first, second] } else { [second, first] })
    });
    meter.check_cancelled()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for share in shares {
        let [our_share, their_share] = share?;
        ours.push(our_share);
        theirs.push(their_share);
    }
    let (our_notes, our_report) = sources[0].sum(ours)?;
    let (their_notes, their_report) = sources[1].sum(theirs)?;
    let [platform, channel] = sources.map(|source| source.builder);
    let [(our_input, _), (their_input, _)] = inputs;
    Ok([
        (platform.finish(our_notes, &our_input.damage)?, our_report),
        (channel.finish(their_notes, &their_input.damage)?, their_report),
    ])
}

impl Source<'_> {
    /// Takes parts of the file until there is none left.
    fn read<'s>(
        &'s self,
        buffer: &mut PartBuffer,
        meter: &Meter<'_>,
        stop: &AtomicBool,
    ) -> Result<Share<'s>, EngineError> {
        let mut reader = self.file.reader();
        let mut writer = self.builder.writer();
        let read = loop {
            if stop.load(Ordering::Relaxed) {
                break Ok(());
            }
            match self.file.read_part(&mut reader, buffer, &mut writer) {
                Ok(Some(number)) => writer.end_part(number),
                Ok(None) => break Ok(()),
                Err(source) => break Err(EngineError::Input { side: self.side, source }),
            }
            if let Some(error) = writer.take_failure() {
                break Err(error.into());
            }
            if let Err(cancelled) = meter.check_cancelled() {
                break Err(cancelled);
            }
        };
        if let Err(error) = read {
            stop.store(true, Ordering::Relaxed);
            return Err(error);
        }
        Ok(Share { reader, notes: writer.finish()? })
    }

    /// Adds up what the threads have read.
    fn sum(&self, shares: Vec<Share<'_>>) -> Result<(Vec<PartNotes>, FileReport), EngineError> {
        let (mut readers, mut notes) = (Vec::new(), Vec::new());
        for share in shares {
            readers.push(share.reader);
            notes.push(share.notes);
        }
        let unreadable = |source| EngineError::Input { side: self.side, source };
        Ok((notes, self.file.finish(readers).map_err(unreadable)?))
    }
}
