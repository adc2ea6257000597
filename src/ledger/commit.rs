//! What is between the line and the store: group commit, and what a failed group means for those behind it. A thread of its own
//! commits, or that of a connection which would only wait for it.
//!
//! `tests/schedules` tries many orders in which connections and this thread can meet here.

use super::entry::{Entry, StorageError, Store, Verdict};
use super::line::{Leaving, Line};
use super::spare::Spare;

/// Receives what the ledger has to tell. No call may block, since all entries in line wait meanwhile.
pub trait Audience<O, W> {
    /// Takes the verdicts of a group, in the order of the line.
    fn settle(&self, verdicts: Vec<(O, Verdict)>);
    /// Wakes those whose claims of room were granted.
    fn admit_to_line(&self, waiting: Vec<W>);
    /// Learns that the store has failed for good after its verdicts were published.
    fn lose_store(&self);
}

/// The line and the store behind it. An `O` says what an entry is in line for, and a `W` says who waits for room.
pub struct Ledger<O, W> {
    pub line: Line<O, W>,
    pub store: Box<dyn Store>,
    pub spare: Spare,
}

impl<O, W> Ledger<O, W> {
    pub fn new(store: Box<dyn Store>) -> Ledger<O, W> {
        Ledger { line: Line::new(), store, spare: Spare::default() }
    }

    /// Stores the entries in line, group by group, until the line is closed and empty; then closes the store.
    pub fn write_until_closed(&self, audience: &impl Audience<O, W>) -> Result<(), StorageError> {
        while let Some(leaving) = self.line.next_group() {
            self.write(leaving, audience);
        }
        self.store.close()
    }

    /// Stores one group if any entry is in line.
    #[cfg(any(test, fuzzing))]
    pub fn write_group_if_any(&self, audience: &impl Audience<O, W>) {
        if !self.line.is_empty()
            && let Some(leaving) = self.line.next_group()
        {
            self.write(leaving, audience);
        }
    }

    /// Stores what is in line without delay: on this thread if it is little and nobody else stores, and else on the ledger's. A store
    /// that is elsewhere could keep this thread for seconds.
    pub fn write_or_hurry(&self, audience: &impl Audience<O, W>) {
        if self.store.is_shared() {
            return self.line.hurry();
        }
        let Some(leaving) = self.line.take_or_hurry() else { return };
        audience.admit_to_line(leaving.waiting);
        self.commit(leaving.group, audience);
        self.line.put_down(self.store.is_maintenance_due());
    }

    fn write(&self, leaving: Leaving<O, W>, audience: &impl Audience<O, W>) {
        audience.admit_to_line(leaving.waiting);
        if !leaving.group.is_empty() {
            self.commit(leaving.group, audience);
        }
        if self.store.maintain().is_err() {
            audience.lose_store();
        }
    }

