//! Files that were uploaded, and links to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Account, Act, Settings};
use crate::stripe::error::StripeError;

/// Nine months.
const FILE_LIFE_SECONDS: i64 = 274 * 86_400;

/// A file; its content lies elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredFile {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) purpose: String,
    pub(crate) filename: Option<String>,
    pub(crate) size: u64,
    /// As told by the first bytes.
    pub(crate) kind: String,
    /// As far as they can be counted without unpacking the file.
    pub(crate) pages: u32,
}

/// A link with which anybody can fetch a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileLink {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) file: String,
    /// Unix seconds; `None` for no end.
    pub(crate) expires_at: Option<i64>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The part of the address that nobody can guess.
    pub(crate) token: String,
}

/// What becomes of the time at which a link expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    Unchanged,
    Never,
    Now,
    At(i64),
}

impl StoredFile {
    pub(crate) fn expires_at(&self) -> i64 {
        self.created + FILE_LIFE_SECONDS
    }
}

impl FileLink {
    pub(crate) fn is_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn object(&self, base_url: &str, now: i64) -> Value {
        json!({
            "id": self.id,
            "object": "file_link",
            "created": self.created,
            "expired": self.is_expired(now),
            "expires_at": self.expires_at,
            "file": self.file,
            "livemode": false,
            "metadata": self.metadata,
            "url": format!("{base_url}/links/{}", self.token),
        })
    }
}

/// `pdf`, `jpg` or `png`, by the first bytes of a file.
pub(crate) fn type_of(content: &[u8]) -> Option<&'static str> {
    match content {
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("pdf"),
        [0xff, 0xd8, 0xff, ..] => Some("jpg"),
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("png"),
        _ => None,
    }
}

/// The pages of a file: an image is one; of a PDF those whose objects are not packed away.
pub(crate) fn pages_of(content: &[u8]) -> u32 {
    if type_of(content) != Some("pdf") {
        return 1;
    }
    let mut pages: u32 = 0;
    let mut rest = content;
    while let Some(at) = rest.windows(5).position(|window| window == b"/Type") {
        rest = &rest[at + 5..];
        let value = rest.trim_ascii_start();
        if value.starts_with(b"/Page") && !value.get(5).is_some_and(u8::is_ascii_alphabetic) {
            pages = pages.saturating_add(1);
        }
    }
    pages
}

/// A name without the folders in front of it, of either system.
fn cleaned(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    (!last.is_empty()).then(|| last.chars().take(200).collect())
}

impl Account {
    pub(crate) fn add_file(
        &mut self,
        act: &mut Act<'_>,
        purpose: &str,
        filename: Option<&str>,
        content: &[u8],
    ) -> Result<String, StripeError> {
        Self::room(self.files.len(), "files")?;
        let id = act.id("file_1");
        let file = StoredFile {
            id: id.clone(),
            created: act.seconds(),
            purpose: purpose.to_owned(),
            filename: filename.and_then(cleaned),
            size: content.len() as u64,
            kind: type_of(content).unwrap_or_default().to_owned(),
            pages: pages_of(content),
        };
        self.place(&id, self.files.len());
        self.files.push(file);
        Ok(id)
    }

    pub(crate) fn tell_file(&self, act: &mut Act<'_>, id: &str) {
        if let Some(file) = self.file(id) {
            act.tell("file.created", self.file_object(act.settings, file));
        }
    }

    pub(crate) fn file_object(&self, settings: &Settings, file: &StoredFile) -> Value {
        // Those that never expire look the same at any time.
        let (lasting, others): (Vec<_>, Vec<_>) = self
            .links
            .iter()
            .rev()
            .filter(|link| link.file == file.id)
            .partition(|link| link.expires_at.is_none());
        let shown = lasting.iter().take(10).map(|link| link.object(&settings.base_url, file.created));
        let links: Vec<Value> = shown.collect();
        json!({
            "id": file.id,
            "object": "file",
            "created": file.created,
            "expires_at": file.expires_at(),
            "filename": file.filename,
            "links": {
                "object": "list",
                "data": links,
                "has_more": !others.is_empty() || lasting.len() > 10,
                "url": format!("/v1/file_links?file={}", file.id),
            },
            "purpose": file.purpose,
            "size": file.size,
            "title": null,
            "type": file.kind,
            "url": format!("{}/v1/files/{}/contents", settings.base_url, file.id),
        })
    }

    /// Makes a link to a file, which may also be the file of a report run.
    pub(crate) fn add_link(
        &mut self,
        act: &mut Act<'_>,
        file: &str,
        expires_at: Option<i64>,
        metadata: BTreeMap<String, String>,
    ) -> Result<String, StripeError> {
        Self::room(self.links.len(), "file links")?;
        check_expiry(expires_at, act.seconds())?;
        let id = act.id("link_1");
        self.place(&id, self.links.len());
        self.links.push(FileLink {
            id: id.clone(),
            created: act.seconds(),
            file: file.to_owned(),
            expires_at,
            metadata,
            token: act.id("fl_test_"),
        });
        Ok(id)
    }

    /// Changes when a link expires and what is written at it.
    pub(crate) fn update_link(
        &mut self,
        act: &Act<'_>,
        id: &str,
        expiry: Expiry,
        metadata: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<Value, StripeError> {
        let missing = || StripeError::no_such_object("file link", "link", id);
        let at = self.link(id).and_then(|_| self.at(id)).ok_or_else(missing)?;
        let now = act.seconds();
        let link = self.links.get_mut(at).ok_or_else(missing)?;
        match expiry {
            Expiry::Unchanged => {}
            Expiry::Never => link.expires_at = None,
            Expiry::Now => link.expires_at = Some(now),
            Expiry::At(seconds) => {
                check_expiry(Some(seconds), now)?;
                link.expires_at = Some(seconds);
            }
        }
        metadata(&mut link.metadata);
        Ok(link.object(&act.settings.base_url, now))
    }
}

fn check_expiry(expires_at: Option<i64>, now: i64) -> Result<(), StripeError> {
    match expires_at {
        Some(seconds) if seconds <= now => {
            Err(StripeError::invalid("expires_at", "The expiration must be in the future."))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_what_the_bytes_say() {
        assert_eq!(type_of(b"%PDF-1.7\n"), Some("pdf"));
        assert_eq!(type_of(&[0xff, 0xd8, 0xff, 0xe0]), Some("jpg"));
        assert_eq!(type_of(b"\x89PNG\r\n\x1a\n"), Some("png"));
        assert_eq!(type_of(b"GIF89a"), None);
        assert_eq!(type_of(b""), None);
    }

    #[test]
    fn pages_are_counted_and_their_tree_is_not() {
        let pdf = b"%PDF-1.4 /Type /Pages /Kids << /Type/Page /A >> << /Type /Page>> /Type /PageLabel";
        assert_eq!(pages_of(pdf), 2);
        assert_eq!(pages_of(&[0xff, 0xd8, 0xff]), 1);
    }

    #[test]
    fn names_lose_their_folders() {
        assert_eq!(cleaned("/tmp/evidence/receipt.pdf").as_deref(), Some("receipt.pdf"));
        assert_eq!(cleaned("C:\\scans\\receipt.pdf").as_deref(), Some("receipt.pdf"));
        assert_eq!(cleaned("/tmp/"), None);
    }
}
