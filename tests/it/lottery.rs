//! Whole lotteries: a central and its agencies, each in its own process, and what is on disk at the end.

use std::fs::{self, File};
use std::process::{Child, Stdio};

use crate::common::{Agency, Central, Exit, Folder, Nobody, Process, Proxy, Signal, seed, sent, tells, value};
use fastrand::Rng;

/// What an agency leaves behind that has done everything.
#[track_caller]
fn assert_told(folder: &Folder, agency: u32, exit: &Exit) {
    exit.ok();
    let due = folder.winners_due(agency, "7574");
    assert_eq!(folder.winners_told(agency), due, "agency {agency}");
    let told = &exit.lines[exit.place_of(|line| tells(line, "consulta_ganadores", "success"))];
    assert_eq!(value(told, "cant_ganadores"), Some(due.lines().count().to_string().as_str()), "{told}");
}

#[test]
fn five_agencies_hold_a_lottery() {
    let folder = Folder::with_data("--agencies 5 --bets 12000 --seed 7 --winners 40");
    let central = Central::on(&folder).start();
    let agencies: Vec<Process> = (1..=5).map(|id| Agency::new(id, central.port, &folder).winners().start()).collect();
    for (id, agency) in (1..).zip(agencies) {
        let exit = agency.finish();
        assert_told(&folder, id, &exit);
        let batches: Vec<u32> = exit
            .lines
            .iter()
            .filter(|line| sent(line))
            .map(|line| value(line, "cantidad").unwrap().parse().unwrap())
            .collect();
        let (last, others) = batches.split_last().unwrap();
        assert!(others.iter().all(|bets| *bets == 100) && *last <= 100, "{batches:?}");
        assert_eq!(batches.iter().sum::<u32>() as usize, folder.rows(id).len());
        assert_eq!(exit.count(|line| value(line, "result") == Some("fail")), 0, "{exit}");
        assert_eq!(exit.count(|line| tells(line, "consulta_ganadores", "in_progress")), 1, "{exit}");
    }
    folder.assert_stored_equals_files(5);
    let exit = central.stop();
    folder.assert_stored_equals_files(5);
    let sorteo = exit.place_of(|line| value(line, "action") == Some("sorteo"));
    assert!(tells(&exit.lines[sorteo], "sorteo", "success"), "{exit}");
    let last = exit.lines.iter().rposition(|line| value(line, "action") == Some("apuesta_recibida")).unwrap();
    assert!(last < sorteo, "a batch was taken after the draw: {exit}");
    assert_eq!(exit.count(|line| value(line, "result") == Some("fail")), 0, "{exit}");
    let taken: usize = exit.lines.iter().filter_map(|line| value(line, "cantidad")?.parse::<usize>().ok()).sum();
    assert_eq!(taken, 12_000, "each bet is told of once");
}

#[test]
fn five_hundred_agencies_wait_for_one_draw() {
    const AGENCIES: u32 = 500;
    let folder = Folder::with_data("--agencies 500 --bets 5000 --seed 5 --winners 300");
    let central = Central::on(&folder).agencies(AGENCIES).start();
    // Their output goes to files: a thousand reading threads would be too much for a small machine.
    let start = |id: u32| {
        let mut command = Agency::new(id, central.port, &folder).with("--batch-max 4").winners().command();
        let said = File::create(folder.path().join(format!("said-{id}"))).unwrap();
        command.stdout(said.try_clone().unwrap()).stderr(said).stdin(Stdio::null());
        Started(command.spawn().unwrap())
    };
    let agencies: Vec<Started> = (1..=AGENCIES).map(start).collect();
    central.process.wait_for(|line| tells(line, "sorteo", "success"));
    for (id, mut agency) in (1..).zip(agencies) {
        let status = agency.0.wait().unwrap();
        let said = fs::read_to_string(folder.path().join(format!("said-{id}"))).unwrap();
        assert!(status.success(), "agency {id}: {said}");
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}: {said}");
    }
    folder.assert_stored_equals_files(AGENCIES);
    let exit = central.stop();
    let sorteo = exit.place_of(|line| tells(line, "sorteo", "success"));
    let count = |action: &str| exit.lines[..sorteo].iter().filter(|line| tells(line, action, "success")).count();
    assert!(count("accept_connections") - count("close_connection") >= AGENCIES as usize, "all are there at the draw");
}

