//! Where a value may come from, and which source is asked first: flag, environment, file, default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::AsWritten;
use crate::domain::{Quoted, visible};
use crate::error::{Error, Kind, Result};

/// The environment, as a function of a variable's name, so that tests need not change the process's own.
pub type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// One thing that can be set, by whatever names: the flags' help and the values' checks all come from here.
pub struct Setting<T> {
    pub flag: &'static str,
    pub environment: Option<&'static str>,
    /// Its name in the configuration file.
    pub key: Option<&'static str>,
    pub default: Option<&'static str>,
    /// What it means, with its unit.
    pub about: &'static str,
    /// The value, or what is allowed.
    pub parse: fn(&str) -> Result<T, String>,
}

/// What a configuration file says, value by value, before any of it is judged.
pub struct ConfigFile {
    path: PathBuf,
    exists: bool,
    values: BTreeMap<&'static str, String>,
}

/// Asks the sources in turn, and remembers who answered.
pub struct Sources<'a> {
    environment: &'a Environment<'a>,
    file: ConfigFile,
    provenance: Vec<Row>,
}

/// Every resolved value and where it came from: what `--print-config` prints.
#[derive(Debug)]
pub struct Provenance {
    file: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    text: String,
    origin: String,
}

impl<T: Clone + Send + Sync + 'static> Setting<T> {
    /// A setting that only a flag can change.
    pub const fn flag(
        flag: &'static str,
        default: &'static str,
        about: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Setting<T> {
        Setting { flag, environment: None, key: None, default: Some(default), about, parse }
    }

    /// The flag's help: the meaning, then the other ways to say it.
    pub fn help(&self) -> String {
        let mut help = self.about.to_owned();
        if let Some(environment) = self.environment {
            help += &format!(" [env: {environment}]");
        }
        if let Some(key) = self.key {
            help += &format!(" [file: {key}]");
        }
        if let Some(default) = self.default {
            help += &format!(" [default: {default}]");
        }
        help
    }

    /// The flag's check, for clap.
    pub fn parser(&self) -> impl Fn(&str) -> Result<AsWritten<T>, String> + Clone + Send + Sync + 'static {
        let parse = self.parse;
        move |text| written(parse, text).map_err(|allowed| format!("allowed is {allowed}"))
    }
}

impl ConfigFile {
    /// Reads a file's text with `parse`, which takes it apart without judging any value. A file that does not exist
    /// says nothing, which is fine.
    pub fn read(
        path: &Path,
        parse: impl Fn(&str) -> Result<BTreeMap<&'static str, String>, String>,
    ) -> Result<ConfigFile> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(ConfigFile { path: path.to_owned(), exists: false, values: BTreeMap::new() });
            }
            Err(error) => return Err(Error::at_path(Kind::BadInput, path, "read it", &error)),
            Ok(text) => text,
        };
        // Windows' editors begin a file with this mark.
        let values = parse(text.strip_prefix('\u{feff}').unwrap_or(&text))
            .map_err(|problem| Error::bad_input(format!("{}: {problem}", path.display())))?;
        Ok(ConfigFile { path: path.to_owned(), exists: true, values })
    }
}

