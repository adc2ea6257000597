//! Connections that break anywhere, in either direction, again and again: nothing is lost, and nothing comes twice.

use crate::common::proxy::Knife;
use crate::common::{Agency, Central, Folder, Process, Proxy, tells, value};
use fastrand::Rng;

/// Holds a lottery over connections of which the first so many are cut at random.
fn hold(seed: u64, agencies: u32, bets: u32, batch_max: u32, knife: Knife) {
    println!("seed {seed}");
    let cuts = knife.left;
    let folder = Folder::with_data(&format!("--agencies {agencies} --bets {bets} --seed {seed} --winners 500"));
    let central = Central::on(&folder).agencies(agencies).start();
    let proxy = Proxy::to(central.port);
    proxy.cut_with(knife);
    let words = format!("--batch-max {batch_max} --in-flight 8");
    let start = |id| Agency::new(id, proxy.port, &folder).with(&words).winners().start();
    let running: Vec<Process> = (1..=agencies).map(start).collect();
    for (id, agency) in (1..).zip(running) {
        agency.finish().ok();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
    }
    // All but those over which an agency came to its end. Small agencies end before the knife is worn out.
    let least = cuts - agencies as usize;
    assert!(proxy.cuts() >= least, "only {} of {least} connections were cut: give it more bets", proxy.cuts());
    folder.assert_stored_equals_files(agencies);
    let exit = central.stop();
    folder.assert_stored_equals_files(agencies);
    assert_eq!(exit.count(|line| tells(line, "sorteo", "success")), 1);
    let refused = exit.count(|line| tells(line, "apuesta_recibida", "fail") && value(line, "error") != Some("gap"));
    assert_eq!(refused, 0, "{exit}");
}

/// Cuts fall within an upload: so few bytes are part of it, and so few bytes of replies are some acknowledgements.
fn knife(seed: u64, most_up: usize, most_down: usize, cuts: usize) -> Knife {
    Knife { rng: Rng::with_seed(seed), most_up, most_down, left: cuts }
}

#[test]
fn one_agency_finishes_however_often_it_is_cut_off() {
    hold(1, 1, 30_000, 10, knife(1, 10_000, 200, 60));
}

#[test]
fn full_batches_are_cut_too() {
    hold(2, 2, 50_000, 430, knife(2, 40_000, 120, 25));
}

#[test]
fn several_agencies_finish_however_often_they_are_cut_off() {
    hold(3, 4, 60_000, 25, knife(3, 8_000, 160, 100));
}

#[test]
fn a_bet_is_stored_once_however_often_it_is_cut_off() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let proxy = Proxy::to(central.port);
    for seed in 0..10 {
        proxy.cut_with(knife(seed, 80, 30, 4));
        let mut command = Agency::new(1, proxy.port, &folder).with("--mode bet").command();
        let document = seed.to_string();
        let person = [
            ("NOMBRE", "Ana"),
            ("APELLIDO", "Paz"),
            ("DOCUMENTO", &document),
            ("NACIMIENTO", "2000-01-01"),
            ("NUMERO", "1"),
        ];
        command.envs(person);
        Process::start(command).finish().ok();
    }
    assert!(proxy.cuts() > 10, "only {} connections were cut", proxy.cuts());
    let documents: Vec<String> = folder.stored_of(1).into_iter().map(|row| row[2].clone()).collect();
    assert_eq!(documents, (0..10).map(|seed| seed.to_string()).collect::<Vec<_>>());
    central.stop();
}
