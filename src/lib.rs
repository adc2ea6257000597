//! quiniela: a national lottery in one binary.
pub mod agency;
pub mod compose;
pub mod config;
pub mod domain;
pub mod echo_check;
pub mod error;
pub mod ledger;
pub mod logging;
pub mod server;
pub mod signals;
pub mod wire;
