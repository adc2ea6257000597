//! A TCP proxy between agencies and a central. The central may be replaced, connections can be cut, and a valve can
//! hold what goes to the central, so that an upload does not end before the test wants it to. It can carry single bytes.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use socket2::SockRef;

const BUFFER: usize = 16 * 1024;

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// The central's port, or 0 if there is none.
    target: AtomicU16,
    /// Whether connections wait while there is none.
    is_patient: AtomicBool,
    /// How connections are cut, while any are.
    knife: Mutex<Option<Knife>>,
    cuts: AtomicUsize,
    /// Maximum bytes to be read and written at once.
    piece: AtomicUsize,
    valve: Mutex<Valve>,
    /// Notified when the valve or the central changes, or a connection ends.
    turned: Condvar,
    ended: AtomicBool,
}

/// Lets this many bytes of each connection through to the central, and holds the rest.
struct Valve {
    most_up: usize,
    /// The agencies' ends of all connections that are open, by number.
    open: HashMap<usize, TcpStream>,
    connections: usize,
}

/// Cuts each connection after a random number of bytes in one of the two directions.
#[derive(Clone)]
pub struct Knife {
    pub rng: Rng,
    pub most_up: usize,
    pub most_down: usize,
    /// Cuts still to be made.
    pub left: usize,
}

/// Where one connection is to be cut, and whether by a reset.
#[derive(Clone, Copy)]
struct Cut {
    up: usize,
    down: usize,
    reset: bool,
}

impl Proxy {
    pub fn to(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            target: AtomicU16::new(target),
            is_patient: AtomicBool::new(false),
            knife: Mutex::new(None),
            cuts: AtomicUsize::new(0),
            piece: AtomicUsize::new(BUFFER),
            valve: Mutex::new(Valve { most_up: usize::MAX, open: HashMap::new(), connections: 0 }),
            turned: Condvar::new(),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (client, shared) = (client.unwrap(), Arc::clone(&accepting));
                thread::spawn(move || join(client, &shared));
            }
        });
        Proxy { port, shared }
    }

    pub fn point_at(&self, target: u16) {
        self.shared.target.store(target, Ordering::SeqCst);
        // Nobody is between a look at it and the wait for another.
        drop(self.shared.valve.lock().unwrap());
        self.shared.turned.notify_all();
    }

    /// From here on a connection that comes while there is no central waits for one, instead of being closed.
    #[allow(dead_code, reason = "torture alone needs it")]
    pub fn be_patient(&self) {
        self.shared.is_patient.store(true, Ordering::SeqCst);
    }

    pub fn cut_with(&self, knife: Knife) {
        *self.shared.knife.lock().unwrap() = Some(knife);
    }

    /// From here on every byte goes alone, in both directions.
    pub fn carry_single_bytes(&self) {
        self.shared.piece.store(1, Ordering::SeqCst);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Holds each connection, also later ones, once it has carried this many bytes to the central.
    pub fn hold_after(&self, bytes: usize) {
        self.shared.valve.lock().unwrap().most_up = bytes;
    }

    /// Lets everything through again.
    pub fn let_go(&self) {
        self.hold_after(usize::MAX);
        self.shared.turned.notify_all();
    }

    /// Ends every connection that is open.
    pub fn break_all(&self) {
        for (_, client) in self.shared.valve.lock().unwrap().open.drain() {
            // It may already have ended.
            let _ = client.shutdown(Shutdown::Both);
        }
        self.shared.turned.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.let_go();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Knife {
    fn next(&mut self) -> Option<Cut> {
        self.left = self.left.checked_sub(1)?;
        let (up, down) = (self.rng.usize(..self.most_up), self.rng.usize(..self.most_down));
        let reset = self.rng.bool();
        Some(match self.rng.bool() {
            true => Cut { up, down: usize::MAX, reset },
            false => Cut { up: usize::MAX, down, reset },
        })
    }
}

/// Carries bytes both ways until an end closes or the cut is due. Then closes both.
fn join(client: TcpStream, shared: &Arc<Shared>) {
    let target = shared.target();
    // There is no central: the client sees its connection close.
    let Ok(central) = TcpStream::connect_timeout(&([127, 0, 0, 1], target).into(), Duration::from_secs(5)) else {
        return;
    };
    let cut = shared.knife.lock().unwrap().as_mut().and_then(Knife::next);
    let cut = cut.unwrap_or(Cut { up: usize::MAX, down: usize::MAX, reset: false });
    client.set_nodelay(true).unwrap();
    central.set_nodelay(true).unwrap();
    let number = {
        let mut valve = shared.valve.lock().unwrap();
        valve.connections += 1;
        let number = valve.connections;
        valve.open.insert(number, client.try_clone().unwrap());
        number
    };
    thread::scope(|scope| {
        scope.spawn(|| carry(&client, &central, cut.up, cut.reset, shared, Some(number)));
        carry(&central, &client, cut.down, cut.reset, shared, None);
        shared.end(number);
    });
}

impl Shared {
    /// The central's port.
    fn target(&self) -> u16 {
        let mut valve = self.valve.lock().unwrap();
        loop {
            let target = self.target.load(Ordering::SeqCst);
            if target != 0 || !self.is_patient.load(Ordering::SeqCst) || self.ended.load(Ordering::SeqCst) {
                return target;
            }
            valve = self.turned.wait(valve).unwrap();
        }
    }

    /// Waits until more than `carried` bytes may go to the central. Returns how many more, or none once the connection
    /// ends.
    fn pass(&self, number: usize, carried: usize) -> usize {
        let mut valve = self.valve.lock().unwrap();
        while valve.most_up <= carried && valve.open.contains_key(&number) {
            valve = self.turned.wait(valve).unwrap();
        }
        if valve.open.contains_key(&number) { valve.most_up - carried } else { 0 }
    }

    fn end(&self, number: usize) {
        self.valve.lock().unwrap().open.remove(&number);
        self.turned.notify_all();
    }
}

/// Carries one direction. That to the central has its connection's number and goes through the valve.
fn carry(mut from: &TcpStream, mut to: &TcpStream, most: usize, reset: bool, shared: &Shared, valve: Option<usize>) {
    let mut buffer = vec![0; BUFFER];
    let mut carried = 0;
    'connection: while let Ok(read @ 1..) = from.read(&mut buffer[..shared.piece.load(Ordering::SeqCst)]) {
        let mut rest = &buffer[..read.min(most - carried)];
        while !rest.is_empty() {
            let room = valve.map_or(usize::MAX, |number| shared.pass(number, carried));
            let (now, later) = rest.split_at(room.min(rest.len()));
            if now.is_empty() || to.write_all(now).is_err() {
                break 'connection;
            }
            carried += now.len();
            rest = later;
        }
        if carried == most {
            shared.cuts.fetch_add(1, Ordering::SeqCst);
            if reset {
                // Bytes not received yet are lost with the connection.
                let _ = SockRef::from(from).set_linger(Some(Duration::ZERO));
                let _ = SockRef::from(to).set_linger(Some(Duration::ZERO));
            }
            break;
        }
    }
    // Ends the other direction too. Before a reset, nothing may close the connection in an orderly way.
    let how = if reset { Shutdown::Read } else { Shutdown::Both };
    let _ = from.shutdown(how);
    let _ = to.shutdown(how);
}
