use std::time::{Duration, Instant};

use super::*;
use crate::agency::play;
use crate::agency::testing::{FakeCentral, FakePeer, bets, config, lottery, reactor, seed, stoppable_reactor};
use crate::config::Task;
use crate::error::Kind;
use crate::wire::Message;

fn batch(lines: &[String], from: usize, to: usize) -> String {
    format!("BATCH|3|{}|{from}\n{}", to - from, lines[from..to].join("\n"))
}

fn failure(result: Result<(), Halt>) -> Error {
    match result {
        Err(Halt::Fatal(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lottery_from_its_first_bet_to_its_last_winner() {
    let (folder, path, lines) = bets(7);
    let central = FakeCentral::start(move |accept| {
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|0|open");
        // All of them are sent before any is acknowledged, and DONE only after all of them are.
        peer.expect(&batch(&lines, 0, 3)).expect(&batch(&lines, 3, 6)).expect(&batch(&lines, 6, 7));
        peer.send("ACK_BATCH|OK|3").send("ACK_BATCH|OK|3").send("ACK_BATCH|OK|1");
        peer.expect("DONE|3").send("ACK_DONE|OK").expect("WAIT_DRAW|3").send("DRAW|OK");
        peer.expect("GET_WINNERS|3|0").send("WINNERS|OK|3|1,2");
        peer.expect("GET_WINNERS|3|2").send("WINNERS|OK|3|3").expect_end();
    });
    let task = LotteryTask { winners: Some(folder.path().join("winners")), ..lottery(path) };
    play(&mut reactor(), &config(Task::Lottery(task), &central.address)).unwrap();
    central.join();
    assert_eq!(std::fs::read_to_string(folder.path().join("winners")).unwrap(), "1\n2\n3\n");
}

#[test]
fn an_agency_goes_on_where_the_central_says() {
    let (_folder, path, lines) = bets(5);
    let central = FakeCentral::start(move |accept| {
        // The acknowledgement of bets 0 to 2 is lost, but not the bets.
        accept().expect("HELLO|3|+").send("HELLO|OK|0|open").expect(&batch(&lines, 0, 3)).expect(&batch(&lines, 3, 5));
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|3|open").expect(&batch(&lines, 3, 5));
        peer.send("ACK_BATCH|ERR|2|storage: no space left").expect_end();
        // Only a part of the batch was stored.
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|4|open").expect(&batch(&lines, 4, 5)).send("ACK_BATCH|OK|1");
        peer.expect("DONE|3");
        drop(peer);
        // DONE has arrived although its reply was lost, and the draw was held meanwhile.
        accept().expect("HELLO|3|+").send("HELLO|OK|5|done").expect("WAIT_DRAW|3");
        accept().expect("HELLO|3|+").send("HELLO|OK|5|drawn").expect("GET_WINNERS|3|0").send("WINNERS|OK|0|");
    });
    play(&mut reactor(), &config(Task::Lottery(lottery(path)), &central.address)).unwrap();
    central.join();
}

#[test]
fn connections_that_break_anywhere_lose_nothing_and_double_nothing() {
    let first = seed();
    // In parallel, since most of the time is spent in pauses before the next attempt.
    std::thread::scope(|scope| {
        for seed in first..first + 16 {
            scope.spawn(move || {
                let (_folder, path, lines) = bets(97);
                let central = FakeCentral::start(move |accept| store_through_cuts(accept, seed));
                let (batch_max, in_flight) = (1 + seed as u32 % 7, 1 + seed as usize % 5);
                let task = LotteryTask { batch_max, in_flight, ..lottery(path) };
                play(&mut reactor(), &config(Task::Lottery(task), &central.address)).unwrap();
                assert_eq!(central.join(), lines, "seed {seed}");
            });
        }
    });
}

/// Stores batches, and closes connections at random: before a batch is stored, before its acknowledgement, or after it.
/// Returns the stored lines once the agency asks for its winners.
fn store_through_cuts(accept: &dyn Fn() -> FakePeer, seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut stored, mut done) = (Vec::<String>::new(), false);
    loop {
        let mut peer = accept();
        while let Some(text) = peer.frame() {
            if random.u8(..) < 20 {
                break;
            }
            let Ok(Message::Agency(request)) = Message::parse(&text) else { panic!("{text}") };
            let reply = match request.ask {
                Ask::Hello { .. } => format!("HELLO|OK|{}|{}", stored.len(), if done { "done" } else { "open" }),
                Ask::Batch { header, lines } => {
                    assert!(!done);
                    let known = stored.len().checked_sub(header.place.unwrap().first as usize);
                    match known {
                        Some(known) => {
                            stored.extend(lines.lines().skip(known).map(str::to_owned));
                            format!("ACK_BATCH|OK|{}", header.count)
                        }
                        None => format!("ACK_BATCH|ERR|{}|gap", header.count),
                    }
                }
                Ask::Done { .. } => {
                    done = true;
                    "ACK_DONE|OK".to_owned()
                }
                Ask::WaitDraw => {
                    assert!(done);
                    "DRAW|OK".to_owned()
                }
                Ask::GetWinners { .. } => {
                    peer.send("WINNERS|OK|0|").expect_end();
                    return stored;
                }
                Ask::Bet { .. } | Ask::WaitSeal | Ask::GetDraw => panic!("{text}"),
            };
            if random.u8(..) < 20 {
                break;
            }
            peer.send(&reply);
        }
    }
}

#[test]
fn a_refused_bet_is_named_by_its_line() {
    let (_folder, path, lines) = bets(5);
    let central = FakeCentral::start(move |accept| {
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|0|open").expect(&batch(&lines, 0, 3)).expect(&batch(&lines, 3, 5));
        peer.send("ACK_BATCH|OK|3").send("ACK_BATCH|ERR|2|bet 2: number \"x\" is not a whole number").expect_end();
    });
    let error = failure(play(&mut reactor(), &config(Task::Lottery(lottery(path)), &central.address)));
    assert_eq!(error.to_string(), "agency-3.csv:5: number \"x\" is not a whole number");
    assert_eq!(error.kind, Kind::Refused);
    central.join();
}

#[test]
fn another_process_for_the_same_agency_may_be_first() {
    // The other process has sent the whole file.
    let (_folder, path, lines) = bets(2);
    let central = FakeCentral::start(move |accept| {
        accept()
            .expect("HELLO|3|+")
            .send("HELLO|OK|0|open")
            .expect(&batch(&lines, 0, 2))
            .send("ACK_BATCH|ERR|2|closed")
            .expect_end();
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|2|done").expect("WAIT_DRAW|3").send("DRAW|OK");
        peer.expect("GET_WINNERS|3|0").send("WINNERS|OK|0|");
    });
    play(&mut reactor(), &config(Task::Lottery(lottery(path)), &central.address)).unwrap();
    central.join();

    // The other process has sent a shorter file.
    let (_folder, path, lines) = bets(2);
    let central = FakeCentral::start(move |accept| {
        let first = batch(&lines, 0, 2);
        accept().expect("HELLO|3|+").send("HELLO|OK|0|open").expect(&first).send("ACK_BATCH|ERR|2|closed");
        accept().expect("HELLO|3|+").send("HELLO|OK|1|done").expect_end();
    });
    let error = failure(play(&mut reactor(), &config(Task::Lottery(lottery(path)), &central.address)));
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.to_string().contains("closed with 1 bets stored"), "{error}");
    central.join();
}

#[test]
fn what_the_central_will_never_take_ends_it() {
    let cases: [(&[&str], Kind); 5] = [
        (&["HELLO|ERR|agency 3 is not one of 1 to 2"], Kind::Refused),
        (&["ACK|ERR|unknown request \"HELLO\""], Kind::Refused),
        (&["ACK_DONE|OK"], Kind::Failed),
        (&["HELLO|OK|1|open", "ACK_DONE|ERR|agency 3 may not"], Kind::Refused),
        (&["HELLO|OK|1|drawn", "WINNERS|OK|1|"], Kind::Failed),
    ];
    for (replies, kind) in cases {
        let (_folder, path, _) = bets(1);
        let central = FakeCentral::start(move |accept| {
            let mut peer = accept();
            for reply in replies {
                peer.frame().unwrap();
                peer.send(reply);
            }
            peer.expect_end();
        });
        let error = failure(play(&mut reactor(), &config(Task::Lottery(lottery(path)), &central.address)));
        assert_eq!(error.kind, kind, "{error}");
        central.join();
    }
}

#[test]
fn a_central_that_never_gets_anywhere_exhausts_patience() {
    let (_folder, path, _) = bets(1);
    // It answers every HELLO, which is not progress, and closes the connection after it.
    let (address, _central) = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let central = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut bytes = Vec::new();
                crate::wire::frame::push(&mut bytes, &"HELLO|OK|0|open");
                let _ = std::io::Write::write_all(&mut stream.unwrap(), &bytes);
            }
        });
        (address, central)
    };
    let mut config = config(Task::Lottery(lottery(path)), &address);
    config.retry_for = Duration::from_millis(300);
    let error = failure(play(&mut reactor(), &config));
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(error.to_string().contains("no progress for 300ms"), "{error}");
}

