//! What anybody was told of a lottery. Nothing of that may be forgotten or contradicted later.

use std::collections::BTreeSet;

use crate::common::{acknowledged, tells, value};

/// Of every lottery here.
pub const AGENCIES: usize = 3;

/// What was known at some moment.
#[derive(Debug, Default)]
struct Known {
    bets: usize,
    done: usize,
    is_sealed: bool,
    is_drawn: bool,
}

#[derive(Default)]
pub struct Witness {
    pub seal: Option<String>,
    pub number: Option<u32>,
    /// Agencies whose DONE is known.
    pub done: BTreeSet<u32>,
    /// How many of them the last start has found.
    pub done_found: usize,
    /// Bets of each agency that were acknowledged, and those of them that were to processes that have ended.
    told: [usize; AGENCIES],
    of_ended: [usize; AGENCIES],
    /// Before the last central has started.
    before: Known,
}

impl Witness {
    #[track_caller]
    pub fn sees_seal(&mut self, seal: &str) {
        let before = self.seal.get_or_insert_with(|| seal.to_owned());
        assert_eq!(before, seal, "a second seal was told");
    }

    #[track_caller]
    pub fn sees_number(&mut self, number: u32) {
        let before = *self.number.get_or_insert(number);
        assert_eq!(before, number, "a second number was told");
    }

    /// How many agencies are done, as far as anybody knows.
    pub fn done(&self) -> usize {
        self.done.len().max(self.done_found)
    }

    /// Reads the log of a central. What it has found at its start must be all that was told before.
    #[track_caller]
    pub fn central(&mut self, lines: &[String]) {
        for line in lines {
            let number = |key: &str| value(line, key).map(|text| text.parse::<u32>().unwrap());
            match (value(line, "action"), value(line, "result")) {
                (Some("recover"), Some("success")) => self.recovery(line),
                (Some("agencia_finalizada"), Some("success")) => _ = self.done.insert(number("client_id").unwrap()),
                (Some("cierre"), Some("success")) => self.sees_seal(value(line, "sello").unwrap()),
                (Some("sorteo"), Some("success")) => {
                    assert!(self.seal.is_some(), "drawn, and not sealed: {line}");
                    self.sees_number(number("numero").unwrap());
                }
                _ => {}
            }
        }
    }

    /// From here on a central starts: it must find all that is known now.
    pub fn central_starts(&mut self) {
        self.before = Known {
            bets: self.told.iter().sum(),
            done: self.done(),
            is_sealed: self.seal.is_some(),
            is_drawn: self.number.is_some(),
        };
    }

    #[track_caller]
    fn recovery(&mut self, line: &str) {
        let bets: usize = value(line, "bets").unwrap().parse().unwrap();
        // Nobody is missing where it does not say who is done.
        let done = value(line, "done").map_or(AGENCIES, |done| done.parse().unwrap());
        let (is_sealed, drawn) = (value(line, "sealed") == Some("true"), value(line, "drawn"));
        let known = &self.before;
        assert!(bets >= known.bets && done >= known.done, "{line}, but before it started there were {known:?}");
        assert!(is_sealed || !known.is_sealed, "{line}, but before it started there were {known:?}");
        assert!(drawn.is_some() || !known.is_drawn, "{line}, but before it started there were {known:?}");
        self.done_found = done;
        if let Some(number) = drawn {
            self.sees_number(number.parse().unwrap());
        }
    }

    /// Reads all that an agency's process has said. Returns how many bets were acknowledged to the agency in all.
    #[track_caller]
    pub fn agency(&mut self, id: u32, lines: &[String], has_ended: bool) -> usize {
        for line in lines {
            match value(line, "action") {
                Some("sello") => self.sees_seal(value(line, "sello").unwrap()),
                Some("consulta_ganadores") => {
                    if let Some(number) = value(line, "number") {
                        self.sees_number(number.parse().unwrap());
                    }
                }
                _ => {}
            }
        }
        let place = id as usize - 1;
        self.told[place] = self.of_ended[place] + acknowledged(lines);
        if has_ended {
            self.of_ended[place] = self.told[place];
        }
        self.told[place]
    }
}

/// True for a log line that tells that the lottery is sealed.
pub fn is_sealed(line: &str) -> bool {
    tells(line, "cierre", "success") || value(line, "sealed").is_some()
}

/// True for a log line that tells that the draw is held.
pub fn is_drawn(line: &str) -> bool {
    tells(line, "sorteo", "success") || value(line, "drawn").is_some()
}
