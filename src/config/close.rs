//! `--close-at`: the local time from which on a followed file gets no more bets.

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

use crate::error::{Error, Result};

/// A time of the day on which the agency is started, or of another day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseAt {
    Today(Time),
    On(DateTime),
}

pub fn close_at(text: &str) -> Result<CloseAt, String> {
    // The parsers take other forms too, with a zone that would not count.
    let is_clock = |clock: &str| clock.contains(':') && clock.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let read = match text.split_once(['T', ' ']) {
        None => text.parse().ok().filter(|_| is_clock(text)).map(CloseAt::Today),
        Some((_, clock)) => text.parse().ok().filter(|_| is_clock(clock)).map(CloseAt::On),
    };
    read.ok_or_else(|| "a local time such as 20:30, or a date and a time such as 2026-12-31T20:30".to_owned())
}

impl CloseAt {
    /// The moment, in this machine's time zone.
    pub fn moment(self) -> Result<Timestamp> {
        let unknown = |error: jiff::Error| {
            let example = "such as TZ=America/Argentina/Buenos_Aires, or TZ='<-03>3' where there is no list of zones";
            Error::bad_input(format!("--close-at: the local time zone is not known: set TZ, {example}: {error}"))
        };
        self.moment_in(&TimeZone::try_system().map_err(unknown)?, Timestamp::now())
            .map_err(|error| Error::bad_input(format!("--close-at: {error}")))
    }

    /// A time that a change of clocks leaves out is as long after the change as it is behind it by the clock of before. Of one that
    /// comes twice it is the first.
    fn moment_in(self, zone: &TimeZone, now: Timestamp) -> Result<Timestamp, jiff::Error> {
        zone.to_timestamp(match self {
            CloseAt::Today(time) => zone.to_datetime(now).date().to_datetime(time),
            CloseAt::On(moment) => moment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn moment(text: &str, zone: &str, now: &str) -> String {
        let zone = TimeZone::posix(zone).unwrap();
        close_at(text).unwrap().moment_in(&zone, now.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn a_time_is_of_the_day_on_which_the_agency_is_started_by_the_local_clock() {
        let argentina = "<-03>3";
        assert_eq!(moment("20:30", argentina, "2026-11-30T12:00:00Z"), "2026-11-30T23:30:00Z");
        // It is the 29th still, and 20:30 has passed.
        assert_eq!(moment("20:30", argentina, "2026-11-30T02:59:00Z"), "2026-11-29T23:30:00Z");
        assert_eq!(moment("20:30:15", argentina, "2026-11-30T12:00:00Z"), "2026-11-30T23:30:15Z");
        assert_eq!(moment("2026-12-31T20:30", argentina, "2026-11-30T12:00:00Z"), "2026-12-31T23:30:00Z");
        assert_eq!(moment("2026-12-31 20:30", argentina, "2026-11-30T12:00:00Z"), "2026-12-31T23:30:00Z");
    }

    #[test]
    fn a_change_of_clocks_has_its_rules() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        // On 2026-03-29 the clocks go from 02:00 to 03:00, on 2026-10-25 from 03:00 to 02:00.
        assert_eq!(moment("02:30", berlin, "2026-03-29T00:00:00Z"), "2026-03-29T01:30:00Z");
        assert_eq!(moment("02:30", berlin, "2026-10-25T00:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(moment("20:30", berlin, "2026-03-29T00:00:00Z"), "2026-03-29T18:30:00Z");
        assert_eq!(moment("20:30", berlin, "2026-03-28T12:00:00Z"), "2026-03-28T19:30:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "20",
            "2030",
            "24:00",
            "20:60",
            "8pm",
            "2026-12-31",
            "T20:30:00Z",
            "20:30-03",
            "2026-12-31T20:30Z",
            "2026-12-31T20:30-03",
        ] {
            assert!(close_at(bad).is_err(), "{bad}: {:?}", close_at(bad));
        }
    }
}
