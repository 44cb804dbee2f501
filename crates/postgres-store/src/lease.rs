//! A lease for those who have no Redis: one row, timed by the server's own clock.
//!
//! Like every lease it is a hint about who lives. Each call is one statement and one commit, and reads
//! `clock_timestamp()` after it has locked the row; nobody who asks needs a clock that agrees with anybody's. A release
//! is announced on channel `<schema>_lease`. It shares the fate of its database: who wants to know a dead host from a
//! dead database takes Redis.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::ports::{BoxFuture, Clock, Connect, LeaseStore};
use oncegate_protocol::{Epoch, Holder, LeaseCall, LeaseReply, PortError};

use crate::config::PostgresConfig;
use crate::error::{Failure, PgError};
use crate::link::Access;
use crate::listener::Hints;
use crate::pool::Pool;
use crate::rows::cell;
use crate::session::{Params, Session};
use crate::{schema, statements};

/// How many connections the calls share: one for a renewal, and one beside it that may be stuck.
const CONNECTIONS: usize = 2;

/// How often a lease that is refused and then seen to be free is asked for again, within one call.
const TURNS: usize = 3;

/// It is lost and restored together with the epochs themselves: what it could keep of them would tell nothing.
const UNTOLD: Epoch = Epoch(0);

/// A [`LeaseStore`] in the store's schema, on connections of its own: a slow commit of the store must not keep a
/// renewal from being sent.
pub struct PostgresLease {
    pool: Arc<Pool>,
    freed: Hints,
}

impl PostgresLease {
    /// Connects, and makes sure that the tables are of this version.
    ///
    /// # Errors
    /// Those of [`PostgresStore::open`](crate::PostgresStore::open).
    pub async fn open(
        config: PostgresConfig,
        connect: Arc<dyn Connect>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PgError> {
        let config = PostgresConfig { connections: CONNECTIONS, ..config };
        let pool = Pool::new(config.clone(), Access::Writes, connect, clock)?;
        let version = pool.run("read the version", schema::read_version(&config.schema)).await?;
        schema::must_be_newest(version, &config)?;
        let pool = Arc::new(pool);
        Ok(Self { freed: Hints::new(Arc::clone(&pool), config.lease_channel()), pool })
    }
}

impl LeaseStore for PostgresLease {
    /// Dropped halfway it closes the connection that it used; the next call opens another.
    fn call(&self, call: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>> {
        Box::pin(async move {
            let channel = self.pool.config.lease_channel();
            let doing = match call {
                LeaseCall::Acquire { .. } => "acquire the lease",
                LeaseCall::Renew { .. } => "renew the lease",
                LeaseCall::Release { .. } => "release the lease",
                LeaseCall::Read => "read the lease",
            };
            let performed =
                self.pool.run(doing, move |session| Box::pin(async move { perform(session, &channel, &call).await }));
            performed.await.map_err(|error| PortError(error.to_string()))
        })
    }

    /// Listens only while it is awaited, by one waiter at a time. Also ready once after each time that listening
    /// began, because it may have been released before.
    fn released(&self) -> BoxFuture<'_, ()> {
        Box::pin(poll_fn(|cx| self.freed.poll(cx)))
    }
}

async fn perform(session: &Session, channel: &str, call: &LeaseCall) -> Result<LeaseReply, Failure> {
    match call {
        LeaseCall::Acquire { holder, ttl } => {
            for _ in 0..TURNS {
                if grant(session, statements::ACQUIRE_LEASE, holder, *ttl).await? {
                    return Ok(LeaseReply::Granted { seen: UNTOLD });
                }
                // What refused it may have run out meanwhile.
                if let held @ LeaseReply::HeldBy { .. } = read(session).await? {
                    return Ok(held);
                }
            }
            Err(Failure::Unreadable("the lease changes hands too fast: it was free each time it was looked at".into()))
        }
        LeaseCall::Renew { holder, ttl, .. } => {
            if grant(session, statements::RENEW_LEASE, holder, *ttl).await? {
                return Ok(LeaseReply::Granted { seen: UNTOLD });
            }
            read(session).await
        }
        LeaseCall::Release { holder } => {
            let params: Params<'_> = &[&holder.as_str()];
            if session.execute(statements::RELEASE_LEASE, params).await? == 0 {
                return read(session).await;
            }
            // It is released, whether or not anybody hears of it.
            let _ = session.query(statements::NOTIFY, &[&channel]).await;
            Ok(LeaseReply::Free)
        }
        LeaseCall::Read => read(session).await,
    }
}

async fn grant(session: &Session, sql: &'static str, holder: &Holder, ttl: Duration) -> Result<bool, Failure> {
    let micros = ttl.as_secs_f64() * 1e6;
    let params: Params<'_> = &[&holder.as_str(), &micros];
    Ok(session.execute(sql, params).await? == 1)
}

async fn read(session: &Session) -> Result<LeaseReply, Failure> {
    let Some(row) = session.query_opt(statements::READ_LEASE, &[]).await? else {
        return Ok(LeaseReply::Free);
    };
    let (holder, micros): (String, i64) = (cell(&row, 0)?, cell(&row, 1)?);
    let remaining = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    Ok(LeaseReply::HeldBy { holder: Holder::new(holder), remaining: Some(remaining) })
}
