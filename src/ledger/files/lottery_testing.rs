//! What tests of the ledger have in common: its agencies, and the comparison of what is stored with what they know.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::limits::Limits;
use super::simulated_disk::SimFolder;
use super::{BETS, Files, OpenError, Recovered};
use crate::domain::acta::Signed;
use crate::domain::seal::Sealed;
use crate::domain::tree::Tree;
use crate::domain::{AgencyId, Bet, Draw, Hash, Place, Roster, Rows, SaidRules, SealStep, Status, WinningNumber};
use crate::ledger::{DrawOrder, Entry, Held, StorageError, Store, Verdict};

pub const AGENCIES: u32 = 3;
pub const WINNING_NUMBER: u32 = 1;
pub const RULES: SaidRules =
    SaidRules { roster: Some(Roster::Fixed(AGENCIES)), winning_number: Some(WinningNumber::Known(WINNING_NUMBER)) };

/// These are so small that most lotteries complete blocks, extend the journal and replace it, and that the rows of most groups
/// ride in the journal and those of some do not.
pub const LIMITS: Limits = Limits {
    block: 256,
    blocks: 3,
    growth: 512,
    step: 2048,
    ahead: 1024,
    reserve: 512,
    riding: 600,
    log_bytes: 3072,
    rows_behind: 1500,
};

/// What the agencies know.
#[derive(Clone, Default)]
pub struct Agencies {
    /// The sizes of the batches that may be stored.
    pub sent: BTreeMap<u32, Vec<u64>>,
    pub acknowledged: BTreeMap<u32, u64>,
    /// The number of bets that were sent before a DONE that was not acknowledged.
    pub before_done: BTreeMap<u32, u64>,
    pub done: Vec<u32>,
    /// How those are done whose DONE was acknowledged.
    pub statuses: BTreeMap<u32, Status>,
    /// The seal, and its time.
    pub sealed: Option<(Hash, u64)>,
    pub draw: Draw,
    /// What the centrals did: `s` for a start, `r` for a commit whose rows ride in the journal, `l` for one with rows that do not, `c`
    /// for a checkpoint that made rows ride no more.
    pub steps: String,
}

/// The document of each bet is its place in the agency's sequence.
pub fn batch(agency: u32, first: u64, count: u64, padding: usize) -> Rows {
    let mut rows = Rows::new(AgencyId(agency));
    let name = "x".repeat(1 + padding);
    for document in first..first + count {
        let document = document.to_string();
        let bet = Bet::new([&name, "Paz, la \"Ñ\"", &document, "2000-01-01", "7"]).unwrap();
        rows.push(&bet);
    }
    rows
}

pub fn open(folder: &SimFolder) -> Result<(Files, Recovered), OpenError> {
    open_and_count(folder, &Arc::default())
}

/// Counts the ledger's notices.
pub fn open_and_count(folder: &SimFolder, told: &Arc<Mutex<u32>>) -> Result<(Files, Recovered), OpenError> {
    let told = told.clone();
    Files::open_in(Box::new(folder.clone()), RULES, LIMITS, Box::new(move |_| *told.lock() += 1))
}

/// Opens the files of a folder with other sizes.
pub fn open_with(folder: &SimFolder, limits: Limits) -> Files {
    Files::open_in(Box::new(folder.clone()), RULES, limits, Box::new(|_| ())).unwrap().0
}

/// The verdict on one entry.
pub fn ask(files: &Files, entry: Entry) -> Verdict {
    files.commit(&[entry]).remove(0)
}

pub fn account(files: &Files, agency: u32) -> (u64, bool) {
    match ask(files, Entry::Account { agency: AgencyId(agency) }) {
        Verdict::Account { stored, is_closed, .. } => (stored, is_closed),
        other => panic!("{other:?}"),
    }
}

/// Opens the files on an image and compares them with what the agencies know.
pub fn check(image: &SimFolder, agencies: &Agencies, context: &str) -> Recovered {
    let (files, recovered) = open(image).unwrap_or_else(|error| panic!("{context}: refused to start: {error}"));
    compare(&files, &recovered, image, agencies, context);
    recovered
}

