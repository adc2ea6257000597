//! A model of a lottery: a few lists, without disk, threads and limits.

use super::bets::{AGENCIES, Stored};
use crate::domain::acta::{self, Acta, StoreSecrets};
use crate::domain::tree::{Levels, Tree};
use crate::domain::{AgencyId, Checksum, Hash, Phase, Place, Status, WINNING_NUMBER};
use crate::ledger::files::fuzzing::SimFolder;
use crate::wire::{Documents, Drawn, Refusal, Reply, SealShown, Stand, Standing};

/// See the module.
pub struct Lottery {
    secrets: StoreSecrets,
    accounts: Vec<Account>,
    /// The rows of `bets.csv`, in their order.
    pub bets: String,
    sealed: Option<Acta>,
    /// The draw is held and announced.
    pub is_drawn: bool,
}

#[derive(Default)]
struct Account {
    rows: Vec<String>,
    winners: Vec<String>,
    done: Option<Status>,
}

/// What is put in line.
pub enum Entry {
    Bets { agency: AgencyId, place: Option<Place>, bets: Vec<Stored>, count: Option<u32> },
    Done { agency: AgencyId, declared: Option<(u64, Hash)> },
    Hello { agency: AgencyId, more: bool },
}

impl Lottery {
    /// A new one, whose secrets are in this folder.
    pub fn new(folder: &SimFolder) -> Lottery {
        Lottery {
            secrets: acta::read(&folder.bytes("secrets.json")).unwrap(),
            accounts: (0..AGENCIES).map(|_| Account::default()).collect(),
            bets: String::new(),
            sealed: None,
            is_drawn: false,
        }
    }

    fn account(&self, agency: AgencyId) -> &Account {
        &self.accounts[agency.0 as usize - 1]
    }

    /// The checksum and the root of what is stored of an agency.
    pub fn sums(&self, agency: AgencyId) -> (Checksum, Hash) {
        let rows = &self.account(agency).rows;
        let leaves = self.secrets.secret.of_agency(agency).leaves();
        let mut tree = Tree::default();
        (0..).zip(rows).for_each(|(place, row)| tree.push(leaves.leaf(place, row.as_bytes())));
        (Checksum::default().extended(rows.concat().as_bytes()), tree.root())
    }

    pub fn is_due(&self) -> bool {
        self.sealed.is_none() && self.accounts.iter().all(|account| account.done.is_some())
    }

    /// The seal is put on what is stored, and the draw held. The acta in the folder has to say the same.
    pub fn seal(&mut self, folder: &SimFolder) {
        let acta: Acta = acta::read(&folder.bytes("acta.json")).unwrap();
        let lines = acta.agencies.iter().map(|line| (line.bets, line.root, line.status, line.winners));
        let expected = (1..=AGENCIES).zip(&self.accounts).map(|(id, Account { rows, winners, done })| {
            (rows.len() as u64, self.sums(AgencyId(id)).1, done.unwrap(), Some(winners.len() as u64))
        });
        assert!(lines.eq(expected), "{acta:?}");
        self.sealed = Some(acta);
    }

    pub fn commit(&mut self, entry: Entry) -> Reply {
        match entry {
            Entry::Bets { agency, place, bets, count } => {
                let result = self.store(agency, place, bets);
                count.map_or(Reply::Ack(result.clone()), |count| Reply::AckBatch { count, result })
            }
            Entry::Done { agency, declared } => {
                let (_, root) = self.sums(agency);
                let account = &mut self.accounts[agency.0 as usize - 1];
                let stored = account.rows.len() as u64;
                if declared.is_some_and(|declared| declared != (stored, root)) {
                    return Reply::AckDone(Err(Refusal::Unbalanced { stored }));
                }
                account.done.get_or_insert(if declared.is_some() { Status::Declared } else { Status::Undeclared });
                Reply::AckDone(Ok(()))
            }
            Entry::Hello { agency, more } => {
                let (checksum, _) = self.sums(agency);
                let account = self.account(agency);
                let phase = match account.done {
                    _ if self.is_drawn => Phase::Drawn,
                    None if self.sealed.is_none() => Phase::Open,
                    _ => Phase::Done,
                };
                let identity = (self.secrets.lottery, self.secrets.secret.of_agency(agency));
                Reply::Hello(Ok(Standing {
                    stored: account.rows.len() as u64,
                    phase,
                    checksum: more.then_some(checksum),
                    identity: more.then_some(identity),
                }))
            }
        }
    }

    fn store(&mut self, agency: AgencyId, place: Option<Place>, bets: Vec<Stored>) -> Result<(), Refusal> {
        let account = &mut self.accounts[agency.0 as usize - 1];
        let (stored, count) = (account.rows.len() as u64, bets.len() as u64);
        let mut known = 0;
        if let Some(Place { first, before }) = place {
            if first > stored {
                return Err(Refusal::Gap);
            }
            known = count.min(stored - first) as usize;
            if let Some(before) = before {
                if first + count < stored {
                    return Err(Refusal::Stale);
                }
                let theirs: String = bets[..known].iter().map(|bet| bet.row.as_str()).collect();
                let ours = Checksum::default().extended(account.rows.concat().as_bytes());
                if before.extended(theirs.as_bytes()) != ours {
                    return Err(Refusal::Conflict);
                }
            }
        }
        if known < bets.len() && (account.done.is_some() || self.sealed.is_some()) {
            return Err(Refusal::Closed);
        }
        for Stored { row, winner } in bets.into_iter().skip(known) {
            self.bets.push_str(&row);
            account.rows.push(row);
            account.winners.extend(winner);
        }
        Ok(())
    }

    pub fn stand(&self) -> Stand {
        Stand {
            lottery: Some(self.secrets.lottery),
            agencies: AGENCIES,
            done: self.accounts.iter().filter(|account| account.done.is_some()).count() as u32,
            bets: self.accounts.iter().map(|account| account.rows.len() as u64).sum(),
            seal: self.sealed.as_ref().map(|acta| acta.seal),
            number: self.is_drawn.then_some(WINNING_NUMBER),
        }
    }

    pub fn drawn(&self) -> Result<Drawn, Refusal> {
        let drawn = Drawn { number: WINNING_NUMBER, signature: None };
        if self.is_drawn { Ok(drawn) } else { Err(Refusal::NotReady) }
    }

    pub fn winners(&self, agency: AgencyId, from: Option<u64>) -> Result<Documents, Refusal> {
        let all = &self.account(agency).winners;
        let start = usize::try_from(from.unwrap_or(0)).unwrap_or(usize::MAX).min(all.len());
        let documents = Documents { total: from.map(|_| all.len() as u64), list: all[start..].join(",") };
        if self.is_drawn { Ok(documents) } else { Err(Refusal::NotReady) }
    }

    /// What an agency is shown of the seal, once there is one.
    pub fn shown(&self, agency: AgencyId) -> Option<SealShown> {
        let acta = self.sealed.as_ref()?;
        let place = agency.0 as usize - 1;
        let line = &acta.agencies[place];
        let levels = Levels::new(acta.lines().map(|line| line.leaf()).collect());
        Some(SealShown {
            bets: line.bets,
            root: line.root,
            status: line.status,
            agencies: AGENCIES,
            total: acta.total,
            seal: acta.seal,
            time: acta.sealed_at,
            path: levels.path(place).unwrap(),
            signature: None,
        })
    }
}
