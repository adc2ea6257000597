//! A whole session against its model, whatever the peer sends. See `src/fuzzing.rs`.
#![allow(clippy::unwrap_used)]

mod bets;
mod lottery;
mod model;

use std::io::Write as _;
use std::time::Duration;

use super::session::Next;
use super::testing::Stage;
use crate::domain::AgencyId;
use crate::ledger::files::BETS;
use crate::transport::Stream as _;
use crate::wire::{frame, fuzzing::batch};
use bets::AGENCIES;
use lottery::Lottery;
use model::Model;

/// Each direction holds more bytes than a script can cause.
const CAPACITY: usize = 1 << 24;
/// The longest script, and the most lines of one: fewer than answers may be owed.
const MOST_BYTES: usize = 4096;
const MOST_LINES: usize = 300;
/// Lines that may wait for a write: fewer than replies may be gathered.
const MOST_UNWRITTEN: usize = 50;
const LONG: Duration = Duration::from_secs(600);

/// A script: each line is the text of a frame that the peer sends, in which `~` stands for a line feed, `%C1` for the checksum
/// of what is stored of agency 1, and `%R1` for the root over it. Other lines begin with `@`:
///
/// - `@write`: the ledger writes what is in its line.
/// - `@draw`: a worker seals the lottery and holds the draw, if that is due.
/// - `@cut <bytes>`: what is sent comes in pieces of so many bytes from here on.
/// - `@raw <bytes>`: these bytes come without a frame, and a line feed behind them.
/// - `@keyed <bet>;<bet>`: a batch in the dialect of keys and values.
/// - `@end`: the peer sends nothing more.
///
/// After each line the same bytes must have come back as in the model, and the same rows must be on disk.
pub fn session(script: &[u8]) {
    let mut play = Play::new();
    let script = &script[..script.len().min(MOST_BYTES)];
    for (place, line) in script.split(|byte| *byte == b'\n').take(MOST_LINES).enumerate() {
        play.play(line);
        if place % MOST_UNWRITTEN == MOST_UNWRITTEN - 1 {
            play.write();
        }
        if play.model.has_ended() {
            break;
        }
    }
    play.write();
    play.draw();
}

struct Play {
    stage: Stage,
    model: Model,
    piece: usize,
    is_closed: bool,
}

impl Play {
    fn new() -> Play {
        let stage = Stage::of(AGENCIES, CAPACITY, LONG);
        let model = Model::new(Lottery::new(&stage.folder));
        Play { stage, model, piece: usize::MAX, is_closed: false }
    }

    fn play(&mut self, line: &[u8]) {
        let behind = |start: &[u8]| line.strip_prefix(start);
        match line {
            b"" => {}
            b"@write" => self.write(),
            b"@draw" => {
                self.write();
                self.draw();
            }
            b"@end" => {
                self.stage.peer().close_sending().unwrap();
                self.model.end_of_peer();
                self.pass();
            }
            _ => {
                if let Some(size) = behind(b"@cut ") {
                    let size = str::from_utf8(size).ok().and_then(|size| size.parse().ok());
                    self.piece = size.unwrap_or(1).max(1);
                } else if let Some(bytes) = behind(b"@raw ") {
                    self.send(&[bytes, b"\n"].concat());
                } else if let Some(bets) = behind(b"@keyed ") {
                    let bets: Vec<&[u8]> = bets.split(|byte| *byte == b';').collect();
                    self.send(&framed(&batch(&bets)));
                } else {
                    self.send(&framed(&self.filled(line)));
                }
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        // So few passes that a script is over soon, however long its lines are.
        for piece in bytes.chunks(self.piece.max(bytes.len() / 64 + 1)) {
            self.stage.peer().write_all(piece).unwrap();
            self.model.receive(piece);
            self.pass();
            if self.model.has_ended() {
                break;
            }
        }
    }

    /// A worker serves the session, and what comes back is compared.
    fn pass(&mut self) {
        if !self.is_closed {
            self.is_closed = matches!(self.stage.pass(), Next::Close(_));
        }
        let (came, expected) = (self.stage.answers(), self.model.answers());
        assert!(came == expected, "came: {:?}, expected: {:?}", shown(&came), shown(&expected));
        if self.is_closed {
            assert!(self.model.has_ended(), "it was closed without a reason");
        }
    }

    fn write(&mut self) {
        self.stage.write();
        self.weigh();
        self.model.write();
        self.pass();
        assert_eq!(String::from_utf8_lossy(&self.stage.folder.bytes(BETS)), self.model.lottery.bets);
    }

    /// A worker computes the roots that declarations wait for.
    fn weigh(&mut self) {
        while self.stage.central.claims_weighing() {
            self.stage.central.weigh();
            self.stage.write();
        }
    }

    fn draw(&mut self) {
        let is_due = self.stage.central.claims_draw();
        assert_eq!(is_due, self.model.lottery.is_due());
        if is_due {
            self.stage.hold_claimed_draw();
            self.weigh();
            self.model.draw(&self.stage.folder);
        }
        self.pass();
    }

    fn filled(&self, line: &[u8]) -> Vec<u8> {
        let Ok(line) = str::from_utf8(line) else { return line.to_vec() };
        let mut line = line.replace('~', "\n");
        for agency in 1..=AGENCIES {
            let (checksum, root) = self.model.lottery.sums(AgencyId(agency));
            line = line.replace(&format!("%C{agency}"), &checksum.to_string());
            line = line.replace(&format!("%R{agency}"), &root.to_string());
        }
        line.into_bytes()
    }
}

fn framed(content: &[u8]) -> Vec<u8> {
    let content = &content[..content.len().min(frame::MAX_FRAME)];
    [&(content.len() as u32).to_be_bytes(), content].concat()
}

fn shown(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
