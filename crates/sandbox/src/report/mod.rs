//! The content of reports: CSV, written line by line, never held whole.

mod kind;
mod text;

use std::io::{self, Write};

use payops_core::currency::{Currency, Exponents};
use payops_core::money::format_major;
use serde::{Deserialize, Serialize};

use crate::days::{
    Balance, Channel, ChannelRow, PAYOUT_SECONDS, PayoutRow, SECONDS_A_DAY, World, balance, channel_rows,
    date_of, payout_interval,
};
pub(crate) use kind::{Family, Field, Print, ReportType};
use text::{push_csv, push_time};

/// One report over an interval. Cheap to clone; holds no rows.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) world: World,
    pub(crate) channel: Channel,
    pub(crate) kind: ReportType,
    /// Unix seconds, inclusive.
    pub(crate) start: i64,
    /// Unix seconds, exclusive.
    pub(crate) end: i64,
    /// Names that the report type has.
    pub(crate) columns: Vec<String>,
    /// In which the columns without `_utc` print their times.
    pub(crate) zone: jiff::tz::TimeZone,
    pub(crate) currency: Option<Currency>,
    pub(crate) category: Option<String>,
    pub(crate) decimal_separator: char,
    /// How the report itself is wrong.
    pub(crate) flaw: Option<Flaw>,
}

/// What a fault makes wrong in a balance summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Flaw {
    /// The ending balance of the first currency is one minor unit too high.
    Unbalanced,
    /// There is a header and nothing else.
    Empty,
}

/// What a fault makes wrong in one download of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Alteration {
    /// The digits of the first row's amounts become letters.
    pub(crate) corrupt_row: bool,
    /// Only so many rows are written.
    pub(crate) keep_rows: Option<u64>,
    /// The balance summary does not tie.
    pub(crate) unbalanced: bool,
}

enum Line {
    Movement(Box<ChannelRow>),
    Payout(PayoutRow),
    Summary(SummaryLine),
}

struct SummaryLine {
    category: &'static str,
    description: String,
    amount: i64,
    currency: Currency,
}

impl Line {
    fn currency(&self) -> Currency {
        match self {
            Self::Movement(row) => row.currency,
            Self::Payout(payout) => payout.currency,
            Self::Summary(line) => line.currency,
        }
    }

    fn category(&self) -> &'static str {
        match self {
            Self::Movement(row) => row.kind.reporting_category(),
            Self::Payout(_) => "payout",
            Self::Summary(line) => line.category,
        }
    }
}

impl Report {
    /// The report that a plain run of `kind` gives.
    pub(crate) fn plain(world: &World, channel: Channel, kind: ReportType, (start, end): (i64, i64)) -> Self {
        Self {
            world: world.clone(),
            channel,
            kind,
            start,
            end,
            columns: kind.default_columns(),
            zone: jiff::tz::TimeZone::UTC,
            currency: None,
            category: None,
            decimal_separator: '.',
            flaw: None,
        }
    }

    /// Writes the report and returns how many rows it has, the header not counted.
    pub(crate) fn write(&self, out: &mut dyn Write, alteration: Alteration) -> io::Result<u64> {
        let fields: Vec<Field> =
            self.columns.iter().map(|name| self.kind.field(name).unwrap_or(Field::Blank)).collect();
        let mut line = Vec::with_capacity(512);
        for (number, name) in self.columns.iter().enumerate() {
            if number > 0 {
                line.push(b',');
            }
            push_csv(&mut line, name);
        }
        line.push(b'\n');
        out.write_all(&line)?;
        let mut rows = 0;
        let most = alteration.keep_rows.unwrap_or(u64::MAX);
        for content in self.lines(alteration.unbalanced) {
            if rows >= most {
                break;
            }
            line.clear();
            self.push_line(&mut line, &content, &fields, alteration.corrupt_row && rows == 0);
            out.write_all(&line)?;
            rows += 1;
        }
        Ok(rows)
    }