#[test]
fn waiting_for_the_draw_costs_no_patience() {
    const RETRY_FOR: Duration = Duration::from_secs(1);
    let (_folder, path, _) = bets(1);
    let central = FakeCentral::start(|accept| {
        accept().expect("HELLO|3|+").send("HELLO|OK|1|done").expect("WAIT_DRAW|3").expect_silence(RETRY_FOR);
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|1|done").expect("WAIT_DRAW|3").send("DRAW|OK");
        peer.expect("GET_WINNERS|3|0").send("WINNERS|OK|0|");
    });
    let mut config = config(Task::Lottery(lottery(path)), &central.address);
    config.retry_for = RETRY_FOR;
    play(&mut reactor(), &config).unwrap();
    central.join();
}

#[test]
fn pacing_keeps_messages_apart() {
    const PERIOD: Duration = Duration::from_millis(40);
    let (_folder, path, lines) = bets(4);
    let central = FakeCentral::start(move |accept| {
        let mut peer = accept();
        peer.expect("HELLO|3|+").send("HELLO|OK|0|open");
        let mut distances = Vec::new();
        let mut answered = Instant::now();
        let steps = [
            (batch(&lines, 0, 3), "ACK_BATCH|OK|3"),
            (batch(&lines, 3, 4), "ACK_BATCH|OK|1"),
            ("DONE|3".to_owned(), "ACK_DONE|OK"),
            ("WAIT_DRAW|3".to_owned(), "DRAW|OK"),
            ("GET_WINNERS|3|0".to_owned(), "WINNERS|OK|0|"),
        ];
        for (request, reply) in &steps {
            peer.expect(request);
            distances.push(answered.elapsed());
            // Taken before the reply is sent, so that a delay of this thread cannot make a distance look too short.
            answered = Instant::now();
            peer.send(reply);
        }
        distances
    });
    let task = LotteryTask { batch_period: PERIOD, ..lottery(path) };
    play(&mut reactor(), &config(Task::Lottery(task), &central.address)).unwrap();
    let distances = central.join();
    for place in [1, 2, 4] {
        assert!(distances[place] >= PERIOD, "{distances:?}");
    }
}

