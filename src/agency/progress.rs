//! The progress bar of an upload: bets, bets a second, and the time left.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::desk::Desk;

const TEMPLATE: &str = "{prefix} [{bar:30}] {percent:>3}%  {msg}  {eta} left";

/// Nobody reads faster than this, and drawing costs time.
const REDRAW_PERIOD: Duration = Duration::from_millis(100);

/// Shows how far an upload is, if the desk's standard error is a terminal.
#[derive(Default)]
pub struct Progress {
    begun: Option<(Instant, u64)>,
    drawn: Option<Instant>,
}

impl Progress {
    /// Begins, or goes on after a lost connection, at a number of bets. The time left is told by the bytes of the
    /// file, since nobody knows how many bets are in it.
    pub fn start(&mut self, desk: &mut Desk, bets: u64, file_size: u64) {
        if self.begun.is_none() {
            let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            // It hides itself where standard error is no terminal.
            desk.bar = ProgressBar::new(file_size).with_style(style).with_prefix(format!("agency {}", desk.id));
            self.begun = Some((Instant::now(), bets));
        }
    }

    pub fn show(&mut self, desk: &Desk, bets: u64, byte: u64) {
        let due = || self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW_PERIOD);
        let Some((begun, bets_before)) = self.begun.filter(|_| !desk.bar.is_hidden() && due()) else { return };
        self.drawn = Some(Instant::now());
        let rate = bets.saturating_sub(bets_before) as f64 / begun.elapsed().as_secs_f64().max(0.001);
        desk.bar.set_position(byte);
        desk.bar.set_message(format!("{} bets, {}/s", HumanCount(bets), HumanCount(rate as u64)));
    }

    pub fn finish(&mut self, desk: &Desk) {
        desk.bar.finish_and_clear();
    }
}
