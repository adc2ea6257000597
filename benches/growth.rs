//! How the costs grow with the number of bets: an upload, the close, a clean stop, the start after it and after a kill, an audit.
//! Flat, or linear in the bets, is as it should be.
//!
//! `cargo bench --bench growth`; `ROUNDS=3`, `MOST=20000000` bets. `WRITE=1` writes the table into docs/PERFORMANCE.md and its
//! picture, docs/growth.svg.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Central, QUINIELA, ask, make_bets, median, put_table, run_agency, setting, time, upload, work_folder};

const SIZES: [u64; 6] = [100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 20_000_000];

/// What is measured, with the colour of its line.
const COSTS: [(&str, &str); 6] = [
    ("upload", "#4a7fb5"),
    ("start after a kill", "#c2410c"),
    ("close", "#15803d"),
    ("stop", "#8b949e"),
    ("start after a stop", "#a16207"),
    ("audit", "#7e22ce"),
];

fn once(data: &Path, store: &Path) -> [Duration; 6] {
    let _ = std::fs::remove_dir_all(store);
    // Of two agencies one is not done, so that there is no close.
    let central = Central::start(QUINIELA, store, 2);
    let uploaded = upload(QUINIELA, 1, central.port, data, 256, None);
    central.kill();
    let begun = Instant::now();
    let central = Central::start(QUINIELA, store, 2);
    let after_kill = begun.elapsed();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", central.port)).unwrap();
    let closed = time(|| {
        // The first is done already, or was gone before it said so.
        assert_eq!(ask(&mut stream, "DONE|1").trim_end(), "ACK_DONE|OK");
        assert_eq!(ask(&mut stream, "DONE|2").trim_end(), "ACK_DONE|OK");
        assert_eq!(ask(&mut stream, "WAIT_DRAW|2").trim_end(), "DRAW|OK");
    });
    drop(stream);
    let stopped = time(|| central.stop());
    let begun = Instant::now();
    let central = Central::start(QUINIELA, store, 2);
    let after_stop = begun.elapsed();
    // Its winners are all there at once.
    run_agency(1, central.port, data, 256, Instant::now());
    central.stop();
    let audited = time(|| {
        let audit = Command::new(QUINIELA).arg("audit").arg(store).stdout(Stdio::null()).status();
        assert!(audit.unwrap().success());
    });
    [uploaded, after_kill, closed, stopped, after_stop, audited]
}

fn table(rows: &[(u64, [Duration; 6])]) -> String {
    let mut text = String::from("| bets |");
    COSTS.iter().for_each(|(name, _)| write!(text, " {name}, ms |").unwrap());
    text += " upload, ns a bet | close, ns a bet | audit, ns a bet |\n|---|---|---|---|---|---|---|---|---|---|\n";
    for (bets, costs) in rows {
        write!(text, "| {bets} |").unwrap();
        costs.iter().for_each(|cost| write!(text, " {:.1} |", cost.as_secs_f64() * 1e3).unwrap());
        for place in [0, 2, 5] {
            write!(text, " {:.0} |", costs[place].as_secs_f64() * 1e9 / *bets as f64).unwrap();
        }
        text.push('\n');
    }
    text
}

/// Both axes are logarithmic: what is linear has a slope of one.
fn picture(rows: &[(u64, [Duration; 6])]) -> String {
    const WIDTH: f64 = 720.0;
    const HEIGHT: f64 = 420.0;
    const LEFT: f64 = 64.0;
    const RIGHT: f64 = 150.0;
    const BOTTOM: f64 = 40.0;
    let (least, most) = (1e-3_f64.log10(), 1e2_f64.log10());
    let (fewest, largest) = (1e5_f64.log10(), 2e7_f64.log10());
    let x = |bets: f64| LEFT + (WIDTH - LEFT - RIGHT) * (bets.log10() - fewest) / (largest - fewest);
    let y =
        |seconds: f64| 10.0 + (HEIGHT - 10.0 - BOTTOM) * (most - seconds.log10().clamp(least, most)) / (most - least);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\" \
         aria-label=\"Seconds by bets, both logarithmic\">\n<style>text {{ fill: #24292f }} .grid {{ stroke: #8b949e; stroke-opacity: .35 }} \
         @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} }}</style>\n"
    );
    for (seconds, name) in
        [(1e-3, "1 ms"), (1e-2, "10 ms"), (1e-1, "0.1 s"), (1.0, "1 s"), (10.0, "10 s"), (100.0, "100 s")]
    {
        let at = y(seconds);
        writeln!(
            text,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/><text x=\"8\" y=\"{:.1}\">{name}</text>",
            WIDTH - RIGHT,
            at + 4.0
        )
        .unwrap();
    }
    for (bets, _) in rows {
        let (at, name) = (
            x(*bets as f64),
            if *bets >= 1_000_000 { format!("{} M", bets / 1_000_000) } else { format!("{} k", bets / 1000) },
        );
        writeln!(
            text,
            "<path class=\"grid\" d=\"M{at:.1} 10V{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            HEIGHT - BOTTOM,
            at - 14.0,
            HEIGHT - 16.0
        )
        .unwrap();
    }
    // Labels of lines that end close to each other stand below each other.
    let mut ends: Vec<(f64, usize)> =
        (0..COSTS.len()).map(|cost| (y(rows[rows.len() - 1].1[cost].as_secs_f64()), cost)).collect();
    ends.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut last = f64::MIN;
    for (end, cost) in ends {
        let (name, colour) = COSTS[cost];
        let points: Vec<String> = rows
            .iter()
            .map(|(bets, costs)| format!("{:.1},{:.1}", x(*bets as f64), y(costs[cost].as_secs_f64())))
            .collect();
        let label = (end + 4.0).max(last + 14.0);
        last = label;
        writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            points.join(" ")
        )
        .unwrap();
        writeln!(text, "<text x=\"{:.1}\" y=\"{label:.1}\" style=\"fill:{colour}\">{name}</text>", WIDTH - RIGHT + 8.0)
            .unwrap();
    }
    text + "</svg>\n"
}

fn main() {
    let (rounds, most) = (setting("ROUNDS", 3), setting("MOST", SIZES[SIZES.len() - 1]));
    let (data, store) = (work_folder("growth-data"), work_folder("growth-store"));
    let mut rows = Vec::new();
    for bets in SIZES.into_iter().filter(|bets| *bets <= most) {
        make_bets(&data, 1, bets);
        let all: Vec<[Duration; 6]> = (0..rounds).map(|_| once(&data, &store)).collect();
        let costs = std::array::from_fn(|cost| median(&all.iter().map(|costs| costs[cost]).collect::<Vec<_>>()));
        eprintln!("{bets}: {costs:.1?}");
        rows.push((bets, costs));
    }
    print!("{}", table(&rows));
    if std::env::var_os("WRITE").is_some() {
        put_table("growth", &format!("{}\n![Seconds by bets, both logarithmic](growth.svg)\n", table(&rows)));
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        std::fs::write(docs.join("growth.svg"), picture(&rows)).unwrap();
    }
    for folder in [data, store] {
        let _ = std::fs::remove_dir_all(folder);
    }
}
