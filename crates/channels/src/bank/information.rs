//! Field 86 of an MT940 entry: what the bank tells about it, in one of three ways. German banks number its parts
//! (`166?00GUTSCHRIFT?20EREF+...`), others name them (`/EREF/.../REMI/...`), and the rest write free text.

use super::build::push;
use super::{Reference, ReferenceKind};

/// Words that begin a part of a German bank's remittance text.
const MARKED: [(&str, ReferenceKind); 12] = [
    ("EREF+", ReferenceKind::EndToEnd),
    ("KREF+", ReferenceKind::Customer),
    ("MREF+", ReferenceKind::Other),
    ("CRED+", ReferenceKind::Other),
    ("DEBT+", ReferenceKind::Other),
    ("COAM+", ReferenceKind::Other),
    ("OAMT+", ReferenceKind::Other),
    ("PURP+", ReferenceKind::Other),
    ("SVWZ+", ReferenceKind::Remittance),
    ("MTLG:", ReferenceKind::Remittance),
    ("ABWA+", ReferenceKind::Counterparty),
    ("ABWE+", ReferenceKind::Counterparty),
];
/// Names of parts between slashes.
const NAMED: [(&str, ReferenceKind); 25] = [
    ("/EREF/", ReferenceKind::EndToEnd),
    ("/KREF/", ReferenceKind::Customer),
    ("/PREF/", ReferenceKind::Customer),
    ("/IREF/", ReferenceKind::Customer),
    ("/PIID/", ReferenceKind::Customer),
    ("/ARTN/", ReferenceKind::Bank),
    ("/RREF/", ReferenceKind::Other),
    ("/RTRN/", ReferenceKind::Other),
    ("/MARF/", ReferenceKind::Other),
    ("/MREF/", ReferenceKind::Other),
    ("/CSID/", ReferenceKind::Other),
    ("/PURP/", ReferenceKind::Other),
    ("/ISDT/", ReferenceKind::Other),
    ("/TRCD/", ReferenceKind::Other),
    ("/IBAN/", ReferenceKind::Other),
    ("/BIC/", ReferenceKind::Other),
    ("/ADDR/", ReferenceKind::Other),
    ("/TRTP/", ReferenceKind::Remittance),
    ("/REMI/", ReferenceKind::Remittance),
    ("/NAME/", ReferenceKind::Counterparty),
    ("/CNTP/", ReferenceKind::Counterparty),
    ("/ORDP/", ReferenceKind::Counterparty),
    ("/BENM/", ReferenceKind::Counterparty),
    ("/ULTD/", ReferenceKind::Counterparty),
    ("/ULTC/", ReferenceKind::Counterparty),
];

/// Finds the references in the lines of the field.
pub(super) fn read(lines: &[String], to: &mut Vec<Reference>) {
    // Lines are cut at a fixed width, so where text has a form its parts go on across them.
    let joined = lines.concat();
    let text = joined.trim();
    if let Some(delimiter) = numbering(text) {
        numbered(text, delimiter, to);
    } else if NAMED.iter().any(|(name, _)| text.starts_with(name)) {
        parts(text, &NAMED, to);
    } else {
        push(to, ReferenceKind::Remittance, &lines.join("\n"));
    }
}

/// What stands before the numbers of parts: the text begins with a code of three digits, it, and a number.
fn numbering(text: &str) -> Option<char> {
    let (code, rest) = text.split_at_checked(3)?;
    let delimiter = rest.chars().next().filter(|c| "?<>^~|@$".contains(*c))?;
    let number = rest.get(1..3)?;
    let digits = code.bytes().chain(number.bytes()).all(|byte| byte.is_ascii_digit());
    digits.then_some(delimiter)
}

