//! The progress bar of an upload: bets, bets a second, and the time left.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::reactor::Reactor;

const TEMPLATE: &str = "{prefix} [{bar:30}] {percent:>3}%  {msg}  {eta} left";

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
        reactor.bar.set_message(format!("{} bets, {}/s", HumanCount(bets), HumanCount(rate as u64)));
    }
}
