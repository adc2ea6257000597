//! `--json`: what a command prints for programs is one object, with the fields that docs/JSON.md lists and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{ANA, Agency, Central, Exit, Folder, Nobody, Process, quiniela};

/// The types that each field had, by its path.
type Fields = BTreeMap<String, BTreeSet<String>>;

fn run(folder: &Folder, words: &str) -> Exit {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    Process::start(quiniela(folder.path(), &words)).finish()
}

/// What a command prints, which is one object and nothing else.
#[track_caller]
fn object(folder: &Folder, words: &str) -> Value {
    let exit = run(folder, words);
    exit.ok();
    assert_eq!(exit.stderr, "", "{words}");
    parsed(&exit)
}

#[track_caller]
fn parsed(exit: &Exit) -> Value {
    let text = exit.lines.join("\n");
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {exit}"));
    assert!(value.is_object(), "{exit}");
    value
}

fn gather(path: &str, value: &Value, fields: &mut Fields) {
    let mut note = |path: &str, kind: &str| _ = fields.entry(path.to_owned()).or_default().insert(kind.to_owned());
    match value {
        Value::Null => note(path, "null"),
        Value::Bool(_) => note(path, "boolean"),
        Value::Number(number) if number.is_f64() => note(path, "number"),
        Value::Number(_) => note(path, "integer"),
        Value::String(_) => note(path, "text"),
        Value::Array(items) => {
            let kind = match items.first() {
                None => "empty list",
                Some(Value::Object(_)) => "list of objects",
                Some(Value::String(_)) => "list of texts",
                Some(other) => panic!("{path}: {other}"),
            };
            note(path, kind);
            let objects = items.iter().filter(|item| item.is_object());
            objects.for_each(|item| gather(&format!("{path}[]"), item, fields));
        }
        Value::Object(object) => {
            let is_named = !path.is_empty() && !path.ends_with("[]");
            if is_named {
                note(path, "object");
            }
            let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            object.iter().for_each(|(name, value)| gather(&below(name), value, fields));
        }
    }
}

/// The fields that the page lists for a command, each with the types that it may have.
fn listed(command: &str) -> Fields {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/JSON.md")).unwrap();
    let title = format!("\n### `quiniela {command}`\n");
    let section = page.split_once(&title).unwrap_or_else(|| panic!("no section {command}")).1;
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.map(|row| {
        let (path, rest) = row.split_once("` | ").unwrap();
        let types = rest.split(" | ").next().unwrap().split(" or ").map(str::to_owned);
        (path.to_owned(), types.collect())
    });
    rows.collect()
}

/// Every field of the objects is listed, with its type, and every listed field is in one of them.
#[track_caller]
fn assert_listed(command: &str, objects: &[Value]) {
    let (mut found, listed) = (Fields::new(), listed(command));
    objects.iter().for_each(|object| gather("", object, &mut found));
    for (path, types) in &found {
        let may = listed.get(path).unwrap_or_else(|| panic!("{command}: {path} is not listed"));
        for kind in types {
            let fits = match kind.as_str() {
                "empty list" => may.iter().any(|may| may.starts_with("list of ")),
                // A sum of whole seconds is a number, too.
                "integer" => may.contains("integer") || may.contains("number"),
                kind => may.contains(kind),
            };
            assert!(fits, "{command}: {path} is listed as {may:?}, and is {kind}");
        }
        let may_be_null = may.contains("null");
        assert!(!may_be_null || types.len() > 1, "{command}: {path} is only {types:?} in this test");
    }
    let missing: Vec<_> = listed.keys().filter(|path| !found.contains_key(*path)).collect();
    assert_eq!(missing, [] as [&String; 0], "{command}: listed, and not there");
}

#[test]
fn a_demo_is_one_object() {
    let folder = Folder::with_data("--agencies 2 --bets 40 --seed 1 --winners 3");
    let plain = object(&folder, "demo --json --data data --agencies 2");
    let kept = object(&folder, "demo --json --data data --agencies 2 --tls --keep");
    let path = kept["kept_in"].as_str().unwrap().to_owned();
    assert!(Path::new(&path).join("central/bets.csv").is_file());
    fs::remove_dir_all(path).unwrap();
    assert_eq!((&plain["bets"], &plain["winners"], &plain["tls"]), (&40.into(), &3.into(), &false.into()));
    assert_eq!(kept["tls"], true);
    assert_listed("demo", &[plain, kept]);
    folder.write(2, "Ana,Paz,1,2000-13-01,7574\n");
    let failed = run(&folder, "demo --json --data data --agencies 2");
    assert!(!failed.status.success() && failed.lines.is_empty() && failed.stderr.contains("2000-13-01"), "{failed}");
}

