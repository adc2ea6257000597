//! The Compose file's document: its services, and the parts that they have in common.

use serde::Serialize;
use serde::ser::Serializer;

use super::keys::{Keys, PLACE};
use super::service::{Map, NETWORK, Service, service};
use super::shared::{self, Server};
use super::{Args, DOCKERFILE, PROJECT};
use crate::domain::Role;
use crate::error::{Error, Result};

const VOLUME: &str = "store";
/// Metrics, readiness and pages. The first central's are published at the same port, the second's at the next, and so on.
const HTTP_PORT: u32 = 7574;

#[derive(Serialize)]
struct Document {
    name: &'static str,
    #[serde(serialize_with = "in_order")]
    services: Vec<(String, Any)>,
    networks: Map<Network>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    volumes: Map<Map<()>>,
}

/// A service of this program's image, or of another.
#[derive(Serialize)]
#[serde(untagged)]
enum Any {
    Own(Box<Service>),
    Database(Box<Server>),
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
    let central = |place| {
        let name = shared::name(place);
        (name.clone(), server(options, root, place, &name))
    };
    let mut services: Vec<(String, Service)> = (1..=options.centrals).map(central).collect();
    services.extend((1..=options.clients).map(|id| (format!("client{id}"), client(options, id, root))));
    if let Some(keys) = keys {
        for (party, (_, service)) in keys.parties().zip(&mut services) {
            identify(service, keys, party)?;
        }
    }
    if options.postgres {
        services.iter_mut().take(options.centrals as usize).for_each(|(_, central)| shared::share(central));
    }
    let mut all: Vec<(String, Any)> =
        services.into_iter().map(|(name, service)| (name, Any::Own(Box::new(service)))).collect();
    let mut volumes = if options.persist && !options.postgres { vec![VOLUME] } else { Vec::new() };
    if options.postgres {
        let servers = shared::servers(options.persist).map(|(name, server)| (name, Any::Database(Box::new(server))));
        all.extend(servers);
        all.push(("migrate".to_owned(), Any::Own(Box::new(shared::migrate()))));
        volumes.extend(["db1", "db2"].into_iter().filter(|_| options.persist));
    }
    let config = [Map::from([("subnet", options.subnet.clone())])];
    let document = Document {
        name: PROJECT,
        services: all,
        networks: Map::from([(NETWORK, Network { ipam: Ipam { driver: "default", config } })]),
        volumes: volumes.into_iter().map(|volume| (volume, Map::new())).collect(),
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

fn server(options: &Args, root: &str, place: u32, name: &str) -> Service {
    let mut volumes = vec![format!("{root}/server/config.ini:/config.ini:ro")];
    if options.persist && !options.postgres {
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
        // For this machine alone.
        ports: Some([format!("127.0.0.1:{}:{HTTP_PORT}", HTTP_PORT + place - 1)]),
        depends_on: Map::new(),
        // Not set, so that the image's health check applies.
        healthcheck: None,
        // Without a volume, the central writes its state into the container.
        read_only: options.persist,
        ..service(name.to_owned())
    }
}

fn client(options: &Args, id: u32, root: &str) -> Service {
    let mut environment = vec![format!("CLI_ID={id}")];
    if options.centrals > 1 {
        let servers: Vec<String> =
            (1..=options.centrals).map(|place| format!("{}:12345", shared::name(place))).collect();
        environment.push(format!("CLI_SERVER_ADDRESS={}", servers.join(",")));
    }
    let mode = match options.exercise {
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
