//! The Compose file, read as Compose reads it: each rule that the exercises rely on, for several kinds of file.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use quiniela::compose::{self, Args, DEFAULT_SUBNET};
use serde_yaml::Value;

use crate::common::quiniela;

fn options(clients: u32, exercise: u8, persist: bool) -> Args {
    Args {
        clients,
        output: None,
        exercise,
        persist,
        centrals: 1,
        postgres: false,
        tls: false,
        keys_dir: "keys".into(),
        subnet: DEFAULT_SUBNET.to_owned(),
        force: false,
        json: false,
    }
}

fn text(options: Args) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yaml");
    compose::run(&Args { output: Some(file.clone()), ..options }).unwrap();
    fs::read_to_string(file).unwrap()
}

fn parsed(options: Args) -> Value {
    serde_yaml::from_str(&text(options)).unwrap()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_sequence().map(|list| list.iter().map(|item| item.as_str().unwrap()).collect()).unwrap_or_default()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_mapping().map(|map| map.keys().map(|key| key.as_str().unwrap()).collect()).unwrap_or_default()
}

#[test]
fn whatever_is_named_is_there() {
    for (clients, exercise, persist) in [(0, 8, false), (1, 1, true), (12, 5, false), (50, 8, true)] {
        let file = parsed(options(clients, exercise, persist));
        assert_eq!(file["name"], "tp0");
        let expected: Vec<String> =
            std::iter::once("server".to_owned()).chain((1..=clients).map(|id| format!("client{id}"))).collect();
        assert_eq!(keys(&file["services"]), expected, "in the order of their numbers");

        let built: HashSet<&str> = expected
            .iter()
            .filter(|name| !file["services"][name.as_str()]["build"].is_null())
            .map(|name| file["services"][name.as_str()]["image"].as_str().unwrap())
            .collect();
        for name in &expected {
            let service = &file["services"][name.as_str()];
            assert_eq!(service["container_name"], name.as_str());
            assert!(built.contains(service["image"].as_str().unwrap()), "{name} runs an image that a service builds");
            for network in strings(&service["networks"]) {
                assert!(keys(&file["networks"]).contains(&network), "{name}: network {network}");
            }
            for mount in strings(&service["volumes"]) {
                let source = mount.split(':').next().unwrap();
                let is_path = source.starts_with('.') || source.starts_with('/');
                assert!(is_path || keys(&file["volumes"]).contains(&source), "{name}: volume {source}");
            }
            for needed in keys(&service["depends_on"]) {
                assert!(expected.iter().any(|name| name == needed), "{name} needs {needed}");
                assert_eq!(service["depends_on"][needed]["condition"], "service_healthy");
                assert!(file["services"][needed]["healthcheck"].is_null(), "{needed} keeps the image's health check");
            }
            // For this machine alone, and the only port of the host that is taken.
            let expected = if name == "server" { &["127.0.0.1:7574:7574"][..] } else { &[] };
            assert_eq!(strings(&service["ports"]), expected, "{name}");
        }
    }
}

#[test]
fn network_and_roster_are_those_of_the_exercises() {
    let file = parsed(options(5, 8, false));
    assert_eq!(keys(&file["networks"]), ["testing_net"]);
    assert_eq!(file["networks"]["testing_net"]["ipam"]["config"][0]["subnet"], "172.25.125.0/24");
    assert_eq!(strings(&file["services"]["server"]["environment"]), ["CLIENT_AMOUNT=5", "HTTP=0.0.0.0:7574"]);
    for id in 1..=5 {
        let client = &file["services"][format!("client{id}").as_str()];
        assert_eq!(strings(&client["environment"]), [format!("CLI_ID={id}")]);
    }
    let other = parsed(Args { subnet: "10.9.0.0/16".to_owned(), ..options(0, 8, false) });
    assert_eq!(other["networks"]["testing_net"]["ipam"]["config"][0]["subnet"], "10.9.0.0/16");
    assert_eq!(strings(&other["services"]["server"]["environment"]), ["CLIENT_AMOUNT=0", "HTTP=0.0.0.0:7574"]);
}

