//! One thread that waits for everything: new connections, connections with something to read, the stop signal. It reads
//! and writes nothing itself, and hands each connection to the workers only when there is something to do.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{SockRef, TcpKeepalive};

use super::central::Central;
use super::connection::Connection;
use super::pool::{Job, Pool};
use super::session::Session;
use crate::config::ServerConfig;
use crate::error::{Error, Result};
use crate::logging::{self, Event};
use crate::signals::StopSignal;

/// The longest wait for anything, and so how often deadlines are looked at.
const ACCEPT_TIMEOUT: Duration = Duration::from_millis(500);
/// How soon a full queue is tried again, for connections that must not be refused.
const RETRY: Duration = Duration::from_millis(5);
/// A peer that has vanished without a word is noticed after this time and some probes.
const KEEPALIVE: Duration = Duration::from_secs(30);
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
    connections: HashMap<Token, Arc<Connection>>,
    next_token: usize,
    /// Connections that are open, counted down by the workers.
    open: Arc<AtomicUsize>,
    max_connections: usize,
    frame_deadline: Duration,
    /// New connections could not all be accepted, and the poll will not tell of them again.
    accept_again: bool,
    draw_is_told: bool,
    /// To be served although nothing came to read, as soon as the queue has room.
    postponed: Vec<Arc<Connection>>,
}

impl Acceptor {
    pub fn new(
        config: &ServerConfig,
        mut listener: TcpListener,
        mut stop: StopSignal,
        central: Arc<Central>,
    ) -> io::Result<Acceptor> {
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        stop.register(poll.registry(), STOP)?;
        central.set_waker(Waker::new(poll.registry(), WAKE)?);
        let open = Arc::new(AtomicUsize::new(0));
        let pool = Pool::start(config.workers, config.queue, &central, &open)?;
        Ok(Acceptor {
            poll,
            listener,
            stop,
            central,
            pool,
            connections: HashMap::new(),
            next_token: FIRST_CONNECTION,
            open,
            max_connections: config.max_connections,
            frame_deadline: config.frame_deadline,
            accept_again: false,
            draw_is_told: false,
            postponed: Vec::new(),
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
        // A draw that fell due before a restart is held without anybody asking for it.
        self.look_at_lottery()?;
        while !self.stop.is_raised() {
            let timeout = if self.postponed.is_empty() { ACCEPT_TIMEOUT } else { RETRY };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(|error| Error::failed(format!("cannot wait for connections: {error}")))?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    STOP => {}
                    WAKE => self.look_at_lottery()?,
                    token => {
                        let Some(connection) = self.connections.get(&token) else { continue };
                        let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
                        if is_readable || (event.is_writable() && connection.may_have_unsent()) {
                            self.submit(Arc::clone(connection));
                        }
                    }
                }
            }
            self.serve_postponed();
            if last_tick.elapsed() >= ACCEPT_TIMEOUT {
                last_tick = Instant::now();
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
                    if let Err(error) = self.take(stream, address.ip().to_canonical()) {
                        Event::fail("accept_connections").with("ip", address.ip()).with("error", error).log();
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

    fn take(&mut self, mut stream: TcpStream, peer: std::net::IpAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
        let token = Token(self.next_token);
        let is_full = self.open.load(Ordering::SeqCst) >= self.max_connections;
        if !is_full {
            self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        }
        let mut session = Session::new(stream, peer, self.frame_deadline);
        session.log_accept();
        if is_full {
            session.refuse(&format!("{} connections are open; try again later", self.max_connections));
            session.log_close("busy");
            return Ok(());
        }
        self.next_token += 1;
        self.open.fetch_add(1, Ordering::SeqCst);
        self.connections.insert(token, Arc::new(Connection::new(session)));
        Ok(())
    }

    /// Hands a connection to the workers. When too many wait already, it is refused.
    fn submit(&self, connection: Arc<Connection>) {
        if !connection.want() {
            return;
        }
        if let Err(Job::Serve(connection)) = self.pool.submit(Job::Serve(connection)) {
            if let Some(mut session) = connection.session.lock().take() {
                session.refuse("too many requests wait; try again later");
                session.log_close("busy");
                self.open.fetch_sub(1, Ordering::SeqCst);
            }
            connection.mark_closed();
        }
    }

    fn serve_postponed(&mut self) {
        while let Some(connection) = self.postponed.pop() {
            if !connection.want() {
                continue;
            }
            if let Err(Job::Serve(connection)) = self.pool.submit(Job::Serve(connection)) {
                connection.unwant();
                self.postponed.push(connection);
                return;
            }
        }
    }

    /// Has a draw held that is due, and those who wait for it told of one that was held.
    fn look_at_lottery(&mut self) -> Result<()> {
        self.central.check_disk()?;
        if self.central.claims_draw() && self.pool.submit(Job::HoldDraw).is_err() {
            self.central.unclaim_draw();
        }
        if self.central.is_drawn() && !self.draw_is_told {
            self.draw_is_told = true;
            let waiting = self.connections.values().filter(|connection| connection.may_wait_for_draw());
            self.postponed.extend(waiting.cloned());
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<()> {
        self.connections.retain(|_, connection| !connection.is_closed());
        self.postponed.extend(self.connections.values().filter(|connection| connection.is_late(now)).cloned());
        if self.accept_again {
            self.accept();
        }
        self.look_at_lottery()
    }

    /// Stops accepting, answers what was received, closes every connection, ends every worker, closes the files.
    fn shut_down(mut self, timeout: Duration, disk_is_sound: bool) -> Result<()> {
        let deadline = Instant::now() + timeout;
        logging::set_deadline(deadline);
        Event::in_progress("shutdown").log();
        // Closing is all that is left to do with it, and the drop does that too.
        let _ = self.poll.registry().deregister(&mut self.listener);
        drop(self.listener);
        Event::success("close_listener").log();
        self.pool.begin_stop();
        let served = self
            .connections
            .values()
            .filter(|connection| connection.want())
            .all(|connection| self.pool.submit_until(Job::Serve(Arc::clone(connection)), deadline));
        let workers_ended = self.pool.join(deadline);
        if !served || !workers_ended {
            let reason = format!("not everything has ended within {}", humantime::format_duration(timeout));
            Event::fail("shutdown").with("error", &reason).log();
            return Err(Error::failed(reason));
        }
        Event::success("close_workers").log();
        if disk_is_sound {
            self.central.close()?;
            Event::success("close_ledger").log();
        }
        Event::success("shutdown").log();
        Ok(())
    }
}
