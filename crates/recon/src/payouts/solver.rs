//! Which of some amounts add up to another one, and in how many ways: exactly, with bounded work.

/// Up to how many solutions are counted one by one; beyond it there are "more than" so many.
pub const MOST_SOLUTIONS: u32 = 1000;
/// How many sums one question may look at. Any 38 amounts stay below it.
pub const WORK_PER_QUESTION: u64 = 1 << 21;

/// What was found for one target. Items are named by their place in the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// No subset adds up to it.
    Nothing,
    /// One does.
    Unique(Vec<usize>),
    /// Several do; `members` are in at least one of them. A count above [`MOST_SOLUTIONS`] means more than that.
    Several { count: u32, members: Vec<usize> },
    /// The question is too large to be answered.
    TooLarge,
}

/// Counts the subsets of `items` that add up to `target`, and takes the work off `budget`. Neither `target` nor
/// an item may be zero. Equal items are different ones.
///
/// Meets in the middle: the larger half is taken from the target, sum by sum, the sums of the smaller half are
/// built up, and only sums that both reach go on. Equal sums are one, so that many small amounts stay cheap.
pub(super) fn subsets(target: i64, items: &[i64], budget: &mut u64) -> Found {
    let mut work = Work { left: WORK_PER_QUESTION.min(*budget) };
    let before = work.left;
    let found = solve(target, items, &mut work).unwrap_or(Found::TooLarge);
    *budget -= before - work.left;
    found
}

struct Work {
    left: u64,
}

impl Work {
    fn take(&mut self, sums: usize) -> Option<()> {
        self.left = self.left.checked_sub(sums as u64)?;
        Some(())
    }
}

/// `None` when the work is used up, or the sums are beyond 64 bits.
fn solve(target: i64, items: &[i64], work: &mut Work) -> Option<Found> {
    work.take(items.len())?;
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|item| (std::cmp::Reverse(items[*item].unsigned_abs()), *item));
    let amounts: Vec<i64> = order.iter().map(|item| items[*item]).collect();
    let bounds = bounds(&amounts)?;
    let middle = amounts.len() / 2;
    let tails = tails(&amounts, middle, work)?;

    // At `layers[i]` stand the rests that the items before `i` leave of the target and that those from `i` on
    // may still make up.
    let may_end = |level: usize, rest: i64| match level.checked_sub(middle) {
        Some(tail) => tails[tail].binary_search(&rest).is_ok(),
        None => (bounds[level].0..=bounds[level].1).contains(&rest),
    };
    let mut layers = vec![Vec::from_iter(Some(target).filter(|rest| may_end(0, *rest)))];
    for (level, amount) in amounts.iter().enumerate() {
        let taken = layers[level].iter().filter_map(|rest| rest.checked_sub(*amount));
        let rests = merged(&layers[level], &taken.collect::<Vec<_>>(), |rest| may_end(level + 1, rest));
        work.take(rests.len())?;
        layers.push(rests);
    }
    Some(read_off(&amounts, &order, &layers))
}

/// The least and the most that the items from each place on can make up. `None` beyond 64 bits.
fn bounds(amounts: &[i64]) -> Option<Vec<(i64, i64)>> {
    let mut bounds = vec![(0_i64, 0_i64); amounts.len() + 1];
    for (index, amount) in amounts.iter().enumerate().rev() {
        let (least, most) = bounds[index + 1];
        bounds[index] = (least.checked_add(*amount.min(&0))?, most.checked_add(*amount.max(&0))?);
    }
    Some(bounds)
}

/// All sums of the items from `middle` on, from each of these places on, in order.
fn tails(amounts: &[i64], middle: usize, work: &mut Work) -> Option<Vec<Vec<i64>>> {
    let mut tails = vec![vec![0]];
    for amount in amounts[middle..].iter().rev() {
        let last = tails.last()?;
        let with: Vec<i64> = last.iter().map(|sum| sum + amount).collect();
        let sums = merged(last, &with, |_| true);
        work.take(sums.len())?;
        tails.push(sums);
    }
    tails.reverse();
    Some(tails)
}

/// Two ordered lists as one without repetition, of what is to be kept.
fn merged(one: &[i64], other: &[i64], keep: impl Fn(i64) -> bool) -> Vec<i64> {
    let mut list = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.iter().copied().peekable(), other.iter().copied().peekable());
    loop {
        let next = match (one.peek(), other.peek()) {
            (Some(a), Some(b)) if a < b => one.next(),
            (Some(a), Some(b)) if a == b => {
                one.next();
                other.next()
            }
            (_, Some(_)) => other.next(),
            (_, None) => one.next(),
        };
        let Some(next) = next else { break };
        if keep(next) {
            list.push(next);
        }
    }
    list
}

