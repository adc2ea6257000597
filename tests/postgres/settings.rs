//! Settings of a shared store: who may start, what is shown, and the tables.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Output;

use rustix::process::geteuid;

use crate::cluster::{Follows, Pair};
use crate::common::{ANA, Central, Folder, Nobody, quiniela, tells, value};
use crate::shared::{central, run, stop};

fn output(folder: &Folder, words: &str) -> Output {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    quiniela(folder.path(), &words).output().unwrap()
}

#[test]
fn a_central_that_is_told_otherwise_than_the_first_refuses_to_start() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let first = central(&folder, &pair.url(), "--client-amount 2 --winning-number 8 --unbalanced accept");
    let refused = |words: &str, code: i32, part: &str| {
        Central::on(&folder).in_database(&pair.url()).with(words).refused().failed(code, &[part]);
    };
    refused("--client-amount 3", 2, "--client-amount 2");
    refused("--winning-number later", 2, "--winning-number 8");
    refused("--unbalanced refuse", 2, "--unbalanced accept");
    refused("--client-amount auto", 2, "say how many agencies");
    refused("--draw other --client-amount auto", 2, "say how many agencies");
    // What is not said is as the first was told.
    let second = central(&folder, &pair.url(), "");
    let config = second.process.wait_for(|line| tells(line, "config", "success"));
    assert_eq!((value(&config, "client_amount"), value(&config, "winning_number")), (Some("2"), Some("8")));
    assert_eq!(pair.primary.sql("SELECT count(*) FROM agencies"), "2", "all rows are made with the draw");
    pair.primary.sql("UPDATE quiniela_schema SET version = 99");
    refused("--client-amount 2", 2, "has version 99, and this program knows 2: use a newer quiniela");
    pair.primary.sql("DROP TABLE quiniela_schema CASCADE");
    refused("--client-amount 2", 2, "run quiniela migrate");
    stop([first, second]);
}

#[test]
fn a_schema_of_the_version_before_is_brought_up_to_date_and_what_it_has_is_drawn_too() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let before = central(&folder, &pair.url(), "--client-amount 2");
    assert_eq!(before.ask(&format!("BATCH|1|1|0\n{ANA}")), "ACK_BATCH|OK|1");
    before.stop();
    // As the version before had it.
    pair.primary.sql("ALTER TABLE batches DROP COLUMN numbers; UPDATE quiniela_schema SET version = 1");
    let refused = Central::on(&folder).in_database(&pair.url()).refused();
    refused.failed(2, &["has version 1, and this program needs 2: run quiniela migrate"]);
    assert!(output(&folder, &format!("migrate --store {}", pair.url_of("owner"))).status.success());
    let after = central(&folder, &pair.url(), "");
    // 73110 has the low 16 bits of 7574.
    let more = "Beto|Sosa|5|2000-01-01|7574\nCeci|Paz|6|2000-01-01|73110\nDora|Paz|7|2000-01-01|8";
    assert_eq!(after.ask(&format!("BATCH|1|3|1\n{more}")), "ACK_BATCH|OK|3");
    assert_eq!(after.ask("BET|2|Ema|Paz|8|2000-01-01|73110"), "ACK|OK");
    for agency in [1, 2] {
        assert_eq!(after.ask(&format!("DONE|{agency}")), "ACK_DONE|OK");
    }
    assert_eq!(after.ask("WAIT_DRAW|1"), "DRAW|OK");
    assert_eq!(after.ask("GET_WINNERS|1"), "WINNERS|OK|1,5");
    assert_eq!(after.ask("GET_WINNERS|2"), "WINNERS|OK|");
    let kept = "SELECT string_agg(coalesce(encode(numbers, 'hex'), 'none'), ',' ORDER BY agency, place) FROM batches";
    assert_eq!(pair.primary.sql(kept), "none,1d961d960008,1d96");
    after.stop();
}

#[test]
fn a_server_without_a_standby_is_warned_of_or_refused() {
    let Some(pair) = Pair::start(Follows::Behind) else { return };
    let folder = Folder::new();
    let central = central(&folder, &pair.url(), "--client-amount 1");
    let warned = central.process.wait_for(|line| value(line, "warning").is_some());
    assert!(warned.contains("WARNING") && warned.contains("synchronous_standby_names is empty"), "{warned}");
    central.stop();
    let url = format!("{}?patience=6", pair.url());
    let strict = Central::on(&folder).in_database(&url).with("--require-standby");
    strict.refused().failed(5, &["synchronous_standby_names is empty", "--require-standby"]);
}

#[test]
fn no_password_is_shown_anywhere() {
    let folder = Folder::new();
    let nobody = Nobody::at_home();
    let port = nobody.port();
    let url = format!("postgres://central:geheim@127.0.0.1:{port}/lottery");
    for words in [
        format!("server --print-config --store {url}"),
        format!("server --port 0 --store {url}?patience=6"),
        "server --store postgres://central:geheim@127.0.0.1:port/lottery".to_owned(),
        format!("migrate --store {url}"),
        format!("export --store {url} there"),
        format!("audit {url}"),
        format!("ticket --agency 1 --bet 1 {url}"),
    ] {
        // Those that read wait for a while before they give up.
        let output = output(&folder, &words);
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(told.contains("central:***@") && !told.contains("geheim"), "{words}: {told}");
    }
}

