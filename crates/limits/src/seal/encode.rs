//! Values as bytes that can be read in one way only.

use payops_core::time::Timestamp;
use uuid::Uuid;

use crate::store::seal::LogRecord;

/// Stands where the length of a value would, when there is none. No value is as long.
const MISSING: u64 = u64::MAX;

/// Values in a fixed order, each after its length in eight bytes. Numbers are big-endian.
#[derive(Debug)]
pub(crate) struct Parts(Vec<u8>);

impl Parts {
    /// Begins with the name and version of what follows, so that nothing is taken for something else.
    pub(crate) fn of(what: &str) -> Self {
        Self(Vec::with_capacity(512)).text(what)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn optional(mut self, text: Option<&str>) -> Self {
        if let Some(text) = text {
            return self.text(text);
        }
        self.0.extend_from_slice(&MISSING.to_be_bytes());
        self
    }

    pub(crate) fn uuid(self, id: Uuid) -> Self {
        self.bytes(id.as_bytes())
    }

    pub(crate) fn number(self, number: i64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    /// Seconds and nanoseconds: finer than either database keeps them, so no two instants look alike.
    pub(crate) fn time(self, at: Timestamp) -> Self {
        self.number(at.timestamp()).number(at.timestamp_subsec_nanos().into())
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Every column of a row of the usage log.
pub(crate) fn row(row: &LogRecord) -> Vec<u8> {
    Parts::of("payops usage log row 1")
        .uuid(row.merchant_id)
        .number(row.seq)
        .time(row.created_at)
        .text(&row.action_type)
        .optional(row.payment_no.as_deref())
        .optional(row.order_no.as_deref())
        .optional(row.release_no.as_deref())
        .number(row.amount)
        .text(&row.currency)
        .number(row.counted_amount)
        .number(row.daily_used_before)
        .number(row.daily_used_after)
        .number(row.monthly_used_before)
        .number(row.monthly_used_after)
        .number(row.pending_before)
        .number(row.pending_after)
        .number(row.daily_delta)
        .number(row.monthly_delta)
        .number(row.pending_delta)
        .number(row.success.into())
        .optional(row.failure_reason.as_deref())
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads bytes back. That it can, whatever the row, is the proof that no two rows have the same bytes.
    struct Reading<'b>(&'b [u8]);

    impl Reading<'_> {
        fn part(&mut self) -> Option<Vec<u8>> {
            let (length, rest) = self.0.split_first_chunk::<8>().unwrap();
            let length = u64::from_be_bytes(*length);
            let length = if length == MISSING { None } else { Some(usize::try_from(length).unwrap()) };
            let (part, rest) = rest.split_at(length.unwrap_or_default());
            self.0 = rest;
            length.map(|_| part.to_vec())
        }

        fn optional(&mut self) -> Option<String> {
            self.part().map(|part| String::from_utf8(part).unwrap())
        }

        fn text(&mut self) -> String {
            self.optional().unwrap()
        }

        fn number(&mut self) -> i64 {
            i64::from_be_bytes(self.part().unwrap().try_into().unwrap())
        }

        fn time(&mut self) -> Timestamp {
            Timestamp::from_timestamp(self.number(), self.number().try_into().unwrap()).unwrap()
        }

        fn row(&mut self) -> LogRecord {
            assert_eq!(self.text(), "payops usage log row 1");
            LogRecord {
                merchant_id: Uuid::from_slice(&self.part().unwrap()).unwrap(),
                seq: self.number(),
                created_at: self.time(),
                action_type: self.text(),
                payment_no: self.optional(),
                order_no: self.optional(),
                release_no: self.optional(),
                amount: self.number(),
                currency: self.text(),
                counted_amount: self.number(),
                daily_used_before: self.number(),
                daily_used_after: self.number(),
                monthly_used_before: self.number(),
                monthly_used_after: self.number(),
                pending_before: self.number(),
                pending_after: self.number(),
                daily_delta: self.number(),
                monthly_delta: self.number(),
                pending_delta: self.number(),
                success: self.number() == 1,
                failure_reason: self.optional(),
            }
        }
    }

    type Texts = (String, Option<String>, Option<String>, Option<String>, String, Option<String>);

    fn texts() -> impl Strategy<Value = Texts> {
        // Few letters and short texts: neighbours that would run into each other are likely.
        let text = || "[ab\u{0}]{0,3}";
        let maybe = || proptest::option::of(text());
        (text(), maybe(), maybe(), maybe(), text(), maybe())
    }

    prop_compose! {
        fn rows()(
            id in any::<u128>(),
            numbers in any::<[i64; 12]>(),
            seconds in 0..4_102_444_800_i64,
            nanos in 0..1_000_000_000_u32,
            success in any::<bool>(),
            texts in texts(),
        ) -> LogRecord {
            let [seq, amount, counted_amount, daily_used_before, daily_used_after, monthly_used_before,
                monthly_used_after, pending_before, pending_after, daily_delta, monthly_delta, pending_delta] = numbers;
            let (action_type, payment_no, order_no, release_no, currency, failure_reason) = texts;
            LogRecord {
                merchant_id: Uuid::from_u128(id),
                created_at: Timestamp::from_timestamp(seconds, nanos).unwrap(),
                seq, amount, counted_amount, daily_used_before, daily_used_after, monthly_used_before,
                monthly_used_after, pending_before, pending_after, daily_delta, monthly_delta, pending_delta,
                action_type, payment_no, order_no, release_no, currency, failure_reason, success,
            }
        }
    }

    proptest! {
        #[test]
        fn a_row_can_be_read_back_from_its_bytes(written in rows()) {
            let bytes = row(&written);
            let mut reading = Reading(&bytes);
            prop_assert_eq!(reading.row(), written);
            prop_assert!(reading.0.is_empty());
        }

        #[test]
        fn rows_that_differ_in_texts_alone_have_different_bytes(one in rows(), other in texts()) {
            let mut two = one.clone();
            (two.action_type, two.payment_no, two.order_no, two.release_no, two.currency, two.failure_reason) = other;
            prop_assert_eq!(one == two, row(&one) == row(&two));
        }
    }
}
