//! `quiniela gen-compose`: writes the Docker Compose file of an exercise.
//!
//! Settings stay in the mounted files. The Compose file sets no port, log level or batch size, so that a change of
//! `server/config.ini` or `client/config.yaml` takes effect on the next `up`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde::ser::Serializer;

use crate::config::whole_number;
use crate::domain::MAX_AGENCIES;
use crate::error::{Error, Kind, Result};
use crate::output::{WholeFile, check_replaceable, folder_of, print};

/// The subnet of the exercises.
pub const DEFAULT_SUBNET: &str = "172.25.125.0/24";

const IMAGE: &str = "quiniela:latest";
const DOCKERFILE: &str = "docker/Dockerfile";
const PROJECT: &str = "tp0";
const NETWORK: &str = "testing_net";
const VOLUME: &str = "store";

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

    /// Network of the containers
    #[arg(long, value_name = "ADDRESS/BITS", default_value = DEFAULT_SUBNET)]
    pub subnet: String,

    /// Replace an existing file even if it is not a Compose file of this lottery
    #[arg(long)]
    pub force: bool,
}

fn exercises() -> impl TypedValueParser<Value = u8> {
    PossibleValuesParser::new(["1", "2", "3", "4", "5", "6", "7", "8"]).try_map(|text| text.parse::<u8>())
}

type Map<T> = BTreeMap<&'static str, T>;

#[derive(Serialize)]
struct Document {
    name: &'static str,
    #[serde(serialize_with = "in_order")]
    services: Vec<(String, Service)>,
    networks: Map<Network>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    volumes: Map<Map<()>>,
}

