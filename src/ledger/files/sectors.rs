//! The log of the journal. A commit fills whole sectors of 512 bytes, which were zeroed and synced before, and each byte of
//! which is written once. A commit is its records and perhaps the rows that they prove, in parts of 448 bytes. Behind each part
//! stands its seal, a line of 64 bytes: the number of the commit, whether this is its last sector, and a CRC-32 over
//! place, part and line.
//!
//! So each sector shows by itself what became of it. A power loss leaves sectors of the last commit that are whole, sectors
//! that are zeros, and perhaps one that is cut, with nothing but zeros behind it. The last byte of a sector has two bits set, and
//! so one flipped bit makes neither of these. Anything else is damage.

use std::iter;

use super::record::{self, BODY, Damage, RECORD, Record};

pub const SECTOR: usize = 512;
/// The bytes of a commit in a sector.
const PART: usize = SECTOR - RECORD;

/// A commit that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Commit {
    pub records: Vec<Record>,
    /// Those of its rows that ride behind its records.
    pub rows: Vec<u8>,
}

/// The beginnings of the seals of a commit's sectors.
struct Seals {
    part: Vec<u8>,
    last: Vec<u8>,
}

impl Seals {
    fn new(number: u64) -> Seals {
        let body = |kind| {
            let mut body = format!("{number}:{kind}").into_bytes();
            body.resize(BODY, b'.');
            body
        };
        Seals { part: body("part"), last: body("last") }
    }

    /// The part of the commit in a sector that is whole, and whether it is the last one.
    fn check<'a>(&self, bytes: &'a [u8], offset: usize) -> Option<(&'a [u8], bool)> {
        let (part, seal) = bytes.get(offset..offset + SECTOR)?.split_at(PART);
        let (body, check) = seal.split_at(BODY);
        let is_last = body == self.last;
        ((is_last || body == self.part) && check == check_of(offset, part, body)).then_some((part, is_last))
    }
}

/// How many bytes of the log a commit takes.
pub fn size(records: usize, rows: usize) -> u64 {
    (((records + 1) * RECORD + rows).div_ceil(PART) * SECTOR) as u64
}

/// The bytes of a commit that will stand at `start`.
pub fn write(start: u64, number: u64, records: &[Record], rows: &[u8]) -> Vec<u8> {
    let first = Record::Commit { records: records.len() as u64, rows: rows.len() as u64 };
    let size = size(records.len(), rows.len()) as usize;
    let mut parts = Vec::with_capacity(size / SECTOR * PART);
    for (index, entry) in iter::once(&first).chain(records).enumerate() {
        record::push(&mut parts, place(start as usize, index), number, entry);
    }
    parts.extend_from_slice(rows);
    parts.resize(size / SECTOR * PART, b'.');
    let seals = Seals::new(number);
    let mut bytes = Vec::with_capacity(size);
    for part in parts.chunks(PART) {
        let offset = start as usize + bytes.len();
        let body = if bytes.len() + SECTOR == size { &seals.last } else { &seals.part };
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&check_of(offset, part, body));
    }
    bytes
}

/// Reads the commits of a log, and how many records of 64 bytes the remains of one take that was never acknowledged.
pub fn read(bytes: &[u8], start: usize) -> Result<(Vec<Commit>, usize), Damage> {
    let (mut commits, mut offset, mut number) = (Vec::new(), start, 1);
    while let Some((parts, end)) = whole_at(bytes, offset, number) {
        // Every byte of it was checked.
        let what = "a commit has not the form that this program writes";
        commits.push(parse(&parts, offset, number).ok_or_else(|| Damage::at(offset, what))?);
        (offset, number) = (end, number + 1);
    }
    let torn_records = check_remains(bytes, offset, number)?;
    Ok((commits, torn_records))
}

/// The parts of the commit that stands whole here, and where it ends.
fn whole_at(bytes: &[u8], start: usize, number: u64) -> Option<(Vec<u8>, usize)> {
    let (seals, mut parts, mut offset) = (Seals::new(number), Vec::new(), start);
    loop {
        let (part, is_last) = seals.check(bytes, offset)?;
        parts.extend_from_slice(part);
        offset += SECTOR;
        if is_last {
            return Some((parts, offset));
        }
    }
}

