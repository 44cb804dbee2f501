//! Waits for notifications on one channel, on a link of its own.
//!
//! ```text
//!            ok (a hint: what was missed?)   notification
//!  connect ---------------------> listen ----------------> hint, and listen on
//!   ^   | error                   |   ^
//!   |   v                         |   | every listen_check_every: a sync, answered
//!   +- pause <--------------------+---+
//!             closed, or not answered
//! ```
//!
//! Pauses double within their bounds. A hint that is lost costs a reader the time until it looks anyway.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use oncegate_coordinator::ports::BoxFuture;
use oncegate_coordinator::timeout::until;
use oncegate_protocol::Mono;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::link::{Link, drive};
use crate::pool::Pool;
use crate::statements;

/// Something that can be waited for, by one waiter at a time.
pub(crate) struct Hints {
    pool: Arc<Pool>,
    channel: String,
    /// The listener in the middle of what it is doing; none until somebody waits.
    listening: Mutex<Option<BoxFuture<'static, Listener>>>,
}

impl Hints {
    pub(crate) fn new(pool: Arc<Pool>, channel: String) -> Self {
        Self { pool, channel, listening: Mutex::default() }
    }

    /// Listens only while it is polled; what was announced between two waits is reported by the second.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let hearing = listening.get_or_insert_with(|| {
            let (pool, channel) = (Arc::clone(&self.pool), self.channel.clone());
            Listener { pool, channel, link: None, failures: 0 }.hear()
        });
        hearing.as_mut().poll(cx).map(|listener| *listening = Some(listener.hear()))
    }
}

/// Listens for as long as it is polled.
struct Listener {
    pool: Arc<Pool>,
    channel: String,
    link: Option<Listening>,
    /// Links that failed in a row.
    failures: u32,
}

struct Listening {
    link: Link,
    news: UnboundedReceiver<()>,
    check_at: Mono,
}

/// What ended a wait.
enum Heard {
    Something,
    Nothing,
    Closed,
}

impl Listener {
    /// Ready, with the listener to go on with, when something may have happened.
    fn hear(mut self) -> BoxFuture<'static, Self> {
        Box::pin(async move {
            loop {
                let up = match &mut self.link {
                    None => {
                        self.link = self.subscribe().await;
                        if self.link.is_some() {
                            self.failures = 0;
                            // Calls may have lost their connections at the same time.
                            self.pool.refresh().await;
                            return self;
                        }
                        false
                    }
                    Some(listening) => match listening.wait(&self.pool).await {
                        Heard::Something => return self,
                        Heard::Nothing => {
                            let up = listening.check(&self.pool).await;
                            self.pool.refresh().await;
                            up
                        }
                        Heard::Closed => false,
                    },
                };
                if !up {
                    self.link = None;
                    self.failures = self.failures.saturating_add(1);
                    let (clock, pause) = (&self.pool.clock, pause(self.pool.config.listen_retry, self.failures));
                    clock.sleep_until(clock.now().mono.plus(pause)).await;
                }
            }
        })
    }

    async fn subscribe(&mut self) -> Option<Listening> {
        let Pool { config, first, access, connect, clock, .. } = &*self.pool;
        let (sender, news) = unbounded_channel();
        let mut link = Link::open(config, first, *access, &**connect, &**clock, &[], Some(sender)).await.ok()?;
        let listen = statements::listen(&self.channel);
        let deadline = clock.now().mono.plus(config.connect_timeout);
        until(&**clock, deadline, drive(&mut link.bytes, link.session.batch(&listen))).await?.ok()?;
        let check_at = clock.now().mono.plus(config.listen_check_every);
        Some(Listening { link, news, check_at })
    }
}

impl Listening {
    async fn wait(&mut self, pool: &Pool) -> Heard {
        let check = pool.clock.sleep_until(self.check_at);
        tokio::pin!(check);
        // In this order: what has been read already counts, even when the link is down by now.
        let heard = tokio::select! {
            biased;
            news = self.news.recv() => if news.is_some() { Heard::Something } else { Heard::Closed },
            () = &mut self.link.bytes => if self.news.try_recv().is_ok() { Heard::Something } else { Heard::Closed },
            () = &mut check => Heard::Nothing,
        };
        // Many that came together are one hint.
        while self.news.try_recv().is_ok() {}
        heard
    }

    /// A link on which nothing is ever sent would not notice that the other end is gone.
    async fn check(&mut self, pool: &Pool) -> bool {
        let now = pool.clock.now().mono;
        self.check_at = now.plus(pool.config.listen_check_every);
        let checking = drive(&mut self.link.bytes, self.link.session.check());
        until(&*pool.clock, now.plus(pool.config.connect_timeout), checking)
            .await
            .is_some_and(|checked| checked.is_ok())
    }
}

/// The pause after failure number `failures` (counting from 1) in a row.
fn pause((shortest, longest): (Duration, Duration), failures: u32) -> Duration {
    shortest.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}
