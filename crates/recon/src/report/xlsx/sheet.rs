//! Cells: text that stays text, and numbers that stay exact where they can.

use std::borrow::Cow;

use rust_xlsxwriter::{Color, Format, FormatAlign, Formula, Worksheet, XlsxError};

use crate::report::harmful;

/// The largest integer up to which all are exact in a spreadsheet.
const EXACT: u128 = (1 << 53) - 1;
/// What a cell takes, in units of UTF-16, less room to say that something was left out.
const CELL_UNITS: usize = 32_767 - 32;

/// Whether a spreadsheet can compute with this integer exactly.
pub(super) fn is_exact(number: i128) -> bool {
    number.unsigned_abs() <= EXACT
}

/// How cells look.
#[derive(Debug)]
pub(super) struct Formats {
    pub(super) title: Format,
    head: Format,
    /// Text that a spreadsheet would take for a formula when somebody edits it.
    quoted: Format,
    minor: Format,
    /// Amounts by their decimals, from none to four.
    amounts: [Format; 5],
    pub(super) check: Format,
}

impl Formats {
    pub(super) fn new() -> Self {
        let amount = |form: &str| Format::new().set_num_format(form);
        Self {
            title: Format::new().set_bold().set_font_size(14),
            head: Format::new().set_bold().set_background_color(Color::RGB(0x00E6_E6E6)).set_text_wrap(),
            quoted: Format::new().set_quote_prefix(),
            minor: Format::new().set_num_format("0").set_align(FormatAlign::Right),
            amounts: ["#,##0", "#,##0.0", "#,##0.00", "#,##0.000", "#,##0.0000"].map(amount),
            check: Format::new().set_num_format("0").set_bold(),
        }
    }

    pub(super) fn amount(&self, decimals: u8) -> &Format {
        &self.amounts[usize::from(decimals).min(self.amounts.len() - 1)]
    }
}

/// A sheet that is written cell by cell.
pub(super) struct Sheet<'a> {
    pub(super) sheet: &'a mut Worksheet,
    pub(super) formats: &'a Formats,
}

impl Sheet<'_> {
    pub(super) fn head(&mut self, row: u32, column: u16, text: &str) -> Result<(), XlsxError> {
        self.sheet.write_string_with_format(row, column, text, &self.formats.head)?;
        Ok(())
    }

    /// Text, whatever it looks like; an empty one leaves the cell alone.
    pub(super) fn text(&mut self, row: u32, column: u16, text: &str) -> Result<(), XlsxError> {
        let shown = shown(text);
        if harmful(text) {
            self.sheet.write_string_with_format(row, column, shown, &self.formats.quoted)?;
        } else {
            self.sheet.write_string(row, column, shown)?;
        }
        Ok(())
    }

    pub(super) fn count(&mut self, row: u32, column: u16, count: u64) -> Result<(), XlsxError> {
        self.sheet.write_number_with_format(row, column, binary(count.into()), &self.formats.minor)?;
        Ok(())
    }

    /// An integer of minor units: a number where that is exact, else text.
    pub(super) fn minor(&mut self, row: u32, column: u16, minor: i128) -> Result<(), XlsxError> {
        if is_exact(minor) {
            self.sheet.write_number_with_format(row, column, binary(minor), &self.formats.minor)?;
        } else {
            self.sheet.write_string_with_format(row, column, minor.to_string(), &self.formats.minor)?;
        }
        Ok(())
    }

    /// An amount in major units, for people: as near as a spreadsheet's numbers come.
    pub(super) fn major(
        &mut self,
        row: u32,
        column: u16,
        minor: i128,
        decimals: u8,
    ) -> Result<(), XlsxError> {
        let scale = binary(10_i128.pow(decimals.into()));
        let format = self.formats.amount(decimals);
        self.sheet.write_number_with_format(row, column, binary(minor) / scale, format)?;
        Ok(())
    }

    /// A formula with what it gives, for readers that do not compute.
    pub(super) fn formula(
        &mut self,
        row: u32,
        column: u16,
        formula: &str,
        result: &str,
        format: &Format,
    ) -> Result<(), XlsxError> {
        let formula = Formula::new(formula).set_result(result);
        self.sheet.write_formula_with_format(row, column, formula, format)?;
        Ok(())
    }
}

/// A number as spreadsheets have them. Whoever needs it exact asks [`is_exact`] first.
#[expect(
    clippy::cast_precision_loss,
    reason = "the file's numbers are binary; the exact ones stand beside them as text"
)]
fn binary(number: i128) -> f64 {
    number as f64
}

/// What of a text a cell can hold: all of it, nearly always.
fn shown(text: &str) -> Cow<'_, str> {
    let is_refused = |character: char| matches!(character, '\u{fffe}' | '\u{ffff}');
    let text = if text.contains(is_refused) {
        Cow::Owned(text.replace(is_refused, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    };
    if text.len() <= CELL_UNITS {
        return text;
    }
    let mut units = 0;
    let fits = text.char_indices().find(|(_, character)| {
        units += character.len_utf16();
        units > CELL_UNITS
    });
    match fits {
        None => text,
        Some((end, _)) => {
            let left_out = text[end..].chars().count();
            Cow::Owned(format!("{} [… +{left_out}]", &text[..end]))
        }
    }
}

/// The name of a cell: row and column from 0, so that `(0, 0)` is `A1`.
pub(super) fn cell(row: u32, column: u16) -> String {
    format!("{}{}", rust_xlsxwriter::column_number_to_name(column), row + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_what_it_can_and_says_what_it_cannot() {
        assert_eq!(shown("订单 =1+1"), "订单 =1+1");
        assert_eq!(shown("a\u{ffff}b"), "a\u{fffd}b");
        let long = "😀".repeat(20_000);
        let cut = shown(&long);
        assert!(cut.encode_utf16().count() <= 32_767 && cut.ends_with(" [… +3633]"), "{}", cut.len());
    }

    #[test]
    fn integers_are_exact_up_to_53_bits() {
        assert!(is_exact(9_007_199_254_740_991) && is_exact(-9_007_199_254_740_991));
        assert!(!is_exact(9_007_199_254_740_992) && !is_exact(i128::MIN));
        assert_eq!(cell(0, 0), "A1");
        assert_eq!(cell(9, 27), "AB10");
    }
}
