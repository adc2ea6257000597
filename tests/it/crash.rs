//! The central is killed at any moment: what was acknowledged is on disk once, and the lottery continues after a
//! restart.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::common::{ANA, Agency, Central, Folder, Process, Proxy, Signal, acknowledged, seed, sent, tells, value};
use fastrand::Rng;

fn taken(line: &str) -> bool {
    tells(line, "apuesta_recibida", "success") || tells(line, "apuesta_repetida", "success")
}

#[test]
fn nothing_is_lost_or_doubled_by_kills_under_load() {
    const KILLS: usize = 25;
    /// The proxy lets this much of each connection through until the last kill. On three connections these are 80
    /// batches, and a kill comes within the first 60.
    const HELD_AFTER: usize = 16 * 1024;
    let mut rng = Rng::with_seed(seed());
    let folder = Folder::with_equal_files(3, 11_000);
    for agency in 1..=3 {
        let bytes = folder.file(agency).metadata().unwrap().len() as usize;
        assert!(bytes > KILLS * HELD_AFTER, "agency {agency} could be done before the last kill");
    }
    let start = || Central::on(&folder).agencies(3).start();
    let mut central = start();
    let proxy = Proxy::to(central.port);
    proxy.hold_after(HELD_AFTER);
    let agency = |id| Agency::new(id, proxy.port, &folder).with("--batch-max 8 --in-flight 4").winners().start();
    let agencies: Vec<Process> = (1..=3).map(agency).collect();
    for _ in 0..KILLS {
        central.process.wait_for_nth(rng.usize(1..60), taken);
        // Another test may soon get its port.
        proxy.point_at(0);
        central.kill();
        central = start();
        proxy.point_at(central.port);
    }
    assert!(!agencies.iter().any(Process::has_ended));
    proxy.let_go();
    for (id, agency) in (1..).zip(agencies) {
        let exit = agency.finish();
        exit.ok();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
        assert!(acknowledged(&exit.lines) <= folder.rows(id).len(), "nothing is acknowledged twice to one process");
    }
    folder.assert_stored_equals_files(3);
    central.stop();
    folder.assert_stored_equals_files(3);
}

#[test]
fn what_was_acknowledged_is_on_disk_when_the_central_is_killed() {
    let folder = Folder::with_equal_files(1, 4_000);
    for nth in [1, 7, 30, 90] {
        let central = Central::on(&folder).agencies(1).start();
        let proxy = Proxy::to(central.port);
        // A batch of ten bets has some 500 bytes: this is more than the batches waited for, and less than the file.
        proxy.hold_after(4096 + 900 * nth);
        let agency = Agency::new(1, proxy.port, &folder).with("--batch-max 10 --in-flight 4").start();
        agency.wait_for_nth(nth, sent);
        let before = central.stored_while_open(1);
        central.kill();
        agency.signal(Signal::KILL);
        let exit = agency.finish();
        // Before any recovery the file has the acknowledged rows, and perhaps others after them.
        let on_disk = std::fs::read_to_string(folder.bets()).unwrap().matches("\r\n").count();
        assert!(on_disk >= before && on_disk >= acknowledged(&exit.lines), "{on_disk} rows of {before} acknowledged");
        let central = Central::on(&folder).agencies(1).start();
        let stored = folder.assert_stored_begins_files(1)[0];
        assert!(stored >= before, "{stored} of {before}");
        assert_eq!(central.ask("HELLO|1"), format!("HELLO|OK|{stored}|open"));
        central.stop();
    }
}

/// Stops or kills a central, and starts it again.
fn restart(folder: &Folder, central: Central, by_kill: bool) -> Central {
    let _ = if by_kill { central.kill() } else { central.stop() };
    let central = Central::on(folder).agencies(3).start();
    let line = central.process.wait_for(|line| tells(line, "recover", "success"));
    assert_eq!(value(&line, "after"), by_kill.then_some("crash"), "{line}");
    assert_eq!(value(&line, "dropped_bytes"), by_kill.then_some("0"), "{line}");
    central
}

