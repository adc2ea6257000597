//! Exercises 5, 6 and 8: bets, batches, and many agencies at once.

use std::fs;

use crate::log::{Follower, Line};
use crate::stage::{Stage, document, exit_code, inspect};

fn counts(log: &Follower, source: &str, action: &str) -> Vec<u64> {
    log.of(source).filter(|line| line.is(action, "success")).map(|line| line.number("cantidad")).collect()
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn one_bet_each_from_the_environment() {
    let stage = Stage::new();
    stage.generate(5, 3, &[]);
    let text = fs::read_to_string(stage.path("docker-compose-dev.yaml")).unwrap();
    let file: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let mut log = stage.up();
    assert_eq!(stage.exit_codes(3), [0, 0, 0]);
    log.wait_for(3, "apuesta_enviada", "success");
    log.wait_for(3, "apuesta_almacenada", "success");
    for id in 1..=3 {
        let name = format!("client{id}");
        let environment = file["services"][name.as_str()]["environment"].as_sequence().unwrap();
        let of = |key: &str| {
            let line = environment.iter().filter_map(|line| line.as_str()).find(|line| line.starts_with(key));
            line.unwrap().split_once('=').unwrap().1
        };
        let same = |line: &Line| line.get("dni") == of("DOCUMENTO") && line.get("numero") == of("NUMERO");
        assert!(log.of(&name).any(|line| line.is("apuesta_enviada", "success") && same(line)), "{name}");
        assert!(log.of("server").any(|line| line.is("apuesta_almacenada", "success") && same(line)), "{name}");
    }
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn every_batch_is_full_but_the_last() {
    let stage = Stage::new();
    stage.agencies(1, "0s", 100);
    stage.bets(1, 250, 2);
    stage.bets(2, 200, 0);
    stage.generate(6, 2, &[]);
    let mut log = stage.up();
    assert_eq!(stage.exit_codes(2), [0, 0]);
    log.wait_for(5, "apuesta_recibida", "success");
    log.wait_for(2, "consulta_ganadores", "success");
    assert_eq!(counts(&log, "client1", "apuesta_enviada"), [100, 100, 50]);
    assert_eq!(counts(&log, "client2", "apuesta_enviada"), [100, 100]);
    let mut received = counts(&log, "server", "apuesta_recibida");
    received.sort_unstable();
    assert_eq!(received, [50, 100, 100, 100, 100]);
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn a_frame_bounds_a_batch_of_long_bets() {
    let stage = Stage::new();
    stage.agencies(1, "0s", 1000);
    let name = "Ñ".repeat(95);
    let rows: String = (0..150).map(|row| format!("{name},{name},{},1990-01-01,{row}\n", document(1, row))).collect();
    stage.write(".data/agency-1.csv", &rows);
    stage.generate(6, 1, &[]);
    let mut log = stage.up();
    assert_eq!(stage.exit_codes(1), [0]);
    log.wait_for(1, "consulta_ganadores", "success");
    let sent = counts(&log, "client1", "apuesta_enviada");
    // A row takes some 410 bytes, so that some 19 fit 8192.
    let (last, full) = sent.split_last().unwrap();
    assert!(full.iter().all(|count| (18..=20).contains(count)) && *last <= 20, "{sent:?}");
    assert_eq!(sent.iter().sum::<u64>(), 150);
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn an_invalid_record_is_refused_with_its_batch() {
    let stage = Stage::new();
    stage.agencies(1, "150ms", 100);
    stage.bets(1, 250, 0);
    let file = stage.path(".data/agency-1.csv");
    let mut rows: Vec<String> = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    rows[129] = format!("Josefina result: success,Núñez,{},1984-02-29,abc", document(1, 129));
    stage.write(".data/agency-1.csv", &(rows.join("\n") + "\n"));
    stage.generate(6, 1, &[]);
    let mut log = stage.up();
    log.wait_for(1, "apuesta_recibida", "fail");
    assert_eq!(stage.exit_codes(1), [4]);
    let refused = log.all("apuesta_recibida", "fail");
    assert_eq!((refused.len(), refused[0].number("cantidad")), (1, 100));
    assert_eq!(counts(&log, "server", "apuesta_recibida"), [100], "the batch before it is stored");
    assert_eq!(inspect("server", "{{.State.Running}}"), "true");
    stage.stop();
    log.finish(&["server"]);
    assert!(log.all("sorteo", "success").is_empty());
    assert_eq!(exit_code("server"), 0);
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn five_agencies_and_fifty_at_once() {
    for clients in [5, 50] {
        let stage = Stage::new();
        stage.agencies(1, "0s", 40);
        (1..=clients).for_each(|agency| stage.bets(agency, 200 + agency, agency % 4));
        stage.generate(8, clients, &[]);
        let mut log = stage.up();
        assert!(stage.exit_codes(clients).iter().all(|code| *code == 0), "{clients} clients");
        log.wait_for(clients as usize, "consulta_ganadores", "success");
        log.wait_for(1, "sorteo", "success");
        let expected: u64 = (1..=clients).map(|agency| u64::from(200 + agency)).sum();
        assert_eq!(counts(&log, "server", "apuesta_recibida").iter().sum::<u64>(), expected);
        for agency in 1..=clients {
            let source = format!("client{agency}");
            let answers: Vec<u64> = log
                .of(&source)
                .filter(|line| line.is("consulta_ganadores", "success"))
                .map(|line| line.number("cant_ganadores"))
                .collect();
            assert_eq!(answers, [u64::from(agency % 4)], "{source}");
        }
        assert_eq!(log.all("sorteo", "success").len(), 1);
    }
}
