//! Decides whether an entry can be stored, given what is on disk and what the earlier entries of its group add.

use std::collections::BTreeMap;

use super::entry::{Declaration, Entry, StorageError, Verdict};
use crate::domain::acta::Signed;
use crate::domain::seal::Declared;
use crate::domain::{Account, AgencyId, Place, Register, Status};

/// A judged group: the verdicts that hold if it can be written, and what has to be written.
#[derive(Default)]
pub struct Judged {
    pub verdicts: Vec<Verdict>,
    /// New rows, in the order of the entries.
    pub rows: Vec<u8>,
    /// Which of them belong together.
    pub pieces: Vec<Piece>,
    /// The new accounts of agencies that have new bets or are newly done.
    pub accounts: BTreeMap<AgencyId, Account>,
    pub done: Vec<(AgencyId, Status)>,
    /// What newly done agencies have signed.
    pub signed: Vec<(AgencyId, Declared, Signed)>,
    pub is_seal_announced: bool,
    pub is_announced: bool,
    /// The places of the verdicts that are wrong if the group cannot be written.
    dependent: Vec<usize>,
}

/// New rows of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub agency: AgencyId,
    /// The place of the first in the agency's sequence.
    pub first: u64,
    pub count: u64,
    /// Where they end among all rows of the group.
    pub end: usize,
}

impl Judged {
    /// Judges a group. Its new rows use the memory of `rows`.
    pub fn new(group: &[Entry], register: &Register, mut rows: Vec<u8>) -> Judged {
        rows.clear();
        let mut judged = Judged { rows, ..Judged::default() };
        for (place, entry) in group.iter().enumerate() {
            let verdict = judged.judge(entry, register);
            let depends = match entry {
                Entry::Bets { agency, .. } | Entry::Done { agency, .. } | Entry::Account { agency } => {
                    judged.accounts.contains_key(agency)
                }
                Entry::SealAnnounced | Entry::Announced => true,
                Entry::Void(_) => false,
            };
            if depends {
                judged.dependent.push(place);
            }
            judged.verdicts.push(verdict);
        }
        judged
    }

    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && !self.is_announced && !self.is_seal_announced
    }

    /// The verdicts of a group that could not be written. An account that was asked for is the one on disk.
    pub fn failed(mut self, group: &[Entry], register: &Register, error: &StorageError) -> Vec<Verdict> {
        for place in self.dependent {
            self.verdicts[place] = match group[place] {
                Entry::Account { agency } => account(register, register.account(agency)),
                Entry::Bets { .. } | Entry::Done { .. } | Entry::SealAnnounced | Entry::Announced | Entry::Void(_) => {
                    Verdict::Failed(error.clone())
                }
            };
        }
        self.verdicts
    }

    fn judge(&mut self, entry: &Entry, register: &Register) -> Verdict {
        let before =
            |judged: &Judged, agency| judged.accounts.get(&agency).copied().unwrap_or_else(|| register.account(agency));
        match entry {
            Entry::Bets { agency, place, rows } => {
                let account = before(self, *agency);
                let Account { stored, checksum, done } = account;
                let already = match place {
                    Some(place) if place.first > stored => return Verdict::Gap,
                    Some(place) => (stored - place.first).min(rows.count()),
                    None => 0,
                };
                let (known, new) = rows.split_at(already);
                if let Some(Place { first, before: Some(before) }) = place {
                    if first + rows.count() < stored {
                        return Verdict::Stale;
                    }
                    if before.extended(known) != checksum {
                        return Verdict::Conflict;
                    }
                }
                // Bets that are all stored already are acknowledged even if the agency is closed: this may be a resend.
                if !new.is_empty() {
                    if register.is_closed(&account) {
                        return Verdict::Closed;
                    }
                    self.rows.extend_from_slice(new);
                    let (first, count) = (stored, rows.count() - already);
                    self.pieces.push(Piece { agency: *agency, first, count, end: self.rows.len() });
                    let stored = first + count;
                    self.accounts.insert(*agency, Account { stored, checksum: checksum.extended(new), done });
                }
                Verdict::Stored { already }
            }
            Entry::Done { agency, declaration } => {
                let account = before(self, *agency);
                let status = match weigh(*agency, &account, declaration.as_ref(), register) {
                    Ok(status) => status,
                    Err(verdict) => return verdict,
                };
                if account.done.is_none() {
                    self.done.push((*agency, status));
                    self.accounts.insert(*agency, Account { done: Some(status), ..account });
                    if let (Status::Signed, Some(Declaration { declared, signed: Some(signed), .. })) =
                        (status, declaration)
                    {
                        self.signed.push((*agency, *declared, signed.as_ref().clone()));
                    }
                }
                Verdict::Marked
            }
            Entry::Account { agency } => account(register, before(self, *agency)),
            Entry::SealAnnounced => {
                self.is_seal_announced = true;
                Verdict::Marked
            }
            Entry::Announced => {
                self.is_announced = true;
                Verdict::Marked
            }
            Entry::Void(error) => Verdict::Failed(error.clone()),
        }
    }
}

