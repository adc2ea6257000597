//! Whether an entry can be stored: judged by whoever commits the group, against what is on disk and what the group's
//! earlier entries add.

use std::collections::BTreeMap;

use super::{Entry, StorageError, Verdict};
use crate::domain::{Account, AgencyId, Draw, Register};

/// A group that was judged: its verdicts if it comes to the disk, and what has to be written for that.
#[derive(Default)]
pub struct Judged {
    pub verdicts: Vec<Verdict>,
    /// New rows, in the order of the entries.
    pub rows: Vec<u8>,
    /// The agencies that have new bets or are newly done, with the accounts that they get.
    pub accounts: BTreeMap<AgencyId, Account>,
    pub done: Vec<AgencyId>,
    pub is_announced: bool,
    /// The places of the verdicts that are wrong if the group does not come to the disk.
    resting: Vec<usize>,
}

impl Judged {
    /// Judges a group. `rows` is an emptied buffer for its rows.
    pub fn new(group: &[Entry], register: &Register, rows: Vec<u8>) -> Judged {
        let mut judged = Judged { rows, ..Judged::default() };
        for (place, entry) in group.iter().enumerate() {
            let verdict = judged.judge(entry, register);
            let rests = match entry {
                Entry::Bets { agency, .. } | Entry::Done { agency } | Entry::Account { agency } => {
                    judged.accounts.contains_key(agency)
                }
                Entry::Announced => true,
                Entry::Void(_) => false,
            };
            if rests {
                judged.resting.push(place);
            }
            judged.verdicts.push(verdict);
        }
        judged
    }

    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && !self.is_announced
    }

    /// The verdicts of a group that did not come to the disk. Who asked for an account is told what is there.
    pub fn failed(mut self, group: &[Entry], register: &Register, error: &StorageError) -> Vec<Verdict> {
        for place in self.resting {
            self.verdicts[place] = match group[place] {
                Entry::Account { agency } => account(register.account(agency), register.draw()),
                Entry::Bets { .. } | Entry::Done { .. } | Entry::Announced | Entry::Void(_) => {
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
            Entry::Bets { agency, first, rows } => {
                let Account { stored, done } = before(self, *agency);
                let already = match first {
                    Some(first) if *first > stored => return Verdict::Gap,
                    Some(first) => (stored - first).min(rows.count()),
                    None => 0,
                };
                // What is there already is told before what is closed.
                if already < rows.count() {
                    if done || register.draw() != Draw::Open {
                        return Verdict::Closed;
                    }
                    self.rows.extend_from_slice(rows.skip(already));
                    self.accounts.insert(*agency, Account { stored: stored + rows.count() - already, done });
                }
                Verdict::Stored { already }
            }
            Entry::Done { agency } => {
                let Account { stored, done } = before(self, *agency);
                if !done {
                    self.done.push(*agency);
                    self.accounts.insert(*agency, Account { stored, done: true });
                }
                Verdict::Marked
            }
            Entry::Account { agency } => account(before(self, *agency), register.draw()),
            Entry::Announced => {
                self.is_announced = true;
                Verdict::Marked
            }
            Entry::Void(error) => Verdict::Failed(error.clone()),
        }
    }
}

fn account(account: Account, draw: Draw) -> Verdict {
    Verdict::Account { stored: account.stored, is_closed: account.done || draw != Draw::Open }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Bet, Rows};

    const ONE: AgencyId = AgencyId(1);

    fn bets(first: Option<u64>, count: u64) -> Entry {
        let mut rows = Rows::new(ONE);
        for document in 0..count {
            rows.push(&Bet::new(["Ana", "Paz", &document.to_string(), "2000-01-01", "7"]).unwrap());
        }
        Entry::Bets { agency: ONE, first, rows }
    }

    fn register(stored: u64, done: bool) -> Register {
        let mut register = Register::default();
        register.set_account(ONE, Account { stored, done });
        register
    }

    fn open(stored: u64) -> Verdict {
        Verdict::Account { stored, is_closed: false }
    }

    #[test]
    fn an_entry_is_judged_against_the_disk_and_what_the_group_adds() {
        let group = [
            bets(Some(2), 3),
            bets(Some(3), 4),
            bets(Some(8), 1),
            Entry::Account { agency: ONE },
            bets(None, 1),
            Entry::Done { agency: ONE },
            bets(Some(7), 1),
            bets(Some(7), 2),
            bets(None, 1),
            Entry::Done { agency: ONE },
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
            Verdict::Account { stored: 8, is_closed: true },
            stored(2),
        ];
        assert_eq!(judged.verdicts, expected);
        assert_eq!(judged.rows.iter().filter(|byte| **byte == b'\n').count(), 5);
        assert_eq!(judged.done, [ONE]);
        assert_eq!(judged.accounts[&ONE], Account { stored: 8, done: true });
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
            Entry::Done { agency: ONE },
            Entry::Done { agency: ONE },
            Entry::Account { agency: AgencyId(2) },
        ];
        let register = register(3, false);
        let failed = Judged::new(&group, &register, Vec::new()).failed(&group, &register, &error);
        let fails = Verdict::Failed(error);
        let before = [Verdict::Stored { already: 2 }, open(3), Verdict::Gap];
        // What is sent again within the group rests on it as well.
        let resting = [fails.clone(), open(3), fails.clone(), fails.clone(), fails];
        let expected = [&before[..], &resting, &[open(0)]].concat();
        assert_eq!(failed, expected);
    }

    #[test]
    fn a_group_that_adds_nothing_is_empty() {
        let group = [bets(Some(0), 3), bets(Some(5), 1), Entry::Done { agency: ONE }, Entry::Account { agency: ONE }];
        assert!(Judged::new(&group, &register(3, true), Vec::new()).is_empty());
        assert!(!Judged::new(&[Entry::Announced], &register(3, true), Vec::new()).is_empty());
    }
}
