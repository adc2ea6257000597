//! A database that ends sessions, hangs, only reads, is full or refuses, and a central that has to stop meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::{Follows, Pair};
use crate::common::{ANA, Agency, Folder, LIMIT, Process, Signal, seed, value};
use crate::shared::{central, centrals, export, stop};

/// Sessions of centrals that wait for the standby.
const WAITING: &str = "FROM pg_stat_activity WHERE application_name = 'quiniela' AND wait_event = 'SyncRep'";
/// Deadlines that a test can wait for.
const SHORT: &str = "?connect_timeout=1&commit_timeout=2&patience=3";

/// A commit whose wait for the standby was ended is visible, and on one machine alone.
fn a_wait_that_is_ended(how: &str) {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let [one, other] = centrals(&folder, &pair, "--client-amount 1");
    pair.stall();
    thread::scope(|scope| {
        // It has no place, so that only the group's number tells that it is stored.
        let asked = scope.spawn(|| one.ask(&format!("BATCH|1|2\n{ANA}\n{ANA}")));
        pair.primary.wait_for(&format!("SELECT count(*) > 0 {WAITING}"), "t");
        pair.primary.sql(&format!("SELECT {how}(pid) {WAITING}"));
        pair.primary.wait_for("SELECT count(*) FROM bets", "2");
        let told = scope.spawn(|| other.ask("HELLO|1"));
        thread::sleep(Duration::from_millis(1500));
        assert!(!asked.is_finished() && !told.is_finished(), "nothing is told that is on one machine alone");
        pair.let_go();
        assert_eq!(asked.join().unwrap(), "ACK_BATCH|OK|2");
        assert_eq!(told.join().unwrap(), "HELLO|OK|2|open");
    });
    assert_eq!(pair.primary.sql("SELECT count(*) FROM bets"), "2", "it is stored once");
    stop([one, other]);
}

#[test]
fn a_commit_that_was_cancelled_is_stored_once_and_told_once_it_is_replicated() {
    a_wait_that_is_ended("pg_cancel_backend");
}

#[test]
fn a_session_that_was_ended_while_it_waited_is_stored_once_and_told_once_it_is_replicated() {
    a_wait_that_is_ended("pg_terminate_backend");
}

#[test]
fn sessions_that_are_ended_at_random_lose_and_double_nothing() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let mut random = fastrand::Rng::with_seed(seed());
    let folder = Folder::with_equal_files(2, 30_000);
    let centrals = centrals(&folder, &pair, "--client-amount 2");
    let ports = centrals.each_ref().map(|central| central.port);
    let start =
        |id| Agency::of_centrals(id, &ports, &folder).with("--batch-max 20 --batch-period 10ms").winners().start();
    let agencies: Vec<Process> = (1..=2).map(start).collect();
    let mut ended = 0;
    while ended < 200 && agencies.iter().any(|agency| !agency.has_ended()) {
        let which = if random.bool() { " AND wait_event = 'SyncRep'" } else { "" };
        let text = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
             WHERE application_name = 'quiniela'{which} ORDER BY random() LIMIT 1) one"
        );
        ended += pair.primary.sql(&text).parse::<usize>().unwrap();
        thread::sleep(Duration::from_millis(random.u64(0..30)));
    }
    println!("{ended} sessions were ended");
    assert!(ended >= 100, "{ended}");
    for (agency, id) in agencies.into_iter().zip(1..) {
        agency.finish().ok();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
    }
    export(&folder, &pair, "default");
    folder.assert_stored_equals_files(2);
    stop(centrals);
}

#[test]
fn a_database_that_hangs_for_longer_than_every_deadline_makes_agencies_wait_and_then_say_why() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::with_equal_files(1, 4_000);
    let central = central(&folder, &format!("{}{SHORT}", pair.url()), "--client-amount 1");
    let agency =
        Agency::new(1, central.port, &folder).with("--batch-max 10 --in-flight 2 --batch-period 2ms").winners().start();
    agency.wait_for(crate::common::sent);
    pair.primary.signal_all(Signal::STOP);
    agency.wait_for(|line| value(line, "error").is_some_and(|error| error.contains("storage: database: ")));
    let health = central.client().send_bytes(b"quiniela health check\n").rest();
    assert!(health.contains("bets are refused") || health.contains("the database cannot be used"), "{health}");
    pair.primary.signal_all(Signal::CONT);
    agency.finish().ok();
    export(&folder, &pair, "default");
    folder.assert_stored_equals_files(1);
    central.stop();
}

