//! Cleans up after a test run however the run ends.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Reads until its input ends, which happens when xtask closes it or when xtask ends in any way, `kill -9` included.
/// Then it ends the process group whose number came last (an empty line takes that back), stops the server by the
/// command in `"$@"`, and removes the folder. (While `initdb` works there is a `postmaster.pid` too, but no log.)
const SCRIPT: &str = r#"
trap '' INT TERM HUP
folder=$1 keep=$2
shift 2
group=
while read -r line; do group=$line; done
if [ -n "$group" ]; then kill -s TERM -- "-$group"; fi
if [ -f "$folder/postgresql/log" ] && [ -f "$folder/postgresql/data/postmaster.pid" ]; then "$@"; fi
stopped=$?
if [ "$keep" = no ]; then rm -rf -- "$folder"; fi
exit $stopped
"#;

/// A small shell process beside xtask that does the cleaning: one way for every end of a run.
pub(super) struct Cleaner {
    shell: Child,
}

impl Cleaner {
    /// Starts waiting. `stop` is the command that stops the server whose data is in `folder/postgresql/data`.
    pub(super) fn start(folder: &Path, keep: bool, stop: &Command) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "cleaner"]).arg(folder).arg(if keep { "yes" } else { "no" });
        command.arg(stop.get_program()).args(stop.get_args());
        for (name, value) in stop.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // A group of its own, so that Ctrl-C in the terminal does not reach it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).current_dir("/");
        let shell = command.spawn().context("cannot start the shell that cleans up")?;
        Ok(Self { shell })
    }

    /// From now on the group of this process is ended too, if xtask goes first.
    pub(super) fn guard(&mut self, group_leader: &Child) -> Result<()> {
        self.say(&format!("{}\n", group_leader.id()))
    }

    /// Cleans up now and waits for it.
    pub(super) fn finish(mut self) -> Result<()> {
        self.say("\n")?;
        // Waiting closes the shell's input first.
        let status = self.shell.wait().context("cannot wait for the shell that cleans up")?;
        if !status.success() {
            bail!("the database could not be stopped: {status}");
        }
        Ok(())
    }

    fn say(&mut self, line: &str) -> Result<()> {
        let input = self.shell.stdin.as_mut().context("the shell that cleans up has no input")?;
        input.write_all(line.as_bytes()).context("the shell that cleans up is gone")
    }
}
