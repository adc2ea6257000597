//! The kinds of request: the word of each, the word of its reply, and its form.

use std::ops::RangeInclusive;

/// The kinds of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Bet,
    Batch { count: u32 },
    Done,
    GetWinners { paged: bool },
    Hello,
    WaitDraw,
    WaitSeal,
    GetDraw,
    HoldDraw,
    Status,
}

/// The form of a kind of request, and the first word of its reply.
pub(super) struct Shape {
    pub word: &'static str,
    pub answer: &'static str,
    pub fields: RangeInclusive<usize>,
    pub form: &'static str,
    /// More lines may follow the first one in the same frame.
    pub has_lines: bool,
}

impl Verb {
    const ALL: [Verb; 10] = [
        Verb::Bet,
        Verb::Batch { count: 0 },
        Verb::Done,
        Verb::GetWinners { paged: false },
        Verb::Hello,
        Verb::WaitDraw,
        Verb::WaitSeal,
        Verb::GetDraw,
        Verb::HoldDraw,
        Verb::Status,
    ];

    pub(super) fn shape(self) -> Shape {
        let plain = |word, answer| Shape { word, answer, fields: 2..=2, form: "<request>|<agency>", has_lines: false };
        match self {
            Verb::Bet => Shape {
                fields: 7..=9,
                form: "BET|<agency>|<first name>|<last name>|<document>|<birthdate>|<number>",
                ..plain("BET", "ACK")
            },
            Verb::Batch { .. } => Shape {
                fields: 3..=5,
                form: "BATCH|<agency>|<count> or BATCH|<agency>|<count>|<first>",
                has_lines: true,
                ..plain("BATCH", "ACK_BATCH")
            },
            Verb::GetWinners { .. } => Shape {
                fields: 2..=3,
                form: "GET_WINNERS|<agency> or GET_WINNERS|<agency>|<from>",
                ..plain("GET_WINNERS", "WINNERS")
            },
            Verb::Done => Shape {
                fields: 2..=5,
                form: "DONE|<agency> or DONE|<agency>|<bets>|<root>",
                ..plain("DONE", "ACK_DONE")
            },
            Verb::Hello => Shape { fields: 2..=3, ..plain("HELLO", "HELLO") },
            Verb::WaitDraw => plain("WAIT_DRAW", "DRAW"),
            Verb::WaitSeal => plain("WAIT_SEAL", "SEAL"),
            Verb::GetDraw => plain("GET_DRAW", "DRAWN"),
            Verb::HoldDraw => Shape {
                fields: 4..=4,
                form: "HOLD_DRAW|<number>|<seal>|<signature or token>",
                ..plain("HOLD_DRAW", "DRAWN")
            },
            Verb::Status => Shape { fields: 1..=1, form: "STATUS", ..plain("STATUS", "STATUS") },
        }
    }

    pub(super) fn word(self) -> &'static str {
        self.shape().word
    }

    /// The first word of its reply.
    pub(super) fn answer(self) -> &'static str {
        self.shape().answer
    }

    /// The verb of this word.
    pub(super) fn of_word(word: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.word() == word)
    }

    /// A verb whose replies begin with this word.
    pub(super) fn of_answer(word: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.answer() == word)
    }
}
