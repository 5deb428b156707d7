//! Turns the records of a mapped CSV into rows.

use std::sync::Arc;

use payops_core::currency::Currency;
use payops_core::money::AmountError;

use super::{Field, ProofRow, Rules, Unit};
use crate::amount::{parse_fee, parse_minor, parse_money};
use crate::control::{ControlTally, Stated, Statement};
use crate::fast::{AmountForm, Columns, KindWords, Plan};
use crate::fault::Fault;
use crate::options::ReadOptions;
use crate::records::Record;
use crate::report::{ControlReport, FileReport};
use crate::row::{Kind, RejectReason, Row, Status};
use crate::rows::{Binding, Currencies, RowReader};
use crate::tally::{Fee, Tally};
use crate::time::DayTest;

/// Reads rows by a mapping.
#[derive(Debug)]
pub(crate) struct MappedReader<'a> {
    rules: &'a Rules,
    binding: &'a Binding,
    longest_id: usize,
    day: Option<DayTest>,
    last_kind: usize,
    last_status: usize,
    currencies: Currencies,
    tally: Tally,
    control: ControlTally,
}

impl Rules {
    /// The columns to look for, in the order of [`Field`].
    pub(crate) fn wanted(&self) -> Vec<(&str, bool)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.needed)).collect()
    }
}

impl<'a> MappedReader<'a> {
    pub(crate) fn new(
        rules: &'a Arc<Rules>,
        binding: &'a Binding,
        options: &ReadOptions,
    ) -> Result<Self, payops_core::time::NoSuchDay> {
        let window = options.window.as_ref().filter(|_| binding.has(Field::OccurredAt as usize));
        let day =
            window.map(|window| DayTest::new(rules.time.clone(), rules.zone.clone(), window)).transpose()?;
        Ok(Self {
            rules,
            binding,
            longest_id: options.limits.max_id_bytes,
            day,
            last_kind: 0,
            last_status: 0,
            currencies: Currencies::new(rules.exponents),
            tally: Tally::new(rules.exponents, options.limits.max_payout_groups),
            control: ControlTally::default(),
        })
    }

