//! The words a file uses for things that payops has names for.

/// Words, compared without regard to ASCII letter case, and what each means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words<T>(Vec<(Box<[u8]>, T)>);

impl<T: Copy + PartialEq> Words<T> {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// Words with their meanings, or the first word that has two.
    pub(crate) fn new(words: Vec<(String, T)>) -> Result<Self, String> {
        for (index, (word, meaning)) in words.iter().enumerate() {
            let clash =
                |(other, its): &(String, T)| other.trim().eq_ignore_ascii_case(word.trim()) && its != meaning;
            if words[..index].iter().any(clash) {
                return Err(word.clone());
            }
        }
        Ok(Self(words.into_iter().map(|(word, meaning)| (word.trim().as_bytes().into(), meaning)).collect()))
    }

    /// What `word` means. `last` is where the last word was found, since the same few come again and again.
    #[inline]
    pub(crate) fn meaning(&self, word: &[u8], last: &mut usize) -> Option<T> {
        if let Some((known, meaning)) = self.0.get(*last)
            && **known == *word
        {
            return Some(*meaning);
        }
        self.search(word, last)
    }

    fn search(&self, word: &[u8], last: &mut usize) -> Option<T> {
        let index = self.0.iter().position(|(known, _)| known.eq_ignore_ascii_case(word))?;
        *last = index;
        self.0.get(index).map(|(_, meaning)| *meaning)
    }

    pub(crate) fn has(&self, meaning: T) -> bool {
        self.0.iter().any(|(_, other)| *other == meaning)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
