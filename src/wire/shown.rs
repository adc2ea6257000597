//! What a central shows of a lottery: its seal, its draw and where it stands, each as the fields of a reply.

use std::fmt;
use std::str::FromStr;

use crate::domain::seal::{SealLine, Sealed, plain_number};
use crate::domain::{AgencyId, Hash, LotteryId, Status};

/// The seal, as an agency is shown it at the close: its own line, what leads from there to the seal, and the seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealShown {
    pub bets: u64,
    pub root: Hash,
    pub status: Status,
    pub agencies: u32,
    pub total: u64,
    pub seal: Hash,
    /// Seconds since 1970.
    pub time: u64,
    pub path: Vec<Hash>,
    /// The central's, `<scheme>:<base64>`.
    pub signature: Option<String>,
}

/// The draw that was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub number: u32,
    /// The operator's, `<scheme>:<base64>`.
    pub signature: Option<String>,
}

/// Where the lottery stands, for its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// None until the store's files could be written.
    pub lottery: Option<LotteryId>,
    pub agencies: u32,
    /// Agencies that are done.
    pub done: u32,
    pub bets: u64,
    pub seal: Option<Hash>,
    pub number: Option<u32>,
}

impl SealShown {
    pub fn line(&self, agency: AgencyId) -> SealLine {
        SealLine { agency, bets: self.bets, root: self.root, status: self.status }
    }

    pub fn sealed(&self, lottery: LotteryId) -> Sealed {
        let SealShown { agencies, total, seal, time, .. } = *self;
        Sealed { lottery, agencies, total, seal, time }
    }
}

/// A value, or `-` for none.
struct OrDash<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(out),
            None => out.write_str("-"),
        }
    }
}

fn or_dash<T: FromStr>(text: &str) -> Option<Option<T>> {
    if text == "-" { Some(None) } else { text.parse().ok().map(Some) }
}

impl SealShown {
    pub(super) fn read(fields: &str) -> Option<SealShown> {
        let fields: Vec<&str> = fields.split('|').collect();
        let [bets, root, status, agencies, total, seal, time, path, signature] = fields[..] else { return None };
        let path = path.split(',').filter(|hash| !hash.is_empty()).map(|hash| hash.parse().ok());
        Some(SealShown {
            bets: plain_number(bets)?,
            root: root.parse().ok()?,
            status: status.parse().ok()?,
            agencies: plain_number(agencies)?,
            total: plain_number(total)?,
            seal: seal.parse().ok()?,
            time: plain_number(time)?,
            path: path.collect::<Option<_>>()?,
            signature: or_dash(signature)?,
        })
    }
}

impl fmt::Display for SealShown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SealShown { bets, root, status, agencies, total, seal, time, path, signature } = self;
        write!(out, "{bets}|{root}|{status}|{agencies}|{total}|{seal}|{time}|")?;
        for (place, hash) in path.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(out, "{comma}{hash}")?;
        }
        write!(out, "|{}", OrDash(signature.as_ref()))
    }
}

impl Drawn {
    pub(super) fn read(fields: &str) -> Option<Drawn> {
        let (number, signature) = fields.split_once('|')?;
        Some(Drawn { number: plain_number(number)?, signature: or_dash(signature)? })
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}|{}", self.number, OrDash(self.signature.as_ref()))
    }
}

impl Stand {
    pub(super) fn read(fields: &str) -> Option<Stand> {
        // A later central may send more fields.
        let mut fields = fields.split('|');
        let mut next = || fields.next();
        Some(Stand {
            lottery: or_dash(next()?)?,
            agencies: plain_number(next()?)?,
            done: plain_number(next()?)?,
            bets: plain_number(next()?)?,
            seal: or_dash(next()?)?,
            number: or_dash(next()?)?,
        })
    }
}

impl fmt::Display for Stand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stand { lottery, agencies, done, bets, seal, number } = self;
        write!(
            out,
            "{}|{agencies}|{done}|{bets}|{}|{}",
            OrDash(lottery.as_ref()),
            OrDash(seal.as_ref()),
            OrDash(number.as_ref())
        )
    }
}
