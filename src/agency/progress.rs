//! The progress bar of an upload: bets, bets a second, and the time left.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::reactor::Reactor;

/// 60 columns with millions of bets. The terminal echoes Ctrl-C on a line of its own, and clearing the bar then leaves its
/// first line, which is empty.
const TEMPLATE: &str = " \n{prefix} [{bar:8}] {percent:>3}% {msg}, {eta} left";

/// Minimum time between two updates: drawing costs time.
const REDRAW_PERIOD: Duration = Duration::from_millis(100);

/// The state of an upload's progress bar, which is shown if standard error is a terminal.
#[derive(Default)]
pub(super) struct Progress {
    begun: Option<(Instant, u64)>,
    drawn: Option<Instant>,
}

impl Progress {
    /// Creates the bar, unless an earlier connection did. `bets` are stored already. The bar measures bytes, since the
    /// number of bets in the file is unknown.
    pub(super) fn start(&mut self, reactor: &mut Reactor, bets: u64, file_size: u64) {
        if self.begun.is_none() {
            let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            // It hides itself if standard error is not a terminal.
            reactor.bar = ProgressBar::new(file_size).with_style(style).with_prefix(format!("agency {}", reactor.id));
            self.begun = Some((Instant::now(), bets));
        }
    }

    pub(super) fn show(&mut self, reactor: &Reactor, bets: u64, byte: u64) {
        let due = || self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW_PERIOD);
        let Some((begun, bets_before)) = self.begun.filter(|_| !reactor.bar.is_hidden() && due()) else { return };
        self.drawn = Some(Instant::now());
        let rate = bets.saturating_sub(bets_before) as f64 / begun.elapsed().as_secs_f64().max(0.001);
        reactor.bar.set_position(byte);
        reactor.bar.set_message(message(bets, rate as u64));
    }
}

fn message(bets: u64, rate: u64) -> String {
    format!("{} bets, {}/s", HumanCount(bets), HumanCount(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fits_60_columns_and_has_an_empty_line_for_ctrl_c() {
        let (first, line) = TEMPLATE.split_once('\n').unwrap();
        assert_eq!(first.trim(), "");
        let line = line.replace("{prefix}", "agency 5").replace("{bar:8}", "========").replace("{percent:>3}", "100");
        let line = line.replace("{msg}", &message(1_000_000, 150_000)).replace("{eta}", "50s");
        assert_eq!(line, "agency 5 [========] 100% 1,000,000 bets, 150,000/s, 50s left");
        assert!(line.len() <= 60);
    }
}
