//! What has to hold of the journal and of a store, whatever is in them. See `src/fuzzing.rs`.
#![allow(clippy::unwrap_used)]

use fastrand::Rng;

use super::disk::{Folder as _, write_anew};
use super::journal::{self, Journal, LAST_PACKED};
use super::papers::{ACTA, DECLARATIONS, SECRETS};
use super::record::{self, BODY, Damage, Extent, RECORD, Record};
use super::replay::replay;
use super::sectors::{self, Commit, SECTOR};
use super::{BETS, Files, JOURNAL, Limits, Store as _};
use crate::domain::acta::{self, Acta, FORMAT, StoreSecrets};
use crate::domain::{LotteryId, SaidRules, Secret};

pub use super::simulated_disk::SimFolder;

/// Blocks and logs of a store so small that short files reach their limits.
const SMALL: Limits = Limits {
    block: 64,
    blocks: 3,
    growth: 512,
    step: 1024,
    ahead: 512,
    reserve: 512,
    riding: 600,
    log_bytes: 640,
    rows_behind: 640,
};

/// A store in memory.
pub fn in_memory(said: SaidRules) -> (Files, SimFolder) {
    let folder = SimFolder::new(Rng::with_seed(1));
    let (files, _) = Files::open_in(Box::new(folder.clone()), said, super::LIMITS, Box::new(|_| ())).unwrap();
    (files, folder)
}

/// The first line is noise that chooses places, and the others are the texts of records. Damage is told by its offset, what a
/// crash can leave costs at most the last commit, and what is read is the same when it is written again.
pub fn journal(bytes: &[u8]) {
    read_raw(bytes);
    let Some((noise, texts)) = str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n')) else { return };
    let texts: Vec<&str> = texts.lines().collect();
    let Some(bytes) = written(&texts) else { return };
    let Some(found) = read_raw(&bytes) else { return };
    let mut rng =
        Rng::with_seed(noise.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into())));
    let log: Vec<Record> = found.log.iter().flat_map(|commit| commit.records.iter().cloned()).collect();
    again(&found, &log, &mut rng);
    let used = texts.len() * RECORD;
    // Every byte that we write has two bits that are set, so that no flipped one makes a zero of it.
    if found.format <= LAST_PACKED && bytes[..used].iter().all(|byte| byte.count_ones() > 1) {
        assert_eq!((found.snapshot.len() + log.len() + 1, found.torn_records), (texts.len(), 0));
        let bit = rng.usize(0..used * 8);
        let damage = journal::read(&flipped(&bytes, bit)).unwrap_err();
        assert_eq!(damage.offset, (bit / 8 / RECORD * RECORD) as u64, "bit {bit}: {}", damage.what);
        tear(&bytes, &texts, &found, &log, &mut rng);
        let cut = rng.usize(0..bytes.len());
        if let Ok(journal) = journal::read(&bytes[..cut]) {
            assert_eq!(journal, found, "cut at {cut}");
        }
    }
    let _ = replay(found, 16);
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

/// Loses any part of the last commit of a packed log.
fn tear(bytes: &[u8], texts: &[&str], found: &Journal, log: &[Record], rng: &mut Rng) {
    let group = |text: &&&str| text.split(':').next().and_then(|group| group.parse::<u64>().ok());
    let lines = &texts[found.snapshot.len() + 1..];
    let last = lines.iter().rev().take_while(|text| group(text) == lines.last().as_ref().and_then(group)).count();
    if last == 0 {
        return;
    }
    let before = log.len() - last;
    let range = (texts.len() - last) * RECORD..texts.len() * RECORD;
    let (one, other) = (rng.usize(range.clone()), rng.usize(range));
    let mut torn = bytes.to_vec();
    torn[one.min(other)..=one.max(other)].fill(0);
    let left = journal::read(&torn).unwrap();
    assert_eq!((&left.snapshot, left.format), (&found.snapshot, found.format));
    let [Commit { records, .. }] = &left.log[..] else { panic!("{left:?}") };
    assert!((before..log.len()).contains(&records.len()) && log.starts_with(records), "{left:?}");
}

/// Reads any bytes.
fn read_raw(bytes: &[u8]) -> Option<Journal> {
    match journal::read(bytes) {
        Ok(journal) => Some(journal),
        Err(Damage { offset, what }) => {
            assert!(offset <= (bytes.len() + RECORD) as u64 && !what.is_empty(), "{offset}: {what}");
            None
        }
    }
}

/// Writes a journal of the same records as it is written today, each in a commit of its own, some with rows. A flipped bit is
/// damage, and lost sectors of the last commit cost that one alone.
fn again(found: &Journal, log: &[Record], rng: &mut Rng) {
    let snapshot: Vec<Record> = found.snapshot.iter().filter(|record| **record != Record::Filler).cloned().collect();
    let (mut bytes, end) = journal::snapshot(&snapshot, SECTOR as u64);
    bytes.truncate(end as usize);
    let (mut commits, mut start) = (Vec::new(), bytes.len());
    for (number, record) in (1..).zip(log) {
        let (records, rows) = (vec![record.clone()], vec![b' '; rng.usize(..1200)]);
        start = bytes.len();
        bytes.extend_from_slice(&sectors::write(start as u64, number, &records, &rows));
        commits.push(Commit { records, rows });
    }
    let end = bytes.len();
    bytes.resize(end + 2 * SECTOR, 0);
    let read = journal::read(&bytes).unwrap();
    assert_eq!((&read.snapshot, &read.log, read.torn_records), (&snapshot, &commits, 0));
    let bit = rng.usize(..end * 8);
    let damage = journal::read(&flipped(&bytes, bit)).unwrap_err();
    assert_eq!(damage.offset as usize / SECTOR, bit / 8 / SECTOR, "bit {bit}: {}", damage.what);
    let sectors = (end - start) / SECTOR;
    if sectors > 0 {
        let lost = rng.usize(1..1 << sectors);
        for sector in (0..sectors).filter(|sector| lost & (1 << sector) != 0) {
            bytes[start + sector * SECTOR..][..SECTOR].fill(0);
        }
        commits.pop();
        assert_eq!(journal::read(&bytes).unwrap().log, commits, "lost {lost:b}");
    }
}

