//! SIGTERM and SIGINT as events of a poll, beside its sockets.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};

/// SIGTERM and SIGINT. The first one makes this readable and sets [`StopSignal::is_raised`]. The second ends the
/// process at once, with the exit code that a shell reports for that signal. SIGHUP makes it readable too, and ends nothing:
/// see [`StopSignal::takes_reload`].
pub struct StopSignal {
    raised: Arc<AtomicBool>,
    interrupted: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    finish: Arc<AtomicBool>,
    wake: UnixStream,
    sender: std::os::unix::net::UnixStream,
}

impl StopSignal {
    /// Installs the handlers. To be called before any work that a stop must be able to interrupt.
    pub fn listen() -> io::Result<StopSignal> {
        let (raised, interrupted) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (wake, sender) = std::os::unix::net::UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        // The process continues when its terminal closes.
        let reload = Arc::<AtomicBool>::default();
        flag::register(SIGHUP, Arc::clone(&reload))?;
        low_level::pipe::register(SIGHUP, sender.try_clone()?)?;
        // Registered first, so that whoever sees `raised` can rely on `interrupted`.
        flag::register(SIGINT, Arc::clone(&interrupted))?;
        for signal in [SIGTERM, SIGINT] {
            // The order matters: the first signal finds the flag unset and sets it, the second finds it set and exits.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&raised))?;
            flag::register(signal, Arc::clone(&raised))?;
            low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        let (wake, finish) = (UnixStream::from_std(wake), Arc::default());
        Ok(StopSignal { raised, interrupted, reload, finish, wake, sender })
    }

    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// True if SIGINT (Ctrl-C) was among the signals.
    pub fn is_interrupt(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// True once after each SIGHUP, or after several.
    pub fn takes_reload(&self) -> bool {
        self.reload.swap(false, Ordering::SeqCst)
    }

    /// From now on SIGUSR1 makes this readable too, and sets [`StopSignal::is_told_to_finish`]. Otherwise it ends the process.
    pub fn listen_to_finish(&mut self) -> io::Result<()> {
        flag::register(SIGUSR1, Arc::clone(&self.finish))?;
        low_level::pipe::register(SIGUSR1, self.sender.try_clone()?)?;
        Ok(())
    }

    pub fn is_told_to_finish(&self) -> bool {
        self.finish.load(Ordering::SeqCst)
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.wake, token, Interest::READABLE)
    }

    /// Reads the wake-up bytes, so that the poll does not report them again.
    pub fn acknowledge(&mut self) {
        let mut bytes = [0; 16];
        while matches!(self.wake.read(&mut bytes), Ok(read) if read > 0) {}
    }
}

/// Sends this process a SIGTERM once standard input ends. The parent holds the other end of the pipe, so the child
/// stops when the parent ends, even by SIGKILL.
pub fn stop_on_eof() -> io::Result<()> {
    let wait = || {
        // A read error counts as the end.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        // This fails only for a signal that does not exist.
        let _ = low_level::raise(SIGTERM);
    };
    std::thread::Builder::new().name("parent".to_owned()).spawn(wait).map(drop)
}

/// Raises the [`StopSignal`] of one test. A real signal would reach every test in the process.
#[cfg(test)]
pub struct StopSwitch {
    raised: Arc<AtomicBool>,
    sender: std::os::unix::net::UnixStream,
}

#[cfg(test)]
impl StopSignal {
    pub fn by_hand() -> io::Result<(StopSignal, StopSwitch)> {
        let raised = Arc::<AtomicBool>::default();
        let (wake, sender) = std::os::unix::net::UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let (wake, ours) = (UnixStream::from_std(wake), sender.try_clone()?);
        let signal = StopSignal {
            raised: Arc::clone(&raised),
            interrupted: Arc::default(),
            reload: Arc::default(),
            finish: Arc::default(),
            wake,
            sender: ours,
        };
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
