//! Two centrals share a ledger in a PostgreSQL with a synchronous standby, and either is killed or frozen at random moments.
//! Agencies know both. What anybody was told stays true, and every lottery comes to its right end.

use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::cluster::{Follows, Pair};
use crate::common::process::Process;
use crate::common::{Agency, Exit, Folder, Proxy, Signal, quiniela, tells, value};
use crate::orders::{Orders, kills};
use crate::witness::{AGENCIES, Witness, is_drawn, is_sealed};

/// Kills of the short form.
const FEW: usize = 10;
/// A kill comes after this, even if what it waits for does not.
const PATIENCE: Duration = Duration::from_millis(400);

/// One of the two centrals, before which agencies find a proxy.
struct Seat {
    process: Process,
    proxy: Proxy,
    /// Lines of its log that were looked at.
    read: usize,
    /// Bets that were acknowledged before it started, and how many agencies were done.
    known: (usize, usize),
}

struct Lottery<'a> {
    rng: Rng,
    pair: &'a Pair,
    folder: Folder,
    /// Its name in the database.
    draw: String,
    number: u32,
    is_later: bool,
    central_words: String,
    agency_words: String,
    seats: Vec<Seat>,
    agencies: Vec<Process>,
    witness: Witness,
    told: [usize; AGENCIES],
}

#[derive(Default)]
struct Tally {
    lotteries: usize,
    kills: usize,
    freezes: usize,
}

