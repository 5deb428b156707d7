//! PostgreSQL refuses to run as root, so root lends it another user's identity.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// Whether this process may act as other users.
pub(super) fn running_as_root() -> bool {
    process::output(Command::new("id").arg("-u")).is_ok_and(|user_id| user_id.trim() == "0")
}

/// The identity that the server and its tools run under.
pub(super) enum ServerUser {
    /// The developer's own.
    Ourselves,
    /// Another user's, since we are root.
    Other { user_id: u32, group_id: u32 },
}

impl ServerUser {
    /// For root the user `postgres`, or `nobody` where PostgreSQL came without one; else ourselves.
    pub(super) fn choose() -> Result<Self> {
        if !running_as_root() {
            return Ok(Self::Ourselves);
        }
        let users = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let (user_id, group_id) = ["postgres", "nobody"]
            .iter()
            .find_map(|name| ids_of(&users, name))
            .context("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")?;
        Ok(Self::Other { user_id, group_id })
    }

    /// The words to put before a program so that it runs as this user.
    pub(super) fn prefix(&self) -> Vec<String> {
        match self {
            Self::Ourselves => Vec::new(),
            Self::Other { user_id, group_id } => vec![
                "setpriv".to_owned(),
                format!("--reuid={user_id}"),
                format!("--regid={group_id}"),
                "--clear-groups".to_owned(),
                "--".to_owned(),
            ],
        }
    }

    /// The program, to be run as this user.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let prefix = self.prefix();
        match prefix.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        }
    }

    /// Gives a folder to this user; whether he can also reach it depends on the folders above.
    pub(super) fn give(&self, folder: &Path) -> Result<()> {
        if let Self::Other { user_id, group_id } = self {
            std::os::unix::fs::chown(folder, Some(*user_id), Some(*group_id))
                .with_context(|| format!("cannot give {} to another user", folder.display()))?;
        }
        Ok(())
    }

    /// Whether this user can write in the folder, all folders above it included.
    pub(super) fn can_write(&self, folder: &Path) -> bool {
        self.command("test")
            .arg("-w")
            .arg(folder)
            .current_dir("/")
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// User and group number of a user, from the text of `/etc/passwd`.
fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let user_id = fields.nth(1)?.parse().ok()?;
        let group_id = fields.next()?.parse().ok()?;
        Some((user_id, group_id))
    })
}

#[cfg(test)]
mod tests {
    use super::ids_of;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        assert_eq!(ids_of(USERS, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(USERS, "post"), None);
        assert_eq!(ids_of("nobody:x:many:1\n", "nobody"), None);
    }
}
