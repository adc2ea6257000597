//! Bytes that are kept for a connection between two passes, in blocks of one size that connections hand on to each other.
//!
//! Thousands of peers may have begun something at once. In the allocator their buffers of all sizes, made and freed by many
//! threads, left holes of as much memory again.

use parking_lot::Mutex;

/// Bytes of a block. A peer that has begun a frame costs one at least.
const BLOCK: usize = 1024;

/// The blocks that nobody uses.
#[derive(Default)]
pub struct Blocks(Mutex<Vec<Block>>);

type Block = Box<[u8; BLOCK]>;

/// See the module.
#[derive(Default)]
pub struct Kept {
    blocks: Vec<Block>,
    length: usize,
}

impl Kept {
    /// Keeps these bytes. Nothing else may be kept here yet.
    pub fn put(&mut self, bytes: &[u8], blocks: &Blocks) {
        let count = bytes.len().div_ceil(BLOCK);
        if count > 0 {
            let mut free = blocks.0.lock();
            let left = free.len().saturating_sub(count);
            self.blocks = free.drain(left..).collect();
        }
        self.blocks.resize_with(count, || Box::new([0; BLOCK]));
        self.length = bytes.len();
        self.blocks
            .iter_mut()
            .zip(bytes.chunks(BLOCK))
            .for_each(|(block, bytes)| block[..bytes.len()].copy_from_slice(bytes));
    }

    /// Gives the bytes back, piece by piece, and their blocks to whoever needs them next.
    pub fn take(&mut self, blocks: &Blocks, mut each: impl FnMut(&[u8])) {
        if self.length > 0 {
            let mut rest = std::mem::take(&mut self.length);
            for block in &self.blocks {
                each(&block[..rest.min(BLOCK)]);
                rest = rest.saturating_sub(BLOCK);
            }
            blocks.0.lock().append(&mut self.blocks);
            self.blocks = Vec::new();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes of memory that they take.
    pub fn held(&self) -> usize {
        self.blocks.len() * (BLOCK + size_of::<Block>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_put_is_what_is_taken(sizes in proptest::collection::vec(0usize..3000, 1..20)) {
            let blocks = Blocks::default();
            let texts: Vec<Vec<u8>> = sizes.iter().map(|size| (0..*size).map(|byte| (byte * size) as u8).collect()).collect();
            let mut most = 0;
            for round in texts.chunks(3) {
                let mut kept: Vec<Kept> = round.iter().map(|_| Kept::default()).collect();
                kept.iter_mut().zip(round).for_each(|(kept, text)| kept.put(text, &blocks));
                most = most.max(round.iter().map(|text| text.len().div_ceil(BLOCK)).sum());
                for (kept, text) in kept.iter_mut().zip(round) {
                    let mut found = Vec::new();
                    kept.take(&blocks, |bytes| found.extend_from_slice(bytes));
                    prop_assert_eq!(&found, text);
                    prop_assert!(kept.is_empty() && kept.held() == 0);
                }
            }
            prop_assert_eq!(blocks.0.lock().len(), most, "no more blocks are made than were used at once");
        }
    }
}