impl<'a> Sources<'a> {
    pub fn new(environment: &'a Environment<'a>, file: ConfigFile) -> Sources<'a> {
        Sources { environment, file, provenance: Vec::new() }
    }

    /// The value of a setting that always has one.
    pub fn pick<T: Clone>(&mut self, setting: &Setting<T>, flag: &Option<AsWritten<T>>) -> Result<AsWritten<T>> {
        if let Some(said) = self.find(setting, flag)? {
            return Ok(said);
        }
        let missing = || Error::bad_input(format!("{} must be said: {}", setting.flag_name(), setting.all_names()));
        let default = setting.default.ok_or_else(missing)?;
        let value = self.judge(setting, default, "the default")?;
        self.note(&setting.flag_name(), default, "default");
        Ok(value)
    }

    /// The value of a setting if anyone says it. A file is judged as a whole; an environment variable that a flag
    /// overrides is not even looked at, since it may be meant for another program.
    pub fn find<T: Clone>(
        &mut self,
        setting: &Setting<T>,
        flag: &Option<AsWritten<T>>,
    ) -> Result<Option<AsWritten<T>>> {
        let in_file = self.in_file(setting)?;
        let (said, origin) = if let Some(said) = flag {
            (said.clone(), "flag".to_owned())
        } else if let Some((variable, text)) = self.in_environment(setting.environment)? {
            let origin = format!("environment variable {variable}");
            (self.judge(setting, &text, &origin)?, origin)
        } else if let Some(said) = in_file {
            said
        } else {
            return Ok(None);
        };
        self.note(&setting.flag_name(), &said.text, &origin);
        Ok(Some(said))
    }

    /// A variable that no flag or file can replace.
    pub fn variable(&mut self, name: &'static str, why: &str) -> Result<String> {
        let missing = || Error::bad_input(format!("environment variable {name} is not set: {why}"));
        let (_, text) = self.in_environment(Some(name))?.ok_or_else(missing)?;
        self.note(name, &text, "environment");
        Ok(text)
    }

    /// Shows a key that is accepted for the sake of existing files and decides nothing.
    pub fn mention(&mut self, key: &'static str, why: &str) -> Result<()> {
        let in_file = self.file.values.get(key).map(|text| (self.file.path.display().to_string(), text.clone()));
        let in_environment = self.in_environment(Some(key))?.map(|(_, text)| ("environment".to_owned(), text));
        if let Some((origin, text)) = in_environment.or(in_file) {
            self.note(key, &text, &format!("{origin}; {why}"));
        }
        Ok(())
    }

    /// Adds a line to the provenance.
    pub fn note(&mut self, name: &str, text: &str, origin: &str) {
        self.provenance.push(Row { name: name.to_owned(), text: text.to_owned(), origin: origin.to_owned() });
    }

    pub fn into_provenance(self) -> Provenance {
        let state = if self.file.exists { "read" } else { "not there, so it says nothing" };
        Provenance { file: format!("{} ({state})", self.file.path.display()), rows: self.provenance }
    }

    fn in_file<T: Clone>(&self, setting: &Setting<T>) -> Result<Option<(AsWritten<T>, String)>> {
        let Some((key, text)) = setting.key.and_then(|key| self.file.values.get_key_value(key)) else {
            return Ok(None);
        };
        let origin = format!("{}: {key}", self.file.path.display());
        Ok(Some((self.judge(setting, text, &origin)?, origin)))
    }

    /// A variable that is set but empty counts as not set: that is how Compose files and shells say "nothing".
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

    fn judge<T>(&self, setting: &Setting<T>, text: &str, origin: &str) -> Result<AsWritten<T>> {
        written(setting.parse, text).map_err(|allowed| {
            Error::bad_input(format!("{origin}: found {}, where {allowed} is allowed", Quoted(text)))
        })
    }
}

impl<T> Setting<T> {
    fn flag_name(&self) -> String {
        format!("--{}", self.flag)
    }

    fn all_names(&self) -> String {
        let environment = self.environment.map(|name| format!(", or set the environment variable {name}"));
        format!("give the flag {}{}", self.flag_name(), environment.unwrap_or_default())
    }
}

fn written<T>(parse: fn(&str) -> Result<T, String>, text: &str) -> Result<AsWritten<T>, String> {
    parse(text).map(|value| AsWritten { value, text: text.to_owned() })
}

impl fmt::Display for Provenance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "file: {}", self.file)?;
        let width = |text: fn(&Row) -> &str| self.rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
        let (names, texts) = (width(|row| &row.name), width(|row| &row.text));
        for Row { name, text, origin } in &self.rows {
            writeln!(out, "{name:names$}  {:texts$}  {origin}", visible(text))?;
        }
        Ok(())
    }
}
