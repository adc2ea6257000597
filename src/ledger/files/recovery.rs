//! Opens the ledger: reads the journal, checks every byte of `bets.csv` against it, restores rows that a power loss has left
//! in the journal alone, cuts off rows that were never committed, and refuses any state that no crash can leave.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use memchr::memchr_iter;
use time::{OffsetDateTime, macros::format_description};

use super::disk::{Folder, Medium, RealFolder};
use super::journal::{self, Journal, MAX_JOURNAL};
use super::limits::Limits;
use super::open_error::OpenError;
use super::papers::Papers;
use super::record::Damage;
use super::replay::{Replayed, replay};
use super::rows::for_each_chunk;
use super::writer::Writer;
use super::{BETS, Files, JOURNAL, Notice, Tell};
use crate::domain::{Draw, Register, Rules, SaidRules, SealStep, WinningNumber};
use crate::ledger::Store as _;
use crate::ledger::find::agency_of;
use crate::ledger::line::MAX_GROUP;

/// The name of a file that keeps what was cut off `bets.csv`: this and the time.
const CUT: &str = "bets.csv.cut-";
/// The number of such files that are kept, the newest ones.
const KEPT_CUTS: usize = 8;

/// How often a long start reports its progress.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What a start has found, and what it has dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Committed bets.
    pub bets: u64,
    /// The files were not closed in order.
    pub after_crash: bool,
    /// Bytes of committed rows that `bets.csv` did not have, and the journal had.
    pub restored_bytes: u64,
    /// Bytes behind the committed rows of `bets.csv`, which were cut off.
    pub dropped_bytes: u64,
    /// The number of whole rows in those bytes.
    pub dropped_rows: usize,
    /// The file that keeps those bytes, and what else was found in the place of restored ones.
    pub kept_in: Option<String>,
    /// Records of an incomplete write at the end of the journal.
    pub dropped_records: usize,
    /// Betting is closed, and what is stored is sealed.
    pub is_sealed: bool,
    /// The number drawn, if the draw was held.
    pub drawn: Option<u32>,
}

/// Opens the store of a central as a start does, and closes it.
pub fn recover(path: &Path) -> Result<Recovered, OpenError> {
    let folder = RealFolder::to_read(path);
    if parse_journal(&folder, &journal_bytes(&folder)?)?.format == journal::FIRST_FORMAT {
        // A start would record its settings as the lottery's rules.
        let what = "is of an older version: start this version's central on the store once";
        return Err(OpenError::at(&folder.path(JOURNAL), what));
    }
    let (files, recovered) = Files::open(path, SaidRules::default(), Box::new(|_| ()))?;
    files.close().map_err(|error| OpenError::at(path, &error.0))?;
    Ok(recovered)
}