/// A process that is killed when the value is dropped.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_processes_of_one_agency_are_one_agency() {
    let folder = Folder::with_equal_files(2, 4_000);
    let central = Central::on(&folder).agencies(2).start();
    let proxy = Proxy::to(central.port);
    // Both are at work before either may end.
    proxy.hold_after(16 * 1024);
    let agency = |id| Agency::new(id, proxy.port, &folder).with("--batch-max 20 --in-flight 4").winners().start();
    let twins = [agency(1), agency(1)];
    twins.iter().for_each(|twin| drop(twin.wait_for(sent)));
    proxy.let_go();
    let other = agency(2);
    for twin in twins {
        assert_told(&folder, 1, &twin.finish());
    }
    assert_told(&folder, 2, &other.finish());
    folder.assert_stored_equals_files(2);
    assert_eq!(central.stop().count(|line| tells(line, "sorteo", "success")), 1);
}

#[test]
fn an_agency_that_comes_again_asks_again_and_changes_nothing() {
    let folder = Folder::with_data("--agencies 1 --bets 500 --seed 1 --winners 5");
    let central = Central::on(&folder).agencies(1).start();
    for _ in 0..2 {
        assert_told(&folder, 1, &Agency::new(1, central.port, &folder).winners().run());
        folder.assert_stored_equals_files(1);
    }
    central.stop();
}

#[test]
fn a_hundred_thousand_winners_are_told_whole_and_in_order() {
    let folder = Folder::with_data("--agencies 2 --bets 101000 --seed 2 --winners 100000");
    let central = Central::on(&folder).agencies(2).start();
    let agencies = [1, 2].map(|id| Agency::new(id, central.port, &folder).winners().start());
    for (id, agency) in (1..).zip(agencies) {
        assert_told(&folder, id, &agency.finish());
    }
    let told = folder.winners_told(1).lines().count() + folder.winners_told(2).lines().count();
    assert_eq!(told, 100_000);
    central.stop();
}

#[test]
fn a_killed_agency_goes_on_where_it_was() {
    let folder = Folder::with_equal_files(1, 5_000);
    let central = Central::on(&folder).agencies(1).start();
    let proxy = Proxy::to(central.port);
    // A batch of ten bets has some 500 bytes: each process is killed within its part of the file.
    proxy.hold_after(16 * 1024);
    let mut rng = Rng::with_seed(seed());
    let agency = || Agency::new(1, proxy.port, &folder).with("--batch-max 10 --in-flight 3").winners().start();
    for _ in 0..12 {
        let running = agency();
        running.wait_for_nth(rng.usize(1..20), sent);
        running.signal(Signal::KILL);
        assert!(!running.finish().status.success(), "it was killed at work");
    }
    assert!(central.stored_while_open(1) < 5_000);
    proxy.let_go();
    assert_told(&folder, 1, &agency().finish());
    folder.assert_stored_equals_files(1);
    central.stop();
}

#[test]
fn a_bad_row_stops_its_agency_at_its_line() {
    let folder = Folder::with_data("--agencies 3 --bets 900 --seed 6");
    let mut rows: Vec<String> = fs::read_to_string(folder.file(3)).unwrap().lines().map(str::to_owned).collect();
    rows[36] = "Ana,Paz,1,2000-01-01,abc".to_owned();
    folder.write(3, &format!("{}\n", rows.join("\n")));
    let central = Central::on(&folder).agencies(3).start();
    let exit = Agency::new(3, central.port, &folder).with("--batch-max 10").run();
    exit.failed(4, &["agency-3.csv:37: number \"abc\" is not a whole number"]);
    assert_eq!(exit.count(|line| tells(line, "apuesta_enviada", "fail") && value(line, "cantidad") == Some("10")), 1);
    assert_eq!(exit.count(|line| value(line, "action") == Some("consulta_ganadores")), 0, "{exit}");
    // Neither the batch of the bad row nor later ones are stored, although they were sent.
    assert_eq!(folder.assert_stored_begins_files(3)[2], 30);
    assert_eq!(central.ask("HELLO|3"), "HELLO|OK|30|open");
    let exit = central.stop();
    let refused = exit.lines.iter().find(|line| tells(line, "apuesta_recibida", "fail")).unwrap();
    assert!(refused.contains("action: apuesta_recibida | result: fail | cantidad: 10 |"), "{refused}");
    assert_eq!(value(refused, "client_id"), Some("3"));
    assert_eq!(exit.count(|line| line.contains(" ERROR ")), 1, "{exit}");
    assert_eq!(exit.count(|line| value(line, "action") == Some("agencia_finalizada")), 0);
}

#[test]
fn a_row_of_another_shape_stops_its_agency_at_its_line() {
    let rows = [("Ana,Paz,1,2000-01-01", 4), ("Ana,Paz,1,2000-01-01,7574,more", 6), ("Ana,2000-01-01,7574", 3)];
    for (row, values) in rows {
        let folder = Folder::new();
        folder.write(1, &format!("Eva,Sosa,2,2000-01-01,12\n\n{row}\nLeo,Paz,3,2000-01-01,1\n"));
        let central = Central::on(&folder).agencies(1).start();
        let exit = Agency::new(1, central.port, &folder).run();
        exit.failed(4, &["agency-1.csv:3: ", &format!("{values} values, where a bet has 5")]);
        assert!(folder.stored().is_empty());
        central.stop();
    }
}