#[test]
fn a_restart_in_any_phase_changes_nothing() {
    for by_kill in [false, true] {
        let folder = Folder::new();
        let mut central = Central::on(&folder).agencies(3).start();
        let check = |central: &Central, expected: [&str; 3]| {
            for (agency, account) in (1..).zip(expected) {
                assert_eq!(central.ask(&format!("HELLO|{agency}")), format!("HELLO|OK|{account}"));
            }
        };
        central = restart(&folder, central, by_kill);
        check(&central, ["0|open", "0|open", "0|open"]);

        central
            .client()
            .ask(&format!("BATCH|1|2\n{ANA}\n{ANA}"), "ACK_BATCH|OK|2")
            .ask(&format!("BET|2|{ANA}"), "ACK|OK");
        central = restart(&folder, central, by_kill);
        check(&central, ["2|open", "1|open", "0|open"]);

        central.client().ask("DONE|1", "ACK_DONE|OK").ask("DONE|3", "ACK_DONE|OK");
        central = restart(&folder, central, by_kill);
        check(&central, ["2|done", "1|open", "0|done"]);
        let mut client = central.client();
        client
            .ask(&format!("BET|1|{ANA}"), "ACK|ERR|closed")
            .ask(&format!("BATCH|3|1\n{ANA}"), "ACK_BATCH|ERR|1|closed");
        client.ask("GET_WINNERS|1", "WINNERS|ERR|not_ready");
        // A batch that is sent again after the restart is recognised by its place.
        client.ask(&format!("BATCH|2|2|0\n{ANA}\n{}", ANA.replace("|1|", "|5|")), "ACK_BATCH|OK|2");

        client.ask("DONE|2", "ACK_DONE|OK").ask("WAIT_DRAW|2", "DRAW|OK").ask("GET_WINNERS|2", "WINNERS|OK|1,5");
        for _ in 0..2 {
            central = restart(&folder, central, by_kill);
            central.client().ask("WAIT_DRAW|1", "DRAW|OK");
            check(&central, ["2|drawn", "2|drawn", "0|drawn"]);
            let mut client = central.client();
            client.ask("GET_WINNERS|1", "WINNERS|OK|1,1").ask("GET_WINNERS|2|1", "WINNERS|OK|2|5");
            client.ask("GET_WINNERS|3", "WINNERS|OK|").ask(&format!("BET|2|{ANA}"), "ACK|ERR|closed");
            assert_eq!(central.process.count(|line| value(line, "action") == Some("sorteo")), 0, "it was held before");
        }
        central.stop();
        assert_eq!(folder.stored_of(1).len() + folder.stored_of(2).len(), 4);
    }
}

#[test]
fn a_restart_cannot_make_a_draw_due_by_another_number_of_agencies() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(3).start();
    central.client().ask("DONE|1", "ACK_DONE|OK").ask(&format!("BET|2|{ANA}"), "ACK|OK").ask("DONE|2", "ACK_DONE|OK");
    central.kill();
    Central::on(&folder).agencies(2).refused().failed(2, &["bets.csv", "CLIENT_AMOUNT 3"]);
    let central = Central::on(&folder).start();
    central.client().ask("GET_WINNERS|2", "WINNERS|ERR|not_ready").ask("DONE|3", "ACK_DONE|OK");
    central.client().ask("WAIT_DRAW|1", "DRAW|OK").ask("GET_WINNERS|2", "WINNERS|OK|1");
    central.stop();
}

#[test]
fn agencies_that_wait_for_the_draw_wait_on_over_a_restart() {
    let folder = Folder::with_data("--agencies 2 --bets 400 --seed 12 --winners 20");
    let central = Central::on(&folder).agencies(2).start();
    let proxy = Proxy::to(central.port);
    let waiting = Agency::new(1, proxy.port, &folder).winners().start();
    waiting.wait_for(|line| tells(line, "consulta_ganadores", "in_progress"));
    proxy.point_at(0);
    central.kill();
    let central = Central::on(&folder).agencies(2).start();
    proxy.point_at(central.port);
    Agency::new(2, proxy.port, &folder).winners().run().ok();
    let exit = waiting.finish();
    exit.ok();
    assert_eq!(exit.count(|line| tells(line, "consulta_ganadores", "in_progress")), 1, "it is told once: {exit}");
    for agency in [1, 2] {
        assert_eq!(folder.winners_told(agency), folder.winners_due(agency, "7574"));
    }
    folder.assert_stored_equals_files(2);
    central.stop();
}

