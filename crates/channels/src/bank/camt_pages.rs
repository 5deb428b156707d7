//! Pages of one camt.053 statement, which is read as one: it opens as its first page does, closes as its last one, and has the
//! entries of all.
//!
//! `StmtPgntn` numbers the pages of a statement. `MsgPgntn` numbers those of the message, which may cut a statement in two and
//! may as well have whole ones on each page: it counts where a page lacks one of the statement's own balances.

use super::build::{Builder, Draft};
use super::camt053::summary;
use super::proof::{Totals, booked_sum, check};
use super::xml::Node;
use super::{Balance, PAGES};
use crate::control::Statement;
use crate::report::ControlCheck;

/// What is said of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageNumber {
    number: u64,
    is_last: bool,
    /// A page of the statement, not of the message.
    of_statement: bool,
}

impl PageNumber {
    /// Reads `StmtPgntn` or `MsgPgntn`; `None` where the page has no number.
    pub(super) fn read(node: &Node, of_statement: bool) -> Option<Self> {
        let number = node.text_at("PgNb").parse().ok()?;
        Some(Self { number, is_last: matches!(node.text_at("LastPgInd"), "true" | "1"), of_statement })
    }
}

/// A statement, or a page of one.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) draft: Draft,
    pub(super) page: Option<PageNumber>,
    /// What the account held between pages (ITBD).
    pub(super) interim: Vec<Statement<Balance>>,
    pub(super) summary: Option<Node>,
}

impl Sheet {
    fn has_both_balances(&self) -> bool {
        is_stated(&self.draft.opening) && is_stated(&self.draft.closing)
    }
}

/// The statements of which more pages may come.
#[derive(Debug, Default)]
pub(super) struct Pages {
    open: Vec<Paged>,
}

impl Pages {
    /// Takes a page to those of its statement, and delivers that when it is whole.
    pub(super) fn take(&mut self, sheet: Sheet, builder: &mut Builder) {
        let Some(page) = sheet.page else {
            deliver(sheet, builder);
            return;
        };
        if let Some(index) = self.open.iter().position(|paged| paged.goes_on_with(&sheet, page)) {
            self.open[index].add(sheet, page);
            if page.is_last {
                builder.statement(self.open.remove(index).finish());
            }
            return;
        }
        let is_whole = page.number == 1 && page.is_last;
        if is_whole || (!page.of_statement && sheet.has_both_balances()) {
            deliver(sheet, builder);
            return;
        }
        let paged = Paged::begin(sheet, page);
        if page.is_last {
            builder.statement(paged.finish());
        } else {
            self.open.push(paged);
        }
    }

    /// Nothing comes any more.
    pub(super) fn finish(self, builder: &mut Builder) {
        for paged in self.open {
            builder.statement(paged.finish());
        }
    }
}

fn deliver(sheet: Sheet, builder: &mut Builder) {
    let mut draft = sheet.draft;
    if let Some(node) = sheet.summary {
        draft.checks.extend(summary(&node, draft.totals, draft.currency));
    }
    builder.statement(draft);
}

/// A statement as far as its pages are read.
#[derive(Debug)]
struct Paged {
    draft: Draft,
    /// How many pages were read, and what the last of them said of itself.
    pages: u64,
    page: PageNumber,
    /// The totals that pages state, each with those of its own entries.
    summaries: Vec<(Node, Totals)>,
    /// What pages state of themselves.
    checks: Vec<ControlCheck>,
}

impl Paged {
    fn begin(sheet: Sheet, page: PageNumber) -> Self {
        let Sheet { draft, interim, summary, .. } = sheet;
        let summaries = summary.map(|node| (node, draft.totals)).into_iter().collect();
        let mut paged = Self { draft, pages: 1, page, summaries, checks: Vec::new() };
        let before = opening_amount(&paged.draft);
        paged.check_interim(&interim, before);
        paged
    }

