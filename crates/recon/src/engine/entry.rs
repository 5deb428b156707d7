//! What is kept of a row while it is matched: 32 bytes, whatever the length of its ids.

use payops_channels::row::{Kind, Row, Status};
use payops_core::currency::Currency;

/// How many words an entry is stored and spilled in.
pub(super) const ENTRY_WORDS: usize = 4;

/// The form in which entries are stored and spilled.
pub(super) type Record = [u64; ENTRY_WORDS];

/// The match key of a row: 128 bits of keyed hash over its kind and trade number.
///
/// The seeds are random per run and unknown to whoever wrote the files. Two different keys are taken for one
/// with a chance of 2^-128 a pair, so for 100 million rows a side with less than 2^-64 a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RowKey {
    pub(super) first: u64,
    pub(super) second: u64,
}

/// Which of the two files a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Our books.
    Platform,
    /// The channel's settlement file.
    Channel,
}

impl Side {
    /// The side's name on the wire and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Channel => "channel",
        }
    }
}

/// Makes match keys by multilinear hashing: each 64-bit word of the id is multiplied by a random 128-bit number
/// of its own, and the upper half of the sum is the hash. Of two different ids, each half is equal with a chance
/// of 2^-64 (Lemire and Kaser, "Strongly universal string hashing is fast"), whatever the ids.
#[derive(Debug, Clone)]
pub(super) struct KeyHasher {
    seed: [u64; 2],
    /// The numbers of the first words, for both halves.
    factors: [[u128; 2]; FACTORS],
}

/// How many factors are made beforehand: enough for ids of 112 bytes.
const FACTORS: usize = 16;

impl KeyHasher {
    pub(super) fn new(seed: [u64; 2]) -> Self {
        let mut factors = [[0; 2]; FACTORS];
        for (index, factor) in factors.iter_mut().enumerate() {
            *factor = make_factor(seed, index);
        }
        Self { seed, factors }
    }

    /// The key of `id`, which must not be empty.
    #[inline(always)]
    pub(super) fn key(&self, kind: Kind, id: &[u8]) -> RowKey {
        // The length tells apart ids that differ in how the last word is filled.
        let head = (id.len() as u64) << 8 | u64::from(kind as u8);
        let (words, rest) = id.as_chunks::<8>();
        let mut sum = Sum::new(self, head);
        for word in words {
            sum.add(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            // The last eight bytes, some of them for the second time, need no copy.
            let last = id.last_chunk::<8>().copied().unwrap_or_else(|| {
                let mut word = [0; 8];
                word[..rest.len()].copy_from_slice(rest);
                word
            });
            sum.add(u64::from_le_bytes(last));
        }
        sum.key()
    }

    /// A key that no other row has, for a row without a trade number: it can match nothing.
    pub(super) fn lonely_key(&self, side: Side, ordinal: u64) -> RowKey {
        let mut sum = Sum::new(self, u64::from(u8::MAX));
        sum.add(side as u64);
        sum.add(ordinal);
        sum.key()
    }

    #[cold]
    fn far_factor(&self, index: usize) -> [u128; 2] {
        make_factor(self.seed, index)
    }
}

/// A key in the making.
struct Sum<'a> {
    hasher: &'a KeyHasher,
    words: usize,
    halves: [u128; 2],
}

impl<'a> Sum<'a> {
    #[inline(always)]
    fn new(hasher: &'a KeyHasher, head: u64) -> Self {
        let mut sum = Self { hasher, words: 1, halves: hasher.factors[0] };
        sum.add(head);
        sum
    }

    #[inline(always)]
    fn add(&mut self, word: u64) {
        let factors = match self.hasher.factors.get(self.words) {
            Some(factors) => *factors,
            None => self.hasher.far_factor(self.words),
        };
        self.words += 1;
        for (half, factor) in self.halves.iter_mut().zip(factors) {
            *half = half.wrapping_add(factor.wrapping_mul(word.into()));
        }
    }

    #[inline(always)]
    fn key(self) -> RowKey {
        #[expect(clippy::cast_possible_truncation, reason = "the upper half of 128 bits has 64")]
        let [first, second] = self.halves.map(|half| (half >> 64) as u64);
        RowKey { first, second }
    }
}

