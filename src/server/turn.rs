//! Who has a connection: nobody, the queue, or a worker. At most one worker serves a connection at a time, it is in the queue
//! at most once, and no news is lost: news that comes while a worker serves it makes the worker serve it once more.
//!
//! `tests/turns.rs` tries every order in which poll, workers, the ledger's writer, a stop and a close can meet here, so
//! the lock is whatever the module above calls `Mutex`.

use std::time::Instant;

use super::Mutex;

/// See the module.
#[derive(Default)]
pub struct Turn(Mutex<At>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Nobody has it. The note tells which news needs a worker.
    Parked(Note),
    /// It is in the queue for a worker.
    #[default]
    Queued,
    /// A worker has it.
    Served,
    /// A worker has it, and there is news.
    ServedWithNews,
    Closed,
}

/// What a parked connection waits for, beside bytes to read and verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// When the peer must have finished what it has begun.
    pub deadline: Option<Instant>,
    pub has_unsent: bool,
    pub waits_for_draw: bool,
    /// It owes answers, so it cannot be refused for load.
    pub owes: bool,
}

/// What a connection is at, for who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for requests.
    Idle,
    /// Its peer does not take its replies.
    Stalled,
    /// It waits for the disk.
    Pending,
    AwaitingDraw,
    /// It waits for a worker.
    Queued,
    Served,
}

/// Events that a connection can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Readable,
    Writable,
    /// The ledger has settled something, or has room.
    Ledger,
    Draw,
    Time(Instant),
    Stop,
    /// The keys were read again.
    Keys,
}

/// What the caller of [`Turn::tell`] has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Put the connection in the queue, which may refuse it for load only if it owes no answers.
    Queue { owes: bool },
    /// Nothing: the news does not concern the connection, or the worker that serves it will see it.
    Nothing,
}

impl Turn {
    /// The turn of a new connection.
    pub fn parked() -> Turn {
        Turn(Mutex::new(At::Parked(Note::default())))
    }

    pub fn tell(&self, news: News) -> Tell {
        let mut at = self.0.lock();
        match *at {
            At::Parked(note) if note.concerns(news) => {
                *at = At::Queued;
                Tell::Queue { owes: note.owes }
            }
            At::Served => {
                *at = At::ServedWithNews;
                Tell::Nothing
            }
            At::Parked(_) | At::Queued | At::ServedWithNews | At::Closed => Tell::Nothing,
        }
    }

    /// A worker begins a pass. False if the connection was closed meanwhile.
    pub fn begin(&self) -> bool {
        let mut at = self.0.lock();
        if *at == At::Closed {
            return false;
        }
        *at = At::Served;
        true
    }

    /// The worker parks the connection. False if there is news: the worker has to begin again.
    pub fn park(&self, note: Note) -> bool {
        let mut at = self.0.lock();
        let is_idle = *at == At::Served;
        if is_idle {
            *at = At::Parked(note);
        }
        is_idle
    }

    /// The worker puts it in the queue again, because others wait too.
    pub fn requeue(&self) {
        *self.0.lock() = At::Queued;
    }

    pub fn close(&self) {
        *self.0.lock() = At::Closed;
    }

    /// What it is at. None once it is closed.
    pub fn standing(&self) -> Option<Standing> {
        match *self.0.lock() {
            At::Parked(note) if note.has_unsent => Some(Standing::Stalled),
            At::Parked(note) if note.waits_for_draw => Some(Standing::AwaitingDraw),
            At::Parked(note) if note.owes => Some(Standing::Pending),
            At::Parked(_) => Some(Standing::Idle),
            At::Queued => Some(Standing::Queued),
            At::Served | At::ServedWithNews => Some(Standing::Served),
            At::Closed => None,
        }
    }
}

impl Note {
    /// True if only the peer or the draw can end the wait.
    pub fn waits_for_peer(&self) -> bool {
        !self.owes || self.has_unsent || self.waits_for_draw
    }

    fn concerns(&self, news: News) -> bool {
        match news {
            News::Readable | News::Ledger | News::Stop | News::Keys => true,
            News::Writable => self.has_unsent,
            News::Draw => self.waits_for_draw,
            News::Time(now) => self.deadline.is_some_and(|deadline| deadline <= now),
        }
    }
}
