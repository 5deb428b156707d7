//! What each format states about itself, spoiled in one place at a time.

use payops_channels::bank::MissingPages;
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
    // The first page is missing, and the one behind it does not say which it is.
    let last =
        ":20:S\n:25:DE1\n:28C:12\n:60M:C260301EUR100,\n:61:2603040304C10,NTRFA//B1\n:62F:C260310EUR110,\n";
    for text in [last.to_owned(), last.replace(":28C:12", ":28C:12/1"), last.replace(":28C:12", ":28C:12/2")]
    {
        let missing = read(&text).statements[0].missing_pages();
        assert_eq!(missing, Some(MissingPages { at_least: 2, found: 1 }), "{text}");
    }
    assert_eq!(read(last.replace("60M", "60F")).statements[0].missing_pages(), None);
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
fn what_a_file_has_twice_came_once_and_what_overlaps_proves_nothing() {
    let once =
        ":20:S\n:25:DE1\n:28C:1/1\n:60F:C260301EUR100,\n:61:2603040304C10,NTRFA//B1\n:62F:C260310EUR110,\n";
    let twice = read(once.repeat(2));
    assert_eq!((twice.statements.len(), twice.proof()), (1, Proof::Proven));
    let renamed = once.replace(":20:S", ":20:T").replace("28C:1/1", "28C:2/1");
    assert_eq!(read(format!("{once}{renamed}")).statements.len(), 1);
    // Not the same text, and the same money all the same.
    let other = once.replace("//B1", "").replace(":20:S", ":20:T").replace("28C:1/1", "28C:9/1");
    let file = read(format!("{once}{other}"));
    assert_eq!((file.statements.len(), file.proof()), (2, Proof::Failed));
    assert_eq!(broken(&file.control.checks), vec![("opening_follows", Some(10_000), 11_000)]);
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

/// A page of a statement: what it says of pages, balances as code and cents, entries in cents.
fn page(id: &str, pagination: &str, balances: &[(&str, i64)], entries: &[i64]) -> String {
    let amount = |cents: i64| {
        let direction = if cents < 0 { "DBIT" } else { "CRDT" };
        let (euros, rest) = (cents.abs() / 100, cents.abs() % 100);
        format!("<Amt Ccy=\"EUR\">{euros}.{rest:02}</Amt><CdtDbtInd>{direction}</CdtDbtInd>")
    };
    let balance = |(code, cents): &(&str, i64)| {
        let code = format!("<Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>");
        format!("<Bal>{code}{}<Dt><Dt>2026-03-20</Dt></Dt></Bal>", amount(*cents))
    };
    let entry = |cents: &i64| {
        let day = "<BookgDt><Dt>2026-03-20</Dt></BookgDt>";
        format!("<Ntry>{}<Sts><Cd>BOOK</Cd></Sts>{day}<BkTxCd/></Ntry>", amount(*cents))
    };
    let balances: String = balances.iter().map(balance).collect();
    let entries: String = entries.iter().map(entry).collect();
    format!(
        "<Stmt><Id>{id}</Id>{pagination}<Acct><Id><Othr><Id>1</Id></Othr></Id></Acct>{balances}{entries}</Stmt>"
    )
}

fn of_statement(number: u32, is_last: bool) -> String {
    format!("<StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{is_last}</LastPgInd></StmtPgntn>")
}

/// A message on a page of its own.
fn message(number: u32, is_last: bool, statements: &[String]) -> String {
    let page = format!("<MsgPgntn><PgNb>{number}</PgNb><LastPgInd>{is_last}</LastPgInd></MsgPgntn>");
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt><GrpHdr><MsgId>m</MsgId>{page}\
         </GrpHdr>{}</BkToCstmrStmt></Document>",
        statements.concat()
    )
}

/// Of each statement: the amounts, the proof, and the checks that do not hold.
fn shown(text: &str) -> Vec<(Vec<i64>, Proof, Vec<String>)> {
    let file = read(text);
    assert_eq!(file.rejects, []);
    let one = |statement: &payops_channels::bank::BankStatement| {
        let broken = broken(&statement.control.checks).iter().map(|broken| broken.0.to_owned()).collect();
        (crate::amounts(statement), statement.control.proof, broken)
    };
    file.statements.iter().map(one).collect()
}

fn proven(amounts: &[i64]) -> (Vec<i64>, Proof, Vec<String>) {
    (amounts.to_vec(), Proof::Proven, Vec::new())
}

