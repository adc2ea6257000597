//! The image, the Compose file's containers, and the scripts and targets that make them.

use std::fs;
use std::time::{Duration, Instant};

use crate::stage::{Stage, answer, docker, inspect, succeed};

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn up_builds_a_missing_image_and_never_runs_a_stale_one() {
    let stage = Stage::new();
    let _ = stage.command("docker", &["rmi", "-f", "quiniela:latest"]).output();
    stage.agencies(1, "0s", 10);
    stage.bets(1, 100, 3);
    stage.generate(8, 1, &[]);
    let mut log = stage.up();
    // The central's lines can come later than the agency's.
    log.wait_for(1, "sorteo", "success");
    log.wait_for(1, "consulta_ganadores", "success");
    assert!(!log.show().contains(" DEBUG    action"));
    let first = inspect("server", "{{.Image}}");
    stage.compose(&["down"]);

    // What is changed is the image's recipe: to compile the program again takes three minutes, and shows no more of `up`.
    let recipe = stage.path("docker/Dockerfile");
    let text = fs::read_to_string(&recipe).unwrap();
    let changed = text.replace("ENV STORE_DIR=/store", "ENV LOGGING_LEVEL=DEBUG STORE_DIR=/store");
    assert!(changed != text);
    fs::write(&recipe, changed).unwrap();
    let mut log = stage.up();
    // The central tells of it at DEBUG alone, so with the old image this wait fails.
    log.wait_for(1, "hello", "success");
    log.wait_for(1, "consulta_ganadores", "success");
    assert!(log.show().contains(" DEBUG    action"), "old lines:\n{}", log.show());
    assert_ne!(inspect("server", "{{.Image}}"), first);
    assert_eq!(inspect("server", "{{.Image}}"), inspect("client1", "{{.Image}}"), "both run the new one");
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn the_image_holds_one_program_and_no_privilege() {
    let stage = Stage::new();
    // The course's own commands; the tags come from one and the same build.
    for role in ["server", "client"] {
        let (file, tag) = (format!("./{role}/Dockerfile"), format!("{role}:latest"));
        succeed(stage.command("docker", &["build", "-f", &file, "-t", &tag, "."]));
    }
    assert_eq!(inspect("server:latest", "{{.Id}}"), inspect("client:latest", "{{.Id}}"));
    let size: u64 = inspect("server:latest", "{{.Size}}").parse().unwrap();
    assert!(size < 12_000_000, "{size} bytes");
    assert_eq!(inspect("server:latest", "{{.Config.User}}"), "65532:65532");
    assert_eq!(inspect("server:latest", "{{.Config.Healthcheck.Test}}"), "[CMD /quiniela health]");

    let container = docker(&["create", "server:latest"]);
    let mut list = stage.command("sh", &["-c", "docker export \"$1\" | tar -t", "sh", &container]);
    let files = String::from_utf8(list.output().unwrap().stdout).unwrap();
    docker(&["rm", &container]);
    // The engine itself puts places for its mounts into every container.
    let engine = ["dev/", "etc/", "proc/", "sys/", ".dockerenv"];
    let own: Vec<&str> = files.lines().filter(|file| !engine.iter().any(|start| file.starts_with(start))).collect();
    assert_eq!(own, ["quiniela", "store/"]);
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn containers_are_locked_down_and_the_health_check_is_quiet() {
    let stage = Stage::new();
    stage.agencies(1, "0s", 10);
    stage.bets(1, 10, 0);
    stage.generate(8, 1, &[]);
    stage.compose(&["up", "-d", "server"]);
    let started = Instant::now();
    while inspect("server", "{{len .State.Health.Log}}").parse::<u32>().unwrap() < 3 {
        assert!(started.elapsed() < Duration::from_secs(60), "the health check does not run");
    }
    assert_eq!(inspect("server", "{{.State.Health.Status}}"), "healthy");
    let mut log = stage.follow();
    log.wait_for(1, "config", "success");
    stage.stop();
    log.finish(&["server"]);
    assert!(!log.lines.iter().any(|line| line.has("ip")), "no peer is told of:\n{}", log.show());

    stage.compose(&["up", "-d"]);
    for name in ["server", "client1"] {
        assert_eq!(inspect(name, "{{.HostConfig.CapDrop}}"), "[ALL]");
        assert_eq!(inspect(name, "{{.HostConfig.SecurityOpt}}"), "[no-new-privileges:true]");
        assert_eq!(inspect(name, "{{.HostConfig.LogConfig.Type}}"), "json-file");
    }
    // What people may watch is for this machine alone; agencies reach the central on the containers' network.
    assert_eq!(inspect("server", "{{.HostConfig.PortBindings}}"), "map[7574/tcp:[{127.0.0.1 7574}]]");
    assert_eq!(inspect("client1", "{{.HostConfig.PortBindings}}"), "map[]");
    assert!(answer(7574, "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(answer(7574, "/status.json").contains("\"agencies\":"));
    assert_eq!(inspect("client1", "{{.HostConfig.ReadonlyRootfs}}"), "true");
    assert_eq!(inspect("server", "{{.Config.StopTimeout}}"), "10");
    let network = "{{(index .IPAM.Config 0).Subnet}}";
    assert_eq!(docker(&["network", "inspect", "--format", network, "tp0_testing_net"]), "172.25.125.0/24");
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn the_script_finds_the_image_where_there_is_nothing_else() {
    let stage = Stage::new();
    stage.generate(8, 3, &[]);
    let expected = fs::read_to_string(stage.path("docker-compose-dev.yaml")).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let found = |tool: &str| {
        let mut files = std::env::split_paths(&path).map(|folder| folder.join(tool));
        files.find(|file| file.is_file()).unwrap_or_else(|| panic!("{tool} is on no PATH"))
    };
    fs::create_dir(stage.path("bin")).unwrap();
    for tool in ["bash", "basename", "dirname", "id", "docker"] {
        std::os::unix::fs::symlink(found(tool), stage.path("bin").join(tool)).unwrap();
    }
    fs::create_dir(stage.path("below")).unwrap();
    let generate = |file: &str, clients: &str| {
        let mut command = stage.command("./generar-compose.sh", &[file, clients]);
        command.env_remove("QUINIELA").env("PATH", stage.path("bin")).output().unwrap()
    };
    for (file, root) in [("again.yaml", "."), ("below/again.yaml", "..")] {
        let output = generate(file, "3");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(stage.path(file)).unwrap();
        assert_eq!(text.replace(&format!("{root}/"), "./").replace("context: ..", "context: ."), expected, "{file}");
    }
    assert_eq!(generate("again.yaml", "many").status.code(), Some(2));
}

#[test]
#[ignore = "needs a Docker engine: make test-docker"]
fn the_courses_make_targets_work() {
    let stage = Stage::new();
    stage.agencies(1, "0s", 10);
    (1..=2).for_each(|agency| stage.bets(agency, 10, 1));
    let make = |target: &str| {
        let mut command = stage.command("make", &[target, "CLIENTS=2"]);
        command.env("QUINIELA", env!("CARGO_BIN_EXE_quiniela"));
        command
    };
    succeed(make("docker-image"));
    for tag in ["server:latest", "client:latest"] {
        assert_eq!(inspect(tag, "{{.Id}}"), inspect("quiniela:latest", "{{.Id}}"));
    }
    succeed(make("docker-compose-up"));
    let mut log = crate::log::Follower::start(make("docker-compose-logs"));
    log.wait_for(2, "consulta_ganadores", "success");
    succeed(make("docker-compose-down"));
    log.finish(&["server"]);
    assert!(log.of("server").any(|line| line.is("shutdown", "success")), "stopped before it was removed");
    assert_eq!(docker(&["ps", "-a", "-q", "--filter", "name=^server$"]), "");
}
