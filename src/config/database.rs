//! The settings of a store that is a database, for the central and for the commands that read it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueHint;

use super::DatabaseConfig;
use crate::database::{Hosts, Tell, Url, is_url, masked};
use crate::domain::{is_forbidden, visible};
use crate::error::{Error, Kind, Result};

/// The draw whose name was not said.
pub const DRAW: &str = "default";
const MAX_NAME: usize = 100;

/// How a command finds a draw in a database.
#[derive(clap::Args, Clone, Debug)]
pub struct DatabaseArgs {
    /// Which of the draws of a database; a folder holds one alone
    #[arg(long, value_name = "NAME", default_value = DRAW, value_parser = draw_name)]
    pub draw: String,

    #[command(flatten)]
    pub password: PasswordArgs,
}

#[derive(clap::Args, Clone, Debug)]
pub struct PasswordArgs {
    /// File of the password for a database, so that it stands in no list of processes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub db_password_file: Option<PathBuf>,
}

impl Default for DatabaseArgs {
    fn default() -> DatabaseArgs {
        DatabaseArgs { draw: DRAW.to_owned(), password: PasswordArgs { db_password_file: None } }
    }
}

impl PasswordArgs {
    /// The servers of the database at this address.
    pub fn hosts(&self, store: &str) -> Result<Hosts> {
        hosts(url(store, self.db_password_file.as_deref(), "")?, false, Arc::new(|_| ()))
    }
}

impl DatabaseConfig {
    pub fn hosts(&self, tell: Tell) -> Result<Hosts> {
        hosts(self.url.clone(), self.require_standby, tell)
    }
}

/// The text of a store that is a database.
pub fn database(store: &Path) -> Option<&str> {
    store.to_str().filter(|text| is_url(text))
}

/// The address that stands behind `origin`, if that has to be said, with the password of the file if there is one. No error shows a password.
pub(super) fn url(store: &str, password_file: Option<&Path>, origin: &str) -> Result<Url> {
    let bad = |reason: String| Error::bad_input(format!("{origin}{}: {reason}", visible(&masked(store))));
    let url = Url::parse(store).map_err(bad)?;
    let Some(file) = password_file else { return Ok(url) };
    let text = fs::read_to_string(file).map_err(|error| Error::at_path(Kind::BadInput, file, "read it", &error))?;
    url.with_password(text.trim_end_matches(['\n', '\r']).to_owned()).map_err(bad)
}

/// The name of a draw, as a setting.
pub fn draw(text: &str) -> Result<String, String> {
    let is_good = !text.is_empty() && text.len() <= MAX_NAME && !text.chars().any(is_forbidden);
    if is_good { Ok(text.to_owned()) } else { Err(format!("a name of 1 to {MAX_NAME} bytes in one line")) }
}

/// The same, for a flag that is not a setting.
fn draw_name(text: &str) -> Result<String, String> {
    draw(text).map_err(super::values::for_flag)
}

fn hosts(url: Url, require_standby: bool, tell: Tell) -> Result<Hosts> {
    Hosts::new(url, require_standby, tell).map_err(|error| Error::failed(format!("cannot start a thread: {error}")))
}
