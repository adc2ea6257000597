//! One pass over `bets.csv`, on all processors: pieces of whole lines are read in turn, parsed side by side, given their places
//! in turn, and hashed side by side. Memory does not grow with the bets.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::rows::{self, Bad, Row};
use super::salt::Salts;
use super::tree::{Node, Tree, fold};
use crate::domain::{AgencyId, Hash};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;

/// Bytes of a piece. Each thread has one, with what was made of it.
const PIECE_BYTES: usize = 512 * 1024;
/// The most threads that a pass uses.
const MAX_THREADS: usize = 8;

/// What is to be found out.
pub struct Plan {
    /// Of the agencies from 1 on, as many as there are.
    pub salts: Vec<Salts>,
    /// The winning number.
    pub number: Option<u32>,
    /// The bet whose path is wanted. Then only its agency's tree is made.
    pub wanted: Option<Wanted>,
}

/// A bet of an agency, counted from 0.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub agency: AgencyId,
    pub place: u64,
}

/// What a pass has found.
pub struct Found {
    pub agencies: Vec<Tally>,
    /// The row of the wanted bet, with its line end, and its path.
    pub bet: Option<(Vec<u8>, Vec<Node>)>,
}

/// What was found of an agency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub bets: u64,
    pub winners: u64,
    /// `None` if its tree was not to be made.
    pub root: Option<Hash>,
}

struct Source {
    file: File,
    /// The start of a line whose rest is in the next piece.
    rest: Vec<u8>,
    pieces: u64,
    ended: bool,
}

/// What the pieces before the next one hold, and where the pass has failed.
struct Order {
    next: u64,
    rows: u64,
    tallies: Vec<Tally>,
    failed: Option<Error>,
}

struct Pass<'a> {
    path: &'a Path,
    plan: &'a Plan,
    progress: &'a Progress,
    source: Mutex<Source>,
    order: Mutex<Order>,
    turn: Condvar,
    trees: Mutex<Vec<Tree>>,
    wanted_row: Mutex<Option<Vec<u8>>>,
}

/// What a thread makes of its piece. It is kept for the next one.
#[derive(Default)]
struct Piece {
    text: Vec<u8>,
    rows: Vec<Row>,
    /// Of each agency, by its place: the bets of this piece, and the leaves made of them.
    bets: Vec<u64>,
    winners: Vec<u64>,
    first: Vec<u64>,
    leaves: Vec<Vec<Node>>,
    /// The agencies that this piece has bets of.
    present: Vec<usize>,
}

/// Reads the whole file. The error names the first row that no central writes.
pub fn run(path: &Path, file: File, plan: &Plan, progress: &Progress) -> Result<Found> {
    let agencies = plan.salts.len();
    let wanted = plan.wanted.map(|wanted| (wanted.agency.0 as usize - 1, wanted.place));
    let tree = |agency| Tree::watching(wanted.filter(|(wanted, _)| *wanted == agency).map(|(_, place)| place));
    let pass = Pass {
        path,
        plan,
        progress,
        source: Mutex::new(Source { file, rest: Vec::new(), pieces: 0, ended: false }),
        order: Mutex::new(Order { next: 0, rows: 0, tallies: vec![Tally::default(); agencies], failed: None }),
        turn: Condvar::new(),
        trees: Mutex::new((0..agencies).map(tree).collect()),
        wanted_row: Mutex::new(None),
    };
    let helpers = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS) - 1;
    thread::scope(|scope| {
        for number in 0..helpers {
            // Without a helper the pass only takes longer.
            let _ = thread::Builder::new().name(format!("audit-{number}")).spawn_scoped(scope, || pass.work());
        }
        pass.work();
    });
    pass.finish()
}