fn make_factor(seed: [u64; 2], index: usize) -> [u128; 2] {
    seed.map(|seed| {
        let word = |step: u64| {
            let step = index as u64 * 2 + step;
            scramble(seed.wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        };
        u128::from(word(1)) << 64 | u128::from(word(2))
    })
}

/// The finaliser of `SplitMix64`: spreads a seed over all bits.
fn scramble(seed: u64) -> u64 {
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    seed ^ (seed >> 31)
}

/// A currency code as a number below 26^3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CurrencyCode(u16);

impl CurrencyCode {
    /// How many codes there are.
    pub(super) const COUNT: usize = 26 * 26 * 26;

    #[inline]
    pub(super) fn of(currency: Currency) -> Self {
        let letter = |byte: &u8| u16::from(byte.wrapping_sub(b'A')) % 26;
        Self(currency.as_str().as_bytes().iter().fold(0, |code, byte| code * 26 + letter(byte)))
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn currency(self) -> Currency {
        let letter = |value: u16| b'A' + u8::try_from(value % 26).unwrap_or(0);
        let code = [letter(self.0 / 676), letter(self.0 / 26), letter(self.0)];
        Currency::parse(&code).unwrap_or(Currency::USD)
    }
}

const WINDOW_BIT: u64 = 1;
const CUT_OFF_BIT: u64 = 1 << 1;
const KIND_SHIFT: u32 = 2;
const STATUS_SHIFT: u32 = 5;
const CURRENCY_SHIFT: u32 = 8;
const ORDINAL_SHIFT: u32 = 24;
/// The status bits of a row that states none.
const NO_STATUS: u64 = 7;

/// The highest ordinal that an entry can hold; a file with more rows is refused.
pub(super) const MAX_ORDINAL: u64 = (1 << (64 - ORDINAL_SHIFT)) - 2;

/// A row in compact form. `packed` holds the ordinal, the currency, the status, the kind and two flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: RowKey,
    pub(super) amount: i64,
    packed: u64,
}

impl Entry {
    #[inline]
    pub(super) fn new(key: RowKey, ordinal: u64, row: &Row<'_>, in_cut_off: bool) -> Self {
        let status = row.status.map_or(NO_STATUS, |status| u64::from(status as u8));
        let packed = (ordinal << ORDINAL_SHIFT)
            | (u64::from(CurrencyCode::of(row.currency).0) << CURRENCY_SHIFT)
            | (status << STATUS_SHIFT)
            | (u64::from(row.kind as u8) << KIND_SHIFT)
            | (u64::from(in_cut_off) * CUT_OFF_BIT)
            | u64::from(row.in_window);
        Self { key, amount: row.amount, packed }
    }

    #[inline]
    pub(super) fn ordinal(&self) -> u64 {
        self.packed >> ORDINAL_SHIFT
    }

    #[inline]
    pub(super) fn currency(&self) -> CurrencyCode {
        CurrencyCode(u16::try_from((self.packed >> CURRENCY_SHIFT) & 0xFFFF).unwrap_or(0))
    }

    #[inline]
    pub(super) fn kind(&self) -> Kind {
        let index = usize::try_from((self.packed >> KIND_SHIFT) & 7).unwrap_or(0);
        Kind::ALL.get(index).copied().unwrap_or(Kind::Payment)
    }

    #[inline]
    pub(super) fn status(&self) -> Option<Status> {
        let index = usize::try_from((self.packed >> STATUS_SHIFT) & 7).unwrap_or(7);
        Status::ALL.get(index).copied()
    }

    pub(super) fn in_window(&self) -> bool {
        self.packed & WINDOW_BIT != 0
    }

    pub(super) fn in_cut_off(&self) -> bool {
        self.packed & CUT_OFF_BIT != 0
    }

    pub(super) fn with_key(self, key: RowKey) -> Self {
        Self { key, ..self }
    }

    #[inline]
    pub(super) fn to_record(self) -> Record {
        [self.key.first, self.key.second, self.amount.cast_unsigned(), self.packed]
    }

    #[inline]
    pub(super) fn from_record([first, second, amount, packed]: Record) -> Self {
        Self { key: RowKey { first, second }, amount: amount.cast_signed(), packed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_rows::TestRow;

    #[test]
    fn an_entry_gives_back_what_went_in() {
        let hasher = KeyHasher::new([1, 2]);
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            let status = Status::ALL.get(index % 8).copied();
            let row = TestRow {
                kind,
                status,
                amount: i64::MIN + 7,
                in_window: index % 2 == 0,
                currency: ["AAA", "USD", "ZZZ"][index % 3].parse().unwrap(),
                ..TestRow::default()
            };
            let key = hasher.key(kind, b"ch_1");
            let entry =
                Entry::from_record(Entry::new(key, MAX_ORDINAL, &row.as_row(), index % 3 == 0).to_record());
            assert_eq!((entry.key, entry.amount, entry.ordinal()), (key, i64::MIN + 7, MAX_ORDINAL));
            assert_eq!((entry.kind(), entry.status()), (kind, status));
            assert_eq!(entry.currency().currency(), row.currency);
            assert_eq!((entry.in_window(), entry.in_cut_off()), (index % 2 == 0, index % 3 == 0));
        }
    }

    #[test]
    fn keys_depend_on_kind_and_seed_and_lonely_ones_on_the_row() {
        let hasher = KeyHasher::new([1, 2]);
        let key = hasher.key(Kind::Payment, b"ch_1");
        assert_eq!(key, KeyHasher::new([1, 2]).key(Kind::Payment, b"ch_1"));
        assert_ne!(key, hasher.key(Kind::Refund, b"ch_1"));
        let other = KeyHasher::new([1, 3]).key(Kind::Payment, b"ch_1");
        assert!(key.first == other.first && key.second != other.second);
        assert_ne!(hasher.lonely_key(Side::Platform, 1), hasher.lonely_key(Side::Channel, 1));
    }
}
