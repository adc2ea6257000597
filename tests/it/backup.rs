//! `quiniela backup`: a copy of a store in use is of one moment, is checked, and a lottery goes on from it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};
use serde_json::Value;

use crate::common::{
    ANA, Agency, Central, Exit, Folder, LIMIT, Process, Proxy, Signal, acknowledged, quiniela, tells, value,
};

fn command(folder: &Folder, words: &str) -> Command {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    quiniela(folder.path(), &words)
}

fn run(folder: &Folder, words: &str) -> Exit {
    Process::start(command(folder, words)).finish()
}

/// Copies the store, and returns what the command tells.
#[track_caller]
fn back_up(folder: &Folder, copy: &str) -> Value {
    let exit = run(folder, &format!("backup --json store {copy}"));
    exit.ok();
    serde_json::from_str(&exit.lines.join("\n")).unwrap()
}

/// Puts a copy in the place of the store, whose central is gone.
fn restore(folder: &Folder, copy: &str) {
    fs::rename(folder.store(), folder.path().join(format!("{copy}.lost"))).unwrap();
    fs::rename(folder.path().join(copy), folder.store()).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

fn taken(line: &str) -> bool {
    tells(line, "apuesta_recibida", "success")
}

/// A killed central's store of more than three MiB, which takes seconds to copy at one a second.
fn large() -> Folder {
    let folder = Folder::with_data("--agencies 1 --bets 70000 --seed 4 --winners 9");
    let central = Central::on(&folder).agencies(2).start();
    let agency = Agency::new(1, central.port, &folder).start();
    agency.wait_for(|line| tells(line, "upload", "success"));
    central.kill();
    assert!(folder.bets().metadata().unwrap().len() > 3 << 20);
    folder
}

/// The unfinished copy, once it has bets.
#[track_caller]
fn partial(folder: &Folder) -> PathBuf {
    let deadline = Instant::now() + LIMIT;
    loop {
        let begun = names(folder.path()).into_iter().find(|name| name.starts_with(".copy.partial-"));
        let has_bets = |path: &PathBuf| path.join("bets.csv").metadata().is_ok_and(|bets| bets.len() > 0);
        if let Some(path) = begun.map(|name| folder.path().join(name)).filter(has_bets) {
            return path;
        }
        assert!(Instant::now() < deadline, "no copy was begun");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_lottery_goes_on_from_a_backup_that_was_made_under_load() {
    /// The proxy lets this much of each connection through, so that no upload ends before its central is killed.
    const HELD_AFTER: usize = 256 * 1024;
    let folder = Folder::with_equal_files(3, 20_000);
    let central = Central::on(&folder).agencies(3).start();
    let proxy = Proxy::to(central.port);
    proxy.hold_after(HELD_AFTER);
    let agency = |id| Agency::new(id, proxy.port, &folder).with("--batch-max 8 --in-flight 4").winners().start();
    let agencies: Vec<Process> = (1..=3).map(agency).collect();
    let mut bets = Vec::new();
    for (copy, nth) in [("copy-1", 10), ("copy-2", 100), ("copy-3", 300)] {
        central.process.wait_for_nth(nth, taken);
        let told = back_up(&folder, copy);
        assert_eq!((&told["phase"], &told["seal"], &told["agencies_done"]), (&"open".into(), &Value::Null, &0.into()));
        bets.push(told["bets"].as_u64().unwrap());
    }
    assert!(bets.is_sorted() && bets[0] >= 80 && bets[2] >= 2400, "{bets:?}");
    // So the copy lacks what was acknowledged since.
    central.process.wait_for_nth(bets[2] as usize / 8 + 300, taken);
    proxy.point_at(0);
    let log = central.kill();
    assert!(acknowledged_by_central(&log) > bets[2]);
    restore(&folder, "copy-3");
    let stored: usize = folder.assert_stored_begins_files(3).iter().sum();
    assert_eq!(stored as u64, bets[2]);

    let central = Central::on(&folder).agencies(3).start();
    let line = central.process.wait_for(|line| tells(line, "recover", "success"));
    assert_eq!((value(&line, "bets"), value(&line, "after")), (Some(bets[2].to_string().as_str()), None), "{line}");
    assert!(!agencies.iter().any(Process::has_ended));
    proxy.point_at(central.port);
    proxy.let_go();
    let mut told_twice = 0;
    for (id, agency) in (1..).zip(agencies) {
        let exit = agency.finish();
        exit.ok();
        told_twice += acknowledged(&exit.lines) - folder.rows(id).len();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
    }
    assert!(told_twice > 0, "what the copy lacked was sent again");
    folder.assert_stored_equals_files(3);
    central.stop();
    run(&folder, "audit store").ok();
}

fn acknowledged_by_central(log: &Exit) -> u64 {
    let bets = |line: &String| value(line, "cantidad").unwrap().parse::<u64>().unwrap();
    log.lines.iter().filter(|line| taken(line)).map(bets).sum()
}

#[test]
fn a_sealed_lottery_is_drawn_from_its_backup_and_a_drawn_one_stays_drawn() {
    let folder = Folder::with_data("--agencies 2 --bets 500 --seed 2 --winners 9");
    let central = Central::on(&folder).agencies(2).with("--winning-number later").start();
    let proxy = Proxy::to(central.port);
    let agencies = [1, 2].map(|id| Agency::new(id, proxy.port, &folder).winners().start());
    let line = central.process.wait_for(|line| tells(line, "cierre", "success"));
    agencies.iter().for_each(|agency| _ = agency.wait_for(|line| tells(line, "sello", "success")));
    let told = back_up(&folder, "sealed");
    let seal = value(&line, "sello").unwrap();
    assert_eq!((&told["phase"], &told["seal"], &told["number"]), (&"sealed".into(), &seal.into(), &Value::Null));
    assert_eq!((&told["bets"], &told["agencies_done"]), (&500.into(), &2.into()));
    proxy.point_at(0);
    central.kill();
    restore(&folder, "sealed");

    let central = Central::on(&folder).start();
    proxy.point_at(central.port);
    run(&folder, &format!("draw 7574 --seal {seal} --store store --server 127.0.0.1:{}", central.port)).ok();
    for (id, agency) in (1..).zip(agencies) {
        agency.finish().ok();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
    }
    let told = back_up(&folder, "drawn");
    assert_eq!((&told["phase"], &told["seal"], &told["number"]), (&"drawn".into(), &seal.into(), &7574.into()));
    let winners = central.ask("GET_WINNERS|1");
    central.stop();
    run(&folder, "audit drawn").ok();
    // A store that nobody uses is copied alike.
    let again = back_up(&folder, "again");
    assert_eq!((&again["bets"], &again["seal"]), (&told["bets"], &told["seal"]));
    restore(&folder, "drawn");
    let central = Central::on(&folder).start();
    // It takes connections before it has read its winners.
    assert_eq!(central.ask("WAIT_DRAW|1"), "DRAW|OK");
    assert_eq!(central.ask("GET_WINNERS|1"), winners);
    central.stop();
}

#[test]
fn signed_declarations_are_part_of_a_backup() {
    let folder = Folder::with_data("--agencies 1 --bets 50 --seed 2 --winners 3");
    run(&folder, "keys init --agencies 1 keys").ok();
    let central = Central::on(&folder).agencies(1).with(&format!("--keys {}/keys/central", folder.path().display()));
    let central = central.start();
    Agency::new(1, central.port, &folder).with("--keys keys/agency-1").run().ok();
    back_up(&folder, "copy");
    central.stop();
    let files = ["acta.json", "bets.csv", "declarations.jsonl", "journal", "secrets.json"];
    assert_eq!(names(&folder.path().join("copy")), files);
    for name in ["acta.json", "bets.csv", "declarations.jsonl", "secrets.json"] {
        let [here, there] = ["store", "copy"].map(|place| fs::read(folder.path().join(place).join(name)).unwrap());
        assert_eq!(here, there, "{name}");
    }
    run(&folder, "audit --ca keys/ca/ca.pem copy").ok();
}

#[test]
fn a_copy_is_for_its_owner_alone_and_changes_nothing_in_the_store() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK").ask("DONE|1", "ACK_DONE|OK");
    let seen = || {
        let file = |name: String| (fs::read(folder.store().join(&name)).unwrap(), name);
        names(&folder.store()).into_iter().map(file).collect::<Vec<_>>()
    };
    let before = seen();
    fs::create_dir(folder.path().join("copy")).unwrap();
    let exit = run(&folder, "backup store copy");
    exit.ok();
    assert!(exit.lines.contains(&"bets    1".to_owned()) && exit.lines.contains(&"phase   open".to_owned()), "{exit}");
    assert!(seen() == before);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let copy = folder.path().join("copy");
    assert_eq!(mode(&copy), 0o700);
    assert!(names(&copy).iter().all(|name| mode(&copy.join(name)) == 0o600), "{:?}", names(&copy));
    central.client().ask(&format!("BET|2|{ANA}"), "ACK|OK");
    central.stop();
}

#[test]
fn what_cannot_be_copied_is_told_and_leaves_nothing() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    central.client().ask(&format!("BATCH|1|2\n{ANA}\n{ANA}"), "ACK_BATCH|OK|2");
    let before = names(folder.path());
    let refused = |words: &str, code: i32, reasons: &[&str]| {
        run(&folder, words).failed(code, reasons);
        assert_eq!(names(folder.path()), before, "{words}");
    };
    refused("backup store data/..", 2, &["data/..", "is not empty"]);
    refused("backup store store", 2, &["store", "is not empty"]);
    refused("backup data copy", 2, &["data", "holds neither journal nor bets.csv"]);
    refused("backup none copy", 2, &["none"]);
    refused("backup store none/copy", 2, &["none"]);
    refused("backup store copy --rate fast", 2, &["--rate"]);
    central.stop();
    let damage = |path: &Path, place: usize, words: &[&str]| {
        let sound = fs::read(path).unwrap();
        let mut damaged = sound.clone();
        damaged[place] ^= 4;
        fs::write(path, damaged).unwrap();
        refused("backup store copy", 5, words);
        fs::write(path, sound).unwrap();
    };
    damage(&folder.bets(), 3, &["store/bets.csv: byte 0: damaged somewhere from here to byte"]);
    damage(&folder.journal(), 70, &["store/journal: byte 64: a record of the snapshot is damaged"]);
    damage(&folder.store().join("secrets.json"), 30, &["store/secrets.json: is not the file that the journal knows"]);
    let bets = fs::read(folder.bets()).unwrap();
    fs::write(folder.bets(), &bets[1..]).unwrap();
    refused("backup store copy", 5, &["store/bets.csv: ends at byte"]);
    fs::remove_file(folder.bets()).unwrap();
    refused("backup store copy", 5, &["store/bets.csv: cannot read"]);
    fs::write(folder.bets(), &bets).unwrap();
    fs::remove_file(folder.journal()).unwrap();
    refused("backup store copy", 5, &["store/journal: cannot open"]);
}

#[test]
fn a_backup_that_is_told_to_stop_leaves_nothing() {
    let folder = large();
    let before = names(folder.path());
    for (signal, code) in [(Signal::TERM, Some(1)), (Signal::INT, None)] {
        let backup = Process::start(command(&folder, "backup --rate 1 store copy"));
        partial(&folder);
        backup.signal(signal);
        let exit = backup.finish();
        assert_eq!(exit.status.code(), code, "{exit}");
        assert!(exit.lines.is_empty());
        assert_eq!(names(folder.path()), before);
    }
}

#[test]
fn what_a_killed_backup_leaves_is_no_store() {
    let folder = large();
    let mut backup = command(&folder, "backup --rate 1 store copy").spawn().unwrap();
    let left = partial(&folder);
    kill_process(Pid::from_child(&backup), Signal::KILL).unwrap();
    backup.wait().unwrap();
    assert!(!folder.path().join("copy").exists());
    fs::rename(folder.store(), folder.path().join("kept")).unwrap();
    fs::rename(&left, folder.store()).unwrap();
    Central::on(&folder).refused().failed(5, &["journal", "missing"]);
    fs::remove_dir_all(folder.store()).unwrap();
    fs::rename(folder.path().join("kept"), folder.store()).unwrap();
    // The next backup does not mind.
    assert_eq!(back_up(&folder, "copy")["bets"], 70_000);
}

#[test]
fn a_backup_that_finds_no_room_says_so_and_leaves_nothing() {
    let folder = large();
    let before = fs::read(folder.bets()).unwrap();
    let backup = command(&folder, "backup store copy");
    let mut shell = Command::new("/bin/sh");
    // No file may grow beyond half a MiB, or one: shells count in blocks of 512 or 1024 bytes.
    shell.args(["-c", "trap '' XFSZ && ulimit -f 1024 && exec \"$0\" \"$@\""]).arg(backup.get_program());
    shell.args(backup.get_args()).env_clear().current_dir(folder.path());
    let names_before = names(folder.path());
    Process::start(shell).finish().failed(1, &["bets.csv: cannot write: File too large"]);
    assert_eq!(names(folder.path()), names_before, "no copy is left, whole or not");
    assert_eq!(fs::read(folder.bets()).unwrap(), before);
    back_up(&folder, "copy");
}
