//! Connections that break anywhere, in either direction, again and again: no bet is lost or stored twice.

use fastrand::Rng;

use crate::common::proxy::Knife;
use crate::common::{Agency, Central, Folder, Process, Proxy, seed, tells, value};

/// A lottery of agencies whose first connections are all cut.
struct Plan {
    agencies: u32,
    /// Bets in each agency's file.
    bets: u32,
    batch_max: usize,
    in_flight: usize,
    /// A cut comes before this many bytes to the central or from it: after a few batches, or a few replies.
    most_up: usize,
    most_down: usize,
    /// Cuts of each agency's connections.
    cuts: usize,
}

impl Plan {
    /// Maximum bytes of its file that an agency can send before a cut. The shortest acknowledgement has 20 bytes,
    /// and a bet with its frame some 70.
    fn most_progress(&self) -> usize {
        let batch = (self.batch_max * 70).min(8200);
        self.most_up.max((self.most_down / 20 + self.in_flight) * batch)
    }

    fn hold(&self) {
        let mut rng = Rng::with_seed(seed());
        let agencies = self.agencies;
        let folder = Folder::with_equal_files(agencies, self.bets);
        let central = Central::on(&folder).agencies(agencies).start();
        let proxies: Vec<Proxy> = (0..agencies).map(|_| Proxy::to(central.port)).collect();
        let words = format!("--batch-max {} --in-flight {}", self.batch_max, self.in_flight);
        let start = |(id, proxy): (u32, &Proxy)| {
            let bytes = folder.file(id).metadata().unwrap().len() as usize;
            assert!(bytes > self.cuts * self.most_progress(), "agency {id} could be done before its last cut");
            proxy.cut_with(self.knife(&mut rng));
            Agency::new(id, proxy.port, &folder).with(&words).winners().start()
        };
        let running: Vec<Process> = (1..).zip(&proxies).map(start).collect();
        for ((id, agency), proxy) in (1..).zip(running).zip(&proxies) {
            agency.finish().ok();
            assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
            assert_eq!(proxy.cuts(), self.cuts, "agency {id}");
        }
        folder.assert_stored_equals_files(agencies);
        let exit = central.stop();
        folder.assert_stored_equals_files(agencies);
        assert_eq!(exit.count(|line| tells(line, "sorteo", "success")), 1);
        let refused = exit.count(|line| tells(line, "apuesta_recibida", "fail") && value(line, "error") != Some("gap"));
        assert_eq!(refused, 0, "{exit}");
    }

    fn knife(&self, rng: &mut Rng) -> Knife {
        Knife { rng: rng.fork(), most_up: self.most_up, most_down: self.most_down, left: self.cuts }
    }
}

#[test]
fn one_agency_finishes_however_often_it_is_cut_off() {
    let plan = Plan { agencies: 1, bets: 9_000, batch_max: 10, in_flight: 4, most_up: 8_000, most_down: 160, cuts: 40 };
    plan.hold();
}

#[test]
fn full_batches_are_cut_too() {
    let plan =
        Plan { agencies: 2, bets: 16_000, batch_max: 430, in_flight: 2, most_up: 50_000, most_down: 80, cuts: 12 };
    plan.hold();
}

#[test]
fn several_agencies_finish_however_often_they_are_cut_off() {
    let plan = Plan { agencies: 4, bets: 6_000, batch_max: 25, in_flight: 2, most_up: 10_000, most_down: 80, cuts: 20 };
    plan.hold();
}

#[test]
fn a_bet_is_stored_once_however_often_it_is_cut_off() {
    const BETS: u32 = 6;
    const CUTS: usize = 4;
    let mut rng = Rng::with_seed(seed());
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let proxy = Proxy::to(central.port);
    for document in 0..BETS {
        // Within the two requests, which have 47 bytes, or the two replies, which have 32.
        proxy.cut_with(Knife { rng: rng.fork(), most_up: 47, most_down: 32, left: CUTS });
        let mut command = Agency::new(1, proxy.port, &folder).with("--mode bet").command();
        let document = document.to_string();
        let person = [
            ("NOMBRE", "Ana"),
            ("APELLIDO", "Paz"),
            ("DOCUMENTO", &document),
            ("NACIMIENTO", "2000-01-01"),
            ("NUMERO", "1"),
        ];
        command.envs(person);
        Process::start(command).finish().ok();
    }
    assert!(proxy.cuts() >= BETS as usize, "only {} connections were cut", proxy.cuts());
    let documents: Vec<String> = folder.stored_of(1).into_iter().map(|row| row[2].clone()).collect();
    assert_eq!(documents, (0..BETS).map(|document| document.to_string()).collect::<Vec<_>>());
    central.stop();
}
