//! Files: evidence is uploaded, and named by its id afterwards.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use payops_core::time::Timestamp;
use reqwest::Body;
use reqwest::multipart::{self, Part};
use serde::Deserialize;

use super::tolerant::{id, time_or_none};
use super::{Form, StripeClient, StripeError};

const LONGEST_NAME: usize = 100;

/// The types that Stripe takes as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// PDF.
    Pdf,
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

impl FileType {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// The endings of a name, the usual one first.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Pdf => &[".pdf"],
            Self::Jpeg => &[".jpg", ".jpeg"],
            Self::Png => &[".png"],
        }
    }
}

/// Opens a file's content from its beginning; once for each attempt.
pub type OpenContent = Arc<dyn Fn() -> BoxStream<'static, std::io::Result<Bytes>> + Send + Sync>;

/// What is in a file.
#[derive(Clone)]
pub enum FileContent {
    /// All of it.
    Bytes(Bytes),
    /// As a stream.
    Stream {
        /// Its length in bytes.
        length: u64,
        /// Opens it.
        open: OpenContent,
    },
}

impl FileContent {
    fn part(&self) -> Part {
        match self {
            Self::Bytes(bytes) => Part::stream_with_length(bytes.clone(), bytes.len() as u64),
            Self::Stream { length, open } => Part::stream_with_length(Body::wrap_stream(open()), *length),
        }
    }
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { length, .. } => *length,
        };
        write!(f, "{length} bytes")
    }
}

/// A file to be uploaded as evidence for a dispute.
#[derive(Debug, Clone)]
pub struct EvidenceFile {
    /// The name by which people will know it. What has no place in a name is replaced before it is sent.
    pub name: String,
    /// Its type.
    pub kind: FileType,
    /// What is in it.
    pub content: FileContent,
}

impl EvidenceFile {
    fn form(&self) -> reqwest::Result<multipart::Form> {
        let part = self.content.part().file_name(clean_name(&self.name, self.kind));
        let part = part.mime_str(self.kind.media_type())?;
        // The purpose comes first, so that a server knows what it reads when the file begins.
        Ok(multipart::Form::new().text("purpose", "dispute_evidence").part("file", part))
    }
}

/// A name without folders, control characters and quotes, of at most 100 characters, that ends as its type does.
fn clean_name(name: &str, kind: FileType) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let allowed = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' };
    let cleaned: String = last.chars().map(allowed).collect();
    let cleaned = cleaned.trim_matches(|c| matches!(c, '.' | ' '));
    let cleaned = if cleaned.is_empty() { "evidence" } else { cleaned };
    let lower = cleaned.to_ascii_lowercase();
    let known = kind.endings().iter().find(|ending| lower.ends_with(**ending));
    let stem = known.map_or(cleaned, |ending| &cleaned[..cleaned.len() - ending.len()]);
    let ending = known.unwrap_or(&kind.endings()[0]);
    let stem: String = stem.chars().take(LONGEST_NAME - ending.len()).collect();
    format!("{}{ending}", stem.trim_end_matches(['.', ' ']))
}

/// A file that Stripe keeps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StripeFile {
    /// Its id, `file_…`.
    pub id: String,
    /// When it was uploaded.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created: Timestamp,
    /// When Stripe forgets it.
    #[serde(default, deserialize_with = "time_or_none")]
    pub expires_at: Option<Timestamp>,
    /// Its name.
    pub filename: Option<String>,
    /// What it is for, such as `dispute_evidence`.
    pub purpose: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its type as Stripe sees it: `pdf`, `jpg`, `png`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Where its content is, for who has the key.
    pub url: Option<String>,
}

/// A link by which anybody who has it can read a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FileLink {
    /// Its id, `link_…`.
    pub id: String,
    /// The file's id.
    #[serde(deserialize_with = "id")]
    pub file: String,
    /// Whether it leads nowhere any more.
    #[serde(default)]
    pub expired: bool,
    /// When it will lead nowhere; `None` is never.
    #[serde(default, deserialize_with = "time_or_none")]
    pub expires_at: Option<Timestamp>,
    /// The link; absent once it has expired.
    pub url: Option<String>,
}

impl StripeClient {
    /// Uploads a file as evidence. It goes to the files' host.
    pub async fn upload_evidence(
        &self,
        file: &EvidenceFile,
        idempotency_key: &str,
    ) -> Result<StripeFile, StripeError> {
        self.upload("upload_file", &["files"], || file.form(), idempotency_key).await
    }

    /// What Stripe knows of a file.
    pub async fn file(&self, id: &str) -> Result<StripeFile, StripeError> {
        self.read("retrieve_file", &["files", id], &Form::default()).await
    }

    /// Makes a link to a file, which ends at `expires_at` if that is given.
    pub async fn create_file_link(
        &self,
        file_id: &str,
        expires_at: Option<Timestamp>,
        idempotency_key: &str,
    ) -> Result<FileLink, StripeError> {
        let mut form = Form::default();
        form.text("file", file_id);
        form.optional("expires_at", expires_at.map(|time| time.timestamp()));
        self.change("create_file_link", &["file_links"], &form, idempotency_key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned() {
        let cases = [
            ("receipt.pdf", FileType::Pdf, "receipt.pdf"),
            ("../../etc/pass\"wd", FileType::Pdf, "pass_wd.pdf"),
            ("C:\\scans\\Beleg 7.PDF", FileType::Pdf, "Beleg 7.pdf"),
            ("签收单.jpeg", FileType::Jpeg, "签收单.jpeg"),
            ("a\r\nX: b", FileType::Png, "a__X_ b.png"),
            ("", FileType::Png, "evidence.png"),
            ("..", FileType::Jpeg, "evidence.jpg"),
            (".pdf", FileType::Pdf, "pdf.pdf"),
        ];
        for (name, kind, expected) in cases {
            assert_eq!(clean_name(name, kind), expected);
        }
        let long = clean_name(&"é".repeat(300), FileType::Jpeg);
        assert_eq!(long, format!("{}.jpg", "é".repeat(96)));
    }
}
