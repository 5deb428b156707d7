//! The floor: what reading both files costs when nothing is done with them but counting their lines.

use std::fs::File;
use std::io::{Read, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use memchr::memchr_iter;

/// How much is read at once: what the processor's cache holds.
const PIECE: usize = 512 << 10;

/// This program, reading `files` and nothing else.
pub(super) fn command(files: &[PathBuf]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find the program that runs")?);
    command.args(["bench", "recon", "--floor"]).args(files);
    Ok(command)
}

/// Reads each file on a thread of its own and prints how many lines there are.
pub(super) fn in_this_process(files: &[PathBuf]) -> Result<()> {
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = files.iter().map(|file| scope.spawn(|| lines(file))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<usize>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Result<Vec<usize>>>()
    })?;
    writeln!(stdout(), "{}", counts.iter().sum::<usize>())?;
    Ok(())
}

fn lines(path: &Path) -> Result<usize> {
    let context = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let mut piece = vec![0; PIECE];
    let mut lines = 0;
    loop {
        let count = file.read(&mut piece).with_context(context)?;
        if count == 0 {
            return Ok(lines);
        }
        lines += memchr_iter(b'\n', &piece[..count]).count();
    }
}
