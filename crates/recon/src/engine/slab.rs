//! Memory in large pieces that the system may back with huge pages.

use std::io;
use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};

/// The size of a writer's first piece, and of the largest: a huge page of most processors.
const FIRST_BYTES: usize = 64 << 10;
const LARGEST_BYTES: usize = 2 << 20;

/// A piece of zeroed memory. Nothing of it is there before it is written to.
#[derive(Debug)]
pub(super) struct Slab(MmapMut);

impl Slab {
    /// One more piece for who has `count`: each is twice as large as the one before, up to the largest.
    pub(super) fn following(count: usize) -> io::Result<Self> {
        let bytes = (FIRST_BYTES << count.min(8)).min(LARGEST_BYTES);
        let map = MmapMut::map_anon(bytes)?;
        if bytes == LARGEST_BYTES {
            // A wish: without huge pages all works as well, only slower.
            let _ = map.advise(Advice::HugePage);
        }
        Ok(Self(map))
    }
}

impl Deref for Slab {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Slab {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
