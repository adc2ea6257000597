//! A central, and sometimes an agency, is killed at random moments in every phase of a lottery. What anybody was told stays
//! true, and every lottery comes to its right end.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::keys::Place;
use crate::common::process::Process;
use crate::common::{Central, Signal, tells, value};
use crate::lottery::Lottery;
use crate::orders::{Orders, kills};
use crate::witness::{AGENCIES, is_drawn, is_sealed};

/// Lotteries that are tortured at once.
const LANES: usize = 2;
/// Kills of the short form.
const FEW: u64 = 60;
/// A kill comes after this, even if what it waits for does not.
const PATIENCE: Duration = Duration::from_millis(400);

/// Where a lottery was when its central was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Start,
    Open,
    Declarations,
    Seal,
    NumberAwaited,
    Draw,
    Winners,
    Agency,
}

const PHASES: [(Phase, &str); 8] = [
    (Phase::Start, "while it starts"),
    (Phase::Open, "while betting is open"),
    (Phase::Declarations, "while agencies are done"),
    (Phase::Seal, "at the seal"),
    (Phase::NumberAwaited, "while the number is awaited"),
    (Phase::Draw, "at the draw"),
    (Phase::Winners, "while winners are read"),
    (Phase::Agency, "an agency"),
];

/// What was done, plain and over TLS.
#[derive(Default)]
struct Tally {
    kills: Mutex<BTreeMap<Phase, [u64; 2]>>,
    sum: AtomicU64,
    lotteries: [AtomicU64; 2],
}

/// What a kill waits for.
enum Aim {
    Central(usize, fn(&str) -> bool),
    Agency(usize, fn(&str) -> bool),
    Delay,
}

impl Tally {
    fn add(&self, phase: Phase, is_tls: bool) {
        self.kills.lock().unwrap().entry(phase).or_default()[usize::from(is_tls)] += 1;
        self.sum.fetch_add(1, Ordering::SeqCst);
    }

    fn kills(&self) -> u64 {
        self.sum.load(Ordering::SeqCst)
    }
}

fn taken(line: &str) -> bool {
    tells(line, "apuesta_recibida", "success") || tells(line, "apuesta_repetida", "success")
}

fn done(line: &str) -> bool {
    tells(line, "agencia_finalizada", "success")
}

fn told(line: &str) -> bool {
    tells(line, "consulta_ganadores", "success")
}

