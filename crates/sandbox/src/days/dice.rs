//! Deterministic chance: the same seed and index always give the same number, in any order of asking.

/// A source of numbers that are a pure function of a seed, an index and a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice {
    seed: u64,
}

/// What a number is drawn for, so that two draws for one index are independent.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Topic {
    Time = 1,
    Currency,
    Amount,
    Key,
    Detail,
    Merchant,
    Charge,
    Intent,
    Refund,
    Dispute,
    BalanceTransaction,
    Payout,
    Shuffle,
    Opening,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed: scramble(seed) }
    }

    /// Dice that are independent of these, for one more coordinate (a date, a channel).
    pub(crate) fn branch(self, coordinate: u64) -> Self {
        Self { seed: scramble(self.seed ^ scramble(coordinate)) }
    }

    /// The number that belongs to `index` and `topic`.
    pub(crate) fn draw(self, index: u64, topic: Topic) -> u64 {
        scramble(scramble(self.seed ^ (topic as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93)) ^ index)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub(crate) fn below(self, index: u64, topic: Topic, bound: u64) -> u64 {
        scale(self.draw(index, topic), bound)
    }

    /// As [`Dice::below`], for amounts.
    pub(crate) fn amount_below(self, index: u64, topic: Topic, bound: i64) -> i64 {
        let bound = u64::try_from(bound).unwrap_or(0);
        i64::try_from(self.below(index, topic, bound)).unwrap_or(0)
    }

    /// True once in `n` times, on average.
    pub(crate) fn one_in(self, index: u64, topic: Topic, n: u64) -> bool {
        self.below(index, topic, n) == 0
    }
}

fn scale(number: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(number) * u128::from(bound)) >> 64).unwrap_or(0)
}

/// The finaliser of `SplitMix64`: every input bit changes about half of the output bits.
fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Appends `length` letters and digits that encode `number`, lowest digit first.
pub(crate) fn push_base62(out: &mut String, mut number: u64, length: usize) {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..length {
        let digit = usize::try_from(number % 62).unwrap_or(0);
        out.push(char::from(DIGITS[digit]));
        number /= 62;
    }
}

/// A shuffle of `0..length` that needs no memory: position -> index, by steps of a fixed stride.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stride {
    length: u64,
    step: u64,
    offset: u64,
    /// The stride that undoes `step`.
    back: u64,
}

impl Stride {
    /// Strides of about `thousandths` of the length. With 618, any run of neighbours is spread evenly.
    pub(crate) fn new(length: u64, thousandths: u64, offset: u64) -> Self {
        if length < 2 {
            return Self { length, step: 1, offset: 0, back: 1 };
        }
        let mut step = (length * thousandths / 1000).max(1);
        while greatest_common_divisor(step, length) != 1 {
            step += 1;
        }
        Self { length, step: step % length, offset: offset % length, back: inverse(step % length, length) }
    }

    /// The index at `position`, both in `0..length`.
    pub(crate) fn index_at(self, position: u64) -> u64 {
        if self.length < 2 { position } else { (self.step * position + self.offset) % self.length }
    }

    /// The position of `index`: the reverse of [`Stride::index_at`].
    pub(crate) fn position_of(self, index: u64) -> u64 {
        if self.length < 2 {
            return index;
        }
        let shifted = (index + self.length - self.offset) % self.length;
        u64::try_from(u128::from(shifted) * u128::from(self.back) % u128::from(self.length)).unwrap_or(0)
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The number that, multiplied by `number`, leaves 1 modulo `modulus`; the two have no common divisor.
fn inverse(number: u64, modulus: u64) -> u64 {
    let (mut old_rest, mut rest) = (i128::from(number), i128::from(modulus));
    let (mut old_factor, mut factor) = (1_i128, 0_i128);
    while rest != 0 {
        let quotient = old_rest / rest;
        (old_rest, rest) = (rest, old_rest - quotient * rest);
        (old_factor, factor) = (factor, old_factor - quotient * factor);
    }
    u64::try_from(old_factor.rem_euclid(i128::from(modulus))).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_visits_every_index_once_and_can_be_undone() {
        for length in [1, 2, 3, 10, 97, 500, 1000] {
            let stride = Stride::new(length, 618, 12_345);
            let mut seen: Vec<u64> = (0..length).map(|position| stride.index_at(position)).collect();
            for (position, index) in seen.iter().enumerate() {
                assert_eq!(stride.position_of(*index), position as u64, "length {length}");
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn draws_depend_on_seed_index_and_topic_only() {
        let dice = Dice::new(1);
        assert_eq!(dice.draw(5, Topic::Amount), Dice::new(1).draw(5, Topic::Amount));
        assert_ne!(dice.draw(5, Topic::Amount), dice.draw(6, Topic::Amount));
        assert_ne!(dice.draw(5, Topic::Amount), dice.draw(5, Topic::Currency));
        assert_ne!(dice.draw(5, Topic::Amount), Dice::new(2).draw(5, Topic::Amount));
        assert_ne!(dice.draw(5, Topic::Amount), dice.branch(0).draw(5, Topic::Amount));
        assert!((0..1000).all(|index| dice.below(index, Topic::Time, 10) < 10));
    }
}
