//! `quiniela agency --follow`: bets are sent as the file grows, and the lottery goes on once it is told that no more will come.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Agency, Central, Folder, LIMIT, Process, Proxy, Signal, quiniela, tells, value};

/// Longer than the time between two looks at the file: a writer that pauses so long is seen in the middle of what it writes.
const PAUSE: Duration = Duration::from_millis(300);

fn append(folder: &Folder, agency: u32, bytes: impl AsRef<[u8]>) {
    let file = OpenOptions::new().create(true).append(true).open(folder.file(agency));
    file.unwrap().write_all(bytes.as_ref()).unwrap();
}

/// The row of a bet whose document is this number.
fn row(document: u32) -> String {
    format!("José,Ñandú,{document},2000-01-01,{}\n", if document.is_multiple_of(10) { 7574 } else { document })
}

fn rows(documents: std::ops::Range<u32>) -> String {
    documents.map(row).collect()
}

fn winners(documents: std::ops::Range<u32>) -> String {
    documents.filter(|document| document.is_multiple_of(10)).map(|document| format!("{document}\n")).collect()
}

#[track_caller]
fn assert_stored(folder: &Folder, agency: u32, documents: std::ops::Range<u32>) {
    let stored: Vec<String> = folder.stored_of(agency).into_iter().map(|row| row.join(",") + "\n").collect();
    assert_eq!(stored.concat(), rows(documents));
}

fn follower(id: u32, port: u16, folder: &Folder) -> Agency {
    Agency::new(id, port, folder).with("--follow").winners()
}

/// With the clock of this zone, in which it is the same time everywhere.
fn in_utc(agency: &Agency) -> Process {
    let mut command = agency.command();
    command.env("TZ", "UTC0");
    Process::start(command)
}

/// Waits until the central has stored so many bets of an agency.
#[track_caller]
fn wait_for_stored(central: &Central, agency: u32, bets: u32) {
    let (deadline, wanted) = (Instant::now() + LIMIT, format!("HELLO|OK|{bets}|open"));
    loop {
        let reply = central.ask(&format!("HELLO|{agency}"));
        if reply == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{reply}, where {wanted} is due");
        thread::sleep(Duration::from_millis(5));
    }
}

fn ended_by(lines: &[String]) -> Vec<&str> {
    lines.iter().filter(|line| tells(line, "follow", "success")).filter_map(|line| value(line, "ended_by")).collect()
}

#[test]
fn bets_are_sent_as_their_lines_are_ended_however_they_are_written() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    append(&folder, 1, "\u{feff}nombre,apellido,dni,nacimiento,num");
    let agency = follower(1, central.port, &folder).with("--receipt receipt").start();
    let line = agency.wait_for(|line| value(line, "waits_for").is_some());
    assert_eq!(value(&line, "waits_for"), Some("line"));
    append(&folder, 1, "ero\r\n");
    for document in 0..40 {
        let row = row(document).replace('\n', if document % 3 == 0 { "\r\n" } else { "\n" });
        // Some rows are seen in the middle of a character, in front of their line end, and within it.
        let pauses = match document {
            7 => vec![4],
            8 => vec![row.len() - 1],
            9 => vec![1, row.len() - 2, row.len() - 1],
            _ => Vec::new(),
        };
        for (place, byte) in row.bytes().enumerate() {
            if pauses.contains(&place) {
                wait_for_stored(&central, 1, document);
                thread::sleep(PAUSE);
            }
            append(&folder, 1, [byte]);
        }
    }
    wait_for_stored(&central, 1, 40);
    append(&folder, 1, "\n\n#cier");
    append(&folder, 1, "re\n");
    let exit = agency.finish();
    exit.ok();
    assert_eq!(ended_by(&exit.lines), ["line"]);
    assert_eq!(folder.winners_told(1), winners(0..40));
    assert_stored(&folder, 1, 0..40);
    central.stop();
    // The root that it declared is that of the file, whoever reads it.
    let words = "audit --agency 1 --data data --receipt receipt store/acta.json --json".split(' ').map(str::to_owned);
    let audit = Process::start(quiniela(folder.path(), &words.collect::<Vec<_>>())).finish();
    audit.ok();
    let told: serde_json::Value = serde_json::from_str(&audit.lines.join("\n")).unwrap();
    assert_eq!((&told["status"], &told["root_checked"]), (&"declared".into(), &true.into()));
}

