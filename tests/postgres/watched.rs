//! What a central with a shared ledger shows of its database.

use std::time::Instant;

use crate::cluster::{Follows, Pair};
use crate::common::http::{Answer, get};
use crate::common::{ANA, Central, Folder, LIMIT};
use crate::shared::run;

/// Asks until an answer is as wanted. The central looks at its database every second.
#[track_caller]
fn wait_for(http: u16, what: &str, is_wanted: impl Fn(&Answer) -> bool) -> Answer {
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = get(http, "/readyz");
        if is_wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: {answer:?}");
    }
}

#[test]
fn readiness_and_status_tell_of_the_server_its_standby_and_how_far_that_is_behind() {
    let Some(mut pair) = Pair::start(Follows::InStep) else { return };
    let folder = Folder::new();
    let (central, http) = Central::on(&folder).in_database(&pair.url()).with("--client-amount 1").start_with_http();
    let server = format!("127.0.0.1:{}", pair.primary.port);
    let hidden = wait_for(http, "a role without pg_monitor", |answer| answer.body.contains("standby: hidden"));
    let begin = format!("ready\ndatabase: {server}, commits wait for standby; standby: ");
    assert_eq!((hidden.status, hidden.body), (200, format!("{begin}hidden from this role, which needs pg_monitor\n")));

    pair.primary.sql("GRANT pg_monitor TO central");
    assert_eq!(central.ask(&format!("BET|1|{ANA}")), "ACK|OK");
    let in_step = format!("{begin}streaming sync, 0 bytes behind\n");
    wait_for(http, "in step", |answer| answer.body == in_step);

    // It is frozen, and something is written that does not wait for it.
    pair.stall();
    pair.primary.sql("SET synchronous_commit = off; CREATE TABLE more AS SELECT generate_series(1, 10000)");
    let is_behind = |answer: &Answer| {
        let bytes = answer.body.strip_prefix(&begin).and_then(|rest| rest.strip_prefix("streaming sync, "));
        bytes.is_some_and(|rest| rest.split(' ').next().unwrap().parse::<u64>().unwrap() > 100_000)
    };
    wait_for(http, "behind", is_behind);
    let state = get(http, "/status.json").json();
    let database = &state["database"];
    assert_eq!((database["host"].as_str(), database["standby"].as_str()), (Some(server.as_str()), Some("standby")));
    let follower = &database["followers"][0];
    assert_eq!((follower["state"].as_str(), follower["sync_state"].as_str()), (Some("streaming"), Some("sync")));
    assert!(follower["behind"].as_u64().unwrap() > 100_000 && database["away"].is_null(), "{database}");
    pair.let_go();
    wait_for(http, "in step again", |answer| answer.body == in_step);
    let table = run(&folder, &format!("status --server http://127.0.0.1:{http}"));
    let line = table.lines().find(|line| line.starts_with("database ")).unwrap_or_else(|| panic!("{table}"));
    assert!(line.ends_with("; standby: streaming sync, 0 bytes behind"), "{line}");

    // Nobody takes writes until the standby is promoted. Then it is the server, and nobody follows it.
    pair.primary.kill();
    let away = wait_for(http, "nobody", |answer| answer.status == 503);
    assert!(away.body.starts_with("the database cannot be used: "), "{}", away.body);
    wait_for(http, "no server", |answer| answer.body.contains("\ndatabase: no server that takes writes is found\n"));
    assert!(!get(http, "/status.json").json()["database"]["away"].is_null());
    pair.standby.promote();
    let promoted = format!("ready\ndatabase: 127.0.0.1:{}, commits wait for no standby\n", pair.standby.port);
    wait_for(http, "promoted", |answer| answer.body == promoted);
    central.stop();
}
