//! How bytes become frames and lines, however they are split, and what happens to bytes that are neither.

use std::time::{Duration, Instant};

use crate::common::client::frame;
use crate::common::{ANA, Agency, Central, Folder, LIMIT, tells, value};

/// Requests of every kind and their replies, for one agency of an otherwise empty lottery.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let exchanges = [
        ("HELLO|1", "HELLO|OK|0|open"),
        ("BET|1|Ana|Paz|1|2000-01-01|7574", "ACK|OK"),
        ("BATCH|1|2\nBET|1|Eva|Ñandú|2|2000-01-01|7574\nLeo|Paz|3|2000-01-01|1", "ACK_BATCH|OK|2"),
        ("BATCH|1|1|1\nEva|Ñandú|2|2000-01-01|7574", "ACK_BATCH|OK|1"),
        ("HOLA", "ACK|ERR|unknown request \"HOLA\""),
        ("HELLO|1", "HELLO|OK|3|open"),
        ("GET_WINNERS|1", "WINNERS|ERR|not_ready"),
        ("DONE|1", "ACK_DONE|OK"),
        ("WAIT_DRAW|1", "DRAW|OK"),
        ("GET_WINNERS|1", "WINNERS|OK|1,2"),
    ];
    // Requests are accepted with and without a line feed at their end.
    let requests = exchanges.iter().enumerate().flat_map(|(place, (request, _))| {
        let end = if place % 2 == 0 { "\n" } else { "" };
        frame(&format!("{request}{end}"))
    });
    let replies = exchanges.iter().flat_map(|(_, reply)| frame(&format!("{reply}\n")));
    (requests.collect(), replies.collect())
}

/// Sends the conversation in pieces of these sizes, over and over.
fn converse(sizes: &[usize]) {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    let (requests, replies) = conversation();
    let mut client = central.client();
    let mut sent = 0;
    for size in sizes.iter().cycle() {
        let end = (sent + size).min(requests.len());
        client.send_bytes(&requests[sent..end]);
        sent = end;
        if sent == requests.len() {
            break;
        }
    }
    client.expect_bytes(&replies);
    assert_eq!(folder.stored_of(1).len(), 3);
    central.stop();
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    converse(&[usize::MAX / 2]);
}

#[test]
fn bytes_may_come_one_by_one() {
    converse(&[1]);
}

#[test]
fn bytes_may_come_in_any_pieces() {
    converse(&[2, 7, 1, 61, 3, 5, 128]);
}

#[test]
fn replies_come_before_the_end_that_the_peer_has_announced() {
    let folder = Folder::new();
    let central = Central::on(&folder).agencies(1).start();
    let (requests, replies) = conversation();
    // The last requests wait for the draw. A client that has gone meanwhile no longer waits.
    let before_draw = requests.len() - frame("WAIT_DRAW|1\n").len() - frame("GET_WINNERS|1").len();
    let mut client = central.client();
    client.send_bytes(&requests[..before_draw]).half_close();
    let replies_before = replies.len() - frame("DRAW|OK\n").len() - frame("WINNERS|OK|1,2\n").len();
    client.expect_bytes(&replies[..replies_before]).expect_end();
    central.stop();
}

#[test]
fn many_batches_on_their_way_are_answered_in_order() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    let batch = |count: usize| format!("BATCH|1|{count}{}\n", format!("\nBET|1|{ANA}").repeat(count));
    let counts: Vec<usize> = (0..400).map(|number| 1 + number * 7 % 90).collect();
    let requests: Vec<u8> = counts.iter().flat_map(|count| frame(&batch(*count))).collect();
    let replies: Vec<u8> = counts.iter().flat_map(|count| frame(&format!("ACK_BATCH|OK|{count}\n"))).collect();
    // The replies fit the socket's buffers, so that nobody has to read while all this is sent.
    client.send_bytes(&requests).expect_bytes(&replies);
    assert_eq!(folder.stored_of(1).len(), counts.iter().sum::<usize>());
    central.stop();
}