#[test]
fn an_audit_a_ticket_and_a_draw_are_one_object() {
    let folder = Folder::with_data("--agencies 2 --bets 40 --seed 1 --winners 3");
    let central = Central::on(&folder).agencies(2).with("--winning-number later").start();
    let agency = |id: u32| Agency::new(id, central.port, &folder).with(&format!("--receipt receipt-{id}")).start();
    let agencies = [1, 2].map(agency);
    central.process.wait_for(|line| crate::common::tells(line, "cierre", "success"));
    let check = |ticket: &str| format!("ticket --json --check {ticket} store/acta.json");
    let own = "audit --json --agency 1 --data data store/acta.json";
    let ticket = run(&folder, "ticket --agency 1 --bet 1 store").lines.join("\n") + "\n";
    fs::write(folder.path().join("ticket"), ticket).unwrap();
    let (sealed, own_sealed) = (object(&folder, "audit --json store"), object(&folder, own));
    let checked = object(&folder, &check("ticket"));
    let seal = sealed["seal"].as_str().unwrap();
    let words = format!("draw 7574 --json --seal {seal} --store store --server 127.0.0.1:{}", central.port);
    let drawn = object(&folder, &words);
    assert_eq!(drawn, serde_json::json!({ "number": 7574, "seal": seal }));
    agencies.into_iter().for_each(|agency| agency.finish().ok());
    central.stop();
    assert_listed("draw", &[drawn]);
    assert_listed("audit STORE", &[sealed, object(&folder, "audit --json store")]);
    let with_receipt = own.replace("--data", "--receipt receipt-1 --data");
    assert_listed("audit --agency ID ACTA", &[own_sealed, object(&folder, &with_receipt)]);
    let later = object(&folder, &check("ticket"));
    assert_eq!((&later["drawn"], &checked["drawn"]), (&7574.into(), &Value::Null));
    assert_eq!(later["won"], later["row"].as_str().unwrap().ends_with(",7574"));
    assert_listed("ticket --check TICKET", &[checked, later]);
    fs::write(folder.path().join("ticket"), "{}\n").unwrap();
    let refused = run(&folder, &check("ticket"));
    refused.failed(5, &["ticket"]);
    assert!(refused.lines.is_empty(), "{refused}");
}

#[test]
fn a_backup_is_one_object() {
    let folder = Folder::with_data("--agencies 1 --bets 40 --seed 1 --winners 3");
    let central = Central::on(&folder).agencies(1).start();
    let open = object(&folder, "backup --json store copy-1");
    Agency::new(1, central.port, &folder).run().ok();
    assert_listed("backup", &[open, object(&folder, "backup --json store copy-2")]);
    central.stop();
    let refused = run(&folder, "backup --json store copy-1");
    refused.failed(2, &["copy-1", "is not empty"]);
    assert!(refused.lines.is_empty(), "{refused}");
}

#[test]
fn a_recovery_is_one_object() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    central.client().ask(&format!("BET|1|{ANA}"), "ACK|OK");
    central.kill();
    let bets = fs::read(folder.bets()).unwrap();
    fs::write(folder.bets(), [&bets[..], b"1,Eva"].concat()).unwrap();
    let found = object(&folder, "recover --json store");
    assert_eq!((&found["bets"], &found["dropped_bytes"]), (&1.into(), &5.into()));
    assert_listed("recover STORE", &[found, object(&folder, "recover --json store")]);
}

