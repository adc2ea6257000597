//! The journal's records: lines of text of 64 bytes. Each is padded with dots and ends with its CRC-32 in hexadecimal and a line
//! feed. Every byte of a record differs from zero in at least two bits, so no single flipped bit makes one look unwritten.

use std::fmt;

use crate::domain::{Account, AgencyId, Checksum, LotteryId, Roster, Rules, Status, WinningNumber};

pub const RECORD: usize = 64;

/// The bytes of a record before its checksum.
pub const BODY: usize = RECORD - "01234567\n".len();

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
    /// The first record of a commit: so many records follow, and then so many bytes of rows.
    Commit {
        records: u64,
        rows: u64,
    },
    /// Fills the last sector of a snapshot.
    Filler,
}

/// The length of a file, and the checksum of its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub length: u64,
    pub crc: u32,
}

/// Damage that no crash can leave: where in the journal, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Damage {
    pub offset: u64,
    pub what: String,
}

impl Damage {
    pub fn at(offset: usize, what: &str) -> Damage {
        Damage { offset: offset as u64, what: what.to_owned() }
    }
}

/// Appends a record of commit `group`, which will stand at this place: that many records into the file.
pub fn push(bytes: &mut Vec<u8>, place: u64, group: u64, entry: &Record) {
    push_text(bytes, place, &format!("{group}:{entry}"));
}

/// The same for a record's text.
pub fn push_text(bytes: &mut Vec<u8>, place: u64, text: &str) {
    assert!(text.len() <= BODY, "a journal record is too long: {text}");
    let start = bytes.len();
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(start + BODY, b'.');
    let crc = checksum(place, &bytes[start..]);
    bytes.extend_from_slice(format!("{crc:08x}\n").as_bytes());
}

/// Whether nothing was written there.
pub fn is_unused(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// The checksum covers the record's place too, so that a record is valid only where it was written.
fn checksum(place: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.to_be_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// The record that stands whole in this place, and the number of its commit.
pub fn parse(place: u64, record: &[u8]) -> Option<(u64, Record)> {
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
        "commit" => Record::Commit { records: number()?, rows: number()? },
        "filler" => Record::Filler,
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
            Record::Commit { records, rows } => write!(out, "commit:{records}:{rows}"),
            Record::Filler => out.write_str("filler"),
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

    #[test]
    fn the_longest_record_fits() {
        let extent = Extent { length: 999_999_999, crc: u32::MAX };
        let account = Account { stored: u64::MAX, checksum: Checksum(u32::MAX), done: Some(Status::Overridden) };
        let rules = Rules { roster: Roster::Fixed(u32::MAX), winning_number: WinningNumber::Known(u32::MAX) };
        let later = Rules { roster: Roster::Auto, winning_number: WinningNumber::Later };
        let records = [
            (999_999_999_999, Record::Bets { length: u64::MAX, crc: u32::MAX }),
            (u64::MAX, Record::Draw { number: u32::MAX, acta: None }),
            (999_999_999_999, Record::Draw { number: u32::MAX, acta: Some(extent) }),
            (0, Record::Lottery { lottery: LotteryId(u128::MAX), crc: u32::MAX }),
            (0, Record::Agency { agency: AgencyId(u32::MAX), account }),
            (u64::MAX, Record::Rules(rules)),
            (0, Record::Rules(later)),
            (u64::MAX, Record::Commit { records: 999_999_999, rows: 999_999_999 }),
            (0, Record::Filler),
        ];
        for (place, (group, record)) in (0..).zip(records) {
            let mut bytes = Vec::new();
            push(&mut bytes, place, group, &record);
            assert_eq!(bytes.len(), RECORD);
            assert!(bytes.iter().all(|byte| byte.count_ones() >= 2), "no byte is one bit away from zero");
            assert_eq!(parse(place, &bytes), Some((group, record)));
            assert_eq!(parse(place + 1, &bytes), None, "it is valid only where it was written");
        }
    }
}