#[test]
fn a_stop_ends_in_time_though_the_database_hangs() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let central = central(&folder, &pair.url(), "--client-amount 1");
    assert_eq!(central.ask("HELLO|1"), "HELLO|OK|0|open");
    pair.primary.signal_all(Signal::STOP);
    let mut client = central.client();
    client.send(&format!("BATCH|1|1\n{ANA}"));
    thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    central.process.signal(Signal::TERM);
    assert!(client.reply().starts_with("ACK_BATCH|ERR|1|storage: database: "));
    central.stopped();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    pair.primary.signal_all(Signal::CONT);
}

#[test]
fn a_database_that_only_reads_refuses_until_it_writes_again() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let central = central(&folder, &format!("{}{SHORT}", pair.url()), "--client-amount 1");
    let switch = |state: &str| {
        pair.primary.set(&format!("default_transaction_read_only = {state}"));
        pair.primary.reload();
        pair.primary.wait_for("SHOW default_transaction_read_only", state);
    };
    assert_eq!(central.ask(&format!("BATCH|1|1|0\n{ANA}")), "ACK_BATCH|OK|1");
    switch("on");
    let refused = central.ask(&format!("BATCH|1|1|1\n{ANA}"));
    assert!(refused.contains("storage: database: ") && refused.contains("only reads"), "{refused}");
    switch("off");
    assert_eq!(central.ask(&format!("BATCH|1|1|1\n{ANA}")), "ACK_BATCH|OK|1");
    assert_eq!(central.stored_while_open(1), 2);
    central.stop();
}

/// Lets the database refuse rows of agency 2 with this code.
fn refuse(pair: &Pair, code: &str) {
    pair.primary.sql(&format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.agency = 2 THEN \
         RAISE EXCEPTION 'not this one' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON batches FOR EACH ROW EXECUTE FUNCTION refuse()"
    ));
}

#[test]
fn a_full_database_refuses_and_takes_bets_once_it_has_room() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let central = central(&folder, &pair.url(), "--client-amount 2");
    refuse(&pair, "53100");
    let begun = Instant::now();
    let refused = central.ask(&format!("BATCH|2|1|0\n{ANA}"));
    assert!(refused.contains("storage: database: ") && refused.contains("53100"), "{refused}");
    assert!(begun.elapsed() < LIMIT / 20, "nothing is gained by waiting");
    pair.primary.sql("DROP TRIGGER refuse ON batches");
    assert_eq!(central.ask(&format!("BATCH|2|1|0\n{ANA}")), "ACK_BATCH|OK|1");
    central.stop();
}

#[test]
fn what_the_database_refuses_takes_no_other_along() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let central = central(&folder, &pair.url(), "--client-amount 2");
    refuse(&pair, "22023");
    // Everything waits for the standby, and then stands in one group.
    pair.stall();
    let first = ["BET|1|Ana|Paz|1|2000-01-01|7", "BET|1|Ana|Paz|2|2000-01-01|7", "BET|2|Ana|Paz|3|2000-01-01|7"];
    let replies = thread::scope(|scope| {
        let head = scope.spawn(|| central.ask(first[0]));
        pair.primary.wait_for(&format!("SELECT count(*) > 0 {WAITING}"), "t");
        let others = [first[1], first[2]].map(|bet| scope.spawn(|| central.ask(bet)));
        thread::sleep(Duration::from_millis(500));
        pair.let_go();
        let [one, two] = others.map(|thread| thread.join().unwrap());
        [head.join().unwrap(), one, two]
    });
    assert_eq!([&*replies[0], &*replies[1]], ["ACK|OK", "ACK|OK"]);
    assert!(replies[2].contains("not this one"), "{}", replies[2]);
    assert_eq!(central.stored_while_open(1), 2);
    assert_eq!(central.stored_while_open(2), 0);
    central.stop();
}

#[test]
fn an_account_that_is_gone_from_the_database_is_not_made_up() {
    let Some(pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let central = central(&folder, &format!("{}{SHORT}", pair.url()), "--client-amount 1");
    assert_eq!(central.ask(&format!("BATCH|1|1|0\n{ANA}")), "ACK_BATCH|OK|1");
    // As a backup of an hour ago would be.
    pair.primary
        .sql("DELETE FROM batches; UPDATE agencies SET stored = 0, checksum = 0; UPDATE centrals SET last_group = 0");
    let refused = central.ask("HELLO|1");
    assert!(refused.contains("the database has gone back"), "{refused}");
    central.stop();
}