impl Lottery<'_> {
    fn new(seed: u64, pair: &Pair) -> Lottery<'_> {
        let mut rng = Rng::with_seed(seed);
        let (bets, number, is_later) = (rng.usize(300..3000), rng.u32(..10_000), seed.is_multiple_of(2));
        let winners = rng.usize(..bets / 2);
        let words = format!("--agencies {AGENCIES} --bets {bets} --seed {seed} --winners {winners}");
        let folder = Folder::with_data(&format!("{words} --winning-number {number}"));
        let winning = if is_later { "later".to_owned() } else { number.to_string() };
        let draw = format!("torture-{seed}");
        let central_words = format!(
            "server --port 0 --bind 127.0.0.1 --store {} --draw {draw} --client-amount {AGENCIES} --winning-number {winning} --workers {}",
            pair.url(),
            [1, 3, 64][rng.usize(..3)]
        );
        let agency_words = format!(
            "--batch-max {} --in-flight {}",
            [1, 7, 20, 100, 430][rng.usize(..5)],
            [1, 3, 16, 256][rng.usize(..4)]
        );
        let mut lottery = Lottery {
            rng,
            pair,
            folder,
            draw,
            number,
            is_later,
            central_words,
            agency_words,
            seats: Vec::new(),
            agencies: Vec::new(),
            witness: Witness::default(),
            told: [0; AGENCIES],
        };
        for _ in 0..2 {
            let proxy = Proxy::to(0);
            let process = lottery.central();
            lottery.seats.push(Seat { process, proxy, read: 0, known: (0, 0) });
        }
        lottery.agencies = (1..=AGENCIES as u32).map(|id| lottery.agency(id)).collect();
        lottery
    }

    fn command(&self, words: &str) -> std::process::Command {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        quiniela(self.folder.path(), &words)
    }

    fn central(&self) -> Process {
        Process::start(self.command(&self.central_words))
    }

    fn agency(&self, id: u32) -> Process {
        let ports: Vec<u16> = self.seats.iter().map(|seat| seat.proxy.port).collect();
        Agency::of_centrals(id, &ports, &self.folder).winners().with(&self.agency_words).start()
    }

    /// Looks at what a central has said since the last time. Of what was known before its start it has to find all.
    #[track_caller]
    fn hear(&mut self, place: usize, lines: &[String]) {
        let seat = &mut self.seats[place];
        let new = lines.get(seat.read..).unwrap_or_default();
        seat.read = lines.len();
        for line in new {
            match (value(line, "action"), value(line, "result")) {
                (Some("recover"), Some("success")) => {
                    let bets: usize = value(line, "bets").unwrap().parse().unwrap();
                    let done = value(line, "done").map_or(AGENCIES, |done| done.parse().unwrap());
                    let known = seat.known;
                    assert!(bets >= known.0 && done >= known.1, "{line}, but before it started there were {known:?}");
                }
                (Some("agencia_finalizada"), Some("success")) => {
                    self.witness.done.insert(value(line, "client_id").unwrap().parse().unwrap());
                }
                (Some("cierre"), Some("success")) => self.witness.sees_seal(value(line, "sello").unwrap()),
                (Some("sorteo"), Some("success")) => {
                    self.witness.sees_number(value(line, "numero").unwrap().parse().unwrap());
                }
                _ => {}
            }
        }
    }

    fn hear_all(&mut self) {
        for place in 0..2 {
            let lines = self.seats[place].process.lines();
            self.hear(place, &lines);
        }
    }

    /// All that was acknowledged has to be in the database, whoever acknowledged it.
    #[track_caller]
    fn settle(&mut self) {
        for id in 1..=AGENCIES as u32 {
            let lines = self.agencies[id as usize - 1].lines();
            self.told[id as usize - 1] = self.witness.agency(id, &lines, false);
        }
        let text = self.pair.primary.sql(&format!(
            "SELECT coalesce(sum(b.count), 0) FROM generate_series(1, {AGENCIES}) a(id) \
             LEFT JOIN (batches b JOIN draws d ON d.id = b.draw AND d.name = '{}') ON b.agency = a.id \
             GROUP BY a.id ORDER BY a.id",
            self.draw
        ));
        let stored: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert!(stored.iter().zip(&self.told).all(|(stored, told)| stored >= told), "{stored:?} of {:?}", self.told);
    }

    /// Lives with the centrals until the moment has come to kill or to freeze one.
    fn until_the_moment(&mut self, place: usize) {
        let pause = |rng: &mut Rng, most: u64| thread::sleep(Duration::from_micros(rng.u64(..most)));
        if self.rng.u8(..8) == 0 {
            // Mostly before it listens.
            return pause(&mut self.rng, 40_000);
        }
        let deadline = Instant::now() + PATIENCE;
        for seat in &self.seats {
            let Some(line) = seat.process.nth_before(deadline, 1, |line| tells(line, "config", "success")) else {
                return;
            };
            seat.proxy.point_at(value(&line, "port").unwrap().parse().unwrap());
        }
        let (aims, most): (fn(&str) -> bool, usize) = match self.rng.u8(..5) {
            0 | 1 => (|line| tells(line, "apuesta_recibida", "success"), 30),
            2 => (|line| tells(line, "agencia_finalizada", "success"), AGENCIES),
            3 => (is_sealed, 1),
            _ => (is_drawn, 1),
        };
        let nth = self.rng.usize(1..=most);
        self.seats[place].process.nth_before(deadline, nth, aims);
        let most = [200, 5_000][self.rng.usize(..2)];
        pause(&mut self.rng, most);
    }

    /// Kills a central, frozen for a while or not, and starts it again.
    fn kill(&mut self, place: usize, tally: &mut Tally) {
        self.hear_all();
        self.settle();
        if self.rng.u8(..4) == 0 {
            self.seats[place].process.hold();
            thread::sleep(Duration::from_millis(self.rng.u64(..300)));
            tally.freezes += 1;
            if self.rng.bool() {
                self.seats[place].process.signal(Signal::CONT);
                return;
            }
        }
        // Another process may soon get its port.
        self.seats[place].proxy.point_at(0);
        // What its successor has to find is known before that starts.
        let known = (self.told.iter().sum(), self.witness.done.len());
        let next = self.central();
        let killed = std::mem::replace(&mut self.seats[place].process, next);
        killed.signal(Signal::KILL);
        let exit = killed.finish();
        self.hear(place, &exit.lines);
        tally.kills += 1;
        let seat = &mut self.seats[place];
        (seat.read, seat.known) = (0, known);
        self.hear_all();
        self.settle();
    }

    /// An agency that has ended must have been told of its winners.
    fn ended(&mut self, id: u32, exit: &Exit) {
        exit.ok();
        self.witness.agency(id, &exit.lines, true);
        let number = self.witness.number.map_or_else(|| self.number.to_string(), |number| number.to_string());
        assert_eq!(self.folder.winners_told(id), self.folder.winners_due(id, &number), "agency {id}");
    }

    /// The operator's command, by either central. It may be killed meanwhile.
    fn order(&mut self) {
        let Some(seal) = self.witness.seal.clone() else { return };
        let (url, port) = (self.pair.url(), self.seats[self.rng.usize(..2)].proxy.port);
        let (draw, number) = (&self.draw, self.number);
        let words = format!("draw {number} --seal {seal} --server 127.0.0.1:{port} --store {url} --draw {draw}");
        let exit = Process::start(self.command(&words)).finish();
        match exit.status.code() {
            Some(0) => self.witness.sees_number(number),
            // No central is there.
            Some(3) => {}
            _ => panic!("the operator's command {exit}"),
        }
    }

    fn run(&mut self, tally: &mut Tally, most: usize) {
        for _ in 0..self.rng.usize(4..14) {
            if tally.kills >= most {
                break;
            }
            let place = self.rng.usize(..2);
            self.until_the_moment(place);
            self.kill(place, tally);
            if self.is_later && self.witness.number.is_none() && self.rng.bool() {
                self.order();
            }
        }
        self.end();
    }

    /// The rest goes undisturbed.
    fn end(&mut self) {
        for place in 0..2 {
            let line = self.seats[place].process.wait_for(|line| tells(line, "config", "success"));
            self.seats[place].proxy.point_at(value(&line, "port").unwrap().parse().unwrap());
        }
        if self.is_later {
            let phase = format!("SELECT phase <> 'open' FROM draws WHERE name = '{}'", self.draw);
            self.pair.primary.wait_for(&phase, "t");
            let seal = self.pair.primary.sql(&format!("SELECT seal FROM draws WHERE name = '{}'", self.draw));
            self.witness.sees_seal(&seal);
            let deadline = Instant::now() + crate::common::LIMIT;
            while self.witness.number.is_none() {
                assert!(Instant::now() < deadline, "nobody takes the number");
                self.order();
            }
        }
        for (id, agency) in (1..).zip(std::mem::take(&mut self.agencies)) {
            let exit = agency.finish();
            self.hear_all();
            self.ended(id, &exit);
        }
        // Both know, and the folder that is written of it holds what the files hold.
        let url = self.pair.url();
        let export = format!("export --force --store {url} --draw {} {}", self.draw, self.folder.store().display());
        Process::start(self.command(&export)).finish().ok();
        self.folder.assert_stored_equals_files(AGENCIES as u32);
        Process::start(self.command("audit store")).finish().ok();
        for seat in std::mem::take(&mut self.seats) {
            seat.process.signal(Signal::TERM);
            seat.process.finish().ok();
        }
    }
}

#[test]
fn kills_of_centrals_that_share_a_ledger_lose_double_and_contradict_nothing() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let orders = Orders::new("shared", Duration::from_secs(8), 5);
    let most = if orders.is_long { kills().map_or(usize::MAX, |kills| kills as usize / 5) } else { FEW };
    let mut tally = Tally::default();
    while tally.kills < most
        && let Some(round) = orders.next()
    {
        Lottery::new(round.seed, &pair).run(&mut tally, most);
        tally.lotteries += 1;
    }
    let Tally { lotteries, kills, freezes } = tally;
    println!("shared ledger: {kills} kills and {freezes} freezes over {lotteries} lotteries in {}", orders.closing());
}
