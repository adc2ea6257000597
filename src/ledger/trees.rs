//! The hash trees over what is stored, computed by one pass over the bets in memory that does not grow with them.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use memchr::memchr_iter;

use super::entry::IsStopping;
use super::find::agency_of;
use crate::domain::seal::Leaves;
use crate::domain::tree::{Stretch, Tree};
use crate::domain::{AgencyId, Secret};

/// Threads that hash rows. More than these would wait for the one that reads and puts the trees together.
const MAX_THREADS: usize = 4;
/// Pieces that a thread has or has done: with one alone it would wait for the reader after each.
const AHEAD: usize = 3;

/// The tree of an agency while it grows.
struct Growing {
    leaves: Leaves,
    /// Rows that were read so far.
    read: u64,
    tree: Tree,
}

/// Rows whose leaves are to be hashed.
#[derive(Default)]
struct Piece {
    rows: Vec<u8>,
    runs: Vec<Run>,
}

/// Rows of one agency, one behind another.
struct Run {
    agency: AgencyId,
    leaves: Leaves,
    /// The place of the first one among the agency's bets.
    first: u64,
    /// Where they end in the piece.
    end: usize,
}

/// The leaves of a piece, hashed run by run.
struct Hashed {
    stretches: Vec<(AgencyId, Stretch)>,
    /// The memory of the piece's rows, for another.
    rows: Vec<u8>,
}

/// Takes pieces of whole rows.
pub type TakeRows<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// The trees over these agencies' bets, which `read` passes on in the order of each agency's bets.
pub fn trees(
    read: impl FnOnce(TakeRows<'_>) -> io::Result<()>,
    secrets: &BTreeMap<AgencyId, Secret>,
    is_stopping: IsStopping<'_>,
) -> io::Result<BTreeMap<AgencyId, Tree>> {
    let start = |(agency, secret): (&AgencyId, &Secret)| {
        (*agency, Growing { leaves: secret.leaves(), read: 0, tree: Tree::default() })
    };
    let mut growing: BTreeMap<AgencyId, Growing> = secrets.iter().map(start).collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get).clamp(1, MAX_THREADS);
    thread::scope(|scope| {
        // A piece goes to each thread in turn, so they come back in the order of the rows.
        let lanes: Vec<(Sender<Piece>, Receiver<Hashed>)> = (0..threads)
            .map(|_| {
                let (give, pieces) = bounded::<Piece>(AHEAD);
                let (done, take) = bounded(AHEAD);
                scope.spawn(move || pieces.iter().try_for_each(|piece| done.send(hash(piece))));
                (give, take)
            })
            .collect();
        let ended = || io::Error::other("a thread has ended");
        let (mut given, ahead) = (0, AHEAD * threads);
        let take = |growing: &mut BTreeMap<AgencyId, Growing>, piece: usize| {
            let Hashed { stretches, rows } = lanes[piece % threads].1.recv().map_err(|_| ended())?;
            for (agency, stretch) in stretches {
                growing.get_mut(&agency).into_iter().for_each(|growing| growing.tree.append(&stretch));
            }
            Ok::<_, io::Error>(rows)
        };
        read(&mut |rows: &[u8]| {
            if is_stopping() {
                return Err(io::Error::other("the central is stopping"));
            }
            let memory = if given < ahead { Vec::new() } else { take(&mut growing, given - ahead)? };
            let piece = split(rows, memory, &mut growing)?;
            lanes[given % threads].0.send(piece).map_err(|_| ended())?;
            given += 1;
            Ok(())
        })?;
        (given.saturating_sub(ahead)..given).try_for_each(|piece| take(&mut growing, piece).map(drop))?;
        drop(lanes);
        Ok(growing.into_iter().map(|(agency, growing)| (agency, growing.tree)).collect())
    })
}

