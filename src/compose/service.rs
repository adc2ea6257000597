//! A service of the Compose file, and what all of them have in common.

use std::collections::BTreeMap;

use serde::Serialize;

const IMAGE: &str = "quiniela:latest";
pub const NETWORK: &str = "testing_net";

pub type Map<T> = BTreeMap<&'static str, T>;

#[derive(Serialize)]
pub struct Service {
    pub container_name: String,
    pub image: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Map<String>>,
    pub pull_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<&'static str>,
    /// The image's own user, if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub command: Vec<&'static str>,
    pub environment: Vec<String>,
    pub volumes: Vec<String>,
    pub networks: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<[String; 1]>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub depends_on: Map<Map<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Map<bool>>,
    pub stop_grace_period: &'static str,
    pub read_only: bool,
    pub cap_drop: [&'static str; 1],
    pub security_opt: [&'static str; 1],
    pub logging: Logging,
}

#[derive(Serialize)]
pub struct Logging {
    pub driver: &'static str,
    pub options: LogOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogOptions {
    pub max_size: &'static str,
    pub max_file: &'static str,
}

/// What all services have in common.
pub fn service(container_name: String) -> Service {
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
        logging: logging(),
    }
}

pub fn logging() -> Logging {
    Logging { driver: "json-file", options: LogOptions { max_size: "50m", max_file: "3" } }
}
