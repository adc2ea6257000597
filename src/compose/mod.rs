//! `quiniela gen-compose`: writes the Docker Compose file of an exercise.
//!
//! Settings stay in the mounted files. The Compose file sets no port, log level or batch size, so that a change of
//! `server/config.ini` or `client/config.yaml` takes effect on the next `up`.

mod document;
mod keys;
mod service;
mod shared;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use crate::config::whole_number;
use crate::domain::MAX_AGENCIES;
use crate::error::{Error, Kind, Result};
use crate::output::{WholeFile, check_replaceable, folder_of, object, print};
use document::render;
use keys::Keys;

/// The subnet of the exercises.
pub const DEFAULT_SUBNET: &str = "172.25.125.0/24";

const DOCKERFILE: &str = "docker/Dockerfile";
const PROJECT: &str = "tp0";

/// Writes a Docker Compose file with the central and N agencies.
///
/// Example: quiniela gen-compose 5 -o docker-compose-dev.yaml
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Number of agencies; with 0 the central runs alone
    #[arg(value_name = "N", value_parser = whole_number(0..=u32::MAX))]
    pub clients: u32,

    /// File to write, whole or not at all; standard output if not given
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Exercise to run: 1 to 4 run the echo loop, 5 sends one bet from each agency, 6 to 8 run the lottery
    #[arg(long, overrides_with = "exercise", value_name = "1..8", default_value = "8", hide_possible_values = true, value_parser = exercises())]
    pub exercise: u8,

    /// Keep the bets on a named volume, which survives the central's container
    #[arg(long)]
    pub persist: bool,

    /// Number of centrals, which share a ledger if there are several
    #[arg(long, value_name = "N", default_value = "1", value_parser = whole_number(1..=16_u32))]
    pub centrals: u32,

    /// Keep the bets in a PostgreSQL with a synchronous standby, in two containers more; for exercises 5 to 8
    #[arg(long)]
    pub postgres: bool,

    /// Run the exercise, 5 to 8, over TLS: each container gets the keys of its party, and no other's
    #[arg(long)]
    pub tls: bool,

    /// With --tls, the folder of the keys, as quiniela keys init makes it; made if it is missing or empty
    #[arg(long, value_name = "DIR", default_value = "keys", requires = "tls", value_hint = ValueHint::DirPath)]
    pub keys_dir: PathBuf,

    /// Network of the containers
    #[arg(long, value_name = "ADDRESS/BITS", default_value = DEFAULT_SUBNET)]
    pub subnet: String,

    /// Replace an existing file even if it is not a Compose file of this lottery
    #[arg(long)]
    pub force: bool,

    /// With --output, print one JSON object about the file that was written
    #[arg(long, requires = "output")]
    pub json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    file: String,
    agencies: u32,
    centrals: u32,
    exercise: u8,
    persist: bool,
    tls: bool,
    /// Whether keys were made, since there were none.
    made_keys: bool,
}

fn exercises() -> impl TypedValueParser<Value = u8> {
    PossibleValuesParser::new(["1", "2", "3", "4", "5", "6", "7", "8"]).try_map(|text| text.parse::<u8>())
}

