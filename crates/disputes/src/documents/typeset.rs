//! Text on pages: wraps and paginates, and says which characters the font lacks.
//!
//! One font for all (`wqy-microhei`: Latin, Greek, Cyrillic, Vietnamese, Chinese, Japanese, Korean); what is used
//! of it goes into the PDF. A character that it lacks is written as its code, such as `[U+1F600]`: seen, told, and
//! found again by whoever searches the text.

use std::collections::BTreeSet;

use krilla::geom::Point;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::text::{Font, GlyphId, KrillaGlyph};
use krilla::{Document, SerializeSettings};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};
use unicode_linebreak::linebreaks;
use unicode_normalization::UnicodeNormalization;

const FONT: &[u8] = include_bytes!("../../fonts/wqy-microhei.ttf");

const PAGE_WIDTH: f32 = 595.0;
const PAGE_HEIGHT: f32 = 842.0;
const MARGIN: f32 = 56.0;
/// How wide a line may be, in points.
pub(super) const WIDTH: f32 = PAGE_WIDTH - 2.0 * MARGIN;
const LEADING: f32 = 1.4;
/// Beside a quotation mark in other than Chinese text, at size 1.
const QUOTE_GAP: f32 = 0.06;

/// A piece of a row: from where (points from the left margin), how wide, what.
pub(super) struct Cell<'a> {
    pub left: f32,
    pub width: f32,
    pub text: &'a str,
}

struct Line {
    x: f32,
    y: f32,
    size: f32,
    text: String,
    script: Script,
}

/// Decides how wide quotation marks are: the font has one of each, as wide as a Chinese character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Chinese,
    Other,
}

impl Script {
    fn of(text: &str) -> Self {
        let chinese = |character| matches!(character, '\u{3000}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{ff00}'..='\u{ffef}');
        if text.contains(chinese) { Self::Chinese } else { Self::Other }
    }
}

/// A character at size 1.
struct Shape {
    glyph: u32,
    /// How far its ink is moved to the left.
    shift: f32,
    advance: f32,
}

/// Lays out text from top to bottom, page after page.
pub(super) struct Typesetter {
    font: Font,
    face: FontRef<'static>,
    pages: Vec<Vec<Line>>,
    y: f32,
    missing: BTreeSet<char>,
}

impl Typesetter {
    /// `None` if the font that is built in cannot be read.
    pub fn new() -> Option<Self> {
        Some(Self {
            font: Font::new(FONT.into(), 0)?,
            face: FontRef::new(FONT).ok()?,
            pages: vec![Vec::new()],
            y: MARGIN,
            missing: BTreeSet::new(),
        })
    }

    /// Text over the whole width.
    pub fn paragraph(&mut self, text: &str, size: f32) {
        self.row(&[Cell { left: 0.0, width: WIDTH, text }], size);
    }