#[test]
fn an_uncommitted_tail_is_dropped_and_told_of() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    central.kill();
    let whole = std::fs::read(folder.bets()).unwrap();
    let tail = b"1,Eva,Sosa,2,2000-02-29,12\r\n1,Leo,Pa";
    OpenOptions::new().append(true).open(folder.bets()).unwrap().write_all(tail).unwrap();

    let central = Central::on(&folder).start();
    let line = central.process.wait_for(|line| tells(line, "recover", "success"));
    let found = ["bets", "after", "dropped_bytes", "dropped_rows"].map(|key| value(&line, key).unwrap());
    assert_eq!(found, ["1", "crash", &tail.len().to_string(), "1"], "{line}");
    assert!(line.contains(" WARNING "), "{line}");
    let kept = folder.store().join(value(&line, "kept_in").unwrap());
    assert_eq!(std::fs::read(&kept).unwrap(), tail);
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read(folder.bets()).unwrap(), whole);
    central.client().ask("HELLO|1", "HELLO|OK|1|open").ask(&format!("BET|2|{ANA}"), "ACK|OK");
    central.stop();
    assert_eq!(std::fs::read(folder.bets()).unwrap(), [&whole[..], b"2,Ana,Paz,1,2000-01-01,7574\r\n"].concat());
}

#[test]
fn rows_behind_an_older_journal_are_cut_off_and_kept() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    // A copy made while the central runs.
    let older = std::fs::read(folder.journal()).unwrap();
    central.client().ask(&format!("BATCH|2|2\n{ANA}\n{ANA}"), "ACK_BATCH|OK|2");
    central.stop();
    std::fs::write(folder.journal(), older).unwrap();
    let central = Central::on(&folder).start();
    let line = central.process.wait_for(|line| tells(line, "recover", "success"));
    assert_eq!(value(&line, "dropped_rows"), Some("2"), "{line}");
    let kept = std::fs::read_to_string(folder.store().join(value(&line, "kept_in").unwrap())).unwrap();
    assert_eq!(kept, "2,Ana,Paz,1,2000-01-01,7574\r\n".repeat(2));
    central.stop();
}

#[test]
fn records_that_are_dropped_after_a_clean_stop_are_told_of() {
    let folder = Folder::new();
    Central::on(&folder).start().stop();
    let mut journal = std::fs::read(folder.journal()).unwrap();
    let unused = journal.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    journal[unused + 5] = b'x';
    std::fs::write(folder.journal(), journal).unwrap();
    let central = Central::on(&folder).start();
    let line = central.process.wait_for(|line| tells(line, "recover", "success"));
    assert_eq!((value(&line, "after"), value(&line, "dropped_records")), (None, Some("1")), "{line}");
    central.stop();
}

#[test]
fn a_central_that_cannot_replace_its_journal_tells_what_is_there_and_stores_nothing() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    central.stop();
    // This has the effect of a full disk.
    let in_the_way = folder.store().join("journal.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let central = Central::on(&folder).start();
    central.process.wait_for(|line| tells(line, "snapshot", "fail") && line.contains(" WARNING "));
    let mut client = central.client();
    client.ask("HELLO|1", "HELLO|OK|1|open").send(&format!("BET|1|{ANA}"));
    let refusal = client.reply();
    assert!(refusal.starts_with("ACK|ERR|storage: journal: cannot replace: "), "{refusal}");
    std::fs::remove_dir(&in_the_way).unwrap();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    central.stop();
    assert_eq!(folder.stored_of(1).len(), 2);
}

#[test]
fn one_store_has_one_central() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    Central::on(&folder).refused().failed(5, &["bets.csv", "another central has it open"]);
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    central.stop();
    assert_eq!(folder.stored_of(1).len(), 2);
}

#[test]
fn the_files_are_for_their_owner_alone() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(folder.bets()), mode(folder.journal())), (0o600, 0o600));
    central.stop();
    assert_eq!((mode(folder.bets()), mode(folder.journal())), (0o600, 0o600));
}
