//! `quiniela gen-data`: writes files of plausible Argentine bets. The same seed gives the same bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use fastrand::Rng;
use serde::Serialize;
use time::Month;

use crate::config::whole_number;
use crate::domain::{MAX_AGENCIES, WINNING_NUMBER};
use crate::error::{Error, Kind, Result};
use crate::output::{WholeFile, counted, object};

/// Bets are on numbers below this.
const NUMBERS: u32 = 10_000;
/// The birth years of adults with a document of eight digits.
const BIRTH_YEARS: std::ops::Range<u32> = 1953..2007;
/// Bytes of rows in one write.
const WRITE_BYTES: usize = 64 * 1024;

/// Writes files of plausible Argentine bets, one for each agency. The same seed gives the same files.
///
/// Example: quiniela gen-data --agencies 5 --bets 78697 --seed 1 .data
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Folder for the files agency-1.csv, agency-2.csv and so on; created if it is missing
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,

    /// Number of files to write; the bets are split unevenly between them
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = whole_number(1..=u32::from(MAX_AGENCIES)))]
    pub agencies: u32,

    /// Number of bets to write, in total
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = whole_number(0..=u64::MAX))]
    pub bets: u64,

    /// Seed of the generator
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole_number(0..=u64::MAX))]
    pub seed: u64,

    /// Exact number of bets on the winning number; if not given, it is random
    #[arg(long, value_name = "N", value_parser = whole_number(0..=u64::MAX))]
    pub winners: Option<u64>,

    /// The winning number, whose bets --winners counts
    #[arg(long, value_name = "NUMBER", default_value_t = WINNING_NUMBER, value_parser = whole_number(0..=u32::MAX))]
    pub winning_number: u32,

    /// Replace existing files, and remove those of agencies beyond the last
    #[arg(long)]
    pub force: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    pub bets: u64,
    pub winners: u64,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    folder: String,
    files: u32,
    bets: u64,
    winners: u64,
    winning_number: u32,
}

impl Made {
    /// As the command prints it.
    pub fn told(&self, args: &Args) -> Result<String> {
        let (folder, files) = (args.dir.display().to_string(), args.agencies);
        let Made { bets, winners } = *self;
        if args.json {
            return object(&Report { folder, files, bets, winners, winning_number: args.winning_number });
        }
        let (files, bets, number) = (counted(files.into(), "file"), counted(bets, "bet"), args.winning_number);
        Ok(format!("{folder}: {files}, {bets}, {winners} of them on {number}\n"))
    }
}

/// Writes all files. If the folder already holds an agency's file, it writes none, unless `force` is set.
pub fn run(args: &Args) -> Result<Made> {
    if let Some(winners) = args.winners.filter(|winners| *winners > args.bets) {
        return Err(Error::bad_input(format!("--winners {winners}: there are only {} bets to win", args.bets)));
    }
    fs::create_dir_all(&args.dir)
        .map_err(|error| Error::at_path(Kind::Failed, &args.dir, "make this folder", &error))?;
    let path = |agency: usize| args.dir.join(format!("agency-{}.csv", agency + 1));
    let mut rng = Rng::with_seed(args.seed);
    let shares = shares(&mut rng, args.agencies, args.bets);
    let before = files_of_agencies(&args.dir)?;
    if let Some((_, path)) = before.iter().find(|_| !args.force) {
        return Err(Error::bad_path(path, "is there already; --force replaces it"));
    }
    let mut numbers = Numbers { winning: args.winning_number, winners: args.winners, bets: args.bets, won: 0 };
    for (agency, bets) in shares.into_iter().enumerate() {
        write_file(&path(agency), bets, &mut rng, &mut numbers)?;
    }
    // Otherwise they would look like part of the new files.
    for (_, path) in before.range(args.agencies + 1..) {
        fs::remove_file(path).map_err(|error| Error::at_path(Kind::Failed, path, "remove it", &error))?;
    }
    Ok(Made { bets: args.bets, winners: numbers.won })
}

