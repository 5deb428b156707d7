//! A BAI2 record: one line and those that go on with it, as fields.

use chrono::NaiveDate;

use super::build::short_date;
use crate::fault::Fault;
use crate::row::RejectReason;

const CODES: [&str; 7] = ["01", "02", "03", "16", "49", "98", "99"];

/// A record with the lines that go on with it, each without its code and its `/`.
pub(super) struct Logical {
    pub(super) line: u64,
    code: &'static str,
    bodies: Vec<String>,
    bytes: usize,
    lines: i128,
}

impl Logical {
    /// Begins a record with its first line.
    pub(super) fn begin(line: &str, number: u64) -> Result<Self, Fault> {
        let found = CODES.into_iter().find(|code| {
            line.strip_prefix(code).is_some_and(|rest| rest.starts_with(',') || rest.trim_end() == "/")
        });
        let Some(code) = found else {
            let what = "is no record of BAI2: 01, 02, 03, 16, 49, 88, 98 or 99 and a comma are expected";
            return Err(Fault::value(RejectReason::BadRecord, "record", what, line.as_bytes()));
        };
        Ok(Self { line: number, code, bodies: vec![body(line)], bytes: line.len(), lines: 1 })
    }

    /// Takes a line 88. Of a record that is too long nothing more is held.
    pub(super) fn go_on(&mut self, line: &str, max_bytes: usize) {
        self.lines += 1;
        self.bytes = self.bytes.saturating_add(line.len());
        if self.bytes <= max_bytes {
            self.bodies.push(body(line));
        }
    }

    pub(super) fn check(&self, max_bytes: usize) -> Result<(), Fault> {
        if self.bytes <= max_bytes {
            return Ok(());
        }
        let message = format!("the record with its lines 88 is longer than {max_bytes} bytes");
        Err(Fault::new(RejectReason::RowTooLong, Some(self.code), message))
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// How many lines it has.
    pub(super) fn lines(&self) -> i128 {
        self.lines
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields { bodies: &self.bodies, rest: None }
    }
}

fn body(line: &str) -> String {
    let body = line.get(3..).unwrap_or_default().trim_end();
    body.strip_suffix('/').unwrap_or(body).trim_end().to_owned()
}

/// The fields of a record, one after the other. A field ends at a comma or with its line.
pub(super) struct Fields<'r> {
    /// Lines that were not begun.
    bodies: &'r [String],
    /// What is left of the line that was.
    rest: Option<&'r str>,
}

impl<'r> Fields<'r> {
    /// The next field; empty behind the last one.
    fn next(&mut self) -> &'r str {
        let Some(rest) = self.rest.or_else(|| self.begin_line()) else { return "" };
        let (field, rest) = rest.split_once(',').map_or((rest, None), |(field, rest)| (field, Some(rest)));
        self.rest = rest;
        field.trim()
    }

    fn begin_line(&mut self) -> Option<&'r str> {
        let (first, others) = self.bodies.split_first()?;
        self.bodies = others;
        Some(first)
    }

    pub(super) fn take<const N: usize>(&mut self) -> [&'r str; N] {
        std::array::from_fn(|_| self.next())
    }

    /// Whether a further group of fields begins. A comma before the end of a line begins none.
    pub(super) fn more(&mut self) -> bool {
        while self.rest.is_none_or(|rest| rest.trim().is_empty()) {
            self.rest = self.begin_line();
            if self.rest.is_none() {
                return false;
            }
        }
        true
    }

    /// Leaves the fields of an amount's availability out; gives the value date where there is one.
    pub(super) fn availability(&mut self, column: &str) -> Result<Option<NaiveDate>, Fault> {
        let funds_type = self.next();
        match funds_type {
            "" | "Z" | "z" | "0" | "1" | "2" => Ok(None),
            "V" | "v" => {
                let [date, _time] = self.take();
                if date.is_empty() { Ok(None) } else { short_date(date.as_bytes(), column).map(Some) }
            }
            "S" | "s" => {
                let [_now, _tomorrow, _later] = self.take();
                Ok(None)
            }
            "D" | "d" => {
                let count = self.next();
                let what = "is not a number of distributions";
                let count: u16 = count
                    .parse()
                    .map_err(|_| Fault::value(RejectReason::BadRecord, column, what, count.as_bytes()))?;
                for _ in 0..count {
                    let [_days, _amount] = self.take();
                }
                Ok(None)
            }
            other => {
                let what = "is no type of funds";
                Err(Fault::value(RejectReason::BadRecord, column, what, other.as_bytes()))
            }
        }
    }

    /// All that is left, lines between line feeds: text may hold commas.
    pub(super) fn text(&mut self) -> String {
        let first = self.rest.take().or_else(|| self.begin_line()).unwrap_or_default();
        let mut text = first.trim().to_owned();
        while let Some(line) = self.begin_line() {
            text.push('\n');
            text.push_str(line.trim());
        }
        text
    }
}
