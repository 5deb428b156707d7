//! Stripe's itemised reports: `balance_change_from_activity.itemized.*` and
//! `payout_reconciliation.itemized.*`, any version, any order of columns.
//!
//! Amounts are major units. Gross and net are signed as the balance moves; a fee is positive when charged, and
//! net = gross - fee. In categories such as `fee` the cost sits in gross and the fee is 0. The file has no
//! totals of its own, so its completeness is not provable from it alone.

use payops_core::currency::{Currency, Exponents};
use payops_core::time::{NoSuchDay, Zone};

use super::Category;
use crate::amount::{parse_fee, parse_money};
use crate::fast::{AmountForm, Columns, KindWords, Plan};
use crate::fault::Fault;
use crate::header::ABSENT;
use crate::options::ReadOptions;
use crate::records::Record;
use crate::report::FileReport;
use crate::row::{Kind, RejectReason, Row};
use crate::rows::{Binding, Currencies, RowReader};
use crate::tally::{FEE_SCALE, Fee, Tally};
use crate::time::{DayTest, TimeFormat};

const ROW_ID: usize = 0;
const CURRENCY: usize = 1;
const GROSS: usize = 2;
const FEE: usize = 3;
const NET: usize = 4;
const CATEGORY: usize = 5;
const SOURCE_ID: usize = 6;
const CHARGE_ID: usize = 7;
const PAYMENT_INTENT_ID: usize = 8;
const PAYOUT_ID: usize = 9;
const CREATED_UTC: usize = 10;
const CREATED: usize = 11;

/// The columns to look for, and whether a report must have them. In the order of the constants above.
pub(crate) const WANTED: [(&str, bool); 12] = [
    ("balance_transaction_id", true),
    ("currency", true),
    ("gross", true),
    ("fee", true),
    ("net", true),
    ("reporting_category", true),
    ("source_id", true),
    ("charge_id", false),
    ("payment_intent_id", false),
    ("automatic_payout_id", false),
    ("created_utc", false),
    ("created", false),
];

/// The column that tells when a row happened.
fn created(binding: &Binding) -> usize {
    if binding.has(CREATED_UTC) { CREATED_UTC } else { CREATED }
}

/// The zone of the times in that column.
pub(crate) fn zone(binding: &Binding, options: &ReadOptions) -> Zone {
    if created(binding) == CREATED_UTC { Zone::utc() } else { options.printed_zone.clone() }
}

/// Reads the rows of an itemised report.
#[derive(Debug)]
pub(crate) struct ItemizedReader<'a> {
    binding: &'a Binding,
    longest_id: usize,
    /// The column that tells when a row happened.
    created: usize,
    day: Option<DayTest>,
    currencies: Currencies,
    tally: Tally,
}

impl<'a> ItemizedReader<'a> {
    pub(crate) fn new(binding: &'a Binding, options: &ReadOptions) -> Result<Self, NoSuchDay> {
        let created = created(binding);
        let zone = zone(binding, options);
        let window = options.window.as_ref().filter(|_| binding.has(created));
        Ok(Self {
            binding,
            longest_id: options.limits.max_id_bytes,
            created,
            day: window.map(|window| DayTest::new(TimeFormat::Iso8601, zone, window)).transpose()?,
            currencies: Currencies::new(Exponents::Stripe),
            tally: Tally::new(Exponents::Stripe, options.limits.max_payout_groups),
        })
    }

