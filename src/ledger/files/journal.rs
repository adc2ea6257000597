//! The journal: everything that `bets.csv` cannot say by itself, which is how much of it is committed, its checksums, the
//! DONE marks, the seal and the draw. What does not fit a record lies in a file of its own, whose length and checksum the
//! record holds.
//!
//! It is a file of text records of 64 bytes. Each record is padded with dots and ends with its CRC-32 in hexadecimal and a
//! line feed. The first records are a snapshot, which replaced the old journal as a whole by a rename. A log follows, in
//! which the records of a commit are one write and one sync. Three properties let a start tell a torn write from damage:
//!
//! - A record never crosses a 512-byte sector, and its space is zeroed and synced beforehand. So any part of a write that
//!   is lost reads as zeros.
//! - Every byte of a record differs from zero in at least two bits. A record with a zero byte was never written whole. A
//!   record without one whose checksum is wrong was written whole and then damaged.
//! - The last record of the file is never used. So if the file was cut short, its last record shows it.

use std::fmt;

use crate::domain::{Account, AgencyId, Checksum, LotteryId, Roster, Rules, Status, WinningNumber};

pub const RECORD: usize = 64;

/// The log is extended by this many zeroed bytes at a time.
pub const GROWTH: u64 = 64 * 1024;

/// No journal grows beyond this size, and a start reads no larger one into memory.
pub const MAX_JOURNAL: u64 = 256 * 1024 * 1024;

const BODY: usize = RECORD - "01234567\n".len();
/// The format that is written, and the newest one that is read.
const FORMAT: u64 = 3;
/// The oldest format that is read. It had no [`Record::Announced`], so its draws count as announced, no [`Record::Rules`] and
/// no checksums of agencies. The second had no [`Record::Lottery`] and no seal.
pub const FIRST_FORMAT: u64 = 1;

/// One record. On disk the number of its commit stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The first record of a file. The snapshot has this many records, this one included.
    Snapshot {
        records: u64,
        format: u64,
    },
    Agency {
        agency: AgencyId,
        account: Account,
    },
    /// The checksum of a whole block of `bets.csv`.
    Block {
        index: u64,
        crc: u32,
    },
    /// `bets.csv` is committed up to this length; the checksum is that of its last, incomplete block.
    Bets {
        length: u64,
        crc: u32,
    },
    Done {
        agency: AgencyId,
        status: Status,
    },
    /// Which lottery this is, and the checksum of the file of its secrets. Only snapshots have it.
    Lottery {
        lottery: LotteryId,
        crc: u32,
    },
    /// The file of signed declarations is committed up to this length.
    Declarations(Extent),
    /// Betting is closed, and this is the acta.
    Sealed(Extent),
    /// The log has announced the seal.
    SealAnnounced,
    /// With the acta that has the number, if this record is the one that puts it in place.
    Draw {
        number: u32,
        acta: Option<Extent>,
    },
    /// The log has announced the draw.
    Announced,
    Rules(Rules),
    /// A central uses the files: until the next snapshot, `bets.csv` may have an uncommitted tail.
    InUse,
}

/// The length of a file, and the checksum of its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub length: u64,
    pub crc: u32,
}

/// The records of a journal that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Journal {
    pub format: u64,
    pub snapshot: Vec<Record>,
    pub log: Vec<Record>,
    /// Records of a last, incomplete write, which was never acknowledged.
    pub torn_records: usize,
}

/// Damage that no crash can leave: where in the journal, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Damage {
    pub offset: u64,
    pub what: String,
}

/// The bytes of a journal that has only a snapshot, and zeroed space for a log. Their number is a multiple of `growth`.
pub fn snapshot(entries: &[Record], growth: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let records = entries.len() as u64 + 1;
    push(&mut bytes, 0, 0, &Record::Snapshot { records, format: FORMAT });
    entries.iter().for_each(|entry| push(&mut bytes, 0, 0, entry));
    let growth = growth as usize;
    bytes.resize((bytes.len() + 1).next_multiple_of(growth) + growth, 0);
    bytes
}

/// Appends a record of commit `group` to `bytes`, the first of which will be written as record number `base`.
pub fn push(bytes: &mut Vec<u8>, base: u64, group: u64, entry: &Record) {
    let start = bytes.len();
    let place = base + (start / RECORD) as u64;
    bytes.extend_from_slice(format!("{group}:{entry}").as_bytes());
    assert!(bytes.len() - start <= BODY, "a journal record is too long: {entry:?}");
    bytes.resize(start + BODY, b'.');
    let crc = checksum(place, &bytes[start..]);
    bytes.extend_from_slice(format!("{crc:08x}\n").as_bytes());
}

