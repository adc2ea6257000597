//! Where values come from, in order of precedence: flag, environment, file, default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;

use clap::ArgMatches;
use serde::Serialize;

use super::AsWritten;
use super::setting::{Flags, Setting, Value};
use crate::domain::{Quoted, visible};
use crate::error::{Error, Kind, Result};

/// Looks up an environment variable. A function, so that tests need not change the environment of the process.
pub type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// Looks a setting up in each source in turn, and records which one gave it.
pub struct Sources<'a> {
    flags: &'a ArgMatches,
    environment: &'a Environment<'a>,
    file: PathBuf,
    file_exists: bool,
    /// The values of the file, not checked yet.
    in_file: Keys,
    provenance: Vec<Origin>,
}

/// The origin of what a flag gives.
const FLAG: &str = "flag";

/// The values of a configuration file, by their keys.
pub type Keys = BTreeMap<&'static str, String>;

/// Every resolved value and where it came from, for `--print-config`.
#[derive(Debug, Serialize)]
pub struct Provenance {
    file: String,
    file_exists: bool,
    #[serde(rename = "settings")]
    values: Vec<Origin>,
}

#[derive(Debug, Serialize)]
struct Origin {
    name: String,
    #[serde(rename = "value")]
    text: String,
    origin: String,
}

