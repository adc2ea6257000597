//! The log's bounded queue and the thread that writes it. A thread that logs waits for standard output only when the queue
//! is full.

use std::convert::Infallible;
use std::io;
use std::iter;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread, write};

/// The most that a thread gathers before it queues the lines as one piece.
pub const PIECE_BYTES: usize = 16 * 1024;
/// The most pieces that wait to be written. Most are one line or a few.
const QUEUE_PIECES: usize = 256;
/// The most that one call writes. A pipe that is ready for writing takes `PIPE_BUF` bytes without blocking.
const WRITE_BYTES: usize = 4096;
/// The output has stalled once it has taken nothing for this time. Lines that do not fit are then dropped.
const STALL: Duration = Duration::from_secs(1);
/// How often a wait checks whether the output has stalled.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// A time in milliseconds that never comes.
const NEVER: u64 = u64::MAX;

/// See the module. When it is dropped, its thread writes what is queued and ends.
pub struct Queue {
    pieces: Sender<Piece>,
    gauge: Arc<Gauge>,
}

/// Whole lines, each with a line feed.
struct Piece {
    lines: Vec<u8>,
    /// Dropped once the lines are written.
    written: Option<Sender<Infallible>>,
}

/// The state that the thread shares with those who log.
struct Gauge {
    begun: Instant,
    /// Dropped lines that the log has not reported yet.
    dropped: AtomicU64,
    /// Since when a write has waited for the output, in milliseconds after `begun`.
    waiting_since: AtomicU64,
    /// When all waiting ends, in milliseconds after `begun`.
    deadline: AtomicU64,
}

impl Queue {
    /// `tell` makes the line that reports a number of dropped lines.
    pub fn start(output: impl AsFd + Send + 'static, tell: fn(u64) -> String) -> io::Result<Queue> {
        let (pieces, queued) = bounded(QUEUE_PIECES);
        let gauge = Arc::new(Gauge::new());
        let shared = Arc::clone(&gauge);
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_all(&queued, &output, tell))?;
        Ok(Queue { pieces, gauge })
    }

    /// Queues whole lines. Waits while the queue is full, and drops them if the output has stalled.
    pub fn push(&self, lines: Vec<u8>) {
        self.send(Piece { lines, written: None });
    }

    /// Waits until everything queued so far is written, unless the output has stalled.
    pub fn flush(&self) {
        let (written, done) = bounded(0);
        self.send(Piece { lines: Vec::new(), written: Some(written) });
        while done.recv_timeout(LOOK_PERIOD) == Err(RecvTimeoutError::Timeout) && !self.gauge.is_stalled() {}
    }

    /// From this time on no thread waits for the output.
    pub fn set_deadline(&self, deadline: Instant) {
        let deadline = deadline.saturating_duration_since(self.gauge.begun).as_millis() as u64;
        self.gauge.deadline.store(deadline, Ordering::SeqCst);
    }

    fn send(&self, mut piece: Piece) {
        loop {
            let patience = if self.gauge.is_stalled() { Duration::ZERO } else { LOOK_PERIOD };
            match self.pieces.send_timeout(piece, patience) {
                Ok(()) => return,
                Err(SendTimeoutError::Timeout(back)) if !patience.is_zero() => piece = back,
                Err(error) => return self.gauge.drop_lines(&error.into_inner().lines),
            }
        }
    }
}

impl Gauge {
    fn new() -> Gauge {
        Gauge {
            begun: Instant::now(),
            dropped: AtomicU64::new(0),
            waiting_since: AtomicU64::new(NEVER),
            deadline: AtomicU64::new(NEVER),
        }
    }

    fn write_all(&self, queued: &Receiver<Piece>, output: &impl AsFd, tell: fn(u64) -> String) {
        let mut lines = Vec::new();
        while let Ok(first) = queued.recv() {
            let mut written = Vec::new();
            for piece in iter::once(first).chain(queued.try_iter().take(QUEUE_PIECES)) {
                lines.extend_from_slice(&piece.lines);
                written.extend(piece.written);
            }
            self.write(output, &lines);
            let dropped = self.dropped.swap(0, Ordering::SeqCst);
            if dropped > 0 && !self.write(output, tell(dropped).as_bytes()) {
                // The report itself was just counted as one dropped line.
                self.dropped.fetch_add(dropped - 1, Ordering::SeqCst);
            }
            lines.clear();
            self.waiting_since.store(NEVER, Ordering::SeqCst);
        }
    }

