//! The draw over many bets, compared with `grep -c` on the same file, and a restart.
//!
//! Also agencies that wait for a draw whose number comes later: the processor time that they take, and how long after the
//! operator's request the last of them has its answer.
//!
//! `cargo bench --bench draw`; `BETS=10000000`, `ROUNDS=5`, `WAITING=1000`. Files are in the page cache for all of them.
//! `ONLY=draw` or `ONLY=waiting` measures a part.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Central, QUINIELA, agency, ask, make_bets, median, receive, send, setting, time, work_folder};

fn main() {
    let only = std::env::var("ONLY").unwrap_or_default();
    let rounds = setting("ROUNDS", 5);
    let folder = work_folder("draw");
    if only != "waiting" {
        draw(&folder, setting("BETS", 10_000_000), rounds);
    }
    if only != "draw" {
        waiting(&folder, setting("WAITING", 1_000), rounds);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// How long the agencies wait before the number is known.
const WAIT: Duration = Duration::from_secs(2);

fn waiting(folder: &Path, agencies: u64, rounds: u64) {
    let (mut firsts, mut lasts, mut ticks) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        let store = folder.join("waiting");
        let mut command = Central::command(QUINIELA, &store, agencies);
        command.args(["--winning-number", "later", "--max-connections-per-address", "65535"]);
        let central = Central::spawn(command);
        let connect = || TcpStream::connect(("127.0.0.1", central.port)).unwrap();
        let mut streams: Vec<TcpStream> = (0..agencies).map(|_| connect()).collect();
        for (id, stream) in (1..).zip(&mut streams) {
            assert_eq!(ask(stream, &format!("DONE|{id}")), "ACK_DONE|OK\n");
        }
        let mut seal = String::new();
        for (id, stream) in (1..).zip(&mut streams) {
            let shown = ask(stream, &format!("WAIT_SEAL|{id}"));
            seal = shown.split('|').nth(7).unwrap().to_owned();
            send(stream, &format!("WAIT_DRAW|{id}"));
        }
        // What they have asked is still being taken.
        std::thread::sleep(WAIT / 4);
        let before = central.ticks();
        std::thread::sleep(WAIT);
        ticks += central.ticks() - before;
        let token = std::fs::read_to_string(store.join("operator.token")).unwrap();
        let mut operator = connect();
        let start = Instant::now();
        let drawn = ask(&mut operator, &format!("HOLD_DRAW|7574|{seal}|{}", token.trim_end()));
        assert!(drawn.starts_with("DRAWN|OK|7574"), "{drawn}");
        firsts.push(start.elapsed());
        streams.iter_mut().for_each(|stream| assert_eq!(receive(stream), "DRAW|OK\n"));
        lasts.push(start.elapsed());
        central.stop();
        std::fs::remove_dir_all(store).unwrap();
    }
    let milliseconds = |times: &[Duration]| median(times).as_secs_f64() * 1000.0;
    let worst = lasts.iter().max().unwrap().as_secs_f64() * 1000.0;
    println!("{agencies} agencies that wait for a number, median of {rounds} rounds");
    println!("processor time while they wait {} ms in {} s", ticks * 10, WAIT.as_secs() * rounds);
    println!("the operator's own answer      {:.1} ms after the request", milliseconds(&firsts));
    println!("the last agency's answer       {:.1} ms, {worst:.1} ms at worst", milliseconds(&lasts));
}

fn draw(folder: &Path, bets: u64, rounds: u64) {
    let (data, store) = (folder.join("data"), folder.join("store"));
    make_bets(&data, 1, bets);
    // Agency 2 has no bets: the draw waits only for its DONE.
    let central = Central::start(QUINIELA, &store, 2);
    let mut uploader = agency(QUINIELA, 1, central.port, &data, 64, None);
    let mut stream = TcpStream::connect(("127.0.0.1", central.port)).unwrap();
    while !ask(&mut stream, "HELLO|1").contains("|done") {
        std::thread::sleep(Duration::from_millis(50));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&uploader), rustix::process::Signal::TERM).unwrap();
    uploader.wait().unwrap();
    let memory = central.peak_memory();
    central.stop();
    let saved = folder.join("saved");
    std::fs::create_dir_all(&saved).unwrap();
    std::fs::copy(store.join("journal"), saved.join("journal")).unwrap();

    let (mut greps, mut draws, mut restarts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        greps.push(time(|| {
            let mut grep = Command::new("grep");
            // Into a pipe: with /dev/null as its output, grep stops at the first match.
            grep.args(["-c", ",7574.$"]).arg(store.join("bets.csv")).stdout(Stdio::piped());
            assert!(grep.output().unwrap().status.success());
        }));
        // Every round starts from the same lottery before its draw.
        std::fs::copy(saved.join("journal"), store.join("journal")).unwrap();
        let start = Instant::now();
        let central = Central::start(QUINIELA, &store, 2);
        restarts.push(start.elapsed());
        let mut stream = TcpStream::connect(("127.0.0.1", central.port)).unwrap();
        draws.push(time(|| {
            assert_eq!(ask(&mut stream, "DONE|2"), "ACK_DONE|OK\n");
            assert_eq!(ask(&mut stream, "WAIT_DRAW|2"), "DRAW|OK\n");
        }));
        central.stop();
    }
    let size = std::fs::metadata(store.join("bets.csv")).unwrap().len();
    println!("{bets} bets, {} MiB, median of {rounds} rounds in turn", size >> 20);
    let grep = median(&greps).as_secs_f64();
    println!("grep -c                        {grep:.3} s");
    let draw = median(&draws).as_secs_f64();
    println!("last DONE to the draw's answer {draw:.3} s   {:.2} of grep -c", draw / grep);
    println!("restart after a clean stop     {:.3} s", median(&restarts).as_secs_f64());
    println!("central's peak memory          {memory} KiB");
}
