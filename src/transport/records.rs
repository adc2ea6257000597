//! The bytes below TLS on their way in: what was read ahead of TLS, how much may be read, and how much of a record that is not
//! whole yet has come.

use std::collections::VecDeque;
use std::io::{self, Read};

/// A record's type, version and length.
const HEADER: usize = 5;
/// The type and the version with which a client's first record begins.
const CLIENT_HELLO: [u8; 3] = [0x16, 3, 1];

/// See the module.
pub(super) struct Wire<S> {
    pub stream: S,
    /// What was read before it was known to be TLS.
    early: VecDeque<u8>,
    /// What may be read at once.
    pub most: usize,
    record: Record,
}

/// The record that is coming in.
#[derive(Default)]
struct Record {
    header: [u8; HEADER],
    /// How much of the header has come, and of what it announces.
    in_header: usize,
    in_content: usize,
}

impl<S> Wire<S> {
    pub fn new(stream: S, early: Vec<u8>) -> Wire<S> {
        Wire { stream, early: early.into(), most: usize::MAX, record: Record::default() }
    }

    /// Whether the record that is coming in is the beginning of a client's hello, whose version no other record has.
    pub fn is_hello(&self) -> bool {
        self.record.in_header >= CLIENT_HELLO.len() && self.record.header.starts_with(&CLIENT_HELLO)
    }

    /// What was read and does not make a whole record, or was not given to TLS yet.
    pub fn held(&self) -> usize {
        self.early.len() + self.record.in_header + self.record.in_content
    }
}

impl<S: Read> Read for Wire<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.most);
        let into = &mut into[..most];
        let read = if self.early.is_empty() { self.stream.read(into)? } else { self.early.read(into)? };
        if self.early.is_empty() && self.early.capacity() > 0 {
            self.early = VecDeque::new();
        }
        self.record.advance(&into[..read]);
        Ok(read)
    }
}

impl Record {
    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.in_header < HEADER {
                let taken = bytes.len().min(HEADER - self.in_header);
                self.header[self.in_header..self.in_header + taken].copy_from_slice(&bytes[..taken]);
                self.in_header += taken;
                bytes = &bytes[taken..];
            }
            if self.in_header == HEADER {
                let length = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                let taken = bytes.len().min(length - self.in_content);
                self.in_content += taken;
                bytes = &bytes[taken..];
                if self.in_content == length {
                    *self = Record::default();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_counted_however_it_is_cut() {
        let record = |length: u8| [&[23, 3, 3, 0, length][..], &vec![length; length.into()]].concat();
        let bytes = [record(3), record(0), record(200), record(1)].concat();
        let ends = [0, 8, 13, 218, 224];
        for step in [1, 2, 5, 7, 100, 1000] {
            let mut wire = Wire::new(&bytes[..], Vec::new());
            let mut read = 0;
            while read < bytes.len() {
                wire.most = step;
                read += wire.read(&mut [0; 512]).unwrap();
                let start = ends.iter().rfind(|end| **end <= read).unwrap();
                assert_eq!(wire.held(), read - start, "{read} bytes in steps of {step}");
            }
        }
    }

    #[test]
    fn what_was_read_early_comes_first() {
        let mut wire = Wire::new(&b"cd"[..], b"ab".to_vec());
        assert_eq!(wire.held(), 2);
        let mut all = Vec::new();
        wire.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"abcd");
    }
}
