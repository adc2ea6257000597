//! SIGTERM and SIGINT, to the central and to agencies, in every phase: a clean end, and no DONE before all is
//! acknowledged.

use std::os::unix::process::ExitStatusExt as _;

use crate::common::client::frame;
use crate::common::{
    ANA, Agency, Central, Client, Exit, Folder, Nobody, Process, Proxy, Signal, acknowledged, sent, tells, value,
};

#[test]
fn an_idle_central_stops() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let central = Central::on(&folder).start();
        central.process.signal(signal);
        central.stopped();
    }
}

#[test]
fn idle_connections_are_closed_and_told_of() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(2).start();
    let mut clients: Vec<Client> = (0..20).map(|_| central.client()).collect();
    for client in &mut clients {
        client.ask("HELLO|1", "HELLO|OK|0|open");
    }
    // Some have sent part of a frame, a batch or a line; some wait for the draw.
    clients[0].send_bytes(&[0, 0, 0]);
    clients[1].send("BATCH|1|2").send(ANA);
    clients[2].send_bytes(b"a line without its end");
    clients[3].send("WAIT_DRAW|1").send("GET_WINNERS|1");
    let exit = central.stop();
    clients.iter_mut().for_each(Client::expect_end);
    assert_eq!(exit.count(|line| value(line, "reason") == Some("shutdown")), 20, "{exit}");
    assert!(folder.stored().is_empty());
}

#[test]
fn a_central_under_load_stops_and_goes_on_later() {
    let folder = Folder::with_equal_files(3, 4_000);
    let mut central = Central::on(&folder).agencies(3).start();
    let proxy = Proxy::to(central.port);
    // Of a connection: less than a fifth of a file, and of three of them more than a hundred batches of some 500 bytes.
    proxy.hold_after(32 * 1024);
    let agency = |id| Agency::new(id, proxy.port, &folder).with("--batch-max 10 --in-flight 16").winners().start();
    let agencies: Vec<Process> = (1..=3).map(agency).collect();
    for nth in [1, 40, 100, 25, 60] {
        central.process.wait_for_nth(nth, |line| tells(line, "apuesta_recibida", "success"));
        // Another test may soon get its port.
        proxy.point_at(0);
        central.stop();
        let told: Vec<usize> = agencies.iter().map(|agency| acknowledged(&agency.lines())).collect();
        let stored = folder.assert_stored_begins_files(3);
        assert!(stored.iter().zip(&told).all(|(stored, told)| stored >= told), "{stored:?} of {told:?}");
        central = Central::on(&folder).agencies(3).start();
        proxy.point_at(central.port);
    }
    assert!(!agencies.iter().any(Process::has_ended));
    proxy.let_go();
    for (id, agency) in (1..).zip(agencies) {
        agency.finish().ok();
        assert_eq!(folder.winners_told(id), folder.winners_due(id, "7574"), "agency {id}");
    }
    folder.assert_stored_equals_files(3);
    central.stop();
}

#[test]
fn what_was_received_before_the_signal_is_answered() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    client.ask("HELLO|1", "HELLO|OK|0|open");
    for _ in 0..50 {
        client.send(&format!("BET|1|{ANA}"));
    }
    central.stop();
    for _ in 0..50 {
        client.expect("ACK|OK");
    }
    client.expect_end();
    assert_eq!(folder.stored_of(1).len(), 50);
}

/// The central finds the DONE and the signal at once, so it is stopping before it can weigh what the DONE declares.
#[test]
fn a_declaration_that_was_received_before_the_signal_is_answered() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    client.ask(&format!("BET|1|{ANA}"), "ACK|OK");
    central.process.hold();
    client.send(&format!("DONE|1|1|{}", "0".repeat(64)));
    central.process.signal(Signal::TERM);
    central.process.signal(Signal::CONT);
    central.stopped();
    let reply = client.reply();
    assert!(reply.starts_with("ACK_DONE|ERR|"), "{reply}");
    client.expect_end();
}

