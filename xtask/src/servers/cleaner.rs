//! Cleans up after a test run however the run ends.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Reads until its input ends, which happens when xtask closes it or when xtask ends in any way, `kill -9` included.
/// Then it runs the scripts in `at-end`, the youngest first, and removes the folder.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
folder=$1 keep=$2 failed=0
while read -r line; do :; done
for script in $(ls -r "$folder/at-end"); do sh "$folder/at-end/$script" || failed=1; done
rm -rf -- "$folder/at-end"
if [ "$keep" = no ]; then rm -rf -- "$folder"; fi
exit $failed
"#;

/// A small shell process beside xtask that does the cleaning: one way for every end of a run.
pub(super) struct Cleaner {
    shell: Child,
    scripts: PathBuf,
    count: u32,
}

impl Cleaner {
    /// Starts waiting.
    pub(super) fn start(folder: &Path, keep: bool) -> Result<Self> {
        let scripts = folder.join("at-end");
        std::fs::create_dir(&scripts).with_context(|| format!("cannot create {}", scripts.display()))?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "cleaner"]).arg(folder).arg(if keep { "yes" } else { "no" });
        // A group of its own, so that Ctrl-C in the terminal does not reach it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).current_dir("/");
        let shell = command.spawn().context("cannot start the shell that cleans up")?;
        Ok(Self { shell, scripts, count: 0 })
    }

    /// At the end this command runs too, if the file is there then.
    pub(super) fn run_if_exists(&mut self, file: &Path, command: &Command) -> Result<()> {
        let condition = format!("if ! [ -f {} ]; then exit 0; fi", quoted(file.as_os_str()));
        self.add(&format!("{condition}\n{}", script(command)))
    }

    /// At the end this process and all of its group are ended too. It must lead a group.
    pub(super) fn end_group(&mut self, group_leader: &Child) -> Result<()> {
        // Whoever ended by himself needs no ending.
        self.add(&format!("kill -s TERM -- -{} 2>/dev/null || true\n", group_leader.id()))
    }

    /// What was said last is not done any more: another process may have got the same number meanwhile.
    pub(super) fn forget_last(&mut self) -> Result<()> {
        let last = self.script(self.count);
        self.count = self.count.saturating_sub(1);
        std::fs::remove_file(&last).with_context(|| format!("cannot remove {}", last.display()))
    }

    /// Cleans up now and waits for it.
    pub(super) fn finish(mut self) -> Result<()> {
        // Waiting closes the shell's input first.
        let status = self.shell.wait().context("cannot wait for the shell that cleans up")?;
        if !status.success() {
            bail!("a server could not be stopped: {status}");
        }
        Ok(())
    }

    fn add(&mut self, script: &str) -> Result<()> {
        let path = self.script(self.count + 1);
        std::fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
        self.count += 1;
        Ok(())
    }

    fn script(&self, number: u32) -> PathBuf {
        self.scripts.join(format!("{number:04}"))
    }
}

/// Does in a shell what the command does.
pub(super) fn script(command: &Command) -> String {
    let settings = command.get_envs().map(|(name, value)| match value {
        Some(value) => format!("export {}={}\n", name.to_string_lossy(), quoted(value)),
        None => format!("unset {}\n", name.to_string_lossy()),
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted);
    format!("{}{}\n", settings.collect::<String>(), words.collect::<Vec<_>>().join(" "))
}

/// One word for the shell.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}