#[test]
fn bytes_that_are_no_frame_are_answered_and_the_connection_closed() {
    let folder = Folder::new();
    let central = Central::on(&folder).with("--frame-deadline 60s").start();
    let mut other = central.client();
    other.ask("HELLO|1", "HELLO|OK|0|open");
    let wrong: [(&[u8], &str); 6] = [
        (&[0, 0, 0, 0], "frame length 0 is not 1 to 8192"),
        (&[0, 0, 0x20, 1], "frame length 8193 is not 1 to 8192"),
        (&[0, 0xff, 0xff, 0xff], "frame length 16777215 is not 1 to 8192"),
        (&[0, 0, 0, 3, b'a', 0xff, b'b'], "frame is not UTF-8 from its byte 1 on"),
        (&[0, 0, 0, 2, b'a', 0xc3], "frame is not UTF-8 from its byte 1 on"),
        (&[b'x'; 8193], "line is longer than 8192 bytes"),
    ];
    for (bytes, reason) in wrong {
        let mut client = central.client();
        // Whole frames before it are answered as usual. What comes after it is discarded.
        client.send(&format!("BET|2|{ANA}")).send_bytes(bytes).send(&format!("BET|3|{ANA}")).half_close();
        client.expect("ACK|OK").expect(&format!("ACK|ERR|{reason}")).expect_end();
        other.ask("HELLO|3", "HELLO|OK|0|open");
    }
    other.ask("HELLO|2", "HELLO|OK|6|open");
    let exit = central.stop();
    assert_eq!(exit.count(|line| tells(line, "receive_message", "fail")), wrong.len(), "{exit}");
    assert_eq!(exit.count(|line| value(line, "reason") == Some("framing")), wrong.len(), "{exit}");
}

#[test]
fn a_peer_that_reads_after_its_error_still_gets_the_answer() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    // The client does not close its side: the central ends the connection by itself.
    client.send_bytes(&[0, 0, 0, 0]).expect("ACK|ERR|frame length 0 is not 1 to 8192").expect_end();
    central.stop();
}

#[test]
fn a_peer_that_goes_on_sending_after_its_error_still_gets_the_answer() {
    // The central discards bytes for this time. An attempt that took longer, on a slow machine, proves nothing.
    const LINGER: Duration = Duration::from_secs(1);
    let folder = Folder::new();
    let central = Central::on(&folder).with("--workers 1").start();
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline, "this machine never came to an end within {LINGER:?}");
        let (mut client, mut other) = (central.client(), central.client());
        let begun = Instant::now();
        let mut sent = client.try_send(&[0, 0, 0, 0]);
        while sent.is_ok() && begun.elapsed() < LINGER * 3 / 4 {
            // By then the only worker has read what was sent.
            other.ask(&format!("BET|1|{ANA}"), "ACK|OK");
            sent = client.try_send(&[b'x'; 4096]);
        }
        let sent = sent.and_then(|()| client.try_half_close());
        if begun.elapsed() < LINGER {
            sent.expect("the connection is there");
            client.expect("ACK|ERR|frame length 0 is not 1 to 8192").expect_clean_end();
            break;
        }
    }
    central.stop();
}

#[test]
fn a_peer_that_reads_late_gets_every_reply() {
    const REQUESTS: usize = 2_000;
    let folder = Folder::with_data("--agencies 1 --bets 900 --winners 900");
    // Only room in the socket shows that the next replies can be sent.
    let central = Central::on(&folder).agencies(1).with("--workers 1 --frame-deadline 1h").start();
    Agency::new(1, central.port, &folder).run().ok();
    let due = folder.winners_due(1, "7574").trim_end().replace('\n', ",");
    let mut client = central.client();
    // Some 16 MB of replies, which no socket's buffers hold.
    client.send_bytes(&frame("GET_WINNERS|1\n").repeat(REQUESTS));
    // The only worker has filled them and serves others.
    central.client().ask("HELLO|1", "HELLO|OK|900|drawn");
    for _ in 0..REQUESTS {
        client.expect(&format!("WINNERS|OK|{due}"));
    }
    client.ask("HELLO|1", "HELLO|OK|900|drawn");
    central.stop();
}

#[test]
fn the_answers_of_a_peer_that_has_gone_reach_nobody() {
    let folder = Folder::new();
    // One worker serves them all, one after another.
    let central = Central::on(&folder).with("--workers 1").start();
    for gone in 1..=100 {
        let mut client = central.client();
        client.send(&format!("BATCH|1|1|{}\n{ANA}", gone - 1)).send("DONE|9");
        client.reset();
        let stored = central.client().send("HELLO|2").reply();
        assert_eq!(stored, "HELLO|OK|0|open", "behind {gone} that have gone");
    }
    central.stop();
}

#[test]
fn a_line_within_a_batch_ends_the_connection() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    client.send("BATCH|1|2").send_bytes(b"hola\n");
    client.expect("ACK|ERR|a line stands where a batch's frames are expected").expect_end();
    assert!(folder.stored().is_empty());
    central.stop();
}

