//! System calls on the files of a store fail at random, as `strace -e inject` makes them: the central refuses what it cannot
//! store, or ends with an error, and a start without faults finds all that was acknowledged, once.
//!
//! A call that is failed is not made at all. A short write of some bytes cannot be made in this way, since strace would only
//! claim that they were written: `tests/it/full_disk.rs` has real ones. A write of no byte at all can, and is.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::common::process::Process;
use crate::common::{Agency, Central, Folder, Proxy, Signal, acknowledged, tells, value};
use crate::ledger::Ledger as _;
use crate::orders::Orders;
use crate::witness::{is_drawn, is_sealed};

const AGENCIES: u32 = 2;
/// The calls that are made on a store's files, and how often a short lottery makes each of them, about.
const CALLS: [(&str, usize); 6] =
    [("pwrite64", 24), ("fdatasync", 24), ("fsync", 7), ("rename", 4), ("ftruncate", 1), ("openat", 13)];
/// How they fail.
const WAYS: [&str; 4] = ["error=EIO", "error=ENOSPC", "error=EINTR", "retval=0"];
/// The files whose calls are failed. strace wants each by its path.
const FILES: [&str; 9] = [
    "",
    "bets.csv",
    "journal",
    "journal.new",
    "secrets.json",
    "declarations.jsonl",
    "acta.new",
    "acta.json",
    "operator.token",
];

/// What was injected, and how often that became an end.
#[derive(Default)]
struct Tally {
    injected: BTreeMap<(&'static str, &'static str), u64>,
    ended: BTreeMap<i32, u64>,
}

/// Whether strace can fail calls here.
fn can_inject(folder: &Path) -> bool {
    let words = "-D -f -qq --seccomp-bpf -o probe -e trace=fsync -e inject=fsync:error=EIO true";
    let probe = Command::new("strace").args(words.split(' ')).current_dir(folder).output();
    probe.is_ok_and(|output| output.status.success())
}

/// Starts a central whose calls are failed. It is the process itself: strace, with `-D`, is its grandchild.
fn start_failing(folder: &Folder, inject: &str, call: &str) -> Process {
    let central = Central::on(folder).agencies(AGENCIES).command();
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "--seccomp-bpf", "-o"]).arg(folder.path().join("strace"));
    strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={inject}")]);
    for name in FILES {
        strace.arg("-P").arg(if name.is_empty() { folder.store() } else { folder.store().join(name) });
    }
    strace.arg(central.get_program()).args(central.get_args()).current_dir(folder.store());
    // What the program sees has to be what it always sees, but for the path on which strace is found.
    strace.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    Process::start(strace)
}

/// How many calls were failed.
fn injected(folder: &Folder) -> u64 {
    let trace = std::fs::read(folder.path().join("strace")).unwrap_or_default();
    String::from_utf8_lossy(&trace).matches("(INJECTED)").count() as u64
}

