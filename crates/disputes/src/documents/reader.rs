//! Reads a PDF of unknown origin within bounds.

use std::cell::Cell;
use std::collections::HashSet;

use lopdf::{DecompressError, Dictionary, Document, Error, LoadOptions, Object, ObjectId};

use super::Refusal;

/// What the compressed structure of one PDF (its objects and cross-references, not its page contents or images) may
/// unpack to, in bytes, all of it together.
pub const MAX_UNPACKED: usize = 16 << 20;

/// More pages than any channel takes, and more than a person reads.
const MAX_PAGES: usize = 20_000;

/// Deeper than any writer nests its page tree.
const MAX_TREE_DEPTH: usize = 64;

/// Attributes that a page takes from the nodes above it.
pub(super) const INHERITED: [&[u8]; 4] = [b"Resources", b"MediaBox", b"CropBox", b"Rotate"];

/// A PDF that was read whole.
pub(super) struct Pdf {
    pub document: Document,
    pub pages: Vec<Page>,
}

/// A page, and for each of [`INHERITED`] the nearest node (the page itself or one above it) that has the attribute.
pub(super) struct Page {
    pub id: ObjectId,
    pub holders: [Option<ObjectId>; 4],
}

thread_local! {
    // The filter of a load is a plain function, so what it has to say waits here for the end of that load.
    static OVERLAPPING: Cell<bool> = const { Cell::new(false) };
}

/// Reads a document, numbers its objects from `first` on, and lists its pages in order.
pub(super) fn load(bytes: &[u8], first: u32) -> Result<Pdf, Refusal> {
    let packed = packed_structures(bytes).max(1);
    OVERLAPPING.set(false);
    let options = LoadOptions {
        // Nobody's password: an encrypted document is refused before it is unpacked, unless it opens with none.
        password: Some("\u{0}".to_owned()),
        filter: Some(refuse_overlapping_objects),
        max_decompressed_size: Some(MAX_UNPACKED / packed),
        ..LoadOptions::default()
    };
    let mut document = Document::load_mem_with_options(bytes, options).map_err(|error| refusal(&error))?;
    if OVERLAPPING.get() {
        return Err(Refusal::TooComplex);
    }
    if document.is_encrypted() || document.was_encrypted() {
        return Err(Refusal::Encrypted);
    }
    document.renumber_objects_with(first);
    let pages = pages(&document)?;
    Ok(Pdf { document, pages })
}

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::Decompress(DecompressError::MemoryLimitExceeded { .. }) | Error::RecursionLimit => {
            Refusal::TooComplex
        }
        Error::InvalidPassword | Error::UnsupportedSecurityHandler(_) | Error::Decryption(_) => {
            Refusal::Encrypted
        }
        other => Refusal::Malformed(other.to_string()),
    }
}

/// Counts what the reader unpacks while it loads: streams of objects and of cross-references. Each gets an equal share
/// of [`MAX_UNPACKED`], so that many small bombs are bounded as one is.
fn packed_structures(bytes: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == b'/') {
        rest = &rest[at + 1..];
        let end = rest.iter().position(|&byte| !is_regular(byte)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let name = unescaped(name);
        // The reader takes a stream with `/W [1 2 1]` for cross-references, whatever type it names.
        if name == b"ObjStm" || name == b"XRef" || (name == b"W" && is_flat_array(after)) {
            count += 1;
        }
        rest = after;
    }
    count
}

fn is_regular(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && byte != 0 && !b"()<>[]{}/%".contains(&byte)
}

/// A name with its `#41` written out.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut at = 0;
    while let Some(&byte) = name.get(at) {
        let escaped = (byte == b'#')
            .then(|| name.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    plain
}

fn is_flat_array(after: &[u8]) -> bool {
    let mut brackets = after.iter().filter(|byte| matches!(byte, b'[' | b']'));
    brackets.next() == Some(&b'[') && brackets.next() == Some(&b']')
}

/// Objects of one stream that begin at the same place would be parsed once each: a small file with a million of them
/// would never be read to its end.
fn refuse_overlapping_objects(id: ObjectId, object: &mut Object) -> Option<(ObjectId, Object)> {
    if let Ok(stream) = object.as_stream()
        && stream.dict.has_type(b"ObjStm")
        && let Ok(content) = stream.get_plain_content_with_limit(MAX_UNPACKED)
        && has_overlap(&content, stream.dict.get(b"First").and_then(Object::as_i64).unwrap_or_default())
    {
        OVERLAPPING.set(true);
        return None;
    }
    Some((id, object.clone()))
}

fn has_overlap(content: &[u8], first: i64) -> bool {
    let index = usize::try_from(first).ok().and_then(|first| content.get(..first)).unwrap_or_default();
    let mut seen = HashSet::new();
    let words = index.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.skip(1).step_by(2).any(|offset| !seen.insert(offset))
}

/// Walks the page tree in order, each node once.
fn pages(document: &Document) -> Result<Vec<Page>, Refusal> {
    let malformed = |reason: &str| Refusal::Malformed(reason.to_owned());
    let root = document
        .catalog()
        .and_then(|catalog| catalog.get(b"Pages"))
        .and_then(Object::as_reference)
        .map_err(|error| Refusal::Malformed(format!("no page tree: {error}")))?;
    let mut pages = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut waiting = vec![(root, [None; 4], 0)];
    while let Some((id, mut holders, depth)) = waiting.pop() {
        // A tree may name a page that the file lacks; readers skip it.
        let Ok(node) = document.get_dictionary(id) else { continue };
        for (key, holder) in INHERITED.iter().zip(&mut holders) {
            if node.has(key) {
                *holder = Some(id);
            }
        }
        let Some(children) = children(document, node) else {
            pages.push(Page { id, holders });
            if pages.len() > MAX_PAGES {
                return Err(Refusal::TooComplex);
            }
            continue;
        };
        if depth >= MAX_TREE_DEPTH {
            return Err(Refusal::TooComplex);
        }
        for child in children.iter().rev().filter_map(|child| child.as_reference().ok()) {
            if !seen.insert(child) {
                return Err(malformed("the page tree contains a node twice"));
            }
            waiting.push((child, holders, depth + 1));
        }
    }
    if pages.is_empty() { Err(malformed("the document has no page")) } else { Ok(pages) }
}

fn children<'a>(document: &'a Document, node: &'a Dictionary) -> Option<&'a Vec<Object>> {
    if node.has_type(b"Page") {
        return None;
    }
    let kids = node.get(b"Kids").ok()?;
    document.dereference(kids).ok()?.1.as_array().ok()
}
