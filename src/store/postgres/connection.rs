//! Connections: how one is made, whether it may still be used, and how it is given up. `database` keeps them in pools.

use std::borrow::Cow;
use std::cell::Cell;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, Object, RecycleError, RecycleResult};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{timeout, timeout_at};
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client};

use super::error::{self, Failure, Remedy};
use super::login::tls::TlsConnector;
use super::login::{HostOrder, HostTarget, Target};
use crate::store::error::ErrorKind;
use crate::store::statistics::{Held, Statistics};

/// After so long without use a connection is asked whether it still lives, since whatever stands between us and the
/// server may have forgotten it without a word.
const TRUSTED_FOR: Duration = Duration::from_secs(5);

/// How long it has to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// A connection that somebody uses, or that waits in a pool.
///
/// Dropped, it says goodbye to the server. One that may still be busy must be given up with [`Connection::abandon`].
pub(super) struct Connection {
    client: Client,
    tls: TlsConnector,
    /// The task that reads and writes the socket.
    socket: AbortHandle,
    /// When it is to be replaced.
    expires: Option<Instant>,
    /// Whether rows are still to come that nobody takes.
    unread: Cell<bool>,
    /// Whether it is to be closed when it is no longer used.
    retired: Cell<bool>,
    /// Whether it was given up, and the server told.
    abandoned: Cell<bool>,
    /// Whether a transaction was committed here without its standby.
    unreplicated: Arc<AtomicBool>,
    /// See [`Connector::alive`].
    alive: mpsc::WeakSender<()>,
    _open: Held,
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Connection {
    pub(super) fn is_usable(&self) -> bool {
        !self.client.is_closed()
            && !self.retired.get()
            && !self.unreplicated.load(Ordering::Relaxed)
            && self.expires.is_none_or(|expires| Instant::now() < expires)
    }

    /// Notes that the rest of a result is not wanted. Whoever used the connection next would have to wait for all of it.
    pub(super) fn leave_unread(&self) {
        self.unread.set(true);
    }

    /// Lets nobody use it after those who do now.
    pub(super) fn retire(&self) {
        self.retired.set(true);
    }

    /// Fails when something that the server has answered is not as safe as it was to be: a cancel that arrives while a
    /// transaction waits for a synchronous standby ends only the wait. The server then answers as ever, and warns.
    pub(super) fn check_replication(&self) -> Result<(), Failure> {
        if self.unreplicated.load(Ordering::Relaxed) {
            return Err(Failure::unreplicated());
        }
        Ok(())
    }

    /// Closes the socket, whatever is on its way, and asks the server to stop working on it.
    pub(super) fn abandon(&self) {
        self.retire();
        self.socket.abort();
        // Many may share it, and give it up in the same moment: one tells the server for all.
        if !self.abandoned.replace(true) && !self.client.is_closed() {
            let (cancel, tls) = (self.client.cancel_token(), self.tls.clone());
            // A driver that is closed waits for it a little.
            let alive = self.alive.upgrade();
            tokio::spawn(async move {
                // The server may be out of reach, and gives no answer anyway.
                let _ = timeout(ANSWERS_WITHIN, cancel.cancel_query(tls)).await;
                drop(alive);
            });
        }
    }
}

/// A connection that was taken from its pool, and counts as in use until it goes back.
pub(super) struct Lease {
    connection: Object<Connector>,
    _busy: Held,
}

impl Lease {
    pub(super) fn new(connection: Object<Connector>, statistics: &Statistics) -> Self {
        Self {
            connection,
            _busy: statistics.connections.busy.hold(),
        }
    }

