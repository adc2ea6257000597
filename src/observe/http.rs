//! The HTTP server: one thread, with limits on everything that a client can do to it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{interval, sleep, timeout};

use super::routes::{Shown, router};
use super::watch::Watch;
use crate::error::{Error, Result};

/// The name of the server's thread, by which a panic's handler knows it.
pub const THREAD: &str = "http";
/// Connections open at once. A further one is closed.
const MAX_CONNECTIONS: usize = 64;
/// Time from a connection's begin to the end of its request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// Time from a connection's begin to its end. Each has one request.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Fields of a request's head.
const HEAD_FIELDS: usize = 64;
/// Pause before the next try to accept a connection, most likely because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The thread yields to those that take bets: of a processor that both want it gets about a tenth.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A running server. It ends when the value is dropped.
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Listens, without taking any connection yet.
pub fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    open().map_err(|error: io::Error| {
        Error::failed(format!(
            "{address}: cannot listen for HTTP: {error}; choose another --http, or port 0 for a free one"
        ))
    })
}

impl Server {
    pub fn start(listener: TcpListener, watch: Arc<Watch>) -> io::Result<Server> {
        let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            yield_to_others();
            let shown = Arc::new(Shown::new(watch));
            runtime.spawn(tick(Arc::clone(&shown)));
            runtime.spawn(accept(listener, router(shown)));
            // An error says that the server was dropped, which means the same.
            let _ = runtime.block_on(stopped);
        };
        let thread = std::thread::Builder::new().name(THREAD.to_owned()).spawn(run)?;
        Ok(Server { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    /// Nothing that the thread does waits for a peer, so this takes no longer than one answer.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// It is a favour of the system: without it the thread does the same.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

async fn tick(shown: Arc<Shown>) {
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        let shown = Arc::clone(&shown);
        // A task of its own, so that a bug in it costs a second, and not all that follow.
        let _ = tokio::spawn(async move { shown.tick() }).await;
    }
}

async fn accept(listener: TcpListener, router: Router) {
    // This fails only outside of a runtime.
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => _ = tokio::spawn(serve(stream, router.clone(), place)),
                // It is only a courtesy: the connection closes in any case.
                Err(_) => _ = stream.try_write(BUSY),
            },
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, router: Router, _place: OwnedSemaphorePermit) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .keep_alive(false)
        .half_close(true)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Whatever goes wrong concerns the client alone.
    let _ = timeout(CONNECTION_DEADLINE, served).await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::super::watch::{Account, Expiry, Look, View};
    use super::*;
    use crate::ledger::Health;

    /// A central at which every look is a bug.
    struct Broken;

    impl View for Broken {
        fn look(&self) -> Look {
            panic!("a bug")
        }

        fn accounts(&self) -> Vec<Account> {
            panic!("a bug")
        }

        fn complaint(&self) -> Option<String> {
            panic!("a bug")
        }

        fn database(&self) -> Option<Health> {
            panic!("a bug")
        }

        fn expiries(&self) -> Vec<Expiry> {
            panic!("a bug")
        }
    }

    #[test]
    fn a_bug_in_an_answer_costs_that_answer_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let view: Arc<dyn View> = Arc::new(Broken);
        let watch = Arc::new(Watch::new(folder.path(), None));
        watch.serving(Arc::downgrade(&view));
        let _server = Server::start(listener, watch).unwrap();
        let ask = |path: &str| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8(answer).unwrap()
        };
        for path in ["/status.json", "/readyz", "/metrics"] {
            assert_eq!(ask(path), "", "{path}");
            assert!(ask("/healthz").starts_with("HTTP/1.1 200 "), "{path}");
        }
    }
}
