//! Whole files, each with what must be found in it.

use chrono::NaiveDate;
use payops_channels::bank::ReferenceKind::{Bank, Counterparty, Customer, EndToEnd, Other, Remittance};
use payops_channels::bank::{Balance, BankFormat, EntryStatus, SequenceGap, detect};
use payops_channels::row::Proof;

use crate::{BAI2, CAMT, MT940, amounts, broken, read, references};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn a_camt_statement() {
    let file = read(CAMT);
    assert_eq!((file.format, file.rejects.len(), file.statements.len()), (Some(BankFormat::Camt053), 0, 1));
    let statement = &file.statements[0];
    assert_eq!(broken(&statement.control.checks), []);
    assert_eq!(statement.control.checks.len(), 8);
    assert_eq!(file.proof(), Proof::Proven);
    assert_eq!(
        (statement.account.as_str(), statement.id.as_str()),
        ("NL91ABNA0417164300", "0352C5320260320")
    );
    assert_eq!((statement.line, statement.number, statement.currency.as_str()), (9, Some(79), "EUR"));
    assert_eq!(statement.opening, Some(Balance { amount: 100_000, date: day("2026-03-20") }));
    assert_eq!(statement.closing, Some(Balance { amount: 326_025, date: day("2026-03-20") }));
    // The two fees are equal, and two.
    assert_eq!(amounts(statement), [125_050, -450, -450, -8075, 109_950]);
    let [payout, _, _, returned, batch] = statement.entries.as_slice() else { panic!() };
    assert_eq!((payout.line, payout.ordinal, payout.code.as_str()), (45, 0, "PMNT-RCDT-ESCT"));
    assert_eq!((payout.booked_on, payout.value_on), (Some(day("2026-03-20")), Some(day("2026-03-19"))));
    assert_eq!(
        references(payout),
        [
            (Other, "1"),
            (Bank, "2026032001234567"),
            (EndToEnd, "STRIPE-PO-1NqkTo"),
            (Other, "TX-1"),
            (Other, "po_1NqkTo2eZvKYlo2C"),
            (Counterparty, "Stripe Payments Europe"),
            (Remittance, "STRIPE PAYOUT"),
            (Remittance, "RF18539007547034"),
        ]
    );
    assert!(returned.reversal && !payout.reversal);
    assert_eq!((returned.booked_on, returned.value_on), (Some(day("2026-03-20")), None));
    assert_eq!(references(batch), [(Customer, "DD-BATCH-7"), (EndToEnd, "INV-1"), (Other, "M-2")]);
}

#[test]
fn every_version_and_prefix_of_camt() {
    let status = "<Sts><Cd>BOOK</Cd></Sts>";
    for version in 2..=13 {
        let text = CAMT.replace("camt.053.001.08", &format!("camt.053.001.{version:02}"));
        // Up to version 7 a status is a text.
        let text = if version < 8 { text.replace(status, "<Sts>BOOK</Sts>") } else { text };
        assert_eq!(read(text).proof(), Proof::Proven, "{version}");
    }
    let prefixed = CAMT.replace("</", "</c:").replace(" xmlns=", " xmlns:c=");
    let prefixed = prefixed.replace('<', "<c:").replace("<c:/c:", "</c:").replace("<c:?", "<?");
    assert_eq!(read(&prefixed).statements, read(CAMT).statements);
    let enveloped = CAMT.replace("<Document", "<Envelope><AppHdr><Fr/></AppHdr><Document");
    let enveloped = enveloped.replace("</Document>", "</Document></Envelope>");
    assert_eq!(read(enveloped).statements, read(CAMT).statements);
}

#[test]
fn mt940_statements() {
    let file = read(MT940);
    assert_eq!((file.format, file.rejects.len(), file.statements.len()), (Some(BankFormat::Mt940), 0, 3));
    let [pages, other, yen] = file.statements.as_slice() else { panic!() };
    for statement in &file.statements {
        assert_eq!(broken(&statement.control.checks), []);
    }
    assert_eq!(file.proof(), Proof::Proven);
    assert_eq!((pages.account.as_str(), pages.id.as_str()), ("50010517/0648489890", "STMT-12-1"));
    assert_eq!((pages.line, pages.number), (2, Some(12)));
    assert_eq!(pages.opening, Some(Balance { amount: 100_000, date: day("2026-03-19") }));
    assert_eq!(pages.closing, Some(Balance { amount: 207_100, date: day("2026-03-20") }));
    let names: Vec<&str> = pages.control.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["balance", "page_balance", "page_opening", "pages"]);
    assert_eq!(amounts(pages), [125_050, -8025, 75, -10_000]);
    let reversals: Vec<bool> = pages.entries.iter().map(|entry| entry.reversal).collect();
    assert_eq!(reversals, [false, false, true, true]);
    assert_eq!(
        references(&pages.entries[0]),
        [
            (Bank, "2026032000123"),
            (Remittance, "GUTSCHRIFT"),
            (Other, "DEUTDEFF"),
            (Other, "DE89370400440532013000"),
            (EndToEnd, "po_1NqkTo2eZvKYlo2C"),
            (Remittance, "STRIPE PAYOUT SHOP"),
            (Counterparty, "Stripe Payments Europe Ltd"),
        ]
    );
    assert_eq!(
        references(&pages.entries[1]),
        [
            (Customer, "INV-7"),
            (Bank, "BANK-2"),
            (Other, "Supplier GmbH"),
            (EndToEnd, "E2E-7"),
            (Counterparty, "Supplier GmbH"),
            (Remittance, "Invoice 7 of March"),
        ]
    );
    // Booked in the year behind the one of its value date.
    let fee = &pages.entries[2];
    assert_eq!((fee.value_on, fee.booked_on), (Some(day("2025-12-31")), Some(day("2026-01-02"))));
    assert_eq!((other.entries[0].code.as_str(), other.entries[0].line), ("S103", 33));
    assert_eq!(
        (yen.opening.unwrap().amount, yen.currency.as_str(), amounts(yen)),
        (-5000, "JPY", vec![12_000])
    );
    let gap = SequenceGap { account: "50010517/0648489890".into(), after: 12, before: 14 };
    assert_eq!(file.gaps, [gap]);
}

