//! Exercises 5 to 8 over TLS: each container has the keys of its party, and runs as the user who owns them.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use crate::stage::{Stage, inspect};

const CLIENTS: u32 = 3;

/// Each agency has as many winners as its number says.
fn staged(exercise: u8, flags: &[&str]) -> Stage {
    let stage = Stage::new();
    stage.agencies(1, "0s", 40);
    (1..=CLIENTS).for_each(|agency| stage.bets(agency, 100 + agency, agency));
    stage.generate(exercise, CLIENTS, &[&["--tls"], flags].concat());
    stage
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn one_bet_each() {
    let stage = staged(5, &[]);
    let mut log = stage.up();
    assert_eq!(stage.exit_codes(CLIENTS), [0; CLIENTS as usize]);
    log.wait_for(CLIENTS as usize, "apuesta_almacenada", "success");
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn every_agency_is_told_its_own_winners() {
    for exercise in 6..=8 {
        let stage = staged(exercise, &[]);
        let mut log = stage.up();
        assert_eq!(stage.exit_codes(CLIENTS), [0; CLIENTS as usize]);
        log.wait_for(CLIENTS as usize, "consulta_ganadores", "success");
        log.check_winners(CLIENTS);
        for (name, party) in [("server", "central"), ("client1", "agency-1"), ("client2", "agency-2")] {
            let folder = stage.path("keys").join(party);
            let owner = folder.metadata().unwrap();
            assert_eq!(inspect(name, "{{.Config.User}}"), format!("{}:{}", owner.uid(), owner.gid()));
            let mounts = inspect(name, "{{range .Mounts}}{{.Source}} {{.Destination}} {{.RW}}\n{{end}}");
            let keys: Vec<&str> = mounts.lines().filter(|mount| mount.contains("/keys")).collect();
            assert_eq!(keys, [format!("{} /keys false", folder.canonicalize().unwrap().display())]);
        }
    }
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn the_health_check_needs_no_keys() {
    let stage = staged(8, &[]);
    stage.compose(&["up", "-d", "server"]);
    let started = Instant::now();
    while inspect("server", "{{.State.Health.Status}}") != "healthy" {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", inspect("server", "{{json .State.Health}}"));
    }
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn a_volume_can_be_written_by_the_owner_of_the_keys() {
    let stage = staged(8, &["--persist"]);
    for first in [true, false] {
        let mut log = stage.up();
        assert_eq!(stage.exit_codes(CLIENTS), [0; CLIENTS as usize]);
        log.wait_for(CLIENTS as usize, "consulta_ganadores", "success");
        stage.stop();
        log.finish(&["server"]);
        log.check_winners(CLIENTS);
        assert_eq!(log.all("apuesta_recibida", "success").is_empty(), !first, "{}", log.show());
        stage.compose(&["down", "-t", "5"]);
    }
}
