//! The program from outside: its command line, its files, its wire, its log, and how it ends. One binary, so that it links
//! once; each topic is a module, and `cargo test --test it crash` runs one of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod architecture;
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
mod framing;
mod gen_data;
mod log;
mod lottery;
mod output;
mod protocol_doc;
mod readme;
mod scripts;
mod stop;
mod wire;