/// It sends more than it reads the answers of, so that neither side's system takes more of them.
/// A worker computes the roots of those that came first, and the others wait for the next pass.
#[test]
fn every_declaration_is_answered_although_a_stop_comes_while_roots_are_computed() {
    const AGENCIES: u32 = 8;
    const BATCHES: usize = 100;
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(AGENCIES).start();
    let bets = format!("{ANA}\n").repeat(100);
    let mut clients: Vec<Client> = (1..=AGENCIES)
        .map(|id| {
            let mut client = central.client();
            let frames = frame(&format!("BATCH|{id}|100\n{bets}")).repeat(BATCHES);
            client.send_bytes(&frames);
            client
        })
        .collect();
    for client in &mut clients {
        (0..BATCHES).for_each(|_| _ = client.expect("ACK_BATCH|OK|100"));
    }
    for (id, client) in (1..).zip(&mut clients) {
        client.send(&format!("DONE|{id}|10000|{}", "0".repeat(64)));
    }
    central.stop();
    for client in &mut clients {
        let reply = client.reply();
        assert!(
            reply.starts_with("ACK_DONE|ERR|unbalanced|10000") || reply.starts_with("ACK_DONE|ERR|busy"),
            "{reply}"
        );
    }
}

#[test]
fn a_peer_that_reads_nothing_holds_up_no_stop() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = Client::connect_with(central.port, |socket| {
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        socket.set_send_buffer_size(1024 * 1024).unwrap();
    });
    client.send_bytes(&frame("HELLO|1\n").repeat(20_000));
    let other = central.client().ask("HELLO|1", "HELLO|OK|0|open").half_close().rest();
    assert_eq!(other, "");
    central.stop();
    assert!(client.rest().starts_with("\0\0\0\u{10}HELLO|OK|0|open\n"));
}

#[test]
fn a_central_stops_before_and_after_the_draw() {
    let folder = Folder::with_data("--agencies 2 --bets 500 --seed 2 --winners 20");
    let central = Central::on(&folder).agencies(2).start();
    let proxy = Proxy::to(central.port);
    let waiting = Agency::new(1, proxy.port, &folder).winners().start();
    waiting.wait_for(|line| tells(line, "consulta_ganadores", "in_progress"));
    proxy.point_at(0);
    let exit = central.stop();
    assert_eq!(exit.count(|line| value(line, "action") == Some("sorteo")), 0);
    let central = Central::on(&folder).agencies(2).start();
    proxy.point_at(central.port);
    Agency::new(2, proxy.port, &folder).winners().run().ok();
    waiting.finish().ok();
    let mut late = central.client();
    late.ask("HELLO|1", &format!("HELLO|OK|{}|drawn", folder.rows(1).len()));
    let exit = central.stop();
    late.expect_end();
    assert_eq!(exit.count(|line| tells(line, "sorteo", "success")), 1);
    folder.assert_stored_equals_files(2);
}

/// Stops an agency, which must log that and send no DONE. After SIGINT its exit status must show the signal.
fn stop(agency: Process, signal: Signal) -> Exit {
    agency.signal(signal);
    let exit = agency.finish();
    match signal {
        Signal::INT => assert_eq!((exit.status.signal(), exit.stderr.as_str()), (Some(2), ""), "{exit}"),
        _ => exit.ok(),
    }
    let of_shutdown = |line: &&String| value(line, "action") == Some("shutdown");
    let shutdown: Vec<_> = exit.lines.iter().filter(of_shutdown).filter_map(|line| value(line, "result")).collect();
    assert_eq!(shutdown, ["in_progress", "success"], "{exit}");
    exit
}

#[test]
fn an_agency_that_reaches_nobody_stops() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::with_data("--agencies 1 --bets 10");
        let nobody = Nobody::at_home();
        let agency = Agency::new(1, nobody.port(), &folder).start();
        agency.wait_for(|line| tells(line, "connect", "fail"));
        stop(agency, signal);
    }
}

#[test]
fn a_terminal_that_closes_stops_nobody() {
    let folder = Folder::with_data("--agencies 1 --bets 2000 --seed 6 --winners 3");
    let central = Central::on(&folder).agencies(1).start();
    let agency = Agency::new(1, central.port, &folder).with("--batch-max 10 --batch-period 1ms").winners().start();
    agency.wait_for(sent);
    agency.signal(Signal::HUP);
    central.process.signal(Signal::HUP);
    agency.finish().ok();
    assert_eq!(folder.winners_told(1), folder.winners_due(1, "7574"));
    central.stop();
}