#[test]
fn settings_come_from_the_mounted_files_alone() {
    let file = parsed(options(3, 8, false));
    let mounted = |service: &str| -> Vec<String> {
        let mounts = strings(&file["services"][service]["volumes"]);
        mounts.iter().map(|mount| mount.split_once(':').unwrap().1.to_owned()).collect()
    };
    assert_eq!(mounted("server"), ["/config.ini:ro"]);
    assert_eq!(mounted("client2"), ["/config.yaml:ro", "/data:ro"]);
    let all = text(options(3, 8, false));
    for setting in
        ["SERVER_PORT", "SERVER_IP", "LISTEN_BACKLOG", "LOGGING_LEVEL", "LOG_LEVEL", "LOOP", "BATCH", "12345"]
    {
        assert!(!all.contains(setting), "{setting} stands in the Compose file");
    }
}

#[test]
fn the_exercise_chooses_what_the_agencies_do() {
    for (exercise, mode) in [(1, "echo"), (4, "echo"), (5, "bet"), (6, "lottery"), (8, "lottery")] {
        let file = parsed(options(2, exercise, false));
        assert_eq!(strings(&file["services"]["server"]["command"]), ["server"]);
        assert_eq!(strings(&file["services"]["client2"]["command"]), ["agency", "--mode", mode]);
        let names: Vec<&str> = strings(&file["services"]["client2"]["environment"])
            .iter()
            .map(|line| line.split_once('=').unwrap().0)
            .collect();
        let person = ["CLI_ID", "NOMBRE", "APELLIDO", "DOCUMENTO", "NACIMIENTO", "NUMERO"];
        assert_eq!(names, if exercise == 5 { &person[..] } else { &person[..1] });
    }
}

#[test]
fn containers_may_do_as_little_as_they_can_do_with() {
    for persist in [false, true] {
        let file = parsed(options(1, 8, persist));
        for name in ["server", "client1"] {
            let service = &file["services"][name];
            assert_eq!(strings(&service["cap_drop"]), ["ALL"]);
            assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"]);
            assert_eq!(service["stop_grace_period"], "10s");
            assert_eq!(service["logging"]["driver"], "json-file");
            // Compose passes these on as text, and the engine accepts only text.
            assert!(service["logging"]["options"]["max-size"].is_string());
            assert!(service["logging"]["options"]["max-file"].is_string());
            let stateless = name == "client1" || persist;
            assert_eq!(service["read_only"], stateless, "{name}, persist: {persist}");
        }
        assert_eq!(strings(&file["services"]["server"]["volumes"]).contains(&"store:/store"), persist);
        assert_eq!(file["services"]["client1"]["healthcheck"]["disable"], true);
        assert_eq!(file["services"]["server"]["pull_policy"], "build", "never a stale image");
        assert_eq!(file["services"]["client1"]["pull_policy"], "never", "no registry is asked for it");
    }
}

/// A project's folder, as far as `gen-compose` looks at it, in which it is run.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("docker")).unwrap();
    fs::write(folder.path().join("docker/Dockerfile"), "").unwrap();
    folder
}

