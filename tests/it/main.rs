//! Black-box tests: the command line, the files, the protocol, the log, and how processes end. One binary, so that it
//! links once; each topic is a module, and `cargo test --test it crash` runs one of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agency_keys;
mod architecture;
mod audit;
mod backup;
mod board;
mod chain;
mod cli;
mod common;
mod completions;
mod compose;
mod config;
mod crash;
mod cut;
mod damage;
mod demo;
mod dialect;
mod draw;
mod follow;
mod framing;
mod full_disk;
mod gen_data;
mod json;
mod keys;
mod keys_interrupted;
mod keys_openssl;
#[cfg(target_os = "linux")]
mod linux;
mod load;
mod log;
mod log_json;
mod lottery;
mod observe;
mod output;
#[cfg(target_os = "linux")]
mod peers;
mod protocol_doc;
mod readiness;
mod readme;
mod recover;
mod rules;
mod scripts;
mod seal;
mod service;
mod status;
mod stop;
mod ticket_page;
mod tls_flood;
mod tls_hostile;
mod tls_interop;
mod tls_matrix;
mod tls_reload;
mod tls_start;
mod wire;
mod words;
