//! One connection to one server, as others use it: they ask, wait, and get rows or a failure.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Connection, Error};

use super::failure::Failure;
use super::follower::Follower;
use super::runtime::Runtime;

pub use tokio_postgres::{Row, Statement};

pub type Params = Vec<Box<dyn ToSql + Send + Sync>>;

/// Something to ask of a server.
pub enum Ask {
    /// Without parameters and rows.
    Plain(&'static str),
    Rows(Statement, Params),
    /// Only the number of rows that it changes matters.
    Count(Statement, Params),
}

pub enum Answer {
    Done,
    Rows(Vec<Row>),
    Count(u64),
}

/// How a server's standby fares, as far as the role may see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standby {
    /// `synchronous_standby_names`: empty if commits wait for no other machine.
    pub names: String,
    pub followers: Vec<Follower>,
}

/// See the module. When it is dropped its connection is closed, and nothing that it has begun is cancelled.
pub struct Session {
    runtime: Arc<Runtime>,
    client: Arc<Client>,
    /// The server, for messages.
    pub host: String,
    /// Its place among all.
    pub(super) place: usize,
    notices: Arc<Notices>,
    driver: AbortHandle,
}

/// What the server has said without being asked.
#[derive(Default)]
struct Notices(Mutex<(u64, String)>);

impl Session {
    /// Takes over a connection that is logged in.
    pub(super) fn new<S, T>(
        runtime: &Arc<Runtime>,
        client: Client,
        mut connection: Connection<S, T>,
        host: String,
        place: usize,
    ) -> Session
    where
        Connection<S, T>: Unpin + Send + 'static,
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let notices = Arc::<Notices>::default();
        let heard = Arc::clone(&notices);
        let driver = runtime.spawn(async move {
            // A notice is noted before the answer behind it is given to whoever waits for that.
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message {
                    *heard.0.lock() = (heard.count() + 1, notice.message().to_owned());
                }
            }
        });
        Session { runtime: Arc::clone(runtime), client: Arc::new(client), host, place, notices, driver }
    }

    pub fn prepare(&self, statements: &[&'static str], limit: Duration) -> Result<Vec<Statement>, Failure> {
        let (client, statements) = (Arc::clone(&self.client), statements.to_vec());
        let prepared = self
            .wait(limit, async move { join_all(statements.iter().map(|statement| client.prepare(statement))).await })?;
        prepared.into_iter().map(|one| one.map_err(|error| self.failure(&error))).collect()
    }

    /// Asks everything in one round trip. The failure is that of the first which fails.
    pub fn ask(&self, asks: Vec<Ask>, limit: Duration) -> Result<Vec<Answer>, Failure> {
        let client = Arc::clone(&self.client);
        let answers = self.wait(limit, async move {
            // Each is sent when it is first polled, which is in order.
            join_all(asks.iter().map(|ask| answer(&client, ask))).await
        })?;
        answers.into_iter().map(|one| one.map_err(|error| self.failure(&error))).collect()
    }

    pub fn run(&self, text: &'static str, limit: Duration) -> Result<(), Failure> {
        self.ask(vec![Ask::Plain(text)], limit).map(|_| ())
    }

    pub fn run_text(&self, text: String, limit: Duration) -> Result<(), Failure> {
        let client = Arc::clone(&self.client);
        let ran = self.wait(limit, async move { client.batch_execute(&text).await })?;
        ran.map_err(|error| self.failure(&error))
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks something that is asked too seldom to be prepared before.
    pub fn rows(&self, text: &'static str, params: Params, limit: Duration) -> Result<Vec<Row>, Failure> {
        let client = Arc::clone(&self.client);
        let answered = self.wait(limit, async move { client.query(text, &references(&params)).await })?;
        answered.map_err(|error| self.failure(&error))
    }

    /// Commits. If the server says anything meanwhile, nobody can tell what became of it: a commit whose wait for the standby
    /// was ended is reported as done, with a warning.
    pub fn commit(&self, limit: Duration) -> Result<(), Failure> {
        let before = self.notices.count();
        self.run("COMMIT", limit)?;
        match &*self.notices.0.lock() {
            (count, _) if *count == before => Ok(()),
            (_, notice) => Err(Failure::Away(format!("{}: while it committed: {notice}", self.host))),
        }
    }

    /// The standby's state.
    pub fn standby(&self, limit: Duration) -> Result<Standby, Failure> {
        let rows = self.rows(
            "SELECT current_setting('synchronous_standby_names'), application_name::text, state::text, sync_state::text, \
             pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint \
             FROM (SELECT 1) one LEFT JOIN pg_stat_replication ON true",
            Params::new(),
            limit,
        )?;
        let mut standby = Standby::default();
        for row in rows {
            standby.names = column(&row, 0)?;
            // Nobody follows, and the row is of the setting alone.
            let Some(name) = column(&row, 1)? else { continue };
            let behind: Option<i64> = column(&row, 4)?;
            standby.followers.push(Follower {
                name,
                state: column(&row, 2)?,
                sync_state: column(&row, 3)?,
                // What is ahead of the setting's own reading is not behind.
                behind: behind.map(|bytes| u64::try_from(bytes).unwrap_or_default()),
            });
        }
        Ok(standby)
    }

    fn wait<T: Send + 'static>(
        &self,
        limit: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let late = || Failure::Away(format!("{}: no answer within {}", self.host, humantime::format_duration(limit)));
        self.runtime.wait(limit, future).ok_or_else(late)
    }

    fn failure(&self, error: &Error) -> Failure {
        Failure::of(&self.host, error)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Notices {
    fn count(&self) -> u64 {
        self.0.lock().0
    }
}

impl Answer {
    pub fn rows(self) -> Vec<Row> {
        if let Answer::Rows(rows) = self { rows } else { Vec::new() }
    }
}

/// A column of a row. Another type than it has to be means that the schema is another.
pub fn column<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, place: usize) -> Result<T, Failure> {
    row.try_get(place).map_err(|error| Failure::Misfit(format!("the schema is another: {error}")))
}

fn answer<'a>(client: &'a Client, ask: &'a Ask) -> Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>> {
    Box::pin(async move {
        Ok(match ask {
            Ask::Plain(text) => {
                client.batch_execute(text).await?;
                Answer::Done
            }
            Ask::Rows(statement, params) => Answer::Rows(client.query(statement, &references(params)).await?),
            Ask::Count(statement, params) => Answer::Count(client.execute(statement, &references(params)).await?),
        })
    })
}

fn references(params: &Params) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect()
}
