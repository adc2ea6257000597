//! Received bytes, split into frames and lines.

use std::io;

use super::kept::{Blocks, Kept};
use crate::transport::{self, Read, Stream};
use crate::wire::frame::{self, FrameError, HEADER, Incoming, MAX_FRAME};

/// Maximum bytes of one read.
pub const READ_BYTES: usize = 64 * 1024;
/// Maximum bytes of an incomplete frame or line, and of what is read during a wait for the draw.
const PARTIAL_BYTES: usize = HEADER + MAX_FRAME + 1;

/// A worker's buffer, used for one connection after the other. It holds the bytes of that connection that are not taken
/// yet.
pub struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub fn new() -> Input {
        Input { buffer: vec![0; 2 * READ_BYTES + PARTIAL_BYTES], start: 0, end: 0 }
    }

    /// Loads the bytes that the connection's last pass did not take.
    pub fn load(&mut self, left: &mut Kept, blocks: &Blocks) {
        (self.start, self.end) = (0, 0);
        left.take(blocks, |bytes| {
            self.buffer[self.end..][..bytes.len()].copy_from_slice(bytes);
            self.end += bytes.len();
        });
    }

    /// The bytes that are not taken.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub fn clear(&mut self) {
        self.start = self.end;
    }

    /// Takes the next frame or line, if it is there whole.
    pub fn next(&mut self) -> Result<Option<Incoming<'_, &[u8]>>, FrameError> {
        let bytes = &self.buffer[self.start..self.end];
        Ok(frame::next_content(bytes)?.map(|(incoming, length)| {
            self.start += length;
            incoming
        }))
    }

    /// How much may be read ahead of a wait for the draw: as much as leaves no more than a frame untaken.
    pub fn room_ahead(&self) -> usize {
        PARTIAL_BYTES.saturating_sub(self.end - self.start)
    }

    /// Reads once, `most` bytes at most.
    pub fn read(&mut self, stream: &mut dyn Stream, most: usize) -> io::Result<Read> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let end = self.buffer.len().min(self.end + most.min(READ_BYTES));
        let read = transport::read(stream, &mut self.buffer[self.end..end])?;
        if let Read::Some(read) = read {
            self.end += read;
        }
        Ok(read)
    }

    /// Reads once and discards the bytes. `Nothing` if there are none now.
    pub fn discard(&mut self, stream: &mut dyn Stream) -> io::Result<Read> {
        (self.start, self.end) = (0, 0);
        transport::discard(stream, &mut self.buffer[..READ_BYTES])
    }
}
