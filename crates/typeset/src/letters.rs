//! The font: how wide text is, where it may be broken, and what of it cannot be shown.

use std::collections::BTreeSet;

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};
use unicode_linebreak::linebreaks;
use unicode_normalization::UnicodeNormalization;

const FONT: &[u8] = include_bytes!("../fonts/wqy-microhei.ttf");

/// Beside a quotation mark in other than Chinese text, at size 1.
const QUOTE_GAP: f32 = 0.06;

/// Decides how wide quotation marks are: the font has one of each, as wide as a Chinese character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
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

/// The font, and which characters it was found to lack.
pub(crate) struct Letters {
    pub(crate) font: Font,
    face: FontRef<'static>,
    pub(crate) missing: BTreeSet<char>,
}

impl Letters {
    /// `None` if the font that is built in cannot be read.
    pub(crate) fn new() -> Option<Self> {
        let face = FontRef::new(FONT).ok()?;
        Some(Self { font: Font::new(FONT.into(), 0)?, face, missing: BTreeSet::new() })
    }

    pub(crate) fn glyphs(&self, text: &str, script: Script) -> Vec<KrillaGlyph> {
        let glyphs = text.char_indices().map(|(at, character)| {
            let Shape { glyph, shift, advance } = self.shape(character, script);
            let range = at..at + character.len_utf8();
            KrillaGlyph::new(GlyphId::new(glyph), advance, -shift, 0.0, 0.0, range, None)
        });
        glyphs.collect()
    }

    /// How wide a line is at size 1.
    pub(crate) fn width(&self, line: &str, script: Script) -> f32 {
        line.chars().map(|character| self.shape(character, script).advance).sum()
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

    /// The lines that a text takes within a width, which is given at size 1.
    pub(crate) fn wrap(&mut self, text: &str, width: f32) -> Vec<(Script, String)> {
        let text = self.shown(text);
        let wrapped = text.split('\n').flat_map(|paragraph| {
            let script = Script::of(paragraph);
            let lines = self.wrap_paragraph(paragraph, script, width);
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