    /// How the fast path reads what this reader reads.
    pub(crate) fn plan(&self) -> Plan<'a> {
        let column = |field: usize| self.binding.column(field);
        Plan {
            width: self.binding.width(),
            columns: Columns {
                channel_trade_no: column(SOURCE_ID),
                charge_id: column(CHARGE_ID),
                payment_intent_id: column(PAYMENT_INTENT_ID),
                row_id: column(ROW_ID),
                refund_no: ABSENT,
                payout_id: column(PAYOUT_ID),
                merchant_id: ABSENT,
                occurred_at: column(self.created),
                amount: column(GROSS),
                currency: column(CURRENCY),
                fee: column(FEE),
                net: column(NET),
                kind: column(CATEGORY),
                status: ABSENT,
            },
            currency: None,
            exponents: Exponents::Stripe,
            form: AmountForm { minor: false, decimal_mark: b'.' },
            refunds_are_positive: false,
            fees_are_negative: false,
            empty_fee: Some(0),
            net_is_needed: true,
            kinds: KindWords::Stripe,
            kind: None,
            statuses: None,
            day: self.day.clone(),
            longest_id: self.longest_id,
            totals_marker: None,
        }
    }

    fn currency(&mut self, record: &Record<'_>) -> Result<(Currency, u8), Fault> {
        let text = self.binding.get(record, CURRENCY);
        self.currencies.read(text).ok_or_else(|| {
            let what = "is not a currency code of three letters";
            Fault::value(RejectReason::BadCurrency, self.binding.name(CURRENCY), what, text)
        })
    }

    fn money(&self, record: &Record<'_>, field: usize, exponent: u8) -> Result<i64, Fault> {
        let text = self.binding.get(record, field);
        parse_money(text, exponent, b'.')
            .map_err(|error| Fault::amount(self.binding.name(field), error, text))
    }

    fn fee(&self, record: &Record<'_>, exponent: u8) -> Result<Fee, Fault> {
        let text = self.binding.get(record, FEE);
        if text.is_empty() {
            return Ok(Fee { minor: 0, fine: None });
        }
        parse_fee(text, exponent, b'.', FEE_SCALE)
            .map_err(|error| Fault::amount(self.binding.name(FEE), error, text))
    }

    fn category(&self, record: &Record<'_>) -> Result<Category, Fault> {
        let word = self.binding.get(record, CATEGORY);
        Category::parse(word).ok_or_else(|| {
            let what = "is no known reporting category";
            Fault::value(RejectReason::UnknownKind, self.binding.name(CATEGORY), what, word)
        })
    }

    fn id<'r>(&self, record: &Record<'r>, field: usize) -> Result<&'r [u8], Fault> {
        self.binding.id(record, field, self.longest_id)
    }

    fn in_window(&self, text: &[u8]) -> Result<bool, Fault> {
        let Some(day) = &self.day else { return Ok(true) };
        let column = self.binding.name(self.created);
        day.contains(text).ok_or_else(|| Fault::value(RejectReason::BadTime, column, "is not a time", text))
    }

    /// The match key: the source's id. A charge may be named by its charge or its payment intent instead; a
    /// refund or a dispute may not, since those name the payment it belongs to. What takes back a part of a charge has
    /// the charge's key.
    fn trade_no<'r>(
        &self,
        category: Category,
        source_id: &'r [u8],
        [charge_id, payment_intent_id]: [&'r [u8]; 2],
    ) -> Result<&'r [u8], Fault> {
        let kind = category.kind();
        let found = match kind {
            Kind::Payment if category.takes_back_a_part() => [charge_id, source_id, payment_intent_id],
            Kind::Payment => [source_id, charge_id, payment_intent_id],
            _ => [source_id; 3],
        };
        let found = found.into_iter().find(|id| !id.is_empty());
        match found {
            Some(id) => Ok(id),
            None if kind.is_booked_by_platform() => Err(Fault::empty(self.binding.name(SOURCE_ID))),
            None => Ok(&[]),
        }
    }
}

impl RowReader for ItemizedReader<'_> {
    #[inline]
    fn read<'r>(&mut self, record: &Record<'r>) -> Result<Option<Row<'r>>, Fault>
    where
        Self: 'r,
    {
        self.binding.check_width(record)?;
        let (currency, exponent) = self.currency(record)?;
        let amount = self.money(record, GROSS, exponent)?;
        let fee = self.fee(record, exponent)?;
        let net = self.money(record, NET, exponent)?;
        let category = self.category(record)?;
        let kind = category.kind();
        let source_id = self.id(record, SOURCE_ID)?;
        let charge_id = self.id(record, CHARGE_ID)?;
        let payment_intent_id = self.id(record, PAYMENT_INTENT_ID)?;
        let payout_id = self.id(record, PAYOUT_ID)?;
        let occurred_at = self.binding.get(record, self.created);
        let row = Row {
            kind,
            channel_trade_no: self.trade_no(category, source_id, [charge_id, payment_intent_id])?,
            charge_id,
            payment_intent_id,
            row_id: self.id(record, ROW_ID)?,
            amount,
            currency,
            status: None,
            raw_status: &[],
            fee: Some(fee.minor),
            net: Some(net),
            payout_id: if payout_id.is_empty() && kind == Kind::Payout { source_id } else { payout_id },
            merchant_id: &[],
            occurred_at,
            in_window: self.in_window(occurred_at)?,
        };
        self.tally.add(record.position, category.number(), &row, Some(fee));
        Ok(Some(row))
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn into_tally(self) -> Tally {
        self.tally
    }

    fn finish(self, report: &mut FileReport) {
        self.tally.report(
            |number| {
                let category = Category::of_number(number);
                (category.as_str(), category.kind())
            },
            report,
        );
    }
}
