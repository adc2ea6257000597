//! `--follow`: the agency's file is read as it grows, until it is told that no more bets will come.

use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::dataset::Dataset;
use super::reactor::{Halt, Reactor};
use crate::config::LotteryTask;
use crate::error::{Error, Kind};
use crate::logging::Event;

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(200);
/// How long the last line may take to be ended once the follow is to end.
const GRACE: Duration = Duration::from_secs(5);

/// When a followed file is looked at, and when it has all of its bets.
pub(super) struct Following {
    close_at: Option<Timestamp>,
    /// There is nothing to read before this, as far as is known.
    next_look: Instant,
    ending: Option<Ending>,
}

/// The bets before this length are the last.
struct Ending {
    by: &'static str,
    length: u64,
    since: Instant,
}

impl Following {
    /// None if the file is not followed. From now on SIGUSR1 ends the follow, and not the process.
    pub(super) fn new(reactor: &mut Reactor, task: &LotteryTask) -> Result<Option<Following>, Halt> {
        let Some(follow) = &task.follow else { return Ok(None) };
        let unheard = |error: io::Error| Error::failed(format!("cannot listen to signals: {error}"));
        reactor.stop.listen_to_finish().map_err(unheard)?;
        Ok(Some(Following { close_at: follow.close_at, next_look: Instant::now(), ending: None }))
    }

    /// Waits until the file is there, with a whole line.
    pub(super) fn open(&mut self, reactor: &mut Reactor, task: &LotteryTask) -> Result<Dataset, Halt> {
        let event = Event::in_progress("follow").with("client_id", reactor.id).with("file", task.file.display());
        // In UTC, as the log is.
        reactor.log(match self.close_at {
            Some(close_at) => event.with("close_at", close_at),
            None => event,
        });
        let (mut is_told, mut since) = (false, None);
        loop {
            if let Some(dataset) = Dataset::follow(&task.file, since.is_some())? {
                return Ok(dataset);
            }
            let is_there = task.file.exists();
            if !std::mem::replace(&mut is_told, true) {
                let event = Event::in_progress("follow").with("client_id", reactor.id);
                let event = event.with("file", task.file.display());
                reactor.log(event.with("waits_for", if is_there { "line" } else { "file" }));
            }
            if since.is_none() && self.is_due(reactor).is_some() {
                if !is_there {
                    let what = "there is no such file, though all of its bets were to be there now";
                    return Err(Halt::Fatal(Error::bad_path(&task.file, what)));
                }
                since = Some(Instant::now());
            }
            if since.is_some_and(|since| since.elapsed() >= GRACE) {
                return Err(Halt::Fatal(Error::bad_path(&task.file, NOT_ENDED)));
            }
            reactor.pause(PERIOD)?;
        }
    }

    /// While nothing can have been written since the last look.
    pub(super) fn rests(&self) -> bool {
        Instant::now() < self.next_look
    }

    pub(super) fn next_look(&self) -> Instant {
        self.next_look
    }

    /// To be called when every row that is there was read. True if no more will come.
    pub(super) fn is_over(&mut self, reactor: &Reactor, dataset: &mut Dataset) -> Result<bool, Halt> {
        self.next_look = Instant::now() + PERIOD;
        if dataset.is_over() {
            return Ok(true);
        }
        if self.ending.is_none() {
            let length = dataset.size();
            self.ending = self.is_due(reactor).map(|by| Ending { by, length, since: Instant::now() });
        }
        let Some(ending) = &self.ending else { return Ok(false) };
        if dataset.shown() < ending.length {
            if ending.since.elapsed() >= GRACE {
                return Err(Halt::Fatal(dataset.error_at_end(Kind::BadInput, NOT_ENDED)));
            }
            return Ok(false);
        }
        dataset.end();
        Ok(true)
    }

    /// Why no more bets will come.
    pub(super) fn ended_by(&self) -> &'static str {
        self.ending.as_ref().map_or("line", |ending| ending.by)
    }

    fn is_due(&self, reactor: &Reactor) -> Option<&'static str> {
        if reactor.stop.is_told_to_finish() {
            Some("signal")
        } else {
            self.close_at.filter(|close_at| Timestamp::now() >= *close_at).map(|_| "time")
        }
    }
}

const NOT_ENDED: &str = "the last line has no end, so it may be a part of a row, and all bets were to be there now: end it or remove \
                         it, and start again";