#[test]
fn checks_of_a_server_are_one_object_even_if_they_fail() {
    let folder = Folder::new();
    let (central, nobody) = (Central::on(&folder).agencies(0).start(), Nobody::at_home());
    let good = object(&folder, &format!("echo-check --json 127.0.0.1:{}", central.port));
    assert_eq!(good["result"], "success");
    let bad = run(&folder, &format!("echo-check --json 127.0.0.1:{}", nobody.port()));
    bad.failed(1, &["127.0.0.1"]);
    assert_listed("echo-check", &[good, parsed(&bad)]);
    let health = |port: u16| format!("health --json --bind 127.0.0.1 --port {port}");
    let good = object(&folder, &health(central.port));
    let bad = run(&folder, &health(nobody.port()));
    bad.failed(1, &["127.0.0.1"]);
    assert_eq!(parsed(&bad)["result"], "fail");
    assert_listed("echo-check", &[good, parsed(&bad)]);
    central.stop();
}

#[test]
fn what_makes_files_tells_of_them_in_one_object() {
    let folder = Folder::new();
    let made = object(&folder, "gen-data --json --agencies 3 --bets 50 --winners 2 made");
    assert_eq!((&made["files"], &made["bets"], &made["winners"]), (&3.into(), &50.into(), &2.into()));
    assert_listed("gen-data", &[made]);
    fs::create_dir(folder.path().join("docker")).unwrap();
    fs::write(folder.path().join("docker/Dockerfile"), "FROM scratch\n").unwrap();
    let made = object(&folder, "gen-compose 2 --json --tls --keys-dir lottery-keys -o compose.yaml");
    assert_eq!((&made["agencies"], &made["tls"], &made["made_keys"]), (&2.into(), &true.into(), &true.into()));
    assert_listed("gen-compose --output FILE", &[made]);
    run(&folder, "gen-compose 2 --json").failed(2, &["--output"]);
}

#[test]
fn keys_are_told_of_in_one_object() {
    let folder = Folder::new();
    assert_listed("keys init", &[object(&folder, "keys init --json --agencies 2 --days 5 keys")]);
    assert_listed("keys request", &[object(&folder, "keys request --json --agency 3 own")]);
    assert_listed("keys sign", &[object(&folder, "keys sign --json keys own/request.pem --agency 3")]);
    let renewed = object(&folder, "keys renew --json keys --agency 1");
    assert_eq!(renewed["still_valid"].as_array().unwrap().len(), 1);
    assert_listed("keys renew", &[renewed]);
    assert_listed("keys revoke", &[object(&folder, "keys revoke --json keys --agency 1")]);
    let (all, one) = (object(&folder, "keys show --json keys"), object(&folder, "keys show keys/agency-2 --json"));
    assert!(!all["warnings"].as_array().unwrap().is_empty(), "they end within 30 days");
    assert_listed("keys show", &[all, one]);
    let refused = run(&folder, "keys init --json keys");
    refused.failed(2, &["is there already"]);
    assert!(refused.lines.is_empty(), "{refused}");
}

#[test]
fn settings_are_one_object() {
    let folder = Folder::new();
    fs::write(folder.path().join("config.ini"), "[DEFAULT]\nSERVER_PORT = 012\n").unwrap();
    let server = object(&folder, "server --print-config --json");
    let port = server["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == "--port").unwrap();
    assert_eq!((&port["value"], &port["origin"]), (&"012".into(), &"config.ini: SERVER_PORT".into()));
    let agency = object(&folder, "agency --id 1 --print-config --json");
    assert_eq!((&server["file_exists"], &agency["file_exists"]), (&true.into(), &false.into()));
    assert_listed("server --print-config", &[server, agency]);
    run(&folder, "server --json").failed(2, &["--print-config"]);
}

#[test]
fn every_command_with_a_result_has_the_flag_and_a_section() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/JSON.md")).unwrap();
    let mut cli = <quiniela::cli::Cli as clap::CommandFactory>::command();
    cli.build();
    let mut seen = 0;
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help").flat_map(|command| {
        let below: Vec<_> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
        if below.is_empty() { vec![command] } else { below }
    }) {
        let name = command.get_bin_name().unwrap();
        let prints_text = ["quiniela completions", "quiniela man"].contains(&name);
        let has = command.get_arguments().any(|arg| arg.get_long() == Some("json"));
        assert_eq!(has, !prints_text, "{name}");
        let told = page.contains(&format!("`{name}`")) || page.contains(&format!("`{name} "));
        assert!(prints_text || told, "docs/JSON.md does not tell of {name}");
        seen += usize::from(has);
    }
    assert!(seen >= 15, "{seen}");
}