#[test]
fn a_signal_ends_the_file_and_what_was_written_until_then_is_sent() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    append(&folder, 1, rows(0..300));
    let agency = follower(1, central.port, &folder).start();
    wait_for_stored(&central, 1, 300);
    append(&folder, 1, rows(300..500));
    agency.signal(Signal::USR1);
    let exit = agency.finish();
    exit.ok();
    assert_eq!(ended_by(&exit.lines), ["signal"]);
    assert_eq!(folder.winners_told(1), winners(0..500));
    assert_stored(&folder, 1, 0..500);
    central.stop();
}

#[test]
fn a_time_ends_the_file() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    append(&folder, 1, rows(0..20));
    let due = time::OffsetDateTime::now_utc() + Duration::from_secs(3);
    let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let due = due.format(&format).unwrap();
    let agency = in_utc(&follower(1, central.port, &folder).with(&format!("--close-at {due}")));
    wait_for_stored(&central, 1, 20);
    append(&folder, 1, rows(20..30));
    let exit = agency.finish();
    exit.ok();
    assert_eq!(ended_by(&exit.lines), ["time"]);
    assert_stored(&folder, 1, 0..30);
    central.stop();
}

#[test]
fn a_time_of_today_that_has_passed_ends_the_file_at_once() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    append(&folder, 1, rows(0..20));
    let exit = in_utc(&follower(1, central.port, &folder).with("--close-at 00:00")).finish();
    exit.ok();
    assert_eq!(ended_by(&exit.lines), ["time"]);
    assert_stored(&folder, 1, 0..20);
    central.stop();
}

#[test]
fn half_a_row_is_no_bet_even_at_the_end() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    append(&folder, 1, format!("{}Ana,Paz,12,2000-01-01,75", rows(0..12)));
    let agency = follower(1, central.port, &folder).start();
    wait_for_stored(&central, 1, 12);
    agency.signal(Signal::USR1);
    let exit = agency.finish();
    exit.failed(2, &["agency-1.csv:13: the last line has no end", "start again"]);
    assert!(tells(exit.lines.last().unwrap(), "shutdown", "fail"), "{exit}");
    assert_eq!(central.ask("HELLO|1"), "HELLO|OK|12|open", "no DONE was sent");
    // A writer that is only slow has its row taken.
    let agency = follower(1, central.port, &folder).start();
    agency.wait_for(|line| tells(line, "upload", "in_progress"));
    agency.signal(Signal::USR1);
    append(&folder, 1, "74\n");
    agency.finish().ok();
    assert_eq!(folder.stored_of(1)[12], ["Ana", "Paz", "12", "2000-01-01", "7574"]);
    central.stop();
}

#[test]
fn a_stop_sends_no_done_and_a_restart_goes_on() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    append(&folder, 1, format!("{}José,Ña", rows(0..50)));
    for (signal, code) in [(Signal::TERM, Some(0)), (Signal::KILL, None)] {
        let agency = follower(1, central.port, &folder).start();
        wait_for_stored(&central, 1, 50);
        agency.signal(signal);
        assert_eq!(agency.finish().status.code(), code);
    }
    append(&folder, 1, "ndú,50,2000-01-01,7574\n");
    append(&folder, 1, rows(51..70));
    let agency = follower(1, central.port, &folder).start();
    let line = agency.wait_for(|line| tells(line, "upload", "in_progress"));
    assert_eq!(value(&line, "stored"), Some("50"));
    wait_for_stored(&central, 1, 70);
    append(&folder, 1, "#cierre\n");
    agency.finish().ok();
    assert_stored(&folder, 1, 0..70);
    // After its DONE it can be asked again, with the file as it is, and without following it.
    fs::remove_file(folder.path().join("winners-1")).unwrap();
    for words in ["--follow", ""] {
        Agency::new(1, central.port, &folder).with(words).winners().run().ok();
        assert_eq!(folder.winners_told(1), winners(0..70), "{words}");
    }
    central.stop();
}