pub fn open(
    folder: &dyn Folder,
    said: SaidRules,
    limits: Limits,
    tell: Tell,
) -> Result<(Writer, Register, Rules, Recovered), OpenError> {
    let at = |name, action| OpenError::of(folder, name, action);
    let replay_from =
        |journal: Journal| replay(journal, limits.block).map_err(|what| OpenError::at(&folder.path(JOURNAL), &what));
    if !folder.exists(BETS).map_err(at(BETS, "look for it"))?
        && folder.exists(JOURNAL).map_err(at(JOURNAL, "look for it"))?
    {
        // This has to be checked before `open_alone`, which creates an empty file.
        let committed = replay_from(read_journal(folder, 0)?)?.checksums.length();
        if committed > 0 {
            let what = format!(
                "missing, though {JOURNAL} beside it says that {committed} bytes of it were acknowledged; \
                 restore it, or move {JOURNAL} away to start a new lottery"
            );
            return Err(OpenError::at(&folder.path(BETS), &what));
        }
    }
    let bets = folder.open_alone(BETS).map_err(at(BETS, "open"))?;
    let length = bets.len().map_err(at(BETS, "tell its length"))?;
    let journal = read_journal(folder, length)?;
    let dropped_records = journal.torn_records;
    let mut replayed = replay_from(journal)?;
    let committed = replayed.checksums.length();
    check_bets(&*bets, length, &replayed, &tell).map_err(|what| OpenError::at(&folder.path(BETS), &what))?;
    count_rows(&*bets, &mut replayed).map_err(at(BETS, "count its rows"))?;
    let Replayed { mut register, checksums, in_use, papers, unsynced, .. } = replayed;
    let rules =
        settle_rules(&mut register, said).map_err(|what| OpenError::misconfigured(&folder.path(BETS), &what))?;
    let papers = Papers::open(folder, papers)?;
    for line in papers.acta.iter().flat_map(|acta| acta.lines()) {
        register.set_root(line.agency, line.bets, line.root);
    }
    let lacking = unsynced.compare(&*bets, length).map_err(at(BETS, "read"))?;
    // What a crash cannot leave is kept too, before the journal's rows take its place.
    let kept_from = lacking.other.unwrap_or(committed);
    let mut kept = vec![0; length.saturating_sub(kept_from) as usize];
    let mut kept_in = None;
    if !kept.is_empty() {
        bets.read_exact_at(&mut kept, kept_from).map_err(at(BETS, "read"))?;
        kept_in = Some(keep(folder, &kept)?);
    }
    let tail = kept.get((committed - kept_from) as usize..).unwrap_or_default();
    if !tail.is_empty() {
        bets.set_len(committed).map_err(at(BETS, "shorten"))?;
    }
    unsynced.restore(&*bets).map_err(at(BETS, "restore"))?;
    // This is needed without a cut too: an earlier start may have made a cut and failed to sync it.
    bets.sync().map_err(at(BETS, "sync"))?;
    let recovered = Recovered {
        bets: register.accounts().map(|(_, account)| account.stored).sum(),
        after_crash: in_use,
        restored_bytes: lacking.bytes,
        dropped_bytes: tail.len() as u64,
        dropped_rows: memchr_iter(b'\n', tail).count(),
        kept_in,
        dropped_records,
        is_sealed: register.seal() != SealStep::Open,
        drawn: match register.draw() {
            Draw::Open => None,
            Draw::Held { number, .. } => Some(number),
        },
    };
    let writer = Writer::start(folder, bets, checksums, papers, &register, limits, tell)
        .map_err(|failure| OpenError::at(&folder.path(JOURNAL), &failure.to_string()))?;
    Ok((writer, register, rules, recovered))
}

/// The rules of the lottery. If it has begun and no rules are recorded, which the first format did not do, they are recorded.
fn settle_rules(register: &mut Register, said: SaidRules) -> Result<Rules, String> {
    let mut said = said;
    if let (None, Draw::Held { number, .. }) = (register.rules(), register.draw()) {
        said.winning_number = Some(WinningNumber::Known(number));
    }
    let rules = said.resolve(register.rules()).ok_or_else(|| {
        let Rules { roster, winning_number } = register.rules().unwrap_or(Rules::DEFAULT);
        format!(
            "this lottery was begun with CLIENT_AMOUNT {roster} and --winning-number {winning_number}, but this start has \
             other values; leave both out, or choose another --store"
        )
    })?;
    let roster = rules.roster;
    if let Some(agency) = register.stranger(roster) {
        return Err(format!(
            "holds bets or the DONE of agency {agency}, which is not one of 1 to {roster}; \
             give the CLIENT_AMOUNT that this lottery began with, or choose another --store"
        ));
    }
    if register.highest() > 0 {
        register.record_rules(rules);
    }
    Ok(rules)
}

/// Writes what will be cut off or replaced in `bets.csv` to a file of its own, and returns its name. After a crash there are no acknowledged
/// rows in it, but there are if a person has put an older journal beside newer rows.
fn keep(folder: &dyn Folder, tail: &[u8]) -> Result<String, OpenError> {
    let now = OffsetDateTime::now_utc();
    let time = format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:6]Z");
    let name = format!("{CUT}{}", now.format(time).unwrap_or_default());
    let write = || {
        let file = folder.create(&name)?;
        file.write_all_at(tail, 0)?;
        file.sync()?;
        folder.sync_names()?;
        folder.names()
    };
    let names = write().map_err(|error| {
        let _ = folder.remove(&name);
        OpenError::at(&folder.path(&name), &format!("cannot keep what has to be cut off {BETS}: {error}"))
    })?;
    let mut older: Vec<String> = names.into_iter().filter(|other| other.starts_with(CUT) && *other != name).collect();
    older.sort_unstable_by(|one, other| other.cmp(one));
    // One that cannot be removed does no harm.
    older.iter().skip(KEPT_CUTS - 1).for_each(|name| _ = folder.remove(name));
    Ok(name)
}

