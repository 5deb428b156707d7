//! Pages, filled from top to bottom.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Timelike, Utc};
use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime as PdfTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::{Document, SerializeSettings};

use crate::letters::{Letters, Script};

const PAGE_WIDTH: f32 = 595.0;
const PAGE_HEIGHT: f32 = 842.0;
const MARGIN: f32 = 56.0;
/// How wide a line may be, in points.
pub const WIDTH: f32 = PAGE_WIDTH - 2.0 * MARGIN;
const LEADING: f32 = 1.4;
/// How far below the line of writing letters reach, at size 1.
const DESCENT: f32 = 0.3;
const FOOTER_SIZE: f32 = 8.0;

/// A piece of a row: from where (points from the left margin), how wide, what.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// Where it begins.
    pub left: f32,
    /// How wide it is.
    pub width: f32,
    /// What it says.
    pub text: &'a str,
    /// On which side its lines are even.
    pub align: Align,
}

impl<'a> Cell<'a> {
    /// A piece that is even on the left.
    pub fn new(left: f32, width: f32, text: &'a str) -> Self {
        Self { left, width, text, align: Align::Left }
    }
}

/// On which side lines are even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A colour: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ink(pub u8, pub u8, pub u8);

/// A filled rectangle behind the text, in points.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// From the left margin.
    pub left: f32,
    /// From where the page is filled so far, downwards.
    pub top: f32,
    /// How wide it is.
    pub width: f32,
    /// How high it is.
    pub height: f32,
    /// Its colour.
    pub ink: Ink,
}

/// One column of a table, in points from the left margin.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Where it begins.
    pub left: f32,
    /// How wide it is.
    pub width: f32,
    /// On which side its lines are even.
    pub align: Align,
}

/// The form of a table. Its head stands again on top of each page that it goes on to.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    /// Its columns.
    pub columns: &'a [Column],
    /// What stands above each.
    pub head: &'a [&'a str],
    /// The size of its letters.
    pub size: f32,
}

/// What a file says of itself.
#[derive(Debug, Clone)]
pub struct Properties {
    /// Its title.
    pub title: String,
    /// The tag of its language, such as `zh-CN`.
    pub language: &'static str,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
}

/// A finished file.
#[derive(Debug)]
pub struct Finished {
    /// The PDF.
    pub bytes: Vec<u8>,
    /// The characters that were written as codes.
    pub missing_characters: BTreeSet<char>,
}

#[derive(Debug)]
struct Line {
    x: f32,
    y: f32,
    size: f32,
    text: String,
    script: Script,
}

#[derive(Debug, Default)]
struct Page {
    /// Left, top, width, height.
    blocks: Vec<([f32; 4], Ink)>,
    lines: Vec<Line>,
}

/// Lays out text from top to bottom, page after page.
pub struct Typesetter {
    letters: Letters,
    pages: Vec<Page>,
    y: f32,
    foot: String,
    properties: Option<Properties>,
}

impl Typesetter {
    /// `None` if the font that is built in cannot be read.
    pub fn new() -> Option<Self> {
        let pages = vec![Page::default()];
        Some(Self { letters: Letters::new()?, pages, y: MARGIN, foot: String::new(), properties: None })
    }

    /// Has the file say what it is, and every page name it at its foot.
    pub fn describe(&mut self, properties: Properties) {
        let lines = self.letters.wrap(&properties.title, WIDTH / FOOTER_SIZE - 8.0);
        self.foot = lines.into_iter().next().map(|(_, line)| line + "   ").unwrap_or_default();
        self.properties = Some(properties);
    }

    /// Text over the whole width.
    pub fn paragraph(&mut self, text: &str, size: f32) {
        self.row(&[Cell::new(0.0, WIDTH, text)], size);
    }

