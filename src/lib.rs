//! quiniela: a national lottery in one binary.
pub mod config;
pub mod domain;
pub mod error;
pub mod ledger;
pub mod logging;
pub mod server;
pub mod signals;
pub mod wire;
