//! Exercise 4: `stop` and `down` in every phase.

use std::time::Duration;

use crate::log::{Follower, Line};
use crate::stage::{Stage, exit_code};

/// Stops everything, and checks how each container has ended.
fn check_stop(stage: &Stage, log: &mut Follower, containers: &[&str]) {
    let took = stage.stop();
    // Compose stops the agencies first and the central after them. Each has five seconds.
    assert!(took < Duration::from_secs(5), "{took:?}");
    log.finish(containers);
    for container in containers {
        assert_eq!(exit_code(container), 0, "{container}");
        let in_progress = shutdown(log, container, "in_progress");
        assert!(in_progress < shutdown(log, container, "success"), "{container}");
    }
}

/// The index of the container's line about its shutdown.
fn shutdown(log: &Follower, container: &str, result: &str) -> usize {
    let place = log.of(container).position(|line| line.is("shutdown", result));
    place.unwrap_or_else(|| panic!("{container} logs no shutdown {result}:\n{}", log.show()))
}

/// Checks that each process logs what it closes, and that the central has closed every connection that it accepted.
fn check_closed(log: &Follower, containers: &[&str]) {
    for container in containers {
        let mut stopping = log.of(container).skip(shutdown(log, container, "in_progress"));
        let closes = |line: &Line| line.action.starts_with("close_") && line.result == "success";
        assert!(stopping.any(closes), "{container}:\n{}", log.show());
    }
    let count = |action: &str| log.of("server").filter(|line| line.is(action, "success")).count();
    assert_eq!(count("close_connection"), count("accept_connections"), "{}", log.show());
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn in_the_echo_loop() {
    let stage = Stage::new();
    stage.agencies(100, "5s", 10);
    stage.generate(4, 2, &[]);
    let mut log = stage.up();
    // Both sides have logged each message: the two agencies are now in their long pauses.
    log.wait_for(4, "receive_message", "success");
    check_stop(&stage, &mut log, &["server", "client1", "client2"]);
    assert!(log.all("loop_finished", "success").is_empty(), "it was not finished");
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn while_uploading() {
    let stage = Stage::new();
    stage.agencies(1, "150ms", 10);
    (1..=2).for_each(|agency| stage.bets(agency, 5000, 0));
    stage.generate(8, 2, &[]);
    let mut log = stage.up();
    log.wait_for(6, "apuesta_recibida", "success");
    check_stop(&stage, &mut log, &["server", "client1", "client2"]);
    check_closed(&log, &["server", "client1", "client2"]);
    assert!(log.all("sorteo", "success").is_empty(), "nobody was done");
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn while_waiting_for_the_draw() {
    let stage = Stage::new();
    stage.agencies(1, "0s", 10);
    (1..=2).for_each(|agency| stage.bets(agency, 50, 0));
    stage.generate(8, 2, &[]);
    // The second agency never comes.
    stage.compose(&["up", "-d", "server", "client1"]);
    let mut log = stage.follow();
    log.wait_for(1, "consulta_ganadores", "in_progress");
    check_stop(&stage, &mut log, &["server", "client1"]);
    check_closed(&log, &["server", "client1"]);
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn down_stops_as_stop_does() {
    let stage = Stage::new();
    stage.agencies(1, "150ms", 10);
    stage.bets(1, 5000, 0);
    stage.generate(8, 1, &[]);
    let mut log = stage.up();
    log.wait_for(3, "apuesta_recibida", "success");
    stage.compose(&["down", "-t", "5"]);
    log.finish(&["server", "client1"]);
    check_closed(&log, &["server", "client1"]);
}
