//! The demo's output: progress bars on a terminal, plain lines elsewhere, and a table at the end.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use super::audit::FileSummary;
use super::children::log_value;
use crate::domain::{Hash, WINNING_NUMBER};
use crate::error::Result;
use crate::output::{counted, print};

/// Minimum time between two lines about the same agency, if there is no terminal for a bar.
const LINE_PERIOD: Duration = Duration::from_secs(1);

/// Maximum bars, however high the terminal is.
const MOST_BARS: usize = 12;
/// The lines around the bars, with that of the cursor.
const OTHER_LINES: usize = 3;
/// At most 60 columns.
const TEMPLATE: &str = "{prefix:>10} [{bar:10}] {human_pos:>9} bets  {msg}";

pub struct Show {
    /// With `--json` standard output has one object, and nothing before it.
    is_quiet: bool,
    /// None if standard error is not a terminal.
    bars: Option<MultiProgress>,
    agencies: Vec<Agency>,
    drawn: bool,
    /// The lines above and below the bars. They disappear when their handles are dropped.
    _around: [Option<ProgressBar>; 2],
}

struct Agency {
    bar: ProgressBar,
    sent: u64,
    told: Instant,
}

impl Show {
    pub fn new(files: &[PathBuf], is_quiet: bool) -> Show {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        let most = most_bars(tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_row));
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let text = |text: String| {
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            let line = bars.as_ref().map(|bars| bars.add(ProgressBar::no_length().with_style(style)));
            line.inspect(|line| line.abandon_with_message(text))
        };
        // The terminal echoes Ctrl-C on a line of its own. Clearing the bars then leaves this line, which is empty.
        let first = text(" ".to_owned());
        let agency = |(id, path): (usize, &PathBuf)| {
            let bar = bars.as_ref().filter(|_| id <= most).map_or_else(ProgressBar::hidden, |bars| {
                bars.add(ProgressBar::new(count_lines(path)).with_style(style.clone()))
            });
            bar.set_prefix(format!("agency {id}"));
            Agency { bar, sent: 0, told: Instant::now() }
        };
        let agencies = (1..).zip(files).map(agency).collect();
        let hidden = files.len().saturating_sub(most);
        let last = (hidden > 0).then(|| text(format!("       and {hidden} more"))).flatten();
        Show { is_quiet, bars, agencies, drawn: false, _around: [first, last] }
    }

    pub fn say(&self, text: &str) -> Result<()> {
        if self.is_quiet {
            return Ok(());
        }
        let say = || print(format!("{text}\n"));
        self.bars.as_ref().map_or_else(say, |bars| bars.suspend(say))
    }

    /// Leaves the bars on the terminal. Later lines are printed below them.
    pub fn leave_bars(&mut self) -> Result<()> {
        self.bars.take().filter(|_| !self.is_quiet).map_or(Ok(()), |_| print("\n"))
    }

    /// Shows a line of the central's log, if it matters to a spectator.
    pub fn central(&mut self, line: &str) -> Result<()> {
        if (log_value(line, "action"), log_value(line, "result")) != (Some("sorteo"), Some("success")) {
            return Ok(());
        }
        self.drawn = true;
        self.say("central: every agency is done, and the draw is held")
    }

    /// Shows a line of an agency's log, if it matters to a spectator.
    pub fn agency(&mut self, id: usize, line: &str) -> Result<()> {
        let plain = self.bars.is_none();
        let agency = &mut self.agencies[id - 1];
        let amount = |key| log_value(line, key).and_then(|amount| amount.parse::<u64>().ok());
        match (log_value(line, "action"), log_value(line, "result")) {
            (Some("apuesta_enviada"), Some("success")) => {
                agency.sent += amount("cantidad").unwrap_or(0);
                agency.bar.set_position(agency.sent);
                if plain && agency.told.elapsed() >= LINE_PERIOD {
                    agency.told = Instant::now();
                    let sent = agency.sent;
                    return self.say(&format!("agency {id}: {sent} bets stored so far"));
                }
            }
            (Some("consulta_ganadores"), Some("in_progress")) => {
                agency.bar.set_message("waits for the draw");
                if plain {
                    // Each log has its own reading thread, so the draw may be read before this line.
                    let (sent, waits) = (agency.sent, if self.drawn { "" } else { ", waits for the draw" });
                    return self.say(&format!("agency {id}: {sent} bets stored{waits}"));
                }
            }
            (Some("consulta_ganadores"), Some("success")) => {
                let winners = counted(amount("cant_ganadores").unwrap_or(0), "winner");
                agency.bar.set_message(winners.clone());
                if plain {
                    return self.say(&format!("agency {id}: {winners}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub fn finished(&self, id: usize) {
        self.agencies[id - 1].bar.abandon();
    }
}

impl Drop for Show {
    /// A demo that ends early leaves no bars behind.
    fn drop(&mut self) {
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }
}

/// The bars that a terminal has room for. Some terminals say that they have no lines.
fn most_bars(lines: u16) -> usize {
    if lines == 0 { MOST_BARS } else { MOST_BARS.min(usize::from(lines).saturating_sub(OTHER_LINES)) }
}

/// What `--json` prints.
#[derive(Serialize)]
pub struct Report {
    agencies: Vec<Line>,
    bets: u64,
    winners: usize,
    seconds: f64,
    number: u32,
    tls: bool,
    seal: Hash,
    /// Where everything is kept, with `--keep`.
    pub kept_in: Option<String>,
}

#[derive(Serialize)]
struct Line {
    agency: usize,
    bets: u64,
    winners: usize,
    seconds: f64,
}

/// `times` are in the order of the agencies.
pub fn report(agencies: &[FileSummary], times: &[Duration], total: Duration, tls: bool, seal: Hash) -> Report {
    let seconds = |time: Duration| time.as_millis() as f64 / 1000.0;
    let line = |(agency, (found, time)): (usize, (&FileSummary, &Duration))| Line {
        agency,
        bets: found.bets,
        winners: found.winners.len(),
        seconds: seconds(*time),
    };
    let agencies: Vec<Line> = (1..).zip(agencies.iter().zip(times)).map(line).collect();
    Report {
        bets: agencies.iter().map(|line| line.bets).sum(),
        winners: agencies.iter().map(|line| line.winners).sum(),
        agencies,
        seconds: seconds(total),
        number: WINNING_NUMBER,
        tls,
        seal,
        kept_in: None,
    }
}

/// A line for each agency and one for all of them. `times` are in the order of the agencies.
pub fn table(agencies: &[FileSummary], times: &[Duration], total: Duration) -> String {
    let line = |name: &str, bets: u64, winners: usize, time: Duration| {
        format!("{name:>6}  {bets:>10}  {winners:>7}  {:>7.2}\n", time.as_secs_f64())
    };
    let mut table = format!("{:>6}  {:>10}  {:>7}  {:>7}\n", "agency", "bets", "winners", "seconds");
    let (mut bets, mut winners) = (0, 0);
    for ((id, agency), time) in (1..).zip(agencies).zip(times) {
        bets += agency.bets;
        winners += agency.winners.len();
        table.push_str(&line(&id.to_string(), agency.bets, agency.winners.len(), *time));
    }
    table + &line("all", bets, winners, total)
}

/// The number of lines, for the length of a bar. An estimate of the rows: blank lines and a header count too.
fn count_lines(path: &Path) -> u64 {
    let Ok(file) = File::open(path) else { return 0 };
    let mut file = BufReader::with_capacity(256 * 1024, file);
    let mut lines = 0;
    while let Ok(bytes @ [_, ..]) = file.fill_buf() {
        lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        let read = bytes.len();
        file.consume(read);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up_and_adds_up() {
        let agencies =
            [(2556, 7), (40, 0)].map(|(bets, winners)| FileSummary { bets, winners: vec![String::new(); winners] });
        assert_eq!(
            table(&agencies, &[1234, 50].map(Duration::from_millis), Duration::from_millis(1300)),
            "agency        bets  winners  seconds\n\
             \x20    1        2556        7     1.23\n\
             \x20    2          40        0     0.05\n\
             \x20  all        2596        7     1.30\n"
        );
    }

    #[test]
    fn bars_fit_the_terminal_with_the_number_of_the_others() {
        assert_eq!([0, 2, 8, 15, 60].map(most_bars), [12, 0, 5, 12, 12]);
    }

    #[test]
    fn lines_are_counted_over_buffers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "row\n".repeat(200_000)).unwrap();
        assert_eq!(count_lines(file.path()), 200_000);
        assert_eq!(count_lines(Path::new("nowhere")), 0);
    }
}