    /// Gives the connection back to its pool, or closes it if it is of no use any more.
    pub(super) fn release(self) {
        if self.connection.unread.get() {
            self.connection.abandon();
        }
        if !self.connection.is_usable() {
            drop(Object::take(self.connection));
        }
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// Whether a server of a driver was ever reached.
#[derive(Debug, Clone)]
pub(super) enum Contact {
    /// Nobody has tried yet, or the try goes on.
    Untried,
    /// None was, at the last try for this reason.
    Failed(Failure),
    /// One answered, if only to refuse.
    Made,
}

/// Makes connections for a pool.
pub(super) struct Connector {
    target: Target,
    contact: watch::Sender<Contact>,
    max_lifetime: Option<Duration>,
    /// Connections that were used last before this time are not used again.
    distrusted: Mutex<Option<Instant>>,
    statistics: Arc<Statistics>,
    /// Every connection's task holds a strong one until it ends.
    alive: mpsc::WeakSender<()>,
}

impl Connector {
    pub(super) fn new(
        target: Target,
        max_lifetime: Option<Duration>,
        contact: watch::Sender<Contact>,
        statistics: Arc<Statistics>,
        alive: mpsc::WeakSender<()>,
    ) -> Self {
        Self {
            target,
            contact,
            max_lifetime,
            distrusted: Mutex::new(None),
            statistics,
            alive,
        }
    }

    /// Lets nobody use again what waits in the pool now.
    pub(super) fn distrust(&self) {
        *self.distrusted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn trusts(&self, metrics: &Metrics) -> bool {
        let distrusted = *self.distrusted.lock().unwrap_or_else(PoisonError::into_inner);
        let last_used = metrics.recycled.unwrap_or(metrics.created);
        distrusted.is_none_or(|distrusted| last_used > distrusted)
    }

    /// Tries the hosts one after another.
    async fn connect(&self) -> Result<Connection, Failure> {
        let _connecting = self.statistics.connections.connecting.hold();
        let connect_timeout = self.target.connect_timeout;
        // The first host has what asking for the password leaves.
        let mut deadline = tokio::time::Instant::now() + connect_timeout;
        let password = match &self.target.password_source {
            None => None,
            Some(source) => {
                let asked = timeout_at(deadline, source.ask()).await;
                let told = asked.map_err(|_| Failure::password_late())?;
                Some(told.map_err(Failure::of_password)?)
            }
        };
        let mut hosts: Vec<&HostTarget> = self.target.hosts.iter().collect();
        if self.target.order == HostOrder::Random {
            hosts.sort_by_cached_key(|_| random());
        }
        let mut failed: Option<Failure> = None;
        for host in hosts {
            match self.connect_to(host, password.as_deref(), deadline).await {
                Ok(connection) => return Ok(connection),
                // What another try may mend is the better answer: then there is one.
                Err(failure) if failed.as_ref().is_none_or(|failed| failed.remedy == Remedy::None) => {
                    failed = Some(failure);
                }
                Err(_) => {}
            }
            deadline = tokio::time::Instant::now() + connect_timeout;
        }
        Err(failed.unwrap_or_else(|| Failure::new(Remedy::None, ErrorKind::Unavailable, "no host is named")))
    }

    async fn connect_to(
        &self,
        host: &HostTarget,
        password: Option<&str>,
        deadline: tokio::time::Instant,
    ) -> Result<Connection, Failure> {
        let mut config = Cow::Borrowed(&host.config);
        if let Some(password) = password {
            config.to_mut().password(password);
        }
        // Boxed, since it is large, and a part of everything that may have to connect.
        let connecting = Box::pin(config.connect(host.tls.clone()));
        let connected = timeout_at(deadline, connecting).await;
        let (answered, connected) = match connected {
            Ok(Ok(connected)) => (true, Ok(connected)),
            Ok(Err(error)) => (error::is_an_answer(&error), Err(Failure::of_connecting(&error, host))),
            Err(_) => (false, Err(Failure::unreachable(&host.name))),
        };
        self.contact.send_if_modified(|contact| {
            if matches!(contact, Contact::Made) {
                return false;
            }
            *contact = match &connected {
                Err(failure) if !answered => Contact::Failed(failure.clone()),
                _ => Contact::Made,
            };
            true
        });
        let (client, mut connection) = connected?;
        let alive = self.alive.upgrade();
        let unreplicated = Arc::new(AtomicBool::new(false));
        let warned = Arc::clone(&unreplicated);
        let socket = tokio::spawn(async move {
            // A connection that breaks fails the call that uses it, or is found closed before the next one. A warning comes
            // before the answer that it belongs to.
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = message
                    && ends_wait_for_standby(&notice)
                {
                    warned.store(true, Ordering::Relaxed);
                }
            }
            drop(alive);
        });
        Ok(Connection {
            client,
            tls: host.tls.clone(),
            socket: socket.abort_handle(),
            expires: self.max_lifetime.map(|lifetime| Instant::now() + jittered(lifetime)),
            unread: Cell::new(false),
            retired: Cell::new(false),
            abandoned: Cell::new(false),
            unreplicated,
            alive: self.alive.clone(),
            _open: self.statistics.connections.open.hold(),
        })
    }
}

impl Manager for Connector {
    type Type = Connection;
    type Error = Failure;

    async fn create(&self) -> Result<Connection, Failure> {
        let connection = self.connect().await?;
        self.statistics.connected();
        Ok(connection)
    }

    async fn recycle(&self, connection: &mut Connection, metrics: &Metrics) -> RecycleResult<Failure> {
        let discard = || Err(RecycleError::message("it is closed, too old, or silent"));
        let broke = || self.statistics.connections.broke();
        if !connection.is_usable() {
            if connection.client.is_closed() {
                broke();
            }
            return discard();
        }
        if !self.trusts(metrics) {
            connection.socket.abort();
            return discard();
        }
        if metrics.last_used() < TRUSTED_FOR {
            return Ok(());
        }
        match timeout(ANSWERS_WITHIN, connection.client.simple_query("")).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => {
                broke();
                discard()
            }
            Err(_) => {
                broke();
                connection.socket.abort();
                self.distrust();
                discard()
            }
        }
    }
}

/// Whether the server says that a transaction has not waited for its standby to the end. Its words depend on the server's
/// language, and where in its source they stand does not.
fn ends_wait_for_standby(notice: &DbError) -> bool {
    notice.routine() == Some("SyncRepWaitForLSN")
}

/// Up to a tenth less, so that connections which were made together do not end together.
fn jittered(lifetime: Duration) -> Duration {
    let [byte, ..] = random().to_ne_bytes();
    lifetime.saturating_sub(lifetime / 10 * u32::from(byte) / 255)
}

/// A random number of the standard library's making.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
