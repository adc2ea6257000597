//! The central's keys while it runs: read at its start, and again on SIGHUP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log::Level;
use mio::net::TcpStream;

use crate::domain::acta::Signed;
use crate::error::Result;
use crate::logging::{Event, EventResult};
use crate::transport::{Acceptance, Expiry, Incoming, Paths, Stream, Warning};

/// See the module.
pub struct Keys {
    acceptance: Arc<Acceptance>,
    /// They were read again, and not every connection knows that.
    are_new: AtomicBool,
}

impl Keys {
    pub fn load(paths: &Paths) -> Result<Keys> {
        let (acceptance, warnings) = Acceptance::load(paths.clone())?;
        log_warnings(&warnings);
        Ok(Keys { acceptance, are_new: AtomicBool::new(false) })
    }

    /// A connection that may be plain or TLS.
    pub fn accept(&self, stream: TcpStream) -> Box<dyn Stream> {
        Box::new(Incoming::new(stream, Arc::clone(&self.acceptance)))
    }

    /// The central's signature under a statement.
    pub fn sign(&self, statement: &str) -> std::result::Result<Signed, String> {
        self.acceptance.signer().sign(statement)
    }

    /// When what the files held expires, as they were last read.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.acceptance.expiries()
    }

    /// Reads the files again. If one is bad, the keys stay as they were.
    pub fn reload(&self) {
        match self.acceptance.reload() {
            Ok(warnings) => {
                log_warnings(&warnings);
                Event::success("load_keys").log();
                self.are_new.store(true, Ordering::SeqCst);
            }
            Err(error) => Event::fail("load_keys").with("error", error).log(),
        }
    }

    /// True once after each successful [`Keys::reload`], or after several.
    pub fn take_news(&self) -> bool {
        self.are_new.swap(false, Ordering::SeqCst)
    }
}

fn log_warnings(warnings: &[Warning]) {
    for warning in warnings {
        Event::new(Level::Warn, "load_keys", EventResult::Success).with("warning", warning).log();
    }
}
