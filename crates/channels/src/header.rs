//! Finds columns by name, whatever their order, letter case and blanks.

use ahash::AHashMap;

use crate::fault::excerpt;
use crate::records::Record;
use crate::row::{Reject, RejectReason};

/// A column that is not there.
pub(crate) const ABSENT: usize = usize::MAX;

/// The header of a file.
#[derive(Debug)]
pub(crate) struct Header {
    line: u64,
    names: Vec<String>,
    /// Normalised name to the first column of that name, and whether there is a second.
    columns: AHashMap<String, (usize, bool)>,
}

/// A name as it is compared: trimmed, lower case, inner blanks collapsed, no byte-order mark.
pub(crate) fn normalised(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for word in name.trim_start_matches('\u{feff}').split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

impl Header {
    pub(crate) fn read(record: &Record<'_>) -> Self {
        let names: Vec<String> = (0..record.len())
            .map(|index| String::from_utf8_lossy(record.field(index)).trim().to_owned())
            .collect();
        let mut columns = AHashMap::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            columns.entry(normalised(name)).and_modify(|(_, twice)| *twice = true).or_insert((index, false));
        }
        Self { line: record.position.line, names, columns }
    }

    /// The column named `name`; it is a fault when there is none.
    pub(crate) fn needed(&self, name: &str, rejects: &mut Vec<Reject>) -> usize {
        let column = self.optional(name, rejects);
        if column == ABSENT && !self.columns.contains_key(&normalised(name)) {
            let seen = excerpt(self.names.join(", ").as_bytes());
            let message = format!("the header has no column '{}'; it has: {seen}", excerpt(name.as_bytes()));
            rejects.push(self.reject(name, RejectReason::MissingColumn, message));
        }
        column
    }

    /// The column named `name`, or [`ABSENT`]; it is a fault when there are two.
    pub(crate) fn optional(&self, name: &str, rejects: &mut Vec<Reject>) -> usize {
        match self.columns.get(&normalised(name)) {
            None => ABSENT,
            Some((index, false)) => *index,
            Some((_, true)) => {
                let message = format!("the header names the column '{}' twice", excerpt(name.as_bytes()));
                rejects.push(self.reject(name, RejectReason::DuplicateColumn, message));
                ABSENT
            }
        }
    }

    /// The names as they stand in the file, as far as they can be shown.
    pub(crate) fn into_names(self) -> Vec<String> {
        self.names.iter().map(|name| excerpt(name.as_bytes())).collect()
    }

    fn reject(&self, name: &str, reason: RejectReason, message: String) -> Reject {
        Reject { line: self.line, column: Some(excerpt(name.as_bytes())), reason, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_blanks() {
        assert_eq!(normalised("\u{feff} Transaction  Debit\tor Credit "), "transaction debit or credit");
        assert_eq!(normalised("订单金额（元）"), "订单金额（元）");
    }
}
