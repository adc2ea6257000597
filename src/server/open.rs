//! The connections that are open: how many, from which addresses, and how much memory the central holds for their peers.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connection::Connection;
use super::kept::Blocks;
use crate::config::ServerConfig;

/// Connections that one address may have if no flag says it, however few there may be in all.
const MIN_PER_ADDRESS: usize = 64;
/// A peer that has kept memory for longer than this weighs no more than one that has kept it for this long.
const LONG_HELD: Duration = Duration::from_secs(1);
/// At the limit this part of the memory is freed at once, so that the holders are sorted once for many that close.
const FREED_PART: usize = 16;

/// See the module.
pub struct Open {
    max_connections: usize,
    max_per_address: usize,
    max_memory: usize,
    pub blocks: Blocks,
    places: Mutex<Places>,
    memory: Mutex<Memory>,
    /// Held by the worker that frees memory. Others that are at the limit wait for it, so that they do not add to it.
    freeing: Mutex<()>,
}

#[derive(Default)]
struct Places {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Default)]
struct Memory {
    /// Bytes held for all peers.
    bytes: usize,
    /// The connections that hold any, each by its address in memory.
    holders: HashMap<usize, Holder>,
}

struct Holder {
    connection: Arc<Connection>,
    bytes: usize,
    /// Since when only the peer, or the draw, can free that memory. None while the peer waits for the central.
    since: Option<Instant>,
}

impl Open {
    pub fn new(config: &ServerConfig) -> Open {
        let per_address = config.max_per_address.unwrap_or((config.max_connections / 4).max(MIN_PER_ADDRESS));
        Open {
            max_connections: config.max_connections,
            max_per_address: per_address.min(config.max_connections),
            max_memory: config.peer_memory,
            blocks: Blocks::default(),
            places: Mutex::default(),
            memory: Mutex::default(),
            freeing: Mutex::new(()),
        }
    }

    /// Takes a place for a new connection, or says why there is none.
    pub fn add(&self, address: IpAddr) -> Result<(), String> {
        let mut places = self.places.lock();
        if places.count >= self.max_connections {
            return Err(format!("{} connections are open; try again later", self.max_connections));
        }
        let here = places.by_address.entry(address).or_default();
        if *here >= self.max_per_address {
            return Err(format!("{here} connections are open from {address}; try again later"));
        }
        *here += 1;
        places.count += 1;
        Ok(())
    }

    /// Gives a place back.
    pub fn remove(&self, address: IpAddr) {
        let mut places = self.places.lock();
        places.count -= 1;
        if let Some(here) = places.by_address.get_mut(&address) {
            *here -= 1;
            if *here == 0 {
                places.by_address.remove(&address);
            }
        }
    }

    pub fn count(&self) -> usize {
        self.places.lock().count
    }

    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Bytes held for all peers.
    pub fn held(&self) -> usize {
        self.memory.lock().bytes
    }

    /// Notes how much is held for a connection's peer. Only who has the connection's session may say so. True if too much
    /// is held for all peers together: [`Open::free`] has to follow.
    pub fn hold(&self, connection: &Arc<Connection>, bytes: usize, waits_for_peer: bool) -> bool {
        let mut memory = self.memory.lock();
        let key = Arc::as_ptr(connection).addr();
        let before = memory.holders.remove(&key);
        memory.bytes -= before.as_ref().map_or(0, |before| before.bytes);
        if bytes > 0 {
            let since = before.and_then(|before| before.since);
            let since = waits_for_peer.then(|| since.unwrap_or_else(Instant::now));
            memory.holders.insert(key, Holder { connection: Arc::clone(connection), bytes, since });
            memory.bytes += bytes;
        }
        memory.bytes > self.max_memory
    }

    /// Has connections closed, those first that hold most for longest, until what is left is well within the limit.
    /// `close` tells whether it could close one.
    pub fn free(&self, mut close: impl FnMut(&Arc<Connection>) -> bool) {
        let _freeing = self.freeing.lock();
        let (mut excess, mut holders) = {
            let memory = self.memory.lock();
            if memory.bytes <= self.max_memory {
                return;
            }
            let now = Instant::now();
            let weighed = |holder: &Holder| (holder.weight(now), holder.bytes, Arc::clone(&holder.connection));
            let excess = memory.bytes - (self.max_memory - self.max_memory / FREED_PART);
            (excess, memory.holders.values().map(weighed).collect::<Vec<_>>())
        };
        holders.sort_unstable_by_key(|(weight, ..)| Reverse(*weight));
        for (_, bytes, connection) in holders {
            if excess == 0 {
                return;
            }
            if close(&connection) {
                excess = excess.saturating_sub(bytes);
            }
        }
    }
}

impl Holder {
    /// Memory held for a short time, or while the peer waits for the central, weighs little: a busy agency is no load.
    fn weight(&self, now: Instant) -> u128 {
        let held_for = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since).min(LONG_HELD));
        self.bytes as u128 * (1 + held_for.as_millis())
    }
}
