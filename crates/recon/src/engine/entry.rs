//! What is kept of a row while it is matched: 24 bytes, whatever the length of its ids.

use payops_channels::row::{Kind, Row, Status};
use payops_core::currency::Currency;

use super::carried;

/// The match key of a row: keyed hashes over its kind and trade number, 128 bits of which [`Packing`] keeps 108
/// and those that name the partition.
///
/// The seeds are random per run and unknown to whoever wrote the files. For 100 million rows a side, of which 119
/// bits are kept, any two different keys are taken for one with a chance below 2^-64.
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

/// A number of 192 bits, the lowest first.
type Factor = [u64; 3];

/// Makes match keys by multilinear hashing: each 64-bit word of the id is multiplied by a random 192-bit number
/// of its own, and the upper 128 bits of the sum are the key. Of two different ids, any bits of it are equal with the chance
/// with which random ones are (Lemire and Kaser, "Strongly universal string hashing is fast"), whatever the ids.
#[derive(Debug, Clone)]
pub(super) struct KeyHasher {
    seed: [u64; 2],
    /// What a sum begins with, the number of its head, and those of the first words.
    factors: [Factor; FACTORS],
}

/// How many factors are made beforehand: enough for ids of 112 bytes.
const FACTORS: usize = 16;

impl KeyHasher {
    pub(super) fn new(seed: [u64; 2]) -> Self {
        let mut factors = [[0; 3]; FACTORS];
        for (index, factor) in factors.iter_mut().enumerate() {
            *factor = make_factor(seed, index);
        }
        Self { seed, factors }
    }

    /// The key of `id`, which must not be empty.
    #[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
    #[inline(always)]
    pub(super) fn key(&self, kind: Kind, id: &[u8]) -> RowKey {
        // The length tells apart ids that differ in how the last word is filled.
        let head = (id.len() as u64) << 8 | u64::from(kind as u8);
        let (words, rest) = id.as_chunks::<8>();
        let mut sum = self.begin(head);
        let [_, _, factors @ ..] = &self.factors;
        let Some((used, [next, ..])) = factors.split_at_checked(words.len()) else {
            return self.long_key(sum, words, id);
        };
        for (word, factor) in words.iter().zip(used) {
            sum.add(u64::from_le_bytes(*word), factor);
        }
        if !rest.is_empty() {
            sum.add(last_word(id), next);
        }
        sum.key()
    }

    #[cold]
    fn long_key(&self, mut sum: Sum, words: &[[u8; 8]], id: &[u8]) -> RowKey {
        for (index, word) in
            words.iter().map(|word| u64::from_le_bytes(*word)).chain([last_word(id)]).enumerate()
        {
            sum.add(word, &make_factor(self.seed, index + 2));
        }
        sum.key()
    }

    #[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
    #[inline(always)]
    fn begin(&self, head: u64) -> Sum {
        let [[low, middle, high], factor, ..] = &self.factors;
        let mut sum = Sum { low: *low, high: u128::from(*high) << 64 | u128::from(*middle) };
        sum.add(head, factor);
        sum
    }

    /// A key that no other row has, for a row without a trade number: it can match nothing.
    pub(super) fn lonely_key(&self, side: Side, ordinal: u64) -> RowKey {
        let mut sum = self.begin(u64::from(u8::MAX));
        let [_, _, first, second, ..] = &self.factors;
        sum.add(side as u64, first);
        sum.add(ordinal, second);
        sum.key()
    }
}

/// The last eight bytes of an id, of which some may belong to the word before too; a shorter id is filled up with zeros.
#[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
#[inline(always)]
fn last_word(id: &[u8]) -> u64 {
    id.last_chunk::<8>().map_or_else(
        || id.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        |last| u64::from_le_bytes(*last),
    )
}

/// A sum of 192 bits in the making.
#[derive(Debug, Clone, Copy)]
struct Sum {
    low: u64,
    high: u128,
}

impl Sum {
    #[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    fn add(&mut self, word: u64, [low, middle, high]: &Factor) {
        let product = |factor: u64| u128::from(word) * u128::from(factor);
        let lowest = product(*low) + u128::from(self.low);
        self.low = lowest as u64;
        let carried = (lowest >> 64) + product(*middle);
        self.high = self.high.wrapping_add(carried).wrapping_add(u128::from(word.wrapping_mul(*high)) << 64);
    }

    #[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    fn key(self) -> RowKey {
        RowKey { first: (self.high >> 64) as u64, second: self.high as u64 }
    }
}

fn make_factor(seed: [u64; 2], index: usize) -> Factor {
    let word = |place: u64| {
        let step = (index as u64 * 3 + place).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        scramble(scramble(seed[0].wrapping_add(step)) ^ seed[1])
    };
    [word(1), word(2), word(3)]
}

