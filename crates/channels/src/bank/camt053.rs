//! camt.053, ISO 20022's `BankToCustomerStatement`, versions 001.02 to 001.13.
//!
//! What is read of a statement: `Id`, `ElctrncSeqNb` or `LglSeqNb`, `Acct`, the balances OPBD (else PRCD) and
//! CLBD, between pages ITBD, `TxsSummry`, page numbers, and the entries. `CdtDbtInd` says where an entry's money
//! goes; `RvslInd` only says that it undoes another one. Parts that no question here needs are left out, whatever
//! they hold.

use std::io::Read;

use chrono::NaiveDate;
use payops_core::currency::Currency;

use super::build::{Builder, Draft, currency, id, push, signed, state, unsigned};
use super::camt_pages::{PageNumber, Pages, Sheet};
use super::proof::{Totals, check};
use super::xml::{Node, Opened, Step, Xml};
use super::{Balance, BankEntry, EntryStatus, Reference, ReferenceKind};
use crate::control::Statement;
use crate::fault::{Fault, excerpt};
use crate::options::ReadOptions;
use crate::report::ControlCheck;
use crate::row::{Reject, RejectReason};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.";
const VERSIONS: std::ops::RangeInclusive<u8> = 2..=13;
/// Where an entry's details are long, what is kept of them may take this many times the longest row.
const DETAILS: usize = 16;

/// Reads a document.
pub(super) fn read<R: Read>(source: R, options: &ReadOptions, builder: &mut Builder) {
    let (xml, pages) = (Xml::new(source, options), Pages::default());
    let mut reader = Reader { xml, options, builder, pages, message_page: None };
    let ended = reader.document();
    // What was read before the document broke off is delivered too.
    reader.pages.finish(reader.builder);
    if let Err(reject) = ended {
        reader.builder.reject(reject);
    }
}

struct Reader<'r, R> {
    xml: Xml<R>,
    options: &'r ReadOptions,
    builder: &'r mut Builder,
    pages: Pages,
    /// Which page of a message the present one is.
    message_page: Option<PageNumber>,
}

/// An error is the last word about the document.
type Fatal<T> = Result<T, Reject>;

