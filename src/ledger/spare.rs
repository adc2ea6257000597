//! Memory of rows that are stored, for the rows of later batches.
//!
//! Rows are made by many threads and freed by one. The allocator would keep what is freed for the thread that made it, so that
//! each thread would come to hold as much as all connections together have in flight.

use parking_lot::Mutex;

use super::entry::Entry;
use crate::domain::{AgencyId, Rows};

/// The most memory that is kept for one batch. A frame's rows take less.
const MAX_BUFFER: usize = 16 * 1024;
/// The most memory that is kept in all: about what may stand in line at once.
const MAX_SPARE: usize = 8 * 1024 * 1024;

/// See the module.
#[derive(Default)]
pub struct Spare(Mutex<Buffers>);

#[derive(Default)]
struct Buffers {
    free: Vec<Vec<u8>>,
    bytes: usize,
}

impl Spare {
    /// Room for rows that are put in line soon.
    pub fn rows(&self, agency: AgencyId) -> Rows {
        let mut rows = Rows::new(agency);
        let mut buffers = self.0.lock();
        if let Some(buffer) = buffers.free.pop() {
            buffers.bytes -= buffer.capacity();
            rows.bring_back(buffer);
        }
        rows
    }

    /// Takes the memory of rows that nobody needs any more.
    pub(super) fn take(&self, entries: Vec<Entry>) {
        let mut buffers = self.0.lock();
        for entry in entries {
            let Entry::Bets { mut rows, .. } = entry else { continue };
            rows.clear();
            let buffer = rows.take_bytes();
            if (1..=MAX_BUFFER).contains(&buffer.capacity()) && buffers.bytes + buffer.capacity() <= MAX_SPARE {
                buffers.bytes += buffer.capacity();
                buffers.free.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Bet;

    const ONE: AgencyId = AgencyId(1);

    fn entry(mut rows: Rows, bets: usize) -> Entry {
        (0..bets).for_each(|_| rows.push(&Bet::new(["Ana", "Paz", "1", "2000-01-01", "7"]).unwrap()));
        Entry::Bets { agency: ONE, place: None, rows }
    }

    fn kept(spare: &Spare) -> (usize, usize) {
        let buffers = spare.0.lock();
        assert_eq!(buffers.free.iter().map(Vec::capacity).sum::<usize>(), buffers.bytes);
        (buffers.free.len(), buffers.bytes)
    }

    #[test]
    fn memory_is_used_again_and_nothing_that_was_in_it() {
        let spare = Spare::default();
        spare.take(vec![
            entry(spare.rows(ONE), 100),
            Entry::Done { agency: ONE, declaration: None },
            entry(Rows::new(ONE), 0),
        ]);
        let (count, bytes) = kept(&spare);
        assert!(count == 1 && bytes > 2000);
        let Entry::Bets { rows, .. } = entry(spare.rows(AgencyId(2)), 1) else { unreachable!() };
        assert_eq!((rows.bytes(), rows.count()), (&b"2,Ana,Paz,1,2000-01-01,7\r\n"[..], 1));
        assert_eq!(kept(&spare), (0, 0));
        spare.take(vec![Entry::Bets { agency: ONE, place: None, rows }]);
        assert_eq!(kept(&spare), (1, bytes), "it is the same memory");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let spare = Spare::default();
        spare.take(vec![entry(Rows::new(ONE), 1000)]);
        assert_eq!(kept(&spare), (0, 0), "a batch in many frames has more than others need");
        spare.take((0..2000).map(|_| entry(Rows::new(ONE), 200)).collect());
        let (count, bytes) = kept(&spare);
        assert!(bytes <= MAX_SPARE && bytes > MAX_SPARE - MAX_BUFFER && count < 2000);
    }
}
