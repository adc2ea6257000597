//! Connections, the line and the ledger's thread. The store is a model: it keeps what it is given, or fails once.

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::domain::acta::{Acta, StoreSecrets};
use crate::domain::{Account, AgencyId, Checksum, Rules};
use crate::explore;
use crate::ledger::{
    Audience, CLAIM, Claim, DrawOrder, Entry, Held, IsStopping, Ledger, Sign, State, StorageError, Store, Verdict,
    Winners,
};

const CONNECTIONS: usize = 2;
/// What the line holds at most, in claims.
const MOST_CLAIMS: usize = 128;

/// Fails the group of this number, and stores all others.
struct FailingStore {
    failing: Option<usize>,
    groups: std::sync::Mutex<usize>,
}

/// What the connections have heard, and are waiting for.
struct Ears {
    of: Vec<(Mutex<Heard>, Condvar)>,
    /// All verdicts, in the order in which they came.
    told: std::sync::Mutex<Vec<(usize, u32, bool)>>,
}

#[derive(Default)]
struct Heard {
    /// The number of each entry, and whether it is stored.
    verdicts: Vec<(u32, bool)>,
    grants: usize,
}

struct Place {
    ledger: Ledger<(usize, u32), usize>,
    ears: Ears,
}

impl Place {
    fn new(failing: Option<usize>) -> Arc<Place> {
        let store = FailingStore { failing, groups: std::sync::Mutex::default() };
        let of = (0..CONNECTIONS).map(|_| (Mutex::new(Heard::default()), Condvar::new())).collect();
        Arc::new(Place { ledger: Ledger::new(Box::new(store)), ears: Ears { of, told: std::sync::Mutex::default() } })
    }

    /// Runs the ledger's thread beside the connections, and closes the line behind them.
    fn run(place: &Arc<Place>, connections: Vec<thread::JoinHandle<()>>) -> Vec<(usize, u32, bool)> {
        let writer = {
            let place = Arc::clone(place);
            thread::spawn(move || place.ledger.write_until_closed(&place.ears).unwrap())
        };
        connections.into_iter().for_each(|connection| connection.join().unwrap());
        place.ledger.line.close();
        writer.join().unwrap();
        std::mem::take(&mut *place.ears.told.lock().unwrap())
    }

    /// Claims room, and waits for it if there is none now.
    fn claim(&self, claim: &mut Claim, who: usize, expects_nothing: bool) {
        if !self.ledger.line.claim(claim, expects_nothing, || who) {
            self.ears.wait(who, |heard| heard.grants > 0);
            assert!(self.ledger.line.claim(claim, expects_nothing, || who), "what was granted is there");
        }
    }

    fn give_back(&self, claim: &mut Claim) {
        self.ears.admit_to_line(self.ledger.line.give_back(claim));
    }

    fn write_or_hurry(&self) {
        self.ledger.write_or_hurry(&self.ears);
    }

    fn put(&self, claim: &mut Claim, who: usize, number: u32) {
        self.ledger.line.put(claim, Entry::Done { agency: AgencyId(1), declaration: None }, (who, number));
    }
}

impl Ears {
    fn wait(&self, who: usize, is_enough: impl Fn(&Heard) -> bool) -> Vec<(u32, bool)> {
        let (heard, news) = &self.of[who];
        let mut heard = heard.lock().unwrap();
        while !is_enough(&heard) {
            heard = news.wait(heard).unwrap();
        }
        heard.verdicts.clone()
    }

    fn tell(&self, who: usize, tell: impl FnOnce(&mut Heard)) {
        let (heard, news) = &self.of[who];
        tell(&mut heard.lock().unwrap());
        news.notify_one();
    }
}

impl Audience<(usize, u32), usize> for Ears {
    fn settle(&self, verdicts: Vec<((usize, u32), Verdict)>) {
        for ((who, number), verdict) in verdicts {
            let is_stored = verdict == Verdict::Marked;
            self.told.lock().unwrap().push((who, number, is_stored));
            self.tell(who, |heard| heard.verdicts.push((number, is_stored)));
        }
    }

    fn admit_to_line(&self, waiting: Vec<usize>) {
        waiting.into_iter().for_each(|who| self.tell(who, |heard| heard.grants += 1));
    }

    fn lose_store(&self) {
        unreachable!("the store stays sound")
    }
}

/// What was told, by connection: the numbers in order, and which of them are stored.
fn of(told: &[(usize, u32, bool)], connection: usize) -> Vec<(u32, bool)> {
    told.iter().filter(|(who, ..)| *who == connection).map(|(_, number, is_stored)| (*number, *is_stored)).collect()
}

#[test]
fn every_entry_that_somebody_waits_for_is_written_and_told_once_in_order() {
    explore("group commit", 2, || {
        let place = Place::new(None);
        let connections = (0..CONNECTIONS).map(|who| {
            let place = Arc::clone(&place);
            thread::spawn(move || {
                let mut claim = Claim::default();
                place.claim(&mut claim, who, true);
                (1..=2).for_each(|number| place.put(&mut claim, who, number));
                place.give_back(&mut claim);
                place.write_or_hurry();
                // Loom finds a wait that nobody ends.
                assert_eq!(place.ears.wait(who, |heard| heard.verdicts.len() == 2), [(1, true), (2, true)]);
            })
        });
        let connections = connections.collect();
        let told = Place::run(&place, connections);
        assert_eq!(told.len(), 2 * CONNECTIONS);
    });
}

