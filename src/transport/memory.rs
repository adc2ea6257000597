//! Streams without a network, for tests alone.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Stream;

/// One end of a connection. Dropping it closes the connection.
pub struct End {
    incoming: Arc<Mutex<Buffer>>,
    outgoing: Arc<Mutex<Buffer>>,
}

/// The bytes that one end has sent and the other has not read yet.
#[derive(Default)]
struct Buffer {
    bytes: VecDeque<u8>,
    capacity: usize,
    is_closed: bool,
    is_reset: bool,
}

/// The two ends of a connection. Each direction holds at most `capacity` bytes that were not read yet.
pub fn pair(capacity: usize) -> (End, End) {
    let buffer = || Arc::new(Mutex::new(Buffer { capacity, ..Buffer::default() }));
    let (one, other) = (buffer(), buffer());
    (End { incoming: one.clone(), outgoing: other.clone() }, End { incoming: other, outgoing: one })
}

impl End {
    /// From here on, reading and writing fail at both ends, and what was not read is lost.
    pub fn reset(&self) {
        for buffer in [&self.incoming, &self.outgoing] {
            *buffer.lock() = Buffer { is_reset: true, ..Buffer::default() };
        }
    }
}

impl Read for End {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut buffer = self.incoming.lock();
        match buffer.bytes.read(into)? {
            _ if buffer.is_reset => Err(io::ErrorKind::ConnectionReset.into()),
            0 if !into.is_empty() && !buffer.is_closed => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for End {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let mut buffer = self.outgoing.lock();
        let room = buffer.capacity.saturating_sub(buffer.bytes.len());
        if buffer.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        } else if buffer.is_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        } else if room == 0 && !from.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = room.min(from.len());
        buffer.bytes.extend(&from[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for End {
    fn close_sending(&mut self) -> io::Result<()> {
        self.outgoing.lock().is_closed = true;
        Ok(())
    }

    fn has_unsent(&self) -> bool {
        false
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.outgoing.lock().is_closed = true;
        self.incoming.lock().is_closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn bytes_come_in_order_and_nothing_blocks() {
        let (mut one, mut other) = pair(3);
        let mut bytes = [0; 8];
        assert_eq!(kind(other.read(&mut bytes)), Some(io::ErrorKind::WouldBlock));
        assert_eq!(one.write(b"abcd").unwrap(), 3);
        assert_eq!(kind(one.write(b"d")), Some(io::ErrorKind::WouldBlock));
        assert_eq!(other.write(b"x").unwrap(), 1, "each direction has its own room");
        assert_eq!(other.read(&mut bytes[..2]).unwrap(), 2);
        assert_eq!(one.write(b"d").unwrap(), 1);
        assert_eq!(other.read(&mut bytes[2..]).unwrap(), 2);
        assert_eq!(&bytes[..4], b"abcd");
    }

    #[test]
    fn an_end_can_stop_sending_close_or_reset() {
        let (mut one, mut other) = pair(3);
        let mut bytes = [0; 8];
        one.write_all(b"a").unwrap();
        one.close_sending().unwrap();
        assert_eq!(kind(one.write(b"b")), Some(io::ErrorKind::BrokenPipe));
        assert_eq!((other.read(&mut bytes).unwrap(), other.read(&mut bytes).unwrap()), (1, 0));
        other.write_all(b"b").unwrap();
        assert_eq!(one.read(&mut bytes).unwrap(), 1);
        drop(other);
        assert_eq!(one.read(&mut bytes).unwrap(), 0);

        let (mut one, mut other) = pair(3);
        one.write_all(b"a").unwrap();
        other.write_all(b"b").unwrap();
        other.reset();
        for end in [&mut one, &mut other] {
            assert_eq!(kind(end.read(&mut bytes)), Some(io::ErrorKind::ConnectionReset));
            assert_eq!(kind(end.write(b"c")), Some(io::ErrorKind::ConnectionReset));
        }
        drop(other);
        assert_eq!(kind(one.read(&mut bytes)), Some(io::ErrorKind::ConnectionReset));
    }
}
