//! Why one row is refused, before it is known where the row stands.

use payops_core::money::AmountError;

use crate::row::{Position, Reject, RejectReason};

/// A refusal of one row. Boxed, since good rows are the rule and their way is to be short.
#[derive(Debug)]
pub(crate) struct Fault(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    reason: RejectReason,
    column: Option<String>,
    message: String,
}

impl Fault {
    #[cold]
    pub(crate) fn new(reason: RejectReason, column: Option<&str>, message: impl Into<String>) -> Self {
        Self(Box::new(Refusal { reason, column: column.map(str::to_owned), message: message.into() }))
    }

    /// A fault of one field's value; of an empty one it is that it is empty.
    #[cold]
    pub(crate) fn value(reason: RejectReason, column: &str, what: &str, value: &[u8]) -> Self {
        if value.is_empty() {
            return Self::empty(column);
        }
        Self::new(reason, Some(column), format!("{column}: {what}: '{}'", excerpt(value)))
    }

    #[cold]
    pub(crate) fn empty(column: &str) -> Self {
        Self::new(RejectReason::EmptyField, Some(column), format!("{column} is empty"))
    }

    #[cold]
    pub(crate) fn amount(column: &str, error: AmountError, value: &[u8]) -> Self {
        let reason = match error {
            AmountError::Empty => return Self::empty(column),
            AmountError::Malformed => RejectReason::BadAmount,
            AmountError::SurplusDigits(_) => RejectReason::SurplusDigits,
            AmountError::OutOfRange => RejectReason::AmountOutOfRange,
        };
        Self::value(reason, column, &error.to_string(), value)
    }

    pub(crate) fn at(self, position: Position) -> Reject {
        let Refusal { reason, column, message } = *self.0;
        Reject { line: position.line, column, reason, message }
    }
}

/// A value as it may be shown to people: at most 200 characters, control characters escaped.
pub(crate) fn excerpt(value: &[u8]) -> String {
    const SHOWN: usize = 200;
    // Four bytes a character are the most that UTF-8 needs, so a longer prefix is never looked at.
    let prefix = String::from_utf8_lossy(&value[..value.len().min(SHOWN * 4)]);
    let mut shown = String::new();
    let mut count = 0;
    for character in prefix.chars() {
        let start = shown.len();
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        count += shown[start..].chars().count();
        if count > SHOWN {
            shown.truncate(start);
            shown.push('…');
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unprintable_values_are_shown_safely() {
        assert_eq!(excerpt(b"a\0b\n"), "a\\u{0}b\\n");
        assert_eq!(excerpt(&vec![b'x'; 5000]).chars().count(), 201);
        assert_eq!(excerpt(&[b'x'; 200]).chars().count(), 200);
        assert_eq!(excerpt(&[1; 5000]).chars().count(), 201);
        assert_eq!(excerpt("支付".as_bytes()), "支付");
    }
}
