//! How the texts of settings become values. A text that is none gets told what is allowed.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum as _;
use log::LevelFilter;

use super::Mode;
use crate::domain::{AgencyId, MAX_AGENCIES, Roster};

/// No wait is longer: what is meant to take days is a mistake in the unit.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_BACKLOG: u32 = 65_535;
const MAX_WORKERS: usize = 1_024;
const MAX_CONNECTIONS: usize = 1_000_000;
const MAX_IN_FLIGHT: usize = 4_096;
const MAX_BATCH_SAID: u32 = 1_000_000;

pub fn port(text: &str) -> Result<u16, String> {
    whole(text, 0..=u16::MAX)
}

pub fn bind(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "an IP address of this machine, as 0.0.0.0, 127.0.0.1 or ::".to_owned())
}

pub fn backlog(text: &str) -> Result<u32, String> {
    whole(text, 0..=MAX_BACKLOG)
}

/// The names of Python's levels and of Go's loggers. A level that we have no events for is the next graver one, and
/// nothing that we log is as grave as a crash.
pub fn level(text: &str) -> Result<LevelFilter, String> {
    Ok(match text.to_ascii_uppercase().as_str() {
        "CRITICAL" | "FATAL" | "PANIC" => LevelFilter::Off,
        "ERROR" => LevelFilter::Error,
        "WARNING" | "WARN" | "NOTICE" => LevelFilter::Warn,
        "INFO" => LevelFilter::Info,
        "DEBUG" => LevelFilter::Debug,
        "TRACE" | "NOTSET" => LevelFilter::Trace,
        _ => return Err("one of CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG, TRACE".to_owned()),
    })
}

pub fn roster(text: &str) -> Result<Roster, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Roster::Auto);
    }
    whole(text, 0..=MAX_AGENCIES).map(Roster::Fixed).map_err(|allowed| format!("{allowed}, or auto,"))
}

pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

pub fn number(text: &str) -> Result<u32, String> {
    whole(text, 0..=u32::MAX)
}

pub fn workers(text: &str) -> Result<usize, String> {
    whole(text, 1..=MAX_WORKERS)
}

pub fn connections(text: &str) -> Result<usize, String> {
    whole(text, 1..=MAX_CONNECTIONS)
}

pub fn agency(text: &str) -> Result<AgencyId, String> {
    whole(text, 1..=MAX_AGENCIES).map(AgencyId)
}

pub fn mode(text: &str) -> Result<Mode, String> {
    Mode::from_str(text, true).map_err(|_| "one of lottery, bet, echo".to_owned())
}

pub fn address(text: &str) -> Result<String, String> {
    let valid = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(char::is_whitespace) && whole(port, 1..=u16::MAX).is_ok()
    });
    if valid { Ok(text.to_owned()) } else { Err("host:port with a port from 1 to 65535".to_owned()) }
}

pub fn batch_max(text: &str) -> Result<u32, String> {
    whole(text, 1..=MAX_BATCH_SAID)
}

pub fn in_flight(text: &str) -> Result<usize, String> {
    whole(text, 1..=MAX_IN_FLIGHT)
}

/// A wait that may be none.
pub fn pause(text: &str) -> Result<Duration, String> {
    let allowed = || "a duration from 0s to 24h, as 100ms, 5s or 1m30s,".to_owned();
    duration(text).ok_or_else(allowed)
}

/// A limit that must leave some time.
pub fn limit(text: &str) -> Result<Duration, String> {
    let allowed = || "a duration from 1ms to 24h, as 100ms, 5s or 1m30s,".to_owned();
    duration(text).filter(|limit| *limit >= Duration::from_millis(1)).ok_or_else(allowed)
}

fn duration(text: &str) -> Option<Duration> {
    let duration = if text == "0" { Duration::ZERO } else { humantime::parse_duration(text).ok()? };
    (duration <= MAX_DURATION).then_some(duration)
}

/// ASCII digits alone: what other languages take besides (signs, underscores, spaces) is no number in these files.
fn whole<T>(text: &str, allowed: RangeInclusive<T>) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = if digits { text.parse().ok() } else { None };
    value
        .filter(|value| allowed.contains(value))
        .ok_or_else(|| format!("a whole number from {} to {}", allowed.start(), allowed.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_pythons_and_gos_names() {
        assert_eq!(level("critical"), Ok(LevelFilter::Off));
        assert_eq!(level("Panic"), Ok(LevelFilter::Off));
        assert_eq!(level("ERROR"), Ok(LevelFilter::Error));
        assert_eq!(level("warn"), Ok(LevelFilter::Warn));
        assert_eq!(level("NOTICE"), Ok(LevelFilter::Warn));
        assert_eq!(level("Info"), Ok(LevelFilter::Info));
        assert_eq!(level("DEBUG"), Ok(LevelFilter::Debug));
        assert_eq!(level("notset"), Ok(LevelFilter::Trace));
        assert!(level("VERBOSE").unwrap_err().contains("NOTICE"));
    }

    #[test]
    fn durations_are_as_people_write_them() {
        for (text, milliseconds) in [("100ms", 100), ("5s", 5_000), ("1m30s", 90_000), ("0", 0), ("0s", 0)] {
            assert_eq!(pause(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "5", "-1s", "25h", "1 fortnight"] {
            assert!(pause(bad).is_err(), "{bad}");
        }
        assert!(limit("0s").is_err());
        assert!(limit("1ms").is_ok());
    }

    #[test]
    fn whole_numbers_are_digits_within_their_range() {
        assert_eq!(port("0"), Ok(0));
        assert_eq!(port("012345"), Ok(12345));
        for bad in ["", "65536", "-1", "+1", "1_000", " 1", "1.0", "99999999999999999999"] {
            assert_eq!(port(bad), Err("a whole number from 0 to 65535".to_owned()), "{bad}");
        }
        assert!(agency("0").is_err());
        assert_eq!(agency("65535"), Ok(AgencyId(65_535)));
        assert!(workers("0").is_err());
    }

    #[test]
    fn a_roster_is_a_number_or_auto() {
        assert_eq!(roster("0"), Ok(Roster::Fixed(0)));
        assert_eq!(roster("AUTO"), Ok(Roster::Auto));
        assert_eq!(roster("65536").unwrap_err(), "a whole number from 0 to 65535, or auto,");
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["server:12345", "[::1]:80", "10.0.0.1:1"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in ["server", "server:", ":1", "server:0", "server:65536", "a b:1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
