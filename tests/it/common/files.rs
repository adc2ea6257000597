//! A test's own folder: the agencies' files in `data`, the central's in `store`, and checks of one against the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use csv::ReaderBuilder;
use tempfile::TempDir;

use super::quiniela;

pub struct Folder(TempDir);

/// A bet's five values, or six with the agency first.
pub type Row = Vec<String>;

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        fs::create_dir(folder.data()).unwrap();
        fs::create_dir(folder.store()).unwrap();
        folder
    }

    /// With the files that `gen-data` makes with these arguments.
    #[track_caller]
    pub fn with_data(words: &str) -> Folder {
        let folder = Folder::new();
        folder.gen_data(words);
        folder
    }

    #[track_caller]
    pub fn gen_data(&self, words: &str) {
        self.run(&format!("gen-data --force {words} data"));
    }

    #[track_caller]
    fn run(&self, words: &str) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let output = quiniela(self.path(), &words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// With a file of this many bets for each of agencies 1 to N.
    #[track_caller]
    pub fn with_equal_files(agencies: u32, bets: u32) -> Folder {
        let folder = Folder::new();
        for agency in (1..=agencies).rev() {
            let words = format!("gen-data --force --agencies 1 --bets {bets} --seed {agency} --winners 20 made");
            folder.run(&words);
            fs::rename(folder.path().join("made/agency-1.csv"), folder.file(agency)).unwrap();
        }
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    pub fn bets(&self) -> PathBuf {
        self.store().join("bets.csv")
    }

    pub fn journal(&self) -> PathBuf {
        self.store().join("journal")
    }

    pub fn write(&self, agency: u32, text: &str) {
        fs::write(self.file(agency), text).unwrap();
    }

    pub fn file(&self, agency: u32) -> PathBuf {
        self.data().join(format!("agency-{agency}.csv"))
    }

    /// The rows of an agency's file, which has no header.
    #[track_caller]
    pub fn rows(&self, agency: u32) -> Vec<Row> {
        read(&self.file(agency))
    }

    /// The stored bets of each agency, in the order in which they were stored.
    #[track_caller]
    pub fn stored(&self) -> BTreeMap<u32, Vec<Row>> {
        let mut stored = BTreeMap::<u32, Vec<Row>>::new();
        for mut row in read(&self.bets()) {
            assert_eq!(row.len(), 6, "{row:?}");
            let agency = row.remove(0).parse().unwrap();
            stored.entry(agency).or_default().push(row);
        }
        stored
    }

    #[track_caller]
    pub fn stored_of(&self, agency: u32) -> Vec<Row> {
        self.stored().remove(&agency).unwrap_or_default()
    }

    /// Checks that the store holds all bets of the files of agencies 1 to N, once and in order, and nothing else.
    #[track_caller]
    pub fn assert_stored_equals_files(&self, agencies: u32) {
        let mut stored = self.stored();
        for agency in 1..=agencies {
            assert_same(&stored.remove(&agency).unwrap_or_default(), &self.rows(agency), agency);
        }
        assert!(stored.is_empty(), "bets of agencies {:?}", stored.keys());
    }

    /// Checks that the store holds the beginning of each agency's file. Returns how many rows of each.
    #[track_caller]
    pub fn assert_stored_begins_files(&self, agencies: u32) -> Vec<usize> {
        let mut stored = self.stored();
        let beginning = |agency| {
            let stored = stored.remove(&agency).unwrap_or_default();
            let rows = self.rows(agency);
            assert!(stored.len() <= rows.len(), "agency {agency}: {} rows of {}", stored.len(), rows.len());
            assert_same(&stored, &rows[..stored.len()], agency);
            stored.len()
        };
        (1..=agencies).map(beginning).collect()
    }

    /// The documents of the bets on a number in an agency's file, one a line.
    #[track_caller]
    pub fn winners_due(&self, agency: u32, number: &str) -> String {
        self.rows(agency).iter().filter(|row| row[4] == number).map(|row| format!("{}\n", row[2])).collect()
    }

    /// The winners that an agency was told, from its `--winners` file.
    #[track_caller]
    pub fn winners_told(&self, agency: u32) -> String {
        fs::read_to_string(self.path().join(format!("winners-{agency}"))).unwrap()
    }
}

#[track_caller]
fn assert_same(stored: &[Row], rows: &[Row], agency: u32) {
    let different = stored.iter().zip(rows).position(|(stored, row)| stored != row);
    if let Some(place) = different {
        panic!("agency {agency}: bet {place} is {:?}, where the file has {:?}", stored[place], rows[place]);
    }
    assert_eq!(stored.len(), rows.len(), "agency {agency}: bets stored, and rows in the file");
}

#[track_caller]
fn read(path: &Path) -> Vec<Row> {
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_path(path);
    let rows = reader.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    rows.into_records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}
