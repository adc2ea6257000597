//! Checksums of `bets.csv`: one for each block of fixed size, and a running one for the block at its end.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crc32fast::Hasher;

use super::disk::Medium;

/// The bytes that one checksum covers. A damaged file is located to a block.
pub const BLOCK: u64 = 256 * 1024;

/// Four bytes for every block of [`BLOCK`] bytes: 8 KiB for ten million bets.
#[derive(Clone, Debug)]
pub struct Checksums {
    block: u64,
    length: u64,
    whole: Vec<u32>,
    last: Hasher,
}

/// See [`Checksums::mark`].
pub struct Mark {
    pub length: u64,
    /// Whole blocks.
    pub whole: usize,
    last: Hasher,
}

impl Checksums {
    /// Takes up the checksums where a journal left them.
    pub fn resume(block: u64, length: u64, whole: Vec<u32>, last: u32) -> Option<Checksums> {
        let last = Hasher::new_with_initial_len(last, length % block);
        (whole.len() as u64 == length / block).then_some(Checksums { block, length, whole, last })
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn whole(&self) -> &[u32] {
        &self.whole
    }

    /// The checksum of the incomplete block at the end.
    pub fn last(&self) -> u32 {
        self.last.clone().finalize()
    }

    /// Goes on with bytes appended to the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (self.block - self.length % self.block) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.last.update(now);
            self.length += now.len() as u64;
            if self.length.is_multiple_of(self.block) {
                self.whole.push(std::mem::take(&mut self.last).finalize());
            }
            bytes = later;
        }
    }

    /// Where the checksums stand, to come back to if what follows does not reach the disk.
    pub fn mark(&self) -> Mark {
        Mark { length: self.length, whole: self.whole.len(), last: self.last.clone() }
    }

    pub fn reset(&mut self, mark: Mark) {
        self.length = mark.length;
        self.whole.truncate(mark.whole);
        self.last = mark.last;
    }

    /// The bytes of the first block of the file that does not match, read by as many threads as the machine has.
    pub fn first_mismatch(&self, file: &dyn Medium) -> io::Result<Option<Range<u64>>> {
        let blocks = self.length.div_ceil(self.block);
        let threads =
            std::thread::available_parallelism().map_or(1, |count| count.get() as u64).min(blocks.div_ceil(16));
        let (next, mismatch) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let check = || -> io::Result<()> {
            let mut buffer = vec![0; self.block as usize];
            loop {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= blocks {
                    return Ok(());
                }
                let bytes = &mut buffer[..self.block.min(self.length - block * self.block) as usize];
                file.read_exact_at(bytes, block * self.block)?;
                let expected = usize::try_from(block).ok().and_then(|block| self.whole.get(block).copied());
                if crc32fast::hash(bytes) != expected.unwrap_or_else(|| self.last()) {
                    mismatch.fetch_min(block, Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(check)).collect();
            let own = check();
            helpers.into_iter().fold(own, |result, helper| {
                result.and(helper.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
            })
        })?;
        let bytes = |block: u64| block * self.block..self.length.min((block + 1) * self.block);
        Ok(Some(mismatch.into_inner()).filter(|block| *block != u64::MAX).map(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file_of(bytes: &[u8]) -> std::fs::File {
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).unwrap();
        file
    }

    #[test]
    fn a_mismatch_is_located_to_its_block() {
        let mut bytes: Vec<u8> = (0..40 * BLOCK + 5).map(|place| (place % 251) as u8).collect();
        let mut checksums = Checksums::resume(BLOCK, 0, Vec::new(), 0).unwrap();
        checksums.update(&bytes);
        assert_eq!(checksums.first_mismatch(&file_of(&bytes)).unwrap(), None);
        let last = bytes.len() - 1;
        bytes[last] ^= 4;
        assert_eq!(checksums.first_mismatch(&file_of(&bytes)).unwrap(), Some(40 * BLOCK..40 * BLOCK + 5));
        bytes[17 * BLOCK as usize] ^= 1;
        assert_eq!(checksums.first_mismatch(&file_of(&bytes)).unwrap(), Some(17 * BLOCK..18 * BLOCK));
    }

    proptest! {
        #[test]
        fn checksums_depend_on_the_bytes_and_not_on_their_pieces(
            sizes in prop::collection::vec(0_usize..200_000, 0..8), resume_at in 0_usize..8,
        ) {
            let bytes: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|place| (place % 253) as u8).collect();
            let empty = Checksums::resume(BLOCK, 0, Vec::new(), 0).unwrap();
            let mut at_once = empty.clone();
            at_once.update(&bytes);
            let (mut in_pieces, mut start) = (empty, 0);
            for (piece, size) in sizes.iter().enumerate() {
                if piece == resume_at {
                    let Checksums { length, whole, .. } = in_pieces.clone();
                    in_pieces = Checksums::resume(BLOCK, length, whole, in_pieces.last()).unwrap();
                }
                in_pieces.update(&bytes[start..start + size]);
                start += size;
            }
            prop_assert_eq!(in_pieces.length(), at_once.length());
            prop_assert_eq!(in_pieces.whole(), at_once.whole());
            prop_assert_eq!(in_pieces.last(), at_once.last());
        }
    }
}
