//! Files that no crash can leave: the central refuses to start, names the file and the place, and changes nothing.

use std::fs;
use std::path::PathBuf;

use crate::common::{Central, Folder, quiniela, tells, value};

/// A ledger with three bets and one agency that is done, after a clean stop or a kill.
struct Sound {
    folder: Folder,
    bets: Vec<u8>,
    journal: Vec<u8>,
}

impl Sound {
    fn new(by_kill: bool) -> Sound {
        let folder = Folder::new();
        let central = Central::on(&folder).start();
        let mut client = central.client();
        client.ask("BATCH|1|2\nAna|Paz|1|2000-01-01|7574\nEva|Sosa|2|2000-02-29|12", "ACK_BATCH|OK|2");
        client.ask("BET|2|José|Ñandú|3|1999-12-31|0", "ACK|OK").ask("DONE|1", "ACK_DONE|OK");
        let _ = if by_kill { central.kill() } else { central.stop() };
        let (bets, journal) = (fs::read(folder.bets()).unwrap(), fs::read(folder.journal()).unwrap());
        Sound { folder, bets, journal }
    }

    /// With files of these bytes the central must not start, and its error must contain these texts.
    #[track_caller]
    fn refuses(&self, bets: &[u8], journal: Option<&[u8]>, words: &[&str]) {
        self.put(bets, journal);
        Central::on(&self.folder).refused().failed(5, words);
        assert_eq!(fs::read(self.folder.bets()).unwrap(), bets, "the evidence is left as it was");
        assert_eq!(fs::read(self.folder.journal()).ok().as_deref(), journal, "the evidence is left as it was");
    }

    /// With files of these bytes the central starts, and nothing is missing.
    #[track_caller]
    fn starts(&self, bets: &[u8], journal: Option<&[u8]>) {
        self.put(bets, journal);
        let central = Central::on(&self.folder).start();
        central.client().ask("HELLO|1", "HELLO|OK|2|done").ask("HELLO|2", "HELLO|OK|1|open");
        central.stop();
        assert_eq!(fs::read(self.folder.bets()).unwrap(), self.bets);
    }

    fn put(&self, bets: &[u8], journal: Option<&[u8]>) {
        fs::write(self.folder.bets(), bets).unwrap();
        match journal {
            Some(journal) => fs::write(self.folder.journal(), journal).unwrap(),
            None => fs::remove_file(self.folder.journal()).unwrap_or_default(),
        }
    }

    /// How errors name a file.
    fn named(path: PathBuf) -> String {
        format!("{}: ", path.display())
    }
}

/// Where a journal's snapshot ends.
fn snapshot_of(journal: &[u8]) -> usize {
    let first = String::from_utf8_lossy(&journal[..64]);
    first.split(':').nth(2).unwrap().parse::<usize>().unwrap() * 64
}

fn flipped(bytes: &[u8], place: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[place] ^= 0x04;
    flipped
}

#[test]
fn a_changed_byte_of_the_bets_is_found() {
    let sound = Sound::new(false);
    let name = Sound::named(sound.folder.bets());
    for place in [0, 1, 17, sound.bets.len() / 2, sound.bets.len() - 1] {
        sound.refuses(&flipped(&sound.bets, place), Some(&sound.journal), &[&format!("{name}byte 0: damaged")]);
    }
    sound.starts(&sound.bets, Some(&sound.journal));
}

#[test]
fn bets_that_ride_in_the_journal_are_restored_and_what_stood_in_their_place_is_kept() {
    let sound = Sound::new(true);
    let length = sound.bets.len();
    let mut holed = sound.bets.clone();
    holed[9..30].fill(0);
    for (bets, restored, kept) in [
        (flipped(&sound.bets, 17), 1, true),
        (flipped(&sound.bets, length - 1), 1, true),
        (holed, 21, false),
        (Vec::new(), length, false),
        (sound.bets[..length / 2].to_vec(), length - length / 2, false),
    ] {
        sound.put(&bets, Some(&sound.journal));
        let central = Central::on(&sound.folder).start();
        let line = central.process.wait_for(|line| tells(line, "recover", "success"));
        assert!(line.contains(" WARNING ") && value(&line, "dropped_bytes") == Some("0"), "{line}");
        assert_eq!(value(&line, "restored_bytes"), Some(&*restored.to_string()), "{line}");
        let kept_in = value(&line, "kept_in").map(|name| fs::read(sound.folder.store().join(name)).unwrap());
        assert!(kept_in.is_some() == kept && kept_in.is_none_or(|bytes| bets.ends_with(&bytes)), "{line}");
        central.client().ask("HELLO|1", "HELLO|OK|2|done").ask("HELLO|2", "HELLO|OK|1|open");
        central.stop();
        assert_eq!(fs::read(sound.folder.bets()).unwrap(), sound.bets);
    }
    sound.starts(&sound.bets, Some(&sound.journal));
}