#[test]
fn a_stop_is_a_clean_end_in_every_phase_and_sends_no_done_that_is_not_earned() {
    // The stop comes after each of these requests in turn. Only the requests before it get a reply.
    let (_folder, path, lines) = bets(3);
    let steps: Vec<(String, &str)> = vec![
        ("HELLO|3|+".to_owned(), "HELLO|OK|0|open"),
        (batch(&lines, 0, 3), "ACK_BATCH|OK|3"),
        ("DONE|3".to_owned(), "ACK_DONE|OK"),
        ("WAIT_DRAW|3".to_owned(), "DRAW|OK"),
        ("GET_WINNERS|3|0".to_owned(), "WINNERS|OK|0|"),
    ];
    for last in 0..steps.len() {
        let (mut reactor, switch) = stoppable_reactor();
        let steps = steps.clone();
        let central = FakeCentral::start(move |accept| {
            let mut peer = accept();
            for (place, (request, reply)) in steps[..=last].iter().enumerate() {
                peer.expect(request);
                if place < last {
                    peer.send(reply);
                }
            }
            switch.raise();
            peer.expect_end();
        });
        let result = play(&mut reactor, &config(Task::Lottery(lottery(path.clone())), &central.address));
        assert!(matches!(result, Err(Halt::Stopped)), "{result:?}");
        central.join();
    }
}
