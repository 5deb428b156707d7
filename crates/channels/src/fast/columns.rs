//! Reads the columns of several lines, one column after the other: a short loop for each, that few values pass through.

#![expect(clippy::inline_always, reason = "one line takes 30 ns: each of these is a few instructions of it")]

use crate::amount::{short_amount, window_amount};

/// How many ways of writing a word are remembered of a column.
pub(super) const REMEMBERED: usize = 64;

/// One column of some lines of one width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'t> {
    /// The text of the part and a little more, so that 16 bytes can be read at any field.
    pub(super) part: &'t [u8],
    /// The ends of fields, from that of the field that stands before the first line's.
    pub(super) ends: &'t [u32],
    /// How many fields a line has.
    pub(super) width: usize,
}

impl<'t> Column<'t> {
    /// Where the field of each line begins and ends.
    #[inline(always)]
    fn spans(self) -> impl Iterator<Item = (usize, usize)> + use<'t> {
        let mut rest = self.ends;
        std::iter::from_fn(move || {
            let [before, end, ..] = *rest else { return None };
            rest = rest.get(self.width..).unwrap_or_default();
            Some((before.wrapping_add(1) as usize, end as usize))
        })
    }
}

/// How a column writes amounts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AmountForm {
    /// Amounts are whole minor units.
    pub(crate) minor: bool,
    pub(crate) decimal_mark: u8,
}

/// What stands for an amount that is not there: further from zero than any that is read here.
pub(super) const NO_AMOUNT: i64 = i64::MIN;

/// Reads the amounts of a column, line by line; what is empty is [`NO_AMOUNT`]. `exponents` are those of the lines' currencies.
pub(super) fn read_amounts(
    column: Option<Column<'_>>,
    form: AmountForm,
    exponents: impl Iterator<Item = u8>,
    out: &mut [i64],
    unusual: &mut [bool],
) {
    let Some(column) = column else {
        out.fill(NO_AMOUNT);
        return;
    };
    let part = column.part;
    for ((((from, to), exponent), out), unusual) in column.spans().zip(exponents).zip(out).zip(unusual) {
        let (decimals, mark) = if form.minor { (0, 0) } else { (exponent, form.decimal_mark) };
        let usual = usual_amount(part, (from, to), decimals, mark);
        let amount = usual.or_else(|| other_amount(&part[from..to], decimals, mark));
        *unusual |= amount.is_none();
        *out = amount.unwrap_or(NO_AMOUNT);
    }
}

#[inline(always)]
fn usual_amount(part: &[u8], (from, to): (usize, usize), decimals: u8, mark: u8) -> Option<i64> {
    let window = part.get(to.checked_sub(8)?..)?.first_chunk::<8>()?;
    let is_negative = *part.get(from)? == b'-';
    let amount = window_amount(*window, to.checked_sub(from + usize::from(is_negative))?, decimals, mark)?;
    Some(if is_negative { -amount } else { amount })
}

/// An amount of another form, or none at all.
#[cold]
fn other_amount(text: &[u8], decimals: u8, mark: u8) -> Option<i64> {
    match text.trim_ascii() {
        [] => Some(NO_AMOUNT),
        text => short_amount(text, decimals, mark),
    }
}

/// Words as they stand in the file, each as a number, and what they were found to mean.
#[derive(Debug)]
pub(super) struct Forms<T> {
    /// A table of open addresses, with room for more than are remembered.
    slots: Box<[Option<(u128, T)>; SLOTS]>,
    known: usize,
}

/// How many slots the table of words has. A power of two.
const SLOTS: usize = 4 * REMEMBERED;

impl<T: Copy> Forms<T> {
    pub(super) fn new() -> Self {
        Self { slots: Box::new([None; SLOTS]), known: 0 }
    }

    /// What the words of a column mean, line by line; `meaning` is asked about those that were not met before. A word
    /// that means nothing, or is too long to be looked up, makes its line unusual. A column that is not there is empty.
    pub(super) fn read(
        &mut self,
        column: Option<Column<'_>>,
        out: &mut [T],
        unusual: &mut [bool],
        mut meaning: impl FnMut(&[u8]) -> Option<T>,
    ) {
        let Some(column) = column else {
            match self.search(0, home(0), || meaning(b"")) {
                Some(value) => out.fill(value),
                None => unusual.fill(true),
            }
            return;
        };
        for (((from, to), out), unusual) in column.spans().zip(out).zip(unusual) {
            let Some(form) = form(column.part, from, to) else {
                *unusual = true;
                continue;
            };
            let home = home(form);
            match &self.slots[home % SLOTS] {
                Some((known, value)) if *known == form => *out = *value,
                _ => match self.search(form, home, || meaning(column.part[from..to].trim_ascii())) {
                    Some(value) => *out = value,
                    None => *unusual = true,
                },
            }
        }
    }

    #[inline(never)]
    fn search(&mut self, form: u128, home: usize, meaning: impl FnOnce() -> Option<T>) -> Option<T> {
        let mut place = home;
        while let Some((known, value)) = &self.slots[place % SLOTS] {
            if *known == form {
                return Some(*value);
            }
            place += 1;
        }
        let value = meaning()?;
        if self.known < REMEMBERED {
            self.slots[place % SLOTS] = Some((form, value));
            self.known += 1;
        }
        Some(value)
    }
}

/// Where a word is looked for first.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "two halves, and a number below that of the slots")]
fn home(form: u128) -> usize {
    let halves = (form as u64) ^ ((form >> 64) as u64).rotate_left(29);
    (halves.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

/// Up to 15 bytes as a number. None of them is zero, so the number tells their count too.
#[inline(always)]
fn form(part: &[u8], from: usize, to: usize) -> Option<u128> {
    let kept = *KEPT.get(to.wrapping_sub(from))?;
    let word = u128::from_le_bytes(*part.get(from..)?.first_chunk::<16>()?);
    Some(word & kept)
}

/// The lowest bytes of a word, by their count.
const KEPT: [u128; 16] = {
    let mut kept = [0; 16];
    let mut count = 0;
    while count < kept.len() {
        kept[count] = (1 << (8 * count)) - 1;
        count += 1;
    }
    kept
};
