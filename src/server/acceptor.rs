//! One thread that waits for everything: new connections, connections with something to read, the stop signal. It reads
//! and writes nothing itself, and hands each connection to the workers only when there is something to do.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use log::Level;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{SockRef, TcpKeepalive};

use super::central::Central;
use super::connection::{Connection, Job};
use super::ending::End;
use super::keys::Keys;
use super::lottery::Step;
use super::manager::{self, Watchdog};
use super::open::Open;
use super::pool::Pool;
use super::refuse::Refuser;
use super::session::Session;
use super::sight::{self, Sight};
use super::turn::{News, Tell};
use crate::config::ServerConfig;
use crate::error::{Error, Result};
use crate::ledger::StorageError;
use crate::logging::{Event, EventResult};
use crate::observe::{Turned, View};
use crate::signals::StopSignal;
use crate::transport::{Peer, Stream, Who};

/// Maximum time of a poll, and so the interval at which deadlines are checked.
const ACCEPT_TIMEOUT: Duration = Duration::from_millis(500);
/// A peer that has vanished without a word is noticed after this time and some probes.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Interval of the log line about missing agencies.
const REMINDER: Duration = Duration::from_secs(60);
/// Interval at which a stop checks whether all connections are closed.
const STOP_POLL: Duration = Duration::from_millis(10);
const EVENTS: usize = 1024;

const LISTENER: Token = Token(0);
const STOP: Token = Token(1);
const WAKE: Token = Token(2);
const FIRST_CONNECTION: usize = 3;

/// See the module.
pub struct Acceptor {
    poll: Poll,
    listener: TcpListener,
    stop: StopSignal,
    central: Arc<Central>,
    pool: Pool,
    refuser: Refuser,
    connections: HashMap<Token, Arc<Connection>>,
    next_token: usize,
    /// Connections that are open, counted down by the workers.
    open: Arc<Open>,
    /// Those who watch see the central while this lives.
    sight: Arc<dyn View>,
    /// How the ledger's writer has ended, once it has.
    writer: Receiver<std::result::Result<(), StorageError>>,
    frame_deadline: Duration,
    /// New connections could not all be accepted, and the poll will not tell of them again.
    accept_again: bool,
    seal_is_told: bool,
    draw_is_told: bool,
    reminded: Instant,
}

