//! The Compose file's document: its services, and the parts that they have in common.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::Serializer;

use super::keys::{Keys, PLACE};
use super::{Args, DOCKERFILE, PROJECT};
use crate::domain::Role;
use crate::error::{Error, Result};

const IMAGE: &str = "quiniela:latest";
const NETWORK: &str = "testing_net";
const VOLUME: &str = "store";
/// Metrics, readiness and pages, for this machine alone.
const HTTP_PORT: u16 = 7574;
const PUBLISHED: &str = "127.0.0.1:7574:7574";

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
    /// The image's own user, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    command: Vec<&'static str>,
    environment: Vec<String>,
    volumes: Vec<String>,
    networks: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<[&'static str; 1]>,
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

/// The text of the file. `root` is the path from the file's folder to the folder of the sources.
pub fn render(options: &Args, root: &str, keys: Option<&Keys>) -> Result<String> {
    let mut services = vec![("server".to_owned(), server(options, root))];
    services.extend((1..=options.clients).map(|id| (format!("client{id}"), client(options.exercise, id, root))));
    if let Some(keys) = keys {
        for (party, (_, service)) in keys.parties().zip(&mut services) {
            identify(service, keys, party)?;
        }
    }
    let config = [Map::from([("subnet", options.subnet.clone())])];
    let document = Document {
        name: PROJECT,
        services,
        networks: Map::from([(NETWORK, Network { ipam: Ipam { driver: "default", config } })]),
        volumes: if options.persist { Map::from([(VOLUME, Map::new())]) } else { Map::new() },
    };
    let text = serde_yaml::to_string(&document);
    let text = text.map_err(|error| Error::failed(format!("cannot write YAML: {error}")))?;
    // Some readers of YAML, such as podman-compose's, take an unquoted 501:20 for a number in base 60.
    let quoted = |line: &str| match line.strip_prefix("    user: ") {
        Some(owner) => format!("    user: \"{owner}\"\n"),
        None => format!("{line}\n"),
    };
    Ok(text.lines().map(quoted).collect())
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
        environment: vec![format!("CLIENT_AMOUNT={}", options.clients), format!("HTTP=0.0.0.0:{HTTP_PORT}")],
        volumes,
        ports: Some([PUBLISHED]),
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

/// Gives a service the keys of its party, and no other's. Keys can be read by their owner alone, so the container runs as that
/// user. The image's `/store` can be written by any user: a container's own files and a new volume then need no preparation.
fn identify(service: &mut Service, keys: &Keys, party: Role) -> Result<()> {
    let variable = if party == Role::Central { "TLS_KEYS" } else { "CLI_TLS_KEYS" };
    service.environment.push(format!("{variable}={PLACE}"));
    service.volumes.push(keys.mount(party));
    service.user = Some(keys.owner(party)?);
    Ok(())
}

/// What all services have in common.
fn service(container_name: String) -> Service {
    Service {
        container_name,
        image: IMAGE,
        build: None,
        pull_policy: "never",
        restart: None,
        user: None,
        command: Vec::new(),
        environment: Vec::new(),
        volumes: Vec::new(),
        networks: [NETWORK],
        ports: None,
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

/// Serializes pairs as a map in their own order: `client10` comes after `client9`.
fn in_order<K: Serialize, V: Serialize, S: Serializer>(pairs: &[(K, V)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Bet;

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
}