/// The agencies' files that a folder holds, in order.
fn files_of_agencies(dir: &Path) -> Result<BTreeMap<u32, PathBuf>> {
    let unreadable = |error: io::Error| Error::at_path(Kind::Failed, dir, "read this folder", &error);
    let mut files = BTreeMap::new();
    for entry in dir.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(OsStr::to_str);
        let agency = name.and_then(|name| name.strip_prefix("agency-")?.strip_suffix(".csv")?.parse().ok());
        files.extend(agency.map(|agency| (agency, path)));
    }
    Ok(files)
}

/// Chooses the number of each bet.
struct Numbers {
    winning: u32,
    /// Winners left to place, if --winners is given.
    winners: Option<u64>,
    /// Bets left.
    bets: u64,
    won: u64,
}

impl Numbers {
    fn next(&mut self, rng: &mut Rng) -> u32 {
        let number = match &mut self.winners {
            None => rng.u32(..NUMBERS),
            // Selection sampling: exactly as many winners as requested, each bet with the same chance.
            Some(left) if rng.u64(..self.bets) < *left => {
                *left -= 1;
                self.winning
            }
            Some(_) => loop {
                let number = rng.u32(..NUMBERS);
                if number != self.winning {
                    break number;
                }
            },
        };
        self.bets -= 1;
        self.won += u64::from(number == self.winning);
        number
    }
}

/// Splits the bets unevenly between the agencies. Each gets at least one if there are enough.
fn shares(rng: &mut Rng, agencies: u32, bets: u64) -> Vec<u64> {
    // The square makes the largest agency up to a hundred times as large as the smallest.
    let weights: Vec<u128> = (0..agencies).map(|_| u128::from(rng.u32(10..=100)).pow(2)).collect();
    let total: u128 = weights.iter().sum();
    let each = u64::from(bets >= u64::from(agencies));
    let rest = u128::from(bets - each * u64::from(agencies));
    let mut weight = 0;
    let mut given = 0;
    let share = |part: u128| {
        weight += part;
        // This cannot fail: the quotient is at most `rest`, which came from a u64.
        let until = u64::try_from(rest * weight / total).unwrap_or(u64::MAX);
        let share = each + until - given;
        given = until;
        share
    };
    weights.into_iter().map(share).collect()
}

fn write_file(path: &Path, bets: u64, rng: &mut Rng, numbers: &mut Numbers) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    let mut rows = Vec::with_capacity(WRITE_BYTES + 256);
    for _ in 0..bets {
        push_row(&mut rows, rng, numbers);
        if rows.len() >= WRITE_BYTES {
            file.write(&rows)?;
            rows.clear();
        }
    }
    file.write(&rows)?;
    file.finish()
}

fn push_row(row: &mut Vec<u8>, rng: &mut Rng, numbers: &mut Numbers) {
    let first_names = if rng.bool() { &WOMEN } else { &MEN };
    push_names(row, rng, first_names, 3);
    row.push(b',');
    push_names(row, rng, &LAST_NAMES, 8);
    row.push(b',');
    let year = rng.u32(BIRTH_YEARS);
    // Documents are numbered in order of birth, about 700,000 a year.
    push_digits(row, 10_000_000 + (year - BIRTH_YEARS.start) * 690_000 + rng.u32(..1_500_000), 8);
    row.push(b',');
    let month = rng.u8(1..=12);
    let days = Month::try_from(month).map_or(28, |month| month.length(i32::try_from(year).unwrap_or_default()));
    push_digits(row, year, 4);
    row.push(b'-');
    push_digits(row, u32::from(month), 2);
    row.push(b'-');
    push_digits(row, u32::from(rng.u8(1..=days)), 2);
    row.push(b',');
    let number = numbers.next(rng);
    push_digits(row, number, number.checked_ilog10().unwrap_or(0) as usize + 1);
    row.push(b'\n');
}

