//! Waits for the news that the lease was released, on a link of its own.
//!
//! ```text
//!            ok             message
//!  connect -----> listen -----------> hint, and listen on
//!   ^   | error    |   ^
//!   |   v          |   | every listen_check_every: PING, answered
//!   +- pause <-----+---+
//!             closed, or not answered
//! ```
//!
//! Pauses double within their bounds. A hint that is lost costs a follower the rest of the lease and nothing
//! else, so nothing is done about the gaps between links.

use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::ports::{BoxFuture, Clock, Connect};
use oncegate_coordinator::timeout::until;
use oncegate_protocol::Mono;
use redis::{PushInfo, PushKind, RedisResult};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::connection::Connection;
use crate::lease::RedisLeaseConfig;
use crate::scripts;

/// Listens for as long as it is polled; what it is in the middle of survives between two hints.
pub(crate) struct Listener {
    config: Arc<RedisLeaseConfig>,
    connect: Arc<dyn Connect>,
    clock: Arc<dyn Clock>,
    link: Option<Link>,
    /// Links that failed in a row.
    failures: u32,
}

struct Link {
    connection: Connection,
    pushes: UnboundedReceiver<PushInfo>,
    check_at: Mono,
}

/// What ended a wait.
enum Heard {
    Released,
    Nothing,
    Closed,
}

impl Listener {
    pub(crate) fn new(config: Arc<RedisLeaseConfig>, connect: Arc<dyn Connect>, clock: Arc<dyn Clock>) -> Self {
        Self { config, connect, clock, link: None, failures: 0 }
    }

    /// Ready, with the listener to go on with, when a release was announced.
    pub(crate) fn hear(mut self) -> BoxFuture<'static, Self> {
        Box::pin(async move {
            loop {
                if self.link.is_none() {
                    self.link = self.subscribe().await;
                }
                let up = match &mut self.link {
                    None => false,
                    Some(link) => match link.wait(&*self.clock).await {
                        Heard::Released => {
                            self.failures = 0;
                            return self;
                        }
                        Heard::Nothing => link.check(&self.config, &*self.clock).await,
                        Heard::Closed => false,
                    },
                };
                if up {
                    self.failures = 0;
                } else {
                    self.link = None;
                    self.failures = self.failures.saturating_add(1);
                    let pause = pause(self.config.listen_retry, self.failures);
                    self.clock.sleep_until(self.clock.now().mono.plus(pause)).await;
                }
            }
        })
    }

    async fn subscribe(&mut self) -> Option<Link> {
        let (sender, pushes) = unbounded_channel();
        let mut connection = Connection::open(&self.config, &*self.connect, &*self.clock, Some(sender)).await.ok()?;
        let channel = scripts::released_channel(&self.config.key);
        bounded(&self.config, &*self.clock, connection.run(async |handle| handle.subscribe(channel).await)).await?;
        let check_at = self.clock.now().mono.plus(self.config.listen_check_every);
        Some(Link { connection, pushes, check_at })
    }
}

impl Link {
    async fn wait(&mut self, clock: &dyn Clock) -> Heard {
        let check = clock.sleep_until(self.check_at);
        tokio::pin!(check);
        loop {
            // In this order: what has been read already counts, even when the link is down by now.
            tokio::select! {
                biased;
                push = self.pushes.recv() => match push.map(|push| push.kind) {
                    Some(PushKind::Message) => return Heard::Released,
                    Some(PushKind::Disconnection) | None => return Heard::Closed,
                    Some(_) => {}
                },
                () = self.connection.run_until_closed() => return Heard::Closed,
                () = &mut check => return Heard::Nothing,
            }
        }
    }

    /// A link on which nothing is ever sent would not notice that the other end is gone.
    async fn check(&mut self, config: &RedisLeaseConfig, clock: &dyn Clock) -> bool {
        self.check_at = clock.now().mono.plus(config.listen_check_every);
        let ping = redis::cmd("PING");
        bounded(config, clock, self.connection.run(async |handle| ping.exec_async(handle).await)).await.is_some()
    }
}

/// None when `call` failed or took too long.
async fn bounded(
    config: &RedisLeaseConfig,
    clock: &dyn Clock,
    call: impl Future<Output = RedisResult<()>>,
) -> Option<()> {
    until(clock, clock.now().mono.plus(config.connect_timeout), call).await?.ok()
}

/// The pause after failure number `failures` (counting from 1) in a row.
fn pause((shortest, longest): (Duration, Duration), failures: u32) -> Duration {
    shortest.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}
