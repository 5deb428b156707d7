//! Would the channel take this packet? Every reason why not, before the one submission is spent.

use std::collections::{BTreeMap, BTreeSet};

use payops_platform::error::Text;

use super::checklist::{Importance, Item, ProductType, checklist};
use super::{EvidenceKind, Given, TextField};
use crate::documents::{Inspection, Refusal};

/// What a channel takes at most. Characters are Unicode code points, not bytes and not what an eye takes for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All files together, in bytes.
    pub total_bytes: u64,
    /// All files together, in pages.
    pub pages: usize,
    /// All files together for Mastercard, in pages.
    pub mastercard_pages: usize,
    /// All texts together, in characters.
    pub total_chars: usize,
}

impl Limits {
    /// Stripe's: it wants fewer than 50 pages.
    pub const STRIPE: Self =
        Self { total_bytes: 4_500_000, pages: 49, mastercard_pages: 19, total_chars: 150_000 };
}

/// One file that people attached.
#[derive(Debug, Clone)]
pub struct Attached {
    /// What it shows.
    pub kind: EvidenceKind,
    /// Its name.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// What it is, or why it is not taken.
    pub inspected: Result<Inspection, Refusal>,
}

/// The file of one kind as it will be sent, when several were merged or one was rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// How many bytes it has.
    pub bytes: u64,
    /// How many pages it has.
    pub pages: usize,
}

/// A packet that is not yet sent.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// The channel's reason.
    pub reason: &'a str,
    /// What was sold.
    pub product: ProductType,
    /// The brand of the card as the channel spells it, such as `mastercard`.
    pub card_brand: Option<&'a str>,
    /// The files.
    pub attached: &'a [Attached],
    /// What will be sent in place of the attached files of a kind.
    pub prepared: &'a BTreeMap<EvidenceKind, Prepared>,
    /// The texts; an empty one counts as absent.
    pub texts: &'a BTreeMap<TextField, String>,
    /// What the channel has already: it counts, and is no answer by itself.
    pub given: &'a Given,
    /// Whether the merchant accepted the network's fee for a compliance case.
    pub fee_acknowledged: bool,
}

/// What a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The packet as a whole.
    Packet,
    /// The attached file at this place.
    File {
        /// The place among the attached files, from 0.
        index: usize,
        /// Its kind.
        kind: EvidenceKind,
        /// Its name.
        name: String,
    },
    /// A text or a piece of evidence.
    Item(Item),
}

impl About {
    /// The file's name or the evidence type; `None` for the packet as a whole.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Packet => None,
            Self::File { name, .. } => Some(name),
            Self::Item(item) => Some(item.as_str()),
        }
    }
}

/// Something that stands against sending, or should be known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable code.
    pub code: &'static str,
    /// What it is about.
    pub about: About,
    /// Whether the packet must not be sent like this.
    pub blocks: bool,
    /// What is wrong and what to do.
    pub text: Text,
}

impl Problem {
    fn blocking(code: &'static str, about: About, en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { code, about, blocks: true, text: Text::new(en.into(), zh.into()) }
    }
}

/// Lists every problem: first those of single files, then those of texts, then those of the whole.
pub fn preflight(limits: &Limits, draft: &Draft<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    files(draft, &mut problems);
    texts(limits, draft, &mut problems);
    totals(limits, draft, &mut problems);
    completeness(draft, &mut problems);
    problems
}

/// Whether the packet may be sent.
pub fn may_send(problems: &[Problem]) -> bool {
    problems.iter().all(|problem| !problem.blocks)
}

fn files(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    for (index, file) in draft.attached.iter().enumerate() {
        let about = About::File { index, kind: file.kind, name: file.name.clone() };
        match &file.inspected {
            Err(refusal) => {
                problems.push(Problem { code: refusal.code(), about, blocks: true, text: refusal.text() });
            }
            Ok(inspection) => problems.extend(inspection.notices.iter().map(|notice| Problem {
                code: notice.code(),
                about: about.clone(),
                blocks: false,
                text: notice.text(),
            })),
        }
    }
}

