//! Keeps a few connections for calls that come side by side.
//!
//! A call takes a connection out and puts it back only when it is in step again, after a complete answer. So a call
//! that fails, or that is dropped halfway, takes its connection with it. When it looks as if the server or the way to
//! it were the cause, the idle ones are not believed either: one call finds out, not each.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use oncegate_coordinator::ports::{BoxFuture, Clock, Connect};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::PostgresConfig;
use crate::error::{Failure, PgError};
use crate::link::{Access, Link, drive};
use crate::session::Session;

pub(crate) struct Pool {
    pub(crate) config: PostgresConfig,
    pub(crate) access: Access,
    pub(crate) connect: Arc<dyn Connect>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Which peer to begin with.
    pub(crate) first: AtomicUsize,
    room: Semaphore,
    idle: Mutex<Idle>,
    /// What each new connection prepares; nothing before it is known that the tables are there.
    statements: OnceLock<&'static [&'static str]>,
}

/// The connections that nobody uses, the latest used last.
#[derive(Default)]
struct Idle {
    links: Vec<Link>,
    /// Counts how often all of them were given up.
    generation: u64,
}

/// One connection in use.
struct Lent<'a> {
    pool: &'a Pool,
    link: Option<Link>,
    generation: u64,
    _room: SemaphorePermit<'a>,
}

impl Pool {
    /// Connects to nothing yet.
    pub(crate) fn new(
        config: PostgresConfig,
        access: Access,
        connect: Arc<dyn Connect>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PgError> {
        config.validate()?;
        let room = Semaphore::new(config.connections);
        let (first, idle, statements) = (AtomicUsize::new(0), Mutex::default(), OnceLock::new());
        Ok(Self { config, access, connect, clock, first, room, idle, statements })
    }

    /// From now on each connection prepares these when it is opened.
    pub(crate) async fn prepares(&self, statements: &'static [&'static str]) -> Result<(), PgError> {
        self.statements.get_or_init(|| statements);
        // The one that has looked whether the tables are there.
        self.run("prepare the statements", |session| Box::pin(async move { Ok(session.ready(statements).await?) }))
            .await
    }

    async fn open(&self) -> Result<Link, PgError> {
        let statements = self.statements.get().copied().unwrap_or_default();
        Link::open(&self.config, &self.first, self.access, &*self.connect, &*self.clock, statements, None).await
    }

    /// Performs one call on a connection. Dropped halfway it closes the connection.
    pub(crate) async fn run<T>(
        &self,
        doing: &'static str,
        call: impl for<'a> FnOnce(&'a Session) -> BoxFuture<'a, Result<T, Failure>>,
    ) -> Result<T, PgError> {
        let mut lent = self.lend().await?;
        let link = lent.link.as_mut().expect("a connection that is lent is there until it is given back");
        match drive(&mut link.bytes, call(&link.session)).await {
            Ok(output) => {
                lent.give_back();
                Ok(output)
            }
            Err(failure) => {
                if failure.is_refusal() {
                    // It may be in the middle of a transaction; the others are not.
                    lent.link = None;
                }
                Err(failure.at(doing, self.config.place()))
            }
        }
    }

    async fn lend(&self) -> Result<Lent<'_>, PgError> {
        let room = self.room.acquire().await.expect("the semaphore is never closed");
        let now = self.clock.now().mono;
        let (mut link, generation) = {
            let mut idle = lock(&self.idle);
            let link = loop {
                let Some(mut link) = idle.links.pop() else { break None };
                if now.since(link.idle_since) <= self.config.idle_timeout && link.is_open() {
                    break Some(link);
                }
            };
            (link, idle.generation)
        };
        if link.is_none() {
            link = Some(self.open().await?);
        }
        Ok(Lent { pool: self, link, generation, _room: room })
    }

    /// Closes idle connections that are down, and opens one when none is left, so that the next call finds one.
    pub(crate) async fn refresh(&self) {
        {
            let mut idle = lock(&self.idle);
            idle.links.retain_mut(Link::is_open);
            if !idle.links.is_empty() {
                return;
            }
        }
        // All may be in use, or there may be no server; either way the next call sees to itself.
        let Ok(_room) = self.room.try_acquire() else { return };
        if let Ok(link) = self.open().await {
            lock(&self.idle).links.push(link);
        }
    }
}

impl Lent<'_> {
    fn give_back(mut self) {
        let Some(mut link) = self.link.take() else { return };
        let mut idle = lock(&self.pool.idle);
        if idle.generation == self.generation {
            link.idle_since = self.pool.clock.now().mono;
            idle.links.push(link);
        }
    }
}

impl Drop for Lent<'_> {
    /// Still there: the call was cut off, or the connection broke.
    fn drop(&mut self) {
        if self.link.is_some() {
            let given_up = {
                let mut idle = lock(&self.pool.idle);
                idle.generation += 1;
                std::mem::take(&mut idle.links)
            };
            drop(given_up);
        }
    }
}

/// Nothing here panics with a lock held, and what the locks guard is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oncegate_coordinator::timeout::until;
    use oncegate_coordinator::{SystemClock, TcpConnect};
    use oncegate_store_conformance::PostgresServer;
    use oncegate_store_conformance::postgres_server::{DATABASE, USER};

    use super::*;

    /// The first peer takes connections and never says a word, and who asks has less patience than opening has.
    #[tokio::test]
    #[ignore = "needs postgresql"]
    async fn a_peer_that_is_silent_keeps_nobody_from_the_next() {
        let server = PostgresServer::start(&[]).await;
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = PostgresConfig::new(silent.local_addr().unwrap().to_string(), USER, DATABASE);
        config.peers.push(server.peer.clone());
        config.connect_timeout = Duration::from_secs(60);
        let pool = Pool::new(config, Access::Writes, Arc::new(TcpConnect), Arc::new(SystemClock)).unwrap();
        let clock = SystemClock;
        let ask = async |patience: Duration| {
            let asking = pool.run("ask", |session| Box::pin(async move { session.text_row("SELECT 1").await }));
            until(&clock, clock.now().mono.plus(patience), asking).await
        };
        assert!(ask(Duration::from_millis(200)).await.is_none(), "it answered");
        for _ in 0..2 {
            ask(Duration::from_secs(10)).await.expect("the second peer is asked next, and then first").unwrap();
        }
    }
}
