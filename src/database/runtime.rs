//! The driver's runtime, on a thread of its own. Others hand it futures and wait for the results.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// See the module. Its thread ends when it is dropped, and waits for no server.
pub struct Runtime {
    handle: Handle,
    /// The moment at which everything has to end, once the program stops.
    end: watch::Sender<Option<Instant>>,
    _alive: oneshot::Sender<()>,
}

impl Runtime {
    pub fn start() -> io::Result<Runtime> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (alive, dropped) = oneshot::channel::<()>();
        thread::Builder::new().name("database".to_owned()).spawn(move || {
            let _ = runtime.block_on(dropped);
            // A name that is being resolved is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Runtime { handle, end: watch::Sender::new(None), _alive: alive })
    }

    /// Lets no wait last longer than this from now on.
    pub fn hurry(&self, limit: Duration) {
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert(Instant::now() + limit);
            is_first
        });
    }

    /// Waits for a future, for so long at most. None if it took longer: then it is dropped.
    pub fn wait<T: Send + 'static>(
        &self,
        limit: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, result) = crossbeam_channel::bounded(1);
        let mut end = self.end.subscribe();
        self.handle.spawn(async move {
            let hurried = async move {
                let end = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
                tokio::time::sleep_until(end.unwrap_or_else(Instant::now)).await;
            };
            let limited = tokio::time::timeout(limit, future);
            let ended = match select(pin!(limited), pin!(hurried)).await {
                Either::Left((ended, _)) => ended.ok(),
                Either::Right(_) => None,
            };
            // Nobody listens any more if the program ends.
            let _ = done.send(ended);
        });
        result.recv().ok().flatten()
    }

    /// Runs a future beside all others, until it ends or is stopped.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(future).abort_handle()
    }
}
