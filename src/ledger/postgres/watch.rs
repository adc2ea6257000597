//! The thread that notices what other centrals have done, and how the database fares.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use super::Shared;
use super::view::peek;
use crate::database::{Failure, Session, Statement};
use crate::ledger::Health;
use crate::ledger::entry::News;

/// How often it looks.
const POLL: Duration = Duration::from_millis(200);
/// How often it looks at the standby.
const STANDBY: Duration = Duration::from_secs(1);

const PEEK: &str = "SELECT concat_ws(' ', phase, number, seal_told, draw_told, \
    (SELECT concat_ws(' ', count(done), sum(stored)) FROM agencies WHERE draw = $1), \
    current_setting('synchronous_standby_names')) FROM draws WHERE id = $1";

/// See the module.
#[derive(Default)]
pub struct Watch(Mutex<Option<(Sender<()>, JoinHandle<()>)>>);

struct Watcher {
    session: Option<(Session, Statement)>,
    seen: String,
    looked: Option<Instant>,
}

impl Watch {
    pub fn begin(&self, shared: &Arc<Shared>, news: News) {
        let (stop, stopped) = bounded(0);
        let shared = Arc::clone(shared);
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(move || run(&shared, &news, &stopped));
        // Without it this central still judges every request right, and only hears of the draw when it is asked to hold it.
        if let Ok(thread) = thread {
            *self.0.lock() = Some((stop, thread));
        }
    }

    /// Ends it. What it waits for ends at the end of the stop at last.
    pub fn end(&self) {
        if let Some((stop, thread)) = self.0.lock().take() {
            drop(stop);
            // Nothing that it could have failed at matters any more.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, news: &News, stopped: &Receiver<()>) {
    let mut watcher = Watcher { session: None, seen: String::new(), looked: None };
    while stopped.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        match watcher.look(shared) {
            Ok(is_news) => {
                shared.health.lock().away = None;
                if is_news {
                    news();
                }
            }
            Err(failure) => {
                if let (Some((session, _)), Failure::Away(_)) = (watcher.session.take(), &failure) {
                    shared.hosts.pass_over(&session);
                }
                watcher.seen.clear();
                if !shared.is_stopping() {
                    *shared.health.lock() = Health { away: Some(failure.to_string()), ..Health::default() };
                }
            }
        }
    }
}

impl Watcher {
    /// True if there is news.
    fn look(&mut self, shared: &Shared) -> Result<bool, Failure> {
        let limit = shared.hosts.limits().commit;
        let (session, statement) = match &mut self.session {
            Some(live) => live,
            None => {
                let session = shared.hosts.connect()?;
                let prepared = session.prepare(&[PEEK], limit)?.into_iter().next();
                let statement = prepared.ok_or_else(|| Failure::Again("no statement was prepared".to_owned()))?;
                self.looked = None;
                self.session.insert((session, statement))
            }
        };
        if self.looked.is_none_or(|looked| looked.elapsed() >= STANDBY) {
            let standby = session.standby(limit)?;
            let mut health = shared.health.lock();
            health.host = Some(session.host.clone());
            (health.standby, health.followers) = (standby.names.clone(), standby.followers);
            drop(health);
            shared.hosts.check_standby(&session.host, &standby.names)?;
            self.looked = Some(Instant::now());
        }
        let seen = peek(session, statement, shared.draw, limit)?;
        if seen == self.seen {
            return Ok(false);
        }
        let is_news = shared.refresh(session)?;
        self.seen = seen;
        Ok(is_news)
    }
}