/// Appends one name, or two in one of `one_in` cases.
fn push_names(row: &mut Vec<u8>, rng: &mut Rng, names: &[&str], one_in: u32) {
    row.extend_from_slice(names[rng.usize(..names.len())].as_bytes());
    if rng.u32(..one_in) == 0 {
        row.push(b' ');
        row.extend_from_slice(names[rng.usize(..names.len())].as_bytes());
    }
}

fn push_digits(row: &mut Vec<u8>, value: u32, width: usize) {
    let start = row.len();
    row.resize(start + width, b'0');
    let mut left = value;
    for digit in row[start..].iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
}

#[rustfmt::skip]
const WOMEN: [&str; 32] = [
    "Agustina", "Ana", "Antonella", "Begoña", "Camila", "Carla", "Catalina", "Cecilia", "Clara", "Daniela",
    "Delfina", "Elena", "Emilia", "Fernanda", "Florencia", "Gabriela", "Graciela", "Inés", "Josefina", "Julieta",
    "Lucía", "Malena", "María", "Micaela", "Milagros", "Paula", "Rocío", "Sofía", "Soledad", "Valentina",
    "Verónica", "Ximena",
];

#[rustfmt::skip]
const MEN: [&str; 32] = [
    "Agustín", "Alejandro", "Andrés", "Bautista", "Benjamín", "Carlos", "Cristian", "Diego", "Emiliano",
    "Ezequiel", "Facundo", "Federico", "Francisco", "Gastón", "Gonzalo", "Guillermo", "Ignacio", "Iñaki",
    "Joaquín", "Jorge", "José", "Juan", "Lautaro", "Leandro", "Luciano", "Marcos", "Martín", "Matías", "Nicolás",
    "Pablo", "Ramiro", "Tomás",
];

#[rustfmt::skip]
const LAST_NAMES: [&str; 64] = [
    "Acosta", "Acuña", "Aguirre", "Álvarez", "Arias", "Ávila", "Benítez", "Blanco", "Bustos", "Cabrera",
    "Cáceres", "Cardozo", "Castro", "Chávez", "Correa", "Díaz", "Domínguez", "Fernández", "Ferreyra", "Flores",
    "García", "Giménez", "Godoy", "Gómez", "González", "Gutiérrez", "Herrera", "Ibáñez", "Ledesma", "López",
    "Lucero", "Luna", "Maldonado", "Martínez", "Medina", "Mendoza", "Molina", "Morales", "Moreno", "Muñoz",
    "Núñez", "Ojeda", "Ortiz", "Páez", "Peralta", "Pereyra", "Pérez", "Ponce", "Quiroga", "Ramírez", "Ríos",
    "Rodríguez", "Rojas", "Romero", "Ruiz", "Sánchez", "Silva", "Sosa", "Suárez", "Toledo", "Torres", "Vázquez",
    "Villalba", "Yáñez",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_leave_nobody_out() {
        for (agencies, bets) in [(1, 0), (1, 9), (5, 4), (5, 5), (5, 78_697), (1_000, 1_001), (3, u64::MAX)] {
            for seed in 0..20 {
                let shares = shares(&mut Rng::with_seed(seed), agencies, bets);
                assert_eq!(shares.len(), agencies as usize);
                assert_eq!(shares.iter().map(|share| u128::from(*share)).sum::<u128>(), u128::from(bets));
                assert!(bets < u64::from(agencies) || shares.iter().all(|share| *share > 0), "{shares:?}");
            }
        }
    }

    #[test]
    fn shares_are_uneven() {
        let shares = shares(&mut Rng::with_seed(1), 5, 100_000);
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most > &(least * 2), "{shares:?}");
    }

    #[test]
    fn digits_are_padded_to_their_width() {
        let mut row = Vec::new();
        push_digits(&mut row, 7, 2);
        push_digits(&mut row, 0, 1);
        push_digits(&mut row, 7574, 4);
        assert_eq!(row, b"0707574");
    }
}