    /// Returns false if the output fails, such as a closed pipe. The lines then count as dropped.
    fn write(&self, output: &impl AsFd, mut lines: &[u8]) -> bool {
        while !lines.is_empty() {
            self.wait(output);
            let most = &lines[..lines.len().min(WRITE_BYTES)];
            // Whole lines where possible, so that those of another process on the same pipe do not split them.
            let end = memchr::memrchr(b'\n', most).map_or(most.len(), |end| end + 1);
            match write(output, &most[..end]) {
                Ok(written) => lines = &lines[written..],
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => {
                    self.drop_lines(lines);
                    return false;
                }
            }
        }
        true
    }

    /// Waits until the output is ready for writing, or has failed.
    fn wait(&self, output: &impl AsFd) {
        self.note_progress();
        let look_period = Timespec { tv_sec: 0, tv_nsec: LOOK_PERIOD.subsec_nanos().into() };
        let mut fds = [PollFd::new(output, PollFlags::OUT)];
        let mut unread = 0;
        while matches!(poll(&mut fds, Some(&look_period)), Ok(0) | Err(Errno::INTR)) {
            // A pipe becomes ready only after a whole page was read. A slower reader still makes progress.
            let left = ioctl_fionread(output).unwrap_or(0);
            if left < unread {
                self.note_progress();
            }
            unread = left;
        }
    }

    fn note_progress(&self) {
        self.waiting_since.store(self.now(), Ordering::SeqCst);
    }

    fn drop_lines(&self, lines: &[u8]) {
        self.dropped.fetch_add(memchr::memchr_iter(b'\n', lines).count() as u64, Ordering::SeqCst);
    }

    fn is_stalled(&self) -> bool {
        let (now, since) = (self.now(), self.waiting_since.load(Ordering::SeqCst));
        now.saturating_sub(since) >= STALL.as_millis() as u64 || now >= self.deadline.load(Ordering::SeqCst)
    }

    /// Milliseconds after `begun`.
    fn now(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, Read as _, pipe};

    fn start() -> (Queue, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (Queue::start(writer, |dropped| format!("dropped {dropped}\n")).unwrap(), reader)
    }

    /// Pushes numbered lines.
    fn push_many(queue: &Queue, numbers: std::ops::Range<u32>) {
        numbers.for_each(|number| queue.push(format!("{number:0>99}\n").into_bytes()));
    }

    fn numbers(text: &str) -> Vec<u32> {
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    #[test]
    fn a_slow_reader_gets_every_line_in_order() {
        let (queue, mut reader) = start();
        let pushing = thread::spawn(move || push_many(&queue, 0..5_000));
        // For 1.5 s it reads too little for the pipe to become ready again.
        let mut text = vec![0; 100];
        for piece in 0..15 {
            reader.read_exact(&mut text[piece * 100..]).unwrap();
            text.resize(text.len() + 100, 0);
            thread::sleep(LOOK_PERIOD);
        }
        text.truncate(1_500);
        reader.read_to_end(&mut text).unwrap();
        pushing.join().unwrap();
        let numbers = numbers(str::from_utf8(&text).unwrap());
        assert!(numbers.iter().copied().eq(0..5_000), "{} lines, or another order", numbers.len());
    }

    #[test]
    fn a_reader_that_stops_delays_nobody_for_long_and_learns_what_it_missed() {
        let (queue, mut reader) = start();
        push_many(&queue, 0..5_000);
        let shared = Arc::clone(&queue.gauge);
        let dropped = shared.dropped.load(Ordering::SeqCst);
        assert!(dropped > 0 && shared.is_stalled());
        queue.flush();
        let reading = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        while shared.is_stalled() {
            thread::yield_now();
        }
        push_many(&queue, 5_000..6_000);
        queue.flush();
        drop(queue);
        let text = reading.join().unwrap();
        let expected = (0..5_000 - dropped as u32).chain(5_000..6_000);
        assert!(numbers(&text).into_iter().eq(expected), "{} lines, {dropped} dropped", text.lines().count());
        assert_eq!(text.matches(&format!("dropped {dropped}\n")).count(), 1);
    }

    #[test]
    fn a_closed_pipe_and_a_deadline_delay_nobody() {
        let (queue, reader) = start();
        drop(reader);
        push_many(&queue, 0..5_000);
        queue.flush();
        assert_eq!(queue.gauge.dropped.load(Ordering::SeqCst), 5_000);
        // No thread writes, so without the deadline this would never return.
        let (pieces, _queued) = bounded(QUEUE_PIECES);
        let queue = Queue { pieces, gauge: Arc::new(Gauge::new()) };
        queue.set_deadline(Instant::now());
        push_many(&queue, 0..QUEUE_PIECES as u32 + 7);
        queue.flush();
        assert_eq!(queue.gauge.dropped.load(Ordering::SeqCst), 7);
    }
}
