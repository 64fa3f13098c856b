//! Work on a connection of the database, tried again until it is done, fails for good, or its time is over. All that sends
//! statements calls it.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Database, Purpose};
use crate::store::error::ErrorKind;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::deadline::Deadline;
use crate::store::postgres::error::{Failure, Remedy};

/// The first pause between two tries; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// What a try gets at least.
const SHORTEST_TRY: Duration = Duration::from_millis(100);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Database {
    /// Runs `work` on a connection until it is done, fails for good, or the deadline is over; once at least. `work` must
    /// do no harm when it runs again after a try of which nobody knows how it ended.
    pub(in crate::store::postgres) async fn run<R>(
        &self,
        purpose: Purpose,
        deadline: Instant,
        mut work: impl AsyncFnMut(&Connection) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        self.run_in_parts(purpose, deadline, async |connection, _| work(connection).await)
            .await
    }

    /// The same for work of many statements. It renews the deadline whenever the server has answered one, and so goes on for
    /// as long as the server does.
    pub(in crate::store::postgres) async fn run_in_parts<R>(
        &self,
        purpose: Purpose,
        deadline: Instant,
        mut work: impl AsyncFnMut(&Connection, &Deadline) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let deadline = Deadline::new(deadline, self.options.query_timeout);
        self.until_done(purpose, &deadline, async || {
            let connection = within(deadline.at(), self.connection(purpose)).await?;
            let result = self.attempt(&connection, &deadline, work(&connection, &deadline)).await;
            connection.release();
            result
        })
        .await
    }

    /// The same for a transaction that is sent in one piece, on a connection on which others may be under way.
    pub(in crate::store::postgres) async fn run_pipelined<R>(
        &self,
        deadline: Instant,
        mut work: impl AsyncFnMut(&Connection) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let deadline = Deadline::new(deadline, self.options.query_timeout);
        self.until_done(Purpose::Write, &deadline, async || {
            let entry = self.pipelines.enter();
            let shared = entry.connection();
            let connection = within(deadline.at(), shared.get(|| self.connection(Purpose::Write))).await?;
            self.attempt(connection, &deadline, entry.timed(connection, work(connection)))
                .await
        })
        .await
    }

    /// The same for a read of one row, beside others on its connection.
    pub(in crate::store::postgres) async fn run_lookup<R>(
        &self,
        deadline: Instant,
        mut work: impl AsyncFnMut(&Connection) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let Some((pool, lookups)) = &self.lookups else {
            return self.run(Purpose::Read, deadline, work).await;
        };
        let deadline = Deadline::new(deadline, self.options.query_timeout);
        self.until_done(Purpose::Read, &deadline, async || {
            let shared = lookups.enter();
            let connection = within(deadline.at(), shared.get(|| self.connection_of(pool))).await?;
            self.attempt(connection, &deadline, work(connection)).await
        })
        .await
    }

    /// The same as [`Self::run`] without a limit on how long a try may take. Once one has failed, others begin for
    /// the query timeout.
    pub(in crate::store::postgres) async fn run_unlimited<R>(
        &self,
        purpose: Purpose,
        mut work: impl AsyncFnMut(&Connection) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let deadline = Deadline::unset(self.options.query_timeout);
        self.until_done(purpose, &deadline, async || {
            let connection = self.connection(purpose).await?;
            let result = self.judged(&connection, work(&connection).await);
            connection.release();
            result
        })
        .await
    }

    /// The same for work of which nobody needs the rest once the store is to be closed.
    pub(in crate::store::postgres) async fn run_until_closing<R>(
        &self,
        purpose: Purpose,
        mut work: impl AsyncFnMut(&Connection) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        self.run_unlimited(purpose, async |connection| {
            let mut closing = self.closing.subscribe();
            tokio::select! {
                done = work(connection) => done,
                _ = closing.wait_for(|closing| *closing) => {
                    connection.abandon();
                    Err(Failure::new(Remedy::None, ErrorKind::Closed, "the driver is being closed"))
                }
            }
        })
        .await
    }

    /// Tries until it is done, fails for good, or the deadline is over. One that is not set begins with the first failure.
    async fn until_done<R>(
        &self,
        purpose: Purpose,
        deadline: &Deadline,
        mut attempt: impl AsyncFnMut() -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let mut pause = Duration::ZERO;
        let mut said: Option<Failure> = None;
        loop {
            let failure = match (attempt().await, said.take()) {
                (Ok(result), _) => return Ok(result),
                (Err(failure), _) if self.is_final(&failure, purpose) => return Err(failure),
                // Why an earlier try failed says more than that this one had no time left.
                (Err(failure), Some(earlier)) if failure.is_not_connected() => earlier,
                (Err(failure), _) => failure,
            };
            if Instant::now() + pause + FIRST_PAUSE >= deadline.at() {
                return Err(failure);
            }
            self.statistics.retried(failure.kind, failure.advice());
            said = Some(failure);
            sleep(pause).await;
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        }
    }

    /// One try, of which each gets half of what is left, so that a connection that went silent leaves time for another.
    async fn attempt<R>(
        &self,
        connection: &Connection,
        deadline: &Deadline,
        work: impl Future<Output = Result<R, Failure>>,
    ) -> Result<R, Failure> {
        let mut work = pin!(work);
        loop {
            let until = deadline.at();
            let half = until.saturating_duration_since(Instant::now()) / 2;
            match timeout(half.max(SHORTEST_TRY), &mut work).await {
                Ok(result) => return self.judged(connection, result),
                // The server has answered a part since.
                Err(_) if deadline.at() != until => {}
                Err(_) => {
                    self.statistics.connections.broke();
                    connection.abandon();
                    self.distrust_connections();
                    return Err(Failure::silent());
                }
            }
        }
    }

    /// Whether another try cannot help.
    fn is_final(&self, failure: &Failure, purpose: Purpose) -> bool {
        match failure.remedy {
            Remedy::None | Remedy::AnotherPlace => true,
            Remedy::Retry => false,
            Remedy::AnotherTime => matches!(
                purpose,
                Purpose::Write | Purpose::LateWrites | Purpose::Trim | Purpose::Load
            ),
            // A server that only reads stays as it is, unless there may be another.
            Remedy::Reconnect => {
                failure.kind == ErrorKind::Readonly
                    && !self.options.target.needs_writable
                    && self.options.target.hosts.len() == 1
            }
        }
    }
}

/// Waits for a connection until the deadline, or a little longer.
async fn within<C>(deadline: Instant, connection: impl Future<Output = Result<C, Failure>>) -> Result<C, Failure> {
    let latest = deadline.max(Instant::now() + SHORTEST_TRY);
    timeout_at(latest, connection)
        .await
        .unwrap_or_else(|_| Err(Failure::not_connected()))
}