#[test]
fn a_central_that_is_killed_meanwhile_gets_what_was_written_meanwhile() {
    let folder = Folder::new();
    let mut central = Central::on(&folder).agencies(1).start();
    let proxy = Proxy::to(central.port);
    append(&folder, 1, rows(0..10));
    let agency = follower(1, proxy.port, &folder).start();
    for step in 1..=3 {
        wait_for_stored(&central, 1, step * 10);
        proxy.point_at(0);
        central.kill();
        append(&folder, 1, rows(step * 10..step * 10 + 5));
        agency.wait_for_nth(step as usize, |line| tells(line, "connection_lost", "fail"));
        append(&folder, 1, rows(step * 10 + 5..step * 10 + 10));
        central = Central::on(&folder).agencies(1).start();
        proxy.point_at(central.port);
    }
    wait_for_stored(&central, 1, 40);
    append(&folder, 1, "#cierre\n");
    agency.finish().ok();
    assert_stored(&folder, 1, 0..40);
    central.stop();
}

/// An agency that follows a file of a hundred bets, all of which are stored.
fn hundred() -> (Folder, Central, Process) {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    append(&folder, 1, rows(0..100));
    let agency = follower(1, central.port, &folder).start();
    wait_for_stored(&central, 1, 100);
    (folder, central, agency)
}

/// What is done to the file of a folder.
type Damage<'a> = &'a dyn Fn(&Folder);

#[test]
fn a_file_that_does_more_than_grow_is_an_error_that_says_where() {
    let damage: [(Damage, &[&str]); 4] = [
        (
            &|folder| File::options().write(true).open(folder.file(1)).unwrap().set_len(100).unwrap(),
            &["was cut", "byte 100"],
        ),
        (&|folder| fs::remove_file(folder.file(1)).unwrap(), &["agency-1.csv:101: the file was removed or renamed"]),
        (
            &|folder| {
                fs::write(folder.path().join("other"), rows(0..200)).unwrap();
                fs::rename(folder.path().join("other"), folder.file(1)).unwrap();
            },
            &["agency-1.csv:101: the file was replaced"],
        ),
        (
            &|folder| File::options().write(true).open(folder.file(1)).unwrap().write_all_at(b"X", 3).unwrap(),
            &["agency-1.csv:1: the file was changed", "byte 0"],
        ),
    ];
    for (damage, words) in damage {
        let (folder, central, agency) = hundred();
        damage(&folder);
        let exit = agency.finish();
        exit.failed(2, words);
        exit.failed(2, &["while it was followed", "start again"]);
        assert_eq!(central.ask("HELLO|1"), "HELLO|OK|100|open", "no DONE was sent");
        central.stop();
    }
}

