//! The journal as a file: what is written is read again, and whatever is cut off or changed is noticed.

use super::journal::{Journal, read, snapshot};
use super::limits::GROWTH;
use super::record::{self, Damage, RECORD, Record};
use super::sectors::{self, Commit, SECTOR};
use crate::domain::{Account, AgencyId, Checksum, Status};

fn entries() -> (Vec<Record>, Vec<Record>) {
    let account = Account { stored: 17, checksum: Checksum(u32::MAX), done: Some(Status::Signed) };
    let snapshot = vec![
        Record::Agency { agency: AgencyId(3), account },
        Record::Block { index: 0, crc: u32::MAX },
        Record::Bets { length: 1 << 40, crc: 7 },
    ];
    let log = vec![
        Record::InUse,
        Record::Bets { length: 1 << 41, crc: 8 },
        Record::Done { agency: AgencyId(4), status: Status::Declared },
    ];
    (snapshot, log)
}

/// A journal of the present format with two commits, and where its log begins and ends.
fn sample() -> (Vec<u8>, Journal, usize, usize) {
    let (entries, log) = entries();
    let (mut bytes, start) = snapshot(&entries, GROWTH);
    let commits = vec![
        Commit { records: vec![log[0].clone()], rows: Vec::new() },
        Commit { records: log[1..].to_vec(), rows: b"4,Ana,Paz,1,2000-01-01,7\r\n".repeat(30) },
    ];
    let mut end = start as usize;
    for (number, commit) in (1..).zip(&commits) {
        let written = sectors::write(end as u64, number, &commit.records, &commit.rows);
        bytes[end..end + written.len()].copy_from_slice(&written);
        end += written.len();
    }
    (bytes, Journal { format: 4, snapshot: entries, log: commits, torn_records: 0 }, start as usize, end)
}

/// A journal of a format with a packed log: a snapshot of four records, and a log of three, the last two of one commit.
fn packed() -> (Vec<u8>, Vec<Record>, Vec<Record>) {
    let (snapshot, log) = entries();
    let mut bytes = Vec::new();
    let first = Record::Snapshot { records: 4, format: 3 };
    for (place, record) in std::iter::once(&first).chain(&snapshot).enumerate() {
        record::push(&mut bytes, place as u64, 0, record);
    }
    for (place, (group, record)) in [1, 2, 2].into_iter().zip(&log).enumerate() {
        record::push(&mut bytes, place as u64 + 4, group, record);
    }
    bytes.resize(2 * GROWTH as usize, 0);
    (bytes, snapshot, log)
}

#[test]
fn what_is_written_is_read_again() {
    let (bytes, journal, ..) = sample();
    assert_eq!(read(&bytes), Ok(journal));
    let (bytes, snapshot, log) = packed();
    let log = vec![Commit { records: log, rows: Vec::new() }];
    assert_eq!(read(&bytes), Ok(Journal { format: 3, snapshot, log, torn_records: 0 }));
}

#[test]
fn every_flipped_bit_of_a_used_record_is_damage_at_its_offset() {
    let (bytes, _, start, end) = sample();
    for bit in 0..end * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let damage = read(&flipped).unwrap_err();
        let unit = if bit / 8 < start { RECORD } else { SECTOR };
        assert_eq!(damage.offset, (bit / 8 / unit * unit) as u64, "bit {bit}: {}", damage.what);
    }
    let (bytes, ..) = packed();
    for bit in 0..7 * RECORD * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let damage = read(&flipped).unwrap_err();
        assert_eq!(damage.offset, (bit / 8 / RECORD * RECORD) as u64, "bit {bit}: {}", damage.what);
    }
}

#[test]
fn a_cut_loses_nothing_or_is_damage() {
    let (bytes, journal, _, end) = sample();
    let (older, snapshot, log) = packed();
    let log = vec![Commit { records: log, rows: Vec::new() }];
    let older = (older, Journal { format: 3, snapshot, log, torn_records: 0 }, 7 * RECORD);
    for (bytes, whole, end) in [(bytes, journal, end), older] {
        for length in (0..end + 2 * RECORD).chain((end + 2 * RECORD..bytes.len()).step_by(997)) {
            match read(&bytes[..length]) {
                Ok(journal) => assert!(journal == whole && length > end, "cut at {length}"),
                Err(_) => assert!(length < end + RECORD, "cut at {length}"),
            }
        }
    }
}

#[test]
fn a_cut_is_told_where_it_is() {
    let (bytes, _, _, end) = sample();
    for length in 0..end + RECORD {
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
fn any_part_of_the_last_write_of_a_packed_log_may_be_missing() {
    let (bytes, snapshot, log) = packed();
    for kept in 0..2 * RECORD {
        for keep_end in [false, true] {
            let mut torn = bytes.clone();
            let lost = if keep_end { 5 * RECORD..7 * RECORD - kept } else { 5 * RECORD + kept..7 * RECORD };
            torn[lost].fill(0);
            let journal = read(&torn).unwrap();
            assert_eq!(journal.snapshot, snapshot);
            let whole = &journal.log[0].records;
            assert_eq!(whole[..], log[..whole.len()]);
            assert!(!whole.is_empty(), "the commit before it is untouched");
        }
    }
    for (lost, torn_records) in [(5 * RECORD..6 * RECORD, 2), (6 * RECORD + 1..7 * RECORD, 1), (0..0, 0)] {
        let mut torn = bytes.clone();
        torn[lost.clone()].fill(0);
        assert_eq!(read(&torn).unwrap().torn_records, torn_records, "{lost:?}");
    }
    let mut torn = bytes.clone();
    torn[4 * RECORD..5 * RECORD].fill(0);
    assert!(read(&torn).is_err(), "a lost record before later commits is damage");
}

#[test]
fn a_log_has_space_behind_any_snapshot_and_begins_on_a_sector() {
    assert!(GROWTH.is_multiple_of(SECTOR as u64) && SECTOR.is_multiple_of(RECORD));
    for count in 0..20 {
        let (bytes, start) = snapshot(&vec![Record::Announced; count], 512);
        let unused = bytes.len() - start as usize;
        assert!(start.is_multiple_of(512) && start as usize > count * RECORD);
        assert!(bytes.len().is_multiple_of(512) && unused == 2 * SECTOR, "{count}: {unused}");
        let whole = Journal { format: 4, snapshot: vec![Record::Announced; count], ..Journal::default() };
        assert_eq!(read(&bytes), Ok(whole));
    }
}
