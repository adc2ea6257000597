//! Random damage to every file of a store, in every phase of a lottery: the central refuses to start and names the file, or it
//! starts with exactly what it had acknowledged. An audit of such a store finds what it checks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;

use crate::common::keys::Place;
use crate::common::{Exit, quiniela, value};
use crate::orders::Orders;
use crate::sample::{Files, Sample, State};

/// Bytes that a disk writes whole.
const SECTOR: usize = 512;
/// Damages of one store.
const DAMAGES: usize = 12;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    Flip,
    Truncate,
    Extend,
    Swap,
    Zero,
    Delete,
    Empty,
    Older,
}

const DAMAGE: [Damage; 8] = [
    Damage::Flip,
    Damage::Truncate,
    Damage::Extend,
    Damage::Swap,
    Damage::Zero,
    Damage::Delete,
    Damage::Empty,
    Damage::Older,
];

/// What a central made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Refused,
    /// It has what it had.
    Whole,
    /// It has what it had when the older copy was made, and has told what it dropped.
    Older,
}

impl Damage {
    /// The file after it, or nothing if it is deleted.
    fn apply(self, bytes: &[u8], older: Option<&Vec<u8>>, rng: &mut Rng) -> Option<Vec<u8>> {
        let mut bytes = bytes.to_vec();
        let block = [16, 64, SECTOR, 4096][rng.usize(..4)];
        let blocks = bytes.len() / block;
        match self {
            Damage::Delete => return None,
            Damage::Empty => bytes.clear(),
            Damage::Older => bytes = older?.clone(),
            _ if bytes.is_empty() => bytes.push(b'x'),
            Damage::Flip => {
                let place = rng.usize(..bytes.len());
                bytes[place] ^= 1 << rng.u8(..8);
            }
            Damage::Truncate => bytes.truncate(rng.usize(..bytes.len())),
            Damage::Extend => {
                let more = rng.usize(1..2000);
                bytes.extend((0..more).map(|_| rng.u8(..)));
            }
            Damage::Swap if blocks > 1 => {
                let (one, other) = (rng.usize(..blocks), rng.usize(..blocks));
                (0..block).for_each(|place| bytes.swap(one * block + place, other * block + place));
            }
            Damage::Swap => bytes.reverse(),
            Damage::Zero => {
                let start = rng.usize(..bytes.len()) / SECTOR * SECTOR;
                let end = bytes.len().min(start + SECTOR);
                bytes[start..end].fill(0);
            }
        }
        Some(bytes)
    }
}

/// True if sectors of the journal's last commit alone are zeros now: docs/DURABILITY.md says that this looks as if it had never
/// been written as a whole.
fn lacks_its_end(before: &[u8], after: &[u8]) -> bool {
    let sectors: Vec<&[u8]> = before.chunks(SECTOR).collect();
    let used = sectors.iter().rposition(|sector| sector.iter().any(|byte| *byte != 0)).map_or(0, |last| last + 1);
    // Each sector of a commit ends with a line that begins with the commit's number.
    let number = |sector: &[u8]| sector[SECTOR - 64..].split(|byte| *byte == b':').next().map(<[u8]>::to_vec);
    let last = used.checked_sub(1).and_then(|last| number(sectors[last]));
    let start = used - sectors[..used].iter().rev().take_while(|sector| number(sector) == last).count();
    before.len() == after.len()
        && last != Some(b"0".to_vec())
        && sectors
            .iter()
            .zip(after.chunks(SECTOR))
            .enumerate()
            .all(|(place, (before, after))| *before == after || (place >= start && after.iter().all(|byte| *byte == 0)))
}

struct Case<'a> {
    sample: &'a Sample,
    name: &'a str,
    damage: Damage,
    files: Files,
    /// The milestone whose copy of the file is there now.
    older: Option<&'a (Files, State)>,
}