    fn push_line(&self, out: &mut Vec<u8>, line: &Line, fields: &[Field], corrupt: bool) {
        for (number, &field) in fields.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            let before = out.len();
            match line {
                Line::Movement(row) => self.movement_field(out, row, field),
                Line::Payout(payout) => self.payout_field(out, payout, field),
                Line::Summary(summary) => self.summary_field(out, summary, field),
            }
            if corrupt && matches!(field, Field::Gross | Field::Net) {
                out[before..].iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = b'x');
            }
        }
        out.push(b'\n');
    }

    fn lines(&self, unbalanced: bool) -> Box<dyn Iterator<Item = Line> + '_> {
        if self.flaw == Some(Flaw::Empty) {
            return Box::new(std::iter::empty());
        }
        let movement = |row| Line::Movement(Box::new(row));
        let lines: Box<dyn Iterator<Item = Line>> = match self.kind.family {
            Family::Activity => {
                Box::new(channel_rows(&self.world, self.channel, self.start, self.end).map(movement))
            }
            Family::PayoutReconciliation => Box::new(self.paid_out_rows().map(movement)),
            Family::Payouts => {
                Box::new(self.world.payouts(self.channel, self.start, self.end).into_iter().map(Line::Payout))
            }
            Family::BalanceSummary => Box::new(self.summary(unbalanced).into_iter().map(Line::Summary)),
        };
        Box::new(lines.filter(|line| {
            self.currency.is_none_or(|only| line.currency() == only)
                && self.category.as_deref().is_none_or(|only| line.category() == only)
        }))
    }

    /// The rows that the payouts of the interval carry, payout by payout.
    fn paid_out_rows(&self) -> impl Iterator<Item = ChannelRow> + '_ {
        let days = self.start.div_euclid(SECONDS_A_DAY)..=(self.end - 1).div_euclid(SECONDS_A_DAY);
        days.filter(|day| (self.start..self.end).contains(&(day * SECONDS_A_DAY + PAYOUT_SECONDS))).flat_map(
            |day| {
                let (from, to) = payout_interval(day);
                channel_rows(&self.world, self.channel, from, to)
            },
        )
    }

    fn summary(&self, unbalanced: bool) -> Vec<SummaryLine> {
        let mut balances = balance(&self.world, self.channel, self.start, self.end);
        if (unbalanced || self.flaw == Some(Flaw::Unbalanced))
            && let Some(mut first) = balances.first_entry()
        {
            first.get_mut().ending += 1;
        }
        balances.into_iter().flat_map(|(currency, balance)| self.summary_of(currency, balance)).collect()
    }

    fn summary_of(&self, currency: Currency, balance: Balance) -> [SummaryLine; 4] {
        let date = |seconds: i64| date_of(seconds.div_euclid(SECONDS_A_DAY));
        let line = |category, description, amount| SummaryLine { category, description, amount, currency };
        [
            line("starting_balance", format!("Starting balance ({})", date(self.start)), balance.opening),
            line("activity", "Activity".to_owned(), balance.activity),
            line("payouts", "Total payouts".to_owned(), balance.payouts),
            line("ending_balance", format!("Ending balance ({})", date(self.end)), balance.ending),
        ]
    }

    fn movement_field(&self, out: &mut Vec<u8>, row: &ChannelRow, field: Field) {
        let is_fee = row.source_id.is_empty();
        match field {
            Field::BalanceTransactionId => push_csv(out, &row.balance_transaction_id),
            Field::Created(print) => self.push_time(out, row.created.timestamp(), print),
            Field::AvailableOn(print) => self.push_time(out, row.available_on.timestamp(), print),
            Field::Currency => push_currency(out, row.currency),
            Field::Gross => self.push_amount(out, row.gross, row.currency),
            Field::Fee => self.push_amount(out, row.fee, row.currency),
            Field::Net => self.push_amount(out, row.net, row.currency),
            Field::Category => push_csv(out, row.kind.reporting_category()),
            Field::SourceId => push_csv(out, &row.source_id),
            Field::Description => push_csv(out, &row.description),
            Field::CustomerFacingAmount if !is_fee => self.push_amount(out, row.gross, row.currency),
            Field::CustomerFacingCurrency if !is_fee => push_currency(out, row.currency),
            Field::PayoutId => push_csv(out, &row.automatic_payout_id),
            Field::PayoutEffectiveAt(print) => {
                self.push_time(out, row.automatic_payout_effective_at.timestamp(), print);
            }
            Field::ChargeId => push_csv(out, &row.charge_id),
            Field::PaymentIntentId => push_csv(out, &row.payment_intent_id),
            Field::ChargeCreated(print) => {
                if let Some(created) = row.charge_created {
                    self.push_time(out, created.timestamp(), print);
                }
            }
            Field::PaymentMethodType => push_csv(out, row.payment_method_type),
            Field::CardBrand => push_csv(out, row.card_brand),
            Field::PaymentNo => push_csv(out, &row.payment_no),
            Field::TraceIdStatus => push_csv(out, "pending"),
            Field::CustomerFacingAmount
            | Field::CustomerFacingCurrency
            | Field::PayoutStatus
            | Field::PayoutType
            | Field::Blank => {}
        }
    }

    fn payout_field(&self, out: &mut Vec<u8>, payout: &PayoutRow, field: Field) {
        match field {
            Field::PayoutId => push_csv(out, &payout.payout_id),
            Field::BalanceTransactionId => push_csv(out, &payout.balance_transaction_id),
            Field::PayoutEffectiveAt(print) => self.push_time(out, payout.effective_at.timestamp(), print),
            Field::Currency => push_currency(out, payout.currency),
            Field::Gross | Field::Net => self.push_amount(out, payout.gross, payout.currency),
            Field::Fee => self.push_amount(out, 0, payout.currency),
            Field::Category => push_csv(out, "payout"),
            Field::Description => push_csv(out, "STRIPE PAYOUT"),
            Field::PayoutStatus => push_csv(out, "paid"),
            Field::PayoutType => push_csv(out, "bank_account"),
            Field::TraceIdStatus => push_csv(out, "unsupported"),
            _ => {}
        }
    }

    fn summary_field(&self, out: &mut Vec<u8>, line: &SummaryLine, field: Field) {
        match field {
            Field::Category => push_csv(out, line.category),
            Field::Description => push_csv(out, &line.description),
            Field::Net => self.push_amount(out, line.amount, line.currency),
            Field::Currency => push_currency(out, line.currency),
            _ => {}
        }
    }

    fn push_amount(&self, out: &mut Vec<u8>, amount: i64, currency: Currency) {
        let text = format_major(amount, Exponents::Stripe.of(currency));
        if self.decimal_separator == '.' {
            out.extend_from_slice(text.as_bytes());
        } else {
            push_csv(out, &text.replace('.', &self.decimal_separator.to_string()));
        }
    }

    fn push_time(&self, out: &mut Vec<u8>, seconds: i64, print: Print) {
        let zone = match print {
            Print::Utc => None,
            Print::Zone => Some(&self.zone).filter(|zone| **zone != jiff::tz::TimeZone::UTC),
        };
        push_time(out, seconds, zone);
    }
}