fn parse(parts: &[u8], start: usize, number: u64) -> Option<Commit> {
    let mut entries = parts.chunks(RECORD).enumerate().map(|(index, bytes)| {
        let (group, entry) = record::parse(place(start, index), bytes)?;
        (group == number).then_some(entry)
    });
    let Record::Commit { records, rows } = entries.next()?? else { return None };
    let records: Vec<Record> = entries.take(usize::try_from(records).ok()?).collect::<Option<_>>()?;
    let rows_start = (records.len() + 1) * RECORD;
    let rows = parts.get(rows_start..rows_start.checked_add(usize::try_from(rows).ok()?)?)?.to_vec();
    Some(Commit { records, rows })
}

/// Behind the last whole commit there may be the remains of the next one, and nothing else.
fn check_remains(bytes: &[u8], start: usize, number: u64) -> Result<usize, Damage> {
    let rest = bytes.get(start..).unwrap_or_default();
    let used = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let seals = Seals::new(number);
    for (index, sector) in rest[..used.next_multiple_of(SECTOR).min(rest.len())].chunks(SECTOR).enumerate() {
        let offset = start + index * SECTOR;
        let is_cut = (index + 1) * SECTOR >= used && sector.last() == Some(&0);
        if !is_cut && !record::is_unused(sector) && seals.check(bytes, offset).is_none() {
            return Err(Damage::at(offset, "a commit is damaged (a checksum is wrong, or sectors before it are lost)"));
        }
    }
    Ok(used.div_ceil(RECORD))
}

/// The place of a commit's record: that many records into the file.
fn place(start: usize, index: usize) -> u64 {
    const IN_PART: usize = PART / RECORD;
    (start / RECORD + index / IN_PART * (SECTOR / RECORD) + index % IN_PART) as u64
}

