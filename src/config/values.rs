//! Parsers for the values of settings. Invalid text yields a message that lists what is allowed.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use log::LevelFilter;

use super::{Mode, Plain, Unbalanced};
use crate::domain::{LotteryId, MAX_AGENCIES, Roster, WinningNumber, is_digits};
use crate::logging::Form;

/// A longer duration is most likely a mistake in the unit.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
/// Python's names, and those of Go's that differ.
pub const LEVELS: [&str; 7] = ["CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG", "TRACE"];
pub const MODES: [&str; 3] = ["lottery", "bet", "echo"];

/// A parser of whole numbers, for a flag that is not a setting.
pub fn whole_number<T>(allowed: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| whole(text, allowed.clone()).map_err(for_flag)
}

/// Parses a time limit, for a flag that is not a setting.
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    limit(text).map_err(for_flag)
}

/// The message of a flag, which clap completes with the flag and the text.
pub fn for_flag(allowed: String) -> String {
    format!("allowed is {allowed}")
}

pub fn bind(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "an IP address of this machine such as 0.0.0.0, 127.0.0.1 or ::".to_owned())
}

pub fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an IP address of this machine and a port, such as 127.0.0.1:7574 or [::1]:7574".to_owned())
}

/// Takes the names of Python's levels and of Go's loggers. A level without events of its own means the next more severe
/// one. Nothing is logged at CRITICAL.
pub fn level(text: &str) -> Result<LevelFilter, String> {
    Ok(match text.to_ascii_uppercase().as_str() {
        "CRITICAL" | "FATAL" | "PANIC" => LevelFilter::Off,
        "ERROR" => LevelFilter::Error,
        "WARNING" | "WARN" | "NOTICE" => LevelFilter::Warn,
        "INFO" => LevelFilter::Info,
        "DEBUG" => LevelFilter::Debug,
        "TRACE" | "NOTSET" => LevelFilter::Trace,
        _ => return Err(format!("one of {}", LEVELS.join(", "))),
    })
}

/// What `--log-format` can be.
pub const LOG_FORMATS: [&str; 2] = ["text", "json"];

pub fn log_format(text: &str) -> Result<Form, String> {
    match text.to_ascii_lowercase().as_str() {
        "text" => Ok(Form::Text),
        "json" => Ok(Form::Json),
        _ => Err(LOG_FORMATS.join(" or ")),
    }
}

/// What a switch can be.
pub const SWITCH: [&str; 2] = ["yes", "no"];

pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err(SWITCH.join(" or ")),
    }
}

/// What `--plain` can be.
pub const PLAIN: [&str; 2] = ["echo", "none"];

pub fn plain(text: &str) -> Result<Plain, String> {
    match text {
        "echo" => Ok(Plain::Echo),
        "none" => Ok(Plain::Nothing),
        _ => Err(PLAIN.join(" or ")),
    }
}

/// What `--unbalanced` can be.
pub const UNBALANCED: [&str; 2] = ["refuse", "accept"];

pub fn unbalanced(text: &str) -> Result<Unbalanced, String> {
    match text {
        "refuse" => Ok(Unbalanced::Refuse),
        "accept" => Ok(Unbalanced::Accept),
        _ => Err(UNBALANCED.join(" or ")),
    }
}

pub fn winning_number(text: &str) -> Result<WinningNumber, String> {
    if text == "later" {
        return Ok(WinningNumber::Later);
    }
    whole(text, 0..=u32::MAX).map(WinningNumber::Known).map_err(|allowed| format!("{allowed} or later"))
}

pub fn lottery(text: &str) -> Result<LotteryId, String> {
    text.parse().map_err(|_| "32 lowercase hexadecimal digits".to_owned())
}

pub fn roster(text: &str) -> Result<Roster, String> {
    let amount = or_auto(text, |text| whole(text, 0..=MAX_AGENCIES))?;
    Ok(amount.map_or(Roster::Auto, Roster::Fixed))
}

/// A value, or none for the word that leaves it to the program.
pub fn or_auto<T>(text: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    read(text).map(Some).map_err(|allowed| format!("{allowed} or auto"))
}

pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

pub fn mode(text: &str) -> Result<Mode, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "lottery" => Mode::Lottery,
        "bet" => Mode::Bet,
        "echo" => Mode::Echo,
        _ => return Err(format!("one of {}", MODES.join(", "))),
    })
}

pub fn address(text: &str) -> Result<String, String> {
    let valid = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(char::is_whitespace) && whole(port, 1..=u16::MAX).is_ok()
    });
    if valid { Ok(text.to_owned()) } else { Err("host:port with a port from 1 to 65535".to_owned()) }
}

/// The addresses of one central or of several, with commas between them.
pub fn addresses(text: &str) -> Result<String, String> {
    let all: Result<Vec<String>, String> = text.split(',').map(address).collect();
    all.map(|_| text.to_owned()).map_err(|allowed| format!("{allowed}, or several with commas between them"))
}

/// Parses a wait, which may be zero.
pub fn pause(text: &str) -> Result<Duration, String> {
    let allowed = || "a duration from 0s to 24h such as 100ms, 5s or 1m30s".to_owned();
    duration(text).ok_or_else(allowed)
}

/// Parses a time limit, which may not be zero.
pub fn limit(text: &str) -> Result<Duration, String> {
    let allowed = || "a duration from 1ms to 24h such as 100ms, 5s or 1m30s".to_owned();
    duration(text).filter(|limit| *limit >= Duration::from_millis(1)).ok_or_else(allowed)
}

fn duration(text: &str) -> Option<Duration> {
    let duration = if text == "0" { Duration::ZERO } else { humantime::parse_duration(text).ok()? };
    (duration <= MAX_DURATION).then_some(duration)
}

/// Parses ASCII digits only. Signs, underscores and spaces, which other languages accept, are refused.
pub fn whole<T: FromStr + PartialOrd + Display>(text: &str, allowed: RangeInclusive<T>) -> Result<T, String> {
    let value = if is_digits(text) { text.parse().ok() } else { None };
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
    fn every_value_that_a_shell_offers_is_one() {
        assert!(LEVELS.iter().all(|name| level(name).is_ok()));
        assert!(MODES.iter().all(|name| mode(name).is_ok()));
        assert!(LOG_FORMATS.iter().all(|name| log_format(name).is_ok()));
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
        let port = |text| whole(text, 0..=u16::MAX);
        assert_eq!(port("0"), Ok(0));
        assert_eq!(port("012345"), Ok(12345));
        for bad in ["", "65536", "-1", "+1", "1_000", " 1", "1.0", "99999999999999999999"] {
            assert_eq!(port(bad), Err("a whole number from 0 to 65535".to_owned()), "{bad}");
        }
        assert!(whole("0", 1..=9).is_err());
        assert_eq!(whole("9", 1..=9), Ok(9));
    }

    #[test]
    fn a_roster_is_a_number_or_auto() {
        assert_eq!(roster("0"), Ok(Roster::Fixed(0)));
        assert_eq!(roster("AUTO"), Ok(Roster::Auto));
        assert_eq!(roster("65536").unwrap_err(), "a whole number from 0 to 65535 or auto");
    }

    #[test]
    fn several_centrals_have_commas_between_them() {
        for good in ["server:12345", "a:1,b:2", "[::1]:80,10.0.0.1:1,c:3"] {
            assert_eq!(addresses(good).as_deref(), Ok(good));
        }
        for bad in ["", "a:1,", ",a:1", "a:1, b:2", "a,b:1"] {
            assert!(addresses(bad).is_err(), "{bad}");
        }
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
