//! Frames: a 4-byte big-endian length (1 to [`MAX_FRAME`]), then that many bytes of UTF-8 text.
//!
//! The first byte of a length is always zero. Bytes that start with another byte are a plain line of text, which the echo
//! exercises send to the same port. [`next`] tells the two apart.
//!
//! ```
//! use quiniela::wire::frame::{self, Incoming};
//!
//! let mut bytes = Vec::new();
//! frame::push(&mut bytes, &"DONE|3");
//! assert_eq!(bytes, b"\0\0\0\x07DONE|3\n");
//! assert_eq!(frame::next(&bytes), Ok(Some((Incoming::Frame("DONE|3\n"), bytes.len()))));
//! assert_eq!(frame::next(&bytes[..5]), Ok(None), "the rest has not come yet");
//! assert_eq!(frame::next(b"hola\n"), Ok(Some((Incoming::Line(b"hola\n"), 5))));
//! ```

use std::fmt;
use std::io::Write as _;

/// The most bytes of text in a frame, and of a line of text before its line feed.
pub const MAX_FRAME: usize = 8192;

/// The bytes of the length before the text.
pub const HEADER: usize = 4;

/// A message of a peer: a frame's text or content, or a line without a frame, its line feed included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a, F = &'a str> {
    Frame(F),
    Line(&'a [u8]),
}

/// The first message in some bytes and how many bytes it takes, or `None` if it is incomplete.
pub type First<'a, F = &'a str> = Result<Option<(Incoming<'a, F>, usize)>, FrameError>;

/// Bytes that are not a valid message. It is unknown where the next message starts, so the connection has to close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    Length(usize),
    NotUtf8 { offset: usize },
    LineTooLong,
}

/// The first frame or line of `bytes`.
pub fn next(bytes: &[u8]) -> First<'_> {
    Ok(match next_content(bytes)? {
        None => None,
        Some((Incoming::Frame(content), length)) => Some((Incoming::Frame(text(content)?), length)),
        Some((Incoming::Line(line), length)) => Some((Incoming::Line(line), length)),
    })
}

/// The same without the check that the content is UTF-8.
pub fn next_content(bytes: &[u8]) -> First<'_, &[u8]> {
    match bytes.first() {
        None => Ok(None),
        Some(0) => next_frame(bytes),
        Some(_) => next_line(bytes),
    }
}

/// Appends a message and a line feed as one frame. The caller guarantees that they fit a frame. This is asserted, because after
/// a wrong length the peer could not find the next frame.
pub fn push(out: &mut Vec<u8>, message: &impl fmt::Display) {
    push_with(out, |out| {
        // Writing to a vector never fails.
        let _ = write!(out, "{message}");
    });
}

/// The same for a message that `write` appends. It has to be UTF-8.
pub fn push_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    write(out);
    out.push(b'\n');
    let length = out.len() - start - HEADER;
    assert!(length <= MAX_FRAME, "a message of {length} bytes does not fit a frame");
    out[start..start + HEADER].copy_from_slice(&(length as u32).to_be_bytes());
}

/// The text of a frame's content.
pub fn text(content: &[u8]) -> Result<&str, FrameError> {
    simdutf8::compat::from_utf8(content).map_err(|error| FrameError::NotUtf8 { offset: error.valid_up_to() })
}

fn next_frame(bytes: &[u8]) -> First<'_, &[u8]> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*header) as usize;
    if !(1..=MAX_FRAME).contains(&length) {
        return Err(FrameError::Length(length));
    }
    Ok(rest.get(..length).map(|content| (Incoming::Frame(content), HEADER + length)))
}

fn next_line(bytes: &[u8]) -> First<'_, &[u8]> {
    match memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_FRAME + 1)]) {
        Some(end) => Ok(Some((Incoming::Line(&bytes[..=end]), end + 1))),
        None if bytes.len() > MAX_FRAME => Err(FrameError::LineTooLong),
        None => Ok(None),
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Length(length) => write!(formatter, "frame length {length} is not 1 to {MAX_FRAME}"),
            FrameError::NotUtf8 { offset } => write!(formatter, "frame is not UTF-8 from its byte {offset} on"),
            FrameError::LineTooLong => write!(formatter, "line is longer than {MAX_FRAME} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_outside_the_limits_are_errors_before_any_text_comes() {
        assert_eq!(next(&[0, 0, 0, 0]), Err(FrameError::Length(0)));
        assert_eq!(next(&[0, 0, 0x20, 1]), Err(FrameError::Length(8193)));
        assert_eq!(next(&[0, 0xff, 0xff, 0xff]), Err(FrameError::Length(0xff_ffff)));
        assert_eq!(next(&[0, 0, 0x20, 0]), Ok(None));
        assert_eq!(next(&[0, 0, 0]), Ok(None));
    }

    #[test]
    fn text_that_is_not_utf8_says_where() {
        assert_eq!(next(&[0, 0, 0, 3, b'a', 0xff, b'b']), Err(FrameError::NotUtf8 { offset: 1 }));
    }

    #[test]
    fn a_line_has_up_to_8192_bytes_before_its_end() {
        let mut line = vec![b'x'; MAX_FRAME];
        assert_eq!(next(&line), Ok(None));
        line.push(b'\n');
        assert_eq!(next(&line), Ok(Some((Incoming::Line(&line), MAX_FRAME + 1))));
        line.insert(0, b'x');
        assert_eq!(next(&line), Err(FrameError::LineTooLong));
    }

    proptest! {
        #[test]
        fn frames_come_back_whole_however_the_stream_is_cut(
            texts in prop::collection::vec("\\PC{0,80}", 1..12),
            cuts in prop::collection::vec(1_usize..40, 1..60),
        ) {
            let mut stream = Vec::new();
            texts.iter().for_each(|text| push(&mut stream, text));
            for piece_sizes in [&cuts[..], &[1]] {
                let (mut buffer, mut sent, mut seen) = (Vec::new(), 0, Vec::new());
                for size in piece_sizes.iter().cycle() {
                    let end = (sent + size).min(stream.len());
                    buffer.extend_from_slice(&stream[sent..end]);
                    sent = end;
                    while let Some((Incoming::Frame(text), taken)) = next(&buffer).unwrap() {
                        seen.push(text.strip_suffix('\n').unwrap().to_owned());
                        buffer.drain(..taken);
                    }
                    if sent == stream.len() {
                        break;
                    }
                }
                prop_assert!(buffer.is_empty());
                prop_assert_eq!(&seen, &texts);
            }
        }

        #[test]
        fn any_bytes_at_all_are_a_frame_a_line_an_error_or_incomplete(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            crate::wire::fuzzing::frames(&bytes);
        }
    }
}
