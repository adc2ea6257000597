//! Many connections with one batch in flight each, from one thread of one program: it sends the next batch of a
//! connection as soon as the reply to the last one is there. Two builds are compared in one run.
//!
//! `OLD=/path/to/another/quiniela cargo bench --bench connections`; `CONNECTIONS=500`, `BATCHES=200` over each,
//! `ROUNDS=5`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use support::{Central, QUINIELA, median, setting, time, work_folder};

const BETS: u64 = 100;

/// A connection, and how many batches are still to be sent over it.
struct Asking {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    left: u64,
}

impl Asking {
    fn ask(&mut self) {
        self.stream.write_all(&self.request).unwrap();
    }

    /// Reads what has arrived. True once all of its replies have come.
    fn take(&mut self, expected: usize) -> bool {
        let mut buffer = [0; 256];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("the central has closed a connection"),
                Ok(read) => self.answer.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.left == 0,
                Err(error) => panic!("{error}"),
            }
            if self.answer.len() == expected {
                assert!(self.answer.ends_with(format!("ACK_BATCH|OK|{BETS}\n").as_bytes()));
                self.answer.clear();
                self.left -= 1;
                if self.left > 0 {
                    self.ask();
                }
            }
        }
    }
}

fn ask_all(program: &str, store: &std::path::Path, connections: u64, batches: u64) -> Duration {
    let _ = std::fs::remove_dir_all(store);
    let central = Central::start(program, store, connections);
    let mut poll = Poll::new().unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], central.port));
    let mut all: Vec<Asking> = (0..connections as usize)
        .map(|number| {
            let agency = number + 1;
            let line = format!("\nBET|{agency}|Santiago Lionel|Lorca|30904465|1999-03-17|7574").repeat(BETS as usize);
            let text = format!("BATCH|{agency}|{BETS}{line}\n");
            let request = [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
            let stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE).unwrap();
            Asking { stream, request, answer: Vec::new(), left: batches }
        })
        .collect();
    let expected = 4 + format!("ACK_BATCH|OK|{BETS}\n").len();
    let taken = time(|| {
        all.iter_mut().for_each(Asking::ask);
        let (mut events, mut left) = (Events::with_capacity(1024), all.len());
        while left > 0 {
            poll.poll(&mut events, Some(Duration::from_secs(60))).unwrap();
            for event in &events {
                let asking = &mut all[event.token().0];
                let was_done = asking.left == 0;
                left -= usize::from(asking.take(expected) && !was_done);
            }
        }
    });
    drop(all);
    central.stop();
    taken
}

fn main() {
    let Ok(old) = std::env::var("OLD") else {
        println!("OLD is not set: there is nothing to compare with");
        return;
    };
    let (connections, batches, rounds) = (setting("CONNECTIONS", 500), setting("BATCHES", 200), setting("ROUNDS", 5));
    let store = work_folder("connections").join("store");
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (times, program) in times.iter_mut().zip([old.as_str(), QUINIELA]) {
            times.push(ask_all(program, &store, connections, batches));
        }
    }
    println!(
        "{connections} connections, {batches} batches of {BETS} bets over each, medians of {rounds} rounds in turn"
    );
    let [old, new] = times.map(|times| median(&times).as_secs_f64());
    println!("old {old:.2} s, new {new:.2} s: {:.2} times as fast", old / new);
    std::fs::remove_dir_all(store.parent().unwrap()).unwrap();
}
