//! The database: its pools of connections. `tables`, `read` and `write` run their statements through it, as [`attempts`] says.

mod attempts;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Pool, PoolError, QueueMode, TimeoutType, Timeouts};
use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::connection::{Connection, Connector, Contact, Lease};
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

    /// Ends what runs until the store is to be closed.
    pub(super) fn begin_closing(&self) {
        self.closing.send_replace(true);
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