fn run(seed: u64, tally: &mut Tally) {
    let mut rng = Rng::with_seed(seed);
    let bets = rng.u32(50..600);
    let folder = Folder::with_data(&format!("--agencies {AGENCIES} --bets {bets} --seed {seed} --winners 20"));
    let ((call, most), way) = (CALLS[rng.usize(..CALLS.len())], WAYS[rng.usize(..WAYS.len())]);
    // Only a call that returns a number of bytes can return none.
    let way = if way == "retval=0" && call != "pwrite64" { WAYS[rng.usize(..3)] } else { way };
    // Once, or often, or from then on; but whoever is interrupted may try again, so for ever that would have no end.
    let again = ["", "", "+7", if way == "error=EINTR" { "+3" } else { "+" }][rng.usize(..4)];
    let most = if rng.bool() { most } else { most.min(4) };
    let when = format!("{}{again}", rng.usize(1..=most));
    let inject = format!("{call}:{way}:when={when}");
    let title = format!("{inject}, {bets} bets");

    let proxy = Proxy::to(0);
    let agency = |id| Agency::new(id, proxy.port, &folder).winners().with("--batch-max 7 --in-flight 3");
    let mut told = [0; AGENCIES as usize];
    let (mut was_sealed, mut number) = (None, None);
    for fault in 0..2 {
        let central = start_failing(&folder, &inject, call);
        let deadline = Instant::now() + Duration::from_millis(1500);
        let listening = central.nth_before(deadline, 1, |line| tells(line, "config", "success"));
        if let Some(line) = &listening {
            proxy.point_at(value(line, "port").unwrap().parse().unwrap());
        }
        let agencies: Vec<Process> = (1..=AGENCIES).map(|id| agency(id).with("--retry-for 300ms").start()).collect();
        // They end by themselves, with all done or out of patience, unless they wait for a seal that cannot be written.
        let until = Instant::now() + Duration::from_secs(2);
        for (id, agency) in (1..).zip(agencies) {
            agency.nth_before(until, 1, |_| false);
            if !agency.has_ended() {
                agency.signal(Signal::KILL);
            }
            let exit = agency.finish();
            let code = exit.status.code();
            assert!(matches!(code, None | Some(0 | 1 | 3 | 4 | 5)), "{title}: agency {id} {exit}");
            told[id as usize - 1] += acknowledged(&exit.lines);
        }
        proxy.point_at(0);
        let has_ended = central.has_ended();
        if !has_ended {
            central.signal(if fault == 0 { Signal::KILL } else { Signal::TERM });
        }
        let exit = central.finish();
        let code = exit.status.code().unwrap_or(0);
        assert!(matches!(code, 0 | 1 | 5) && !exit.stderr.contains("panicked"), "{title}: {exit}");
        assert!(!has_ended || code != 0, "{title}: it has ended by itself, and without an error: {exit}");
        *tally.ended.entry(code).or_default() += 1;
        was_sealed = was_sealed.or(exit.lines.iter().find(|line| is_sealed(line)).cloned());
        number = number.or(exit.lines.iter().find(|line| is_drawn(line)).cloned());
        *tally.injected.entry((call, way)).or_default() += injected(&folder);
        for id in 1..=AGENCIES {
            let (told, stored) = (told[id as usize - 1], folder.count(id));
            assert!(stored >= told, "{title}: agency {id}: {told} were acknowledged, and {stored} are there");
        }
        // The next one has something to cut off. A first one that could not write a journal has taken no bets.
        if fault == 0 && listening.is_some() && folder.journal().exists() {
            let mut bets = OpenOptions::new().append(true).open(folder.bets()).unwrap();
            bets.write_all(b"1,Ana,Pa").unwrap();
        }
    }

    let central = Central::on(&folder).agencies(AGENCIES).start();
    let line = central.process.wait_for(|line| tells(line, "recover", "success"));
    assert!(was_sealed.is_none() || is_sealed(&line), "{title}: {line}, after {was_sealed:?}");
    assert!(number.is_none() || is_drawn(&line), "{title}: {line}, after {number:?}");
    let stored = folder.assert_stored_begins_files(AGENCIES);
    assert!(stored.iter().zip(&told).all(|(stored, told)| stored >= told), "{title}: {stored:?} of {told:?}");
    proxy.point_at(central.port);
    (1..=AGENCIES).map(|id| agency(id).start()).collect::<Vec<_>>().into_iter().for_each(|agency| agency.finish().ok());
    for id in 1..=AGENCIES {
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "{title}: agency {id}");
    }
    central.stop();
    folder.assert_equals_files(AGENCIES);
}

#[test]
fn failing_calls_lose_and_double_nothing() {
    let orders = Orders::new("faults", Duration::from_secs(4), 10);
    if !can_inject(&std::env::temp_dir()) {
        println!("SKIPPED: strace is not here, or it may not fail calls. Nothing was tested.");
        return;
    }
    let mut tally = Tally::default();
    while let Some(round) = orders.next() {
        run(round.seed, &mut tally);
    }
    println!("{:<10} | {}", "failed", WAYS.map(|way| format!("{way:>12}")).join(" | "));
    for (call, _) in CALLS {
        let row = WAYS.map(|way| format!("{:>12}", tally.injected.get(&(call, way)).copied().unwrap_or_default()));
        println!("{call:<10} | {}", row.join(" | "));
    }
    let all: u64 = tally.injected.values().sum();
    println!("centrals that ended with each code: {:?}", tally.ended);
    println!("{all} calls failed; {}", orders.closing());
    // The short form may be too short for one that its lottery comes to.
    assert!(all > 0 || !orders.is_long, "no call was failed");
}