/// The bytes of a journal with these records and space for more. None if one does not fit.
fn written(texts: &[&str]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for (place, text) in (0..).zip(texts) {
        (text.len() <= BODY).then(|| record::push_text(&mut bytes, place, text))?;
    }
    bytes.resize((bytes.len() + 1).next_multiple_of(512) + 512, 0);
    Some(bytes)
}

/// Records, an empty line, and `bets.csv` as it is. In a record `*` stands for the number and the checksum that are right, of
/// what is in the file that the record is about. A start takes the files and changes nothing that counts, however the process
/// and the one after it end, or refuses them and leaves them alone.
pub fn store(bytes: &[u8]) {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") else { return };
    let (texts, bets) = (str::from_utf8(&bytes[..end]), &bytes[end + 2..]);
    let secrets = StoreSecrets { format: FORMAT, lottery: LotteryId(7), secret: Secret([7; 32]) };
    let secrets = acta::write(&secrets).unwrap();
    let acta = acta::write(&Acta::closing(LotteryId(7), Vec::new(), 5)).unwrap();
    let texts: Vec<String> =
        texts.unwrap_or_default().lines().map(|text| filled(text, bets, &secrets, &acta)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let Some(journal) = written(&texts) else { return };
    let folder = SimFolder::new(Rng::with_seed(1));
    for (name, bytes) in [(JOURNAL, &journal[..]), (BETS, bets), (SECRETS, secrets.as_bytes()), (ACTA, acta.as_bytes())]
    {
        if name != ACTA || texts.iter().any(|text| text.contains(":sealed:")) {
            write_anew(&folder, name, bytes).unwrap();
        }
    }
    folder.sync_names().unwrap();
    let open = |folder: &SimFolder| {
        let tell = Box::new(|_| ());
        Files::open_in(Box::new(folder.clone()), SaidRules::default(), SMALL, tell)
    };
    let (files, recovered) = match open(&folder) {
        Ok(opened) => opened,
        Err(error) => {
            let what = error.to_string();
            assert!([BETS, JOURNAL, SECRETS, ACTA, DECLARATIONS].iter().any(|name| what.starts_with(name)), "{what}");
            assert!(folder.bytes(BETS) == bets && folder.bytes(JOURNAL) == journal, "{what}");
            return;
        }
    };
    let kept = folder.bytes(BETS);
    assert_eq!(kept.len() as u64 + recovered.dropped_bytes, bets.len() as u64);
    assert!(bets.starts_with(&kept));
    let (state, accounts, rules) = (files.state(), files.accounts(), files.rules());
    assert_eq!(state.bets, recovered.bets);
    let check = |folder: &SimFolder, is_crashed: bool| {
        let (files, recovered) = open(folder).unwrap();
        assert_eq!((files.state(), files.accounts(), files.rules()), (state.clone(), accounts.clone(), rules));
        assert_eq!((recovered.after_crash, recovered.dropped_bytes), (is_crashed, 0));
        assert_eq!(folder.bytes(BETS), kept);
    };
    check(&folder.after_power_loss(&mut Rng::with_seed(bytes.len() as u64)), true);
    files.close().unwrap();
    drop(files);
    check(&folder, false);
}

/// A record's text with what `*` stands for.
fn filled(text: &str, bets: &[u8], secrets: &str, acta: &str) -> String {
    let Some(start) = text.strip_suffix('*') else { return text.to_owned() };
    let crc = |bytes: &[u8]| Extent::of(bytes).crc;
    let kind = start.split(':').nth(1).unwrap_or_default();
    let record = match kind {
        "lottery" => format!("{}:{}", LotteryId(7), crc(secrets.as_bytes())),
        "sealed" => Extent::of(acta.as_bytes()).to_string(),
        "block" => {
            let index = start.rsplit(':').nth(1).and_then(|index| index.parse::<usize>().ok()).unwrap_or(0);
            let block = bets.chunks(SMALL.block as usize).nth(index).unwrap_or_default();
            crc(block).to_string()
        }
        _ => {
            let last = bets.chunks(SMALL.block as usize).next_back().filter(|last| last.len() < SMALL.block as usize);
            format!("{}:{}", bets.len(), crc(last.unwrap_or_default()))
        }
    };
    format!("{start}{record}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_record_that_is_read_is_too_long_when_it_is_written() {
        let longest = format!("1:agency:{}:{}:0", u32::MAX, u64::MAX);
        let found = read_raw(&written(&["0:snapshot:1:3", &longest]).unwrap()).unwrap();
        let log = found.log[0].records.clone();
        assert!(matches!(log[..], [Record::Agency { .. }]));
        again(&found, &log, &mut Rng::with_seed(1));
    }
}
