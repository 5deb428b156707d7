//! A statement written out in each of the three formats reads back the same.

use std::fmt::Write;

use chrono::{Days, NaiveDate};
use payops_channels::bank::{BankFile, BankFormat, EntryStatus};
use payops_channels::row::Proof;
use payops_core::currency::{Currency, Exponents};
use payops_core::money::format_major;
use proptest::prelude::*;

use crate::read;

#[derive(Debug, Clone)]
struct Entry {
    amount: i64,
    credit: bool,
    value_on: NaiveDate,
    reversal: bool,
    reference: String,
    text: String,
}

#[derive(Debug, Clone)]
struct Statement {
    account: String,
    number: u64,
    currency: Currency,
    opening: i64,
    day: NaiveDate,
    entries: Vec<Entry>,
}

impl Statement {
    fn closing(&self) -> i64 {
        self.opening + self.entries.iter().map(Entry::signed).sum::<i64>()
    }

    fn major(&self, amount: i64) -> String {
        format_major(amount.abs(), Exponents::Iso4217.of(self.currency))
    }

    fn comma(&self, amount: i64) -> String {
        let text = self.major(amount).replace('.', ",");
        if text.contains(',') { text } else { text + "," }
    }
}

impl Entry {
    fn signed(&self) -> i64 {
        if self.credit { self.amount } else { -self.amount }
    }
}

fn direction(credit: bool) -> &'static str {
    if credit { "CRDT" } else { "DBIT" }
}

fn camt(statement: &Statement) -> String {
    let code = statement.currency;
    let mut text = format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt><Stmt><Id>S</Id>\
         <ElctrncSeqNb>{}</ElctrncSeqNb><Acct><Id><Othr><Id>{}</Id></Othr></Id></Acct>",
        statement.number, statement.account
    );
    for (name, amount) in [("OPBD", statement.opening), ("CLBD", statement.closing())] {
        write!(
            text,
            "<Bal><Tp><CdOrPrtry><Cd>{name}</Cd></CdOrPrtry></Tp><Amt Ccy=\"{code}\">{}</Amt><CdtDbtInd>{}\
             </CdtDbtInd><Dt><Dt>{}</Dt></Dt></Bal>",
            statement.major(amount),
            direction(amount >= 0),
            statement.day
        )
        .unwrap();
    }
    for entry in &statement.entries {
        writeln!(
            text,
            "<Ntry><Amt Ccy=\"{code}\">{}</Amt><CdtDbtInd>{}</CdtDbtInd><RvslInd>{}</RvslInd><Sts>BOOK</Sts>\
             <BookgDt><Dt>{}</Dt></BookgDt><ValDt><Dt>{}</Dt></ValDt><NtryDtls><TxDtls><Refs><InstrId>{}</InstrId>\
             </Refs><RmtInf><Ustrd>{}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>",
            statement.major(entry.amount),
            direction(entry.credit),
            entry.reversal,
            statement.day,
            entry.value_on,
            entry.reference,
            entry.text
        )
        .unwrap();
    }
    text + "</Stmt></BkToCstmrStmt></Document>"
}

/// In pages of three entries each.
fn mt940(statement: &Statement) -> String {
    let mut text = String::new();
    let mut balance = statement.opening;
    let day = statement.day.format("%y%m%d");
    let mark = |amount: i64| if amount >= 0 { 'C' } else { 'D' };
    let pages: Vec<&[Entry]> = match statement.entries.as_slice() {
        [] => vec![&[]],
        entries => entries.chunks(3).collect(),
    };
    for (index, page) in pages.iter().enumerate() {
        let (number, code) = (index + 1, statement.currency);
        let first = if index == 0 { 'F' } else { 'M' };
        let last = if number == pages.len() { 'F' } else { 'M' };
        let (at, amount) = (mark(balance), statement.comma(balance));
        write!(text, ":20:S\r\n:25:{}\r\n:28C:{}/{number}\r\n", statement.account, statement.number).unwrap();
        write!(text, ":60{first}:{at}{day}{code}{amount}\r\n").unwrap();
        for entry in *page {
            let mark = match (entry.credit, entry.reversal) {
                (true, false) => "C",
                (false, false) => "D",
                (true, true) => "RD",
                (false, true) => "RC",
            };
            let (value, booked) = (entry.value_on.format("%y%m%d"), statement.day.format("%m%d"));
            let amount = statement.comma(entry.amount);
            write!(
                text,
                ":61:{value}{booked}{mark}{amount}NTRF{}\r\n:86:{}\r\n",
                entry.reference, entry.text
            )
            .unwrap();
            balance += entry.signed();
        }
        let (at, amount) = (mark(balance), statement.comma(balance));
        write!(text, ":62{last}:{at}{day}{code}{amount}\r\n-\r\n").unwrap();
    }
    text
}