/// The finaliser of `SplitMix64`: spreads a seed over all bits.
fn scramble(seed: u64) -> u64 {
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    seed ^ (seed >> 31)
}

/// A currency code as a number of five bits a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CurrencyCode(u16);

impl CurrencyCode {
    /// More than the highest number.
    pub(super) const COUNT: usize = 1 << 15;

    #[inline]
    pub(super) fn of(currency: Currency) -> Self {
        let letter = |byte: u8| u16::from(byte & 31);
        let [first, second, third] = currency.letters();
        Self(letter(first) << 10 | letter(second) << 5 | letter(third))
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(super) fn currency(self) -> Currency {
        let letter = |value: u16| b'@' | (value & 31) as u8;
        let code = [letter(self.0 >> 10), letter(self.0 >> 5), letter(self.0)];
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

/// The highest ordinal of a row of a file; a file with more rows is refused. Those above are of carried rows.
pub(super) const MAX_ORDINAL: u64 = carried::FIRST_ORDINAL - 1;

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

    /// Whether the row takes back a part of a payment, as the part of an authorization that was not captured: a payment
    /// below zero.
    pub(super) fn takes_back(&self) -> bool {
        self.amount < 0 && self.kind() == Kind::Payment
    }

    pub(super) fn in_cut_off(&self) -> bool {
        self.packed & CUT_OFF_BIT != 0
    }

    /// Where it stands among rows of its side and key, where some are carried.
    pub(super) fn turn(&self) -> (u8, u64) {
        let turn = match (self.is_carried(), self.in_window()) {
            (false, true) => 0,
            (true, _) => 1,
            (false, false) => 2,
        };
        (turn, self.ordinal())
    }

    /// Whether it is a row of an earlier day.
    #[inline]
    pub(super) fn is_carried(&self) -> bool {
        self.ordinal() >= carried::FIRST_ORDINAL
    }

    pub(super) fn with_key(self, key: RowKey) -> Self {
        Self { key, ..self }
    }

    /// The form of entries that do not fit the compact one.
    pub(super) fn to_wide(self) -> [u64; WIDE_WORDS] {
        [self.key.first, self.key.second, self.amount.cast_unsigned(), self.packed]
    }

    pub(super) fn from_wide([first, second, amount, packed]: [u64; WIDE_WORDS]) -> Self {
        Self { key: RowKey { first, second }, amount: amount.cast_signed(), packed }
    }
}

/// How many words an entry is stored in, and how many if its amount or place is out of the ordinary.
pub(super) const ENTRY_WORDS: usize = 3;
pub(super) const WIDE_WORDS: usize = 4;

const COMPACT_ORDINAL_BITS: u32 = 30;
/// What the compact form does not keep of a key beside the bits that name the partition.
const DROPPED_BITS: u32 = 20;

/// The compact form of entries, in partitions that so many bits of the key name. Those bits are not stored.
///
/// The words: the key's first half, moved up by the bits of the partition, and then the second half's bits as far
/// as they fit; 44 more of these, the currency, the status and the kind; the amount in 32 bits, the ordinal in 30
/// and the two flags.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packing {
    bits: u32,
}

impl Packing {
    /// `bits` from 1 to 20.
    pub(super) fn new(bits: u32) -> Self {
        Self { bits }
    }

    /// The partition of a key.
    #[inline]
    pub(super) fn partition(self, key: RowKey) -> usize {
        usize::try_from(key.first >> (u64::BITS - self.bits)).unwrap_or(0)
    }

    /// A key without the bits that are not kept. Only such keys may be compared.
    #[inline]
    pub(super) fn kept(self, key: RowKey) -> RowKey {
        RowKey { second: key.second & (u64::MAX << (DROPPED_BITS - self.bits)), ..key }
    }

    /// The compact form, or `None` when the amount has more than 32 bits or the ordinal more than 30.
    #[inline]
    pub(super) fn pack(self, entry: &Entry) -> Option<[u64; ENTRY_WORDS]> {
        let Entry { key: RowKey { first, second }, amount, packed } = *entry;
        let (ordinal, kind) = (packed >> ORDINAL_SHIFT, packed >> KIND_SHIFT & 7);
        let amount = u64::from(i32::try_from(amount).ok()?.cast_unsigned());
        if ordinal >> COMPACT_ORDINAL_BITS != 0 || kind > 3 {
            return None;
        }
        let facts = (packed >> STATUS_SHIFT & ((1 << (ORDINAL_SHIFT - STATUS_SHIFT)) - 1)) << 2 | kind;
        Some([
            first << self.bits | second >> (u64::BITS - self.bits),
            ((second << self.bits) & (u64::MAX << DROPPED_BITS)) | facts,
            amount << 32 | ordinal << 2 | packed & (WINDOW_BIT | CUT_OFF_BIT),
        ])
    }

