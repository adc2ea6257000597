//! When the draw is held, and what comes before and after it.

use std::time::{Duration, Instant};

use crate::common::client::frame;
use crate::common::{ANA, Agency, Central, Folder, LIMIT, Nobody, Proxy, tells, value};

const QUIET: Duration = Duration::from_millis(700);

fn inferred(folder: &Folder) -> Central {
    Central::on(folder).with("--client-amount auto --quiet-time 700ms --frame-deadline 1s").start()
}

/// Returns when more than the quiet time has passed, by the central's own clock.
fn let_quiet_time_pass(central: &Central) {
    let mut unfinished = central.client();
    unfinished.send_bytes(&[0]).expect("ACK|ERR|frame not completed within 1s").expect_end();
}

#[test]
fn an_inferred_draw_waits_for_the_quiet_time() {
    let folder = Folder::new();
    let central = inferred(&folder);
    // Quiet before the first agency does not count.
    let_quiet_time_pass(&central);
    let begun = Instant::now();
    central.client().ask("DONE|1", "ACK_DONE|OK").ask("WAIT_DRAW|1", "DRAW|OK");
    assert!(begun.elapsed() >= QUIET, "the draw was held after {:?}", begun.elapsed());
    central.stop();
}

#[test]
fn a_new_agency_begins_the_quiet_time_anew() {
    let folder = Folder::new();
    let central = inferred(&folder);
    let mut client = central.client();
    client.ask("DONE|1", "ACK_DONE|OK").ask("HELLO|2", "HELLO|OK|0|open");
    let_quiet_time_pass(&central);
    let begun = Instant::now();
    client.ask("HELLO|3", "HELLO|OK|0|open");
    // From here on no new agency appears, and all of them become done.
    client.ask("DONE|3", "ACK_DONE|OK").ask("DONE|2", "ACK_DONE|OK").ask("WAIT_DRAW|1", "DRAW|OK");
    assert!(begun.elapsed() >= QUIET, "the draw was held after {:?}", begun.elapsed());
    central.stop();
}

#[test]
fn an_agency_that_is_known_does_not_put_the_draw_off() {
    let folder = Folder::new();
    let central = Central::on(&folder).with("--client-amount auto --quiet-time 200ms").start();
    let deadline = Instant::now() + LIMIT;
    let mut client = central.client();
    client.ask("DONE|1", "ACK_DONE|OK");
    while client.send("HELLO|1").reply() != "HELLO|OK|0|drawn" {
        assert!(Instant::now() < deadline, "no draw is held while a known agency asks again and again");
    }
    central.stop();
}

#[test]
fn an_agency_that_waits_longer_than_its_patience_goes_on_after_a_lost_connection() {
    let folder = Folder::with_data("--agencies 2 --bets 200 --seed 9 --winners 20");
    let central = Central::on(&folder).agencies(2).start();
    let proxy = Proxy::to(central.port);
    let waiting = Agency::new(1, proxy.port, &folder).with("--retry-for 2s").winners().start();
    waiting.wait_for(|line| tells(line, "consulta_ganadores", "in_progress"));
    // Meanwhile the quiet time of another central with the same setting ends.
    let nobody = Nobody::at_home();
    Agency::new(2, nobody.port(), &folder).with("--retry-for 2s").run().failed(3, &["no progress for 2s"]);
    proxy.break_all();
    waiting.wait_for(|line| tells(line, "connection_lost", "fail"));
    waiting.wait_for_nth(2, |line| tells(line, "connect", "success"));
    Agency::new(2, proxy.port, &folder).winners().run().ok();
    waiting.finish().ok();
    for agency in [1, 2] {
        assert_eq!(folder.winners_told(agency), folder.winners_due(agency, "7574"));
    }
    central.stop();
}

#[test]
fn a_whole_lottery_may_come_in_one_burst() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    let batch = |count: usize| format!("BATCH|1|{count}{}", format!("\n{ANA}").repeat(count));
    let exchanges = [
        (batch(3), "ACK_BATCH|OK|3".to_owned()),
        (batch(70), "ACK_BATCH|OK|70".to_owned()),
        ("DONE|1".to_owned(), "ACK_DONE|OK".to_owned()),
        ("HELLO|1".to_owned(), String::new()),
        ("WAIT_DRAW|1".to_owned(), "DRAW|OK".to_owned()),
        ("GET_WINNERS|1".to_owned(), format!("WINNERS|OK|{}", ["1"; 73].join(","))),
        ("HELLO|1".to_owned(), "HELLO|OK|73|drawn".to_owned()),
    ];
    let burst = exchanges.iter().flat_map(|(request, _)| frame(&format!("{request}\n"))).collect::<Vec<_>>();
    let mut client = central.client();
    client.send_bytes(&burst);
    for (request, expected) in exchanges {
        let reply = client.reply();
        match request.as_str() {
            // The draw is held between any two of its replies.
            "HELLO|1" if expected.is_empty() => assert!(["HELLO|OK|73|done", "HELLO|OK|73|drawn"].contains(&&*reply)),
            _ => assert_eq!(reply, expected),
        }
    }
    let exit = central.stop();
    let last = exit.lines.iter().rposition(|line| value(line, "action") == Some("apuesta_recibida")).unwrap();
    assert!(last < exit.place_of(|line| tells(line, "sorteo", "success")), "{exit}");
}

#[test]
fn every_batch_is_told_of_before_the_draw_even_where_its_peer_has_gone() {
    const BETS: usize = 10;
    for round in 0..30 {
        let folder = Folder::new();
        let central = Central::on(&folder).agencies(1).start();
        let mut gone = central.client();
        gone.send_bytes(&frame(&format!("BATCH|1|{BETS}{}\n", format!("\n{ANA}").repeat(BETS))).repeat(40));
        let mut client = central.client();
        client.send("DONE|1").send("WAIT_DRAW|1");
        gone.reset();
        client.expect("ACK_DONE|OK").expect("DRAW|OK");
        let exit = central.stop();
        let sorteo = exit.place_of(|line| tells(line, "sorteo", "success"));
        let told = |line: &String| tells(line, "apuesta_recibida", "success");
        let before = exit.lines[..sorteo].iter().filter(|line| told(line)).count();
        assert_eq!(before * BETS, folder.stored_of(1).len(), "round {round}: {exit}");
        assert!(!exit.lines[sorteo..].iter().any(told), "round {round}: {exit}");
    }
}