#[derive(Serialize)]
struct Service {
    container_name: String,
    image: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<Map<String>>,
    pull_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<&'static str>,
    command: Vec<&'static str>,
    environment: Vec<String>,
    volumes: Vec<String>,
    networks: [&'static str; 1],
    #[serde(skip_serializing_if = "Map::is_empty")]
    depends_on: Map<Map<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Map<bool>>,
    stop_grace_period: &'static str,
    read_only: bool,
    cap_drop: [&'static str; 1],
    security_opt: [&'static str; 1],
    logging: Logging,
}

#[derive(Serialize)]
struct Logging {
    driver: &'static str,
    options: LogOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct LogOptions {
    max_size: &'static str,
    max_file: &'static str,
}

#[derive(Serialize)]
struct Network {
    ipam: Ipam,
}

#[derive(Serialize)]
struct Ipam {
    driver: &'static str,
    config: [Map<String>; 1],
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
    if !output.is_regular() {
        output.write(render(options, ".")?.as_bytes())?;
        return output.finish();
    }
    if !root.join(DOCKERFILE).is_file() {
        let root = root.display();
        return Err(Error::bad_input(format!("{root}: holds no {DOCKERFILE}; run this in the project's folder")));
    }
    output.write(render(options, &path_to_root(folder_of(file), &root)?)?.as_bytes())?;
    output.finish()?;
    let agencies = match options.clients {
        1 => "1 agency".to_owned(),
        clients => format!("{clients} agencies"),
    };
    print(format!("{}: the central and {agencies}, for exercise {}\n", file.display(), options.exercise))
}

/// The text of the file. `root` is the path from the file's folder to the folder of the sources.
fn render(options: &Args, root: &str) -> Result<String> {
    let mut services = vec![("server".to_owned(), server(options, root))];
    services.extend((1..=options.clients).map(|id| (format!("client{id}"), client(options.exercise, id, root))));
    let config = [Map::from([("subnet", options.subnet.clone())])];
    let document = Document {
        name: PROJECT,
        services,
        networks: Map::from([(NETWORK, Network { ipam: Ipam { driver: "default", config } })]),
        volumes: if options.persist { Map::from([(VOLUME, Map::new())]) } else { Map::new() },
    };
    serde_yaml::to_string(&document).map_err(|error| Error::failed(format!("cannot write YAML: {error}")))
}

fn server(options: &Args, root: &str) -> Service {
    let mut volumes = vec![format!("{root}/server/config.ini:/config.ini:ro")];
    if options.persist {
        volumes.push(format!("{VOLUME}:/store"));
    }
    Service {
        // Only this service builds, on each `up`: no container then runs an image older than its sources. The build
        // cache makes that fast.
        build: Some(Map::from([("context", root.to_owned()), ("dockerfile", DOCKERFILE.to_owned())])),
        pull_policy: "build",
        // A central that failed recovers its state when it starts again. One that fails five times is left stopped.
        restart: Some("on-failure:5"),
        command: vec!["server"],
        environment: vec![format!("CLIENT_AMOUNT={}", options.clients)],
        volumes,
        depends_on: Map::new(),
        // Not set, so that the image's health check applies.
        healthcheck: None,
        // Without a volume, the central writes its state into the container.
        read_only: options.persist,
        ..service("server".to_owned())
    }
}

fn client(exercise: u8, id: u32, root: &str) -> Service {
    let mut environment = vec![format!("CLI_ID={id}")];
    let mode = match exercise {
        1..=4 => "echo",
        5 => {
            environment.extend(person(id));
            "bet"
        }
        _ => "lottery",
    };
    Service {
        command: vec!["agency", "--mode", mode],
        environment,
        volumes: vec![
            format!("{root}/client/config.yaml:/config.yaml:ro"),
            // The whole folder, so that a new file in it needs no change here.
            format!("{root}/.data:/data:ro"),
        ],
        ..service(format!("client{id}"))
    }
}

/// What all services have in common.
fn service(container_name: String) -> Service {
    Service {
        container_name,
        image: IMAGE,
        build: None,
        pull_policy: "never",
        restart: None,
        command: Vec::new(),
        environment: Vec::new(),
        volumes: Vec::new(),
        networks: [NETWORK],
        depends_on: Map::from([("server", Map::from([("condition", "service_healthy")]))]),
        // The image's health check is for a central.
        healthcheck: Some(Map::from([("disable", true)])),
        stop_grace_period: "10s",
        read_only: true,
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
        logging: Logging { driver: "json-file", options: LogOptions { max_size: "50m", max_file: "3" } },
    }
}

/// The bet of an agency in exercise 5. The first agency's bet is the example in the text of the exercise.
fn person(id: u32) -> [String; 5] {
    const FIRST_NAMES: [&str; 7] = ["Santiago Lionel", "María José", "Agustín", "Zoe", "Íñigo", "Begoña", "Raúl"];
    const LAST_NAMES: [&str; 5] = ["Lorca", "Núñez", "Peña Güemes", "Ibáñez", "D'Angelo"];
    let index = id - 1;
    [
        format!("NOMBRE={}", FIRST_NAMES[index as usize % FIRST_NAMES.len()]),
        format!("APELLIDO={}", LAST_NAMES[index as usize % LAST_NAMES.len()]),
        format!("DOCUMENTO={}", 30_904_465 + index),
        format!("NACIMIENTO={}-{:02}-{:02}", 1999 - index % 60, (index + 2) % 12 + 1, (index + 16) % 28 + 1),
        format!("NUMERO={}", (7574 + index * 1237) % 10_000),
    ]
}

fn check(options: &Args) -> Result<()> {
    if !(1..=8).contains(&options.exercise) {
        return Err(Error::bad_input(format!("--exercise {}: the exercises are 1 to 8", options.exercise)));
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
    // The network, its gateway, its broadcast address and the central take one address each.
    let room = size.saturating_sub(4);
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

/// The path from the Compose file's folder to the project: relative if the folder is inside the project, so that the
/// project can be moved, otherwise absolute.
fn path_to_root(folder: &Path, root: &Path) -> Result<String> {
    let resolve =
        |path: &Path| path.canonicalize().map_err(|error| Error::at_path(Kind::Failed, path, "resolve", &error));
    // Compose resolves relative paths from the folder where the file really is, not from a link to it.
    let (folder, root) = (resolve(folder)?, resolve(root)?);
    let path = match folder.strip_prefix(&root) {
        Ok(below) if below.as_os_str().is_empty() => PathBuf::from("."),
        Ok(below) => below.components().map(|_| "..").collect(),
        Err(_) => root,
    };
    match path.to_str() {
        // Compose would read a dollar sign as the start of a variable.
        Some(text) if !text.contains(':') => Ok(text.replace('$', "$$")),
        _ => Err(Error::bad_input(format!(
            "{}: Compose cannot mount a folder whose path contains \":\" or is not UTF-8; write the file inside the project",
            path.display()
        ))),
    }
}

/// Serializes pairs as a map in their own order: `client10` comes after `client9`.
fn in_order<K: Serialize, V: Serialize, S: Serializer>(pairs: &[(K, V)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Bet;
    use std::fs;

    fn options(clients: u32) -> Args {
        Args { clients, output: None, exercise: 8, persist: false, subnet: DEFAULT_SUBNET.to_owned(), force: false }
    }

    fn refusal(options: &Args) -> String {
        let error = run(options).unwrap_err();
        assert_eq!(error.kind, Kind::BadInput);
        error.to_string()
    }

    #[test]
    fn persons_are_good_bets_all_different() {
        let mut documents = std::collections::HashSet::new();
        for id in 1..=500 {
            let person = person(id);
            let values = person.each_ref().map(|line| line.split_once('=').unwrap().1);
            let bet = Bet::new(values).unwrap_or_else(|error| panic!("client {id}: {error}"));
            assert!(documents.insert(bet.document.to_owned()));
        }
        assert_eq!(person(1)[4], "NUMERO=7574", "someone wins");
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