    /// How the fast path reads what this reader reads.
    pub(crate) fn plan(&self) -> Plan<'a> {
        let rules = self.rules;
        let column = |field: Field| self.binding.column(field as usize);
        Plan {
            width: self.binding.width(),
            columns: Columns {
                channel_trade_no: column(Field::ChannelTradeNo),
                charge_id: column(Field::ChargeId),
                payment_intent_id: column(Field::PaymentIntentId),
                row_id: column(Field::RowId),
                refund_no: column(Field::RefundNo),
                payout_id: column(Field::PayoutId),
                merchant_id: column(Field::MerchantId),
                occurred_at: column(Field::OccurredAt),
                amount: column(Field::Amount),
                currency: column(Field::Currency),
                fee: column(Field::Fee),
                net: column(Field::Net),
                kind: column(Field::Kind),
                status: column(Field::Status),
            },
            currency: rules.currency,
            exponents: rules.exponents,
            form: AmountForm { minor: rules.unit == Unit::Minor, decimal_mark: rules.decimal_mark },
            refunds_are_positive: rules.refunds_are_positive,
            fees_are_negative: rules.fees_are_negative,
            empty_fee: None,
            net_is_needed: false,
            kinds: KindWords::Mapped(&rules.kinds),
            kind: rules.kind,
            statuses: self.binding.has(Field::Status as usize).then_some(&rules.statuses),
            day: self.day.clone(),
            longest_id: self.longest_id,
            totals_marker: rules.proof.as_ref().map(|proof| proof.marker.as_bytes()),
        }
    }

    fn currency(&mut self, record: &Record<'_>) -> Result<(Currency, u8), Fault> {
        const FIELD: usize = Field::Currency as usize;
        let text = self.binding.get(record, FIELD);
        match (text.is_empty(), self.rules.currency) {
            (false, _) => self.currencies.read(text).ok_or_else(|| {
                let what = "is not a currency code of three letters";
                Fault::value(RejectReason::BadCurrency, self.binding.name(FIELD), what, text)
            }),
            (true, Some(constant)) => Ok((constant, self.currencies.exponent(constant))),
            (true, None) => Err(Fault::empty(self.binding.name(FIELD))),
        }
    }

    fn parse_money(&self, text: &[u8], exponent: u8) -> Result<i64, AmountError> {
        match self.rules.unit {
            Unit::Minor => parse_minor(text),
            Unit::Major => parse_money(text, exponent, self.rules.decimal_mark),
        }
    }

    fn money(&self, record: &Record<'_>, field: Field, exponent: u8) -> Result<i64, Fault> {
        let text = self.binding.get(record, field as usize);
        self.parse_money(text, exponent)
            .map_err(|error| Fault::amount(self.binding.name(field as usize), error, text))
    }

    fn kind(&mut self, record: &Record<'_>) -> Result<Kind, Fault> {
        const FIELD: usize = Field::Kind as usize;
        let word = self.binding.get(record, FIELD);
        if word.is_empty() {
            return self.rules.kind.ok_or_else(|| Fault::empty(self.binding.name(FIELD)));
        }
        self.rules.kinds.meaning(word, &mut self.last_kind).ok_or_else(|| {
            let what = "no word of the mapping's [kind] table";
            Fault::value(RejectReason::UnknownKind, self.binding.name(FIELD), what, word)
        })
    }

    fn status<'r>(&mut self, record: &Record<'r>, kind: Kind) -> Result<(Option<Status>, &'r [u8]), Fault> {
        const FIELD: usize = Field::Status as usize;
        if !self.binding.has(FIELD) {
            return Ok((None, &[]));
        }
        let word = self.binding.get(record, FIELD);
        match self.rules.statuses.meaning(word, &mut self.last_status) {
            Some(status) => Ok((Some(status), word)),
            None if word.is_empty() && !kind.is_booked_by_platform() => Ok((None, word)),
            None => {
                let what = "no word of the mapping's [status] table";
                Err(Fault::value(RejectReason::UnknownStatus, self.binding.name(FIELD), what, word))
            }
        }
    }

    fn fee(&self, record: &Record<'_>, exponent: u8) -> Result<Option<Fee>, Fault> {
        let text = self.binding.get(record, Field::Fee as usize);
        if text.is_empty() {
            return Ok(None);
        }
        let fee = match self.rules.unit {
            Unit::Minor => parse_minor(text).map(|minor| Fee { minor, fine: None }),
            Unit::Major => parse_fee(text, exponent, self.rules.decimal_mark, self.rules.fee_decimals),
        };
        let fee = fee.and_then(|fee| {
            if !self.rules.fees_are_negative {
                return Ok(fee);
            }
            let minor = fee.minor.checked_neg().ok_or(AmountError::OutOfRange)?;
            Ok(Fee { minor, fine: fee.fine.map(|fine| -fine) })
        });
        fee.map(Some).map_err(|error| Fault::amount(self.binding.name(Field::Fee as usize), error, text))
    }

    fn net(&self, record: &Record<'_>, kind: Kind, exponent: u8) -> Result<Option<i64>, Fault> {
        if self.binding.get(record, Field::Net as usize).is_empty() {
            return Ok(None);
        }
        let net = self.money(record, Field::Net, exponent)?;
        self.signed(record, Field::Net, kind, net).map(Some)
    }

    /// Turns an amount written as positive into money that goes out, where the file writes it so.
    fn signed(&self, record: &Record<'_>, field: Field, kind: Kind, amount: i64) -> Result<i64, Fault> {
        if !self.rules.refunds_are_positive || !matches!(kind, Kind::Refund | Kind::Dispute) || amount <= 0 {
            return Ok(amount);
        }
        amount.checked_neg().ok_or_else(|| {
            let text = self.binding.get(record, field as usize);
            Fault::amount(self.binding.name(field as usize), AmountError::OutOfRange, text)
        })
    }

    /// The trade number. A payment that moved no money may never have reached the channel: its key is then
    /// its own number, which no channel's row carries.
    fn trade_no<'r>(
        &self,
        record: &Record<'r>,
        kind: Kind,
        status: Option<Status>,
        row_id: &'r [u8],
    ) -> Result<&'r [u8], Fault> {
        let trade_no = self.binding.id(record, Field::ChannelTradeNo as usize, self.longest_id)?;
        if !trade_no.is_empty() || !kind.is_booked_by_platform() {
            return Ok(trade_no);
        }
        match status {
            Some(status) if !status.money_moved() && !row_id.is_empty() => Ok(row_id),
            _ => Err(Fault::empty(self.binding.name(Field::ChannelTradeNo as usize))),
        }
    }

    fn in_window(&self, text: &[u8]) -> Result<bool, Fault> {
        let Some(day) = &self.day else { return Ok(true) };
        let column = self.binding.name(Field::OccurredAt as usize);
        day.contains(text).ok_or_else(|| {
            Fault::value(RejectReason::BadTime, column, "is not a time that the mapping describes", text)
        })
    }

    /// Notes a line of totals; true when the record is one.
    fn take_proof(&mut self, record: &Record<'_>, proof: &ProofRow) -> bool {
        if record.field(0).trim_ascii() != proof.marker.as_bytes() {
            return false;
        }
        let mut stated = Stated::default();
        if let Some(count) = proof.count {
            stated.count = Statement::from_option(parse_minor(record.field(count)).ok());
        }
        if let Some(amount) = proof.amount {
            let currency = match proof.currency {
                Some(field) => self.currencies.read(record.field(field).trim_ascii()),
                None => self.rules.currency.map(|currency| (currency, self.currencies.exponent(currency))),
            };
            let sum = currency.and_then(|(currency, exponent)| {
                let sum = self.parse_money(record.field(amount), exponent).ok()?;
                Some(vec![(currency, i128::from(sum))])
            });
            stated.sums = Statement::from_option(sum);
        }
        self.control.state(stated);
        true
    }
}

