//! One connection to the central: sends frames or lines and receives them, and never blocks.

use std::fmt;

use super::batches::BatchMessage;
use super::reactor::Halt;
use crate::error::Error;
use crate::transport::{self, Read, Stream};
use crate::wire::frame::{self, HEADER, Incoming, MAX_FRAME};

/// Bytes of one read: many acknowledgements, or a few pages of winners.
const READ_BUFFER: usize = 4 * (HEADER + MAX_FRAME);

pub(super) struct Link {
    stream: Box<dyn Stream>,
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Box<[u8]>,
    /// `incoming[taken..received]` was received and not yet processed.
    taken: usize,
    received: usize,
    /// Why nothing more can be sent. What the central sent before that is still read.
    broken: Option<String>,
}

impl Link {
    /// `stream` must be connected and registered with the reactor.
    pub(super) fn new(stream: impl Stream + 'static) -> Link {
        Link {
            stream: Box::new(stream),
            outgoing: Vec::new(),
            sent: 0,
            incoming: vec![0; READ_BUFFER].into_boxed_slice(),
            taken: 0,
            received: 0,
            broken: None,
        }
    }

    /// Queues a message, as a frame. [`Link::flush`] sends it.
    pub(super) fn push(&mut self, message: &impl fmt::Display) {
        frame::push(&mut self.outgoing, message);
    }

    pub(super) fn push_batch(&mut self, batch: &BatchMessage<'_>) {
        frame::push_with(&mut self.outgoing, |out| batch.write_to(out));
    }

    /// Queues a line of text without a frame.
    pub(super) fn push_line(&mut self, line: &str) {
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.push(b'\n');
    }

    /// The central's certificates, if it has proved with them who it is.
    pub(super) fn certificates(&self) -> Vec<Vec<u8>> {
        self.stream.certificates()
    }

    /// How many bytes are queued.
    pub(super) fn unsent(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Sends as much as the stream takes now.
    pub(super) fn flush(&mut self) {
        if self.broken.is_some() {
            return;
        }
        match transport::send(&mut *self.stream, &self.outgoing[self.sent..]) {
            Ok(sent) => self.sent += sent,
            Err(error) => self.broken = Some(format!("sending failed: {error}")),
        }
        if self.unsent() == 0 {
            self.outgoing.clear();
            self.sent = 0;
        }
    }

    /// Closes the connection, and drops what is still queued.
    pub(super) fn close(mut self) {
        // An error means that the connection is already gone.
        let _ = self.stream.close_sending();
    }

    /// Passes the next whole frame or line to `read`. `None` if it has not arrived yet.
    pub(super) fn next<T>(&mut self, read: impl FnOnce(Incoming<'_>) -> Result<T, Halt>) -> Result<Option<T>, Halt> {
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

    /// Reads once. False if there is nothing to read now.
    fn receive(&mut self) -> Result<bool, Halt> {
        // What is left is less than a frame, so there is always room after it.
        self.incoming.copy_within(self.taken..self.received, 0);
        self.received -= self.taken;
        self.taken = 0;
        let cause = match transport::read(&mut *self.stream, &mut self.incoming[self.received..]) {
            Ok(Read::Some(read)) => {
                self.received += read;
                return Ok(true);
            }
            Ok(Read::Nothing) if self.broken.is_none() => return Ok(false),
            Ok(Read::Nothing | Read::End) => "the central closed the connection".to_owned(),
            Err(error) => match Halt::of_stream("receiving failed", &error) {
                Halt::Lost(cause) => cause,
                // Even if sending failed first: the central may have said why before it hung up.
                halt => return Err(halt),
            },
        };
        Err(Halt::Lost(self.broken.clone().unwrap_or(cause)))
    }
}

/// The error for a peer that does not speak this protocol. Another attempt would not help.
pub(super) fn strange(detail: String) -> Halt {
    Halt::Fatal(Error::failed(format!("the peer is not a quiniela central: {detail}; check the server's address")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::memory::{self, End};
    use std::io::{self, Read as _, Write as _};

    /// A stream that holds bytes of its own until it is flushed.
    struct Holding(End, &'static [u8]);

    impl io::Read for Holding {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into)
        }
    }

    impl io::Write for Holding {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            self.0.write(from)
        }

        fn flush(&mut self) -> io::Result<()> {
            let sent = self.0.write(self.1)?;
            self.1 = &self.1[sent..];
            if self.1.is_empty() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        }
    }

    impl Stream for Holding {
        fn close_sending(&mut self) -> io::Result<()> {
            self.0.close_sending()
        }

        fn has_unsent(&self) -> bool {
            !self.1.is_empty()
        }
    }

    fn line(link: &mut Link) -> Result<Option<Vec<u8>>, Halt> {
        link.next(|incoming| match incoming {
            Incoming::Line(line) => Ok(line.to_vec()),
            Incoming::Frame(_) => panic!("a frame"),
        })
    }

    #[test]
    fn what_waits_is_sent_as_far_as_there_is_room_and_the_streams_own_bytes_too() {
        let (stream, mut central) = memory::pair(4);
        let mut link = Link::new(Holding(stream, b"own"));
        link.push_line("abcdefg");
        let mut received = Vec::new();
        for unsent in [4, 0, 0] {
            link.flush();
            assert_eq!(link.unsent(), unsent);
            let mut bytes = [0; 4];
            let read = central.read(&mut bytes).unwrap();
            received.extend_from_slice(&bytes[..read]);
        }
        assert_eq!(received, b"abcdefg\nown");
        link.close();
        assert_eq!(central.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_came_before_the_end_is_read_and_a_failure_to_send_is_named_behind_it() {
        let (stream, mut central) = memory::pair(100);
        let mut link = Link::new(stream);
        assert_eq!(line(&mut link).unwrap(), None);
        central.write_all(b"one\ntwo").unwrap();
        drop(central);
        link.push_line("x");
        link.flush();
        assert_eq!(line(&mut link).unwrap(), Some(b"one\n".to_vec()));
        assert!(matches!(line(&mut link), Err(Halt::Lost(cause)) if cause.starts_with("sending failed")));

        let (stream, central) = memory::pair(100);
        central.reset();
        assert!(
            matches!(line(&mut Link::new(stream)), Err(Halt::Lost(cause)) if cause.starts_with("receiving failed"))
        );
    }
}
