//! What the journal's records result in: how much of `bets.csv` is committed, who is done, the seal and the draw.

use super::BETS;
use super::blocks::Checksums;
use super::journal::{FIRST_FORMAT, Journal};
use super::papers::Extents;
use super::record::Record;
use super::sectors::Commit;
use super::unsynced::Unsynced;
use crate::domain::{Account, Checksum, Register, SealStep};

/// The state that the journal's records result in.
pub struct Replayed {
    pub register: Register,
    pub checksums: Checksums,
    /// The register counts the rows up to this byte of `bets.csv`.
    pub counted: u64,
    /// The files were not closed in order.
    pub in_use: bool,
    pub papers: Extents,
    pub unsynced: Unsynced,
}

pub fn replay(journal: Journal, smallest_block: u64) -> Result<Replayed, String> {
    let mut register = Register::default();
    let is_first_format = journal.format == FIRST_FORMAT;
    let (mut blocks, mut length, mut last, mut in_use) = (Vec::new(), 0, 0, false);
    let (mut counted, mut counted_blocks) = (0, 0);
    let (mut papers, mut unsynced) = (Extents::default(), Unsynced::default());
    let snapshot = Commit { records: journal.snapshot, rows: Vec::new() };
    for (place, Commit { records, rows }) in std::iter::once(snapshot).chain(journal.log).enumerate() {
        let before = length;
        for entry in records {
            match entry {
                Record::Snapshot { .. } => return Err("it holds a second snapshot".to_owned()),
                Record::Commit { .. } | Record::Filler => return Err("it holds a record out of its place".to_owned()),
                // The counts are dropped, and all rows are read again, because the first format lacks the checksums.
                Record::Agency { agency, account: Account { done, .. } } if is_first_format => {
                    register.set_account(agency, Account { done, ..Account::default() });
                }
                Record::Agency { account, .. } if register.bets().checked_add(account.stored).is_none() => {
                    return Err("it counts more bets than there can be".to_owned());
                }
                Record::Agency { agency, account: Account { stored: 0, checksum, .. } }
                    if checksum != Checksum::default() =>
                {
                    return Err(format!("agency {agency} has no bets, and yet a checksum of some"));
                }
                // An agency that has done nothing has no account.
                Record::Agency { account, .. } if account == Account::default() => {}
                Record::Agency { agency, account } => register.set_account(agency, account),
                Record::Block { index, crc } if index == blocks.len() as u64 => blocks.push(crc),
                Record::Block { index, .. } => return Err(format!("the checksum of block {index} is out of order")),
                Record::Bets { length: new_length, crc } if new_length >= length => {
                    (length, last) = (new_length, crc);
                    // The snapshot, and a commit without rows, were written after a sync of the file.
                    if rows.is_empty() {
                        unsynced.note_sync(length);
                    }
                }
                Record::Bets { length: new_length, .. } => {
                    return Err(format!("{BETS} shrinks from {length} to {new_length} bytes"));
                }
                Record::Done { agency, status } => register.update(agency, |account| account.done = Some(status)),
                Record::Lottery { lottery, crc } => papers.lottery = Some((lottery, crc)),
                Record::Declarations(extent) => papers.declarations = extent,
                Record::Sealed(extent) => {
                    papers.acta = Some(extent);
                    register.advance_seal(SealStep::Sealed);
                }
                Record::SealAnnounced => register.advance_seal(SealStep::Announced),
                Record::Draw { number, acta } => {
                    papers.acta = acta.or(papers.acta);
                    register.hold_draw(number);
                    if is_first_format {
                        register.announce_draw();
                    }
                }
                Record::Announced => register.announce_draw(),
                Record::Rules(rules) => register.record_rules(rules),
                Record::InUse => in_use = true,
            }
        }
        if length - before != rows.len() as u64 && !rows.is_empty() {
            return Err(format!(
                "{} bytes of rows ride in it where {BETS} grows from {before} to {length}",
                rows.len()
            ));
        }
        unsynced.rows.extend(rows);
        if place == 0 && !is_first_format {
            (counted, counted_blocks) = (length, blocks.len());
        }
    }
    if register.bets() > length {
        return Err(format!("it counts {} bets in {length} bytes of {BETS}", register.bets()));
    }
    let block = Checksums::block_size(smallest_block, counted, counted_blocks);
    // A torn write of an older format may have left records of blocks without the record of the rows in them.
    blocks.truncate(usize::try_from(length / block).unwrap_or(usize::MAX));
    let checksums = Checksums::resume(block, length, blocks, last)
        .ok_or_else(|| format!("the checksums of some of the {length} bytes of {BETS} are missing"))?;
    Ok(Replayed { register, checksums, counted, in_use, papers, unsynced })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AgencyId, Draw, Status};

    const ONE: AgencyId = AgencyId(1);

    fn journal(format: u64, snapshot: Vec<Record>, log: Vec<Record>) -> Journal {
        Journal { format, snapshot, log: vec![commit(log, 0)], torn_records: 0 }
    }

    fn commit(records: Vec<Record>, rows: usize) -> Commit {
        Commit { records, rows: vec![b'x'; rows] }
    }

    fn bets(length: u64) -> Record {
        Record::Bets { length, crc: 0 }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let block = |index| Record::Block { index, crc: 0 };
        let of = |account| Record::Agency { agency: ONE, account };
        let agency = |agency, stored| Record::Agency {
            agency: AgencyId(agency),
            account: Account { stored, ..Account::default() },
        };
        let snapshot = Record::Snapshot { records: 1, format: 2 };
        for (snapshot, words) in [
            (vec![block(1), bets(8)], "block 1 is out of order"),
            (vec![block(0), block(0), bets(8)], "block 0 is out of order"),
            (vec![bets(3), bets(2)], "shrinks from 3 to 2 bytes"),
            (vec![snapshot], "second snapshot"),
            (vec![Record::Filler], "out of its place"),
            (vec![agency(1, 9), bets(8)], "it counts 9 bets in 8 bytes"),
            (vec![of(Account { checksum: Checksum(7), ..Account::default() })], "agency 1 has no bets, and yet"),
            (vec![agency(1, 9), agency(2, u64::MAX - 8), bets(u64::MAX)], "more bets than there can be"),
        ] {
            let what = replay(journal(2, snapshot, Vec::new()), 4).err().unwrap();
            assert!(what.contains(words), "{what}");
        }
        let nothing = replay(journal(4, vec![of(Account::default())], Vec::new()), 4).unwrap();
        assert_eq!(nothing.register, Register::default(), "it would be gone after the next start");
        // Fewer checksums than blocks mean larger blocks.
        let replayed = replay(journal(2, vec![block(0), bets(9)], Vec::new()), 4).unwrap();
        assert_eq!((replayed.checksums.length(), replayed.counted), (9, 9));
    }

    #[test]
    fn rows_that_ride_are_unsynced_until_a_commit_has_none() {
        let replayed = |log: Vec<Commit>| {
            let journal = Journal { format: 4, snapshot: vec![bets(5)], log, torn_records: 0 };
            replay(journal, 64).map(|replayed| (replayed.unsynced.start, replayed.unsynced.rows.len()))
        };
        let (riding, more) = (commit(vec![Record::InUse, bets(8)], 3), commit(vec![bets(12)], 4));
        assert_eq!(replayed(Vec::new()), Ok((5, 0)));
        assert_eq!(replayed(vec![riding, more]), Ok((5, 7)));
        let (riding, large, more) = (commit(vec![bets(8)], 3), commit(vec![bets(20)], 0), commit(vec![bets(21)], 1));
        assert_eq!(replayed(vec![riding, large, commit(vec![Record::Announced], 0), more]), Ok((20, 1)));
        for grown in [2, 4] {
            let what = replayed(vec![commit(vec![bets(5 + grown)], 3)]).unwrap_err();
            assert!(what.contains("3 bytes of rows ride"), "{what}");
        }
    }

    #[test]
    fn the_format_before_is_counted_anew_and_its_draw_was_announced() {
        let account = Account { stored: 7, checksum: Checksum(9), done: Some(Status::Undeclared) };
        let snapshot = vec![Record::Agency { agency: ONE, account }, bets(30), Record::Draw { number: 5, acta: None }];
        let old = replay(journal(FIRST_FORMAT, snapshot.clone(), Vec::new()), 64).unwrap();
        let done = Account { done: Some(Status::Undeclared), ..Account::default() };
        assert_eq!((old.counted, old.register.account(ONE)), (0, done));
        assert_eq!(old.register.draw(), Draw::Held { number: 5, is_announced: true });
        let new = replay(journal(2, snapshot, vec![Record::InUse, bets(40)]), 64).unwrap();
        assert_eq!((new.counted, new.register.account(ONE), new.in_use), (30, account, true));
        assert_eq!(new.register.draw(), Draw::Held { number: 5, is_announced: false });
    }
}
