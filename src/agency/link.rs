//! One connection to the central: frames out, frames or lines in, without ever blocking.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Instant;

use mio::net::TcpStream;

use super::batches::Batch;
use super::desk::{Desk, Halt};
use crate::error::Error;
use crate::wire::Reply;
use crate::wire::frame::{self, HEADER, Incoming, MAX_FRAME};

/// What is read at once: many acknowledgements, or a few pages of winners.
const READ_BUFFER: usize = 4 * (HEADER + MAX_FRAME);

pub struct Link {
    stream: TcpStream,
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Box<[u8]>,
    /// The bytes of `incoming` that were received and not yet taken.
    taken: usize,
    received: usize,
    /// Why nothing more can be sent. What the central said before that is still worth reading.
    broken: Option<String>,
}

impl Link {
    /// Over a stream that is connected and registered with the desk.
    pub fn new(stream: TcpStream) -> Link {
        Link {
            stream,
            outgoing: Vec::new(),
            sent: 0,
            incoming: vec![0; READ_BUFFER].into_boxed_slice(),
            taken: 0,
            received: 0,
            broken: None,
        }
    }

    /// Puts a message in line to be sent, as a frame.
    pub fn push(&mut self, message: &impl fmt::Display) {
        frame::push(&mut self.outgoing, message);
    }

    pub fn push_batch(&mut self, batch: &Batch<'_>) {
        frame::push_with(&mut self.outgoing, |out| batch.write_to(out));
    }

    /// Puts a line in line to be sent, as it is.
    pub fn push_line(&mut self, line: &str) {
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.push(b'\n');
    }

