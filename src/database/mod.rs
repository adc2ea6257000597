//! Connections to PostgreSQL: the only room that knows its driver. The driver's runtime has a thread of its own, and whoever
//! calls this room waits as for any other work. It knows the tables of a shared ledger, and decides nothing about bets.

/// The parameters of a statement, each with the type that its place in the statement has.
macro_rules! params {
    ($($value:expr),* $(,)?) => {{
        let params: $crate::database::Params = vec![$(Box::new($value)),*];
        params
    }};
}

mod failure;
mod follower;
mod hosts;
pub mod numbers;
pub mod reading;
mod runtime;
pub mod schema;
mod session;
mod tls;
mod url;

pub use failure::Failure;
pub use follower::Follower;
pub use hosts::{Hosts, Tell, Warning, pause};
pub(crate) use params;
pub use session::{Answer, Ask, Params, Row, Session, Statement, column};
pub use url::{Url, is_url, masked};
