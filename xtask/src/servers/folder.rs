//! The folder of one run: a part for each server, and one for what the tests write.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::user::ServerUser;

/// A folder that nobody else can look into, in a place that other users can pass through to their own part.
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Makes one where also a server that does not run as us can reach its part.
    pub(super) fn create() -> Result<Self> {
        let user = ServerUser::choose()?;
        let places = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
        for place in &places {
            let Ok(folder) = tempfile::Builder::new().prefix("payops-test-").tempdir_in(place) else {
                continue;
            };
            // Others may pass through to their part, and see nothing on the way.
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
            let created = Self(folder.path().to_path_buf());
            std::fs::create_dir(created.temporary())?;
            let probe = created.part("probe", &user)?;
            let usable = user.can_write(&probe);
            std::fs::remove_dir(&probe)?;
            if usable {
                return Ok(Self(folder.keep()));
            }
        }
        bail!("found no folder for temporary files that a server's user can reach; tried {places:?}")
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// For files of the tests themselves.
    pub(super) fn temporary(&self) -> PathBuf {
        self.0.join("temporary")
    }

    /// Makes a server's own part, in which its user can write.
    pub(super) fn part(&self, name: &str, user: &ServerUser) -> Result<PathBuf> {
        let part = self.0.join(name);
        std::fs::create_dir(&part).with_context(|| format!("cannot create {}", part.display()))?;
        user.give(&part)?;
        Ok(part)
    }
}

/// Between the choice of a free port and a server's start somebody else may take the port: try so often.
pub(super) const PORT_ATTEMPTS: u32 = 5;

/// A port of 127.0.0.1 that nobody listens on now.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