impl RowReader for MappedReader<'_> {
    #[inline]
    fn read<'r>(&mut self, record: &Record<'r>) -> Result<Option<Row<'r>>, Fault>
    where
        Self: 'r,
    {
        if let Some(proof) = &self.rules.proof {
            if self.take_proof(record, proof) {
                return Ok(None);
            }
            self.control.count_row();
        }
        self.binding.check_width(record)?;
        let (currency, exponent) = self.currency(record)?;
        let written = self.money(record, Field::Amount, exponent)?;
        if self.rules.proof.is_some() {
            self.control.add(currency, written);
        }
        let kind = self.kind(record)?;
        let amount = self.signed(record, Field::Amount, kind, written)?;
        let (status, raw_status) = self.status(record, kind)?;
        let fee = self.fee(record, exponent)?;
        let net = self.net(record, kind, exponent)?;
        let id = |field: Field| self.binding.id(record, field as usize, self.longest_id);
        let refund_no = if kind == Kind::Refund { id(Field::RefundNo)? } else { &[] };
        let row_id = if refund_no.is_empty() { id(Field::RowId)? } else { refund_no };
        let occurred_at = self.binding.get(record, Field::OccurredAt as usize);
        let channel_trade_no = self.trade_no(record, kind, status, row_id)?;
        let payout_id = match id(Field::PayoutId)? {
            [] if kind == Kind::Payout => channel_trade_no,
            payout_id => payout_id,
        };
        let row = Row {
            kind,
            channel_trade_no,
            charge_id: id(Field::ChargeId)?,
            payment_intent_id: id(Field::PaymentIntentId)?,
            row_id,
            amount,
            currency,
            status,
            raw_status,
            fee: fee.map(|fee| fee.minor),
            net,
            payout_id,
            merchant_id: id(Field::MerchantId)?,
            occurred_at,
            in_window: self.in_window(occurred_at)?,
        };
        self.tally.add(record.position, kind as u16, &row, fee);
        Ok(Some(row))
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn into_tally(self) -> Tally {
        self.tally
    }

    fn count_written(&mut self, currency: Currency, amount: i64) {
        self.control.count_row();
        self.control.add(currency, amount);
    }

    fn take_control(&mut self) -> Option<ControlTally> {
        self.rules.proof.as_ref().map(|_| std::mem::take(&mut self.control))
    }

    fn put_control(&mut self, parts: impl Iterator<Item = ControlTally>) {
        parts.for_each(|part| self.control.append(part));
    }

    fn finish(self, report: &mut FileReport) {
        self.tally.report(
            |number| {
                let kind = Kind::ALL.get(usize::from(number)).copied().unwrap_or(Kind::Adjustment);
                (kind.as_str(), kind)
            },
            report,
        );
        report.control = match self.rules.proof {
            None => ControlReport::not_provable(),
            Some(_) => self.control.report(),
        };
    }
}
