//! The progress bar of an upload: bets, bets a second, and the time left.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::reactor::Reactor;

const TEMPLATE: &str = "{prefix} [{bar:30}] {percent:>3}%  {msg}  {eta} left";

/// Nobody reads faster than this, and drawing costs time.
const REDRAW_PERIOD: Duration = Duration::from_millis(100);

/// Shows how far an upload is, if standard error is a terminal.
#[derive(Default)]
pub(super) struct Progress {
    begun: Option<(Instant, u64)>,
    drawn: Option<Instant>,
}

impl Progress {
    /// Begins, or goes on after a lost connection, at a number of bets. The time left is told by the bytes of the
    /// file, since nobody knows how many bets are in it.
    pub(super) fn start(&mut self, reactor: &mut Reactor, bets: u64, file_size: u64) {
        if self.begun.is_none() {
            let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            // It hides itself where standard error is no terminal.
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

    pub(super) fn finish(&mut self, reactor: &Reactor) {
        reactor.bar.finish_and_clear();
    }
}
