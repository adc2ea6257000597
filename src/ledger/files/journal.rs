//! The journal: everything that `bets.csv` cannot say by itself, which is how much of it is committed, its checksums, the
//! DONE marks, the seal and the draw, and the rows that may not be on disk in `bets.csv` yet. What does not fit a record lies in
//! a file of its own, whose length and checksum the record holds.
//!
//! The first records are a snapshot, which replaced the old journal as a whole by a rename, and fills whole sectors. A log
//! follows (see the module `sectors`), in space that was zeroed and synced beforehand. The last record of the file is
//! never used, and nothing before the log's end is zero. So if the file was cut short, its last record shows it.

use super::packed;
use super::record::{self, Damage, RECORD, Record};
use super::sectors::{self, Commit, SECTOR};

/// No journal grows beyond this size, and a start reads no larger one into memory.
pub const MAX_JOURNAL: u64 = 256 * 1024 * 1024;

/// The format that is written, and the newest one that is read.
const FORMAT: u64 = 4;
/// The oldest format that is read. It had no [`Record::Announced`], so its draws count as announced, no [`Record::Rules`] and
/// no checksums of agencies. The second had no [`Record::Lottery`] and no seal. The third had a packed log.
pub const FIRST_FORMAT: u64 = 1;
pub const LAST_PACKED: u64 = 3;

/// A journal that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Journal {
    pub format: u64,
    pub snapshot: Vec<Record>,
    pub log: Vec<Commit>,
    /// Records of a last, incomplete write, which was never acknowledged.
    pub torn_records: usize,
}

/// The bytes of a journal, and where its log begins. It has only a snapshot, and zeroed space for a log of more than `growth`
/// bytes. Their number is a multiple of `growth`, and that has to be one of whole sectors.
pub fn snapshot(entries: &[Record], growth: u64) -> (Vec<u8>, u64) {
    let records = (entries.len() + 1).next_multiple_of(SECTOR / RECORD);
    let mut bytes = Vec::new();
    record::push(&mut bytes, 0, 0, &Record::Snapshot { records: records as u64, format: FORMAT });
    for place in 1..records {
        record::push(&mut bytes, place as u64, 0, entries.get(place - 1).unwrap_or(&Record::Filler));
    }
    let end = bytes.len();
    let growth = growth as usize;
    bytes.resize((end + 1).next_multiple_of(growth) + growth, 0);
    (bytes, end as u64)
}

/// Reads a journal. What a crash can leave is tolerated, and anything else is damage.
pub fn read(bytes: &[u8]) -> Result<Journal, Damage> {
    let records: Vec<&[u8]> = bytes.chunks(RECORD).collect();
    let record_at = |place: usize| records.get(place).and_then(|bytes| record::parse(place as u64, bytes));
    let damage = |place: usize, what: &str| Damage::at(place * RECORD, what);
    if !records.last().is_some_and(|last| last.len() < RECORD || record::is_unused(last)) || records.len() < 2 {
        return Err(damage(records.len(), "the file was cut short: its last record must be unused"));
    }
    // An incomplete record at the end must be part of an unused one.
    if records.last().is_some_and(|last| !record::is_unused(last)) {
        return Err(damage(records.len() - 1, "the file was cut short within a record"));
    }
    let Some((0, Record::Snapshot { records: snapshot_records, format })) = record_at(0) else {
        return Err(damage(0, "this is not a journal of quiniela, or its first record is damaged"));
    };
    if !(FIRST_FORMAT..=FORMAT).contains(&format) {
        let what = format!("its format is {format}, but this program reads {FIRST_FORMAT} to {FORMAT}");
        return Err(damage(0, &what));
    }
    let log_start = usize::try_from(snapshot_records).unwrap_or(usize::MAX);
    if !(1..records.len()).contains(&log_start) {
        return Err(damage(records.len(), "the file was cut short within its snapshot"));
    }
    if format > LAST_PACKED && !log_start.is_multiple_of(SECTOR / RECORD) {
        return Err(damage(0, "the snapshot does not fill its sectors"));
    }
    let mut snapshot = Vec::new();
    for place in 1..log_start {
        let (_, entry) = record_at(place).ok_or_else(|| damage(place, "a record of the snapshot is damaged"))?;
        snapshot.push(entry);
    }
    let (log, torn_records) = if format > LAST_PACKED {
        snapshot.retain(|record| *record != Record::Filler);
        sectors::read(bytes, log_start * RECORD)?
    } else {
        let (records, torn_records) = packed::read(&records, log_start)?;
        (vec![Commit { records, rows: Vec::new() }], torn_records)
    };
    Ok(Journal { format, snapshot, log, torn_records })
}
