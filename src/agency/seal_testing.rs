//! A central that stores, seals and draws, for the tests of an agency there.

use std::sync::Arc;

use super::testing::{FakeCentral, FakePeer};
use crate::domain::seal::{Declared, SealLine, Sealed};
use crate::domain::tree::{Levels, Tree};
use crate::domain::{AgencyId, Checksum, Hash, LotteryId, Secret, Status};
use crate::transport::Acceptance;
use crate::wire::{Ask, Declaration, Message, SealShown};

/// How a test spoils a seal.
pub(super) type Spoil = fn(&mut SealShown);

pub(super) const LOTTERY: LotteryId = LotteryId(0xabc);
pub(super) const SECRET: Secret = Secret([9; 32]);
pub(super) const AGENCY: AgencyId = AgencyId(3);
pub(super) const AGENCIES: u32 = 5;
pub(super) const NUMBER: u32 = 4;

/// A central that stores, seals and draws, and that a test can spoil.
#[derive(Clone)]
pub(super) struct Fake {
    pub(super) identity: Option<(LotteryId, Secret)>,
    /// As `bets.csv` has them.
    pub(super) rows: Vec<String>,
    pub(super) done: bool,
    pub(super) drawn: bool,
    pub(super) status: Status,
    /// The kinds of request that came, one after another.
    pub(super) asked: Vec<String>,
    /// The declarations that came, each with its signature.
    pub(super) declared: Vec<(Declared, Option<String>)>,
    pub(super) refuses_balance: bool,
    pub(super) spoil: Spoil,
    /// The list of winners, if not the true one.
    pub(super) list: Option<&'static str>,
    pub(super) keys: Option<Arc<Acceptance>>,
}

impl Fake {
    pub(super) fn new() -> Fake {
        Fake {
            identity: Some((LOTTERY, SECRET)),
            rows: Vec::new(),
            done: false,
            drawn: false,
            status: Status::Undeclared,
            asked: Vec::new(),
            declared: Vec::new(),
            refuses_balance: false,
            spoil: |_| (),
            list: None,
            keys: None,
        }
    }

    pub(super) fn true_root(&self) -> Declared {
        let mut tree = Tree::default();
        self.rows.iter().for_each(|row| tree.push(SECRET.leaves().leaf(tree.leaves(), row.as_bytes())));
        Declared { bets: tree.leaves(), root: tree.root() }
    }

    pub(super) fn seal(&self) -> SealShown {
        let own = self.true_root();
        let lines: Vec<SealLine> = (1..=AGENCIES)
            .map(|id| SealLine {
                agency: AgencyId(id),
                bets: 7,
                root: Hash([id as u8; 32]),
                status: Status::Undeclared,
            })
            .map(|line| match line.agency {
                AGENCY => SealLine { bets: own.bets, root: own.root, status: self.status, ..line },
                _ => line,
            })
            .collect();
        let Sealed { agencies, total, seal, time, .. } = Sealed::of(LOTTERY, &lines, 1_700_000_000);
        let path = Levels::new(lines.iter().map(SealLine::leaf).collect()).path(AGENCY.0 as usize - 1).unwrap();
        let Declared { bets, root } = own;
        let mut shown =
            SealShown { bets, root, status: self.status, agencies, total, seal, time, path, signature: None };
        if let Some(keys) = &self.keys {
            shown.signature = Some(keys.signer().sign(&shown.sealed(LOTTERY).statement()).unwrap().signature);
        }
        (self.spoil)(&mut shown);
        shown
    }

    /// The reply to a request, or none if it is the end.
    pub(super) fn answer(&mut self, text: &str) -> String {
        let Ok(Message::Agency(request)) = Message::parse(text) else { panic!("{text}") };
        self.asked.push(text.split('|').next().unwrap().to_owned());
        match request.ask {
            Ask::Hello { .. } => {
                let phase = if self.drawn {
                    "drawn"
                } else if self.done {
                    "done"
                } else {
                    "open"
                };
                let checksum = Checksum::default().extended(self.rows.concat().as_bytes());
                let more = self.identity.map_or(String::new(), |(lottery, secret)| format!("|{lottery}|{secret}"));
                format!("HELLO|OK|{}|{phase}|{checksum}{more}", self.rows.len())
            }
            Ask::Batch { header, lines } => {
                let known = self.rows.len() - header.place.unwrap().first as usize;
                let row = |line: &str| format!("{}\r\n", line.strip_prefix("BET|").unwrap().replace('|', ","));
                self.rows.extend(lines.lines().skip(known).map(row));
                format!("ACK_BATCH|OK|{}", header.count)
            }
            Ask::Done { declaration } => {
                let mark = |sent: Declaration<'_>| (sent.declared, sent.signature.map(str::to_owned));
                self.declared.extend(declaration.map(mark));
                if self.refuses_balance {
                    return format!("ACK_DONE|ERR|unbalanced|{}", self.rows.len());
                }
                self.done = true;
                self.status = match declaration {
                    Some(Declaration { signature: Some(_), .. }) => Status::Signed,
                    Some(_) => Status::Declared,
                    None => Status::Undeclared,
                };
                "ACK_DONE|OK".to_owned()
            }
            Ask::WaitSeal => format!("SEAL|OK|{}", self.seal()),
            Ask::WaitDraw => {
                self.drawn = true;
                "DRAW|OK".to_owned()
            }
            Ask::GetDraw => format!("DRAWN|OK|{NUMBER}|-"),
            Ask::GetWinners { from } => {
                let won = |row: &&String| row.trim_end().ends_with(&format!(",{NUMBER}"));
                let documents = self.rows.iter().filter(won).map(|row| row.split(',').nth(3).unwrap());
                let list = self.list.map_or_else(|| documents.collect::<Vec<_>>().join(","), str::to_owned);
                assert_eq!(from, Some(0));
                format!("WINNERS|OK|{}|{list}", list.split(',').filter(|document| !document.is_empty()).count())
            }
            Ask::Bet { .. } => panic!("{text}"),
        }
    }

    /// Serves one connection to its end.
    pub(super) fn serve(&mut self, peer: &mut FakePeer) {
        while let Some(text) = peer.frame() {
            let reply = self.answer(&text);
            peer.send(&reply);
        }
    }

    pub(super) fn start(mut self) -> FakeCentral<Fake> {
        FakeCentral::with(self.keys.clone(), move |accept| {
            self.serve(&mut accept());
            self
        })
    }
}
