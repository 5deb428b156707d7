//! What each format states about itself, spoiled in one place at a time.

use payops_channels::row::Proof;

use crate::{BAI2, CAMT, MT940, broken, read};

/// The checks of the file and of its statements that do not hold.
#[track_caller]
fn fails(text: &str, from: &str, to: &str, expected: &[&str]) {
    assert!(text.contains(from), "{from}");
    let file = read(text.replacen(from, to, 1));
    let mut names: Vec<&str> =
        file.statements.iter().flat_map(|statement| broken(&statement.control.checks)).map(|b| b.0).collect();
    names.extend(broken(&file.control.checks).iter().map(|broken| broken.0));
    assert_eq!(names, expected, "{from} -> {to}: {:?}", file.rejects);
    assert_eq!(file.proof(), Proof::Failed);
}

#[test]
fn camt() {
    fails(CAMT, ">3260.25<", ">3260.26<", &["balance"]);
    fails(CAMT, ">3260.25<", ">3260.255<", &["balance"]);
    fails(CAMT, "<NbOfNtries>5<", "<NbOfNtries>6<", &["entry_count"]);
    fails(CAMT, "<NbOfNtries>5<", "<NbOfNtries>five<", &["entry_count"]);
    fails(CAMT, "<Sum>2439.75<", "<Sum>2439.74<", &["entry_sum"]);
    fails(CAMT, "<Amt>2260.25</Amt><CdtDbtInd>CRDT", "<Amt>2260.25</Amt><CdtDbtInd>DBIT", &["net"]);
    fails(
        CAMT,
        "<NbOfNtries>2</NbOfNtries><Sum>2350",
        "<NbOfNtries>3</NbOfNtries><Sum>2351",
        &["credit_count", "credit_sum"],
    );
    fails(
        CAMT,
        "<NbOfNtries>3</NbOfNtries><Sum>89.75",
        "<NbOfNtries>0</NbOfNtries><Sum>0",
        &["debit_count", "debit_sum"],
    );
    // An entry that only is pending moves no balance, and is an entry all the same.
    fails(CAMT, "BOOK", "PDNG", &["balance"]);
    // A refused entry is in no sum.
    let all = ["balance", "entry_count", "entry_sum", "net", "credit_count", "credit_sum"];
    fails(CAMT, "\"EUR\">1250.50", "\"EUR\">1250.505", &all);
}

#[test]
fn a_camt_statement_without_totals_proves_nothing() {
    let without = |text: &str, from: &str, to: &str| {
        let start = text.find(from).unwrap();
        let end = start + text[start..].find(to).unwrap() + to.len();
        format!("{}{}", &text[..start], &text[end..])
    };
    let bare = without(CAMT, "<TxsSummry>", "</TxsSummry>");
    assert_eq!(read(&bare).proof(), Proof::Proven);
    let bare = without(&bare, "<Bal>", "</Bal>");
    assert_eq!(read(&bare).proof(), Proof::NotProvable);
    // What the statement before closed with is what this one opened with.
    let previous = CAMT.replace("<Cd>OPBD</Cd>", "<Cd>PRCD</Cd>");
    assert_eq!(read(previous).statements[0].opening.unwrap().amount, 100_000);
    let net = CAMT.replace("<Amt>2260.25</Amt><CdtDbtInd>CRDT</CdtDbtInd>", "<Amt>2260.25</Amt>");
    assert_eq!(read(net).statements[0].control.checks.len(), 7);
}

#[test]
fn mt940() {
    fails(MT940, ":62F:C260320EUR2071,00", ":62F:C260320EUR2071,01", &["balance"]);
    fails(MT940, ":62F:C260320EUR2071,00", ":62F:D260320EUR2071,00", &["balance"]);
    fails(MT940, ":60F:C260319EUR1000,00", ":60F:C260319EUR1000,0x", &["opening", "page_opening"]);
    fails(MT940, ":62M:C260320EUR2250,50", ":62M:C260320EUR2250,00", &["page_balance", "page_opening"]);
    fails(MT940, ":60M:C260320EUR2250,50", ":60M:C260320EUR2250,00", &["page_opening"]);
    // A page between the two is missing, and with it what it moved.
    fails(MT940, "00012/002", "00012/003", &["pages"]);
    // The last page is missing: page 1 says that it goes on, and page 2 belongs to another statement.
    fails(MT940, "00012/002", "00013/002", &["pages", "pages", "opening_follows"]);
    fails(MT940, "RD0,75", "D0,75", &["balance"]);
    fails(MT940, ":62F:C260322EUR2000,00\n", "", &["balance"]);
    fails(MT940, ":60F:D260320JPY5000,\n", "", &["opening"]);
}

#[test]
fn a_statement_opens_with_what_the_one_before_it_closed() {
    let next = MT940.replace("00014/001", "00013/001");
    let file = read(&next);
    assert_eq!(
        (file.gaps.len(), broken(&file.control.checks)),
        (0, vec![("opening_follows", Some(190_000), 207_100)])
    );
    let fits = next.replace("EUR1900,00", "EUR2071,00").replace("C260322EUR2000,00", "C260322EUR2171,00");
    assert_eq!(read(&fits).proof(), Proof::Proven);
    // Another count begins with 1, the year after.
    let first = fits.replace("00013/001", "1/1");
    let file = read(&first);
    assert_eq!((file.gaps, file.control.checks), (vec![], vec![]));
    let third = read(first.replace(":28C:1/1", ":28C:3/1"));
    assert_eq!((third.gaps[0].after, third.gaps[0].before), (12, 3));
}

#[test]
fn bai2() {
    fails(BAI2, "49,6660200,11/", "49,6660201,11/", &["control_total"]);
    fails(BAI2, "49,6660200,11/", "49,6660200,10/", &["records"]);
    fails(BAI2, "49,6660200,11/", "49,,/", &["control_total", "records"]);
    fails(BAI2, "98,6674200,2,16/", "98,6674201,1,15/", &["group_total", "group_accounts", "group_records"]);
    fails(BAI2, "99,6677200,2,23/", "99,6677201,1,22/", &["file_total", "file_groups", "file_records"]);
    fails(BAI2, "99,6677200,2,23/\n", "", &["file_total", "file_groups", "file_records"]);
    fails(
        BAI2,
        "015,1710025,,,100",
        "015,1710024,,,100",
        &["balance", "control_total", "group_total", "file_total"],
    );
    fails(BAI2, ",100,1290050,3,", ",100,1290050,4,", &["credit_count"]);
    // A debit taken for a credit leaves the sums of amounts as they are.
    fails(
        BAI2,
        "16,698,25",
        "16,398,25",
        &["balance", "credit_sum", "credit_count", "debit_sum", "debit_count"],
    );
    let lost = &["balance", "control_total", "records", "debit_sum", "debit_count"];
    let totals = &["group_total", "group_records", "file_total", "file_records"];
    fails(BAI2, "16,698,25,,,,/\n", "", &[&lost[..], totals].concat());
    assert_eq!(read(BAI2.replace("010,500000,,,", "")).statements[0].opening, None);
}
