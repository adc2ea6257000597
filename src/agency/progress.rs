//! The progress bar of an upload: bets, bets a second, and the time left.

use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::dataset::Dataset;
use super::reactor::Reactor;

/// 60 columns with millions of bets. The terminal echoes Ctrl-C on a line of its own, and clearing the bar then leaves its
/// first line, which is empty.
const TEMPLATE: &str = " \n{prefix} [{bar:8}] {percent:>3}% {msg}, {eta} left";

/// For a file that grows, which has no end yet.
const GROWING: &str = " \n{prefix} {msg}";

/// The rate of a file that grows is that of about so long.
const RATE_PERIOD: Duration = Duration::from_secs(5);

/// Minimum time between two updates: drawing costs time.
const REDRAW_PERIOD: Duration = Duration::from_millis(100);

/// The state of an upload's progress bar, which is shown if standard error is a terminal.
#[derive(Default)]
pub(super) struct Progress {
    begun: Option<(Instant, u64)>,
    drawn: Option<Instant>,
    is_growing: bool,
    /// A moment at least [`RATE_PERIOD`] after the one in `begun`, once there is one, and the bets then.
    later: Option<(Instant, u64)>,
    /// What was acknowledged, in bets and bytes.
    done: (u64, u64),
}

impl Progress {
    /// Creates the bar, unless an earlier connection did. `bets` are stored already. The bar measures bytes, since the
    /// number of bets in the file is unknown.
    pub(super) fn start(&mut self, reactor: &mut Reactor, bets: u64, file_size: u64, is_growing: bool) {
        if self.begun.is_none() {
            self.is_growing = is_growing;
            let template = if is_growing { GROWING } else { TEMPLATE };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            // It hides itself if standard error is not a terminal.
            reactor.bar = ProgressBar::new(file_size).with_style(style).with_prefix(format!("agency {}", reactor.id));
            self.begun = Some((Instant::now(), bets));
        }
    }

    pub(super) fn show(&mut self, reactor: &Reactor, bets: u64, byte: u64) {
        self.done = (bets, byte);
        if self.is_growing {
            // `follow` shows it, which is told how far the file has grown.
            return;
        }
        let due = || self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW_PERIOD);
        let Some((begun, bets_before)) = self.begun.filter(|_| !reactor.bar.is_hidden() && due()) else { return };
        self.drawn = Some(Instant::now());
        let rate = bets.saturating_sub(bets_before) as f64 / begun.elapsed().as_secs_f64().max(0.001);
        reactor.bar.set_position(byte);
        reactor.bar.set_message(message(bets, rate as u64));
    }
}

impl Progress {
    /// Shows how far the agency is behind a file that grows. To be called now and then, even if nothing comes.
    pub(super) fn follow(&mut self, reactor: &Reactor, dataset: &mut Dataset, all_acknowledged: bool) {
        if all_acknowledged {
            self.done = (dataset.rows(), dataset.shown());
        }
        let (now, (bets, byte)) = (Instant::now(), self.done);
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW_PERIOD);
        let Some((begun, bets_before)) = self.begun.filter(|_| !reactor.bar.is_hidden() && is_due) else { return };
        self.drawn = Some(now);
        let later = *self.later.get_or_insert((now, bets));
        if now - later.0 >= RATE_PERIOD {
            (self.begun, self.later) = (Some(later), Some((now, bets)));
        }
        let rate = bets.saturating_sub(bets_before) as f64 / (now - begun).as_secs_f64().max(0.001);
        reactor.bar.set_message(growing_message(bets, rate as u64, dataset.size().saturating_sub(byte)));
    }
}

fn growing_message(bets: u64, rate: u64, behind: u64) -> String {
    format!("{}, {} behind", message(bets, rate), HumanBytes(behind))
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
        let (first, line) = GROWING.split_once('\n').unwrap();
        assert_eq!(first.trim(), "");
        let line = line.replace("{prefix}", "agency 5").replace("{msg}", &growing_message(1_000_000, 1_500, 12_345));
        assert_eq!(line, "agency 5 1,000,000 bets, 1,500/s, 12.06 KiB behind");
        assert!(line.len() <= 60);
    }
}
