//! Several files as one PDF: the channel takes one file of a kind.

use lopdf::{Document, Object, ObjectId, SaveOptions, dictionary};

use super::kind::Format;
use super::pages::{DEADLINE, guarded};
use super::reader::{self, INHERITED, Pdf};
use super::{Refusal, image};

/// One file to merge.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What the bytes are.
    pub format: Format,
    /// The whole file.
    pub bytes: &'a [u8],
}

/// A PDF made of several files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The PDF; the same for the same files in the same order.
    pub bytes: Vec<u8>,
    /// How many pages it has.
    pub pages: usize,
}

/// Why the files cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeError {
    /// The place of the file that stands against it, from 0; `None` when it is all of them together.
    pub index: Option<usize>,
    /// What is wrong with it.
    pub refusal: Refusal,
}

/// Puts files one after the other: the pages of a PDF as they are, an image on a page of its own.
///
/// Scripts, links, outlines and attached files of the sources are left behind; what is drawn stays. The deadline of
/// [`super::pages`] holds for all files together.
pub fn merge(sources: &[Source<'_>]) -> Result<Merged, MergeError> {
    let owned: Vec<_> = sources.iter().map(|source| (source.format, source.bytes.to_vec())).collect();
    let outcome = guarded(DEADLINE, move || Ok(assemble(&owned)));
    outcome.unwrap_or_else(|refusal| Err(MergeError { index: None, refusal }))
}

fn assemble(sources: &[(Format, Vec<u8>)]) -> Result<Merged, MergeError> {
    let mut document = Document::with_version("1.7");
    let tree = document.new_object_id();
    let mut pages = Vec::new();
    for (index, (format, bytes)) in sources.iter().enumerate() {
        let added = match format {
            Format::Pdf => add_pdf(&mut document, bytes),
            image => image::add_page(&mut document, *image, bytes).map(|page| vec![page]),
        };
        pages.extend(added.map_err(|refusal| MergeError { index: Some(index), refusal })?);
    }
    for page in &pages {
        if let Ok(page) = document.get_dictionary_mut(*page) {
            page.set("Parent", tree);
        }
    }
    let count = pages.len();
    let kids: Vec<Object> = pages.into_iter().map(Object::from).collect();
    document.set_object(tree, dictionary! { "Type" => "Pages", "Count" => i64::try_from(count).unwrap_or(i64::MAX), "Kids" => kids });
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    document.prune_objects();
    document.traverse_objects(remove_actions);
    document.prune_objects();
    document.renumber_objects();
    document.compress();
    let options = SaveOptions::builder().use_object_streams(true).use_xref_streams(true).build();
    let mut bytes = Vec::new();
    document
        .save_with_options(&mut bytes, options)
        .map_err(|error| MergeError { index: None, refusal: Refusal::Malformed(error.to_string()) })?;
    Ok(Merged { bytes, pages: count })
}

fn add_pdf(document: &mut Document, bytes: &[u8]) -> Result<Vec<ObjectId>, Refusal> {
    let Pdf { document: mut source, pages } = reader::load(bytes, document.max_id + 1)?;
    for page in &pages {
        for (key, holder) in INHERITED.iter().zip(page.holders) {
            let Some(holder) = holder.filter(|&holder| holder != page.id) else { continue };
            if let Some(value) = shared(&mut source, holder, key)
                && let Ok(page) = source.get_dictionary_mut(page.id)
            {
                page.set(*key, value);
            }
        }
    }
    document.max_id = source.max_id;
    document.objects.extend(source.objects);
    Ok(pages.into_iter().map(|page| page.id).collect())
}

/// An attribute of a node, for a page below it. A dictionary becomes an object that all these pages refer to, so that
/// a thousand pages do not carry a thousand copies.
fn shared(source: &mut Document, holder: ObjectId, key: &[u8]) -> Option<Object> {
    let value = source.get_dictionary(holder).ok()?.get(key).ok()?.clone();
    if !matches!(value, Object::Dictionary(_)) {
        return Some(value);
    }
    let reference = Object::Reference(source.add_object(value));
    source.get_dictionary_mut(holder).ok()?.set(key, reference.clone());
    Some(reference)
}

/// Takes from annotations and pages what would do something when opened or clicked. Banks refuse links.
fn remove_actions(object: &mut Object) {
    if let Object::Dictionary(dictionary) = object
        && (dictionary.has(b"Rect") || dictionary.has_type(b"Page"))
    {
        for key in [b"A".as_slice(), b"AA", b"PA", b"Dest"] {
            dictionary.remove(key);
        }
    }
}
