//! A lottery that is to be tortured: its files, its agencies, its operator, and the proxy before its central.

use std::process::Command;

use fastrand::Rng;

use crate::common::keys::Place;
use crate::common::process::Process;
use crate::common::{Agency, Exit, Folder, Proxy, Signal, quiniela};
use crate::ledger::Ledger as _;
use crate::witness::{AGENCIES, Witness};

pub struct Lottery<'a> {
    pub rng: Rng,
    pub folder: Folder,
    /// The keys, if it goes over TLS.
    pub keys: Option<&'a Place>,
    /// Whether the number comes after the seal.
    pub is_later: bool,
    pub proxy: Proxy,
    pub witness: Witness,
    agencies: Vec<Process>,
    orders: Vec<(u32, Process)>,
    number: u32,
    central_words: String,
    agency_words: String,
}

impl<'a> Lottery<'a> {
    /// With all choices from its seed. Four seeds that follow each other have all four kinds: plain or over TLS, with a number
    /// that is known beforehand or comes later.
    pub fn new(seed: u64, place: &'a Place) -> Lottery<'a> {
        let mut rng = Rng::with_seed(seed);
        let (keys, is_later) = (seed.is_multiple_of(2).then_some(place), (seed / 2).is_multiple_of(2));
        // Many winners make several pages.
        let (bets, number) = (rng.usize(300..4000), rng.u32(..10_000));
        let part = [2, 20][rng.usize(..2)];
        let winners = rng.usize(..bets / part);
        let words = format!("--agencies {AGENCIES} --bets {bets} --seed {seed} --winners {winners}");
        let folder = Folder::with_data(&format!("{words} --winning-number {number}"));
        let winning = if is_later { "later".to_owned() } else { number.to_string() };
        let workers = [1, 3, 64][rng.usize(..3)];
        let mut central_words = format!("--client-amount {AGENCIES} --winning-number {winning} --workers {workers}");
        if let Some(place) = keys {
            central_words += &format!(" {}", place.keys("central"));
            if rng.bool() {
                central_words += " --require-signed";
            }
        }
        let agency_words = format!(
            "--batch-max {} --in-flight {} --log-level {}",
            [1, 7, 20, 100, 430][rng.usize(..5)],
            [1, 3, 16, 256][rng.usize(..4)],
            ["INFO", "DEBUG"][rng.usize(..2)]
        );
        let proxy = Proxy::to(0);
        if rng.bool() {
            proxy.be_patient();
        }
        let (agencies, orders, witness) = (Vec::new(), Vec::new(), Witness::default());
        let mut lottery = Lottery {
            rng,
            folder,
            keys,
            is_later,
            proxy,
            witness,
            agencies,
            orders,
            number,
            central_words,
            agency_words,
        };
        lottery.agencies = (1..=AGENCIES as u32).map(|id| lottery.agency(id)).collect();
        lottery
    }

    /// Starts a central, and waits for nothing.
    pub fn central(&mut self) -> Process {
        self.witness.central_starts();
        self.folder.start(&self.central_words)
    }

    fn agency(&self, id: u32) -> Process {
        let agency = Agency::new(id, self.proxy.port, &self.folder).winners().with(&self.agency_words);
        let agency = agency.with(&format!("--receipt receipt-{id}.json"));
        match self.keys {
            Some(place) => agency.tls(place),
            None => agency,
        }
        .start()
    }

    /// The bytes of the smallest of the files of agencies.
    pub fn least_bytes(&self) -> usize {
        let bytes = |id| self.folder.file(id).metadata().unwrap().len() as usize;
        (1..=AGENCIES as u32).map(bytes).min().unwrap()
    }

    pub fn agency_process(&self, id: u32) -> &Process {
        &self.agencies[id as usize - 1]
    }

    /// Kills an agency, and starts it again.
    pub fn kill_agency(&mut self, id: u32) {
        let next = self.agency(id);
        let agency = std::mem::replace(&mut self.agencies[id as usize - 1], next);
        if agency.has_ended() {
            return self.ended(id, &agency.finish());
        }
        agency.signal(Signal::KILL);
        let exit = agency.finish();
        self.witness.agency(id, &exit.lines, true);
    }

    /// An agency that has ended by itself must have been told of the draw, and its winners.
    fn ended(&mut self, id: u32, exit: &Exit) {
        exit.ok();
        self.witness.agency(id, &exit.lines, true);
        let number = self.witness.number.map(|number| number.to_string());
        // The central may have been killed before its log was read, and the agency's own has it only at DEBUG.
        let number = number.unwrap_or_else(|| self.folder.acta_number());
        assert_eq!(self.folder.winners_told(id), self.folder.winners_due(id, &number), "agency {id}");
    }

    /// Looks at what the agencies have said. All that was acknowledged to them must be on disk, while no central runs.
    pub fn settle(&mut self) {
        for id in 1..=AGENCIES as u32 {
            let lines = self.agencies[id as usize - 1].lines();
            let (told, stored) = (self.witness.agency(id, &lines, false), self.folder.count(id));
            assert!(stored >= told, "agency {id}: {told} bets were acknowledged, and {stored} are there");
        }
    }

    /// Starts agencies again that have ended: they read their winners once more.
    pub fn read_winners_again(&mut self) {
        for id in 1..=AGENCIES as u32 {
            if self.agency_process(id).has_ended() {
                let next = self.agency(id);
                let exit = std::mem::replace(&mut self.agencies[id as usize - 1], next).finish();
                self.ended(id, &exit);
            }
        }
    }

    /// Lets every agency finish.
    pub fn finish_agencies(&mut self) {
        for (id, agency) in (1..).zip(std::mem::take(&mut self.agencies)) {
            self.ended(id, &agency.finish());
        }
    }

    /// The operator's command, with the number or, seldom, with another one.
    pub fn order(&mut self) {
        let number = if self.rng.u8(..5) == 0 { self.number + 1 } else { self.number };
        let proof = self.keys.map_or("--store store".to_owned(), |place| place.keys("operator"));
        let (seal, port) = (self.witness.seal.clone().unwrap(), self.proxy.port);
        let order =
            Process::start(self.command(&format!("draw {number} --seal {seal} --server 127.0.0.1:{port} {proof}")));
        self.orders.push((number, order));
    }

    pub fn command(&self, words: &str) -> Command {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        quiniela(self.folder.path(), &words)
    }

    /// True while the operator waits for an answer.
    pub fn is_ordered(&mut self) -> bool {
        self.read_orders(false);
        !self.orders.is_empty()
    }

    /// What the operator was told, as far as it was answered, or once it is.
    pub fn read_orders(&mut self, wait: bool) {
        let (ended, left) =
            std::mem::take(&mut self.orders).into_iter().partition(|(_, order)| wait || order.has_ended());
        self.orders = left;
        let ended: Vec<(u32, Process)> = ended;
        for (number, order) in ended {
            let exit = order.finish();
            match exit.status.code() {
                Some(0) => self.witness.sees_number(number),
                // The central was killed, or another number was drawn, or another central has made a token.
                Some(3 | 4) => {}
                _ => panic!("the operator's command {exit}"),
            }
        }
    }
}
