//! Name resolution with a deadline.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{self, Receiver};
use std::thread;

pub type Resolving = Receiver<io::Result<Vec<SocketAddr>>>;

/// Resolves `HOST:PORT` on its own thread, because the system's resolver has no deadline and cannot be cancelled.
pub fn start(address: &str, when_done: impl FnOnce() + Send + 'static) -> io::Result<Resolving> {
    let (sender, receiver) = mpsc::channel();
    let address = address.to_owned();
    thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        // The receiver may have given up.
        let _ = sender.send(address.to_socket_addrs().map(Iterator::collect));
        when_done();
    })?;
    Ok(receiver)
}