    fn commit(&self, group: Vec<(Entry, O)>, audience: &impl Audience<O, W>) {
        let (entries, orders): (Vec<Entry>, Vec<O>) = group.into_iter().unzip();
        let verdicts = self.store.commit(&entries);
        let failure = entries.iter().zip(&verdicts).find_map(|(entry, verdict)| match (entry, verdict) {
            (Entry::Void(_), _) => None,
            (_, Verdict::Failed(error)) => Some(error.clone()),
            _ => None,
        });
        self.spare.take(entries);
        // Later entries assumed that this group was stored: fail them too. The line also fails entries that the same
        // connections add before they learn of the failure.
        let behind = failure.map(|error| (self.line.fail(error.clone()), error));
        audience.settle(orders.into_iter().zip(verdicts).collect());
        let Some((Leaving { group: behind, waiting }, error)) = behind else { return };
        audience.admit_to_line(waiting);
        let fail = |(entry, order)| {
            let verdict = match entry {
                // It asks what is stored, which the failure did not change. A store elsewhere would be waited for once more.
                Entry::Account { .. } if !self.store.is_shared() => self.store.commit(&[entry]).pop(),
                Entry::Account { .. }
                | Entry::Bets { .. }
                | Entry::Done { .. }
                | Entry::SealAnnounced
                | Entry::Announced
                | Entry::Void(_) => None,
            };
            (order, verdict.unwrap_or_else(|| Verdict::Failed(error.clone())))
        };
        audience.settle(behind.into_iter().map(fail).collect());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use parking_lot::Mutex;

    use super::super::{Claim, DrawOrder, Held, IsStopping, Sign, State, Winners};
    use super::*;
    use crate::domain::acta::{Acta, StoreSecrets};
    use crate::domain::{Account, AgencyId, Checksum, Rules};

    const ONE: AgencyId = AgencyId(1);

    fn full() -> StorageError {
        StorageError("full".to_owned())
    }

    /// A disk that is full for the first group and has space for the others.
    #[derive(Default)]
    struct FullAtFirst {
        groups: AtomicU32,
    }

    impl Store for FullAtFirst {
        fn commit(&self, group: &[Entry]) -> Vec<Verdict> {
            let is_full = self.groups.fetch_add(1, Ordering::Relaxed) == 0;
            let judge = |entry: &Entry| match entry {
                Entry::Account { .. } => Verdict::Account { stored: 0, checksum: Checksum(0), is_closed: false },
                Entry::Void(error) => Verdict::Failed(error.clone()),
                _ if is_full => Verdict::Failed(full()),
                _ => Verdict::Marked,
            };
            group.iter().map(judge).collect()
        }

        fn secrets(&self) -> Option<StoreSecrets> {
            None
        }

        fn weigh(&self, _: &[AgencyId], _: IsStopping<'_>) -> Result<(), StorageError> {
            unreachable!("nothing is declared")
        }

        fn seal(&self, _: u32, _: Sign<'_>, _: IsStopping<'_>) -> Result<Held, StorageError> {
            unreachable!("nothing is sealed")
        }

        fn acta(&self) -> Option<Arc<Acta>> {
            None
        }

        fn hold_draw(&self, _: &DrawOrder, _: &Winners) -> Result<Held, StorageError> {
            unreachable!("no draw is held")
        }

        fn maintain(&self) -> Result<(), StorageError> {
            Ok(())
        }

        fn state(&self) -> State {
            unreachable!("nobody asks for the state")
        }

        fn accounts(&self) -> Vec<(AgencyId, Account)> {
            unreachable!("nobody asks for accounts")
        }

        fn missing(&self, _: u32, _: usize) -> Vec<AgencyId> {
            unreachable!("nobody asks who is missing")
        }

        fn rules(&self) -> Rules {
            Rules::DEFAULT
        }

        fn winners(&self, _: u32) -> Result<Winners, StorageError> {
            unreachable!("nobody asks for winners")
        }

        fn close(&self) -> Result<(), StorageError> {
            Err(StorageError("cannot be closed".to_owned()))
        }
    }

    /// Two connections. Of the first comes more while its first request is written, and then before it hears that this has
    /// failed; of the second comes something while the last of that is written.
    struct Connections<'a> {
        line: &'a Line<u32, ()>,
        admissions: AtomicU32,
        heard: Mutex<Vec<(u32, Verdict)>>,
    }

    impl Audience<u32, ()> for Connections<'_> {
        fn settle(&self, verdicts: Vec<(u32, Verdict)>) {
            self.heard.lock().extend(verdicts);
        }

        fn admit_to_line(&self, _: Vec<()>) {
            let (mut first, mut second) = (Claim::default(), Claim::default());
            match self.admissions.fetch_add(1, Ordering::Relaxed) {
                0 => {
                    self.line.put(&mut first, Entry::Done { agency: ONE, declaration: None }, 2);
                    self.line.put(&mut first, Entry::Account { agency: ONE }, 3);
                }
                1 => self.line.put(&mut first, Entry::Done { agency: ONE, declaration: None }, 4),
                2 => {
                    assert!(self.line.claim(&mut second, true, || ()));
                    self.line.put(&mut second, Entry::Done { agency: ONE, declaration: None }, 5);
                }
                _ => {}
            }
        }

        fn lose_store(&self) {
            unreachable!("the store stays sound")
        }
    }

    #[test]
    fn a_failed_group_takes_along_what_stood_behind_it_and_nothing_more() {
        let ledger = Ledger::new(Box::new(FullAtFirst::default()));
        let line = &ledger.line;
        let connections = Connections { line, admissions: AtomicU32::new(0), heard: Mutex::default() };
        line.put(&mut Claim::default(), Entry::Done { agency: ONE, declaration: None }, 1);
        line.close();
        assert_eq!(ledger.write_until_closed(&connections), Err(StorageError("cannot be closed".to_owned())));
        let told = Verdict::Account { stored: 0, checksum: Checksum(0), is_closed: false };
        let failed = || Verdict::Failed(full());
        let expected = [(1, failed()), (2, failed()), (3, told), (4, failed()), (5, Verdict::Marked)];
        assert_eq!(connections.heard.into_inner(), expected);
    }
}