fn numbered(text: &str, delimiter: char, to: &mut Vec<Reference>) {
    let (mut remittance, mut name) = (String::new(), String::new());
    let mut number = String::new();
    for piece in text.split(delimiter).skip(1) {
        // A delimiter without a number behind it is text.
        let content = match piece.split_at_checked(2) {
            Some((digits, content)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.clone_into(&mut number);
                content.to_owned()
            }
            _ => format!("{delimiter}{piece}"),
        };
        match number.as_str() {
            "00" => push(to, ReferenceKind::Remittance, &content),
            text if matches!(text.as_bytes(), [b'2', _] | [b'6', b'0'..=b'3']) => {
                remittance.push_str(&content);
            }
            "32" | "33" => name.push_str(&content),
            "30" | "31" | "38" => push(to, ReferenceKind::Other, &content),
            _ => {}
        }
    }
    parts(&remittance, &MARKED, to);
    push(to, ReferenceKind::Counterparty, &name);
}

/// Cuts text where one of the marks stands. What stands before the first is remittance.
fn parts(text: &str, marks: &[(&str, ReferenceKind)], to: &mut Vec<Reference>) {
    let mut kind = ReferenceKind::Remittance;
    let (mut from, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let found = marks.iter().find(|(mark, _)| rest.starts_with(mark));
        if let Some((mark, next)) = found {
            keep(&text[from..at], kind, to);
            (kind, at) = (*next, at + mark.len());
            from = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    keep(&text[from..], kind, to);
}

fn keep(value: &str, kind: ReferenceKind, to: &mut Vec<Reference>) {
    let value = value.trim().trim_end_matches('/');
    // How the remittance is written stands before it.
    push(to, kind, value.strip_prefix("USTD//").unwrap_or(value));
}

#[cfg(test)]
mod tests {
    use ReferenceKind::{Counterparty, Customer, EndToEnd, Other, Remittance};

    use super::*;

    fn found(lines: &[&str]) -> Vec<(ReferenceKind, String)> {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let mut references = Vec::new();
        read(&lines, &mut references);
        references.into_iter().map(|reference| (reference.kind, reference.text)).collect()
    }

    fn is(lines: &[&str], expected: &[(ReferenceKind, &str)]) {
        let found = found(lines);
        let found: Vec<_> = found.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn numbered_parts_go_on_across_lines_and_numbers() {
        is(
            &[
                "166?00GUTSCHRIFT?109310?20EREF+po_1NqkTo2eZvKYlo2CTESTPA?21YOUT?2",
                "2KREF+K-7?23SVWZ+STRIPE PAYOUT FOR SH?24OP?30DEUTDEFF?31DE89370400440",
                "532013000?32Stripe Payments Eur?33ope Ltd?60 EXTRA",
            ],
            &[
                (Remittance, "GUTSCHRIFT"),
                (Other, "DEUTDEFF"),
                (Other, "DE89370400440532013000"),
                (EndToEnd, "po_1NqkTo2eZvKYlo2CTESTPAYOUT"),
                (Customer, "K-7"),
                (Remittance, "STRIPE PAYOUT FOR SHOP EXTRA"),
                (Counterparty, "Stripe Payments Europe Ltd"),
            ],
        );
        is(&[" 020^00Wyplata^20A?B^C"], &[(Remittance, "Wyplata"), (Remittance, "A?B^C")]);
        is(&["159?20EREF+NONREF?21MTLG:Grund"], &[(Remittance, "Grund")]);
    }

    #[test]
    fn named_parts_may_be_empty() {
        is(
            &["/EREF/01-01-2026 12:00 0030/BENM//NAME/CONTRA ACCOUN", "T HOLDER/REMI//ISDT/2026-07-11"],
            &[
                (EndToEnd, "01-01-2026 12:00 0030"),
                (Counterparty, "CONTRA ACCOUNT HOLDER"),
                (Other, "2026-07-11"),
            ],
        );
        is(
            &["/TRTP/SEPA OVERBOEKING/IBAN/NL91ABNA0417164300/REMI/USTD//po_1/2/EREF/NOTPROVIDED"],
            &[(Remittance, "SEPA OVERBOEKING"), (Other, "NL91ABNA0417164300"), (Remittance, "po_1/2")],
        );
    }

    #[test]
    fn other_text_keeps_its_lines() {
        is(
            &["BEA   NR:123   21.05.26", "Shop ", "086-23"],
            &[(Remittance, "BEA   NR:123   21.05.26\nShop \n086-23")],
        );
        is(&["086/23 and more"], &[(Remittance, "086/23 and more")]);
        is(&["", " "], &[]);
    }
}