#[test]
fn a_change_of_what_was_sent_is_noticed_before_done_and_by_a_start() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    append(&folder, 1, rows(0..1000));
    let agency = follower(1, central.port, &folder).start();
    wait_for_stored(&central, 1, 1000);
    // At once with growth, and far from the end.
    agency.hold();
    File::options().write(true).open(folder.file(1)).unwrap().write_all_at(b"X", 0).unwrap();
    append(&folder, 1, rows(1000..1001));
    agency.signal(Signal::CONT);
    wait_for_stored(&central, 1, 1001);
    append(&folder, 1, "#cierre\n");
    agency.finish().failed(2, &["agency-1.csv:1: the file was changed"]);
    assert_eq!(central.ask("HELLO|1"), "HELLO|OK|1001|open", "no DONE was sent");
    let again = follower(1, central.port, &folder).run();
    again.failed(2, &["the 1001 that the central has stored of agency 1 are not its first 1001"]);
    central.stop();
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    let agency = follower(1, central.port, &folder).start();
    let line = agency.wait_for(|line| value(line, "waits_for").is_some());
    assert_eq!((value(&line, "waits_for"), value(&line, "file")), (Some("file"), Some("data/agency-1.csv")));
    append(&folder, 1, rows(0..7));
    wait_for_stored(&central, 1, 7);
    agency.signal(Signal::USR1);
    agency.finish().ok();
    assert_stored(&folder, 1, 0..7);
    central.stop();
    let missing = Agency::new(2, 1, &folder).with("--follow").start();
    missing.wait_for(|line| value(line, "waits_for").is_some());
    missing.signal(Signal::USR1);
    missing.finish().failed(2, &["agency-2.csv", "there is no such file"]);
    let stopped = Agency::new(2, 1, &folder).with("--follow").start();
    stopped.wait_for(|line| value(line, "waits_for").is_some());
    stopped.signal(Signal::TERM);
    stopped.finish().ok();
}

#[test]
fn the_draw_waits_for_the_agency_that_follows() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(3).start();
    (2..=3).for_each(|agency| append(&folder, agency, rows(agency * 1000..agency * 1000 + 500)));
    append(&folder, 1, rows(0..1));
    let follows = follower(1, central.port, &folder).start();
    let others = [2, 3].map(|id| Agency::new(id, central.port, &folder).winners().start());
    others.iter().for_each(|agency| _ = agency.wait_for(|line| tells(line, "consulta_ganadores", "in_progress")));
    for step in 0..5 {
        append(&folder, 1, rows(step * 100 + 1..step * 100 + 101));
        wait_for_stored(&central, 1, step * 100 + 101);
    }
    assert!(!others.iter().any(Process::has_ended));
    append(&folder, 1, "#cierre\n");
    follows.finish().ok();
    others.into_iter().for_each(|agency| agency.finish().ok());
    assert_eq!(folder.winners_told(1), winners(0..501));
    assert_eq!(folder.winners_told(2), winners(2000..2500));
    (2..=3).for_each(|agency| assert_stored(&folder, agency, agency * 1000..agency * 1000 + 500));
    central.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn an_agency_whose_file_does_not_grow_uses_hardly_any_time() {
    const WATCHED: Duration = Duration::from_secs(2);
    let (_folder, central, agency) = hundred();
    // In hundredths of a second.
    let used = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", agency.pid().as_raw_nonzero())).unwrap();
        let fields: Vec<u64> =
            stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2).map(|field| field.parse().unwrap()).collect();
        fields[0] + fields[1]
    };
    let before = used();
    thread::sleep(WATCHED);
    let spent = used() - before;
    assert!(spent <= 6, "{spent} hundredths of a second in {WATCHED:?}");
    drop(agency);
    central.stop();
}

#[test]
fn without_follow_the_signal_ends_the_process_and_the_line_ends_the_file() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    append(&folder, 1, format!("{}#cierre\n", rows(0..30)));
    let agency = Agency::new(1, central.port, &folder).start();
    agency.wait_for(|line| tells(line, "consulta_ganadores", "in_progress"));
    assert_stored(&folder, 1, 0..30);
    agency.signal(Signal::USR1);
    assert_eq!(agency.finish().status.signal(), Some(Signal::USR1.as_raw()));
    append(&folder, 2, format!("{}#cierre\n{}", rows(0..30), row(30)));
    Agency::new(2, central.port, &folder).run().failed(2, &["agency-2.csv:32: more follows the line #cierre"]);
    central.stop();
}
