//! What fuzzers run: one function for each target of `fuzz/`. It takes any bytes, and panics if a property does not hold. The
//! properties stand in the rooms that they are about; tests with random values use them too.
//!
//! `fuzz/seeds/<target>/` has inputs to begin with, and every input that has ever broken something. A test runs them all.
#![allow(clippy::unwrap_used)]

pub use crate::agency::fuzzing::agency_file;
pub use crate::audit::fuzzing::{acta, audited_rows, ticket};
pub use crate::config::fuzzing::{ini, yaml};
pub use crate::domain::fuzzing::rows;
pub use crate::ledger::files::fuzzing::{journal, store};
pub use crate::server::fuzzing::session;
pub use crate::wire::fuzzing::{frames, keyed, refusals, replies, requests};

use crate::audit::fuzzing::{climb, role_of};
use crate::domain::{self, Hash, tree};
use crate::transport;

/// A target's name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 17] = [
    ("frames", frames),
    ("requests", requests),
    ("replies", replies),
    ("refusals", refusals),
    ("keyed", keyed),
    ("session", session),
    ("rows", rows),
    ("audited_rows", audited_rows),
    ("agency_file", agency_file),
    ("journal", journal),
    ("store", store),
    ("acta", acta),
    ("ticket", ticket),
    ("paths", paths),
    ("names", names),
    ("ini", ini),
    ("yaml", yaml),
];

/// A certificate, or the names in one, or a name a line: central and audit see the same role in it, and only one that is there.
pub fn names(bytes: &[u8]) {
    // Longer names fit no length of two bytes.
    if bytes.len() > 60_000 {
        return;
    }
    for der in [bytes, &transport::fuzzing::certificate(bytes, 1)] {
        assert_eq!(transport::role(der), role_of(der));
    }
    transport::fuzzing::names(bytes);
    if let Ok(text) = str::from_utf8(bytes) {
        domain::fuzzing::names(text);
    }
}

/// A leaf's place, the number of leaves, and a path: the central's tree and the audit's lead to the same root, or nowhere.
pub fn paths(bytes: &[u8]) {
    let Some((numbers, hashes)) = bytes.split_first_chunk::<16>() else { return };
    let [place, leaves] = [&numbers[..8], &numbers[8..]].map(|number| u64::from_be_bytes(number.try_into().unwrap()));
    let (hashes, _) = hashes.as_chunks::<32>();
    let Some((leaf, path)) = hashes.split_first() else { return };
    let ours: Vec<Hash> = path.iter().copied().map(Hash).collect();
    let root = tree::root_of_path(Hash(*leaf), place, leaves, &ours);
    assert_eq!(root, climb(*leaf, place, leaves, path).map(Hash), "{place} of {leaves}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// The package that is published has no folder of the fuzzers.
    fn folder() -> Option<&'static Path> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"));
        folder.exists().then_some(folder).or_else(|| {
            eprintln!("SKIPPED: {} is not there", folder.display());
            None
        })
    }

    #[test]
    fn every_seed_and_every_find_holds() {
        let Some(folder) = folder() else { return };
        for (name, run) in TARGETS {
            let seeds = fs::read_dir(folder.join("seeds").join(name)).unwrap();
            let seeds: Vec<_> = seeds.map(|entry| entry.unwrap().path()).collect();
            assert!(!seeds.is_empty(), "{name} has no seed");
            for seed in seeds {
                eprintln!("{}", seed.display());
                run(&fs::read(seed).unwrap());
            }
        }
    }

    #[test]
    fn every_target_has_its_program_and_its_seeds() {
        let Some(folder) = folder() else { return };
        let names = |of: &str, end: &str| -> BTreeSet<String> {
            let entries = fs::read_dir(folder.join(of)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.map(|name| name.strip_suffix(end).unwrap().to_owned()).collect()
        };
        let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!((names("targets", ".rs"), names("seeds", "")), (targets.clone(), targets.clone()));
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for name in &targets {
            assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"\n")), "{name}");
            let program = fs::read_to_string(folder.join(format!("targets/{name}.rs"))).unwrap();
            assert!(program.contains(&format!("quiniela::fuzzing::{name}(bytes)")), "{program}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }

    #[test]
    fn no_short_input_breaks_anything() {
        let mut rng = fastrand::Rng::with_seed(13);
        for (_, run) in TARGETS {
            run(b"");
            for _ in 0..200 {
                let length = rng.usize(0..40);
                let bytes: Vec<u8> =
                    (0..length).map(|_| if rng.bool() { rng.u8(..) } else { rng.u8(b'\n'..b'~') }).collect();
                run(&bytes);
            }
        }
    }
}