    /// Pieces of text beside each other, each wrapped within its width.
    pub fn row(&mut self, cells: &[Cell<'_>], size: f32) {
        let wrapped = self.wrapped(cells, size);
        for line in 0..height(&wrapped) {
            self.line(&wrapped, line, size);
        }
    }

    /// The head of a table.
    pub fn table_head(&mut self, table: &Table<'_>) {
        // A head with nothing below it tells nothing.
        self.keep(3.0 * table.size * LEADING);
        self.write_head(table);
    }

    fn write_head(&mut self, table: &Table<'_>) {
        let wrapped = self.wrapped(&cells(table, table.head), table.size);
        for line in 0..height(&wrapped) {
            self.line(&wrapped, line, table.size);
        }
        self.y += table.size * DESCENT;
        self.rule(Ink(120, 120, 120));
    }

    /// One row of a table, on one page where it fits on one.
    pub fn table_row(&mut self, table: &Table<'_>, texts: &[&str]) {
        let wrapped = self.wrapped(&cells(table, texts), table.size);
        let lines = height(&wrapped);
        if self.is_full(points(lines) * table.size * LEADING) && self.y > MARGIN {
            self.next_page();
            self.write_head(table);
        }
        for line in 0..lines {
            self.line(&wrapped, line, table.size);
        }
        self.y += table.size * DESCENT;
        self.rule(Ink(225, 225, 225));
    }

    fn wrapped(&mut self, cells: &[Cell<'_>], size: f32) -> Vec<Wrapped> {
        let letters = &mut self.letters;
        let wrap = |cell: &Cell<'_>| Wrapped {
            x: MARGIN + cell.left,
            width: cell.width,
            align: cell.align,
            lines: letters.wrap(cell.text, cell.width / size),
        };
        cells.iter().map(wrap).collect()
    }

    /// One line of each cell.
    fn line(&mut self, cells: &[Wrapped], line: usize, size: f32) {
        if self.is_full(size * LEADING) {
            self.next_page();
        }
        self.y += size * LEADING;
        for cell in cells {
            let Some((script, text)) = cell.lines.get(line) else { continue };
            let x = match cell.align {
                Align::Left => cell.x,
                Align::Right => cell.x + cell.width - size * self.letters.width(text.trim_end(), *script),
            };
            let line = Line { x, y: self.y, size, text: text.clone(), script: *script };
            self.page().lines.push(line);
        }
    }

    /// A thin line over the whole width.
    fn rule(&mut self, ink: Ink) {
        self.block(&Block { left: 0.0, top: 0.0, width: WIDTH, height: 0.5, ink });
    }

    /// A filled rectangle. It takes no room: [`Self::space`] does.
    pub fn block(&mut self, block: &Block) {
        let place = [MARGIN + block.left, self.y + block.top, block.width, block.height];
        self.page().blocks.push((place, block.ink));
    }

    /// Leaves room, in points.
    pub fn space(&mut self, height: f32) {
        self.y += height;
    }

    /// Begins a page unless so much room is left on this one, in points.
    pub fn keep(&mut self, height: f32) {
        if self.is_full(height) && self.y > MARGIN {
            self.next_page();
        }
    }

    fn is_full(&self, height: f32) -> bool {
        self.y + height > PAGE_HEIGHT - MARGIN
    }

    fn next_page(&mut self) {
        self.pages.push(Page::default());
        self.y = MARGIN;
    }

    fn page(&mut self) -> &mut Page {
        if self.pages.is_empty() {
            self.pages.push(Page::default());
        }
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }

    /// The file. The feet of its pages count `more` that follow.
    pub fn finish(self, more: usize) -> Result<Finished, String> {
        let settings =
            SerializeSettings { xmp_metadata: false, enable_tagging: false, ..SerializeSettings::default() };
        let mut document = Document::new_with(settings);
        if let Some(properties) = &self.properties {
            document.set_metadata(metadata(properties));
        }
        let count = self.pages.len() + more;
        for (index, page) in self.pages.iter().enumerate() {
            let settings = PageSettings::from_wh(PAGE_WIDTH, PAGE_HEIGHT).ok_or("no page of this size")?;
            let mut sheet = document.start_page_with(settings);
            let mut surface = sheet.surface();
            draw_blocks(&mut surface, &page.blocks);
            surface.set_fill(Some(Fill { opacity: NormalizedF32::ONE, ..Fill::default() }));
            let footer = format!("{}{} / {count}", self.foot, index + 1);
            let y = PAGE_HEIGHT - MARGIN / 2.0;
            let footer = Line { x: MARGIN, y, size: FOOTER_SIZE, text: footer, script: Script::Other };
            for line in page.lines.iter().chain([&footer]) {
                let glyphs = self.letters.glyphs(&line.text, line.script);
                let start = Point::from_xy(line.x, line.y);
                surface.draw_glyphs(start, &glyphs, self.letters.font.clone(), &line.text, line.size, false);
            }
            surface.finish();
            sheet.finish();
        }
        let bytes = document.finish().map_err(|error| format!("{error:?}"))?;
        Ok(Finished { bytes, missing_characters: self.letters.missing })
    }
}

/// A cell whose text is broken into lines.
struct Wrapped {
    x: f32,
    width: f32,
    align: Align,
    lines: Vec<(Script, String)>,
}

fn height(cells: &[Wrapped]) -> usize {
    cells.iter().map(|cell| cell.lines.len()).max().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "lines on a page, of which there are few")]
fn points(lines: usize) -> f32 {
    lines as f32
}

fn cells<'a>(table: &Table<'_>, texts: &[&'a str]) -> Vec<Cell<'a>> {
    let cell = |(column, text): (&Column, &&'a str)| Cell {
        left: column.left,
        width: column.width,
        text,
        align: column.align,
    };
    table.columns.iter().zip(texts).map(cell).collect()
}

fn draw_blocks(surface: &mut Surface<'_>, blocks: &[([f32; 4], Ink)]) {
    for ([x, y, width, height], Ink(red, green, blue)) in blocks {
        // A rectangle without an area draws nothing.
        let Some(rect) = Rect::from_xywh(*x, *y, *width, *height) else { continue };
        let mut path = PathBuilder::new();
        path.push_rect(rect);
        let Some(path) = path.finish() else { continue };
        let paint = rgb::Color::new(*red, *green, *blue).into();
        surface.set_fill(Some(Fill { paint, opacity: NormalizedF32::ONE, ..Fill::default() }));
        surface.draw_path(&path);
    }
}

fn metadata(properties: &Properties) -> Metadata {
    let metadata = Metadata::new().title(properties.title.clone()).language(properties.language.to_owned());
    let Some(at) = properties.created_at else { return metadata };
    let small = |number: u32| u8::try_from(number).unwrap_or_default();
    let year = u16::try_from(at.year()).unwrap_or_default();
    let time = PdfTime::new(year).month(small(at.month())).day(small(at.day()));
    let time = time.hour(small(at.hour())).minute(small(at.minute())).second(small(at.second()));
    metadata.creation_date(time.utc_offset_hour(0))
}
