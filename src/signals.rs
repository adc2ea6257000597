//! SIGTERM and SIGINT, as something to wait for beside sockets.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// Turns readable, and [`StopSignal::is_raised`], once the process is told to stop. A second signal ends the process at
/// once, with the code that a shell gives to a process which that signal killed.
pub struct StopSignal {
    raised: Arc<AtomicBool>,
    wake: UnixStream,
}

impl StopSignal {
    /// Listens from here on. To be called before anything that a stop must be able to interrupt.
    pub fn listen() -> io::Result<StopSignal> {
        let raised = Arc::new(AtomicBool::new(false));
        let (wake, sender) = std::os::unix::net::UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it, the second finds it up and exits.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&raised))?;
            flag::register(signal, Arc::clone(&raised))?;
            low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(StopSignal { raised, wake: UnixStream::from_std(wake) })
    }

    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Makes the signal an event of this poll.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.wake, token, Interest::READABLE)
    }

    /// Takes the wake-up bytes, so that a level-triggered poll would not report them again.
    pub fn acknowledge(&mut self) {
        let mut bytes = [0; 16];
        while matches!(self.wake.read(&mut bytes), Ok(read) if read > 0) {}
    }
}

/// Has the process stop, as by SIGTERM, once standard input ends: its parent holds the other end, and ends with it.
pub fn stop_on_eof() -> io::Result<()> {
    let wait = || {
        // An error is the end of it, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        // Fails for no signal that there is.
        let _ = low_level::raise(SIGTERM);
    };
    std::thread::Builder::new().name("parent".to_owned()).spawn(wait).map(drop)
}

/// Raises a [`StopSignal`] of a test. Real signals would reach every test of the process.
#[cfg(test)]
pub struct StopSwitch {
    raised: Arc<AtomicBool>,
    sender: std::os::unix::net::UnixStream,
}

#[cfg(test)]
impl StopSignal {
    pub fn by_hand() -> io::Result<(StopSignal, StopSwitch)> {
        let raised = Arc::new(AtomicBool::new(false));
        let (wake, sender) = std::os::unix::net::UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let signal = StopSignal { raised: Arc::clone(&raised), wake: UnixStream::from_std(wake) };
        Ok((signal, StopSwitch { raised, sender }))
    }
}

#[cfg(test)]
impl StopSwitch {
    pub fn raise(&self) {
        use std::io::Write as _;
        self.raised.store(true, Ordering::SeqCst);
        (&self.sender).write_all(&[1]).unwrap();
    }
}
