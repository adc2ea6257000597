//! The root of the hash tree over the agency's bets, computed while they are read. Its thread is its own: hashing a bet takes
//! about as long as sending it.

use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use memchr::memchr_iter;

use crate::domain::seal::{Declared, Leaves};
use crate::domain::tree::Tree;
use crate::domain::{Rows, Secret};
use crate::error::{Error, Result};

/// Bytes of rows that are handed over at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait to be hashed. Whoever reads rows faster than they are hashed waits for them.
const MOST_CHUNKS: usize = 4;

pub(super) struct Root {
    /// How many rows were given.
    rows: u64,
    /// Those that were not handed over yet.
    chunk: Vec<u8>,
    /// None once the thread has to end.
    work: Option<Sender<Work>>,
    /// Chunks whose rows are hashed, to be filled again.
    hashed: Receiver<Vec<u8>>,
    roots: Receiver<Declared>,
    thread: Option<JoinHandle<()>>,
}

enum Work {
    Rows(Vec<u8>),
    /// Tell the root of all rows before.
    Tell,
}

impl Root {
    pub(super) fn start(secret: &Secret) -> Result<Root> {
        let (leaves, (work, to_do)) = (secret.leaves(), bounded(MOST_CHUNKS));
        let ((done, hashed), (root, roots)) = (bounded(MOST_CHUNKS), bounded(1));
        let thread = thread::Builder::new().name("root".to_owned()).spawn(move || hash(&leaves, &to_do, &done, &root));
        let thread = thread.map_err(|error| Error::failed(format!("cannot start a thread: {error}")))?;
        Ok(Root { rows: 0, chunk: Vec::new(), work: Some(work), hashed, roots, thread: Some(thread) })
    }

    /// How many rows it has, the file's first ones.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes rows, of which the first has this place in the file. Those that it has already are left out.
    pub(super) fn take(&mut self, first: u64, rows: &Rows) -> Result<()> {
        let known = self.rows.saturating_sub(first);
        if first > self.rows || known >= rows.count() {
            return Ok(());
        }
        self.rows = first + rows.count();
        self.chunk.extend_from_slice(rows.split_at(known).1);
        if self.chunk.len() < CHUNK_BYTES { Ok(()) } else { self.hand_over() }
    }

    /// The number of rows so far, and their root.
    pub(super) fn tell(&mut self) -> Result<Declared> {
        self.hand_over()?;
        self.send(Work::Tell)?;
        self.roots.recv().map_err(|_| ended())
    }

    fn hand_over(&mut self) -> Result<()> {
        let next = self.hashed.try_recv().unwrap_or_default();
        let chunk = std::mem::replace(&mut self.chunk, next);
        self.send(Work::Rows(chunk))
    }

    fn send(&self, work: Work) -> Result<()> {
        self.work.as_ref().and_then(|to| to.send(work).ok()).ok_or_else(ended)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            // It has at most a few chunks left to hash.
            let _ = thread.join();
        }
    }
}

fn ended() -> Error {
    Error::failed("the thread that hashes the bets has ended")
}

fn hash(leaves: &Leaves, work: &Receiver<Work>, done: &Sender<Vec<u8>>, root: &Sender<Declared>) {
    let mut tree = Tree::default();
    for work in work {
        match work {
            Work::Rows(mut rows) => {
                let mut start = 0;
                // A row is one line: no value holds a line feed.
                for end in memchr_iter(b'\n', &rows) {
                    tree.push(leaves.leaf(tree.leaves(), &rows[start..=end]));
                    start = end + 1;
                }
                rows.clear();
                // Without room for it, its memory is given back.
                let _ = done.try_send(rows);
            }
            Work::Tell if root.send(Declared { bets: tree.leaves(), root: tree.root() }).is_err() => return,
            Work::Tell => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AgencyId, Bet};
    use proptest::prelude::*;

    fn rows(from: u64, to: u64) -> Rows {
        let mut rows = Rows::new(AgencyId(3));
        for row in from..to {
            let document = row.to_string();
            rows.push(&Bet::new(["Ana, \"A\"", "Paz", &document, "2000-01-01", "7"]).unwrap());
        }
        rows
    }

    #[test]
    fn more_rows_than_are_held_at_once_give_their_root() {
        let (secret, mut root, mut tree) = (Secret([7; 32]), Root::start(&Secret([7; 32])).unwrap(), Tree::default());
        for from in (0..30_000).step_by(1000) {
            let rows = rows(from, from + 1000);
            root.take(from, &rows).unwrap();
            for row in rows.bytes().split_inclusive(|byte| *byte == b'\n') {
                tree.push(secret.leaves().leaf(tree.leaves(), row));
            }
        }
        assert_eq!(root.tell().unwrap(), Declared { bets: 30_000, root: tree.root() });
    }

    proptest! {
        #[test]
        fn a_row_counts_once_however_often_it_is_read(steps in prop::collection::vec((0..50_u64, 0..50_u64), 0..12)) {
            let mut root = Root::start(&Secret([7; 32])).unwrap();
            let mut most = 0;
            for (back, length) in steps {
                let from = most - back.min(most);
                root.take(from, &rows(from, from + length)).unwrap();
                most = most.max(from + length);
                prop_assert_eq!(root.rows(), most);
            }
            let mut whole = Root::start(&Secret([7; 32])).unwrap();
            whole.take(0, &rows(0, most)).unwrap();
            prop_assert_eq!(root.tell().unwrap(), whole.tell().unwrap());
        }
    }
}
