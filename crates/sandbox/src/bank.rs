//! What the bank says of a day's payouts: a camt.053 with a statement of one account per currency.

use std::io::{self, Write};

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};
use payops_core::currency::{Currency, Exponents};
use payops_core::money::format_major;

use crate::days::Day;

/// How many days behind the day a statement goes on, so that every payout is due on one of them.
const LAST_DAY: i64 = 7;
/// What each account holds before, in minor units.
const HELD: i64 = 10_000_000;

/// One booked entry.
struct Entry {
    /// Minor units, positive when money came.
    amount: i64,
    date: NaiveDate,
    reference: String,
    text: String,
}

/// Writes what the bank received of the day's payouts, each two working days later and under its id, over the week that begins
/// with the day. A rent and a customer's transfer, which are none of the channel's, stand beside them.
pub fn write_bank_statement(day: &Day, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
    out.write_all(b"<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02\"><BkToCstmrStmt>\n")?;
    let last = later(day.date(), LAST_DAY);
    writeln!(out, "<GrpHdr><MsgId>{last}</MsgId><CreDtTm>{last}T23:59:59</CreDtTm></GrpHdr>")?;
    for payout in day.payouts() {
        let (date, id) = (working_day_after(day.date(), 2), payout.payout_id);
        let text = format!("STRIPE PAYOUT {id}");
        let entries = [
            other(-HELD / 8, day.date(), "RENT"),
            Entry { amount: -payout.gross, date, reference: id, text },
            other(HELD / 40, date, "TRANSFER OF A CUSTOMER"),
        ];
        write_statement(day.date(), payout.currency, &entries, out)?;
    }
    out.write_all(b"</BkToCstmrStmt></Document>\n")
}

fn other(amount: i64, date: NaiveDate, text: &str) -> Entry {
    Entry { amount, date, reference: "NOTPROVIDED".to_owned(), text: text.to_owned() }
}

fn write_statement(
    first: NaiveDate,
    currency: Currency,
    entries: &[Entry],
    out: &mut dyn Write,
) -> io::Result<()> {
    let last = later(first, LAST_DAY);
    let moved: i64 = entries.iter().map(|entry| entry.amount).sum();
    writeln!(
        out,
        "<Stmt><Id>{last} {currency}</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>{last}T23:59:59</CreDtTm>\
         <Acct><Id><Othr><Id>SANDBOX-{currency}</Id></Othr></Id><Ccy>{currency}</Ccy></Acct>"
    )?;
    for (code, held, date) in [("OPBD", HELD, later(first, -1)), ("CLBD", HELD + moved, last)] {
        let amount = amount(held, currency);
        writeln!(
            out,
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{amount}<Dt><Dt>{date}</Dt></Dt></Bal>"
        )?;
    }
    for Entry { amount: moved, date, reference, text } in entries {
        let amount = amount(*moved, currency);
        writeln!(
            out,
            "<Ntry>{amount}<Sts>BOOK</Sts><BookgDt><Dt>{date}</Dt></BookgDt><ValDt><Dt>{date}</Dt></ValDt>\
             <BkTxCd><Prtry><Cd>TRF</Cd></Prtry></BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs>\
             <RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
        )?;
    }
    out.write_all(b"</Stmt>\n")
}

fn amount(minor: i64, currency: Currency) -> String {
    let digits = format_major(minor.saturating_abs(), Exponents::Iso4217.of(currency));
    let sign = if minor < 0 { "DBIT" } else { "CRDT" };
    format!("<Amt Ccy=\"{currency}\">{digits}</Amt><CdtDbtInd>{sign}</CdtDbtInd>")
}

fn later(date: NaiveDate, days: i64) -> NaiveDate {
    date.checked_add_signed(TimeDelta::days(days)).unwrap_or(date)
}

/// The day that is so many working days later.
fn working_day_after(date: NaiveDate, days: usize) -> NaiveDate {
    let is_working = |date: &NaiveDate| !matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
    date.iter_days().skip(1).filter(is_working).nth(days.saturating_sub(1)).unwrap_or(date)
}
