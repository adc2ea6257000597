//! Checksums of `bets.csv`: one for each whole block, and a running one for the block at its end. Blocks grow with the file,
//! so that the number of checksums stays bounded.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crc32fast::Hasher;

use super::disk::{CHUNK, Medium};

/// The bytes of a block in a small file. Damage is located to a block.
pub const BLOCK: u64 = 256 * 1024;

/// If there are more whole blocks than this, a snapshot joins them in pairs.
pub const MAX_BLOCKS: usize = 4096;

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
    /// The size of the blocks in a file of this length that has `whole` of them, if the smallest size is `smallest`.
    pub fn block_size(smallest: u64, length: u64, whole: usize) -> u64 {
        let mut block = smallest;
        while length / block > (whole as u64).max(1) {
            block *= 2;
        }
        block
    }

    /// Continues from the checksums in a journal. None if their number does not fit the length.
    pub fn resume(block: u64, length: u64, whole: Vec<u32>, last: u32) -> Option<Checksums> {
        let last = Hasher::new_with_initial_len(last, length % block);
        (whole.len() as u64 == length / block).then_some(Checksums { block, length, whole, last })
    }

    /// Those of the same blocks, of which no byte is there yet.
    pub fn restarted(&self) -> Checksums {
        Checksums { block: self.block, length: 0, whole: Vec::new(), last: Hasher::new() }
    }

    /// Of the same blocks, those of a longer file or of the same: the first block, as far as there are bytes, that has others.
    pub fn first_difference(&self, all: &Checksums) -> Option<Range<u64>> {
        let differs = |(ours, theirs): (&u32, &u32)| ours != theirs;
        let at_end = self.length == all.length && self.last() != all.last();
        let end = at_end.then_some(self.whole.len());
        let block = self.whole.iter().zip(&all.whole).position(differs).or(end)? as u64;
        Some(block * self.block..all.length.min((block + 1) * self.block))
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

    /// Adds bytes that are appended to the file.
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

    /// Joins blocks in pairs until at most `most` are whole. The file need not be read for that.
    pub fn coarsen(&mut self, most: usize) {
        while self.whole.len() > most {
            let join = |first: u32, second: &Hasher| {
                let mut hasher = Hasher::new_with_initial_len(first, self.block);
                hasher.combine(second);
                hasher
            };
            let pairs = self.whole.chunks_exact(2);
            // An odd whole block becomes the start of the block at the end.
            if let [first] = pairs.remainder() {
                self.last = join(*first, &self.last);
            }
            let joined = |pair: &[u32]| join(pair[0], &Hasher::new_with_initial_len(pair[1], self.block)).finalize();
            self.whole = pairs.map(joined).collect();
            self.block *= 2;
        }
    }

    /// The current state, for [`Checksums::reset`] if the bytes that are added next cannot be written.
    pub fn mark(&self) -> Mark {
        Mark { length: self.length, whole: self.whole.len(), last: self.last.clone() }
    }

    pub fn reset(&mut self, mark: Mark) {
        self.length = mark.length;
        self.whole.truncate(mark.whole);
        self.last = mark.last;
    }

    /// Reads the file with as many threads as the machine has, and returns the byte range of its first block that does not
    /// match. Meanwhile, `tell` gets the number of bytes read so far, once each time that `every` has passed.
    pub fn first_mismatch(
        &self,
        file: &dyn Medium,
        every: Duration,
        tell: &dyn Fn(u64),
    ) -> io::Result<Option<Range<u64>>> {
        let blocks = self.length.div_ceil(self.block);
        let threads =
            std::thread::available_parallelism().map_or(1, |count| count.get() as u64).min(blocks.div_ceil(16));
        let (next, mismatch, done) = (AtomicU64::new(0), AtomicU64::new(u64::MAX), AtomicU64::new(0));
        let bytes_of = |block: u64| block * self.block..self.length.min((block + 1) * self.block);
        let check = |tell: &mut dyn FnMut(u64)| -> io::Result<()> {
            let mut buffer = vec![0; (CHUNK as u64).min(self.length) as usize];
            loop {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= blocks {
                    return Ok(());
                }
                let Range { mut start, end } = bytes_of(block);
                let mut hasher = Hasher::new();
                while start < end {
                    let bytes = &mut buffer[..(CHUNK as u64).min(end - start) as usize];
                    file.read_exact_at(bytes, start)?;
                    hasher.update(bytes);
                    start += bytes.len() as u64;
                    tell(done.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64);
                }
                let expected = usize::try_from(block).ok().and_then(|block| self.whole.get(block).copied());
                if hasher.finalize() != expected.unwrap_or_else(|| self.last()) {
                    mismatch.fetch_min(block, Ordering::Relaxed);
                }
            }
        };
        let mut told = Instant::now();
        let mut tell_now_and_then = |done| {
            if told.elapsed() >= every {
                told = Instant::now();
                tell(done);
            }
        };
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(|| check(&mut |_| {}))).collect();
            let own = check(&mut tell_now_and_then);
            helpers.into_iter().fold(own, |result, helper| {
                result.and(helper.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))))
            })
        })?;
        Ok(Some(mismatch.into_inner()).filter(|block| *block != u64::MAX).map(bytes_of))
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

    fn first_mismatch(checksums: &Checksums, bytes: &[u8]) -> Option<Range<u64>> {
        checksums.first_mismatch(&file_of(bytes), Duration::MAX, &|_| {}).unwrap()
    }

    #[test]
    fn a_mismatch_is_located_to_its_block() {
        let mut bytes: Vec<u8> = (0..40 * BLOCK + 5).map(|place| (place % 251) as u8).collect();
        let mut checksums = Checksums::resume(BLOCK, 0, Vec::new(), 0).unwrap();
        checksums.update(&bytes);
        assert_eq!(first_mismatch(&checksums, &bytes), None);
        let last = bytes.len() - 1;
        bytes[last] ^= 4;
        assert_eq!(first_mismatch(&checksums, &bytes), Some(40 * BLOCK..40 * BLOCK + 5));
        bytes[17 * BLOCK as usize] ^= 1;
        assert_eq!(first_mismatch(&checksums, &bytes), Some(17 * BLOCK..18 * BLOCK));
        checksums.coarsen(12);
        assert_eq!(first_mismatch(&checksums, &bytes), Some(16 * BLOCK..20 * BLOCK));
        assert_eq!(Checksums::block_size(BLOCK, checksums.length(), checksums.whole().len()), 4 * BLOCK);
    }

    #[test]
    fn it_is_told_how_far_a_check_is() {
        let bytes = vec![7; 40 * BLOCK as usize];
        let mut checksums = Checksums::resume(BLOCK, 0, Vec::new(), 0).unwrap();
        checksums.update(&bytes);
        let told = std::cell::RefCell::new(Vec::new());
        checksums.first_mismatch(&file_of(&bytes), Duration::ZERO, &|done| told.borrow_mut().push(done)).unwrap();
        let told = told.into_inner();
        assert!(
            told.is_sorted() && told.iter().all(|done| (1..=40).any(|chunks| *done == chunks * CHUNK as u64)),
            "{told:?}"
        );
    }

    proptest! {
        #[test]
        fn checksums_depend_on_the_bytes_and_not_on_their_pieces(
            sizes in prop::collection::vec(0_usize..200_000, 0..8), resume_at in 0_usize..8, most in 1_usize..8,
        ) {
            const BLOCK: u64 = 64 * 1024;
            let bytes: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|place| (place % 253) as u8).collect();
            let empty = Checksums::resume(BLOCK, 0, Vec::new(), 0).unwrap();
            let mut at_once = empty.clone();
            at_once.update(&bytes);
            let (mut in_pieces, mut start) = (empty, 0);
            for (piece, size) in sizes.iter().enumerate() {
                if piece == resume_at {
                    in_pieces.coarsen(most);
                    let Checksums { length, whole, .. } = in_pieces.clone();
                    let block = Checksums::block_size(BLOCK, length, whole.len());
                    in_pieces = Checksums::resume(block, length, whole, in_pieces.last()).unwrap();
                }
                in_pieces.update(&bytes[start..start + size]);
                start += size;
            }
            prop_assert_eq!(first_mismatch(&in_pieces, &bytes), None);
            at_once.coarsen(most);
            in_pieces.coarsen(most);
            prop_assert!(in_pieces.whole().len() <= most);
            prop_assert_eq!(in_pieces.length(), at_once.length());
            prop_assert_eq!(in_pieces.whole(), at_once.whole());
            prop_assert_eq!(in_pieces.last(), at_once.last());
        }
    }

    #[test]
    fn a_check_of_few_blocks_is_told_of_piece_by_piece_as_often_as_was_asked_for() {
        let bytes = vec![7; 10 * BLOCK as usize];
        let mut checksums = Checksums::resume(BLOCK, 0, Vec::new(), 0).unwrap();
        checksums.update(&bytes);
        for (every, expected) in [(Duration::ZERO, 10), (Duration::MAX, 0)] {
            let told = std::cell::RefCell::new(Vec::new());
            checksums.first_mismatch(&file_of(&bytes), every, &|done| told.borrow_mut().push(done)).unwrap();
            assert!(told.into_inner().into_iter().eq((1..=expected).map(|chunks| chunks * CHUNK as u64)));
        }
    }

    #[test]
    fn blocks_have_the_size_that_stores_on_disk_were_made_with_and_grow_no_sooner_than_they_must() {
        assert_eq!((BLOCK, MAX_BLOCKS), (262_144, 4096));
        let mut checksums = Checksums::resume(4, 0, Vec::new(), 0).unwrap();
        checksums.update(&[7; 32]);
        checksums.coarsen(8);
        assert_eq!(checksums.whole().len(), 8);
        checksums.coarsen(7);
        assert_eq!(checksums.whole().len(), 4);
        let size = |length, whole| Checksums::block_size(4, length, whole);
        assert_eq!([size(0, 0), size(7, 1), size(8, 2), size(8, 1), size(15, 1), size(16, 1)], [4, 4, 4, 8, 8, 16]);
    }
}