#[test]
fn an_agency_that_uploads_stops_without_done() {
    let folder = Folder::with_equal_files(1, 600);
    let central = Central::on(&folder).agencies(1).start();
    let proxy = Proxy::to(central.port);
    proxy.hold_after(4096);
    // With and without a pause between batches, so that it is stopped in a pause and at work.
    for (words, signal) in [
        ("--batch-max 5 --batch-period 20ms", Signal::TERM),
        ("--batch-max 10 --in-flight 4", Signal::INT),
        ("--batch-max 9 --loop-period 1h", Signal::TERM),
    ] {
        let agency = Agency::new(1, proxy.port, &folder).with(words).start();
        agency.wait_for(sent);
        let exit = stop(agency, signal);
        assert!(central.stored_while_open(1) >= acknowledged(&exit.lines));
    }
    proxy.let_go();
    Agency::new(1, proxy.port, &folder).run().ok();
    folder.assert_stored_equals_files(1);
    let exit = central.stop();
    assert_eq!(exit.count(|line| value(line, "action") == Some("agencia_finalizada")), 1, "{exit}");
}

#[test]
fn an_agency_that_waits_for_the_draw_stops_and_stays_done() {
    let folder = Folder::with_data("--agencies 2 --bets 100 --seed 3 --winners 10");
    let central = Central::on(&folder).agencies(2).start();
    let agency = Agency::new(1, central.port, &folder).start();
    agency.wait_for(|line| tells(line, "consulta_ganadores", "in_progress"));
    let exit = stop(agency, Signal::TERM);
    assert_eq!(exit.count(|line| tells(line, "consulta_ganadores", "success")), 0);
    assert!(central.ask("HELLO|1").ends_with("|done"));
    Agency::new(2, central.port, &folder).winners().run().ok();
    Agency::new(1, central.port, &folder).winners().run().ok();
    for agency in [1, 2] {
        assert_eq!(folder.winners_told(agency), folder.winners_due(agency, "7574"));
    }
    central.stop();
}

#[test]
fn the_echo_loop_stops_and_otherwise_ends_by_itself() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(0).start();
    let agency = |words: &str| Agency::new(3, central.port, &folder).with("--mode echo").with(words).start();
    let stopped = agency("--loop-period 1h");
    stopped.wait_for(|line| tells(line, "receive_message", "success"));
    let exit = stop(stopped, Signal::TERM);
    assert_eq!(exit.count(|line| value(line, "action") == Some("loop_finished")), 0);
    let exit = agency("--loop-amount 4 --loop-period 10ms").finish();
    exit.ok();
    let is_echo = |line: &str, number: u32| line.ends_with(&format!("| msg: [CLIENT 3] Message N°{number}"));
    for number in 1..=4 {
        assert_eq!(exit.count(|line| is_echo(line, number)), 1, "{exit}");
    }
    assert_eq!(exit.count(|line| tells(line, "loop_finished", "success")), 1);
    let exit = central.stop();
    assert_eq!(exit.count(|line| is_echo(line, 1)), 2, "{exit}");
}

/// Two signals that arrive before the process can act on the first.
fn stop_twice(process: Process) {
    for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
        process.signal(signal);
    }
    let code = process.finish().status.code();
    assert!(code == Some(128 + 2) || code == Some(128 + 15), "{code:?}");
}

#[test]
fn a_second_signal_ends_an_agency_and_a_central_at_once() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let agency = Agency::new(1, central.port, &folder).with("--mode echo --loop-period 1h").start();
    agency.wait_for(|line| tells(line, "receive_message", "success"));
    stop_twice(agency);
    stop_twice(central.process);
}

#[test]
fn a_full_central_refuses_and_the_agency_comes_again() {
    let folder = Folder::with_data("--agencies 1 --bets 100 --seed 5 --winners 3");
    let central = Central::on(&folder).agencies(1).with("--max-connections 2").start();
    let mut inside = [central.client(), central.client()];
    for client in &mut inside {
        client.ask("HELLO|1", "HELLO|OK|0|open");
    }
    let busy = "ACK|ERR|busy: 2 connections are open; try again later";
    let mut outside = central.client();
    outside.expect(busy).expect_end();
    let agency = Agency::new(1, central.port, &folder).winners().start();
    agency.wait_for(|line| tells(line, "connection_lost", "fail") && line.contains("busy"));
    // Open connections are served as before.
    inside[0].ask("HELLO|1", "HELLO|OK|0|open");
    drop(inside);
    agency.finish().ok();
    assert_eq!(folder.winners_told(1), folder.winners_due(1, "7574"));
    folder.assert_stored_equals_files(1);
    let exit = central.stop();
    assert!(exit.count(|line| value(line, "reason") == Some("busy")) >= 2, "{exit}");
}