/// Reads a journal. What a crash can leave is tolerated, and anything else is damage.
pub fn read(bytes: &[u8]) -> Result<Journal, Damage> {
    let records: Vec<&[u8]> = bytes.chunks(RECORD).collect();
    let record_at = |place: usize| records.get(place).and_then(|record| parse(place as u64, record));
    let damage = |place: usize, what: &str| Damage { offset: (place * RECORD) as u64, what: what.to_owned() };
    if !records.last().is_some_and(|last| last.len() < RECORD || is_unused(last)) || records.len() < 2 {
        return Err(damage(records.len(), "the file was cut short: its last record must be unused"));
    }
    // An incomplete record at the end must be part of an unused one.
    if records.last().is_some_and(|last| !is_unused(last)) {
        return Err(damage(records.len() - 1, "the file was cut short within a record"));
    }
    let Some((0, Record::Snapshot { records: snapshot_records, format })) = record_at(0) else {
        return Err(damage(0, "this is not a journal of quiniela, or its first record is damaged"));
    };
    if !(FIRST_FORMAT..=FORMAT).contains(&format) {
        let what = format!("its format is {format}, but this program reads {FIRST_FORMAT} to {FORMAT}");
        return Err(damage(0, &what));
    }
    let mut journal = Journal { format, ..Journal::default() };
    let log_start = usize::try_from(snapshot_records).unwrap_or(usize::MAX);
    if !(1..records.len()).contains(&log_start) {
        return Err(damage(records.len(), "the file was cut short within its snapshot"));
    }
    for place in 1..log_start {
        let (_, entry) = record_at(place).ok_or_else(|| damage(place, "a record of the snapshot is damaged"))?;
        journal.snapshot.push(entry);
    }
    let mut group = 0;
    let mut place = log_start;
    while let Some((next_group, entry)) = record_at(place) {
        if next_group != group && next_group != group + 1 {
            return Err(damage(place, "a commit is missing before this record"));
        }
        group = next_group;
        journal.log.push(entry);
        place += 1;
    }
    journal.torn_records = check_tail(&records, place, group)?;
    Ok(journal)
}

/// Behind the last whole record there may be the remains of one write, and nothing else but unused space. Returns how many
/// records the remains take.
fn check_tail(records: &[&[u8]], end: usize, last_group: u64) -> Result<usize, Damage> {
    let mut torn = 0;
    for (place, record) in records.iter().enumerate().skip(end) {
        if is_unused(record) {
            continue;
        }
        torn = place + 1 - end;
        let written_whole = record.len() == RECORD && !record.contains(&0);
        let from_torn_write =
            parse(place as u64, record).is_some_and(|(group, _)| group == last_group || group == last_group + 1);
        if written_whole && !from_torn_write {
            let what = "a record is damaged (its checksum is wrong, or records before it are lost)".to_owned();
            return Err(Damage { offset: (place * RECORD) as u64, what });
        }
    }
    Ok(torn)
}

fn is_unused(record: &[u8]) -> bool {
    record.iter().all(|byte| *byte == 0)
}

