//! A TCP proxy between agencies and a central. The central behind it may change, and connections can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use socket2::SockRef;

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// Where the central listens; 0 is nowhere.
    target: AtomicU16,
    /// How connections are cut, while any are.
    knife: Mutex<Option<Knife>>,
    cuts: AtomicUsize,
    ended: AtomicBool,
}

/// Cuts each connection behind so many bytes in one of the two directions, at random.
#[derive(Clone)]
pub struct Knife {
    pub rng: Rng,
    pub most_up: usize,
    pub most_down: usize,
    /// Cuts still to be made.
    pub left: usize,
}

/// Where one connection is to be cut, and whether without a word of farewell.
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
            knife: Mutex::new(None),
            cuts: AtomicUsize::new(0),
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
    }

    pub fn cut_with(&self, knife: Knife) {
        *self.shared.knife.lock().unwrap() = Some(knife);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
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

/// Carries bytes both ways until an end closes or the knife falls. Then both are closed.
fn join(client: TcpStream, shared: &Arc<Shared>) {
    let target = shared.target.load(Ordering::SeqCst);
    // Nobody there: the client sees its connection close.
    let Ok(central) = TcpStream::connect_timeout(&([127, 0, 0, 1], target).into(), Duration::from_secs(5)) else {
        return;
    };
    let cut = shared.knife.lock().unwrap().as_mut().and_then(Knife::next);
    let (up, down) = cut.map_or((usize::MAX, usize::MAX), |cut| (cut.up, cut.down));
    let reset = cut.is_some_and(|cut| cut.reset);
    client.set_nodelay(true).unwrap();
    central.set_nodelay(true).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| carry(&client, &central, up, reset, shared));
        carry(&central, &client, down, reset, shared);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, most: usize, reset: bool, shared: &Shared) {
    let mut buffer = vec![0; 16 * 1024];
    let mut left = most;
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let carried = read.min(left);
        if to.write_all(&buffer[..carried]).is_err() {
            break;
        }
        left -= carried;
        if carried < read || left == 0 {
            shared.cuts.fetch_add(1, Ordering::SeqCst);
            if reset {
                // What is not yet received is lost with the connection.
                let _ = SockRef::from(from).set_linger(Some(Duration::ZERO));
                let _ = SockRef::from(to).set_linger(Some(Duration::ZERO));
            }
            break;
        }
    }
    // Ends the other direction too. Where a reset is to be, nothing may tell the peers before it.
    let how = if reset { Shutdown::Read } else { Shutdown::Both };
    let _ = from.shutdown(how);
    let _ = to.shutdown(how);
}