/// How an agency is done that declares this, or the verdict if it is not.
fn weigh(
    agency: AgencyId,
    account: &Account,
    declaration: Option<&Declaration>,
    register: &Register,
) -> Result<Status, Verdict> {
    let Some(Declaration { declared, signed, is_forced }) = declaration else { return Ok(Status::Undeclared) };
    let is_balanced = declared.bets == account.stored
        && register.root(agency, account.stored).ok_or(Verdict::Unweighed)? == declared.root;
    match (is_balanced, signed) {
        (true, Some(_)) => Ok(Status::Signed),
        (true, None) => Ok(Status::Declared),
        (false, _) if *is_forced => Ok(Status::Overridden),
        (false, _) => Err(Verdict::Unbalanced { stored: account.stored }),
    }
}

fn account(register: &Register, account: Account) -> Verdict {
    let Account { stored, checksum, .. } = account;
    Verdict::Account { stored, checksum, is_closed: register.is_closed(&account) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Bet, Checksum, Rows};

    const ONE: AgencyId = AgencyId(1);

    fn bets(first: Option<u64>, count: u64) -> Entry {
        let mut rows = Rows::new(ONE);
        for document in 0..count {
            rows.push(&Bet::new(["Ana", "Paz", &document.to_string(), "2000-01-01", "7"]).unwrap());
        }
        Entry::Bets { agency: ONE, place: first.map(|first| Place { first, before: None }), rows }
    }

    fn register(stored: u64, done: bool) -> Register {
        let mut register = Register::default();
        let done = done.then_some(Status::Undeclared);
        register.set_account(ONE, Account { stored, checksum: Checksum(0), done });
        register
    }

    /// An account that is told, without its checksum.
    fn told(stored: u64, is_closed: bool) -> Verdict {
        Verdict::Account { stored, checksum: Checksum(0), is_closed }
    }

    fn open(stored: u64) -> Verdict {
        told(stored, false)
    }

    fn without_checksums(mut verdicts: Vec<Verdict>) -> Vec<Verdict> {
        for verdict in &mut verdicts {
            if let Verdict::Account { checksum, .. } = verdict {
                *checksum = Checksum(0);
            }
        }
        verdicts
    }

    #[test]
    fn an_entry_is_judged_against_the_disk_and_what_the_group_adds() {
        let group = [
            bets(Some(2), 3),
            bets(Some(3), 4),
            bets(Some(8), 1),
            Entry::Account { agency: ONE },
            bets(None, 1),
            Entry::Done { agency: ONE, declaration: None },
            bets(Some(7), 1),
            bets(Some(7), 2),
            bets(None, 1),
            Entry::Done { agency: ONE, declaration: None },
            Entry::Account { agency: ONE },
            bets(Some(0), 2),
        ];
        let judged = Judged::new(&group, &register(3, false), Vec::new());
        let stored = |already| Verdict::Stored { already };
        let expected = [
            stored(1),
            stored(2),
            Verdict::Gap,
            open(7),
            stored(0),
            Verdict::Marked,
            stored(1),
            Verdict::Closed,
            Verdict::Closed,
            Verdict::Marked,
            told(8, true),
            stored(2),
        ];
        assert_eq!(without_checksums(judged.verdicts), expected);
        assert_eq!(judged.rows.iter().filter(|byte| **byte == b'\n').count(), 5);
        assert_eq!(judged.done, [(ONE, Status::Undeclared)]);
        let Account { stored, done, .. } = judged.accounts[&ONE];
        assert_eq!((stored, done), (8, Some(Status::Undeclared)));
    }

    #[test]
    fn a_failed_write_fails_what_rests_on_it_and_nothing_else() {
        let error = StorageError("full".to_owned());
        let group = [
            bets(Some(0), 2),
            Entry::Account { agency: ONE },
            bets(Some(4), 1),
            bets(Some(3), 1),
            Entry::Account { agency: ONE },
            bets(Some(3), 1),
            Entry::Done { agency: ONE, declaration: None },
            Entry::Done { agency: ONE, declaration: None },
            Entry::Account { agency: AgencyId(2) },
        ];
        let register = register(3, false);
        let failed = Judged::new(&group, &register, Vec::new()).failed(&group, &register, &error);
        let fails = Verdict::Failed(error);
        let before = [Verdict::Stored { already: 2 }, open(3), Verdict::Gap];
        // What is sent again within the group rests on it as well.
        let resting = [fails.clone(), open(3), fails.clone(), fails.clone(), fails];
        let expected = [&before[..], &resting, &[open(0)]].concat();
        assert_eq!(without_checksums(failed), expected);
    }

    #[test]
    fn bets_that_say_what_stands_before_them_must_follow_it() {
        let row = |number: u64| format!("1,Ana,Paz,1,2000-01-01,{number}\r\n").into_bytes();
        let rows_of = |numbers: &[u64]| {
            let mut rows = Rows::new(ONE);
            for number in numbers {
                rows.push(&Bet::new(["Ana", "Paz", "1", "2000-01-01", &number.to_string()]).unwrap());
            }
            rows
        };
        let chain = |numbers: &[u64]| {
            numbers.iter().fold(Checksum::default(), |checksum, number| checksum.extended(&row(*number)))
        };
        let mut register = Register::default();
        register.set_account(ONE, Account { stored: 3, checksum: chain(&[0, 1, 2]), done: None });
        let judge = |first, before: &[u64], numbers: &[u64]| {
            let place = Some(Place { first, before: Some(chain(before)) });
            let entry = Entry::Bets { agency: ONE, place, rows: rows_of(numbers) };
            let mut judged = Judged::new(&[entry], &register, Vec::new());
            (judged.verdicts.remove(0), judged.accounts.get(&ONE).copied())
        };
        let whole = Some(Account { stored: 5, checksum: chain(&[0, 1, 2, 3, 4]), done: None });
        let stored = |already| Verdict::Stored { already };
        assert_eq!(judge(3, &[0, 1, 2], &[3, 4]), (stored(0), whole));
        assert_eq!(judge(1, &[0], &[1, 2, 3, 4]), (stored(2), whole));
        assert_eq!(judge(1, &[0], &[1, 2]), (stored(2), None));
        assert_eq!(judge(0, &[], &[0, 1, 2]), (stored(3), None));
        assert_eq!(judge(3, &[0, 1, 7], &[3, 4]).0, Verdict::Conflict, "what stands before is another");
        assert_eq!(judge(1, &[0], &[1, 7, 3]).0, Verdict::Conflict, "what is there already is another");
        assert_eq!(judge(0, &[], &[0, 1]).0, Verdict::Stale, "its end is before what is stored");
        assert_eq!(judge(0, &[], &[7, 7]).0, Verdict::Stale);
        assert_eq!(judge(4, &[0, 1, 2, 3], &[4]).0, Verdict::Gap);
    }

    #[test]
    fn a_group_that_adds_nothing_is_empty() {
        let group = [
            bets(Some(0), 3),
            bets(Some(5), 1),
            Entry::Done { agency: ONE, declaration: None },
            Entry::Account { agency: ONE },
        ];
        assert!(Judged::new(&group, &register(3, true), Vec::new()).is_empty());
        assert!(!Judged::new(&[Entry::Announced], &register(3, true), Vec::new()).is_empty());
    }
}
