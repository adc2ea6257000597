//! What a running central shows of itself over HTTP: metrics, readiness, its state, and two pages. It has a thread of its own,
//! which reads what the central has counted and can neither slow nor stop it.
//!
//! The way of an answer: `http` (a connection, within its limits) → `routes` (what was asked for) → `scene` (what is there to
//! be shown now) → `metrics` or `report` (its form).

mod counts;
mod http;
mod metrics;
mod pages;
mod process;
mod recent;
mod report;
mod routes;
mod scene;
mod watch;

pub use counts::{Counts, STATES, Turned};
pub use http::{Server, THREAD, bind};
pub use report::{Acknowledgement, AgencyReport, Report};
pub use watch::{Account, Expiry, Look, Phase, View, Watch};
