//! The log's bounded queue, and the thread that writes it. A thread that logs waits for standard output only when the
//! queue is full.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Maximum bytes that wait. As many again may be in the hands of the writing thread.
const QUEUE_BYTES: usize = 128 * 1024;
/// Maximum bytes in one write: a pipe takes up to this many without mixing them with those of other processes.
const WRITE_BYTES: usize = 4096;
/// An output that takes nothing for this time has stalled. Lines that do not fit are then dropped.
const STALL: Duration = Duration::from_secs(1);
/// Pause after a write to a non-blocking output that is full.
const RETRY_PERIOD: Duration = Duration::from_millis(10);

pub struct LineQueue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Whole lines, each with a line feed.
    lines: Vec<u8>,
    /// Bytes queued since the start.
    queued: usize,
    /// Bytes written or lost since the start.
    done: usize,
    /// When the output last took something, or an empty queue got its first line.
    progress: Instant,
    /// Dropped lines that the log has not reported yet.
    dropped: usize,
    /// Dropped lines since the start.
    dropped_in_all: usize,
}

impl LineQueue {
    /// Starts the writing thread. `report` makes the line that reports a number of dropped lines.
    pub fn start(output: impl Write + Send + 'static, report: fn(usize) -> Vec<u8>) -> io::Result<Arc<LineQueue>> {
        let state =
            State { lines: Vec::new(), queued: 0, done: 0, progress: Instant::now(), dropped: 0, dropped_in_all: 0 };
        let queue = Arc::new(LineQueue { state: Mutex::new(state), changed: Condvar::new() });
        let shared = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_all(output, report))?;
        Ok(queue)
    }

    /// Lines that were dropped since the start.
    pub fn dropped_in_all(&self) -> usize {
        self.state.lock().dropped_in_all
    }

    /// Queues whole lines. Waits while the queue is full, and drops them if the output has stalled.
    pub fn push(&self, lines: &[u8]) {
        let mut state = self.state.lock();
        while state.lines.len() >= QUEUE_BYTES {
            if !self.wait(&mut state) {
                state.note_dropped(count(lines));
                return;
            }
        }
        if state.queued == state.done {
            state.progress = Instant::now();
        }
        state.lines.extend_from_slice(lines);
        state.queued += lines.len();
        self.changed.notify_all();
    }

    /// Waits until everything queued so far is written, unless the output has stalled.
    pub fn flush(&self) {
        let mut state = self.state.lock();
        let end = state.queued;
        while state.done < end && self.wait(&mut state) {}
    }

    /// Waits for a change of the state. False if the output has stalled.
    fn wait(&self, state: &mut MutexGuard<'_, State>) -> bool {
        let end = state.progress + STALL;
        self.changed.wait_until(state, end);
        state.progress.elapsed() < STALL
    }

    fn write_all(&self, mut output: impl Write, report: fn(usize) -> Vec<u8>) {
        loop {
            let lines = {
                let mut state = self.state.lock();
                while state.lines.is_empty() {
                    self.changed.wait(&mut state);
                }
                self.changed.notify_all();
                mem::take(&mut state.lines)
            };
            let lost = self.write(&mut output, &lines);
            if lost == 0 {
                let dropped = mem::take(&mut self.state.lock().dropped);
                if dropped > 0 && self.write(&mut output, &report(dropped)) > 0 {
                    // They are reported again, and counted once.
                    self.state.lock().dropped += dropped;
                }
            }
            let mut state = self.state.lock();
            state.note_dropped(lost);
            state.done += lines.len();
            self.changed.notify_all();
        }
    }

    /// Returns how many lines are lost because the output failed, as a closed pipe does.
    fn write(&self, output: &mut impl Write, mut lines: &[u8]) -> usize {
        while !lines.is_empty() {
            let most = &lines[..lines.len().min(WRITE_BYTES)];
            // Whole lines where possible, so that those of another process on the same pipe do not split them.
            let end = memchr::memrchr(b'\n', most).map_or(most.len(), |end| end + 1);
            match output.write(&most[..end]) {
                Ok(taken @ 1..) => {
                    lines = &lines[taken..];
                    self.state.lock().progress = Instant::now();
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                    thread::sleep(RETRY_PERIOD);
                }
                Ok(0) | Err(_) => return count(lines),
            }
        }
        0
    }
}

impl State {
    fn note_dropped(&mut self, lines: usize) {
        self.dropped += lines;
        self.dropped_in_all += lines;
    }
}

fn count(lines: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', lines).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, PipeReader, pipe};

    fn start() -> (Arc<LineQueue>, BufReader<PipeReader>) {
        let (reader, writer) = pipe().unwrap();
        (
            LineQueue::start(writer, |dropped| format!("dropped {dropped}\n").into_bytes()).unwrap(),
            BufReader::new(reader),
        )
    }

    /// Pushes numbered lines of 100 bytes.
    fn push_many(queue: &LineQueue, numbers: std::ops::Range<usize>) {
        numbers.for_each(|number| queue.push(format!("{number:0>99}\n").as_bytes()));
    }

    fn dropped(queue: &LineQueue) -> usize {
        queue.state.lock().dropped
    }

    #[test]
    fn a_full_queue_waits_for_its_reader_and_keeps_the_order() {
        let (queue, reader) = start();
        let pushing = thread::spawn(move || push_many(&queue, 0..20_000));
        let numbers = reader.lines().take(20_000).map(|line| line.unwrap().parse::<usize>().unwrap());
        assert!(numbers.eq(0..20_000));
        pushing.join().unwrap();
    }

    #[test]
    fn a_reader_that_stops_delays_nobody_for_long_and_learns_what_it_missed() {
        let (queue, reader) = start();
        push_many(&queue, 0..5_000);
        queue.flush();
        let dropped = dropped(&queue);
        assert!(dropped > 0);
        let (mut numbers, mut reports) = (Vec::new(), Vec::new());
        for line in reader.lines().map(Result::unwrap).take(5_000 - dropped + 1) {
            line.parse::<usize>().map_or_else(|_| reports.push(line), |number| numbers.push(number));
        }
        assert!(numbers.into_iter().eq(0..5_000 - dropped));
        assert_eq!(reports, [format!("dropped {dropped}")]);
    }

    #[test]
    fn a_closed_pipe_delays_nobody() {
        let (queue, reader) = start();
        drop(reader);
        push_many(&queue, 0..5_000);
        queue.flush();
        assert_eq!(dropped(&queue), 5_000);
    }
}
