//! [`RedisLease`]: keeps the links and serves the calls.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oncegate_coordinator::ports::{BoxFuture, Clock, Connect, LeaseStore};
use oncegate_protocol::{LeaseCall, LeaseReply, PortError};

use crate::command;
use crate::connection::Connection;
use crate::listener::Listener;
use crate::scripts;

/// Where the lease is, and how to get there.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisLeaseConfig {
    /// The server, `host:port`. Redis 7.0 or later.
    pub peer: String,
    /// The key of the lease. Its releases are announced on channel `<key>:released`, and `<key>:epoch` keeps the
    /// highest epoch of its holders.
    pub key: String,
    /// The ACL user; used only with a password.
    pub username: Option<String>,
    /// The password, if the server asks for one.
    pub password: Option<String>,
    /// The database number.
    pub db: i64,
    /// The longest that connecting, authentication included, may take; also the longest that subscribing and
    /// each check of the subscription may take. A call is further bounded by its caller.
    pub connect_timeout: Duration,
    /// How often the subscription is checked for being alive.
    pub listen_check_every: Duration,
    /// The shortest and longest pause before the subscription is tried again. Calls don't pause: each makes
    /// at most one attempt to connect, and its caller decides about the next.
    pub listen_retry: (Duration, Duration),
}

impl RedisLeaseConfig {
    /// The lease at `key` on `peer` (`host:port`), database 0, without authentication.
    pub fn new(peer: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            peer: peer.into(),
            key: key.into(),
            username: None,
            password: None,
            db: 0,
            connect_timeout: Duration::from_secs(1),
            listen_check_every: Duration::from_secs(15),
            listen_retry: (Duration::from_millis(500), Duration::from_secs(10)),
        }
    }
}

impl fmt::Debug for RedisLeaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, key, username, password, db, connect_timeout, listen_check_every, listen_retry } = self;
        f.debug_struct("RedisLeaseConfig")
            .field("peer", peer)
            .field("key", key)
            .field("username", username)
            .field("password", &password.as_ref().map(|_| "<redacted>"))
            .field("db", db)
            .field("connect_timeout", connect_timeout)
            .field("listen_check_every", listen_check_every)
            .field("listen_retry", listen_retry)
            .finish()
    }
}

/// The lease on a Redis server.
///
/// Up to three connections, each opened when first needed: one for renewals alone, so that nothing can stand
/// in a renewal's way, one for every other call, and one that listens for releases once
/// [`LeaseStore::released`] is awaited. It owns no task: dropping it closes them all.
pub struct RedisLease {
    config: Arc<RedisLeaseConfig>,
    /// `<key>:released`.
    channel: String,
    connect: Arc<dyn Connect>,
    clock: Arc<dyn Clock>,
    renewals: Lane,
    others: Lane,
    /// The listener in the middle of what it is doing; none until somebody listens.
    listening: Mutex<Option<BoxFuture<'static, Listener>>>,
}

/// Keeps one idle connection.
///
/// A call takes the connection out and puts it back only when it is in step again, after a complete answer.
/// So a call that fails, or that is dropped halfway, takes its connection with it, and a call that is stuck
/// leaves the lane empty and the next one free to open another.
#[derive(Default)]
struct Lane(Mutex<Option<Connection>>);

impl Lane {
    fn take(&self) -> Option<Connection> {
        lock(&self.0).take().and_then(|mut connection| connection.is_open().then_some(connection))
    }

    fn put(&self, connection: Connection) {
        *lock(&self.0) = Some(connection);
    }
}

impl RedisLease {
    /// Connects to nothing yet.
    pub fn new(config: RedisLeaseConfig, connect: Arc<dyn Connect>, clock: Arc<dyn Clock>) -> Self {
        Self {
            channel: scripts::released_channel(&config.key),
            config: Arc::new(config),
            connect,
            clock,
            renewals: Lane::default(),
            others: Lane::default(),
            listening: Mutex::new(None),
        }
    }

    async fn perform(&self, call: &LeaseCall) -> Result<LeaseReply, String> {
        let lane = match call {
            LeaseCall::Renew { .. } => &self.renewals,
            LeaseCall::Acquire { .. } | LeaseCall::Release { .. } | LeaseCall::Read => &self.others,
        };
        let mut connection = match lane.take() {
            Some(connection) => connection,
            None => Connection::open(&self.config, &*self.connect, &*self.clock, None).await?,
        };
        let reply = connection.run(|handle| command::perform(handle, &self.config.key, &self.channel, call)).await?;
        lane.put(connection);
        Ok(reply)
    }
}

impl LeaseStore for RedisLease {
    /// Dropped halfway it closes the connection that it used; the next call opens another.
    fn call(&self, call: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>> {
        Box::pin(async move {
            self.perform(&call).await.map_err(|seen| {
                let RedisLeaseConfig { peer, key, .. } = &*self.config;
                PortError(format!("{} the lease {key:?} at Redis {peer}: {seen}", command::name(&call)))
            })
        })
    }

    /// Listens only while it is awaited, by one waiter at a time. A release announced between two waits is
    /// reported by the second.
    fn released(&self) -> BoxFuture<'_, ()> {
        Box::pin(poll_fn(|cx| {
            let mut listening = lock(&self.listening);
            let hearing = listening.get_or_insert_with(|| {
                Listener::new(self.config.clone(), self.connect.clone(), self.clock.clone()).hear()
            });
            hearing.as_mut().poll(cx).map(|listener| *listening = Some(listener.hear()))
        }))
    }
}

/// Nothing here panics with a lock held, and what the locks guard is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
