//! A central is told to stop at random moments while twenty agencies work: it ends with exit code 0 and soon, and what it has
//! acknowledged is there.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use quiniela::domain::acta::{self, Acta};

use crate::common::keys::Place;
use crate::common::process::Process;
use crate::common::{Agency, Central, Folder, Proxy, Signal, acknowledged, tells};
use crate::orders::Orders;

const AGENCIES: u32 = 20;
/// Stops of a lottery.
const STOPS: usize = 8;
/// A stop takes no longer, where nothing else is done on the machine.
const SOON: Duration = Duration::from_secs(2);

struct Stops<'a> {
    rng: Rng,
    folder: Folder,
    keys: Option<&'a Place>,
    proxy: Proxy,
    took: Vec<Duration>,
}

impl Stops<'_> {
    fn central(&self) -> Central {
        let start = Central::on(&self.folder).agencies(AGENCIES);
        let central = match self.keys {
            Some(place) => start.tls(place),
            None => start,
        }
        .start();
        self.proxy.point_at(central.port);
        central
    }

    fn agency(&self, id: u32) -> Process {
        let agency = Agency::new(id, self.proxy.port, &self.folder).winners().with("--batch-max 10 --in-flight 16");
        match self.keys {
            Some(place) => agency.tls(place),
            None => agency,
        }
        .start()
    }

    fn until_the_moment(&mut self, central: &Central) {
        let deadline = Instant::now() + Duration::from_millis(500);
        let (action, most) =
            [("apuesta_recibida", 200), ("agencia_finalizada", 20), ("cierre", 1)][self.rng.usize(..3)];
        if self.rng.bool() {
            let nth = self.rng.usize(1..=most);
            central.process.nth_before(deadline, nth, |line| tells(line, action, "success"));
            thread::sleep(Duration::from_micros(self.rng.u64(..3000)));
        } else {
            thread::sleep(Duration::from_micros(self.rng.u64(..80_000)));
        }
    }

    fn stop(&mut self, central: Central, agencies: &[Process]) {
        // Another process may soon get its port.
        self.proxy.point_at(0);
        let begun = Instant::now();
        central.process.signal(Signal::TERM);
        central.stopped();
        self.took.push(begun.elapsed());
        let told: Vec<usize> = agencies.iter().map(|agency| acknowledged(&agency.lines())).collect();
        let stored = self.folder.assert_stored_begins_files(AGENCIES);
        assert!(stored.iter().zip(&told).all(|(stored, told)| stored >= told), "{stored:?} of {told:?}");
    }

    fn run(&mut self) {
        let mut central = self.central();
        let held = self.rng.usize(..STOPS);
        self.proxy.hold_after(2048 * self.rng.usize(2..6));
        let agencies: Vec<Process> = (1..=AGENCIES).map(|id| self.agency(id)).collect();
        for stop in 0..STOPS {
            if stop == held {
                self.proxy.let_go();
            }
            self.until_the_moment(&central);
            self.stop(central, &agencies);
            central = self.central();
        }
        self.proxy.let_go();
        for (id, agency) in (1..).zip(agencies) {
            agency.finish().ok();
            assert_eq!(self.folder.winners_told(id), self.folder.winners_due(id, "7574"), "agency {id}");
        }
        self.folder.assert_stored_equals_files(AGENCIES);
        self.stop(central, &[]);
        let acta: Acta = acta::read(&fs::read(self.folder.store().join("acta.json")).unwrap()).unwrap();
        assert_eq!(acta.draw.map(|draw| draw.number), Some(7574));
    }
}

#[test]
fn stops_at_any_moment_are_clean_and_soon() {
    let orders = Orders::new("stops", Duration::from_secs(2), 10);
    let place = Place::with_agencies(AGENCIES);
    let mut took = Vec::new();
    while let Some(round) = orders.next() {
        let mut rng = Rng::with_seed(round.seed);
        let words = format!("--agencies {AGENCIES} --bets {} --seed {} --winners 500", rng.u32(2000..8000), round.seed);
        let (folder, keys) = (Folder::with_data(&words), round.seed.is_multiple_of(2).then_some(&place));
        let mut stops = Stops { rng, folder, keys, proxy: Proxy::to(0), took: Vec::new() };
        stops.run();
        took.extend(stops.took);
    }
    took.sort_unstable();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "stops under {AGENCIES} agencies: {}, median {median:.0?}, worst {worst:.0?}; {}",
        took.len(),
        orders.closing()
    );
    // The short form shares the machine with other tests.
    assert!(!orders.is_long || worst < SOON, "{worst:?}");
}