#[test]
fn a_changed_byte_of_the_journal_is_found_at_its_record() {
    for by_kill in [false, true] {
        let sound = Sound::new(by_kill);
        let name = Sound::named(sound.folder.journal());
        let used = sound.journal.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        assert!(used >= 4 * 64, "some records are there");
        let log = snapshot_of(&sound.journal);
        for place in (0..used).step_by(37).chain([used - 1]) {
            // A commit is checked sector by sector.
            let start = if place < log { place / 64 * 64 } else { place / 512 * 512 };
            sound.refuses(&sound.bets, Some(&flipped(&sound.journal, place)), &[&format!("{name}byte {start}: ")]);
        }
        sound.starts(&sound.bets, Some(&sound.journal));
    }
}

#[test]
fn bytes_behind_a_clean_stop_are_no_torn_write() {
    let sound = Sound::new(false);
    let longer = [&sound.bets[..], b"2,Leo,Paz,4,2000-01-01,1\r\n"].concat();
    let place = format!("{}byte {}: 26 bytes follow", Sound::named(sound.folder.bets()), sound.bets.len());
    sound.refuses(&longer, Some(&sound.journal), &[&place]);
    sound.starts(&sound.bets, Some(&sound.journal));
}

#[test]
fn more_bytes_than_a_crash_can_leave_are_no_torn_write() {
    const MOST: usize = 2 * 1024 * 1024;
    let sound = Sound::new(true);
    let longer = [&sound.bets[..], &vec![b'x'; MOST + 1]].concat();
    let place = format!("{}byte {}: 2097153 bytes follow", Sound::named(sound.folder.bets()), sound.bets.len());
    sound.refuses(&longer, Some(&sound.journal), &[&place]);
    sound.starts(&longer[..longer.len() - 1], Some(&sound.journal));
}

#[test]
fn bets_that_were_cut_are_missed() {
    let sound = Sound::new(false);
    for length in [0, 1, sound.bets.len() / 2, sound.bets.len() - 1] {
        let place = format!("{}ends at byte {length}, but {}", Sound::named(sound.folder.bets()), sound.bets.len());
        sound.refuses(&sound.bets[..length], Some(&sound.journal), &[&place]);
    }
    sound.starts(&sound.bets, Some(&sound.journal));
}

#[test]
fn a_journal_that_was_cut_is_noticed() {
    for by_kill in [false, true] {
        let sound = Sound::new(by_kill);
        let name = Sound::named(sound.folder.journal());
        let used = sound.journal.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for length in [0, 1, 63, 64, 100, used - 64, used - 1, used] {
            sound.refuses(&sound.bets, Some(&sound.journal[..length]), &[&format!("{name}byte "), "cut"]);
        }
        sound.starts(&sound.bets, Some(&sound.journal));
    }
}

#[test]
fn a_journal_that_is_longer_than_any_is_not_read() {
    let sound = Sound::new(false);
    let journal = fs::OpenOptions::new().write(true).open(sound.folder.journal()).unwrap();
    journal.set_len(1 << 40).unwrap();
    let name = Sound::named(sound.folder.journal());
    Central::on(&sound.folder).refused().failed(5, &[&format!("{name}byte 268435456: "), "1099511627776"]);
    sound.starts(&sound.bets, Some(&sound.journal));
}

#[test]
fn what_lies_in_the_place_of_a_new_journal_is_not_written_through() {
    let sound = Sound::new(false);
    let other = sound.folder.path().join("other");
    fs::write(&other, "mine").unwrap();
    std::os::unix::fs::symlink(&other, sound.folder.store().join("journal.new")).unwrap();
    sound.starts(&sound.bets, Some(&sound.journal));
    assert_eq!(fs::read_to_string(other).unwrap(), "mine");
}

#[test]
fn a_missing_journal_is_missed() {
    let sound = Sound::new(false);
    let name = Sound::named(sound.folder.journal());
    sound.refuses(&sound.bets, None, &[&name, "missing", "bets.csv"]);
    sound.starts(&sound.bets, Some(&sound.journal));
}

#[test]
fn missing_bets_are_missed() {
    let sound = Sound::new(false);
    fs::remove_file(sound.folder.bets()).unwrap();
    let what = format!(
        "{}missing, though journal beside it says that {} bytes",
        Sound::named(sound.folder.bets()),
        sound.bets.len()
    );
    Central::on(&sound.folder).refused().failed(5, &[&what]);
    assert!(!sound.folder.bets().exists(), "nothing is made in place of what is missing");
    sound.starts(&sound.bets, Some(&sound.journal));
}

#[test]
fn a_journal_of_another_ledger_does_not_fit() {
    let sound = Sound::new(false);
    let other = Folder::new();
    let central = Central::on(&other).start();
    central.client().ask("BET|1|Leo|Paz|4|2000-01-01|1", "ACK|OK");
    assert_eq!(central.stop().count(|line| tells(line, "apuesta_almacenada", "success")), 1);
    let journal = fs::read(other.journal()).unwrap();
    sound.refuses(&sound.bets, Some(&journal), &[&Sound::named(sound.folder.bets()), "byte 26"]);
    sound.starts(&sound.bets, Some(&sound.journal));
}

#[test]
fn a_store_that_is_no_folder_is_named() {
    let folder = Folder::new();
    fs::remove_dir(folder.store()).unwrap();
    fs::write(folder.store(), "a file").unwrap();
    let mut command = quiniela(folder.path(), &["server", "--port", "0", "--store", "store"].map(str::to_owned));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8(output.stderr).unwrap().contains("store: cannot make or open this folder"));
}