impl Lottery<'_> {
    /// Where it is, by what the central has said since its start.
    fn phase(&mut self, lines: &[String]) -> Phase {
        let is = |is_it: fn(&str) -> bool| lines.iter().any(|line| is_it(line));
        if !is(|line| tells(line, "recover", "success")) {
            Phase::Start
        } else if is(is_drawn) {
            Phase::Winners
        } else if is(is_sealed) {
            if self.is_later && !self.is_ordered() { Phase::NumberAwaited } else { Phase::Draw }
        } else {
            match self.witness.done() {
                0 => Phase::Open,
                AGENCIES.. => Phase::Seal,
                _ => Phase::Declarations,
            }
        }
    }

    /// What the next kill is to wait for. While uploads are held back, nothing but them goes on.
    fn aim(&mut self, is_held: bool) -> Aim {
        let nth = |rng: &mut fastrand::Rng, most: usize| rng.usize(1..=most);
        let rng = &mut self.rng;
        if rng.u8(..6) == 0 {
            return Aim::Delay;
        }
        if is_held {
            return Aim::Central(nth(rng, 30), taken);
        }
        if self.witness.number.is_some() {
            return Aim::Agency(1, told);
        }
        if self.witness.seal.is_some() {
            return if self.is_later && rng.bool() { Aim::Delay } else { Aim::Central(1, is_drawn) };
        }
        match (self.witness.done(), rng.u8(..4)) {
            (AGENCIES.., _) | (_, 0) => Aim::Central(1, is_sealed),
            (0, 1) => Aim::Central(nth(rng, 30), taken),
            (before, _) => Aim::Central(nth(rng, AGENCIES - before), done),
        }
    }

    /// Lets a central start, and lives with it until the moment has come to kill it, or an agency.
    fn until_the_moment(&mut self, central: &Process, is_held: bool) {
        let pause = |rng: &mut fastrand::Rng, most: u64| thread::sleep(Duration::from_micros(rng.u64(..most)));
        if self.rng.u8(..5) == 0 {
            // Mostly before it listens.
            return pause(&mut self.rng, 15_000);
        }
        let deadline = Instant::now() + PATIENCE;
        let Some(line) = central.nth_before(deadline, 1, |line| tells(line, "config", "success")) else { return };
        self.proxy.point_at(value(&line, "port").unwrap().parse().unwrap());
        let is_waiting = self.is_later && self.witness.seal.is_some() && self.witness.number.is_none();
        if is_waiting && self.rng.u8(..3) > 0 {
            self.order();
        }
        match self.aim(is_held) {
            Aim::Central(nth, is_it) => _ = central.nth_before(deadline, nth, is_it),
            Aim::Agency(nth, is_it) => {
                let id = self.rng.u32(1..=AGENCIES as u32);
                _ = self.agency_process(id).nth_before(deadline, nth, is_it);
            }
            Aim::Delay => pause(&mut self.rng, 60_000),
        }
        let most = [200, 3_000][self.rng.usize(..2)];
        pause(&mut self.rng, most);
    }

    fn kill(&mut self, central: Process, tally: &Tally) {
        // Another process may soon get its port.
        self.proxy.point_at(0);
        central.signal(Signal::KILL);
        let exit = central.finish();
        assert_eq!((exit.status.signal(), &*exit.stderr), (Some(9), ""), "it was to be killed: {exit}");
        self.witness.central(&exit.lines);
        let phase = self.phase(&exit.lines);
        tally.add(phase, self.keys.is_some());
        self.settle();
    }

    fn run(&mut self, tally: &Tally, most: u64) {
        let held = self.rng.usize(..6);
        // A connection begins with some kilobytes of TLS.
        let start = if self.keys.is_some() { 4096 } else { 0 };
        self.proxy.hold_after(start + self.least_bytes() / (held + 2));
        let mut central = self.central();
        for kill in 0..held + self.rng.usize(6..20) {
            let is_held = kill < held;
            if kill == held {
                self.proxy.let_go();
            }
            self.until_the_moment(&central, is_held);
            if self.rng.u8(..10) == 0 {
                let id = self.rng.u32(1..=AGENCIES as u32);
                self.kill_agency(id);
                tally.add(Phase::Agency, self.keys.is_some());
                if self.rng.bool() {
                    continue;
                }
            }
            self.kill(central, tally);
            central = self.central();
            if self.witness.number.is_some() {
                self.read_winners_again();
                if self.rng.u8(..3) == 0 {
                    break;
                }
            }
            if tally.kills() >= most {
                break;
            }
        }
        self.proxy.let_go();
        self.end(central);
    }

    /// The rest goes undisturbed.
    fn end(&mut self, process: Process) {
        let line = process.wait_for(|line| tells(line, "config", "success"));
        let central = Central { port: value(&line, "port").unwrap().parse().unwrap(), process };
        self.proxy.point_at(central.port);
        if self.is_later {
            central.process.wait_for(is_sealed);
            self.witness.central(&central.process.lines());
            let acta = crate::ledger::Ledger::acta(&self.folder).unwrap();
            self.witness.sees_seal(&acta.seal.to_string());
            while central.process.count(is_drawn) == 0 {
                self.order();
                self.read_orders(true);
                if self.witness.number.is_some() {
                    central.process.wait_for(is_drawn);
                }
            }
        }
        self.finish_agencies();
        self.read_orders(true);
        self.assert_told(central.port);
        self.assert_right(central);
    }
}

#[test]
fn kills_at_any_moment_lose_double_and_contradict_nothing() {
    let orders = Orders::new("kills", Duration::from_secs(8), 1);
    let most = kills().unwrap_or(if orders.is_long { u64::MAX } else { FEW });
    let (place, tally) = (Place::with_agencies(AGENCIES as u32), Tally::default());
    let work = || {
        while tally.kills() < most
            && let Some(round) = orders.next()
        {
            let mut lottery = Lottery::new(round.seed, &place);
            lottery.run(&tally, most);
            tally.lotteries[usize::from(lottery.keys.is_some())].fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| (0..LANES).for_each(|_| _ = scope.spawn(work)));
    let found = tally.kills.lock().unwrap();
    println!("{:<28} | {:>7} | {:>7}", "kills", "plain", "TLS");
    for (phase, name) in PHASES {
        let [plain, tls] = found.get(&phase).copied().unwrap_or_default();
        println!("{name:<28} | {plain:>7} | {tls:>7}");
    }
    let [plain, tls] = [0, 1].map(|kind| tally.lotteries[kind].load(Ordering::SeqCst));
    println!("{:<28} | {plain:>7} | {tls:>7}", "lotteries");
    println!("{} kills in {}", tally.kills(), orders.closing());
}
