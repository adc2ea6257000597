//! What has to hold of an audit's rows and documents, whatever bytes they have. See `src/fuzzing.rs`.
#![allow(clippy::unwrap_used)]

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::documents::{check_acta, hashes, nodes, seal_of};
use super::rows;
use super::salt::{SALT, leaf_of, line_leaf};
use super::signatures;
use super::ticket::{check_itself, salt};
use crate::domain::acta::{self, Acta, Receipt, Ticket};
use crate::domain::{AgencyId, Bet, Hash, MAX_AGENCIES, Rows, Status};

pub use super::signatures::role_of;
pub use super::tree::climb;

/// The agencies of an acta that is tried.
const MOST_AGENCIES: usize = 40;

/// A text of `bets.csv`: what an audit sees at a glance is what the csv crate reads, and what it lets pass is what a central
/// writes.
pub fn audited_rows(text: &[u8]) {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines.iter().for_each(|line| _ = rows::both_ways(line));
    let mut found = Vec::new();
    if let Err(bad) = rows::read(text, 3, &mut found) {
        assert!(found.len() as u64 == bad.row && found.len() < lines.len());
    }
    for (row, line) in found.iter().zip(lines) {
        assert!(row.bytes == line.len() && (1..=3).contains(&row.agency));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
        let record = reader.records().next().unwrap().unwrap();
        let fields: Vec<&str> = record.iter().skip(1).collect();
        let bet = Bet::new(fields.try_into().unwrap()).unwrap();
        assert_eq!((record[0].parse(), bet.number), (Ok(row.agency), row.number));
        let (mut ours, mut written) = (Rows::new(AgencyId(row.agency)), Vec::new());
        ours.push(&bet);
        rows::write(row.agency, &bet, &mut written);
        assert_eq!((ours.bytes(), &written[..]), (line, line));
    }
}