    /// What [`Self::pack`] was given, the key as far as it is kept.
    #[inline]
    pub(super) fn unpack(self, partition: usize, [head, middle, tail]: [u64; ENTRY_WORDS]) -> Entry {
        let high = u64::BITS - self.bits;
        let key = RowKey {
            first: (partition as u64) << high | head >> self.bits,
            second: head << high | (middle >> DROPPED_BITS) << (DROPPED_BITS - self.bits),
        };
        let facts = middle & ((1 << DROPPED_BITS) - 1);
        let ordinal = (tail & u64::from(u32::MAX)) >> 2;
        let packed = ordinal << ORDINAL_SHIFT
            | (facts >> 2) << STATUS_SHIFT
            | (facts & 3) << KIND_SHIFT
            | tail & (WINDOW_BIT | CUT_OFF_BIT);
        let amount = i64::from(((tail >> 32) as u32).cast_signed());
        Entry { key, amount, packed }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            let entry = Entry::new(key, MAX_ORDINAL, &row.as_row(), index % 3 == 0);
            assert_eq!(Entry::from_wide(entry.to_wide()), entry);
            assert_eq!((entry.key, entry.amount, entry.ordinal()), (key, i64::MIN + 7, MAX_ORDINAL));
            assert_eq!((entry.kind(), entry.status()), (kind, status));
            assert_eq!(entry.currency().currency(), row.currency);
            assert_eq!((entry.in_window(), entry.in_cut_off()), (index % 2 == 0, index % 3 == 0));
        }
    }

    proptest! {
        #[test]
        fn the_compact_form_gives_back_what_went_in(
            seed: [u64; 2],
            bits in 1_u32..=20,
            amount in prop_oneof![any::<i64>(), any::<i32>().prop_map(i64::from)],
            ordinal in prop_oneof![0_u64..=MAX_ORDINAL, 0_u64..1 << 30],
            (kind, status) in (0_usize..7, 0_usize..8),
            currency in "[A-Z]{3}",
            flags: (bool, bool),
        ) {
            let (kind, status) = (Kind::ALL[kind], Status::ALL.get(status).copied());
            let currency = currency.parse().unwrap();
            let row = TestRow { kind, status, amount, currency, in_window: flags.0, ..TestRow::default() };
            let key = KeyHasher::new(seed).key(kind, b"ch_1");
            let entry = Entry::new(key, ordinal, &row.as_row(), flags.1);
            let packing = Packing::new(bits);
            let fits = i32::try_from(amount).is_ok() && ordinal < 1 << 30 && kind.is_booked_by_platform();
            let packed = packing.pack(&entry);
            prop_assert_eq!(packed.is_some(), fits);
            if let Some(packed) = packed {
                let expected = entry.with_key(packing.kept(key));
                prop_assert_eq!(packing.unpack(packing.partition(key), packed), expected);
            }
            let dropped = packing.kept(key).second ^ key.second;
            prop_assert!(dropped < 1 << (20 - bits));
        }
    }

    #[test]
    fn keys_differ_in_length_and_in_every_byte() {
        let hasher = KeyHasher::new([5, 6]);
        let mut seen = std::collections::HashSet::new();
        for length in 1..400 {
            let mut id = vec![0; length];
            assert!(seen.insert(hasher.key(Kind::Payment, &id)), "{length}");
            for place in [0, length / 2, length - 1] {
                id[place] ^= 1;
                let is_new = seen.insert(hasher.key(Kind::Payment, &id));
                assert!(is_new || length < 3, "{length} {place}");
            }
        }
    }

    #[test]
    fn keys_depend_on_kind_and_seed_and_lonely_ones_on_the_row() {
        let hasher = KeyHasher::new([1, 2]);
        let key = hasher.key(Kind::Payment, b"ch_1");
        assert_eq!(key, KeyHasher::new([1, 2]).key(Kind::Payment, b"ch_1"));
        assert_ne!(key, hasher.key(Kind::Refund, b"ch_1"));
        for seed in [[1, 3], [2, 2], [2, 1]] {
            let other = KeyHasher::new(seed).key(Kind::Payment, b"ch_1");
            assert!(key.first != other.first && key.second != other.second);
        }
        assert_ne!(hasher.lonely_key(Side::Platform, 1), hasher.lonely_key(Side::Channel, 1));
    }
}
