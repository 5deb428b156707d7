//! What is wrong with settings: everything at once.

use std::collections::BTreeSet;
use std::fmt;

/// What is wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, or the file.
    pub name: String,
    /// What is wrong, what is expected. Never a secret.
    pub text: String,
}

impl Problem {
    pub(super) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// A name that is none, with the one that may have been meant.
    pub(super) fn unknown(name: &str, what: &str, known: &BTreeSet<String>) -> Self {
        let nearest = known
            .iter()
            .map(|candidate| (distance(name, candidate), candidate))
            .min()
            .filter(|(distance, _)| *distance <= 1 + name.len() / 5);
        let hint = nearest.map_or_else(String::new, |(_, candidate)| format!("; did you mean {candidate}?"));
        Self::new(name, format!("{what}{hint}"))
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration is not usable: {}: {}", one.name, one.text),
            all => {
                write!(f, "the configuration is not usable, {} problems:", all.len())?;
                all.iter().try_for_each(|problem| write!(f, "\n  {}: {}", problem.name, problem.text))
            }
        }
    }
}

impl std::error::Error for Problems {}

/// How many letters must be added, removed, replaced or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut here = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != other);
            let mut best = replaced.min(above[column + 1] + 1).min(here[column] + 1);
            if row > 0 && column > 0 && from[row - 1] == *other && *letter == to[column - 1] {
                best = best.min(before[column - 1] + 1);
            }
            here.push(best);
        }
        before = std::mem::replace(&mut above, here);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in
            [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "xbc", 1), ("abcd", "ac", 2)]
        {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }
}