fn texts(limits: &Limits, draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    let mut total = draft.given.texts.values().map(|text| text.chars().count()).sum::<usize>();
    for (&field, text) in draft.texts {
        let (chars, most) = (text.chars().count(), field.max_chars());
        total += chars;
        if chars > most {
            problems.push(Problem::blocking(
                "TEXT_TOO_LONG",
                About::Item(Item::Text(field)),
                format!(
                    "{field} has {chars} characters and may have {most}; shorten it or attach it as a file",
                    field = field.as_str()
                ),
                format!("“{}”有 {chars} 个字符，上限为 {most}；请缩短，或改为附件", field.label().zh),
            ));
        }
    }
    if total > limits.total_chars {
        let most = limits.total_chars;
        problems.push(Problem::blocking(
            "TEXTS_TOO_LONG",
            About::Packet,
            format!(
                "the texts have {total} characters together and may have {most}; attach the longest as a file"
            ),
            format!("文字合计 {total} 个字符，上限为 {most}；请将最长的改为附件"),
        ));
    }
}

fn totals(limits: &Limits, draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    let (mut bytes, mut pages) = (0_u64, 0_usize);
    for file in draft.attached.iter().filter(|file| !draft.prepared.contains_key(&file.kind)) {
        bytes = bytes.saturating_add(file.bytes);
        pages = pages.saturating_add(file.inspected.as_ref().map_or(0, |inspection| inspection.pages));
    }
    for file in draft.prepared.values() {
        bytes = bytes.saturating_add(file.bytes);
        pages = pages.saturating_add(file.pages);
    }
    if bytes > limits.total_bytes {
        let most = limits.total_bytes;
        problems.push(Problem::blocking(
            "FILES_TOO_LARGE",
            About::Packet,
            format!(
                "the files have {bytes} bytes together and may have {most}; reduce or leave out the largest"
            ),
            format!("文件合计 {bytes} 字节，上限为 {most} 字节；请压缩最大的文件或减少文件"),
        ));
    }
    let mastercard = draft.card_brand.is_some_and(|brand| brand.eq_ignore_ascii_case("mastercard"));
    let most = if mastercard { limits.mastercard_pages } else { limits.pages };
    if pages > most {
        let (whose, whose_zh) = if mastercard { (" for Mastercard", "（万事达卡）") } else { ("", "") };
        problems.push(Problem::blocking(
            "TOO_MANY_PAGES",
            About::Packet,
            format!("the files have {pages} pages together and may have {most}{whose}; keep those that prove something"),
            format!("文件合计 {pages} 页，上限为 {most} 页{whose_zh}；请只保留关键页面"),
        ));
    }
}

fn completeness(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    // A file that is not taken proves nothing.
    let taken = draft.attached.iter().filter(|file| file.inspected.is_ok());
    let files = taken.map(|file| Item::File(file.kind));
    let texts =
        draft.texts.iter().filter(|(_, text)| !text.trim().is_empty()).map(|(&field, _)| Item::Text(field));
    let mut present: BTreeSet<_> = files.chain(texts).collect();
    if present.is_empty() {
        problems.push(Problem::blocking(
            "NO_EVIDENCE",
            About::Packet,
            "there is no evidence at all, and only one submission; attach a file or write a text",
            "尚无任何证据，而提交机会只有一次；请上传文件或填写文字",
        ));
    }
    if draft.fee_acknowledged {
        present.insert(Item::FeeAcknowledged);
    }
    present.extend(draft.given.texts.keys().map(|&field| Item::Text(field)));
    present.extend(draft.given.files.keys().map(|&kind| Item::File(kind)));
    let list = checklist(draft.reason, draft.product, &present);
    let lines = list.missing().filter(|line| line.importance == Importance::Recommended);
    problems.extend(lines.map(|line| {
        let label = line.item.label();
        Problem {
            code: "EVIDENCE_RECOMMENDED",
            about: About::Item(line.item),
            blocks: false,
            text: Text::new(
                format!(
                    "{} ({}) is recommended for this dispute and not there",
                    line.item.as_str(),
                    label.en
                ),
                format!("建议为此拒付补充“{}”", label.zh),
            ),
        }
    }));
}