/// The rows of those agencies whose trees are wanted.
fn split(rows: &[u8], mut memory: Vec<u8>, growing: &mut BTreeMap<AgencyId, Growing>) -> io::Result<Piece> {
    memory.clear();
    memory.reserve(rows.len());
    let mut piece = Piece { rows: memory, runs: Vec::new() };
    // Rows of one agency mostly follow one another, since they come in batches.
    let mut run: Option<(AgencyId, &[u8])> = None;
    let mut start = 0;
    for end in memchr_iter(b'\n', rows).map(|line_feed| line_feed + 1) {
        let row = &rows[start..end];
        start = end;
        match run {
            Some((_, digits)) if row.strip_prefix(digits).is_some() => {}
            _ => {
                let agency = agency_of(row).ok_or_else(|| io::Error::other("a row does not start with an agency"))?;
                let comma = memchr::memchr(b',', row).map_or(0, |comma| comma + 1);
                run = Some((agency, &row[..comma]));
                if let Some(growing) = growing.get(&agency) {
                    let (leaves, first) = (growing.leaves.clone(), growing.read);
                    piece.runs.push(Run { agency, leaves, first, end: piece.rows.len() });
                }
            }
        }
        let Some((agency, _)) = run else { continue };
        if let (Some(growing), Some(run)) = (growing.get_mut(&agency), piece.runs.last_mut()) {
            growing.read += 1;
            piece.rows.extend_from_slice(row);
            run.end = piece.rows.len();
        }
    }
    Ok(piece)
}

fn hash(piece: Piece) -> Hashed {
    let mut start = 0;
    let hash = |run: &Run| {
        let rows = &piece.rows[start..run.end];
        start = run.end;
        let mut stretch = Stretch::new(run.first);
        let mut begin = 0;
        for (place, line_feed) in (run.first..).zip(memchr_iter(b'\n', rows)) {
            stretch.push(run.leaves.leaf(place, &rows[begin..=line_feed]));
            begin = line_feed + 1;
        }
        (run.agency, stretch)
    };
    Hashed { stretches: piece.runs.iter().map(hash).collect(), rows: piece.rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Hash;

    #[test]
    fn each_agency_has_the_tree_of_its_own_rows() {
        let mut random = fastrand::Rng::with_seed(1);
        let secrets: BTreeMap<AgencyId, Secret> =
            (1..=4).map(|agency| (AgencyId(agency), Secret([agency as u8; 32]))).collect();
        let (mut rows, mut naive) = (Vec::new(), BTreeMap::<AgencyId, Tree>::new());
        secrets.keys().for_each(|agency| _ = naive.entry(*agency).or_default());
        // Those of agency 11 are nobody's business, and begin as those of agency 1 do. Agency 4 has none.
        let mut agency = 1;
        for number in 0..30_000 {
            if random.u8(..) < 60 {
                agency = [1, 2, 3, 11][random.usize(..4)];
            }
            let row = format!("{agency},{},{number}\r\n", "x".repeat(random.usize(..40)));
            rows.extend_from_slice(row.as_bytes());
            if let Some(secret) = secrets.get(&AgencyId(agency)) {
                let tree = naive.entry(AgencyId(agency)).or_default();
                tree.push(secret.leaves().leaf(tree.leaves(), row.as_bytes()));
            }
        }
        let read = |take: TakeRows<'_>| {
            rows.chunk_by(|one, _| *one != b'\n')
                .collect::<Vec<_>>()
                .chunks(997)
                .try_for_each(|piece| take(&piece.concat()))
        };
        let found = trees(read, &secrets, &|| false).unwrap();
        let roots = |trees: &BTreeMap<AgencyId, Tree>| -> Vec<(AgencyId, u64, Hash)> {
            trees.iter().map(|(agency, tree)| (*agency, tree.leaves(), tree.root())).collect()
        };
        assert_eq!(roots(&found), roots(&naive));
        assert!(trees(read, &secrets, &|| true).is_err(), "a stop ends it");
    }
}