/// Writes the file whole, or leaves what is there as it was.
pub fn run(options: &Args) -> Result<()> {
    check(options)?;
    let root = std::env::current_dir()
        .map_err(|error| Error::failed(format!("cannot tell the current directory: {error}; run it from another")))?;
    let file = options.output.as_deref().unwrap_or(Path::new("-"));
    if !options.force {
        check_replaceable(file, "Compose file of this lottery", |text| {
            text.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_end() == format!("name: {PROJECT}").as_bytes())
        })?;
    }
    let mut output = WholeFile::create(file)?;
    let is_regular = output.is_regular();
    if is_regular && !root.join(DOCKERFILE).is_file() {
        let root = root.display();
        return Err(Error::bad_input(format!("{root}: holds no {DOCKERFILE}; run this in the project's folder")));
    }
    let to_root = if is_regular { path_to_root(folder_of(file), &root)? } else { ".".to_owned() };
    let keys = if options.tls { Some(Keys::ready(options, &root, &to_root)?) } else { None };
    output.write(render(options, &to_root, keys.as_ref())?.as_bytes())?;
    output.finish()?;
    if !is_regular {
        return Ok(());
    }
    let told = keys.map(|keys| keys.told).unwrap_or_default();
    let &Args { clients, centrals, exercise, persist, tls, .. } = options;
    if options.json {
        let (file, made_keys) = (file.display().to_string(), !told.is_empty());
        return print(object(&Report { file, agencies: clients, centrals, exercise, persist, tls, made_keys })?);
    }
    let agencies = match clients {
        1 => "1 agency".to_owned(),
        clients => format!("{clients} agencies"),
    };
    let central = match centrals {
        1 => "the central".to_owned(),
        centrals => format!("{centrals} centrals"),
    };
    let file = file.display();
    print(format!("{file}: {central} and {agencies}, for exercise {exercise}\n{told}"))
}

fn check(options: &Args) -> Result<()> {
    if !(1..=8).contains(&options.exercise) {
        return Err(Error::bad_input(format!("--exercise {}: the exercises are 1 to 8", options.exercise)));
    }
    if options.tls && options.exercise < 5 {
        return Err(Error::bad_input(format!(
            "--tls: exercise {} is the echo loop, in which nobody acts for an agency; give --exercise 5, 6, 7 or 8",
            options.exercise
        )));
    }
    if options.centrals > 1 && !options.postgres {
        return Err(Error::bad_input(format!(
            "--centrals {}: several centrals share a ledger in a database; give --postgres too",
            options.centrals
        )));
    }
    if options.postgres && options.exercise < 5 {
        return Err(Error::bad_input(format!(
            "--postgres: exercise {} stores nothing; give --exercise 5, 6, 7 or 8",
            options.exercise
        )));
    }
    if options.clients > MAX_AGENCIES {
        let found = options.clients;
        return Err(Error::bad_input(format!("{found} clients: a lottery has at most {MAX_AGENCIES} agencies")));
    }
    let subnet = &options.subnet;
    let Some((address, length)) = parse_subnet(subnet) else {
        let example = format!("such as {DEFAULT_SUBNET}");
        return Err(Error::bad_input(format!("--subnet {subnet}: not an IPv4 network, a.b.c.d/length, {example}")));
    };
    let size = 1_u64 << (32 - length);
    let first = u64::from(address.to_bits()) / size * size;
    if first != u64::from(address.to_bits()) {
        // The cast loses nothing: `first` is at most the address.
        let network = Ipv4Addr::from_bits(first as u32);
        return Err(Error::bad_input(format!("--subnet {subnet}: the network's own address is {network}/{length}")));
    }
    // The network, its gateway, its broadcast address and each central take one address each; a database takes three.
    let others = 3 + u64::from(options.centrals) + if options.postgres { 3 } else { 0 };
    let room = size.saturating_sub(others);
    if room < u64::from(options.clients) {
        return Err(Error::bad_input(format!(
            "--subnet {subnet} has addresses for {room} clients, not for {}: give a wider one, such as 172.25.0.0/16",
            options.clients
        )));
    }
    Ok(())
}

fn parse_subnet(subnet: &str) -> Option<(Ipv4Addr, u32)> {
    let (address, length) = subnet.split_once('/')?;
    let length = length.parse().ok().filter(|length| (1..=32).contains(length))?;
    Some((address.parse().ok()?, length))
}

fn resolve(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| Error::at_path(Kind::Failed, path, "resolve", &error))
}

