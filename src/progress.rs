//! The progress bar of a command that reads or copies much, which is shown if standard error is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

const TEMPLATE: &str = "{prefix} [{bar:30}] {percent:>3}%  {bytes_per_sec}  {eta} left";

pub struct Progress(ProgressBar);

impl Progress {
    /// Of a file of this size.
    pub fn of(name: &str, bytes: u64) -> Progress {
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        // It hides itself if standard error is not a terminal.
        Progress(ProgressBar::new(bytes).with_style(style).with_prefix(name.to_owned()))
    }

    pub fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