impl<R: Read> Reader<'_, R> {
    fn document(&mut self) -> Fatal<()> {
        let mut seen = false;
        loop {
            match self.xml.next()? {
                Step::Open(opened) if opened.name == "Document" => {
                    known_version(&opened)?;
                    seen = true;
                }
                // Before the document an envelope may stand, and in it only statements are of interest.
                Step::Open(_) if !seen => {}
                Step::Open(opened) if opened.name == "BkToCstmrStmt" => self.message_page = None,
                Step::Open(opened) if opened.name == "GrpHdr" => {
                    // Nothing else of it is of interest, so neither is whether it can be read.
                    let head = self.xml.read(opened, &mut 0)?.ok();
                    let page = head.as_ref().and_then(|head| head.at("MsgPgntn"));
                    self.message_page = page.and_then(|page| PageNumber::read(page, false));
                }
                Step::Open(opened) if opened.name == "Stmt" => self.statement(&opened)?,
                Step::Open(_) => self.xml.skip()?,
                Step::Close => {}
                Step::End if seen => return Ok(()),
                Step::End => return Err(unknown(0, "it has no element 'Document'")),
            }
        }
    }

    fn statement(&mut self, opened: &Opened) -> Fatal<()> {
        let ordinal = self.builder.begin(opened.line)?;
        let draft = Draft { line: opened.line, ordinal, ..Draft::default() };
        let mut sheet = Sheet { draft, page: self.message_page, ..Sheet::default() };
        let mut previous = Statement::NotMade;
        // What was read before the document broke off is delivered too.
        let ended = self.parts(&mut sheet, &mut previous);
        if let Statement::NotMade = sheet.draft.opening {
            sheet.draft.opening = previous;
        }
        self.pages.take(sheet, self.builder);
        ended
    }

    /// Reads what is in a statement; `previous` is the closing balance of the one before.
    fn parts(&mut self, sheet: &mut Sheet, previous: &mut Statement<Balance>) -> Fatal<()> {
        let mut held = 0;
        let mut sequence = [None, None];
        while let Step::Open(opened) = self.xml.next()? {
            let line = opened.line;
            match opened.name.as_str() {
                "Ntry" => {
                    self.entry(opened, &mut sheet.draft)?;
                    continue;
                }
                "Id" | "ElctrncSeqNb" | "LglSeqNb" | "Acct" | "Bal" | "TxsSummry" | "StmtPgntn" => {}
                _ => {
                    self.xml.skip()?;
                    continue;
                }
            }
            let outcome = self.xml.read(opened, &mut held)?.and_then(|node| {
                match node.name.as_str() {
                    "Id" => sheet.draft.id = id(&node.text, "Id", self.options)?,
                    "ElctrncSeqNb" => sequence[0] = Some(number(&node)?),
                    "LglSeqNb" => sequence[1] = Some(number(&node)?),
                    "Acct" => self.account(&node, &mut sheet.draft)?,
                    "Bal" => balance(&node, sheet, previous)?,
                    "StmtPgntn" => sheet.page = PageNumber::read(&node, true).or(sheet.page),
                    _ => sheet.summary = Some(node),
                }
                Ok(())
            });
            if let Err(fault) = outcome {
                self.builder.refuse(line, fault);
            }
            sheet.draft.number = sequence[0].or(sequence[1]);
        }
        Ok(())
    }

    fn account(&self, node: &Node, draft: &mut Draft) -> Result<(), Fault> {
        let iban = node.at("Id/IBAN");
        if let Some(found) = iban.or_else(|| node.at("Id/Othr/Id")).or_else(|| node.at("Id/PrtryAcct/Id")) {
            draft.account = id(&found.text, "Acct/Id", self.options)?;
        }
        match node.at("Ccy") {
            Some(code) => draft.agree(currency(code.text.as_bytes(), "Acct/Ccy")?, "Acct/Ccy"),
            None => Ok(()),
        }
    }

    fn entry(&mut self, opened: Opened, draft: &mut Draft) -> Fatal<()> {
        let line = opened.line;
        let ordinal = self.builder.next_ordinal(line)?;
        match self.entry_parts(opened)?.and_then(|parts| parts.into_entry(line, ordinal, draft)) {
            Ok((entry, credit)) => draft.push(entry, credit),
            Err(fault) => self.builder.refuse(line, fault),
        }
        Ok(())
    }

    /// Reads an entry. Its details, which may be thousands in a batch, are read one by one and only their
    /// references are kept.
    fn entry_parts(&mut self, opened: Opened) -> Fatal<Result<Parts, Fault>> {
        let mut parts =
            Parts { entry: Node { name: opened.name, ..Node::default() }, references: Vec::new() };
        let mut fault = None;
        let (mut held, mut details) = (0, 0);
        let mut in_details = false;
        loop {
            let opened = match self.xml.next()? {
                Step::Open(opened) => opened,
                Step::Close if in_details => {
                    in_details = false;
                    continue;
                }
                Step::Close | Step::End => break,
            };
            if opened.name == "NtryDtls" && !in_details {
                in_details = true;
                continue;
            }
            let outcome = if in_details {
                self.xml.read(opened, &mut 0)?.and_then(|node| {
                    let before = parts.references.len();
                    self.references(&node, parts.is_credit(), &mut parts.references)?;
                    details += parts.references[before..].iter().map(kept_bytes).sum::<usize>();
                    let most = self.options.limits.max_row_bytes.saturating_mul(DETAILS);
                    if details > most {
                        parts.references.clear();
                        let message = format!("the references of the entry need more than {most} bytes");
                        return Err(Fault::new(RejectReason::RowTooLong, Some("NtryDtls"), message));
                    }
                    Ok(())
                })
            } else {
                self.xml.read(opened, &mut held)?.map(|node| parts.entry.children.push(node))
            };
            if let Err(new) = outcome {
                fault.get_or_insert(new);
            }
        }
        Ok(match fault {
            Some(fault) => Err(fault),
            None => self.own_references(parts),
        })
    }

    /// The entry's own references stand before those of its transactions, its text behind them.
    fn own_references(&self, mut parts: Parts) -> Result<Parts, Fault> {
        let mut all = Vec::new();
        for (path, kind) in [("NtryRef", ReferenceKind::Other), ("AcctSvcrRef", ReferenceKind::Bank)] {
            self.keep(&parts.entry, path, kind, &mut all)?;
        }
        all.append(&mut parts.references);
        for node in parts.entry.all("AddtlNtryInf") {
            push(&mut all, ReferenceKind::Remittance, &node.text);
        }
        parts.references = all;
        Ok(parts)
    }

    fn keep(
        &self,
        node: &Node,
        path: &str,
        kind: ReferenceKind,
        references: &mut Vec<Reference>,
    ) -> Result<(), Fault> {
        match node.at(path) {
            Some(found) => {
                push(references, kind, &id(&found.text, path, self.options)?);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What a transaction, or the head of a batch, may be recognised by.
    fn references(&self, node: &Node, credit: bool, to: &mut Vec<Reference>) -> Result<(), Fault> {
        use ReferenceKind::{Bank, Customer, EndToEnd, Other};

        if node.name == "Btch" {
            self.keep(node, "MsgId", Customer, to)?;
            return self.keep(node, "PmtInfId", Customer, to);
        }
        for (path, kind) in [
            ("Refs/EndToEndId", EndToEnd),
            ("Refs/AcctSvcrRef", Bank),
            ("Refs/AcctSvcrTxId", Bank),
            ("Refs/MsgId", Customer),
            ("Refs/PmtInfId", Customer),
            ("Refs/InstrId", Customer),
            ("Refs/AcctOwnrTxId", Customer),
            ("Refs/TxId", Other),
            ("Refs/UETR", Other),
            ("Refs/MndtId", Other),
            ("Refs/ChqNb", Other),
            ("Refs/ClrSysRef", Other),
        ] {
            self.keep(node, path, kind, to)?;
        }
        for refs in node.all("Refs") {
            for own in refs.all("Prtry") {
                self.keep(own, "Ref", Other, to)?;
            }
        }
        let others: &[&str] = if credit { &["Dbtr", "UltmtDbtr"] } else { &["Cdtr", "UltmtCdtr"] };
        for party in others.iter().filter_map(|name| node.at("RltdPties")?.at(name)) {
            let name = party.at("Nm").or_else(|| party.at("Pty/Nm"));
            push(to, ReferenceKind::Counterparty, name.map_or("", |name| name.text.as_str()));
        }
        remittance(node, to);
        Ok(())
    }
}

/// An entry with its details boiled down.
struct Parts {
    entry: Node,
    references: Vec<Reference>,
}

impl Parts {
    fn is_credit(&self) -> bool {
        self.entry.text_at("CdtDbtInd") == "CRDT"
    }

    fn into_entry(self, line: u64, ordinal: u64, draft: &mut Draft) -> Result<(BankEntry, bool), Fault> {
        let (amount, credit) = money(&self.entry, draft, "Ntry/Amt")?;
        let entry = BankEntry {
            line,
            ordinal,
            amount,
            currency: draft.currency.ok_or_else(|| Fault::empty("Ntry/Amt/@Ccy"))?,
            booked_on: date(&self.entry, "BookgDt")?,
            value_on: date(&self.entry, "ValDt")?,
            status: status(&self.entry)?,
            reversal: self
                .entry
                .only("RvslInd")?
                .is_some_and(|node| matches!(node.text.as_str(), "true" | "1")),
            code: code(&self.entry),
            references: self.references,
        };
        Ok((entry, credit))
    }
}

fn known_version(document: &Opened) -> Result<(), Reject> {
    let Some(version) = document.namespace.strip_prefix(NAMESPACE) else {
        let why = format!("its namespace is '{}', and {NAMESPACE}02 to 13 are read", document.namespace);
        return Err(unknown(document.line, &why));
    };
    let known = version.len() == 2 && version.parse().is_ok_and(|number| VERSIONS.contains(&number));
    if known {
        return Ok(());
    }
    let version = excerpt(version.as_bytes());
    Err(unknown(document.line, &format!("it is camt.053.001.{version}, and versions 02 to 13 are read")))
}

fn unknown(line: u64, why: &str) -> Reject {
    let message = format!("the XML document is no camt.053 that is read here: {why}");
    Reject { line, column: None, reason: RejectReason::UnknownFormat, message }
}

fn kept_bytes(reference: &Reference) -> usize {
    size_of::<Reference>() + reference.text.len()
}

fn remittance(node: &Node, to: &mut Vec<Reference>) {
    let kind = ReferenceKind::Remittance;
    for information in node.all("RmtInf") {
        for text in information.all("Ustrd") {
            push(to, kind, &text.text);
        }
        for structured in information.all("Strd") {
            push(to, kind, structured.text_at("CdtrRefInf/Ref"));
            for document in structured.all("RfrdDocInf") {
                push(to, kind, document.text_at("Nb"));
            }
            for text in structured.all("AddtlRmtInf") {
                push(to, kind, &text.text);
            }
        }
    }
    push(to, kind, node.text_at("AddtlTxInf"));
}

/// The amount of an entry or a balance, and whether it is a credit.
fn money(node: &Node, draft: &mut Draft, column: &str) -> Result<(i64, bool), Fault> {
    let amount = node.only("Amt")?.ok_or_else(|| Fault::empty(column))?;
    let currency = currency(amount.currency.as_bytes(), column)?;
    draft.agree(currency, column)?;
    let size = unsigned(amount.text.as_bytes(), currency, b'.', column)?;
    let credit = direction(node)?;
    Ok((signed(size, credit), credit))
}

fn direction(node: &Node) -> Result<bool, Fault> {
    match node.only("CdtDbtInd")?.map_or("", |node| node.text.as_str()) {
        "CRDT" => Ok(true),
        "DBIT" => Ok(false),
        other => {
            let what = "is neither CRDT nor DBIT";
            Err(Fault::value(RejectReason::UnknownKind, "CdtDbtInd", what, other.as_bytes()))
        }
    }
}

fn balance(node: &Node, sheet: &mut Sheet, previous: &mut Statement<Balance>) -> Result<(), Fault> {
    let code = node.text_at("Tp/CdOrPrtry/Cd");
    if !matches!(code, "OPBD" | "PRCD" | "CLBD" | "ITBD") {
        return Ok(());
    }
    let draft = &mut sheet.draft;
    let read = money(node, draft, "Bal/Amt").and_then(|(amount, _)| {
        let date = date(node, "Dt")?.ok_or_else(|| Fault::empty("Bal/Dt"))?;
        Ok(Balance { amount, date })
    });
    if code == "ITBD" {
        // It only counts between pages, and fails there when it cannot be read.
        sheet.interim.push(read.map_or(Statement::Unreadable, Statement::Made));
        return Ok(());
    }
    let place = match code {
        "OPBD" => &mut draft.opening,
        "PRCD" => previous,
        _ => &mut draft.closing,
    };
    state(place, read, code)
}

fn status(entry: &Node) -> Result<EntryStatus, Fault> {
    // A text up to version 07, a code since.
    let word = match entry.only("Sts")? {
        Some(node) if node.children.is_empty() => node.text.as_str(),
        Some(node) => node.text_at("Cd"),
        None => "",
    };
    match word {
        "BOOK" => Ok(EntryStatus::Booked),
        "PDNG" | "FUTR" => Ok(EntryStatus::Pending),
        "INFO" => Ok(EntryStatus::Information),
        _ => {
            let what = "is none of BOOK, PDNG, FUTR and INFO";
            Err(Fault::value(RejectReason::UnknownStatus, "Ntry/Sts", what, word.as_bytes()))
        }
    }
}

/// ISO's code, else the bank's own.
fn code(entry: &Node) -> String {
    let parts = ["BkTxCd/Domn/Cd", "BkTxCd/Domn/Fmly/Cd", "BkTxCd/Domn/Fmly/SubFmlyCd"];
    let parts: Vec<&str> =
        parts.iter().map(|path| entry.text_at(path)).filter(|text| !text.is_empty()).collect();
    let code = if parts.is_empty() { entry.text_at("BkTxCd/Prtry/Cd").to_owned() } else { parts.join("-") };
    excerpt(code.as_bytes())
}

/// The day in the element `name`, as the bank writes it: of a date with a time or a zone, the day that is printed.
fn date(node: &Node, name: &str) -> Result<Option<NaiveDate>, Fault> {
    let Some(choice) = node.only(name)? else { return Ok(None) };
    let text = choice.only("Dt")?.or(choice.only("DtTm")?).map_or("", |node| node.text.as_str());
    let day = text.split_at_checked(10).and_then(|(day, rest)| {
        let ends = rest.is_empty() || rest.starts_with(['T', '+', '-', 'Z']);
        NaiveDate::parse_from_str(day, "%Y-%m-%d").ok().filter(|_| ends)
    });
    match day {
        Some(day) => Ok(Some(day)),
        None => Err(Fault::value(RejectReason::BadTime, name, "is not a date", text.as_bytes())),
    }
}

fn number(node: &Node) -> Result<u64, Fault> {
    // Decimal by the schema, whole numbers in practice.
    let digits = node.text.split_once('.').map_or(node.text.as_str(), |(whole, fraction)| {
        if fraction.bytes().all(|byte| byte == b'0') { whole } else { "" }
    });
    let what = "is not a whole number";
    digits.parse().map_err(|_| Fault::value(RejectReason::BadRecord, &node.name, what, node.text.as_bytes()))
}

/// Holds `TxsSummry` against the entries. The summary covers all of them, booked or not.
pub(super) fn summary(node: &Node, totals: Totals, currency: Option<Currency>) -> Vec<ControlCheck> {
    let count = |path: &str| match node.at(path) {
        None => Statement::NotMade,
        Some(found) => Statement::from_option(number(found).ok().map(i128::from)),
    };
    let sum = |path: &str| match (node.at(path), currency) {
        (None, _) => Statement::NotMade,
        (Some(_), None) => Statement::Unreadable,
        (Some(found), Some(currency)) => {
            let sum = unsigned(found.text.as_bytes(), currency, b'.', path);
            Statement::from_option(sum.ok().map(i128::from))
        }
    };
    // The net has its direction beside it, which moved in later versions.
    let net = |amount: &str, beside: &str| match (sum(amount), node.at(beside)) {
        // A size without a direction states nothing.
        (Statement::Made(_), Some(beside)) if beside.at("CdtDbtInd").is_none() => Statement::NotMade,
        (Statement::Made(size), Some(beside)) => {
            Statement::from_option(direction(beside).ok().map(|credit| if credit { size } else { -size }))
        }
        (other, _) => other,
    };
    let both = totals.credit_sum + totals.debit_sum;
    let moved = totals.credit_sum - totals.debit_sum;
    let checks = [
        check("entry_count", None, &count("TtlNtries/NbOfNtries"), totals.credits + totals.debits),
        check("entry_sum", currency, &sum("TtlNtries/Sum"), both),
        check("net", currency, &net("TtlNtries/TtlNetNtryAmt", "TtlNtries"), moved),
        check("net", currency, &net("TtlNtries/TtlNetNtry/Amt", "TtlNtries/TtlNetNtry"), moved),
        check("credit_count", None, &count("TtlCdtNtries/NbOfNtries"), totals.credits),
        check("credit_sum", currency, &sum("TtlCdtNtries/Sum"), totals.credit_sum),
        check("debit_count", None, &count("TtlDbtNtries/NbOfNtries"), totals.debits),
        check("debit_sum", currency, &sum("TtlDbtNtries/Sum"), totals.debit_sum),
    ];
    checks.into_iter().flatten().collect()
}
