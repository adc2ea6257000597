//! The services of a ledger that several centrals share: a PostgreSQL, its synchronous standby, and what makes the tables.

use std::collections::BTreeMap;

use serde::Serialize;

use super::service::{Logging, Map, NETWORK, Service, logging, service};

/// The image of the servers, whose entry point makes the first database.
const IMAGE: &str = "postgres:15";
/// The owner of the tables, and the role of the centrals. Nothing outside of the containers' network can reach the servers.
const OWNER: &str = "postgres://owner:owner@db1,db2/lottery?sslmode=disable";
const CENTRAL: &str = "postgres://quiniela:quiniela@db1,db2/lottery?sslmode=disable";

/// What runs once, before the primary is reached: the standby is waited for only from then on. Compose takes `$$` for `$`.
const PRIMARY: &str = r#"cat >/docker-entrypoint-initdb.d/pair.sh <<'END'
psql -v ON_ERROR_STOP=1 -U owner -d lottery \
  -c "CREATE ROLE quiniela LOGIN PASSWORD 'quiniela'" \
  -c "SELECT pg_create_physical_replication_slot('standby')" \
  -c "ALTER SYSTEM SET synchronous_standby_names = 'standby'"
echo 'host replication owner all scram-sha-256' >>"$$PGDATA/pg_hba.conf"
END
exec docker-entrypoint.sh postgres -c max_slot_wal_keep_size=10GB
"#;
const STANDBY: &str = r#"if [ ! -s "$$PGDATA/PG_VERSION" ]; then
  until pg_basebackup -R -S standby -D "$$PGDATA" -d 'host=db1 user=owner password=owner application_name=standby'; do
    rm -rf "$$PGDATA"/*
    sleep 1
  done
fi
chown -R postgres "$$PGDATA"
chmod 700 "$$PGDATA"
exec docker-entrypoint.sh postgres
"#;

/// A server of the database.
#[derive(Serialize)]
pub struct Server {
    container_name: &'static str,
    image: &'static str,
    restart: &'static str,
    command: [&'static str; 3],
    environment: [&'static str; 3],
    volumes: Vec<String>,
    networks: [&'static str; 1],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    depends_on: Map<Map<&'static str>>,
    healthcheck: Health,
    stop_grace_period: &'static str,
    security_opt: [&'static str; 1],
    logging: Logging,
}

#[derive(Serialize)]
struct Health {
    test: [&'static str; 2],
    interval: &'static str,
    timeout: &'static str,
    retries: u32,
}

/// The two servers. With a volume each if their data has to last.
pub fn servers(persist: bool) -> [(String, Server); 2] {
    let server = |name: &'static str, script: &'static str, after: Option<&'static str>| {
        let volume = || format!("{name}:/var/lib/postgresql/data");
        let server = Server {
            container_name: name,
            image: IMAGE,
            restart: "on-failure:5",
            command: ["bash", "-c", script],
            environment: ["POSTGRES_USER=owner", "POSTGRES_PASSWORD=owner", "POSTGRES_DB=lottery"],
            volumes: persist.then(volume).into_iter().collect(),
            networks: [NETWORK],
            depends_on: after.map(|after| (after, Map::from([("condition", "service_healthy")]))).into_iter().collect(),
            // Over TCP, which is not there while the first database is made.
            healthcheck: Health {
                test: ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U owner -d lottery"],
                interval: "1s",
                timeout: "5s",
                retries: 60,
            },
            stop_grace_period: "30s",
            security_opt: ["no-new-privileges:true"],
            logging: logging(),
        };
        (name.to_owned(), server)
    };
    [server("db1", PRIMARY, None), server("db2", STANDBY, Some("db1"))]
}

/// Makes the tables, once both servers run.
pub fn migrate() -> Service {
    let mut service = service("migrate".to_owned());
    service.restart = Some("on-failure:5");
    service.command = vec!["migrate", "--store", OWNER, "--grant", "quiniela"];
    service.depends_on = Map::from([("db2", Map::from([("condition", "service_healthy")]))]);
    service
}

/// Lets a central use the database.
pub fn share(central: &mut Service) {
    central.environment.push(format!("STORE_DIR={CENTRAL}"));
    central.command.push("--require-standby");
    central.depends_on = Map::from([("migrate", Map::from([("condition", "service_completed_successfully")]))]);
    central.read_only = true;
}

/// The name of a central among several.
pub fn name(place: u32) -> String {
    if place == 1 { "server".to_owned() } else { format!("server{place}") }
}
