//! The database: its pools of connections, and trying again what a broken connection left undone. `tables`, `read`
//! and `write` run their statements through it.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Pool, PoolError, QueueMode, TimeoutType, Timeouts};
use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connection::{Connection, Connector, Contact, Lease};
use super::deadline::Deadline;
use super::error::{Failure, Remedy};
use super::lookup::Lookups;
use super::options::PostgresOptions;
use super::pipeline::Pipelines;
use crate::store::access::Access;
use crate::store::error::ErrorKind;
use crate::store::message::{StoreOption, message};
use crate::store::statistics::Statistics;

/// How many connections write at once at most (ARCHITECTURE.md, "Connections").
const MAX_WRITERS: u32 = 4;

/// The first pause between two tries; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// What a try gets at least.
const SHORTEST_TRY: Duration = Duration::from_millis(100);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long `ready` waits for a server that was never reached: long enough for one that is just being started,
/// and short enough to tell a wrong address before anybody wonders.
const FIRST_CONTACT: Duration = Duration::from_secs(1);

/// See the module's description.
pub(super) struct Database {
    pub(super) options: PostgresOptions,
    writers: Pool<Connector>,
    /// The connections of the first that several transactions share.
    pub(super) pipelines: Pipelines,
    /// For pages, and for lookups as well where there is but one connection to read with.
    readers: Pool<Connector>,
    /// One connection that no page keeps busy, and what shares it.
    lookups: Option<(Pool<Connector>, Lookups)>,
    /// Every connection's task holds one of the first, so that the second ends when the last connection has ended.
    alive: RefCell<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
    /// How often the server has said that the tables are not what they were.
    schema_refusals: Cell<u64>,
    contact: watch::Receiver<Contact>,
    closing: watch::Sender<bool>,
    pub(super) statistics: Arc<Statistics>,
}

/// What a statement is run for: reads have connections of their own, so that a long one never delays a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Making the tables ready.
    Prepare,
    /// Writes. Those that are in the way of others, or have others in their way, must not keep the connection.
    Write,
    Read,
    /// Looking for what was written late, and removing it. It is beside the reads, since writes may never leave their connections,
    /// and must not keep its own any more than they.
    LateWrites,
    /// Removing what is over the caps, beside the reads as well.
    Trim,
    /// Loading sessions, beside the reads as well.
    Load,
}

impl Database {
    #[allow(clippy::expect_used)] // it fails only for a pool with time limits and no runtime, and there is one
    pub(super) fn new(options: PostgresOptions, statistics: Arc<Statistics>) -> Self {
        let (alive, ended) = mpsc::channel(1);
        let (contact, of_any) = watch::channel(Contact::Untried);
        let pool = |size: u32| {
            let connector = Connector::new(
                options.target.clone(),
                options.max_lifetime,
                contact.clone(),
                Arc::clone(&statistics),
                alive.downgrade(),
            );
            Pool::builder(connector)
                .max_size(size as usize)
                // The last used first, so that those not needed grow old and are closed.
                .queue_mode(QueueMode::Lifo)
                .runtime(deadpool::Runtime::Tokio1)
                .build()
                .expect("a pool has a runtime")
        };
        let writing = writers(options.max_connections);
        let reading = options.max_connections - writing;
        let looking_up = u32::from(reading > 1);
        Self {
            writers: pool(writing),
            pipelines: Pipelines::new(writing as usize),
            readers: pool(reading - looking_up),
            lookups: (looking_up > 0).then(|| (pool(looking_up), Lookups::default())),
            options,
            alive: RefCell::new(Some((alive, ended))),
            schema_refusals: Cell::new(0),
            contact: of_any,
            closing: watch::Sender::new(false),
            statistics,
        }
    }

    /// How many batches are committed at once.
    pub(super) fn writers(&self) -> usize {
        writers(self.options.max_connections) as usize
    }

    /// Comes back after a moment if no server was reached; never, if one was.
    pub(super) async fn never_reached(&self) -> Failure {
        sleep(FIRST_CONTACT).await;
        let mut contact = self.contact.clone();
        let tried = contact.wait_for(|contact| !matches!(contact, Contact::Untried)).await;
        if let Ok(Contact::Failed(failure)) = tried.as_deref() {
            return failure.clone();
        }
        drop(tried);
        pending().await
    }

    /// How often the server has said that the tables are not what they were.
    pub(super) fn schema_refusals(&self) -> u64 {
        self.schema_refusals.get()
    }