/// Counts the ways from the end back to the target, and notes the items on them.
fn read_off(amounts: &[i64], order: &[usize], layers: &[Vec<i64>]) -> Found {
    let cap = MOST_SOLUTIONS + 1;
    let mut ways: Vec<u32> = layers.last().map(|rests| vec![1; rests.len()]).unwrap_or_default();
    let mut members = Vec::new();
    for (level, amount) in amounts.iter().enumerate().rev() {
        let next = &layers[level + 1];
        let ways_of = |rest: Option<i64>| {
            rest.and_then(|rest| next.binary_search(&rest).ok()).map_or(0, |place| ways[place])
        };
        let mut is_member = false;
        let here = layers[level].iter().map(|rest| {
            let taken = ways_of(rest.checked_sub(*amount));
            is_member |= taken > 0;
            (ways_of(Some(*rest)) + taken).min(cap)
        });
        let here = here.collect();
        if is_member {
            members.push(order[level]);
        }
        ways = here;
    }
    members.sort_unstable();
    match ways.first().copied().unwrap_or(0) {
        0 => Found::Nothing,
        1 => Found::Unique(members),
        count => Found::Several { count, members },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(target: i64, items: &[i64]) -> Found {
        subsets(target, items, &mut WORK_PER_QUESTION.clone())
    }

    /// Every subset there is.
    fn by_trying_all(target: i64, items: &[i64]) -> Found {
        let sum_of = |set: u32| -> i64 {
            items.iter().enumerate().filter(|(index, _)| set >> index & 1 == 1).map(|(_, item)| item).sum()
        };
        let sets: Vec<u32> = (1..1_u32 << items.len()).filter(|set| sum_of(*set) == target).collect();
        let members = (0..items.len()).filter(|index| sets.iter().any(|set| set >> index & 1 == 1)).collect();
        match u32::try_from(sets.len()).unwrap() {
            0 => Found::Nothing,
            1 => Found::Unique(members),
            count => Found::Several { count: count.min(MOST_SOLUTIONS + 1), members },
        }
    }

    #[test]
    fn equal_amounts_are_different_ones() {
        assert_eq!(ask(30, &[10, 20, 50]), Found::Unique(vec![0, 1]));
        assert_eq!(ask(30, &[10, 20, 10]), Found::Several { count: 2, members: vec![0, 1, 2] });
        assert_eq!(ask(31, &[10, 20, 10]), Found::Nothing);
        assert_eq!(ask(90, &[100, -10, 40]), Found::Unique(vec![0, 1]));
        assert_eq!(ask(5, &[]), Found::Nothing);
    }

    #[test]
    fn many_solutions_are_counted_to_the_bound() {
        let count = |items: i64| match ask(items / 2, &vec![1; usize::try_from(items).unwrap()]) {
            Found::Several { count, .. } => count,
            other => panic!("{other:?}"),
        };
        assert_eq!(count(10), 252);
        assert_eq!(count(300), MOST_SOLUTIONS + 1);
    }

    #[test]
    fn thirty_eight_amounts_are_answered_and_too_large_a_question_is_refused() {
        // No two subsets of the odd powers have one sum.
        let odd: Vec<i64> = (0..38).map(|n| 3_i64.pow(n)).collect();
        let target = odd[1] + odd[17] + odd[37];
        assert_eq!(ask(target, &odd), Found::Unique(vec![1, 17, 37]));
        let wide: Vec<i64> = (0..60).map(|n| (1 << 45) + n * n * n * 7919 + n).collect();
        assert_eq!(ask((1 << 45) * 30 + 1, &wide), Found::TooLarge);
        assert_eq!(ask(i64::MAX, &[i64::MAX, i64::MAX]), Found::TooLarge);
        let mut little = 3;
        assert_eq!(subsets(30, &[10, 20, 50, 70, 90], &mut little), Found::TooLarge);
    }

    proptest! {
        #[test]
        fn it_finds_what_trying_all_finds(
            items in proptest::collection::vec(prop_oneof![1_i64..40, -20_i64..0], 0..12),
            target in prop_oneof![-30_i64..0, 1_i64..120],
        ) {
            prop_assert_eq!(ask(target, &items), by_trying_all(target, &items));
        }

        #[test]
        fn a_sum_that_was_made_is_found(
            items in proptest::collection::vec(1_i64..1_000_000_000, 1..30),
            mask in any::<u32>(),
        ) {
            let taken = || items.iter().enumerate().filter(|(index, _)| mask >> index & 1 == 1);
            prop_assume!(taken().count() > 0);
            let target = taken().map(|(_, item)| item).sum();
            let made: Vec<usize> = taken().map(|(index, _)| index).collect();
            match ask(target, &items) {
                Found::Unique(members) => prop_assert_eq!(members, made),
                Found::Several { members, .. } => prop_assert!(made.iter().all(|one| members.contains(one))),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