/// An acta, with its checksum or without: it survives, one that fits itself passes, and no change of that one does.
pub fn acta(bytes: &[u8]) {
    one_form::<Acta>(bytes);
    let Ok(mut acta) = serde_json::from_slice::<Acta>(bytes) else { return };
    survives(&acta, bytes);
    // Neither may fail for what it finds.
    let _ = (check_acta(&acta), signatures::check(&acta, None));
    mend_acta(&mut acta);
    if acta.agencies.is_empty() {
        return;
    }
    assert_eq!(check_acta(&acta), Ok(()));
    let closing = Acta::closing(acta.lottery, acta.agencies.clone(), acta.sealed_at);
    assert_eq!((closing.total, closing.seal), (acta.total, acta.seal), "the central's tree makes another seal");
    let place = bytes.len() % acta.agencies.len();
    let changes: [fn(&mut Acta, usize); 7] = [
        |acta, _| acta.total += 1,
        |acta, _| acta.seal.0[7] ^= 1,
        |acta, place| acta.agencies[place].bets += 1,
        |acta, place| acta.agencies[place].root.0[31] ^= 1,
        |acta, place| acta.agencies[place].agency += 1,
        |acta, place| drop(acta.agencies.remove(place)),
        |acta, place| {
            let line = &mut acta.agencies[place];
            line.status = if line.status == Status::Declared { Status::Overridden } else { Status::Declared };
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = acta.clone();
        change(&mut changed, place);
        assert!(check_acta(&changed).is_err(), "change {number}: {changed:?}");
    }
}

/// A receipt or a ticket, with its checksum or without, likewise.
pub fn ticket(bytes: &[u8]) {
    one_form::<Ticket>(bytes);
    one_form::<Receipt>(bytes);
    if let Ok(receipt) = serde_json::from_slice::<Receipt>(bytes) {
        survives(&receipt, bytes);
    }
    let Ok(mut ticket) = serde_json::from_slice::<Ticket>(bytes) else { return };
    survives(&ticket, bytes);
    // Neither may fail for what it finds.
    let _ = (check_itself(&ticket), signatures::check_seal(&ticket.sealed(), ticket.signed.as_ref(), None));
    let Some(number) = mend_ticket(&mut ticket) else { return };
    assert_eq!(check_itself(&ticket), Ok(number));
    let changes: [fn(&mut Ticket); 8] = [
        |ticket| ticket.bet = if ticket.bet == ticket.bets { ticket.bet - 1 } else { ticket.bet + 1 },
        |ticket| ticket.agency += 1,
        |ticket| ticket.row.insert(ticket.row.len() - 1, '1'),
        |ticket| ticket.salt = if ticket.salt.starts_with('0') { "1".repeat(2 * SALT) } else { "0".repeat(2 * SALT) },
        |ticket| ticket.root.0[0] ^= 1,
        |ticket| ticket.seal.0[0] ^= 1,
        |ticket| ticket.path.push(ticket.root),
        |ticket| {
            ticket.status = if ticket.status == Status::Declared { Status::Overridden } else { Status::Declared };
        },
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let mut changed = ticket.clone();
        change(&mut changed);
        assert!(check_itself(&changed).is_err(), "change {place}: {changed:?}");
    }
}

/// Gives an acta the agencies' numbers, sum and seal that it must have, and each agency what its status needs.
fn mend_acta(acta: &mut Acta) {
    acta.agencies.truncate(MOST_AGENCIES);
    acta.total = 0;
    let is_drawn = acta.draw.is_some();
    for (id, line) in (1..).zip(&mut acta.agencies) {
        line.agency = id;
        line.bets >>= 8;
        acta.total += line.bets;
        line.winners = is_drawn.then(|| line.winners.unwrap_or(0).min(line.bets));
        line.status = match line.status {
            _ if line.signed.is_some() => Status::Signed,
            Status::Signed => Status::Undeclared,
            other => other,
        };
    }
    if let Some(draw) = &mut acta.draw {
        draw.later |= draw.signed.is_some();
    }
    acta.seal = seal_of(acta, None).unwrap().0;
}

/// Gives a ticket whose row is one the places, paths, root and seal that it must have. Returns the number of its bet.
fn mend_ticket(ticket: &mut Ticket) -> Option<u32> {
    let row = format!("{}\r\n", ticket.row);
    let mut rows = Vec::new();
    rows::read(row.as_bytes(), MAX_AGENCIES, &mut rows).ok()?;
    let [found] = rows[..] else { return None };
    ticket.agency = found.agency;
    ticket.bet = ticket.bet.clamp(1, u64::MAX - 1);
    ticket.bets = ticket.bets.clamp(ticket.bet, u64::MAX - 1);
    ticket.total = ticket.total.max(ticket.bets);
    ticket.agencies = ticket.agencies.max(ticket.agency);
    let salt = salt(&ticket.salt).unwrap_or_else(|| {
        ticket.salt = "5a".repeat(SALT);
        [0x5a; SALT]
    });
    let leaf = leaf_of(&salt, row.as_bytes());
    ticket.root = lead(leaf, ticket.bet - 1, ticket.bets, &mut ticket.path);
    let line = line_leaf(ticket.agency, ticket.bets, ticket.root, ticket.status);
    let (place, agencies) = (u64::from(ticket.agency) - 1, u64::from(ticket.agencies));
    ticket.seal = lead(line, place, agencies, &mut ticket.agency_path);
    Some(found.number)
}

/// Gives a path the length that it must have, and tells where it leads.
fn lead(leaf: [u8; 32], place: u64, leaves: u64, path: &mut Vec<Hash>) -> Hash {
    let (mut length, mut at, mut width) = (0, place, leaves);
    while width > 1 {
        length += usize::from(at ^ 1 < width);
        (at, width) = (at / 2, width.div_ceil(2));
    }
    let mut nodes = nodes(path);
    nodes.resize(length, [7; 32]);
    *path = hashes(&nodes);
    Hash(climb(leaf, place, leaves, &nodes).unwrap())
}

/// A document that is read is written in the same bytes.
fn one_form<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(document) = acta::read::<T>(bytes) {
        assert_eq!(acta::write(&document).unwrap().as_bytes(), bytes);
    }
}

/// A document that is written is read again; with a bit flipped or cut short it is none. `noise` chooses where.
fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(document: &T, noise: &[u8]) {
    let text = acta::write(document).unwrap();
    assert_eq!(acta::read::<T>(text.as_bytes()).as_ref(), Ok(document));
    let place = noise.iter().fold(noise.len(), |sum, byte| (sum * 31 + usize::from(*byte)) % text.len());
    let mut changed = text.clone().into_bytes();
    changed[place] ^= 1 << (noise.len() % 8);
    assert!(acta::read::<T>(&changed).is_err(), "bit {} of byte {place}", noise.len() % 8);
    assert!(acta::read::<T>(&text.as_bytes()[..place]).is_err(), "cut at {place}");
}
