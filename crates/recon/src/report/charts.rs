//! Bars that show shares and counts, each with its number in words.

use payops_typeset::{Block, Cell, Ink, Typesetter, WIDTH};

use super::cover::count;

/// One bar, or one part of a bar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) label: &'a str,
    pub(super) count: u64,
    pub(super) ink: Ink,
}

const SIZE: f32 = 9.0;
const BAR: f32 = 16.0;
const SQUARE: f32 = 8.0;
const LABEL: f32 = 120.0;
/// What is there is seen, however small its share.
const LEAST: f32 = 1.5;

/// One bar over the whole width, divided by the shares of its parts, and below it what each part is.
pub(super) fn shares(page: &mut Typesetter, parts: &[Part<'_>]) {
    let whole: u64 = parts.iter().map(|part| part.count).sum();
    let mut left = 0.0;
    for part in parts.iter().filter(|part| part.count > 0) {
        let width = length(part.count, whole, WIDTH).min(WIDTH - left);
        page.block(&Block { left, top: 4.0, width, height: BAR, ink: part.ink });
        left += width;
    }
    page.space(BAR + 8.0);
    for part in parts {
        page.block(&Block { left: 0.0, top: 4.0, width: SQUARE, height: SQUARE, ink: part.ink });
        let text = format!("{}: {} ({})", part.label, count(part.count), percent(part.count, whole));
        page.row(&[Cell::new(SQUARE + 6.0, WIDTH - SQUARE - 6.0, &text)], SIZE);
    }
}

/// A bar for each part, as long as its count beside the largest.
pub(super) fn bars(page: &mut Typesetter, parts: &[Part<'_>]) {
    let largest = parts.iter().map(|part| part.count).max().unwrap_or(0);
    for part in parts {
        let room = WIDTH - LABEL - 70.0;
        let width = if part.count > 0 { length(part.count, largest, room) } else { 0.0 };
        page.block(&Block { left: LABEL, top: 4.5, width, height: SQUARE, ink: part.ink });
        let number = count(part.count);
        let label = Cell::new(0.0, LABEL - 6.0, part.label);
        page.row(&[label, Cell::new(LABEL + width + 4.0, 66.0, &number)], SIZE);
        page.space(2.0);
    }
}

fn length(part: u64, whole: u64, room: f32) -> f32 {
    (points(part) / points(whole.max(1)) * room).max(LEAST)
}

#[expect(clippy::cast_precision_loss, reason = "a length on paper, far coarser than what is lost")]
fn points(count: u64) -> f32 {
    count as f32
}

/// A share with two decimals, rounded down, so that only all is 100.00 %.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let share = (u128::from(part) * 10_000).checked_div(u128::from(whole)).unwrap_or(0);
    format!("{}.{:02} %", share / 100, share % 100)
}
