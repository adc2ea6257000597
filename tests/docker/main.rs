//! The eight exercises in real containers, judged by what a grader sees: `docker compose logs -f`, exit codes, files. And the
//! Debian package.
//!
//! They take the exercises' own names and network, so they run one after another, and only when they are asked for:
//! `make test-docker`.
#![allow(clippy::unwrap_used)]

mod deb;
mod draw;
mod echo;
mod image;
mod log;
mod lottery;
mod shared;
mod stage;
mod stop;
mod tls;