fn failed(amounts: &[i64], checks: &[&str]) -> (Vec<i64>, Proof, Vec<String>) {
    (amounts.to_vec(), Proof::Failed, checks.iter().map(|&check| check.to_owned()).collect())
}

#[test]
fn pages_of_a_camt_statement_are_one() {
    let first = page("s", &of_statement(1, false), &[("OPBD", 1000), ("ITBD", 1500)], &[300, 200]);
    let second = page("s", &of_statement(2, false), &[("ITBD", 1500), ("ITBD", 1400)], &[-100]);
    let last = page("s", &of_statement(3, true), &[("ITBD", 1400), ("CLBD", 1407)], &[7]);
    let other = page("t", "", &[("OPBD", 5), ("CLBD", 6)], &[1]);
    let pages = [first.clone(), other, second.clone(), last.clone()];
    let whole = [proven(&[300, 200, -100, 7]), proven(&[1])];
    assert_eq!(shown(&message(1, true, &pages)), whole);
    let statements = read(message(1, true, &pages)).statements;
    let ends = [statements[0].opening, statements[0].closing].map(|balance| balance.unwrap().amount);
    assert_eq!(ends, [1000, 1407]);

    let spoiled = |from: &str, to: &str| shown(&message(1, true, &pages).replace(from, to)).remove(0);
    assert_eq!(spoiled(">14.07<", ">14.08<"), failed(&[300, 200, -100, 7], &["balance"]));
    let interim = failed(&[300, 200, -100, 7], &["page_balance", "page_balance"]);
    assert_eq!(spoiled("<Amt Ccy=\"EUR\">15.00", "<Amt Ccy=\"EUR\">15.01"), interim);
    let gap = shown(&message(1, true, &[first.clone(), last.clone()]));
    assert_eq!(gap, [failed(&[300, 200], &["pages"]), failed(&[7], &["pages"])]);
    let cut = shown(&message(1, true, &[first, second]));
    assert_eq!(cut, [failed(&[300, 200, -100], &["pages"])], "the last page is missing");
}

#[test]
fn a_camt_statement_may_be_cut_by_the_pages_of_its_message() {
    let whole = page("a", "", &[("OPBD", 0), ("CLBD", 9)], &[9]);
    let (begun, rest) = (page("b", "", &[("OPBD", 10)], &[1]), page("b", "", &[("CLBD", 13)], &[2]));
    let behind = page("c", "", &[("OPBD", 0), ("CLBD", 4)], &[4]);
    let pages = [message(1, false, &[whole, begun.clone()]), message(2, true, &[rest, behind])];
    let text = format!("<Envelope>{}</Envelope>", pages.concat());
    assert_eq!(shown(&text), [proven(&[9]), proven(&[1, 2]), proven(&[4])]);
    assert_eq!(shown(&message(1, false, &[begun])), [failed(&[1], &["pages"])]);
}

#[test]
fn pages_that_repeat_the_balances_and_sums_of_their_statement_are_no_contradiction() {
    let sums = "<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries></TxsSummry>";
    let balances = [("OPBD", 10), ("CLBD", 13)];
    let pages = [
        page("s", &format!("{}{sums}", of_statement(1, false)), &balances, &[1]),
        page("s", &format!("{}{sums}", of_statement(2, true)), &balances, &[2]),
    ];
    assert_eq!(shown(&message(1, true, &pages)), [proven(&[1, 2])]);
    // Pages that sum up and balance themselves.
    let own = sums.replace(">2<", ">1<");
    let pages = [
        page("s", &format!("{}{own}", of_statement(1, false)), &[("OPBD", 10), ("CLBD", 11)], &[1]),
        page("s", &format!("{}{own}", of_statement(2, true)), &[("OPBD", 11), ("CLBD", 13)], &[2]),
    ];
    assert_eq!(shown(&message(1, true, &pages)), [proven(&[1, 2])]);
    let wrong = message(1, true, &pages).replace(">0.11<", ">0.12<");
    assert_eq!(shown(&wrong), [failed(&[1, 2], &["page_opening", "page_balance"])]);
    // Without a balance pages prove nothing.
    let bare = [page("s", &of_statement(1, false), &[], &[1]), page("s", &of_statement(2, true), &[], &[2])];
    assert_eq!(shown(&message(1, true, &bare)), [(vec![1, 2], Proof::NotProvable, Vec::new())]);
}