    /// When what begins now must be done.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.options.query_timeout
    }

    /// Runs `work` on a connection until it is done, fails for good, or the deadline is over; once at least. `work` must
    /// do no harm when it runs again after a try of which nobody knows how it ended.
    pub(super) async fn run<R>(
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
    pub(super) async fn run_in_parts<R>(
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
    pub(super) async fn run_pipelined<R>(
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
    pub(super) async fn run_lookup<R>(
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
    pub(super) async fn run_unlimited<R>(
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
    pub(super) async fn run_until_closing<R>(
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

    /// Ends what runs until the store is to be closed.
    pub(super) fn begin_closing(&self) {
        self.closing.send_replace(true);
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

    fn connection(&self, purpose: Purpose) -> LocalBoxFuture<'_, Result<Lease, Failure>> {
        self.connection_of(match purpose {
            // Nobody writes, and what is read next has the connection at hand.
            Purpose::Prepare if self.options.access == Access::Read => &self.readers,
            Purpose::Prepare | Purpose::Write => &self.writers,
            Purpose::Read | Purpose::LateWrites | Purpose::Trim | Purpose::Load => &self.readers,
        })
    }

    /// Takes a connection from a pool, or makes one. Boxed, since it is large, and a part of all that may have to connect.
    fn connection_of<'a>(&'a self, pool: &'a Pool<Connector>) -> LocalBoxFuture<'a, Result<Lease, Failure>> {
        let timeouts = Timeouts {
            wait: Some(self.options.acquire_timeout),
            ..Timeouts::default()
        };
        Box::pin(async move {
            let waiting = self.statistics.connections.waiting.hold();
            let taken = pool.timeout_get(&timeouts).await;
            drop(waiting);
            let lease = |connection| Lease::new(connection, &self.statistics);
            taken.map(lease).map_err(|error| match error {
                PoolError::Backend(failure) => failure,
                PoolError::Timeout(TimeoutType::Wait) => Failure::new(
                    Remedy::None,
                    ErrorKind::Timeout,
                    message![
                        "all connections were in use for longer than ",
                        StoreOption::AcquireTimeout,
                        "; raise ",
                        StoreOption::MaxConnections,
                    ],
                ),
                _ => Failure::new(Remedy::None, ErrorKind::Closed, "the driver is being closed"),
            })
        })
    }

    /// What came of work on a connection, and what that says about the connection, and about others.
    fn judged<R>(&self, connection: &Connection, result: Result<R, Failure>) -> Result<R, Failure> {
        let result = result.and_then(|done| connection.check_replication().map(|()| done));
        if let Err(failure) = &result {
            if failure.kind == ErrorKind::Schema {
                self.schema_refusals.set(self.schema_refusals.get() + 1);
            }
            if failure.kind == ErrorKind::Readonly {
                // The others lead to the same server, which is no longer the one that takes writes.
                self.distrust_connections();
            }
            if failure.remedy == Remedy::Reconnect {
                self.statistics.connections.broke();
                connection.retire();
            }
        }
        result
    }

    fn pools(&self) -> impl Iterator<Item = &Pool<Connector>> {
        let lookups = self.lookups.iter().map(|(pool, _)| pool);
        [&self.writers, &self.readers].into_iter().chain(lookups)
    }

    /// What made one connection useless may have made all of them so: those that nobody uses now are not used again.
    fn distrust_connections(&self) {
        for pool in self.pools() {
            pool.manager().distrust();
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

    /// Closes connections that nobody has used for `idleTimeoutMs`, or that are too old, for as long as it runs.
    pub(super) async fn close_idle_connections(self: Rc<Self>) {
        let limits = [self.options.idle_timeout, self.options.max_lifetime];
        let Some(shortest) = limits.into_iter().flatten().min() else {
            return;
        };
        loop {
            sleep((shortest / 2).max(Duration::from_millis(10))).await;
            for pool in self.pools() {
                pool.retain(|connection: &Connection, metrics| {
                    if connection.is_closed() {
                        self.statistics.connections.broke();
                    }
                    connection.is_usable() && self.options.idle_timeout.is_none_or(|idle| metrics.last_used() < idle)
                });
            }
        }
    }

    /// Closes all connections, and waits a little until the server has been told.
    pub(super) async fn close(&self, at_most: Duration) {
        for pool in self.pools() {
            pool.close();
        }
        if let Some((alive, mut ended)) = self.alive.take() {
            drop(alive);
            let _ = timeout(at_most, ended.recv()).await;
        }
    }
}

fn writers(max_connections: u32) -> u32 {
    (max_connections / 2).clamp(1, MAX_WRITERS)
}

/// Waits for a connection until the deadline, or a little longer.
async fn within<C>(deadline: Instant, connection: impl Future<Output = Result<C, Failure>>) -> Result<C, Failure> {
    let latest = deadline.max(Instant::now() + SHORTEST_TRY);
    timeout_at(latest, connection)
        .await
        .unwrap_or_else(|_| Err(Failure::not_connected()))
}