    /// Pieces of text beside each other, each wrapped within its width.
    pub fn row(&mut self, cells: &[Cell<'_>], size: f32) {
        let columns: Vec<_> = cells.iter().map(|cell| (cell.left, self.wrap(cell, size))).collect();
        let height = columns.iter().map(|(_, lines)| lines.len()).max().unwrap_or_default();
        for line in 0..height {
            if self.y + size * LEADING > PAGE_HEIGHT - MARGIN {
                self.pages.push(Vec::new());
                self.y = MARGIN;
            }
            self.y += size * LEADING;
            for (left, lines) in &columns {
                if let (Some((script, text)), Some(page)) = (lines.get(line), self.pages.last_mut()) {
                    page.push(Line {
                        x: MARGIN + left,
                        y: self.y,
                        size,
                        text: text.clone(),
                        script: *script,
                    });
                }
            }
        }
    }

    /// Leaves room, in points.
    pub fn space(&mut self, height: f32) {
        self.y += height;
    }

    /// The PDF and the characters that were written as codes. The feet of the pages count `more` that follow.
    pub fn finish(self, more: usize) -> Result<(Vec<u8>, BTreeSet<char>), String> {
        let settings =
            SerializeSettings { xmp_metadata: false, enable_tagging: false, ..SerializeSettings::default() };
        let mut document = Document::new_with(settings);
        let count = self.pages.len() + more;
        for (index, lines) in self.pages.iter().enumerate() {
            let settings = PageSettings::from_wh(PAGE_WIDTH, PAGE_HEIGHT).ok_or("no page of this size")?;
            let mut page = document.start_page_with(settings);
            let mut surface = page.surface();
            surface.set_fill(Some(Fill { opacity: NormalizedF32::ONE, ..Fill::default() }));
            let footer = format!("{} / {count}", index + 1);
            let (y, script) = (PAGE_HEIGHT - MARGIN / 2.0, Script::Other);
            let footer = Line { x: MARGIN, y, size: 8.0, text: footer, script };
            for line in lines.iter().chain([&footer]) {
                let glyphs = self.glyphs(line);
                let start = Point::from_xy(line.x, line.y);
                surface.draw_glyphs(start, &glyphs, self.font.clone(), &line.text, line.size, false);
            }
            surface.finish();
            page.finish();
        }
        let bytes = document.finish().map_err(|error| format!("{error:?}"))?;
        Ok((bytes, self.missing))
    }

    fn glyphs(&self, line: &Line) -> Vec<KrillaGlyph> {
        let glyphs = line.text.char_indices().map(|(at, character)| {
            let Shape { glyph, shift, advance } = self.shape(character, line.script);
            let range = at..at + character.len_utf8();
            KrillaGlyph::new(GlyphId::new(glyph), advance, -shift, 0.0, 0.0, range, None)
        });
        glyphs.collect()
    }

    fn shape(&self, character: char, script: Script) -> Shape {
        let glyph = self.face.charmap().map(character).unwrap_or_default();
        let metrics = self.face.glyph_metrics(Size::new(1.0), LocationRef::default());
        let quote = matches!(character, '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}');
        let ink = (quote && script == Script::Other).then(|| metrics.bounds(glyph)).flatten();
        if let Some(ink) = ink {
            let advance = ink.x_max - ink.x_min + 2.0 * QUOTE_GAP;
            return Shape { glyph: glyph.to_u32(), shift: ink.x_min - QUOTE_GAP, advance };
        }
        Shape { glyph: glyph.to_u32(), shift: 0.0, advance: metrics.advance_width(glyph).unwrap_or(1.0) }
    }

    /// Composes what is composed, and writes what cannot be shown as its code.
    fn shown(&mut self, text: &str) -> String {
        let charmap = self.face.charmap();
        let mut shown = String::with_capacity(text.len());
        for character in text.replace("\r\n", "\n").nfc() {
            match character {
                '\n' | '\u{2028}' | '\u{2029}' | '\r' => shown.push('\n'),
                '\t' => shown.push_str("    "),
                // Invisible and common at the start of pasted text.
                '\u{feff}' => {}
                _ if !character.is_control()
                    && charmap.map(character).is_some_and(|glyph| glyph.to_u32() != 0) =>
                {
                    shown.push(character);
                }
                _ => {
                    self.missing.insert(character);
                    shown.extend(format!("[U+{:04X}]", u32::from(character)).chars());
                }
            }
        }
        shown
    }

    fn wrap(&mut self, cell: &Cell<'_>, size: f32) -> Vec<(Script, String)> {
        let text = self.shown(cell.text);
        let wrapped = text.split('\n').flat_map(|paragraph| {
            let script = Script::of(paragraph);
            let lines = self.wrap_paragraph(paragraph, script, cell.width / size);
            lines.into_iter().map(move |line| (script, line))
        });
        wrapped.collect()
    }

    /// Breaks where the rules of writing allow it, and within a word only when the word alone is too wide.
    fn wrap_paragraph(&self, paragraph: &str, script: Script, width: f32) -> Vec<String> {
        let advance = |character| self.shape(character, script).advance;
        let mut lines = Vec::new();
        let mut line = String::new();
        let mut used = 0.0;
        let mut start = 0;
        for (end, _) in linebreaks(paragraph) {
            let segment = &paragraph[start..end];
            start = end;
            let visible: f32 = segment.trim_end().chars().map(advance).sum();
            if !line.is_empty() && used + visible > width {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            for character in segment.chars() {
                let advance = advance(character);
                if !line.is_empty() && used + advance > width && !character.is_whitespace() {
                    lines.push(std::mem::take(&mut line));
                    used = 0.0;
                }
                line.push(character);
                used += advance;
            }
        }
        lines.push(line);
        lines
    }
}
