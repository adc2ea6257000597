//! Exercise 7: the draw in the merged log; and how long the lottery's state lives.

use crate::log::Follower;
use crate::stage::{Stage, inspect};

/// Where the draw stands among what it must stand between, in the order of the merged log.
fn check_order(log: &Follower) {
    let places = |action: &str, result: &str| -> Vec<usize> {
        (0..log.lines.len()).filter(|place| log.lines[*place].is(action, result)).collect()
    };
    let draws = places("sorteo", "success");
    assert_eq!(draws.len(), 1, "one draw:\n{}", log.show());
    let last_bets = *places("apuesta_recibida", "success").last().unwrap();
    let first_winners = places("consulta_ganadores", "success")[0];
    assert!(last_bets < draws[0], "a batch after the draw:\n{}", log.show());
    assert!(draws[0] < first_winners, "winners before the draw:\n{}", log.show());
    assert!(log.lines.iter().all(|line| line.result != "fail"), "waiting is no failure:\n{}", log.show());
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn the_draw_stands_between_bets_and_winners_every_time() {
    let stage = Stage::new();
    stage.agencies(5, "150ms", 30);
    for agency in 1..=5 {
        stage.bets(agency, 20 * agency, agency - 1);
    }
    stage.generate(7, 5, &[]);
    for _ in 0..4 {
        let mut log = stage.up();
        assert_eq!(stage.exit_codes(5), [0; 5]);
        log.wait_for(5, "consulta_ganadores", "success");
        assert_eq!(inspect("server", "{{.State.Running}}"), "true", "the server goes on");
        stage.stop();
        log.finish(&["server"]);
        check_order(&log);
        for agency in 1..=5_u64 {
            let source = format!("client{agency}");
            let answer = log.of(&source).find(|line| line.is("consulta_ganadores", "success")).unwrap();
            assert_eq!(answer.number("cant_ganadores"), agency - 1);
        }
        stage.compose(&["down", "-t", "5"]);
    }
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn an_agency_that_starts_before_the_central_waits_for_it() {
    let stage = Stage::new();
    stage.agencies(1, "0s", 10);
    stage.bets(1, 30, 2);
    stage.generate(8, 1, &[]);
    stage.compose(&["build"]);
    stage.compose(&["up", "-d", "--no-deps", "client1"]);
    let mut log = stage.follow();
    log.wait_for(1, "connect", "fail");
    stage.compose(&["up", "-d", "--no-deps", "server"]);
    assert_eq!(stage.exit_codes(1), [0]);
    log.wait_for(1, "consulta_ganadores", "success");
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn state_lives_as_long_as_the_container() {
    let stage = Stage::new();
    stage.agencies(1, "0s", 10);
    (1..=2).for_each(|agency| stage.bets(agency, 30, agency));
    stage.generate(8, 2, &[]);
    let batches = |log: &Follower| log.all("apuesta_recibida", "success").len();
    let draws = |log: &Follower| log.all("sorteo", "success").len();

    // The central is restarted before the second agency connects: the first agency's bets must be kept.
    stage.compose(&["up", "-d", "server", "client1"]);
    let mut log = stage.follow();
    log.wait_for(1, "consulta_ganadores", "in_progress");
    log.wait_for(3, "apuesta_recibida", "success");
    stage.compose(&["restart", "-t", "5", "server"]);
    stage.compose(&["up", "-d"]);
    assert_eq!(stage.exit_codes(2), [0, 0]);
    let mut log = stage.follow();
    log.wait_for(2, "consulta_ganadores", "success");
    log.wait_for(1, "sorteo", "success");
    assert_eq!(batches(&log), 6, "nothing is sent twice:\n{}", log.show());

    // A restart of all continues the old lottery: the agencies have nothing to send, and the winners are the same.
    stage.compose(&["restart", "-t", "5"]);
    assert_eq!(stage.exit_codes(2), [0, 0]);
    stage.stop();
    let mut log = stage.follow();
    log.wait_for(4, "consulta_ganadores", "success");
    // The central was restarted twice and stopped once; the agencies have ended by themselves.
    log.wait_for(3, "shutdown", "success");
    assert_eq!((batches(&log), draws(&log)), (6, 1), "{}", log.show());
    for agency in 1..=2_u64 {
        let source = format!("client{agency}");
        let answers = log.of(&source).filter(|line| line.is("consulta_ganadores", "success"));
        let counts: Vec<u64> = answers.map(|line| line.number("cant_ganadores")).collect();
        assert_eq!(counts, [agency; 2], "{source}");
    }

    // Down and up is a new lottery.
    stage.compose(&["down", "-t", "5"]);
    let mut log = stage.up();
    log.wait_for(2, "consulta_ganadores", "success");
    stage.stop();
    log.finish(&["server"]);
    assert_eq!((batches(&log), draws(&log)), (6, 1), "{}", log.show());
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn persist_keeps_the_lottery_on_a_volume() {
    let stage = Stage::new();
    stage.agencies(1, "0s", 10);
    stage.bets(1, 30, 2);
    stage.generate(8, 1, &["--persist"]);
    let mut log = stage.up();
    log.wait_for(1, "consulta_ganadores", "success");
    assert_eq!(inspect("server", "{{.HostConfig.ReadonlyRootfs}}"), "true");
    stage.compose(&["down", "-t", "5"]);

    let mut log = stage.up();
    log.wait_for(1, "consulta_ganadores", "success");
    stage.stop();
    log.finish(&["server"]);
    assert_eq!(log.all("consulta_ganadores", "success")[0].number("cant_ganadores"), 2);
    assert!(log.all("apuesta_recibida", "success").is_empty(), "all bets were there:\n{}", log.show());
}