/// The checksum covers the record's place too, so that a record is valid only where it was written.
fn checksum(place: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.to_be_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn parse(place: u64, record: &[u8]) -> Option<(u64, Record)> {
    let (body, seal) = record.split_at_checked(BODY)?;
    if seal != format!("{:08x}\n", checksum(place, body)).as_bytes() {
        return None;
    }
    let mut fields = str::from_utf8(body).ok()?.trim_end_matches('.').split(':');
    let group = fields.next()?.parse().ok()?;
    let kind = fields.next()?;
    let mut number = || fields.next()?.parse::<u64>().ok();
    let small = |value: u64| u32::try_from(value).ok();
    let entry = match kind {
        "snapshot" => Record::Snapshot { records: number()?, format: number()? },
        "agency" => {
            let agency = AgencyId(small(number()?)?);
            let (stored, done) = (number()?, number()?);
            let done = if done == 0 { None } else { Some(status_of(done)?) };
            // The first format has no checksum here.
            let checksum = Checksum(number().and_then(small).unwrap_or(0));
            Record::Agency { agency, account: Account { stored, checksum, done } }
        }
        "block" => Record::Block { index: number()?, crc: small(number()?)? },
        "bets" => Record::Bets { length: number()?, crc: small(number()?)? },
        "done" => {
            let agency = AgencyId(small(number()?)?);
            // The formats before have no status.
            Record::Done { agency, status: number().map_or(Some(Status::Undeclared), status_of)? }
        }
        "lottery" => Record::Lottery { lottery: fields.next()?.parse().ok()?, crc: fields.next()?.parse().ok()? },
        "declared" => Record::Declarations(Extent { length: number()?, crc: small(number()?)? }),
        "sealed" => Record::Sealed(Extent { length: number()?, crc: small(number()?)? }),
        "told" => Record::SealAnnounced,
        "draw" => {
            let (drawn, acta) = (small(number()?)?, number());
            let crc = number().and_then(small);
            Record::Draw { number: drawn, acta: acta.map(|length| Some(Extent { length, crc: crc? })).unwrap_or(None) }
        }
        "announced" => Record::Announced,
        "rules" => {
            let (number, last) = (fields.next()?, fields.next()?);
            let winning_number =
                if number == "later" { WinningNumber::Later } else { WinningNumber::Known(number.parse().ok()?) };
            let roster = if last == "auto" { Roster::Auto } else { Roster::Fixed(last.parse().ok()?) };
            Record::Rules(Rules { roster, winning_number })
        }
        "inuse" => Record::InUse,
        _ => return None,
    };
    Some((group, entry))
}

impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Snapshot { records, format } => write!(out, "snapshot:{records}:{format}"),
            Record::Agency { agency, account } => {
                let Account { stored, checksum: Checksum(checksum), done } = account;
                write!(out, "agency:{agency}:{stored}:{}:{checksum}", done.map_or(0, code_of))
            }
            Record::Block { index, crc } => write!(out, "block:{index}:{crc}"),
            Record::Bets { length, crc } => write!(out, "bets:{length}:{crc}"),
            Record::Done { agency, status } => write!(out, "done:{agency}:{}", code_of(*status)),
            Record::Lottery { lottery, crc } => write!(out, "lottery:{lottery}:{crc}"),
            Record::Declarations(extent) => write!(out, "declared:{extent}"),
            Record::Sealed(extent) => write!(out, "sealed:{extent}"),
            Record::SealAnnounced => out.write_str("told"),
            Record::Draw { number, acta: None } => write!(out, "draw:{number}"),
            Record::Draw { number, acta: Some(extent) } => write!(out, "draw:{number}:{extent}"),
            Record::Announced => out.write_str("announced"),
            Record::Rules(Rules { roster, winning_number }) => write!(out, "rules:{winning_number}:{roster}"),
            Record::InUse => out.write_str("inuse"),
        }
    }
}

impl Extent {
    pub fn of(bytes: &[u8]) -> Extent {
        Extent::default().extended(bytes)
    }

    /// That of the file with these bytes behind its others.
    pub fn extended(self, bytes: &[u8]) -> Extent {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.crc);
        hasher.update(bytes);
        Extent { length: self.length + bytes.len() as u64, crc: hasher.finalize() }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.length, self.crc)
    }
}

/// The codes of an agency that is done. 1 is what the formats before have.
const STATUSES: [Status; 4] = [Status::Undeclared, Status::Declared, Status::Signed, Status::Overridden];

fn code_of(status: Status) -> usize {
    STATUSES.iter().position(|other| *other == status).map_or(0, |place| place + 1)
}