fn read_journal(folder: &dyn Folder, bets_length: u64) -> Result<Journal, OpenError> {
    let path = folder.path(JOURNAL);
    let failed = |action| OpenError::of(folder, JOURNAL, action);
    if !folder.exists(JOURNAL).map_err(failed("look for it"))? {
        return if bets_length == 0 {
            Ok(Journal::default())
        } else {
            let what = format!(
                "missing, though {BETS} beside it holds {bets_length} bytes; \
                 restore it, or move {BETS} away to start a new lottery"
            );
            Err(OpenError::at(&path, &what))
        };
    }
    parse_journal(folder, &journal_bytes(folder)?)
}

/// The journal as it is.
pub fn journal_bytes(folder: &dyn Folder) -> Result<Vec<u8>, OpenError> {
    let failed = |action| OpenError::of(folder, JOURNAL, action);
    let file = folder.open(JOURNAL).map_err(failed("open"))?;
    let length = file.len().map_err(failed("tell its length"))?;
    if length > MAX_JOURNAL {
        let what = format!("byte {MAX_JOURNAL}: a journal has no more bytes than this, but this file has {length}");
        return Err(OpenError::at(&folder.path(JOURNAL), &what));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0).map_err(failed("read"))?;
    Ok(bytes)
}

pub fn parse_journal(folder: &dyn Folder, bytes: &[u8]) -> Result<Journal, OpenError> {
    journal::read(bytes).map_err(|Damage { offset, what }| {
        OpenError::at(&folder.path(JOURNAL), &format!("byte {offset}: {what}; restore both files from a copy"))
    })
}

fn check_bets(bets: &dyn Medium, length: u64, replayed: &Replayed, tell: &Tell) -> Result<(), String> {
    let (committed, synced) = (replayed.checksums.length(), replayed.unsynced.start);
    if length < synced {
        return Err(too_short(length, synced));
    }
    let tail = length.saturating_sub(committed);
    let allowed = if replayed.in_use { MAX_GROUP as u64 } else { 0 };
    if tail > allowed {
        return Err(format!(
            "byte {committed}: {tail} bytes follow that {JOURNAL} does not cover, \
             but a crash can leave {allowed} at most; restore both files from a copy, or remove what was added"
        ));
    }
    let tell = |bytes| tell(Notice::Checking { bytes, of: committed });
    let whole = replayed.unsynced.over(bets);
    let mismatch = replayed
        .checksums
        .first_mismatch(&whole, TELL_EVERY, &tell)
        .map_err(|error| format!("cannot read: {error}"))?;
    mismatch.map_or(Ok(()), |range| Err(damaged(&range)))
}

/// What is wrong with a block whose checksum is not that of the journal.
pub fn damaged(Range { start, end }: &Range<u64>) -> String {
    format!(
        "byte {start}: damaged somewhere from here to byte {end} (the checksum is wrong); \
         restore both files from a copy"
    )
}

/// What is wrong with a file that has not even the bytes that were acknowledged.
pub fn too_short(length: u64, committed: u64) -> String {
    format!("ends at byte {length}, but {committed} bytes were acknowledged; restore both files from a copy")
}

/// Counts the rows that the register does not count yet.
fn count_rows(bets: &dyn Medium, replayed: &mut Replayed) -> io::Result<()> {
    let Replayed { register, checksums, counted, unsynced, .. } = replayed;
    for_each_chunk(&unsynced.over(bets), *counted, checksums.length(), |rows| {
        rows.split_inclusive(|byte| *byte == b'\n').try_for_each(|row| {
            let agency = agency_of(row).ok_or_else(|| io::Error::other("a row does not start with an agency"))?;
            register.update(agency, |account| {
                account.stored += 1;
                account.checksum = account.checksum.extended(row);
            });
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AgencyId;

    const ONE: AgencyId = AgencyId(1);

    #[test]
    fn rules_are_recorded_by_a_start_only_if_the_lottery_has_begun() {
        let said = SaidRules { roster: None, winning_number: Some(WinningNumber::Known(5)) };
        let mut register = Register::default();
        let rules = settle_rules(&mut register, said).unwrap();
        assert_eq!((rules.winning_number, register.rules()), (WinningNumber::Known(5), None));
        register.update(ONE, |account| account.stored = 1);
        settle_rules(&mut register, said).unwrap();
        assert_eq!(register.rules(), Some(rules));
    }
}
