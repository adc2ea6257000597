//! Durable ingest, compared with a bare program that moves the same bytes over loopback into a file, in frames of the
//! same size, with one `fdatasync` for all frames that have arrived. It parses, checks and logs nothing. It shows what
//! the machine can do, and the ratio to it shows what quiniela's work costs.
//!
//! `cargo bench --bench ingest`; `BETS=3000000`, `ROUNDS=5`, `IN_FLIGHT=16`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use support::{QUINIELA, lottery, make_bets, median, setting, time, work_folder};

const FRAME: usize = 8192;

/// Sends a file in frames, at most this many unacknowledged, and reads a byte for each.
fn bare_sender(port: u16, file: &Path, in_flight: u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut file = File::open(file).unwrap();
    let (mut frame, mut unacknowledged) = (vec![0; 4 + FRAME], 0);
    let mut acknowledgements = [0; 4096];
    loop {
        let length = file.read(&mut frame[4..]).unwrap();
        if length == 0 {
            break;
        }
        frame[..4].copy_from_slice(&(length as u32).to_be_bytes());
        stream.write_all(&frame[..4 + length]).unwrap();
        unacknowledged += 1;
        while unacknowledged >= in_flight {
            unacknowledged -= stream.read(&mut acknowledgements).unwrap() as u64;
        }
    }
    while unacknowledged > 0 {
        unacknowledged -= stream.read(&mut acknowledgements).unwrap() as u64;
    }
}

/// Appends the frames that have arrived, syncs once for all of them, acknowledges each.
fn bare_receiver(listener: TcpListener, file: &Path) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let mut file = File::create(file).unwrap();
    let (mut buffer, mut filled) = (vec![0; 1 << 20], 0);
    loop {
        let read = stream.read(&mut buffer[filled..]).unwrap();
        if read == 0 {
            return;
        }
        filled += read;
        let (mut taken, mut frames) = (0, 0);
        while let Some(header) = buffer[taken..filled].first_chunk::<4>() {
            let length = u32::from_be_bytes(*header) as usize;
            if filled - taken < 4 + length {
                break;
            }
            file.write_all(&buffer[taken + 4..taken + 4 + length]).unwrap();
            taken += 4 + length;
            frames += 1;
        }
        buffer.copy_within(taken..filled, 0);
        filled -= taken;
        if frames > 0 {
            file.sync_data().unwrap();
            stream.write_all(&vec![1; frames]).unwrap();
        }
    }
}

fn bare(data: &Path, store: &Path, in_flight: u64) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    time(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| bare_receiver(listener, &store.join("bare")));
            scope.spawn(|| bare_sender(port, &data.join("agency-1.csv"), in_flight));
        });
    })
}

fn main() {
    let (bets, rounds, in_flight) = (setting("BETS", 3_000_000), setting("ROUNDS", 5), setting("IN_FLIGHT", 16));
    let folder = work_folder("ingest");
    let (one, five, store) = (folder.join("one"), folder.join("five"), folder.join("store"));
    make_bets(&one, 1, bets);
    make_bets(&five, 5, bets);
    let contenders = ["bare", "1 agency", "1 agency, 256 in flight", "5 agencies, 256 in flight"];
    let mut times = vec![Vec::new(); contenders.len()];
    let mut memory = 0;
    for _ in 0..rounds {
        times[0].push(bare(&one, &folder, in_flight));
        for (place, (data, agencies, window)) in
            [(&one, 1, in_flight), (&one, 1, 256), (&five, 5, 256)].into_iter().enumerate()
        {
            let (taken, peak) = lottery(QUINIELA, data, &store, agencies, window);
            times[place + 1].push(taken);
            memory = memory.max(peak);
        }
    }
    println!("{bets} bets, {in_flight} batches in flight where not said, median of {rounds} rounds in turn");
    let base = median(&times[0]).as_secs_f64();
    for (name, times) in contenders.iter().zip(&times) {
        let taken = median(times).as_secs_f64();
        println!("{name:<26} {:>10.0} bets/s   {:.2} of bare", bets as f64 / taken, base / taken);
    }
    println!("central's peak memory: {memory} KiB");
    std::fs::remove_dir_all(folder).unwrap();
}
