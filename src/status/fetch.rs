//! Asks a central for its state.

use std::fmt;
use std::time::Duration;

use ureq::Agent;

use crate::domain::Quoted;
use crate::error::{Error, Kind, Result};
use crate::observe::Report;

/// Time for one question, from its begin to the last byte of its answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes of an answer: one about all agencies that there can be has some 15 MiB.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// Where a central serves HTTP: `http://HOST:PORT`.
#[derive(Clone, Debug)]
pub struct Place(String);

/// A central's state, as read and as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub report: Report,
    /// One line.
    pub json: String,
}

impl Place {
    /// Takes `HOST:PORT` too. The error says what is allowed.
    pub fn parse(text: &str) -> Result<Place, String> {
        let host = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let is_host = |character: char| character.is_ascii_alphanumeric() || ".-_:[]%".contains(character);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err("allowed is http://HOST:PORT, such as http://127.0.0.1:7574; there is no https here".to_owned());
        }
        Ok(Place(format!("http://{host}")))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

pub fn fetch(place: &Place) -> Result<Answer> {
    let config = Agent::config_builder().timeout_global(Some(DEADLINE)).http_status_as_error(false).proxy(None);
    let agent = Agent::new_with_config(config.max_redirects(0).build());
    let unreachable = |error: ureq::Error| {
        let hint = "check that the central runs, was started with --http, and that --server names that address";
        Error::new(Kind::Unreachable, format!("{place}: no central answers: {error}; {hint}"))
    };
    let mut response = agent.get(format!("{place}/status.json")).call().map_err(unreachable)?;
    let status = response.status();
    let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().map_err(unreachable)?;
    if status.as_u16() == 503 {
        return Err(Error::new(Kind::Unreachable, format!("{place}: the central has too much to do; ask again later")));
    }
    if !status.is_success() {
        return Err(Error::failed(format!("{place}: answers {status} where a central's state was expected")));
    }
    let strange = |error: serde_json::Error| {
        let begin: String = text.chars().take(60).collect();
        Error::failed(format!("{place}: this is no central's state: {error}; it begins with {}", Quoted(&begin)))
    };
    let report: Report = serde_json::from_str(&text).map_err(strange)?;
    // As it came, so that fields of a later version are there too.
    Ok(Answer { report, json: format!("{}\n", text.trim_end()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_a_port() {
        for (text, place) in [
            ("http://127.0.0.1:7574", "http://127.0.0.1:7574"),
            ("http://central:80/", "http://central:80"),
            ("[::1]:7574", "http://[::1]:7574"),
        ] {
            assert_eq!(Place::parse(text).unwrap().to_string(), place);
        }
        for bad in ["", "https://central:1", "http://a/b", "http://a b", "http://user@host"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
