//! The draw over many bets, compared with `grep -c` on the same file, and a restart.
//!
//! `cargo bench --bench draw`; `BETS=10000000`, `ROUNDS=5`. Files are in the page cache for all of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Central, QUINIELA, agency, ask, make_bets, median, setting, time, work_folder};

fn main() {
    let (bets, rounds) = (setting("BETS", 10_000_000), setting("ROUNDS", 5));
    let folder = work_folder("draw");
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
    std::fs::remove_dir_all(folder).unwrap();
}