#[test]
fn nothing_is_stored_behind_a_failure_that_its_sender_has_not_heard_of() {
    explore("a group fails", 2, || {
        let place = Place::new(Some(0));
        let connections = (0..CONNECTIONS).map(|who| {
            let place = Arc::clone(&place);
            thread::spawn(move || {
                let mut claim = Claim::default();
                place.claim(&mut claim, who, true);
                place.put(&mut claim, who, 1);
                place.write_or_hurry();
                place.put(&mut claim, who, 2);
                place.write_or_hurry();
                place.ears.wait(who, |heard| heard.verdicts.len() == 2);
                if who == 0 {
                    // It has heard what there was to hear, so this stands behind no failure.
                    place.claim(&mut claim, who, true);
                    place.put(&mut claim, who, 3);
                    place.write_or_hurry();
                    let heard = place.ears.wait(who, |heard| heard.verdicts.len() == 3);
                    assert_eq!(heard[2], (3, true));
                }
                place.give_back(&mut claim);
            })
        });
        let connections = connections.collect();
        let told = Place::run(&place, connections);
        for who in 0..CONNECTIONS {
            let (numbers, are_stored): (Vec<u32>, Vec<bool>) = of(&told, who).into_iter().unzip();
            assert_eq!(numbers, &[1, 2, 3][..if who == 0 { 3 } else { 2 }]);
            assert!(are_stored[0] || !are_stored[1], "the second was stored and the first was not: {told:?}");
        }
        assert!(told.iter().any(|(.., is_stored)| !is_stored), "the first group has failed");
    });
}

#[test]
fn who_waits_for_room_gets_it() {
    explore("room", 2, || {
        let place = Place::new(None);
        let mut others: Vec<Claim> = (1..MOST_CLAIMS).map(|_| Claim::default()).collect();
        others.iter_mut().for_each(|claim| assert!(place.ledger.line.claim(claim, true, || 0)));
        let connections = (0..CONNECTIONS).map(|who| {
            let place = Arc::clone(&place);
            thread::spawn(move || {
                let mut claim = Claim::default();
                place.claim(&mut claim, who, true);
                place.put(&mut claim, who, 1);
                place.give_back(&mut claim);
                place.write_or_hurry();
                place.ears.wait(who, |heard| heard.verdicts.len() == 1);
            })
        });
        let connections = connections.collect();
        let told = Place::run(&place, connections);
        assert_eq!(told.len(), CONNECTIONS);
    });
}

#[test]
fn the_line_holds_as_many_claims_as_this_test_believes() {
    let line =
        Ledger::<(), ()>::new(Box::new(FailingStore { failing: None, groups: std::sync::Mutex::default() })).line;
    let mut claims: Vec<Claim> = (0..=MOST_CLAIMS).map(|_| Claim::default()).collect();
    let granted = claims.iter_mut().filter_map(|claim| line.claim(claim, true, || ()).then_some(CLAIM));
    assert_eq!(granted.count(), MOST_CLAIMS);
}

impl Store for FailingStore {
    fn commit(&self, group: &[Entry]) -> Vec<Verdict> {
        let mut groups = self.groups.lock().unwrap();
        let fails = self.failing == Some(*groups);
        *groups += 1;
        drop(groups);
        // A write takes its time.
        thread::yield_now();
        let error = || StorageError("full".to_owned());
        let verdict = |entry: &Entry| match entry {
            Entry::Void(error) => Verdict::Failed(error.clone()),
            _ if fails => Verdict::Failed(error()),
            _ => Verdict::Marked,
        };
        group.iter().map(verdict).collect()
    }

    fn maintain(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn secrets(&self) -> Option<StoreSecrets> {
        unreachable!()
    }

    fn weigh(&self, _: &[AgencyId], _: IsStopping<'_>) -> Result<(), StorageError> {
        unreachable!()
    }

    fn seal(&self, _: u32, _: Sign<'_>, _: IsStopping<'_>) -> Result<Held, StorageError> {
        unreachable!()
    }

    fn acta(&self) -> Option<std::sync::Arc<Acta>> {
        unreachable!()
    }

    fn hold_draw(&self, _: &DrawOrder, _: &Winners) -> Result<Held, StorageError> {
        unreachable!()
    }

    fn state(&self) -> State {
        unreachable!()
    }

    fn accounts(&self) -> Vec<(AgencyId, Account)> {
        unreachable!()
    }

    fn missing(&self, _: u32, _: usize) -> Vec<AgencyId> {
        unreachable!()
    }

    fn rules(&self) -> Rules {
        unreachable!()
    }

    fn winners(&self, _: u32) -> Result<Winners, StorageError> {
        unreachable!()
    }
}