/// Reports print currencies in lower case.
fn push_currency(out: &mut Vec<u8>, currency: Currency) {
    out.extend(currency.as_str().bytes().map(|letter| letter.to_ascii_lowercase()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(report: &Report, alteration: Alteration) -> String {
        let mut out = Vec::new();
        report.write(&mut out, alteration).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn activity() -> Report {
        let world = World::new(1, 40);
        let report_type = ReportType::parse("balance_change_from_activity.itemized.3").unwrap();
        Report::plain(&world, Channel::Stripe, report_type, (1_729_728_000, 1_729_814_400))
    }

    #[test]
    fn only_the_columns_asked_for_are_written_in_their_order() {
        let mut report = activity();
        report.columns = ["currency", "net", "payment_metadata[payment_no]"].map(str::to_owned).to_vec();
        let text = written(&report, Alteration::default());
        assert!(text.starts_with("currency,net,payment_metadata[payment_no]\n"), "{text}");
        assert!(text.lines().skip(1).all(|line| line.matches(',').count() == 2));
    }

    #[test]
    fn times_follow_the_zone_in_the_columns_without_utc() {
        let mut report = activity();
        report.columns = ["created_utc", "created"].map(str::to_owned).to_vec();
        report.zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
        let fee_line = written(&report, Alteration::default()).lines().last().unwrap().to_owned();
        assert_eq!(fee_line, "2024-10-24 12:00:00,2024-10-24 20:00:00");
    }

    #[test]
    fn filters_leave_out_the_rest() {
        let mut report = activity();
        report.columns = ["currency", "reporting_category"].map(str::to_owned).to_vec();
        report.currency = Some(Currency::EUR);
        report.category = Some("charge".to_owned());
        let text = written(&report, Alteration::default());
        assert!(text.lines().count() > 1 && text.lines().skip(1).all(|line| line == "eur,charge"), "{text}");
    }

    #[test]
    fn alterations_do_what_they_say() {
        let report = activity();
        let whole = written(&report, Alteration::default());
        let corrupt = written(&report, Alteration { corrupt_row: true, ..Alteration::default() });
        assert_eq!(whole.len(), corrupt.len());
        let different: Vec<_> = whole.lines().zip(corrupt.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(different.len(), 1);
        assert!(different[0].1.contains(",x"), "{}", different[0].1);
        let short = written(&report, Alteration { keep_rows: Some(3), ..Alteration::default() });
        assert!(whole.starts_with(&short) && short.lines().count() >= 4);
    }

    #[test]
    fn a_comma_as_decimal_mark_is_quoted() {
        let mut report = activity();
        report.columns = vec!["gross".to_owned()];
        report.currency = Some(Currency::USD);
        report.decimal_separator = ',';
        let text = written(&report, Alteration::default());
        assert!(
            text.lines().nth(1).is_some_and(|line| line.starts_with('"') && line.contains(',')),
            "{text}"
        );
    }
}
