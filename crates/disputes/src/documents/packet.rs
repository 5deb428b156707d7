//! The packet as people and banks read it: what is disputed, what is answered, and the files themselves.

use std::collections::BTreeSet;

use payops_platform::error::Language;
use payops_typeset::{Cell, Finished, Typesetter, WIDTH};
use sha2::{Digest, Sha256};

use super::Refusal;
use super::kind::Format;
use super::merge::{MergeError, Source, merge};
use crate::evidence::{EvidenceKind, TextField};

/// One fact of the dispute, in words: what it is called and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Such as `Amount`.
    pub label: String,
    /// Such as `129.00 USD`.
    pub value: String,
}

/// One file of the packet.
#[derive(Debug, Clone, Copy)]
pub struct PacketFile<'a> {
    /// What it shows.
    pub kind: EvidenceKind,
    /// Its cleaned name.
    pub name: &'a str,
    /// What its bytes are.
    pub format: Format,
    /// The whole file.
    pub bytes: &'a [u8],
    /// How many pages it has.
    pub pages: usize,
}

/// What goes into a packet. Times and money come in words, so that nothing here has to know a zone or a currency.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// The language of the headings.
    pub language: Language,
    /// The title, such as `Answer to dispute du_1`.
    pub title: &'a str,
    /// The facts, the deadline among them, in the order in which they are shown.
    pub facts: &'a [Fact],
    /// The letter to the bank; empty for none.
    pub cover_letter: &'a str,
    /// The texts, in the order in which they are shown.
    pub texts: &'a [(TextField, &'a str)],
    /// The files, in the order in which they follow.
    pub files: &'a [PacketFile<'a>],
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The PDF; the same to the byte for the same contents.
    pub bytes: Vec<u8>,
    /// How many pages it has, files included.
    pub pages: usize,
    /// The SHA-256 of the bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// Characters that the font lacks; each is written as its code, such as `[U+1F600]`.
    pub missing_characters: BTreeSet<char>,
}

/// Why there is no packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PacketError {
    /// The file at this place cannot be put into it.
    File(MergeError),
    /// The pages with the text could not be written; for the log.
    Text(String),
}

/// Makes the packet: the text first, then every file on pages of its own.
pub fn packet(contents: &Contents<'_>) -> Result<Packet, PacketError> {
    let Finished { bytes, missing_characters } = text_pages(contents).map_err(PacketError::Text)?;
    let text = Source { format: Format::Pdf, bytes: &bytes };
    let files = contents.files.iter().map(|file| Source { format: file.format, bytes: file.bytes });
    let sources: Vec<_> = [text].into_iter().chain(files).collect();
    let merged = merge(&sources).map_err(|error| match error.index {
        // The text is the first of what is merged.
        Some(index @ 1..) => PacketError::File(MergeError { index: Some(index - 1), ..error }),
        None => PacketError::File(error),
        Some(0) => PacketError::Text(match error.refusal {
            Refusal::Malformed(reason) => reason,
            refusal => refusal.to_string(),
        }),
    })?;
    let sha256 = hex::encode(Sha256::digest(&merged.bytes));
    Ok(Packet { bytes: merged.bytes, pages: merged.pages, sha256, missing_characters })
}

struct Headings {
    cover_letter: &'static str,
    texts: &'static str,
    files: &'static str,
    page: &'static str,
    pages: &'static str,
    bytes: &'static str,
}

const ENGLISH: Headings = Headings {
    cover_letter: "Letter",
    texts: "Statements",
    files: "Files",
    page: "page",
    pages: "pages",
    bytes: "bytes",
};
const CHINESE: Headings = Headings {
    cover_letter: "说明信",
    texts: "陈述",
    files: "文件清单",
    page: "页",
    pages: "页",
    bytes: "字节",
};

const TITLE: f32 = 18.0;
const HEADING: f32 = 13.0;
const BODY: f32 = 10.0;
const SMALL: f32 = 8.0;
const LABEL_WIDTH: f32 = 140.0;

fn text_pages(contents: &Contents<'_>) -> Result<Finished, String> {
    let headings = match contents.language {
        Language::English => ENGLISH,
        Language::Chinese => CHINESE,
    };
    let mut page = Typesetter::new().ok_or("the font cannot be read")?;
    page.paragraph(contents.title, TITLE);
    page.space(BODY);
    for fact in contents.facts {
        labelled(&mut page, &fact.label, &fact.value);
    }
    if !contents.cover_letter.is_empty() {
        heading(&mut page, headings.cover_letter);
        page.paragraph(contents.cover_letter, BODY);
    }
    if !contents.texts.is_empty() {
        heading(&mut page, headings.texts);
        for (field, text) in contents.texts {
            labelled(&mut page, field.label().in_language(contents.language), text);
            page.space(SMALL / 2.0);
        }
    }
    if !contents.files.is_empty() {
        heading(&mut page, headings.files);
        for (index, file) in contents.files.iter().enumerate() {
            let label = format!("{}. {}", index + 1, file.kind.label().in_language(contents.language));
            let (size, bytes) = (file.bytes.len(), headings.bytes);
            let pages = if file.pages == 1 { headings.page } else { headings.pages };
            let value = format!("{}\n{} {pages}, {size} {bytes}", file.name, file.pages);
            labelled(&mut page, &label, &value);
            let digest = format!("SHA-256 {}", hex::encode(Sha256::digest(file.bytes)));
            page.row(&[Cell::new(LABEL_WIDTH, WIDTH - LABEL_WIDTH, &digest)], SMALL);
            page.space(SMALL / 2.0);
        }
    }
    page.finish(contents.files.iter().map(|file| file.pages).sum())
}

fn heading(page: &mut Typesetter, text: &str) {
    page.space(HEADING);
    page.paragraph(text, HEADING);
    page.space(SMALL / 2.0);
}

fn labelled(page: &mut Typesetter, label: &str, value: &str) {
    let label = Cell::new(0.0, LABEL_WIDTH - BODY, label);
    let value = Cell::new(LABEL_WIDTH, WIDTH - LABEL_WIDTH, value);
    page.row(&[label, value], BODY);
}