impl Pass<'_> {
    fn work(&self) {
        let agencies = self.plan.salts.len();
        let mut piece = Piece {
            bets: vec![0; agencies],
            winners: vec![0; agencies],
            first: vec![0; agencies],
            leaves: vec![Vec::new(); agencies],
            ..Piece::default()
        };
        loop {
            let read = self.source.lock().next(&mut piece.text);
            match read {
                Ok(Some(turn)) => {
                    self.progress.add(piece.text.len() as u64);
                    let parsed = piece.parse(self.plan);
                    if !self.place(turn, &mut piece, parsed) {
                        return;
                    }
                    self.hash(&mut piece);
                }
                Ok(None) => return,
                Err(error) => {
                    let error = Error::at_path(Kind::Storage, self.path, "read the bets", &error);
                    self.order.lock().failed.get_or_insert(error);
                    self.turn.notify_all();
                    return;
                }
            }
        }
    }

    /// Waits for the pieces before this one, and gives its bets their places. False if the pass has failed: the first piece
    /// with a bad row is the first that comes to its turn.
    fn place(&self, turn: u64, piece: &mut Piece, parsed: Result<(), Bad>) -> bool {
        let mut order = self.order.lock();
        while order.next != turn && order.failed.is_none() {
            self.turn.wait(&mut order);
        }
        if order.failed.is_none() {
            let before = order.rows;
            order.next += 1;
            order.rows += piece.rows.len() as u64;
            if let Err(Bad { row, reason }) = parsed {
                let (path, line) = (self.path.display(), before + row + 1);
                order.failed = Some(Error::storage(format!("{path}:{line}: {reason}")));
            }
            for agency in &piece.present {
                let tally = &mut order.tallies[*agency];
                piece.first[*agency] = tally.bets;
                tally.bets += piece.bets[*agency];
                tally.winners += piece.winners[*agency];
            }
        }
        self.turn.notify_all();
        order.failed.is_none()
    }

    fn hash(&self, piece: &mut Piece) {
        let mut start = 0;
        for row in &piece.rows {
            let bytes = &piece.text[start..start + row.bytes];
            start += row.bytes;
            let agency = row.agency as usize - 1;
            let place = piece.first[agency] + piece.leaves[agency].len() as u64;
            if let Some(wanted) = self.plan.wanted {
                if wanted.agency.0 != row.agency {
                    continue;
                }
                if wanted.place == place {
                    *self.wanted_row.lock() = Some(bytes.to_vec());
                }
            }
            piece.leaves[agency].push(self.plan.salts[agency].leaf(place, bytes));
        }
        let watched = self.plan.wanted.map(|wanted| wanted.place);
        for agency in &piece.present {
            let leaves = std::mem::take(&mut piece.leaves[*agency]);
            let folded = fold(piece.first[*agency], leaves, watched);
            self.trees.lock()[*agency].add(folded);
        }
    }

    fn finish(self) -> Result<Found> {
        let order = self.order.into_inner();
        if let Some(error) = order.failed {
            return Err(error);
        }
        let mut found = Found { agencies: order.tallies, bet: None };
        for (agency, (tally, tree)) in found.agencies.iter_mut().zip(self.trees.into_inner()).enumerate() {
            let wanted = self.plan.wanted.map(|wanted| wanted.agency.0 as usize - 1 == agency);
            if wanted == Some(false) {
                continue;
            }
            let (root, path) =
                tree.finish(tally.bets).ok_or_else(|| Error::failed("a tree is not whole: report it"))?;
            tally.root = Some(Hash(root));
            if wanted.is_some() {
                found.bet = self.wanted_row.lock().take().map(|row| (row, path));
            }
        }
        Ok(found)
    }
}

impl Source {
    /// Reads the next piece, which ends with a line's end, and tells its turn. Only the last one may end otherwise, or one
    /// whose line is longer than any row.
    fn next(&mut self, piece: &mut Vec<u8>) -> io::Result<Option<u64>> {
        if self.ended {
            return Ok(None);
        }
        piece.clear();
        piece.append(&mut self.rest);
        let wanted = PIECE_BYTES.saturating_sub(piece.len()) as u64;
        let read = (&self.file).take(wanted).read_to_end(piece).inspect_err(|_| self.ended = true)?;
        if (read as u64) < wanted {
            self.ended = true;
        } else if let Some(end) = memchr::memrchr(b'\n', piece) {
            self.rest.extend_from_slice(&piece[end + 1..]);
            piece.truncate(end + 1);
        } else {
            // A line without an end: whoever parses it says so, and what follows it does not matter.
            self.ended = true;
        }
        self.pieces += 1;
        Ok(Some(self.pieces - 1))
    }
}

impl Piece {
    fn parse(&mut self, plan: &Plan) -> Result<(), Bad> {
        for agency in self.present.drain(..) {
            (self.bets[agency], self.winners[agency]) = (0, 0);
        }
        self.rows.clear();
        let parsed = rows::read(&self.text, plan.salts.len() as u32, &mut self.rows);
        for row in &self.rows {
            let agency = row.agency as usize - 1;
            if self.bets[agency] == 0 {
                self.present.push(agency);
            }
            self.bets[agency] += 1;
            self.winners[agency] += u64::from(Some(row.number) == plan.number);
        }
        parsed
    }
}
