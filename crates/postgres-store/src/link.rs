//! One connection to the server, driven by whoever uses it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};

use futures_util::FutureExt;
use futures_util::future::{Either, Fuse, FusedFuture, join, select};
use oncegate_coordinator::ports::{BoxFuture, Clock, Connect};
use oncegate_coordinator::timeout::until;
use oncegate_protocol::Mono;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::UnboundedSender;
use tokio_postgres::{AsyncMessage, Connection, NoTls};

use crate::config::{PostgresConfig, host};
use crate::error::{Failure, PgError, connecting};
use crate::session::Session;
use crate::statements::{READ_SETTINGS, SET_SYNCHRONOUS_COMMIT};
use crate::tls::{Handshaker, Tls, Wire};

/// The library means this future to be spawned; here it is polled by the call under way, so that it lives and dies
/// with its owner, and an unused connection costs no wake-ups.
pub(crate) type Bytes = Fuse<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Commits, on a primary that loses none.
    Writes,
    /// Reads, of the primary: a standby may be behind.
    Reads,
}

/// A session and the future that moves its bytes.
pub(crate) struct Link {
    pub(crate) session: Session,
    pub(crate) bytes: Bytes,
    /// Since when nobody uses it.
    pub(crate) idle_since: Mono,
}

/// The outcome of `call`, whose answers `bytes` brings. Dropped halfway the link is out of step and must not be used
/// again.
pub(crate) async fn drive<T>(bytes: &mut Bytes, call: impl Future<Output = T>) -> T {
    match select(pin!(call), bytes).await {
        Either::Left((output, _)) => output,
        // The link is down, and with it went the sender of any answer: the call ends without waiting.
        Either::Right(((), call)) => call.await,
    }
}

impl Link {
    /// Opens a link to the first peer that will do, with a session set up for `access`. Notifications go to `news`,
    /// if it is given. `first` is where to begin, and remembers which peer did. `statements` are prepared with it, in
    /// the same flight as all else that is asked: else each would cost the first call that needs it a round trip, and
    /// where the way is long that call would be given up, its connection with it, and the next would begin at nothing.
    ///
    /// # Errors
    /// [`PgError::NotConnected`] and [`PgError::NotDurable`]. Dropping it closes what was opened, and the next one
    /// begins with the peer after the one that kept this waiting: else a caller with less patience than this would
    /// never come to the second.
    pub(crate) fn open<'a>(
        config: &'a PostgresConfig,
        first: &'a AtomicUsize,
        access: Access,
        connect: &'a dyn Connect,
        clock: &'a dyn Clock,
        statements: &'static [&'static str],
        news: Option<UnboundedSender<()>>,
    ) -> BoxFuture<'a, Result<Self, PgError>> {
        Box::pin(async move {
            let mut seen = Vec::new();
            for _ in &config.peers {
                let number = first.load(Ordering::Relaxed) % config.peers.len();
                first.store(number + 1, Ordering::Relaxed);
                let peer = &config.peers[number];
                let deadline = clock.now().mono.plus(config.connect_timeout);
                let opening = Self::open_to(peer, config, access, connect, clock, statements, news.clone());
                match until(clock, deadline, opening).await {
                    Some(Ok(link)) => {
                        first.store(number, Ordering::Relaxed);
                        return Ok(link);
                    }
                    Some(Err(Unfit::Lossy(why))) => return Err(PgError::NotDurable { place: config.place(), why }),
                    Some(Err(Unfit::Other(why))) => seen.push(format!("{peer}: {why}")),
                    None => seen.push(format!("{peer}: no connection within {:?}", config.connect_timeout)),
                }
            }
            Err(PgError::NotConnected { place: config.place(), seen: seen.join("; ") })
        })
    }

    async fn open_to(
        peer: &str,
        config: &PostgresConfig,
        access: Access,
        connect: &dyn Connect,
        clock: &dyn Clock,
        statements: &'static [&'static str],
        news: Option<UnboundedSender<()>>,
    ) -> Result<Self, Unfit> {
        let wire = Wire(connect.connect(peer).await.map_err(|error| Unfit::Other(error.to_string()))?);
        let library = config.library(access == Access::Reads);
        let failed = |error: tokio_postgres::Error| Unfit::Other(connecting(&error));
        let (client, bytes) = match &config.tls {
            Tls::Off => {
                let (client, connection) = library.connect_raw(wire, NoTls).await.map_err(failed)?;
                (client, moved(connection, news))
            }
            Tls::VerifyFull(tls) => {
                let handshaker = Handshaker::new(tls.clone(), host(peer).unwrap_or(peer));
                let (client, connection) = library.connect_raw(wire, handshaker).await.map_err(failed)?;
                (client, moved(connection, news))
            }
        };
        let mut link = Self { session: Session::new(client), bytes: bytes.fuse(), idle_since: clock.now().mono };
        drive(&mut link.bytes, set_up(&link.session, config, access, statements)).await?;
        Ok(link)
    }

    /// Whether the link was still up when last seen; looks once more, without waiting.
    pub(crate) fn is_open(&mut self) -> bool {
        (&mut self.bytes).now_or_never().is_none() && !self.bytes.is_terminated()
    }
}

/// Why a server won't do.
enum Unfit {
    /// It would lose what it acknowledged; another would hide that.
    Lossy(String),
    /// The next may do.
    Other(String),
}

/// Moves bytes until the link is down, and passes on that something was notified.
fn moved<T>(
    mut connection: Connection<Wire, T>,
    news: Option<UnboundedSender<()>>,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(poll_fn(move |cx| {
        loop {
            match ready!(connection.poll_message(cx)) {
                Some(Ok(AsyncMessage::Notification(_))) => {
                    if let Some(news) = &news {
                        // Nobody may be listening any more.
                        let _ = news.send(());
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
    }))
}

/// Sees to it that this server is the primary, and keeps what it acknowledges to a session that writes.
async fn set_up(
    session: &Session,
    config: &PostgresConfig,
    access: Access,
    statements: &'static [&'static str],
) -> Result<(), Unfit> {
    let failed = |failure: Failure| match failure {
        Failure::Sql(error) => Unfit::Other(connecting(&error)),
        Failure::Unreadable(what) => Unfit::Other(what),
    };
    let (row, prepared) = join(session.text_row(READ_SETTINGS), session.ready(statements)).await;
    let row = row.map_err(failed)?;
    let setting = |column: usize| row.get(column).and_then(Option::as_deref).unwrap_or_default();
    let (commit, fsync, standbys, recovering) = (setting(0), setting(1), setting(2), setting(3));
    if recovering != "false" {
        return Err(Unfit::Other("it is in recovery, so it is no primary".into()));
    }
    prepared.map_err(|error| failed(Failure::Sql(error)))?;
    if access == Access::Reads {
        return Ok(());
    }
    if fsync != "on" {
        return Err(Unfit::Lossy(
            "fsync is off, so a power cut loses commits and may ruin the rest: turn it on".into(),
        ));
    }
    if config.require_synchronous_standby && standbys.is_empty() {
        return Err(Unfit::Lossy(
            "no synchronous standby is required of it, so a failover loses commits: set synchronous_standby_names, \
             or do not ask for one in the configuration"
                .into(),
        ));
    }
    // "off" answers before the disk has it, "local" and "remote_write" before a standby's disk has it. What is more
    // than "on" is left alone.
    if !["on", "remote_apply"].contains(&commit) {
        session.batch(SET_SYNCHRONOUS_COMMIT).await.map_err(failed)?;
    }
    Ok(())
}