#[test]
fn bai2_accounts() {
    let file = read(BAI2);
    assert_eq!((file.format, file.rejects.len(), file.statements.len()), (Some(BankFormat::Bai2), 0, 3));
    let [dollars, yen, dinars] = file.statements.as_slice() else { panic!() };
    for statement in &file.statements {
        assert_eq!(broken(&statement.control.checks), [], "{}", statement.account);
    }
    assert_eq!(broken(&file.control.checks), []);
    assert_eq!((file.control.checks.len(), file.proof()), (9, Proof::Proven));
    assert_eq!((dollars.account.as_str(), dollars.id.as_str()), ("0975312468", "260321-17"));
    assert_eq!(dollars.opening, Some(Balance { amount: 500_000, date: day("2026-03-20") }));
    assert_eq!(dollars.closing, Some(Balance { amount: 1_710_025, date: day("2026-03-20") }));
    assert_eq!(amounts(dollars), [1_250_050, 20_000, 20_000, -80_000, -25, 0]);
    let [payout, wire, reversal, supplier, fee, note] = dollars.entries.as_slice() else { panic!() };
    assert_eq!(
        references(payout),
        [
            (Bank, "2026032000123"),
            (Customer, "po_1NqkTo2eZvKYlo2C"),
            (Remittance, "STRIPE TRANSFER, PAYOUT\nST-A1B2C3D4 SHOP"),
        ]
    );
    assert_eq!((payout.line, payout.code.as_str(), payout.booked_on), (5, "165", Some(day("2026-03-20"))));
    assert_eq!(references(wire), [(Bank, "FED-77"), (Remittance, "WIRE IN")]);
    assert_eq!((reversal.value_on, reversal.reversal), (Some(day("2026-03-21")), true));
    assert_eq!(references(supplier), [(Bank, "ACH-9"), (Customer, "INV-7"), (Remittance, "SUPPLIER")]);
    assert_eq!((fee.references.len(), note.status), (0, EntryStatus::Information));
    assert_eq!((yen.currency.as_str(), amounts(yen)), ("JPY", vec![12_000]));
    // Dinars have three decimals, so this is 1.500.
    assert_eq!((dinars.currency.as_str(), amounts(dinars)), ("KWD", vec![1500]));
}

#[test]
fn interim_reports_are_pending() {
    let text = ":20:MT942\n:25:PL29114010810000267002001002\n:28C:1/1\n:34F:PLN0\n:13D:2603201815+0100\n\
        :61:2603200320CN0,01NTRFNONREF//MB1\n:86:911 COLLECT\n:61:2603200320DN0,03NTRFNONREF//MB2\n\
        :90D:1PLN0,03\n:90C:1PLN0,01\n-\n";
    let file = read(text);
    let statement = &file.statements[0];
    assert_eq!((file.rejects.len(), file.proof()), (0, Proof::Proven));
    assert_eq!((statement.opening, statement.closing, amounts(statement)), (None, None, vec![1, -3]));
    assert!(statement.entries.iter().all(|entry| entry.status == EntryStatus::Pending));
    let interim = BAI2.replace("2359,USD,2/", "2359,USD,3/");
    let statement = &read(interim).statements[0];
    assert_eq!((statement.opening, broken(&statement.control.checks)), (None, vec![]));
    assert_eq!(statement.entries[0].status, EntryStatus::Pending);
}

#[test]
fn formats_are_told_by_their_first_bytes() {
    for (text, format) in [
        (CAMT, Some(BankFormat::Camt053)),
        (MT940, Some(BankFormat::Mt940)),
        (BAI2, Some(BankFormat::Bai2)),
        ("\u{feff}  \r\n<?xml?>", Some(BankFormat::Camt053)),
        ("ABNANL2A\n940\nABNANL2A\n:20:X\n", Some(BankFormat::Mt940)),
        ("\r\n:20:X\r\n", Some(BankFormat::Mt940)),
        ("balance_transaction_id,currency\n", None),
        ("0\u{0}1\u{0}", None),
        ("", None),
    ] {
        assert_eq!(detect(text.as_bytes()), format, "{text}");
    }
}
