//! How near quiniela is to what the machine can do, in one table: ours, the floor (`support/floor.rs`) and a baseline that works as
//! the usual solution of the exercise does (`baseline/baseline.py`), in turn, in one run. Every ratio is that of two neighbours in
//! time; the table has the median of them, the least and the largest. Ours is timed twice in each run: until the last bet is
//! acknowledged, as the floor is, and until the last agency has its winners, as the baseline is.
//!
//! `cargo bench --bench limit`; `ROUNDS=5`, `SCALE=1` divides the larger numbers of bets. `ONLY=` takes a part of a shape's
//! name. `WRITE=1` writes the table into docs/PERFORMANCE.md and its picture, docs/limit.svg.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::floor::floor;
use support::{Central, QUINIELA, lottery_with, make_bets, make_keys, put_table, run_agency, setting, work_folder};

/// What is measured: so many bets of so many agencies, each with so many batches in flight.
struct Shape {
    name: &'static str,
    agencies: u64,
    bets: u64,
    in_flight: u64,
    /// What the ratio to the floor should be.
    goal: f64,
    has_baseline: bool,
}

const SHAPES: [Shape; 6] = [
    Shape {
        name: "5 agencies, processes and all",
        agencies: 5,
        bets: 78_697,
        in_flight: 256,
        goal: 0.45,
        has_baseline: true,
    },
    Shape { name: "1 agency", agencies: 1, bets: 1_000_000, in_flight: 256, goal: 0.55, has_baseline: true },
    Shape { name: "5 agencies", agencies: 5, bets: 10_000_000, in_flight: 256, goal: 0.5, has_baseline: false },
    Shape {
        name: "1 agency, 16 in flight",
        agencies: 1,
        bets: 1_000_000,
        in_flight: 16,
        goal: 0.9,
        has_baseline: false,
    },
    Shape { name: "1 agency, one in flight", agencies: 1, bets: 300_000, in_flight: 1, goal: 1.3, has_baseline: true },
    Shape {
        name: "64 agencies, one in flight each",
        agencies: 64,
        bets: 1_000_000,
        in_flight: 1,
        goal: 0.6,
        has_baseline: true,
    },
];

/// Bets in a batch of the baseline: as many as fit into 8 kB.
const BASELINE_BATCH: &str = "160";

/// Bets a second of each contender, round by round.
#[derive(Default)]
struct Speeds {
    floor: Vec<f64>,
    /// Until the last acknowledgement.
    ours: Vec<f64>,
    /// Until the end of the last agency: with roots, seal, draw and winners.
    whole: Vec<f64>,
    baseline: Vec<f64>,
}

/// A row of the table.
struct Row {
    name: String,
    speed: f64,
    of_floor: Spread,
    goal: f64,
    /// The whole lottery against the floor.
    whole: Option<Spread>,
    of_baseline: Option<Spread>,
}

/// Ratios of neighbours: median, least, largest.
#[derive(Clone, Copy)]
struct Spread([f64; 3]);

impl Spread {
    fn of(ours: &[f64], other: &[f64]) -> Spread {
        let mut ratios: Vec<f64> = ours.iter().zip(other).map(|(ours, other)| ours / other).collect();
        ratios.sort_by(f64::total_cmp);
        Spread([ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1]])
    }

    fn text(self) -> String {
        let Spread([median, least, largest]) = self;
        if median >= 10.0 {
            return format!("{median:.0} ({least:.0} to {largest:.0})");
        }
        format!("{median:.2} ({least:.2} to {largest:.2})")
    }
}

fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn baseline(data: &Path, agencies: u64) -> f64 {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baseline/baseline.py");
    let mut command = Command::new("python3");
    let output = command.arg(program).arg(data).args([&agencies.to_string(), BASELINE_BATCH]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// The time from the agencies' start to the last acknowledgement, and to the end of the last of them.
fn ours(data: &Path, store: &Path, agencies: u64, in_flight: u64) -> (Duration, Duration) {
    let _ = std::fs::remove_dir_all(store);
    let central = Central::start(QUINIELA, store, agencies);
    let start = Instant::now();
    let acknowledged = std::thread::scope(|scope| {
        let run = |id| scope.spawn(move || run_agency(id, central.port, data, in_flight, start));
        let agencies: Vec<_> = (1..=agencies).map(run).collect();
        agencies.into_iter().map(|agency| agency.join().unwrap()).max().unwrap()
    });
    let whole = start.elapsed();
    central.stop();
    (acknowledged, whole)
}

fn measure(shape: &Shape, folder: &Path, rounds: u64) -> Row {
    let bets = if shape.bets > 100_000 { shape.bets / setting("SCALE", 1) } else { shape.bets };
    let (data, store) = (folder.join("data"), folder.join("store"));
    make_bets(&data, shape.agencies, bets);
    let files: Vec<PathBuf> = (1..=shape.agencies).map(|id| data.join(format!("agency-{id}.csv"))).collect();
    let mut speeds = Speeds::default();
    for _ in 0..rounds {
        let speed = |seconds: f64| bets as f64 / seconds;
        speeds.floor.push(speed(floor(&files, folder, shape.in_flight).as_secs_f64()));
        let (acknowledged, whole) = ours(&data, &store, shape.agencies, shape.in_flight);
        speeds.ours.push(speed(acknowledged.as_secs_f64()));
        speeds.whole.push(speed(whole.as_secs_f64()));
        if shape.has_baseline {
            speeds.baseline.push(speed(baseline(&data, shape.agencies)));
        }
    }
    std::fs::remove_dir_all(data).unwrap();
    Row {
        name: format!("{}: {bets} bets, {} in flight", shape.name, shape.in_flight),
        speed: middle(&speeds.ours),
        of_floor: Spread::of(&speeds.ours, &speeds.floor),
        goal: shape.goal,
        whole: Some(Spread::of(&speeds.whole, &speeds.floor)),
        of_baseline: shape.has_baseline.then(|| Spread::of(&speeds.whole, &speeds.baseline)),
    }
}

/// TLS beside plain, which takes the floor's place.
fn tls(folder: &Path, rounds: u64) -> Row {
    const AGENCIES: u64 = 5;
    let bets = 3_000_000 / setting("SCALE", 1);
    let (data, store, keys) = (folder.join("data"), folder.join("store"), folder.join("keys"));
    make_bets(&data, AGENCIES, bets);
    make_keys(&keys, AGENCIES);
    let (mut plain, mut encrypted) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (keys, speeds) in [(None, &mut plain), (Some(&*keys), &mut encrypted)] {
            let (taken, _) = lottery_with(QUINIELA, &data, &store, AGENCIES, 256, keys);
            speeds.push(bets as f64 / taken.as_secs_f64());
        }
    }
    std::fs::remove_dir_all(data).unwrap();
    let name = format!("TLS beside plain (not the floor): {AGENCIES} agencies, {bets} bets, 256 in flight");
    let of_floor = Spread::of(&encrypted, &plain);
    Row { name, speed: middle(&encrypted), of_floor, goal: 0.75, whole: None, of_baseline: None }
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| shape | bets/s acknowledged | of the floor: median (least to largest) | goal | the whole lottery, of the floor | of the baseline |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in rows {
        let [whole, baseline] =
            [row.whole, row.of_baseline].map(|spread| spread.map_or_else(String::new, Spread::text));
        let Row { name, speed, of_floor, goal, .. } = row;
        writeln!(text, "| {name} | {speed:.0} | {} | {goal} | {whole} | {baseline} |", of_floor.text()).unwrap();
    }
    text
}

/// The ratios to the floor as bars, from the least to the largest, with the goals as marks.
fn picture(rows: &[Row]) -> String {
    const LEFT: f64 = 12.0;
    const WIDTH: f64 = 696.0;
    const STEP: f64 = 46.0;
    let most = rows.iter().map(|row| row.of_floor.0[2].max(row.goal)).fold(1.0, f64::max) * 1.05;
    let x = |ratio: f64| LEFT + WIDTH * ratio / most;
    let height = 40.0 + STEP * rows.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 {height}\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\" \
         aria-label=\"quiniela's speed as a part of the floor's\">\n<style>text {{ fill: #24292f }} .bar {{ fill: #4a7fb5 }} .goal {{ stroke: #c2410c }} \
         .one {{ stroke: #8b949e }} @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} }}</style>\n"
    );
    let one = x(1.0);
    writeln!(
        text,
        "<line class=\"one\" x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"8\" y2=\"{:.1}\" stroke-dasharray=\"4 4\"/>",
        height - 26.0
    )
    .unwrap();
    for (row, place) in rows.iter().zip(0_u8..) {
        let top = 8.0 + STEP * f64::from(place);
        let Spread([median, least, largest]) = row.of_floor;
        let (name, goal, bar) = (&row.name, x(row.goal), x(median) - LEFT);
        writeln!(text, "<text x=\"{LEFT}\" y=\"{:.1}\">{name}: {median:.2}</text>", top + 13.0).unwrap();
        writeln!(
            text,
            "<rect class=\"bar\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{bar:.1}\" height=\"14\" rx=\"2\"/>",
            top + 19.0
        )
        .unwrap();
        let middle = top + 26.0;
        writeln!(
            text,
            "<path class=\"one\" d=\"M{:.1} {middle:.1}H{:.1}\"/><path class=\"goal\" stroke-width=\"3\" d=\"M{goal:.1} {:.1}v20\"/>",
            x(least),
            x(largest),
            top + 16.0
        )
        .unwrap();
    }
    writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{:.1}\">Blue: of the floor's speed, and the range. Orange: the goal. Dashed: the floor.</text>\n</svg>",
        height - 8.0
    )
    .unwrap();
    text
}

/// Puts the table where the last one was, and its picture beside the page.
fn write_down(rows: &[Row]) {
    put_table("limit", &format!("{}\n![Ratios to the floor, with their goals](limit.svg)\n", table(rows)));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    std::fs::write(docs.join("limit.svg"), picture(rows)).unwrap();
}

fn main() {
    let (rounds, only) = (setting("ROUNDS", 5), std::env::var("ONLY").unwrap_or_default());
    let folder = work_folder("limit");
    let wanted = |name: &str| name.contains(&only);
    let mut rows: Vec<Row> = SHAPES
        .iter()
        .filter(|shape| wanted(shape.name))
        .map(|shape| measure(shape, &folder, rounds))
        .inspect(|row| eprintln!("{}: {}", row.name, row.of_floor.text()))
        .collect();
    if wanted("TLS") {
        rows.push(tls(&folder, rounds));
    }
    print!("{}", table(&rows));
    if std::env::var_os("WRITE").is_some() {
        write_down(&rows);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