pub fn compare(files: &Files, recovered: &Recovered, folder: &SimFolder, agencies: &Agencies, context: &str) {
    let draw = files.state().draw;
    let mut stored_rows = 0;
    for agency in 1..=AGENCIES {
        let (stored, is_closed) = account(files, agency);
        let acknowledged = agencies.acknowledged.get(&agency).copied().unwrap_or(0);
        assert!(stored >= acknowledged, "{context}: agency {agency} lost {acknowledged} to {stored}");
        let mut ends = vec![0];
        agencies.sent.get(&agency).into_iter().flatten().for_each(|count| ends.push(ends[ends.len() - 1] + count));
        assert!(ends.contains(&stored), "{context}: {stored} is no batch's end");
        let is_done = agencies.done.contains(&agency);
        assert!(!is_done || is_closed, "{context}: DONE of {agency} is lost");
        let before_done = agencies.before_done.get(&agency).copied().unwrap_or(0);
        assert!(is_done || !is_closed || stored >= before_done, "{context}: DONE of {agency} overtook its bets");
        stored_rows += stored;
    }
    assert!(agencies.draw == Draw::Open || draw != Draw::Open, "{context}: the draw is lost");
    let announced = Draw::Held { number: WINNING_NUMBER, is_announced: true };
    assert!(agencies.draw != announced || draw == announced, "{context}: it is forgotten that the draw was announced");
    assert_eq!(recovered.bets, stored_rows, "{context}");
    let bytes = folder.bytes(BETS);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
    let mut next = [0; AGENCIES as usize];
    for row in reader.records().map(|row| row.unwrap_or_else(|error| panic!("{context}: {error}"))) {
        let (agency, document): (usize, u64) = (row[0].parse().unwrap(), row[3].parse().unwrap());
        let due = next[agency - 1];
        assert_eq!(document, due, "{context}: a bet of agency {agency} is missing, doubled or out of order");
        next[agency - 1] += 1;
    }
    assert_eq!(next.iter().sum::<u64>(), stored_rows, "{context}: rows in the file");
    compare_seal(files, &bytes, agencies, context);
}

/// The acta must be the one that was told, and its lines those of what is stored.
fn compare_seal(files: &Files, bytes: &[u8], agencies: &Agencies, context: &str) {
    let acta = files.acta();
    let told = acta.as_ref().map(|acta| (acta.seal, acta.sealed_at));
    assert!(agencies.sealed.is_none() || told == agencies.sealed, "{context}: the seal is lost, or another");
    let (register, state) = (files.register.read(), files.state());
    assert_eq!(acta.is_some(), state.seal != SealStep::Open, "{context}");
    let drawn = acta.as_ref().and_then(|acta| acta.draw.as_ref()).map(|draw| draw.number);
    let held = if let Draw::Held { number, .. } = state.draw { Some(number) } else { None };
    assert_eq!(held, drawn, "{context}: a draw without its seal and its acta");
    for (agency, status) in &agencies.statuses {
        assert_eq!(register.account(AgencyId(*agency)).done, Some(*status), "{context}: how {agency} is done");
    }
    let Some(acta) = acta else { return };
    let secret = files.writer.lock().papers.secrets.secret;
    for line in &acta.agencies {
        let (mut tree, leaves) = (Tree::default(), secret.of_agency(AgencyId(line.agency)).leaves());
        let start = format!("{},", line.agency);
        let rows = bytes.split_inclusive(|byte| *byte == b'\n').filter(|row| row.starts_with(start.as_bytes()));
        rows.for_each(|row| tree.push(leaves.leaf(tree.leaves(), row)));
        assert_eq!((line.bets, line.root), (tree.leaves(), tree.root()), "{context}: line of {}", line.agency);
        assert_eq!(Some(line.status), register.account(AgencyId(line.agency)).done, "{context}");
        assert_eq!(line.signed.is_some(), line.status == Status::Signed, "{context}: the signature of {}", line.agency);
    }
    let lines: Vec<_> = acta.lines().collect();
    assert_eq!(Sealed::of(acta.lottery, &lines, acta.sealed_at), acta.sealed(), "{context}: the seal");
}

/// Seals the lottery, and holds its draw.
pub fn close(files: &Files) -> (Result<Held, StorageError>, Result<Held, StorageError>) {
    let signed = |statement: &str| Ok(Some(Signed::new(statement, &[])));
    let sealed = files.seal(AGENCIES, &signed, &|| false);
    let held = files
        .winners(WINNING_NUMBER)
        .and_then(|winners| files.hold_draw(&DrawOrder { number: WINNING_NUMBER, signed: None }, &winners));
    (sealed, held)
}

pub fn one_bet(first: u64) -> Entry {
    let place = Some(Place { first, before: None });
    Entry::Bets { agency: AgencyId(1), place, rows: batch(1, first, 1, 0) }
}

pub fn store(files: &Files, first: u64) -> Verdict {
    let verdict = ask(files, one_bet(first));
    // What comes of it is seen by the next bet.
    let _ = files.maintain();
    verdict
}