    /// Whether a page is the next one of this statement.
    fn goes_on_with(&self, sheet: &Sheet, page: PageNumber) -> bool {
        let (ours, theirs) = (&self.draft, &sheet.draft);
        let same = match (ours.number, theirs.number) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => !ours.id.is_empty() && ours.id == theirs.id,
        };
        let one_currency = match (ours.currency, theirs.currency) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        same && one_currency
            && ours.account == theirs.account
            && !self.page.is_last
            && self.page.number.checked_add(1) == Some(page.number)
    }

    fn add(&mut self, sheet: Sheet, page: PageNumber) {
        let Sheet { draft, interim, summary, .. } = sheet;
        (self.pages, self.page) = (self.pages + 1, page);
        self.summaries.extend(summary.map(|node| (node, draft.totals)));
        let before = self.running();
        self.check_balances(&draft, before);
        if is_stated(&draft.closing) {
            self.draft.closing = draft.closing;
        }
        self.draft.currency = self.draft.currency.or(draft.currency);
        self.draft.totals.add_all(draft.totals);
        self.draft.entries.extend(draft.entries);
        self.check_interim(&interim, before);
    }

    /// What the account holds behind the entries that were read; `None` where nobody says what it held before them.
    fn running(&self) -> Option<i128> {
        Some(opening_amount(&self.draft)? + booked_sum(&self.draft.entries))
    }

    /// The balances of the next page. Where it repeats those of the statement they say nothing new; others are its own.
    fn check_balances(&mut self, next: &Draft, before: Option<i128>) {
        let Some(before) = before else { return };
        let other = |stated: &Statement<Balance>, than: &Statement<Balance>| match (stated, than) {
            (Statement::Made(stated), Statement::Made(than)) => stated.amount != than.amount,
            _ => false,
        };
        if other(&next.opening, &self.draft.opening) {
            self.check("page_opening", &amount_of(&next.opening), before);
        }
        if other(&self.draft.closing, &next.closing) {
            self.check("page_balance", &amount_of(&self.draft.closing), before);
        }
    }

    /// What is stated between pages is what the account held before the page, or behind it.
    fn check_interim(&mut self, interim: &[Statement<Balance>], before: Option<i128>) {
        let (Some(before), Some(after)) = (before, self.running()) else { return };
        for balance in interim {
            let is_before = matches!(balance, Statement::Made(stated) if i128::from(stated.amount) == before);
            self.check("page_balance", &amount_of(balance), if is_before { before } else { after });
        }
    }

    fn check(&mut self, name: &str, stated: &Statement<i128>, found: i128) {
        self.checks.extend(check(name, self.draft.currency, stated, found));
    }

    fn finish(self) -> Draft {
        let Self { mut draft, pages, page, summaries, mut checks } = self;
        let last = i128::from(page.number) + i128::from(!page.is_last);
        checks.extend(check(PAGES, None, &Statement::Made(last), pages.into()));
        // Without both balances nothing is proven by pages that fit each other.
        let has_both = is_stated(&draft.opening) && is_stated(&draft.closing);
        checks.retain(|check| has_both || !check.holds());
        draft.checks.extend(checks);
        for (node, of_page) in summaries {
            // Some banks sum each page up, others the statement on each page.
            let page_checks = summary(&node, of_page, draft.currency);
            let fits = page_checks.iter().all(ControlCheck::holds);
            let stated = if fits { page_checks } else { summary(&node, draft.totals, draft.currency) };
            draft.checks.extend(stated);
        }
        draft
    }
}

fn opening_amount(draft: &Draft) -> Option<i128> {
    match amount_of(&draft.opening) {
        Statement::Made(amount) => Some(amount),
        Statement::NotMade | Statement::Unreadable => None,
    }
}

fn amount_of(balance: &Statement<Balance>) -> Statement<i128> {
    match balance {
        Statement::NotMade => Statement::NotMade,
        Statement::Unreadable => Statement::Unreadable,
        Statement::Made(balance) => Statement::Made(balance.amount.into()),
    }
}

fn is_stated(balance: &Statement<Balance>) -> bool {
    !matches!(balance, Statement::NotMade)
}