/// The end of a seal: the checksum of the sector and its place, and a line feed.
fn check_of(offset: usize, part: &[u8], body: &[u8]) -> [u8; RECORD - BODY] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(offset as u64).to_be_bytes());
    hasher.update(part);
    hasher.update(body);
    let crc = hasher.finalize();
    let mut check = [b'\n'; RECORD - BODY];
    // The library's formatting would take a tenth of the time of a sync for the sectors of a larger commit.
    for (digit, shift) in check.iter_mut().zip((0..8).rev()) {
        *digit = b"0123456789abcdef"[((crc >> (4 * shift)) & 15) as usize];
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AgencyId, Status};

    const START: usize = 2 * SECTOR;

    fn commits() -> Vec<Commit> {
        let bets = |length| Record::Bets { length, crc: 7 };
        let done = Record::Done { agency: AgencyId(4), status: Status::Declared };
        // Spaces are one bit away from zero, and some rows end with their sector.
        let rows = |length: usize| vec![b' '; length];
        vec![
            Commit { records: vec![Record::InUse], rows: Vec::new() },
            Commit { records: vec![bets(700)], rows: rows(700) },
            Commit { records: vec![done.clone(); 9], rows: Vec::new() },
            Commit { records: vec![bets(700 + 2 * PART as u64 - 128)], rows: rows(2 * PART - 128) },
            Commit { records: vec![bets(3000), done], rows: rows(1500) },
        ]
    }

    /// A journal's bytes with these commits in its log, and where each of them begins and the last one ends.
    fn log(commits: &[Commit]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (vec![b'x'; START], vec![START]);
        for (number, commit) in (1..).zip(commits) {
            let written = write(bytes.len() as u64, number, &commit.records, &commit.rows);
            assert_eq!(written.len() as u64, size(commit.records.len(), commit.rows.len()));
            bytes.extend_from_slice(&written);
            starts.push(bytes.len());
        }
        bytes.resize(bytes.len() + 4 * SECTOR, 0);
        (bytes, starts)
    }

    #[test]
    fn what_is_written_is_read_again() {
        for count in 0..=commits().len() {
            let commits: Vec<Commit> = commits().into_iter().take(count).collect();
            assert_eq!(read(&log(&commits).0, START), Ok((commits, 0)));
        }
    }

    #[test]
    fn every_flipped_bit_is_damage_in_its_sector() {
        let (bytes, starts) = log(&commits());
        for bit in START * 8..starts[5] * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let damage = read(&flipped, START).unwrap_err();
            assert_eq!(damage.offset, (bit / 8 / SECTOR * SECTOR) as u64, "bit {bit}");
        }
    }

    #[test]
    fn a_bit_in_unused_space_is_dropped_or_refused() {
        let (bytes, starts) = log(&commits());
        for bit in starts[5] * 8..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (read, torn) = match read(&flipped, START) {
                Ok(read) => read,
                Err(Damage { offset, .. }) => {
                    assert!(bit / 8 % SECTOR == SECTOR - 1 && offset == (bit / 8 / SECTOR * SECTOR) as u64);
                    continue;
                }
            };
            assert!(read == commits() && torn == (bit / 8 - starts[5]) / RECORD + 1);
        }
    }

    #[test]
    fn the_last_commit_may_end_anywhere_and_lack_any_sectors() {
        let (bytes, starts) = log(&commits());
        let (start, end) = (starts[4], starts[5]);
        let whole = commits();
        for cut in start..end {
            let mut torn = bytes.clone();
            torn[cut..end].fill(0);
            let (read, records) = read(&torn, START).unwrap();
            assert_eq!((&read[..], records), (&whole[..4], (cut - start).div_ceil(RECORD)), "cut at {cut}");
        }
        let sectors = (end - start) / SECTOR;
        assert_eq!(sectors, 4);
        for lost in 1..1_u32 << sectors {
            let mut torn = bytes.clone();
            for sector in (0..sectors).filter(|sector| lost & (1 << sector) != 0) {
                torn[start + sector * SECTOR..][..SECTOR].fill(0);
            }
            assert_eq!(read(&torn, START).unwrap().0[..], whole[..4], "lost {lost:b}");
            // A cut of the last sector that is left.
            let Some(used) = torn[start..end].iter().rposition(|byte| *byte != 0) else { continue };
            torn[start + used - 99..end].fill(0);
            assert_eq!(read(&torn, START).unwrap().0[..], whole[..4], "lost {lost:b}, and cut");
        }
    }

    #[test]
    fn a_part_of_a_sector_is_zero_only_where_everything_behind_it_is() {
        let (bytes, starts) = log(&commits());
        for hole in starts[4]..starts[5] - SECTOR {
            let mut torn = bytes.clone();
            let end = hole / SECTOR * SECTOR + SECTOR;
            torn[hole..end].fill(0);
            let is_whole_sector = hole % SECTOR == 0;
            assert_eq!(read(&torn, START).is_ok(), is_whole_sector, "from {hole}");
        }
    }

    #[test]
    fn a_sector_that_is_lost_before_a_later_commit_is_damage() {
        let (bytes, starts) = log(&commits());
        for sector in (START..starts[4]).step_by(SECTOR) {
            let mut damaged = bytes.clone();
            damaged[sector..sector + SECTOR].fill(0);
            assert!(read(&damaged, START).unwrap_err().offset > sector as u64);
        }
    }

    #[test]
    fn a_sector_in_another_place_is_damage() {
        let (bytes, starts) = log(&commits());
        let sectors: Vec<usize> = (START..bytes.len() - SECTOR).step_by(SECTOR).collect();
        for (one, other) in sectors.iter().flat_map(|one| sectors.iter().map(move |other| (*one, *other))) {
            if one < other && one < starts[5] {
                let mut swapped = bytes.clone();
                (0..SECTOR).for_each(|place| swapped.swap(one + place, other + place));
                assert!(read(&swapped, START).is_err(), "{one} and {other}");
            }
        }
    }

    #[test]
    fn a_commit_of_another_form_is_refused() {
        let too_many = Record::Commit { records: 9, rows: 0 };
        for first in [too_many, Record::InUse, Record::Commit { records: 0, rows: 385 }] {
            let mut parts = Vec::new();
            record::push(&mut parts, place(START, 0), 1, &first);
            parts.resize(PART, b'.');
            assert_eq!(parse(&parts, START, 1), None, "{first:?}");
        }
    }
}
