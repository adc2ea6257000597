//! An agency's keys, and those of a check, as the command line takes them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::common::keys::Place;
use crate::common::{Central, Exit, Folder, Nobody, Process, quiniela, tells, value};

fn command(place: &Place, words: &str) -> std::process::Command {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    quiniela(&place.path(""), &words)
}

fn run(place: &Place, words: &str) -> Exit {
    Process::start(command(place, words)).finish()
}

#[test]
fn print_config_shows_where_keys_are_and_never_what_they_hold() {
    let place = Place::with_agencies(1);
    let secrets = place.read("keys/agency-1/key.pem") + &place.read("keys/agency-1/cert.pem");
    let secrets: Vec<&str> = secrets.lines().filter(|line| line.len() > 20 && !line.starts_with("---")).collect();
    assert!(secrets.len() > 3);
    let mut asked = command(&place, "agency --id 1 --keys keys/agency-1 --print-config");
    let shown = asked.env("CLI_TLS_KEY", "keys/agency-1/key.pem").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let row = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {shown}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("--keys"), "--keys keys/agency-1 flag");
    assert_eq!(row("--tls-key"), "--tls-key keys/agency-1/key.pem environment variable CLI_TLS_KEY");
    assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
}

#[test]
fn keys_that_cannot_be_used_are_exit_code_2_and_those_that_end_soon_a_warning() {
    let place = Place::new();
    place.ok("init keys --agencies 2 --days 10");
    let nobody = Nobody::at_home();
    let agency = format!("agency --id 1 --mode echo --retry-for 0s --server 127.0.0.1:{}", nobody.port());
    let exit = run(&place, &format!("{agency} --keys keys/agency-1"));
    exit.failed(3, &["refused"]);
    let line = &exit.lines[exit.place_of(|line| tells(line, "load_keys", "success"))];
    assert!(line.contains(" WARNING ") && value(line, "client_id") == Some("1"), "{line}");
    assert!(value(line, "warning").unwrap().starts_with("keys/agency-1/cert.pem: valid until 2"), "{line}");

    run(&place, &format!("{agency} --keys keys/agency-2")).failed(2, &["keys/agency-2/cert.pem: holds agency 2's key"]);
    run(&place, &format!("{agency} --keys keys/nowhere")).failed(2, &["keys/nowhere/cert.pem: cannot read this file"]);
    run(&place, &format!("{agency} --tls-ca keys/ca/ca.pem")).failed(2, &["--tls-cert"]);
    fs::set_permissions(place.path("keys/agency-1/key.pem"), Permissions::from_mode(0o640)).unwrap();
    run(&place, &format!("{agency} --keys keys/agency-1")).failed(2, &["keys/agency-1/key.pem: ", "chmod 600"]);
}

#[test]
fn a_check_takes_keys_from_its_flags_alone() {
    let (place, folder) = (Place::with_agencies(1), Folder::new());
    let central = Central::on(&folder).start();
    let health = format!("health --port {}", central.port);
    let plain = command(&place, &health).env("TLS_KEYS", "keys/central").output().unwrap();
    assert!(plain.status.success(), "{plain:?}");
    let refused = "keys/central/cert.pem: holds the central's key, which is no client's";
    run(&place, &format!("{health} --keys keys/central")).failed(2, &[refused]);
    let echo_check = format!("echo-check 127.0.0.1:{}", central.port);
    run(&place, &format!("{echo_check} --keys keys/central")).failed(2, &[refused]);
    for check in [health, echo_check] {
        run(&place, &format!("{check} --keys keys/operator")).failed(1, &["the central answered without TLS"]);
    }
    let agency = format!("agency --id 1 --mode echo --server localhost:{} --keys keys/agency-1", central.port);
    run(&place, &agency).failed(1, &["the central answered without TLS"]);
    central.stop();
}
