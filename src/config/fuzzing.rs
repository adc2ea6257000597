//! What has to hold of configuration files, whatever is in them. See `src/fuzzing.rs`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Seek as _, Write as _};

use tempfile::NamedTempFile;

use super::source::Keys;
use super::{AgencyArgs, Provenance, ServerArgs, agency, server};
use crate::error::{Kind, Result};

/// The arguments of a command whose configuration is a file, and that file.
struct Place<A> {
    file: NamedTempFile,
    args: A,
}

thread_local! {
    static SERVER: Place<ServerArgs> = Place::new(&[]);
    static AGENCY: Place<AgencyArgs> = Place::new(&["--id", "1"]);
}

/// The central's file.
pub fn ini(bytes: &[u8]) {
    let written = |keys: &Keys| {
        let lines: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        Some(format!("[DEFAULT]\n{lines}"))
    };
    let resolve = |text: &str| SERVER.with(|place| place.resolve(text, |args| Ok(server::resolve(args, &|_| None)?.1)));
    settings(bytes, server::parse_ini, written, resolve);
}

/// An agency's file.
pub fn yaml(bytes: &[u8]) {
    let resolve = |text: &str| AGENCY.with(|place| place.resolve(text, |args| Ok(agency::resolve(args, &|_| None)?.1)));
    settings(bytes, agency::parse_yaml, written_yaml, resolve);
}

/// What a file says is the same when it is written again, and so is what becomes of it. An error is of one line, and says
/// where the problem is.
fn settings(
    bytes: &[u8],
    parse: fn(&str) -> Result<Keys, String>,
    written: impl Fn(&Keys) -> Option<String>,
    resolve: impl Fn(&str) -> Result<String, (Kind, String)>,
) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let keys = parse(text.strip_prefix('\u{feff}').unwrap_or(text));
    if let Ok(keys) = &keys
        && (keys.contains_key("DB_PASSWORD_FILE") || text.contains("/dev/"))
    {
        // It would be read, whatever it is.
        return;
    }
    let resolved = resolve(text);
    if let Err((kind, reason)) = &resolved {
        assert_eq!(*kind, Kind::BadInput, "{reason}");
        assert!(reason.contains("settings-") || reason.contains("--"), "{reason}");
        assert!(!reason.contains(char::is_control) && reason.len() < 1000 + 8 * text.len(), "{reason:?}");
    }
    let Ok(keys) = keys else { return assert!(resolved.is_err()) };
    let Some(again) = written(&keys) else { return };
    assert_eq!(parse(&again), Ok(keys), "{again:?}");
    assert_eq!(resolve(&again), resolved, "{again:?}");
}

/// The settings as JSON, which is YAML too. None if one holds what no YAML may hold as it is.
fn written_yaml(keys: &Keys) -> Option<String> {
    let is_odd =
        |character: char| character.is_control() || matches!(character, '\u{2028}'..='\u{2029}' | '\u{e000}'..);
    let is_plain = |value: &String| !value.contains(is_odd);
    let mut sections: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut own = BTreeMap::new();
    for (key, value) in keys.iter() {
        if !is_plain(value) {
            return None;
        }
        match key.split_once('.') {
            Some((section, name)) => _ = sections.entry(section).or_default().insert(name, value),
            None => _ = own.insert(*key, serde_json::json!(value)),
        }
    }
    own.extend(sections.iter().map(|(section, keys)| (*section, serde_json::json!(keys))));
    Some(serde_json::json!(own).to_string())
}

impl<A: clap::Args> Place<A> {
    fn new(words: &[&str]) -> Place<A> {
        let file = tempfile::Builder::new().prefix("settings-").tempfile().unwrap();
        let path = file.path().to_str().unwrap();
        let command = A::augment_args(clap::Command::new("quiniela"));
        let words = ["quiniela", "--config", path].into_iter().chain(words.iter().copied());
        let args = A::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap();
        Place { file, args }
    }

    /// What the command would print of its settings with this text in the file.
    fn resolve(&self, text: &str, resolve: fn(&A) -> Result<Provenance>) -> Result<String, (Kind, String)> {
        let mut file = self.file.as_file();
        file.set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        resolve(&self.args).map(|said| said.to_string()).map_err(|error| (error.kind, error.to_string()))
    }
}