impl Acceptor {
    pub fn new(
        config: &ServerConfig,
        mut listener: TcpListener,
        mut stop: StopSignal,
        central: Arc<Central>,
        writer: Receiver<std::result::Result<(), StorageError>>,
    ) -> io::Result<Acceptor> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        stop.register(poll.registry(), STOP)?;
        central.lottery.set_waker(Waker::new(poll.registry(), WAKE)?);
        let open = Arc::new(Open::new(config));
        let pool = Pool::start(config.workers, config.queue, &central, &open)?;
        let (queue, busy) = (pool.queue.clone(), pool.busy.clone());
        let sight = Arc::new(Sight { central: Arc::clone(&central), open: Arc::clone(&open), queue, busy });
        Ok(Acceptor {
            poll,
            listener,
            stop,
            central,
            pool,
            refuser: Refuser::start()?,
            connections: HashMap::new(),
            next_token: FIRST_CONNECTION,
            open,
            sight,
            writer,
            frame_deadline: config.frame_deadline,
            accept_again: false,
            seal_is_told: false,
            draw_is_told: false,
            reminded: Instant::now(),
        })
    }

    /// Serves until the stop signal, or until the disk can no longer be relied on.
    pub fn run(mut self, config: &ServerConfig) -> Result<()> {
        Event::in_progress("accept_connections").log();
        let served = self.serve();
        let stopped = self.shut_down(config.stop_timeout, served.is_ok());
        served.and(stopped)
    }

    fn serve(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut last_tick = Instant::now();
        let mut watchdog = Watchdog::new(last_tick);
        // A draw that fell due before a restart is held without anybody asking for it.
        self.central.look_at_store();
        self.look_at_lottery()?;
        manager::tell_ready();
        self.central.watch.serving(Arc::downgrade(&self.sight));
        while !self.stop.is_raised() {
            match self.poll.poll(&mut events, Some(ACCEPT_TIMEOUT)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(cannot_wait)?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    STOP => self.look_at_signals(),
                    WAKE => {
                        self.look_at_keys();
                        self.look_at_lottery()?;
                    }
                    token => {
                        let Some(connection) = self.connections.get(&token) else { continue };
                        let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
                        self.tell(connection, if is_readable { News::Readable } else { News::Writable });
                    }
                }
            }
            if last_tick.elapsed() >= ACCEPT_TIMEOUT {
                last_tick = Instant::now();
                watchdog.feed(last_tick);
                self.tick(last_tick)?;
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        self.accept_again = false;
        loop {
            match self.listener.accept() {
                Ok((stream, address)) => {
                    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                    if let Err(error) = self.take(stream, Peer { address, who: Who::Nobody }) {
                        refusal(Level::Error, address).with("error", error).log();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The peer gave up while it waited.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Most likely there are no file descriptors left: some may be free at the next tick.
                    Event::fail("accept_connections").with("error", error).log();
                    self.accept_again = true;
                    return;
                }
            }
        }
    }

    fn take(&mut self, mut stream: TcpStream, peer: Peer) -> io::Result<()> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
        let address = peer.address.ip();
        if let Err(reason) = self.open.add(address) {
            refusal(Level::Warn, peer.address).with("reason", End::Busy).with("error", &reason).log();
            self.central.watch.turn_away(Turned::Connections);
            self.refuser.refuse(self.wrap(stream), reason);
            return Ok(());
        }
        let token = Token(self.next_token);
        let registered = self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE);
        registered.inspect_err(|_| self.open.remove(address))?;
        let session = Session::new(self.wrap(stream), peer, self.frame_deadline);
        session.log_accept();
        self.central.watch.accept();
        self.next_token += 1;
        self.connections.insert(token, Arc::new(Connection::new(session, self.pool.queue.clone())));
        Ok(())
    }

    fn wrap(&self, stream: TcpStream) -> Box<dyn Stream> {
        match &self.central.keys {
            Some(keys) => keys.accept(stream),
            None => Box::new(stream),
        }
    }

    /// SIGHUP is handled here. The loop's condition handles a stop.
    fn look_at_signals(&mut self) {
        self.stop.acknowledge();
        if self.stop.takes_reload() {
            self.pool.queue.push(Job::ReloadKeys);
        }
    }

    fn look_at_keys(&self) {
        if self.central.keys.as_ref().is_some_and(Keys::take_news) {
            self.connections.values().for_each(|connection| self.pool.queue.tell(Arc::clone(connection), News::Keys));
        }
    }

    /// Queues a connection, if the news concerns it. If the queue is full the connection is refused, unless it owes answers.
    fn tell(&self, connection: &Arc<Connection>, news: News) {
        let Tell::Queue { owes } = connection.turn.tell(news) else { return };
        let job = Job::Serve(Arc::clone(connection));
        if owes {
            return self.pool.queue.push(job);
        }
        if self.pool.queue.offer(job).is_err() {
            connection.turn.close();
            if let Some(session) = connection.session.lock().take() {
                session.log_close(End::Busy);
                self.central.watch.turn_away(Turned::Queue);
                let address = session.address();
                self.refuser.refuse(session.into_stream(), "too many requests wait; try again later".to_owned());
                self.open.hold(connection, 0, false);
                self.open.remove(address);
            }
        }
    }

    /// Lets a worker hold a draw that is due, and tells waiting connections of a draw that was held.
    fn look_at_lottery(&mut self) -> Result<()> {
        self.central.check_disk()?;
        if self.central.claims_draw() {
            self.pool.queue.push(Job::HoldDraw);
        }
        if self.central.claims_weighing() {
            self.pool.queue.push(Job::Weigh);
        }
        let lottery = &self.central.lottery;
        let is_news = match (lottery.step(), lottery.seal()) {
            (Step::Drawn, _) => !mem::replace(&mut self.draw_is_told, true),
            (_, Some(_)) => !mem::replace(&mut self.seal_is_told, true),
            (_, None) => false,
        };
        if is_news {
            self.connections.values().for_each(|connection| self.pool.queue.tell(Arc::clone(connection), News::Draw));
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<()> {
        let mut standings = Vec::new();
        self.connections.retain(|_, connection| {
            let standing = connection.turn.standing();
            standings.extend(standing.filter(|_| self.central.watch.counts.is_some()));
            standing.is_some()
        });
        if let Some(counts) = &self.central.watch.counts {
            sight::note(counts, standings.into_iter());
        }
        let connections = self.connections.values();
        connections.for_each(|connection| self.pool.queue.tell(Arc::clone(connection), News::Time(now)));
        if self.accept_again {
            self.accept();
        }
        if now.duration_since(self.reminded) >= REMINDER {
            self.reminded = now;
            self.central.log_missing();
        }
        self.look_at_lottery()
    }

    /// Stops accepting, answers what was received, closes every connection, ends every worker, closes the files.
    fn shut_down(self, timeout: Duration, disk_is_sound: bool) -> Result<()> {
        let Acceptor { mut poll, mut listener, connections, open, pool, refuser, central, writer, .. } = self;
        let deadline = Instant::now() + timeout;
        Event::in_progress("shutdown").log();
        manager::tell_stopping();
        let mut watchdog = Watchdog::new(Instant::now());
        // Closing is all that is left to do with it, and the drop does that too.
        let _ = poll.registry().deregister(&mut listener);
        drop(listener);
        Event::success("close_listener").log();
        central.begin_stop();
        pool.begin_stop();
        connections.values().for_each(|connection| pool.queue.tell(Arc::clone(connection), News::Stop));
        let mut events = Events::with_capacity(EVENTS);
        while !open.is_empty() {
            let now = Instant::now();
            watchdog.feed(now);
            if now >= deadline {
                return Err(too_slow(timeout));
            }
            match poll.poll(&mut events, Some(STOP_POLL)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(cannot_wait)?,
            }
            let ready = events.iter().filter_map(|event| connections.get(&event.token()));
            ready.for_each(|connection| pool.queue.tell(Arc::clone(connection), News::Readable));
            // Otherwise a DONE that still has to be weighed would never be answered.
            if central.claims_weighing() {
                pool.queue.push(Job::Weigh);
            }
            connections.values().for_each(|connection| pool.queue.tell(Arc::clone(connection), News::Time(now)));
        }
        refuser.join();
        if !pool.join(deadline) {
            return Err(too_slow(timeout));
        }
        Event::success("close_workers").log();
        central.close();
        let written = writer.recv_deadline(deadline).map_err(|_| too_slow(timeout))?;
        if disk_is_sound {
            written.map_err(|StorageError(reason)| Error::storage(reason))?;
            Event::success("close_ledger").log();
            Event::success("shutdown").log();
        }
        Ok(())
    }
}

fn refusal(level: Level, peer: SocketAddr) -> Event {
    Event::new(level, "accept_connections", EventResult::Fail).with("ip", peer.ip()).with("port", peer.port())
}

fn cannot_wait(error: io::Error) -> Error {
    Error::failed(format!("cannot wait for connections: {error}"))
}

fn too_slow(timeout: Duration) -> Error {
    Error::failed(format!("not everything has ended within {}", humantime::format_duration(timeout)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AgencyId;
    use crate::ledger::files::Files;
    use crate::logging;
    use crate::server::testing::{config, unwatched};

    /// The acceptor's clock runs ahead here, so that the test does not wait.
    #[test]
    fn every_minute_the_log_tells_who_is_missing_until_nobody_is() {
        let (config, folder) = (config(), tempfile::tempdir().unwrap());
        let (files, _) = Files::open(folder.path(), config.rules, Box::new(|_| {})).unwrap();
        let central = Arc::new(Central::new(&config, None, None, Box::new(files), unwatched()));
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let (stop, _switch) = StopSignal::by_hand().unwrap();
        let (_ending, ended) = crossbeam_channel::bounded(1);
        let mut acceptor = Acceptor::new(&config, listener, stop, Arc::clone(&central), ended).unwrap();
        let start = acceptor.reminded;
        let mut told = |seconds| logging::lines_of(|| acceptor.tick(start + Duration::from_secs(seconds)).unwrap());
        let reminder = "INFO     action: wait_for_agencies | result: in_progress | done: 0 | missing: 1";
        let reminders = [59, 60, 61, 119, 120].map(|seconds| told(seconds).matches(reminder).count());
        assert_eq!(reminders, [0, 1, 0, 0, 1]);
        central.note_done(AgencyId(1));
        assert_eq!(told(180), "");
    }
}