fn bai2(statement: &Statement) -> String {
    let (opening, closing) = (statement.opening, statement.closing());
    let day = statement.day.format("%y%m%d");
    let mut text = format!("01,B,S,{day},0200,1,,,2/\n02,S,B,1,{day},2359,{},2/\n", statement.currency);
    writeln!(text, "03,{},,010,{opening},,,015,{closing},,/", statement.account).unwrap();
    let mut total = i128::from(opening) + i128::from(closing);
    for entry in &statement.entries {
        let code = match (entry.credit, entry.reversal) {
            (true, false) => 165,
            (false, false) => 455,
            (true, true) => 252,
            (false, true) => 552,
        };
        let value = entry.value_on.format("%y%m%d");
        total += i128::from(entry.amount);
        writeln!(text, "16,{code},{},V,{value},,,{}/\n88,{}", entry.amount, entry.reference, entry.text)
            .unwrap();
    }
    let records = 2 * statement.entries.len() + 2;
    writeln!(text, "49,{total},{records}/\n98,{total},1,{}/\n99,{total},1,{}/", records + 2, records + 4)
        .unwrap();
    text
}

fn statements() -> impl Strategy<Value = Statement> {
    let currency = proptest::sample::select(vec![Currency::EUR, Currency::USD, Currency::JPY, Currency::KWD]);
    let day = (0_u64..30_000).prop_map(|days| NaiveDate::from_ymd_opt(1990, 1, 1).unwrap() + Days::new(days));
    let amount = prop_oneof![0_i64..1_000_000, 0_i64..1_000_000_000_000_000];
    // Some texts look like parts of a format, none like the marks of its parts.
    let text = "[A-Za-z0-9][A-Za-z0-9 ,.()+-]{0,38}[A-Za-z0-9]";
    let entry = (amount, any::<bool>(), 0_u64..700, any::<bool>(), "[a-z]{2}_[A-Za-z0-9]{4,12}", text);
    let entries = proptest::collection::vec(entry, 0..10);
    (currency, day, -1_000_000_000_000_i64..1_000_000_000_000, "[A-Z0-9]{4,20}", 1_u64..99_999, entries)
        .prop_map(|(currency, day, opening, account, number, entries)| Statement {
            account,
            number,
            currency,
            opening,
            day,
            entries: entries
                .into_iter()
                .map(|(amount, credit, before, reversal, reference, text)| Entry {
                    amount,
                    credit,
                    // An entry date has no year: it is one of those around the value date.
                    value_on: day - Days::new(before % 180),
                    reversal,
                    reference,
                    text,
                })
                .collect(),
        })
}

#[track_caller]
fn is(file: &BankFile, format: BankFormat, expected: &Statement) {
    assert_eq!(file.rejects, []);
    assert_eq!((file.format, file.proof(), file.statements.len()), (Some(format), Proof::Proven, 1));
    let found = &file.statements[0];
    assert_eq!((&found.account, found.currency), (&expected.account, expected.currency));
    assert_eq!(found.number, (format != BankFormat::Bai2).then_some(expected.number));
    let balances = [found.opening, found.closing].map(|balance| balance.map(|b| (b.amount, b.date)));
    let day = expected.day;
    assert_eq!(balances, [Some((expected.opening, day)), Some((expected.closing(), day))]);
    assert_eq!(found.entries.len(), expected.entries.len());
    for (ordinal, (found, expected)) in found.entries.iter().zip(&expected.entries).enumerate() {
        assert_eq!((found.ordinal, found.amount), (ordinal as u64, expected.signed()));
        assert_eq!((found.booked_on, found.value_on), (Some(day), Some(expected.value_on)));
        assert_eq!((found.status, found.reversal), (EntryStatus::Booked, expected.reversal));
        let texts: Vec<&str> = found.references.iter().map(|reference| reference.text.as_str()).collect();
        assert_eq!(texts, [&expected.reference, &expected.text]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_is_read_back(statement in statements()) {
        is(&read(camt(&statement)), BankFormat::Camt053, &statement);
        is(&read(mt940(&statement)), BankFormat::Mt940, &statement);
        is(&read(bai2(&statement)), BankFormat::Bai2, &statement);
    }
}