impl<'a> Sources<'a> {
    /// Reads the file that `config` names, with `parse`. Only the default file may be missing.
    pub fn new<C>(
        flags: &'a Flags<C>,
        environment: &'a Environment<'a>,
        config: &Setting<PathBuf>,
        parse: impl Fn(&str) -> Result<Keys, String>,
    ) -> Result<Sources<'a>> {
        let flags = &flags.matches;
        let given = flag(flags, config).map(|given| given.value.clone());
        let may_be_missing = given.is_none();
        let file = given.unwrap_or_else(|| PathBuf::from(config.default.unwrap_or_default()));
        let (file_exists, in_file) = match std::fs::read_to_string(&file) {
            Err(error) if may_be_missing && error.kind() == ErrorKind::NotFound => (false, Keys::new()),
            Err(error) => return Err(Error::at_path(Kind::BadInput, &file, "read it", &error)),
            // Editors on Windows put this mark at the start of a file.
            Ok(text) => match parse(text.strip_prefix('\u{feff}').unwrap_or(&text)) {
                Err(problem) => return Err(Error::bad_path(&file, problem)),
                Ok(keys) => (true, keys),
            },
        };
        Ok(Sources { flags, environment, file, file_exists, in_file, provenance: Vec::new() })
    }

    /// The flags alone.
    pub fn of_flags<C>(flags: &'a Flags<C>) -> Sources<'a> {
        Sources {
            flags: &flags.matches,
            environment: &|_| None,
            file: PathBuf::new(),
            file_exists: false,
            in_file: Keys::new(),
            provenance: Vec::new(),
        }
    }

    /// The value of a setting that must have one.
    pub fn pick<T: Value>(&mut self, setting: &Setting<T>) -> Result<AsWritten<T>> {
        match self.find(setting)? {
            Some(given) => Ok(given),
            None => self.default(setting),
        }
    }

    /// The value of a setting, if a flag, the environment or the file gives it. The file's value is checked even if it
    /// is overridden. An environment variable that a flag overrides is not, since it may be meant for another program.
    pub fn find<T: Value>(&mut self, setting: &Setting<T>) -> Result<Option<AsWritten<T>>> {
        let in_file = self.in_file(setting)?;
        let (given, origin) = if let Some(given) = flag(self.flags, setting) {
            (given.clone(), FLAG.to_owned())
        } else if let Some((variable, text)) = self.in_environment(setting.environment)? {
            let origin = format!("environment variable {variable}");
            (check(setting, &text, &origin)?, origin)
        } else if let Some(given) = in_file {
            given
        } else {
            return Ok(None);
        };
        self.note(&format!("--{}", setting.flag), &given.text, &origin);
        Ok(Some(given))
    }

    /// What gave a setting its value, as it stands before that value in an error that is found later.
    pub fn origin<T: Value>(&self, setting: &Setting<T>) -> String {
        let name = format!("--{}", setting.flag);
        let noted = self.provenance.iter().rev().find(|noted| noted.name == name);
        noted
            .filter(|noted| noted.origin != FLAG)
            .map_or_else(|| format!("{name} "), |noted| format!("{}: ", noted.origin))
    }

    /// Whether a flag gives it.
    pub fn is_flag<T: Value>(&self, setting: &Setting<T>) -> bool {
        flag(self.flags, setting).is_some()
    }

    /// The default of a setting. An error if it has none.
    pub fn default<T: Value>(&mut self, setting: &Setting<T>) -> Result<AsWritten<T>> {
        let flag = format!("--{}", setting.flag);
        let Some(default) = setting.default else {
            let variable = setting.environment.map(|name| format!(", or set the environment variable {name}"));
            let names = format!("give the flag {flag}{}", variable.unwrap_or_default());
            return Err(Error::bad_input(format!("{flag} is required: {names}")));
        };
        let value = check(setting, default, "the default")?;
        self.note(&flag, default, "default");
        Ok(value)
    }

    /// The value of an environment variable that has no flag and no key.
    pub fn variable(&mut self, name: &'static str, why: &str) -> Result<String> {
        let missing = || Error::bad_input(format!("environment variable {name} is not set: {why}"));
        let (_, text) = self.in_environment(Some(name))?.ok_or_else(missing)?;
        self.note(name, &text, "environment");
        Ok(text)
    }

    /// Records a key that is accepted for compatibility and has no effect.
    pub fn mention(&mut self, key: &'static str, why: &str) -> Result<()> {
        let in_file = self.in_file.get(key).map(|text| (self.file.display().to_string(), text.clone()));
        let in_environment = self.in_environment(Some(key))?.map(|(_, text)| ("environment".to_owned(), text));
        if let Some((origin, text)) = in_environment.or(in_file) {
            self.note(key, &text, &format!("{origin}; {why}"));
        }
        Ok(())
    }

    /// Records where a value came from.
    pub fn note(&mut self, name: &str, text: &str, origin: &str) {
        self.provenance.push(Origin { name: name.to_owned(), text: text.to_owned(), origin: origin.to_owned() });
    }

    pub fn into_provenance(self) -> Provenance {
        Provenance { file: self.file.display().to_string(), file_exists: self.file_exists, values: self.provenance }
    }

    fn in_file<T: Value>(&self, setting: &Setting<T>) -> Result<Option<(AsWritten<T>, String)>> {
        let Some((key, text)) = setting.key.and_then(|key| self.in_file.get_key_value(key)) else {
            return Ok(None);
        };
        let origin = format!("{}: {key}", self.file.display());
        Ok(Some((check(setting, text, &origin)?, origin)))
    }

    /// An empty variable counts as not set, since Compose files and shells leave a variable empty to unset it.
    fn in_environment(&self, name: Option<&'static str>) -> Result<Option<(&'static str, String)>> {
        let said = name.and_then(|name| Some((name, (self.environment)(name)?)));
        let Some((name, text)) = said.filter(|(_, text)| !text.is_empty()) else {
            return Ok(None);
        };
        let text = text.into_string().map_err(|text| {
            Error::bad_input(format!("environment variable {name}: {} is not UTF-8", Quoted(&text.to_string_lossy())))
        })?;
        Ok(Some((name, text)))
    }
}

fn flag<'a, T: Value>(flags: &'a ArgMatches, setting: &Setting<T>) -> Option<&'a AsWritten<T>> {
    flags.get_one(setting.flag)
}

fn check<T: Value>(setting: &Setting<T>, text: &str, origin: &str) -> Result<AsWritten<T>> {
    let refusal = |allowed| format!("{origin}: found {}, where {allowed} is allowed", Quoted(text));
    setting.read(text).map_err(|allowed| Error::bad_input(refusal(allowed)))
}

impl fmt::Display for Provenance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.file_exists { "read" } else { "not there, so it says nothing" };
        writeln!(out, "file: {} ({state})", self.file)?;
        let width =
            |text: fn(&Origin) -> &str| self.values.iter().map(|value| text(value).chars().count()).max().unwrap_or(0);
        let (names, texts) = (width(|value| &value.name), width(|value| &value.text));
        for Origin { name, text, origin } in &self.values {
            writeln!(out, "{name:names$}  {:texts$}  {origin}", visible(text))?;
        }
        Ok(())
    }
}