/// The path from the Compose file's folder to the project: relative if the folder is inside the project, so that the
/// project can be moved, otherwise absolute.
fn path_to_root(folder: &Path, root: &Path) -> Result<String> {
    // Compose resolves relative paths from the folder where the file really is, not from a link to it.
    let (folder, root) = (resolve(folder)?, resolve(root)?);
    let path = match folder.strip_prefix(&root) {
        Ok(below) if below.as_os_str().is_empty() => PathBuf::from("."),
        Ok(below) => below.components().map(|_| "..").collect(),
        Err(_) => root,
    };
    mountable(&path, "write the file inside the project")
}

/// A path as the Compose file has it.
fn mountable(path: &Path, advice: &str) -> Result<String> {
    match path.to_str() {
        // Compose would read a dollar sign as the start of a variable.
        Some(text) if !text.contains(':') => Ok(text.replace('$', "$$")),
        _ => Err(Error::bad_input(format!(
            "{}: Compose cannot mount a folder whose path contains \":\" or is not UTF-8; {advice}",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn options(clients: u32) -> Args {
        Args {
            clients,
            output: None,
            exercise: 8,
            persist: false,
            centrals: 1,
            postgres: false,
            tls: false,
            keys_dir: "keys".into(),
            subnet: DEFAULT_SUBNET.to_owned(),
            force: false,
            json: false,
        }
    }

    fn refusal(options: &Args) -> String {
        let error = run(options).unwrap_err();
        assert_eq!(error.kind, Kind::BadInput);
        error.to_string()
    }

    #[test]
    fn a_network_must_be_one_and_have_room() {
        for bad in ["", "172.25.125.0", "172.25.125.0/33", "172.25.125.0/0", "172.25.125/24", "::/64", "a/24"] {
            let subnet = bad.to_owned();
            assert!(refusal(&Args { subnet, ..options(1) }).contains("not an IPv4 network"), "{bad}");
        }
        let subnet = "172.25.125.7/24".to_owned();
        assert!(refusal(&Args { subnet, ..options(1) }).ends_with("own address is 172.25.125.0/24"));
        assert!(check(&options(252)).is_ok());
        assert!(refusal(&options(253)).contains("addresses for 252 clients, not for 253"));
        assert!(check(&Args { subnet: "172.25.0.0/16".to_owned(), ..options(500) }).is_ok());
        assert!(refusal(&Args { subnet: "10.0.0.0/8".to_owned(), ..options(65_536) }).contains("at most 65535"));
    }

    #[test]
    fn several_centrals_need_a_database_and_it_an_exercise_that_stores() {
        assert!(refusal(&Args { centrals: 2, ..options(1) }).contains("give --postgres"));
        assert!(refusal(&Args { postgres: true, exercise: 4, ..options(1) }).contains("stores nothing"));
        let shared = |clients| Args { centrals: 2, postgres: true, ..options(clients) };
        assert!(check(&shared(248)).is_ok());
        assert!(refusal(&shared(249)).contains("addresses for 248 clients"));
    }

    #[test]
    fn there_are_eight_exercises() {
        for exercise in [0, 9] {
            assert!(refusal(&Args { exercise, ..options(1) }).ends_with("the exercises are 1 to 8"));
        }
    }

    #[test]
    fn the_way_to_the_root_is_relative_inside_it_and_absolute_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("root $1");
        fs::create_dir_all(root.join("a/b")).unwrap();
        let way = |from: &Path| path_to_root(from, &root).unwrap();
        assert_eq!(way(&root), ".");
        assert_eq!(way(&root.join("a/b")), "../..");
        assert_eq!(way(folder.path()), root.to_str().unwrap().replace('$', "$$"));
        let colon = folder.path().join("a:b");
        fs::create_dir(&colon).unwrap();
        assert!(path_to_root(folder.path(), &colon).is_err());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for output in [folder.path().to_owned(), folder.path().join("none/such.yaml")] {
            let shown = output.display().to_string();
            assert!(refusal(&Args { output: Some(output), ..options(1) }).starts_with(&shown));
        }
    }
}