#[test]
fn what_is_not_finished_in_time_is_refused_and_nothing_else_is() {
    let folder = Folder::new();
    let central = Central::on(&folder).with("--frame-deadline 400ms").start();
    let mut idle = central.client();
    idle.ask("HELLO|1", "HELLO|OK|0|open");
    let unfinished: [&[u8]; 4] = [&[0], &[0, 0, 0, 9, b'D'], b"a line without its end", &frame("BATCH|1|2")];
    let mut clients = unfinished.map(|bytes| {
        let mut client = central.client();
        client.ask("HELLO|1", "HELLO|OK|0|open").send_bytes(bytes);
        client
    });
    for client in &mut clients {
        client.expect("ACK|ERR|frame not completed within 400ms").expect_end();
    }
    // A connection without an unfinished frame may be silent for any time.
    idle.ask(&format!("BET|1|{ANA}"), "ACK|OK");
    central.stop();
}

#[test]
fn who_does_not_take_replies_in_time_is_closed_and_nobody_else_is() {
    let folder = Folder::with_data("--agencies 1 --bets 900 --winners 900");
    let central = Central::on(&folder).agencies(1).with("--frame-deadline 400ms").start();
    Agency::new(1, central.port, &folder).run().ok();
    let mut deaf = central.client();
    // Some 40 MB of replies, which no socket's buffers hold.
    deaf.send_bytes(&frame("GET_WINNERS|1\n").repeat(5_000));
    central
        .process
        .wait_for(|line| tells(line, "close_connection", "success") && value(line, "reason") == Some("late"));
    central.client().ask("HELLO|1", "HELLO|OK|900|drawn");
    central.stop();
}

#[test]
fn a_line_comes_back_as_it_was_sent() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let longest = [&[b'x'; 8192][..], b"\n"].concat();
    let lines: [&[u8]; 7] = [
        b"hola\n",
        "¿qué tal, señor? $ % ' \"\n".as_bytes(),
        b"\n",
        b"carriage return\r\n",
        &longest,
        b"\xff\xfe not UTF-8 \xc3\n",
        b"BET|1|Ana|Paz|1|2000-01-01|7574\n",
    ];
    for line in lines {
        // The central closes the connection, and what comes after the line is not a message.
        central.client().send_bytes(line).expect_bytes(line).expect_end();
        central.client().send_bytes(&[line, b"more\n"].concat()).expect_bytes(line).expect_end();
    }
    assert!(folder.stored().is_empty());
    let exit = central.stop();
    let told = |message: &str| {
        exit.count(|line| {
            tells(line, "receive_message", "success") && line.ends_with(&format!(" | ip: 127.0.0.1 | msg: {message}"))
        })
    };
    assert_eq!(told("hola"), 2, "{exit}");
    assert_eq!(told(""), 2, "{exit}");
    assert_eq!(told("carriage return"), 2, "{exit}");
    assert_eq!(told("BET\\u{7c}1\\u{7c}Ana\\u{7c}Paz\\u{7c}1\\u{7c}2000-01-01\\u{7c}7574"), 2, "{exit}");
}

#[test]
fn a_line_may_end_with_the_peers_bytes() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    for line in [&b"hola"[..], &[b'x'; 8192], b"\xff"] {
        central.client().send_bytes(line).half_close().expect_bytes(line).expect_end();
    }
    central.stop();
}

#[test]
fn a_line_may_follow_frames() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let mut client = central.client();
    client.ask("HELLO|1", "HELLO|OK|0|open").ask(&format!("BET|1|{ANA}"), "ACK|OK");
    client.send_bytes(b"hola\n").expect_bytes(b"hola\n").expect_end();
    let mut client = central.client();
    client.send_bytes(&[&frame("HELLO|1\n")[..], b"hola\n"].concat());
    client.expect("HELLO|OK|1|open").expect_bytes(b"hola\n").expect_end();
    central.stop();
}

#[test]
fn nobody_can_forge_a_line_of_the_log() {
    let folder = Folder::new();
    let central = Central::on(&folder).start();
    let line = b"x\r2024-08-21 22:11:15 INFO     action: sorteo | result: success\x1b[2J\n";
    central.client().send_bytes(line).expect_bytes(line).expect_end();
    central.client().ask("action: sorteo | result: success", "ACK|ERR|unknown request \"action: sorteo \"");
    let exit = central.stop();
    assert_eq!(exit.count(|line| value(line, "action") == Some("sorteo")), 0);
    assert!(exit.lines.iter().all(|line| line.chars().all(|character| !character.is_control())), "{exit}");
}
