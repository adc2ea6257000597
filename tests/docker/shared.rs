//! Two centrals and a PostgreSQL with a synchronous standby, in containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::stage::{Stage, answer, docker, exit_code, inspect, succeed};

const CLIENTS: u32 = 3;
const IMAGE: &str = "postgres:15";
/// Where Debian's package has them.
const PROGRAMS: &str = "/usr/lib/postgresql/15";
const SHARED: &str = "/usr/share/postgresql/15";

/// Whether the image of the servers is here, or could be made of the programs of this machine.
fn has_image() -> bool {
    let is_here =
        |image: &str| Command::new("docker").args(["image", "inspect", image]).output().unwrap().status.success();
    if is_here(IMAGE) {
        return true;
    }
    if !Path::new(PROGRAMS).join("bin/initdb").is_file() || !is_here("debian:bookworm-slim") {
        eprintln!("SKIPPED: there is no image {IMAGE}, and no PostgreSQL 15 of Debian's to make one of");
        return false;
    }
    let context = tempfile::tempdir().unwrap();
    let root = context.path().join("root");
    for folder in [PROGRAMS, SHARED] {
        copy(Path::new(folder), &root);
    }
    for library in libraries(&Path::new(PROGRAMS).join("bin")) {
        copy(&library, &root);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/postgres");
    for name in ["Dockerfile", "docker-entrypoint.sh"] {
        fs::copy(source.join(name), context.path().join(name)).unwrap();
    }
    docker(&["build", "-q", "-t", IMAGE, context.path().to_str().unwrap()]);
    true
}

/// Copies a file or a folder to its own place below another root. A place behind a link, as `/lib` is one, would replace the link.
fn copy(from: &Path, root: &Path) {
    let place = from.parent().unwrap().canonicalize().unwrap().join(from.file_name().unwrap());
    let to = root.join(place.strip_prefix("/").unwrap());
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-aL").arg(from).arg(&to);
    succeed(copy);
}

/// The libraries that these programs need and that a small Debian may lack. Those of libc it has.
fn libraries(programs: &Path) -> Vec<PathBuf> {
    let names = ["postgres", "psql", "initdb", "pg_basebackup", "pg_ctl", "pg_isready"];
    let mut ldd = Command::new("ldd");
    ldd.args(names.map(|name| programs.join(name)));
    let told = String::from_utf8(succeed(ldd).stdout).unwrap();
    let paths = told.lines().filter_map(|line| Some(line.split_once("=> ")?.1.split(' ').next()?.to_owned()));
    let own = ["/libc.", "/libm.", "/libdl.", "/libpthread.", "/librt.", "/ld-"];
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.starts_with('/') && !own.iter().any(|name| path.contains(name)))
        .map(PathBuf::from)
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

fn query(text: &str) -> String {
    docker(&["exec", "db1", "psql", "-XAtq", "postgres://owner:owner@127.0.0.1/lottery", "-c", text])
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn two_centrals_draw_one_lottery() {
    let stage = Stage::new();
    if !has_image() {
        return;
    }
    stage.agencies(1, "0s", 40);
    (1..=CLIENTS).for_each(|agency| stage.bets(agency, 1000 + agency, agency));
    stage.generate(8, CLIENTS, &["--centrals", "2", "--postgres"]);
    let mut log = stage.up();
    assert_eq!(stage.exit_codes(CLIENTS), [0; CLIENTS as usize], "{}", log.show());
    log.wait_for(CLIENTS as usize, "consulta_ganadores", "success");
    log.check_winners(CLIENTS);
    assert_eq!(log.all("sorteo", "success").len(), 1, "one central has held the draw:\n{}", log.show());
    assert_eq!(exit_code("migrate"), 0);
    assert_eq!(query("SELECT sync_state FROM pg_stat_replication"), "sync");
    let all: u32 = (1..=CLIENTS).map(|agency| 1000 + agency).sum();
    assert_eq!(query("SELECT count(*) FROM bets"), all.to_string());

    // Both are watched, each at a port of its own, and both say the same.
    let phases = [7574, 7575].map(|port| {
        let state = answer(port, "/status.json");
        let state: serde_json::Value = serde_json::from_str(state.split_once("\r\n\r\n").unwrap().1).unwrap();
        (state["phase"].as_str().unwrap().to_owned(), state["seal"].as_str().unwrap().to_owned())
    });
    assert_eq!((phases[0].0.as_str(), &phases[0]), ("drawn", &phases[1]));
    for name in ["server", "server2"] {
        assert_eq!(inspect(name, "{{.HostConfig.ReadonlyRootfs}}"), "true");
        assert_eq!(inspect(name, "{{.State.Health.Status}}"), "healthy");
    }
    stage.stop();
    log.finish(&["server", "server2"]);
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn a_central_that_is_killed_leaves_its_agencies_to_the_other() {
    let stage = Stage::new();
    if !has_image() {
        return;
    }
    // A pause between batches, so that the upload lasts.
    stage.agencies(1, "20ms", 10);
    (1..=CLIENTS).for_each(|agency| stage.bets(agency, 1000, agency));
    stage.generate(8, CLIENTS, &["--centrals", "2", "--postgres", "--tls"]);
    let mut log = stage.up();
    log.wait_for(20, "apuesta_enviada", "success");
    let victim = if log.of("server").any(|line| line.is("apuesta_recibida", "success")) { "server" } else { "server2" };
    docker(&["kill", "-s", "KILL", victim]);
    let begun = Instant::now();
    assert_eq!(stage.exit_codes(CLIENTS), [0; CLIENTS as usize], "{}", log.show());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    log.wait_for(CLIENTS as usize, "consulta_ganadores", "success");
    assert_eq!(query("SELECT count(*), count(DISTINCT (agency, document)) FROM bets"), "3000|3000");
    stage.stop();
}