fn run(project: &Path, words: &str) -> (Option<i32>, String) {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let output = quiniela(project, &words).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[track_caller]
fn generated(project: &Path, words: &str) -> Value {
    let (code, said) = run(project, &format!("gen-compose {words} -o compose.yaml"));
    assert_eq!(code, Some(0), "{said}");
    serde_yaml::from_str(&fs::read_to_string(project.join("compose.yaml")).unwrap()).unwrap()
}

#[test]
fn several_centrals_share_a_database_with_a_standby_and_agencies_know_them_all() {
    let mut options = options(3, 8, true);
    (options.centrals, options.postgres) = (2, true);
    let file = parsed(options);
    let services = &file["services"];
    assert_eq!(keys(services), ["server", "server2", "client1", "client2", "client3", "db1", "db2", "migrate"]);
    let store = "STORE_DIR=postgres://quiniela:quiniela@db1,db2/lottery?sslmode=disable";
    for central in ["server", "server2"] {
        let central = &services[central];
        assert!(strings(&central["environment"]).contains(&store));
        assert_eq!(strings(&central["command"]), ["server", "--require-standby"]);
        assert_eq!(central["depends_on"]["migrate"]["condition"], "service_completed_successfully");
        assert_eq!(central["read_only"], true);
    }
    for id in 1..=3 {
        let environment = strings(&services[&*format!("client{id}")]["environment"]);
        assert!(environment.contains(&"CLI_SERVER_ADDRESS=server:12345,server2:12345"));
    }
    let script = |server: &str| strings(&services[server]["command"])[2].to_owned();
    assert!(script("db1").contains("pg_create_physical_replication_slot('standby')"));
    assert!(script("db1").contains("synchronous_standby_names = 'standby'"));
    assert!(script("db2").contains("-S standby") && script("db2").contains("application_name=standby"));
    for server in ["db1", "db2"] {
        // Compose would read a single dollar sign as the start of a variable.
        assert!(!script(server).replace("$$", "").contains('$'));
        assert_eq!(strings(&services[server]["volumes"]), [format!("{server}:/var/lib/postgresql/data")]);
    }
    assert_eq!(keys(&file["volumes"]), ["db1", "db2"]);
    assert_eq!(services["migrate"]["depends_on"]["db2"]["condition"], "service_healthy");
}

#[test]
fn with_tls_several_centrals_have_one_certificate_that_names_each_of_them() {
    let project = project();
    let file = generated(project.path(), "2 --centrals 3 --postgres --tls");
    let mounts = |name: &str| {
        let volumes = strings(&file["services"][name]["volumes"]);
        volumes
            .iter()
            .filter(|volume| volume.ends_with(":/keys:ro"))
            .map(|volume| volume.to_string())
            .collect::<Vec<_>>()
    };
    for central in ["server", "server2", "server3"] {
        assert_eq!(mounts(central), ["./keys/central:/keys:ro"]);
        assert!(strings(&file["services"][central]["environment"]).contains(&"TLS_KEYS=/keys"));
    }
    for id in 1..=2 {
        assert_eq!(mounts(&format!("client{id}")), [format!("./keys/agency-{id}:/keys:ro")]);
    }
    for service in ["db1", "db2", "migrate"] {
        assert!(mounts(service).is_empty());
    }
    // Keys that were made for fewer centrals are refused, with what to run.
    let (code, said) = run(project.path(), "gen-compose 2 --centrals 4 --postgres --tls --force -o compose.yaml");
    assert_eq!(code, Some(2), "{said}");
    let advice = "quiniela keys renew keys --central --server-name server --server-name server2 --server-name server3 --server-name server4";
    assert!(said.contains("keys/central: the certificate does not name server4") && said.contains(advice), "{said}");
    let (code, said) = run(project.path(), advice.strip_prefix("quiniela ").unwrap());
    assert_eq!(code, Some(0), "{said}");
    generated(project.path(), "2 --centrals 4 --postgres --tls --force");
}

#[test]
fn with_tls_each_container_has_its_own_keys_alone_and_runs_as_their_owner() {
    let project = project();
    let made = project.path().join("keys");
    for (exercise, flags) in [(5, ""), (8, "--persist")] {
        let plain = generated(project.path(), &format!("2 --exercise {exercise} {flags}"));
        let mut file = generated(project.path(), &format!("2 --exercise {exercise} {flags} --tls"));
        for (name, party, variable) in [
            ("server", "central", "TLS_KEYS"),
            ("client1", "agency-1", "CLI_TLS_KEYS"),
            ("client2", "agency-2", "CLI_TLS_KEYS"),
        ] {
            let owner = fs::metadata(made.join(party)).unwrap();
            let service = file["services"][name].as_mapping_mut().unwrap();
            assert_eq!(service.remove("user").unwrap(), format!("{}:{}", owner.uid(), owner.gid()).as_str());
            let mut last = |list: &str| service[list].as_sequence_mut().unwrap().pop().unwrap();
            assert_eq!(last("volumes"), format!("./keys/{party}:/keys:ro").as_str());
            assert_eq!(last("environment"), format!("{variable}=/keys").as_str());
        }
        assert_eq!(file, plain, "all else is as without TLS");
    }
    let text = fs::read_to_string(project.path().join("compose.yaml")).unwrap();
    let users: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("user: ")).collect();
    assert!(
        users.len() == 3 && users.iter().all(|user| user.starts_with('"')),
        "501:20 is a number in YAML 1.1: {text}"
    );
    assert_eq!(fs::metadata(made.join("agency-2/key.pem")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn keys_that_are_there_are_used_wherever_they_are() {
    let project = project();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(project.path().join("below")).unwrap();
    for (keys, file, shown) in [
        ("keys".to_owned(), "compose.yaml", "./keys".to_owned()),
        ("keys".to_owned(), "below/compose.yaml", "../keys".to_owned()),
        (
            elsewhere.path().display().to_string(),
            "compose.yaml",
            elsewhere.path().canonicalize().unwrap().display().to_string(),
        ),
    ] {
        let words = format!("gen-compose 1 --tls --keys-dir {keys} -o {file}");
        let (code, said) = run(project.path(), &words);
        assert_eq!(code, Some(0), "{said}");
        let key = || fs::read(project.path().join(&keys).join("central/key.pem")).unwrap();
        let (made, text) = (key(), fs::read_to_string(project.path().join(file)).unwrap());
        assert!(text.contains(&format!("{shown}/central:/keys:ro")), "{text}");
        let (_, said) = run(project.path(), &words);
        assert!(!said.contains("authority"), "nothing is made again: {said}");
        assert_eq!((made, text), (key(), fs::read_to_string(project.path().join(file)).unwrap()));
    }
    let (code, text) = run(project.path(), "gen-compose 1 --tls");
    assert!(code == Some(0) && serde_yaml::from_str::<Value>(&text).is_ok(), "nothing but YAML: {text}");
}

#[test]
fn keys_that_no_container_could_use_are_refused() {
    let project = project();
    generated(project.path(), "2 --tls");
    let file = || fs::read_to_string(project.path().join("compose.yaml")).unwrap();
    let before = file();
    let refused = |words: &str, reason: &str| {
        let (code, said) = run(project.path(), &format!("gen-compose {words} -o compose.yaml"));
        assert!(code == Some(2) && said.contains(reason), "{said}");
        assert_eq!(file(), before);
    };
    refused("3 --tls", "keys/agency-3: there is no certificate; quiniela keys renew keys --agency 3 makes it");
    let (code, said) = run(project.path(), "keys renew keys --agency 3");
    assert_eq!(code, Some(0), "{said}");
    generated(project.path(), "3 --tls");
    generated(project.path(), "2 --tls");

    let key = project.path().join("keys/agency-2/key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused("2 --tls", "keys/agency-2/key.pem: others than its owner can read it");
    fs::copy(project.path().join("keys/agency-1/cert.pem"), key.with_file_name("cert.pem")).unwrap();
    refused("2 --tls", "keys/agency-2/cert.pem: holds agency 1's key");
    fs::remove_dir_all(project.path().join("keys/central")).unwrap();
    refused("2 --tls", "keys/central: there is no certificate; quiniela keys renew keys --central makes it");
}

#[test]
fn the_echo_exercises_have_no_tls() {
    let project = project();
    for (words, reason) in [
        ("2 --tls --exercise 1", "--tls: exercise 1 is the echo loop"),
        ("2 --tls --exercise 4", "give --exercise 5, 6, 7 or 8"),
        ("2 --keys-dir mine", "--tls"),
    ] {
        let (code, said) = run(project.path(), &format!("gen-compose {words} -o compose.yaml"));
        assert!(code == Some(2) && said.contains(reason), "{said}");
    }
    assert_eq!(fs::read_dir(project.path()).unwrap().count(), 1, "neither keys nor a file");
}

#[test]
fn the_same_options_give_the_same_bytes() {
    assert_eq!(text(options(5, 5, true)), text(options(5, 5, true)));
}

#[test]
fn a_refused_count_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yaml");
    fs::write(&file, "mine\n").unwrap();
    let error = compose::run(&Args { output: Some(file.clone()), ..options(253, 8, false) }).unwrap_err();
    assert_eq!(error.kind.exit_code(), 2);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The course builds each role from a Dockerfile in its own folder, and BuildKit follows no link out of that folder.
#[test]
fn both_roles_have_the_one_dockerfile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let image = fs::read_to_string(root.join("docker/Dockerfile")).unwrap();
    for role in ["server", "client"] {
        let copy = fs::read_to_string(root.join(role).join("Dockerfile")).unwrap();
        assert!(copy == image, "cp docker/Dockerfile {role}/Dockerfile");
    }
}