#[test]
fn rows_are_stored_as_pythons_csv_writer_writes_them() {
    let folder = Folder::new();
    // A header, needed and needless quotes, blank lines, both line ends, no line end at the end of the file.
    folder.write(
        1,
        "nombre,apellido,documento,nacimiento,numero\r\n\
         \"Ana\",\"Paz, de la\",30.904.465,1999-03-17,0007574\r\n\
         \n\
         \"José \"\"Pepe\"\"\",O'Hara,AB-1,2000-02-29,12\n \
         Eva ,Ñandú ,2,1985-12-01,0",
    );
    let central = Central::on(&folder).agencies(1).start();
    Agency::new(1, central.port, &folder).winners().run().ok();
    central.stop();
    let rows = "1,Ana,\"Paz, de la\",30.904.465,1999-03-17,7574\r\n\
                1,\"José \"\"Pepe\"\"\",O'Hara,AB-1,2000-02-29,12\r\n\
                1, Eva ,Ñandú ,2,1985-12-01,0\r\n";
    assert_eq!(fs::read_to_string(folder.bets()).unwrap(), rows);
    assert_eq!(folder.winners_told(1), "30.904.465\n");
}

#[test]
fn an_agency_without_bets_takes_part() {
    let folder = Folder::new();
    folder.write(1, "");
    let central = Central::on(&folder).agencies(1).start();
    let exit = Agency::new(1, central.port, &folder).winners().run();
    assert_told(&folder, 1, &exit);
    assert_eq!(exit.count(sent), 0);
    assert_eq!(fs::read(folder.bets()).unwrap(), b"");
    central.stop();
}

#[test]
fn a_central_that_is_not_there_is_given_up_in_time() {
    let folder = Folder::with_data("--agencies 1 --bets 10");
    let nobody = Nobody::at_home();
    let exit = Agency::new(1, nobody.port(), &folder).with("--retry-for 1s").run();
    exit.failed(3, &["no progress for 1s", &nobody.port().to_string()]);
    assert!(exit.count(|line| tells(line, "connect", "fail")) > 1, "it tries more than once: {exit}");
}

#[test]
fn a_central_may_come_after_its_agencies() {
    let folder = Folder::with_data("--agencies 1 --bets 10");
    let nobody = Nobody::at_home();
    let proxy = Proxy::to(nobody.port());
    let agency = Agency::new(1, proxy.port, &folder).winners().start();
    agency.wait_for(|line| tells(line, "connection_lost", "fail"));
    let central = Central::on(&folder).agencies(1).start();
    proxy.point_at(central.port);
    assert_told(&folder, 1, &agency.finish());
    central.stop();
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new();
    let nobody = Nobody::at_home();
    let exit = Agency::new(4, nobody.port(), &folder).run();
    exit.failed(2, &["data/agency-4.csv: cannot read the agency's bets"]);
}

#[test]
fn an_agency_outside_the_roster_is_refused() {
    let folder = Folder::with_data("--agencies 3 --bets 30");
    let central = Central::on(&folder).agencies(2).start();
    Agency::new(3, central.port, &folder).run().failed(4, &["agency 3", "the agencies are 1 to 2"]);
    assert!(folder.stored().is_empty());
    central.stop();
}

#[test]
fn one_bet_comes_from_the_environment() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let bet = |document: &str| {
        let mut command = Agency::new(2, central.port, &folder).with("--mode bet").command();
        let person =
            [("NOMBRE", "Santiago Lionel"), ("APELLIDO", "Lorca"), ("NACIMIENTO", "1999-03-17"), ("NUMERO", "7574")];
        command.envs(person).env("DOCUMENTO", document);
        Process::start(command).finish()
    };
    let exit = bet("30904465");
    exit.ok();
    let line = &exit.lines[exit.place_of(|line| tells(line, "apuesta_enviada", "success"))];
    assert!(line.contains("action: apuesta_enviada | result: success | dni: 30904465 | numero: 7574"), "{line}");
    assert_eq!(fs::read_to_string(folder.bets()).unwrap(), "2,Santiago Lionel,Lorca,30904465,1999-03-17,7574\r\n");
    bet("30 904").failed(4, &["document \"30 904\""]);
    assert_eq!(folder.stored_of(2).len(), 1);
    let stored = "action: apuesta_almacenada | result: success | dni: 30904465 | numero: 7574";
    assert_eq!(central.stop().count(|line| line.contains(stored)), 1);
}