#[test]
fn the_role_of_a_central_cannot_change_the_tables_nor_remove_what_is_stored() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    for text in [
        "CREATE TABLE mine ()",
        "DROP VIEW bets",
        "ALTER TABLE batches ADD more INT",
        "DELETE FROM batches",
        "UPDATE batches SET count = 1",
        "TRUNCATE winners",
        "UPDATE quiniela_schema SET version = 2",
    ] {
        let refused = pair.primary.try_sql_as("central", "lottery", text).unwrap_err();
        assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{text}: {refused}");
    }
}

#[test]
fn tables_are_made_once_however_many_make_them_at_once() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    for _ in 0..3 {
        pair.primary.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO central");
        let migrate = format!("migrate --store {} --grant central", pair.url_of("owner"));
        let outputs: Vec<Output> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| output(&folder, &migrate))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for output in &outputs {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let made = outputs.iter().filter(|output| String::from_utf8_lossy(&output.stdout).contains("was made")).count();
        assert_eq!((made, &*pair.primary.sql("SELECT count(*), min(version) FROM quiniela_schema")), (1, "1|2"));
        central(&folder, &pair.url(), "--client-amount 1").stop();
    }
}

#[test]
fn a_password_comes_from_a_file() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    pair.primary.sql("SET password_encryption = 'scram-sha-256'; ALTER ROLE central PASSWORD 'it is: geheim'");
    let rules = pair.primary.data.join("pg_hba.conf");
    let text = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("host all central 127.0.0.1/32 scram-sha-256\n{text}")).unwrap();
    pair.primary.reload();
    let file = folder.path().join("password");
    fs::write(&file, "it is: geheim\n").unwrap();
    let url = format!("{}?patience=6", pair.url());
    let words = format!("--client-amount 1 --db-password-file {}", file.display());
    let started = central(&folder, &url, &words);
    assert_eq!(started.ask(&format!("BATCH|1|1|0\n{ANA}")), "ACK_BATCH|OK|1");
    started.stop();
    fs::write(&file, "another").unwrap();
    Central::on(&folder).in_database(&url).with(&words).refused().failed(5, &["password authentication failed"]);
    let none = folder.path().join("none").display().to_string();
    let words = format!("--client-amount 1 --db-password-file {none}");
    Central::on(&folder).in_database(&url).with(&words).refused().failed(2, &[&none]);
    let words = format!("--draw noche --db-password-file {}", file.display());
    Central::on(&folder).with(&words).refused().failed(2, &["are for a database"]);
}

#[test]
fn a_server_proves_its_name_if_it_has_to() {
    let Some(mut pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    run(&folder, "keys init keys");
    let own = |name: &str, to: &str| {
        let to = pair.primary.data.join(to);
        fs::copy(folder.path().join("keys/central").join(name), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
        if geteuid().is_root() {
            chown(&to, Some(65_534), Some(65_534)).unwrap();
        }
    };
    let url =
        |host: &str, words: &str| format!("postgres://central@{host}:{}/lottery?patience=6&{words}", pair.primary.port);
    let refused = |host: &str, words: &str, part: &str| {
        let start = Central::on(&folder).in_database(&url(host, words)).with("--client-amount 1");
        let exit = start.refused();
        assert!(exit.stderr.contains(part), "{exit}");
    };
    // Without TLS at the other end, nothing is said in the clear to whoever has to prove something.
    refused("127.0.0.1", "sslmode=require", "TLS");
    own("cert.pem", "server.crt");
    own("key.pem", "server.key");
    pair.primary.set("ssl = on");
    pair.primary.stop();
    pair.primary.start();
    let url =
        |host: &str, words: &str| format!("postgres://central@{host}:{}/lottery?patience=6&{words}", pair.primary.port);
    let ca = folder.path().join("keys/central/ca.pem").display().to_string();
    for words in [
        "sslmode=disable".to_owned(),
        "sslmode=prefer".to_owned(),
        "sslmode=require".to_owned(),
        format!("sslmode=verify-ca&sslrootcert={ca}"),
        format!("sslmode=verify-full&sslrootcert={ca}"),
        format!("sslrootcert={ca}"),
    ] {
        central(&folder, &url("localhost", &words), "--client-amount 1").stop();
    }
    run(&folder, "keys init others");
    let others = folder.path().join("others/central/ca.pem").display().to_string();
    let refused = |words: &str, part: &str| {
        let exit = Central::on(&folder).in_database(&url("localhost", words)).with("--client-amount 1").refused();
        assert!(exit.stderr.contains(part), "{exit}");
    };
    refused(&format!("sslmode=verify-ca&sslrootcert={others}"), "certificate");
    refused(&format!("sslmode=verify-full&sslrootcert={}", Path::new("none").display()), "none");
}
