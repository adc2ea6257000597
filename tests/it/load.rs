//! More connections than the central can serve at once: it refuses clearly, and serves what it has accepted.

use crate::common::client::frame;
use crate::common::{ANA, Agency, Central, CentralStart, Client, Folder, Process, Signal, tells, value};

/// One worker, and room for one connection that waits for it.
fn narrow(folder: &Folder) -> CentralStart {
    Central::on(folder).with("--workers 1 --queue 1")
}

fn is_busy_close(line: &str) -> bool {
    tells(line, "close_connection", "success") && value(line, "reason") == Some("busy")
}

#[test]
fn a_full_queue_refuses_and_the_agencies_come_again() {
    const AGENCIES: u32 = 20;
    let folder = Folder::with_equal_files(AGENCIES, 30);
    let central = narrow(&folder).agencies(AGENCIES).start();
    // All of them have sent something when the central polls.
    central.process.hold();
    let start = |id| Agency::new(id, central.port, &folder).winners().start();
    let agencies: Vec<Process> = (1..=AGENCIES).map(start).collect();
    for agency in &agencies {
        agency.wait_for(|line| tells(line, "connect", "success"));
    }
    central.process.signal(Signal::CONT);
    let mut refused = 0;
    for (id, agency) in (1..).zip(agencies) {
        let exit = agency.finish();
        exit.ok();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
        let reason = "busy: too many requests wait; try again later";
        refused += exit.count(|line| tells(line, "connection_lost", "fail") && line.contains(reason));
    }
    assert!(refused > 0, "nobody was refused");
    folder.assert_stored_equals_files(AGENCIES);
    assert!(central.stop().count(is_busy_close) >= refused);
}

/// Connections that were each served once and have begun another request.
fn begin(central: &Central, connections: usize, begun: &[u8]) -> Vec<Client> {
    let begin = |_| {
        let mut client = central.client();
        // In one piece with a request that is answered: the worker is free again when the next one comes.
        client.send_bytes(&[&frame("HELLO|2\n"), begun].concat()).expect("HELLO|OK|0|open");
        client
    };
    (0..connections).map(begin).collect()
}

#[test]
fn who_waits_for_the_draw_is_told_of_it_though_the_queue_is_full() {
    let folder = Folder::new();
    let central = narrow(&folder).agencies(2).start();
    let mut waiting = begin(&central, 60, &[frame("WAIT_DRAW|2\n"), frame("GET_WINNERS|2\n")].concat());
    // It stays open, since its end would be one more event to serve.
    let mut last = central.client();
    last.ask("DONE|1", "ACK_DONE|OK").ask("DONE|2", "ACK_DONE|OK");
    for client in &mut waiting {
        client.expect("DRAW|OK").expect("WINNERS|OK|");
    }
    assert_eq!(central.stop().count(is_busy_close), 0);
}

#[test]
fn whose_time_is_up_is_told_so_though_the_queue_is_full() {
    let folder = Folder::new();
    // Long enough that all of them begin. Then the deadlines of all pass together.
    let central = narrow(&folder).with("--frame-deadline 2s").start();
    let mut late = begin(&central, 60, &[0]);
    for client in &mut late {
        client.expect("ACK|ERR|frame not completed within 2s").expect_end();
    }
    central.stop();
}

#[test]
fn two_workers_serve_two_hundred_connections_with_a_batch_each() {
    const CONNECTIONS: usize = 200;
    let folder = Folder::new();
    let central = Central::on(&folder).with("--workers 2").start();
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| central.client()).collect();
    central.process.hold();
    for client in &mut clients {
        client.send(&format!("BATCH|1|2\n{ANA}\n{ANA}"));
    }
    central.process.signal(Signal::CONT);
    for client in &mut clients {
        client.expect("ACK_BATCH|OK|2");
    }
    assert_eq!(folder.stored_of(1).len(), 2 * CONNECTIONS);
    assert_eq!(central.stop().count(is_busy_close), 0);
}
