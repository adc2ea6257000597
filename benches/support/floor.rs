//! The floor: a program that moves the same framed bytes over loopback into a file, with one `fdatasync` for all frames that
//! have come meanwhile, whoever sent them. It parses, checks, indexes and logs nothing: no central can be faster on this
//! machine, unless it needs fewer syncs.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::time;

/// Lines in a frame: as many bets as an agency's batch has if no flag says it.
const LINES: usize = 100;

/// The frames that one read has brought, and where their acknowledgements go.
type Arrived = (Vec<u8>, usize, TcpStream);

/// The time until every byte of these files is on disk and acknowledged, each over a connection of its own with so many frames
/// in flight.
pub fn floor(files: &[PathBuf], store: &Path, in_flight: u64) -> Duration {
    // Where batches end is nothing that the floor has to find out.
    let frames: Vec<Vec<usize>> = files.iter().map(|file| lengths(&std::fs::read(file).unwrap())).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    time(|| {
        std::thread::scope(|scope| {
            let (arrived, writing) = channel();
            scope.spawn(|| write(writing, &store.join("floor")));
            for (file, frames) in files.iter().zip(&frames) {
                scope.spawn(move || send(port, file, frames, in_flight));
            }
            for _ in files {
                let (stream, _) = listener.accept().unwrap();
                let arrived = arrived.clone();
                scope.spawn(move || receive(stream, &arrived));
            }
            drop(arrived);
        });
    })
}

/// The lengths of the batches of a file.
fn lengths(text: &[u8]) -> Vec<usize> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines.chunks(LINES).map(|batch| batch.iter().map(|line| line.len()).sum()).collect()
}

/// Sends a file in frames of these lengths, at most this many unacknowledged, and reads a byte for each.
fn send(port: u16, file: &Path, frames: &[usize], in_flight: u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut file = BufReader::with_capacity(256 * 1024, File::open(file).unwrap());
    let (mut frame, mut unacknowledged) = (vec![0; 64 * 1024], 0);
    let mut acknowledgements = [0; 4096];
    for &length in frames {
        file.read_exact(&mut frame[4..4 + length]).unwrap();
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

/// Hands on the contents of the frames that have arrived.
fn receive(mut stream: TcpStream, arrived: &Sender<Arrived>) {
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut filled) = (vec![0; 256 * 1024], 0);
    loop {
        let read = stream.read(&mut buffer[filled..]).unwrap();
        if read == 0 {
            return;
        }
        filled += read;
        let (mut taken, mut frames, mut contents) = (0, 0, Vec::with_capacity(filled));
        while let Some(header) = buffer[taken..filled].first_chunk::<4>() {
            let length = u32::from_be_bytes(*header) as usize;
            if filled - taken < 4 + length {
                break;
            }
            contents.extend_from_slice(&buffer[taken + 4..taken + 4 + length]);
            taken += 4 + length;
            frames += 1;
        }
        buffer.copy_within(taken..filled, 0);
        filled -= taken;
        if frames > 0 {
            arrived.send((contents, frames, stream.try_clone().unwrap())).unwrap();
        }
    }
}

/// Appends all that has arrived, syncs once, acknowledges each frame.
fn write(arrived: Receiver<Arrived>, file: &Path) {
    let mut file = File::create(file).unwrap();
    while let Ok(first) = arrived.recv() {
        let mut group = vec![first];
        group.extend(arrived.try_iter());
        group.iter().for_each(|(contents, ..)| file.write_all(contents).unwrap());
        file.sync_data().unwrap();
        group.iter_mut().for_each(|(_, frames, stream)| stream.write_all(&vec![1; *frames]).unwrap());
    }
}