    /// The bytes that wait to be sent.
    pub fn unsent(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Sends what the socket takes now.
    pub fn flush(&mut self) {
        while self.broken.is_none() && self.sent < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.sent..]) {
                Ok(0) => self.broken = Some("the connection takes no more bytes".to_owned()),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.broken = Some(format!("sending failed: {error}")),
            }
        }
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
    }

    /// The next reply if it is there. `paged` tells whether it answers a request for a page of winners.
    pub fn try_reply(&mut self, paged: bool) -> Result<Option<Reply>, Halt> {
        self.take(|incoming| match incoming {
            Incoming::Frame(text) => Reply::parse(text, paged).map_err(strange),
            Incoming::Line(_) => Err(strange("it sent a line of text that is no frame".to_owned())),
        })
    }

    /// Waits for the next reply, until the deadline if there is one.
    pub fn reply(&mut self, desk: &mut Desk, deadline: Option<Instant>, paged: bool) -> Result<Reply, Halt> {
        self.wait_for(desk, deadline, |link| link.try_reply(paged))
    }

    /// Waits for a line, or for a frame in its place, and gives it to `read`.
    pub fn incoming<T>(
        &mut self,
        desk: &mut Desk,
        deadline: Option<Instant>,
        read: impl Fn(Incoming<'_>) -> T,
    ) -> Result<T, Halt> {
        self.wait_for(desk, deadline, |link| link.take(|incoming| Ok(read(incoming))))
    }

    /// Closes the connection. What the central has not received by now is not needed any more.
    pub fn close(self, desk: &Desk) {
        // It may be gone already, which is what is wanted.
        let _ = self.stream.shutdown(Shutdown::Both);
        drop(self);
        desk.tell_closed();
    }

    fn wait_for<T>(
        &mut self,
        desk: &mut Desk,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut Link) -> Result<Option<T>, Halt>,
    ) -> Result<T, Halt> {
        let begun = Instant::now();
        loop {
            desk.check()?;
            self.flush();
            if let Some(found) = attempt(self)? {
                return Ok(found);
            }
            check_deadline(deadline, begun)?;
            desk.wait(deadline)?;
        }
    }

    /// Reads until a whole frame or line is there, and gives it to `read`. `None` when the socket holds no more now.
    fn take<T>(&mut self, read: impl FnOnce(Incoming<'_>) -> Result<T, Halt>) -> Result<Option<T>, Halt> {
        loop {
            match frame::next(&self.incoming[self.taken..self.received]) {
                Ok(Some((incoming, length))) => {
                    self.taken += length;
                    return read(incoming).map(Some);
                }
                Ok(None) => {}
                Err(error) => return Err(strange(error.to_string())),
            }
            if !self.receive()? {
                return Ok(None);
            }
        }
    }

    /// Reads once. False when there is nothing to read now.
    fn receive(&mut self) -> Result<bool, Halt> {
        // Less than a frame is left, so there is always room behind it.
        self.incoming.copy_within(self.taken..self.received, 0);
        self.received -= self.taken;
        self.taken = 0;
        loop {
            let lost = |cause: String| Err(Halt::Lost(self.broken.clone().unwrap_or(cause)));
            return match self.stream.read(&mut self.incoming[self.received..]) {
                Ok(0) => lost("the central closed the connection".to_owned()),
                Ok(read) => {
                    self.received += read;
                    Ok(true)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match &self.broken {
                    Some(cause) => Err(Halt::Lost(cause.clone())),
                    None => Ok(false),
                },
                Err(error) => lost(format!("receiving failed: {error}")),
            };
        }
    }
}

/// Fails when the deadline has passed. `begun` is when the wait began.
pub fn check_deadline(deadline: Option<Instant>, begun: Instant) -> Result<(), Halt> {
    match deadline {
        Some(deadline) if Instant::now() >= deadline => {
            Err(Halt::Lost(format!("no answer within {} s", (deadline - begun).as_secs_f32().ceil())))
        }
        _ => Ok(()),
    }
}

/// A peer that does not speak our protocol will not learn it.
fn strange(detail: String) -> Halt {
    Halt::Fatal(Error::failed(format!("what answers is no quiniela central: {detail}; check the server's address")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency::testing::{desk, linked};

    #[test]
    fn replies_come_back_in_order_however_they_are_cut() {
        let mut desk = desk();
        let (mut link, mut central) = linked(&desk);
        let writer = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            (0..500).for_each(|count| frame::push(&mut bytes, &Reply::AckBatch { count, result: Ok(()) }));
            let (pieces, rest) = bytes.split_at(300);
            for piece in pieces.chunks(1) {
                central.write_all(piece).unwrap();
            }
            central.write_all(rest).unwrap();
            central
        });
        for expected in 0..500 {
            let reply = link.reply(&mut desk, None, false).unwrap();
            assert_eq!(reply, Reply::AckBatch { count: expected, result: Ok(()) });
        }
        drop(writer.join().unwrap());
        assert!(matches!(link.reply(&mut desk, None, false), Err(Halt::Lost(cause)) if cause.contains("closed")));
    }

    #[test]
    fn what_the_central_said_before_it_hung_up_is_still_heard() {
        let mut desk = desk();
        let (mut link, mut central) = linked(&desk);
        let mut bytes = Vec::new();
        frame::push(&mut bytes, &Reply::busy("too many"));
        central.write_all(&bytes).unwrap();
        drop(central);
        link.push(&"DONE|1");
        assert!(link.reply(&mut desk, None, false).unwrap().is_busy());
    }

    #[test]
    fn a_deadline_ends_a_wait_and_more_than_a_socket_takes_is_sent_in_the_end() {
        let mut desk = desk();
        let (mut link, mut central) = linked(&desk);
        let soon = Instant::now() + std::time::Duration::from_millis(20);
        assert!(
            matches!(link.reply(&mut desk, Some(soon), false), Err(Halt::Lost(cause)) if cause.contains("no answer"))
        );

        let line = "x".repeat(8000);
        (0..2000).for_each(|_| link.push_line(&line));
        let reader = std::thread::spawn(move || {
            let mut received = vec![0; 2000 * 8001];
            central.read_exact(&mut received).unwrap();
            central.write_all(b"all\n").unwrap();
            central
        });
        assert!(link.incoming(&mut desk, None, |incoming| incoming == Incoming::Line(b"all\n")).unwrap());
        assert_eq!(link.unsent(), 0);
        drop(reader.join().unwrap());
    }

    #[test]
    fn a_peer_of_another_kind_is_told_apart_from_a_lost_one() {
        let mut desk = desk();
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"\0\0\0\x05HOLA\n", b"\0\xff\xff\xff"] {
            let (mut link, mut central) = linked(&desk);
            central.write_all(bytes).unwrap();
            assert!(matches!(link.reply(&mut desk, None, false), Err(Halt::Fatal(_))));
        }
    }
}