impl Case<'_> {
    fn title(&self) -> String {
        format!("{:?} of {}, {}", self.damage, self.name, self.sample.title)
    }

    /// Starts a central on the damaged store, which must refuse it or have what it had.
    fn start(&self) -> Fate {
        let (sample, title) = (self.sample, self.title());
        sample.put(&self.files);
        match sample.start() {
            Err(exit) => {
                self.assert_refused(&exit);
                Fate::Refused
            }
            Ok((state, exit)) => {
                assert!(!exit.stderr.contains("panicked"), "{title}: {exit}");
                if state == sample.state {
                    return Fate::Whole;
                }
                let is_older = self.older.is_some_and(|(_, before)| state == *before);
                let after = self.files.get(self.name).map_or(&[][..], Vec::as_slice);
                let is_unwritten = self.name == "journal" && lacks_its_end(&sample.files["journal"], after);
                assert!(is_older || is_unwritten, "{title}: {state:?}, where {:?} was told; {exit}", sample.state);
                self.assert_kept(&state, &exit);
                Fate::Older
            }
        }
    }

    fn assert_refused(&self, exit: &Exit) {
        let title = self.title();
        assert_eq!(exit.status.code(), Some(5), "{title}: {exit}");
        // The journal knows all other files, so one of them may be what does not fit it.
        let known = ["journal", "bets.csv", "secrets.json", "declarations.jsonl", "acta.json"];
        let names = match self.name {
            "journal" => &known[..],
            "bets.csv" => &known[..2],
            other => &[other],
        };
        let path = |name: &&str| self.sample.folder.store().join(name).display().to_string();
        assert!(names.iter().any(|name| exit.stderr.contains(&path(name))), "{title}: {exit}");
        let (mut before, mut after) = (self.files.clone(), self.sample.read());
        // It is made anew by every start.
        for files in [&mut before, &mut after] {
            files.remove("operator.token");
        }
        assert!(before == after, "{title}: a refused start has changed the evidence");
    }

    /// What an older state lacks was told of and kept.
    fn assert_kept(&self, state: &State, exit: &Exit) {
        let title = self.title();
        let rows = |state: &State| state.rows.iter().filter(|byte| **byte == b'\n').count();
        let missing = rows(&self.sample.state) - rows(state);
        assert!(self.sample.state.rows.starts_with(&state.rows), "{title}: other rows");
        if missing == 0 {
            return;
        }
        let line = exit.lines.iter().find(|line| value(line, "action") == Some("recover")).unwrap();
        assert!(line.contains(" WARNING "), "{title}: {line}");
        assert_eq!(value(line, "dropped_rows"), Some(&*missing.to_string()), "{title}: {line}");
        let kept = fs::read(self.sample.folder.store().join(value(line, "kept_in").unwrap())).unwrap();
        assert_eq!(kept, self.sample.state.rows[state.rows.len()..], "{title}: what was kept");
    }

    /// An audit says that all is well only of what it was before, or of an acta that was once the lottery's.
    fn audit(&self) -> bool {
        let title = self.title();
        self.sample.put(&self.files);
        let (code, said) = audit(self.sample.folder.path());
        assert!(matches!(code, Some(0 | 2 | 5)), "{title}: audit: {code:?}: {said}");
        if code != Some(0) {
            return false;
        }
        let is_unchecked = !["bets.csv", "acta.json", "secrets.json"].contains(&self.name);
        let is_older = self.name == "acta.json" && self.older.is_some();
        assert!(is_unchecked || is_older, "{title}: audit found nothing: {said}");
        true
    }
}

fn audit(folder: &Path) -> (Option<i32>, String) {
    let output = quiniela(folder, &["audit", "store"].map(str::to_owned)).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn damage_is_refused_by_its_name_or_does_no_harm() {
    let orders = Orders::new("damage", Duration::from_secs(3), 10);
    let place = Place::with_agencies(2);
    let (mut fates, mut audits) = (BTreeMap::<(Damage, Fate), u64>::new(), [0, 0]);
    let mut files_damaged = BTreeMap::<String, u64>::new();
    while let Some(round) = orders.next() {
        let mut rng = Rng::with_seed(round.seed);
        let sample = Sample::new(&mut rng, round.seed, &place);
        for _ in 0..DAMAGES {
            let names: Vec<&String> = sample.files.keys().collect();
            let (name, damage) = (names[rng.usize(..names.len())], DAMAGE[rng.usize(..DAMAGE.len())]);
            let older = Some(rng.usize(..sample.older.len().max(1))).and_then(|place| sample.older.get(place));
            let older = older.filter(|_| damage == Damage::Older);
            let copy = older.and_then(|(files, _)| files.get(name));
            if damage == Damage::Older && copy.is_none() {
                continue;
            }
            let mut files = sample.files.clone();
            match damage.apply(&sample.files[name], copy, &mut rng) {
                None => _ = files.remove(name),
                Some(bytes) => _ = files.insert(name.clone(), bytes),
            }
            if files == sample.files {
                continue;
            }
            let case = Case { sample: &sample, name, damage, files, older };
            *fates.entry((damage, case.start())).or_default() += 1;
            *files_damaged.entry(name.clone()).or_default() += 1;
            if sample.is_closed {
                audits[usize::from(case.audit())] += 1;
            }
        }
    }
    println!("{:<10} | {:>7} | {:>7} | {:>7}", "damage", "refused", "whole", "older");
    for damage in DAMAGE {
        let [refused, whole, older] =
            [Fate::Refused, Fate::Whole, Fate::Older].map(|fate| fates.get(&(damage, fate)).copied().unwrap_or(0));
        println!("{:<10} | {refused:>7} | {whole:>7} | {older:>7}", format!("{damage:?}"));
    }
    println!("damage by file: {files_damaged:?}");
    println!(
        "audits of damaged closed stores: {} found it, {} had nothing to find; {}",
        audits[0],
        audits[1],
        orders.closing()
    );
}
