//! A central's state for people.

use std::fmt::Write as _;

use crate::domain::visible;
use crate::observe::{Acknowledgement, AgencyReport, Phase, Report};
use crate::output::counted;

/// Seconds over which the rate is shown.
const RATE_SECONDS: usize = 5;

/// The table as lines, each with a line feed.
pub fn show(place: &str, report: &Report) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<12} {text}");
    };
    let version =
        format!("{} ({})", visible(&report.version), visible(report.commit.as_deref().unwrap_or("unknown commit")));
    line("central", format!("{place}, quiniela {version}, up since {}", visible(&report.started)));
    line(
        "ready",
        report.reason.as_deref().map_or_else(|| "yes".to_owned(), |reason| format!("NO: {}", visible(reason))),
    );
    let done = report.agencies.iter().filter(|agency| agency.done).count();
    let phase = match report.phase {
        Phase::Open => "open",
        Phase::Sealed => "sealed",
        Phase::Drawn => "drawn",
    };
    line("phase", format!("{phase}; agencies done: {done} of {}", report.agencies.len()));
    line("lottery", report.lottery.map_or_else(none, |lottery| lottery.to_string()));
    line("number", report.number.map_or_else(none, |number| number.to_string()));
    let sealed_at = report.sealed_at.as_deref().map(|time| format!(", {}", visible(time))).unwrap_or_default();
    line("seal", report.seal.map_or_else(none, |seal| format!("{seal}{sealed_at}")));
    line("bets", format!("{}, {} a second", report.bets, rate(&report.rate.bets)));
    line(
        "acknowledged",
        report.acknowledgement.as_ref().map_or_else(|| "nothing in the last minute".to_owned(), times),
    );
    let (open, waiting) = (report.connections.open, report.connections.waiting);
    let queue = format!("{open} open, {waiting} of them wait for the draw; {} in the queue", report.queue);
    line("connections", queue);
    if let Some(database) = &report.database {
        line("database", visible(&database.to_string()).to_string());
    }
    if report.log_dropped > 0 {
        line("log", format!("{} dropped: nobody reads it", counted(report.log_dropped as u64, "line")));
    }
    let _ = writeln!(out, "\n{:>8} {:>12}  {:<10} {:>8}", "agency", "bets", "done", "winners");
    report.agencies.iter().for_each(|agency| _ = writeln!(out, "{}", row(agency)));
    out
}

fn none() -> String {
    "-".to_owned()
}

fn row(agency: &AgencyReport) -> String {
    let AgencyReport { agency, bets, done, status, winners, .. } = agency;
    let done = match (done, status) {
        (true, Some(status)) => status.to_string(),
        (true, None) => "yes".to_owned(),
        (false, _) => none(),
    };
    let winners = winners.map_or_else(none, |winners| winners.to_string());
    format!("{agency:>8} {bets:>12}  {done:<10} {winners:>8}")
}

/// Bets a second over the last seconds.
fn rate(bets: &[u64]) -> u64 {
    let last = &bets[bets.len().saturating_sub(RATE_SECONDS)..];
    last.iter().sum::<u64>() / last.len().max(1) as u64
}

fn times(times: &Acknowledgement) -> String {
    let shown = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
    let Acknowledgement { count, p50, p99, max } = *times;
    format!(
        "half within {}, 99 % within {}, all within {} ({count} in the last minute)",
        shown(p50),
        shown(p99),
        shown(max)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"format":1,"version":"0.1.0","commit":null,"time":"2026-11-30T09:00:00.123Z",
        "started":"2026-11-30T08:00:00.000Z","ready":false,"reason":"the\u001b[2Jdisk is full","phase":"drawn",
        "lottery":"000000000000000000000000000000ff","number":7,"seal":null,"sealed_at":null,"bets":105,
        "agencies":[{"agency":1,"bets":100,"done":true,"status":"signed","winners":3,"root":null},
        {"agency":2,"bets":5,"done":false,"status":null,"winners":null,"root":null}],
        "rate":{"seconds":6,"bets":[900,0,10,20,30,40]},"acknowledgement":{"count":9,"p50":0.0004,"p99":0.002,"max":0.01},
        "connections":{"open":12,"waiting":5},"queue":3,"log_dropped":1,
        "database":{"host":"db1:5432","standby":"b","away":null,
        "followers":[{"name":"b","state":"streaming","sync_state":"sync","behind":0}]},"later":"a field of a later version"}"#;

    #[test]
    fn the_table_says_what_the_object_says_and_no_more() {
        let report = serde_json::from_str(JSON).unwrap();
        let expected = "\
central      http://c:1, quiniela 0.1.0 (unknown commit), up since 2026-11-30T08:00:00.000Z
ready        NO: the\\u{1b}[2Jdisk is full
phase        drawn; agencies done: 1 of 2
lottery      000000000000000000000000000000ff
number       7
seal         -
bets         105, 20 a second
acknowledged half within 0.4 ms, 99 % within 2.0 ms, all within 10.0 ms (9 in the last minute)
connections  12 open, 5 of them wait for the draw; 3 in the queue
database     db1:5432, commits wait for b; b: streaming sync, 0 bytes behind
log          1 line dropped: nobody reads it

  agency         bets  done        winners
       1          100  signed            3
       2            5  -                 -
";
        assert_eq!(show("http://c:1", &report), expected);
    }
}