fn status_of(code: u64) -> Option<Status> {
    STATUSES.get(usize::try_from(code).ok()?.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Vec<Record>, Vec<Record>) {
        let account = Account { stored: 17, checksum: Checksum(u32::MAX), done: Some(Status::Signed) };
        let snapshot_entries = vec![
            Record::Agency { agency: AgencyId(3), account },
            Record::Block { index: 0, crc: u32::MAX },
            Record::Bets { length: 1 << 40, crc: 7 },
        ];
        let log = vec![
            Record::InUse,
            Record::Bets { length: 1 << 41, crc: 8 },
            Record::Done { agency: AgencyId(4), status: Status::Declared },
        ];
        let mut bytes = snapshot(&snapshot_entries, GROWTH);
        let mut written = Vec::new();
        push(&mut written, 4, 1, &log[0]);
        push(&mut written, 4, 2, &log[1]);
        push(&mut written, 4, 2, &log[2]);
        bytes[4 * RECORD..][..written.len()].copy_from_slice(&written);
        (bytes, snapshot_entries, log)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (bytes, snapshot, log) = sample();
        assert_eq!(read(&bytes), Ok(Journal { format: FORMAT, snapshot, log, torn_records: 0 }));
    }

    #[test]
    fn the_longest_record_fits() {
        let mut bytes = Vec::new();
        push(&mut bytes, 0, 999_999_999_999, &Record::Bets { length: u64::MAX, crc: u32::MAX });
        push(&mut bytes, 0, u64::MAX, &Record::Draw { number: u32::MAX, acta: None });
        let acta = Some(Extent { length: 999_999_999, crc: u32::MAX });
        push(&mut bytes, 0, 999_999_999_999, &Record::Draw { number: u32::MAX, acta });
        push(&mut bytes, 0, 0, &Record::Lottery { lottery: LotteryId(u128::MAX), crc: u32::MAX });
        let account = Account { stored: u64::MAX, checksum: Checksum(u32::MAX), done: Some(Status::Overridden) };
        push(&mut bytes, 0, 0, &Record::Agency { agency: AgencyId(u32::MAX), account });
        let rules = Rules { roster: Roster::Fixed(u32::MAX), winning_number: WinningNumber::Known(u32::MAX) };
        push(&mut bytes, 0, u64::MAX, &Record::Rules(rules));
        push(&mut bytes, 0, 0, &Record::Rules(Rules { roster: Roster::Auto, winning_number: WinningNumber::Later }));
        assert_eq!(bytes.len(), 7 * RECORD);
        assert!(bytes.chunks(RECORD).enumerate().all(|(place, record)| parse(place as u64, record).is_some()));
    }

    #[test]
    fn no_byte_is_one_bit_away_from_zero() {
        let (bytes, ..) = sample();
        assert!(bytes[..7 * RECORD].iter().all(|byte| byte.count_ones() >= 2));
    }

    #[test]
    fn every_flipped_bit_of_a_used_record_is_damage_at_its_offset() {
        let (bytes, ..) = sample();
        for bit in 0..7 * RECORD * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let damage = read(&flipped).unwrap_err();
            assert_eq!(damage.offset, (bit / 8 / RECORD * RECORD) as u64, "bit {bit}: {}", damage.what);
        }
    }

    #[test]
    fn a_cut_loses_nothing_or_is_damage() {
        let (bytes, snapshot, log) = sample();
        let whole = Journal { format: FORMAT, snapshot, log, torn_records: 0 };
        for length in (0..9 * RECORD).chain((9 * RECORD..bytes.len()).step_by(997)) {
            match read(&bytes[..length]) {
                Ok(journal) => assert_eq!(journal, whole, "cut at {length}"),
                Err(_) => assert!(length < 8 * RECORD, "cut at {length}"),
            }
        }
    }

    #[test]
    fn any_part_of_the_last_write_may_be_missing() {
        let (bytes, snapshot, log) = sample();
        for kept in 0..2 * RECORD {
            for keep_end in [false, true] {
                let mut torn = bytes.clone();
                let lost = if keep_end { 5 * RECORD..7 * RECORD - kept } else { 5 * RECORD + kept..7 * RECORD };
                torn[lost].fill(0);
                let journal = read(&torn).unwrap();
                assert_eq!(journal.snapshot, snapshot);
                let whole_records = journal.log.len();
                assert_eq!(journal.log[..], log[..whole_records]);
                assert!(whole_records >= 1, "the commit before it is untouched");
            }
        }
    }

    #[test]
    fn a_lost_record_before_later_commits_is_damage() {
        let (mut bytes, ..) = sample();
        bytes[4 * RECORD..5 * RECORD].fill(0);
        assert!(read(&bytes).is_err());
    }

    #[test]
    fn a_cut_is_told_where_it_is() {
        let (bytes, ..) = sample();
        for length in 0..8 * RECORD {
            let Err(Damage { offset, what }) = read(&bytes[..length]) else { continue };
            assert!(offset.abs_diff(length as u64) <= RECORD as u64, "cut at {length}, told at {offset}: {what}");
            let (start, words) = match length % RECORD {
                0 => (length, "must be unused"),
                within => (length - within, "within a record"),
            };
            let is_exact = offset == start as u64 && what.contains(words);
            assert!(is_exact || length < RECORD, "cut at {length}, told at {offset}: {what}");
        }
    }

    #[test]
    fn the_records_of_a_torn_write_are_counted() {
        let (bytes, ..) = sample();
        for (lost, torn_records) in [(5 * RECORD..6 * RECORD, 2), (6 * RECORD + 1..7 * RECORD, 1), (0..0, 0)] {
            let mut torn = bytes.clone();
            torn[lost.clone()].fill(0);
            assert_eq!(read(&torn).unwrap().torn_records, torn_records, "{lost:?}");
        }
    }

    #[test]
    fn a_log_has_space_behind_any_snapshot_and_its_records_stand_in_sectors() {
        assert!(GROWTH.is_multiple_of(512) && 512_usize.is_multiple_of(RECORD));
        for count in 0..20 {
            let entries = vec![Record::Announced; count];
            let bytes = snapshot(&entries, 512);
            let unused = bytes.len() - (count + 1) * RECORD;
            assert!(bytes.len().is_multiple_of(512) && (512 + RECORD..=2 * 512).contains(&unused), "{count}: {unused}");
        }
    }
}
