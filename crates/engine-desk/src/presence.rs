//! Whether an engine is there to take work.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oncegate_coordinator::Clock;
use oncegate_coordinator::timeout::until;
use oncegate_protocol::Mono;
use tokio::sync::Notify;

use crate::error::DeskError;

/// How many requests for work may wait at a time.
pub(crate) const MAX_ASKING: usize = 64;

/// The engines that ask, and when one was last heard of.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    asking: usize,
    last: Option<Mono>,
}

impl Presence {
    /// An engine was heard of.
    pub(crate) fn heard_of(&self, now: Mono) {
        self.seen().last = Some(now);
        self.changed.notify_one();
    }

    /// An engine asks for work, for as long as the guard lives.
    pub(crate) fn asks<'a>(&'a self, clock: &'a dyn Clock) -> Result<Asking<'a>, DeskError> {
        let mut seen = self.seen();
        if seen.asking >= MAX_ASKING {
            return Err(DeskError::Crowded);
        }
        seen.asking += 1;
        self.changed.notify_one();
        Ok(Asking { presence: self, clock })
    }

    /// Whether one is there at `now`: it asks, or was heard of less than `grace` ago.
    pub(crate) fn is_there(&self, now: Mono, grace: Duration) -> bool {
        let seen = *self.seen();
        seen.asking > 0 || seen.last.is_some_and(|last| now < last.plus(grace))
    }

    /// Ready when [`Presence::is_there`] is no longer `was`; returns what it is. For one who waits at a time.
    pub(crate) async fn changed(&self, was: bool, clock: &dyn Clock, grace: Duration) -> bool {
        loop {
            let is = self.is_there(clock.now().mono, grace);
            if is != was {
                return is;
            }
            let seen = *self.seen();
            let next_look = match seen.last {
                Some(last) if is && seen.asking == 0 => last.plus(grace),
                Some(_) | None => Mono::MAX,
            };
            // Whether time or an engine woke this, the next turn looks.
            let _ = until(clock, next_look, self.changed.notified()).await;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing under the lock leaves it half changed, so a panic elsewhere doesn't spoil it.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An engine that asks for work.
pub(crate) struct Asking<'a> {
    presence: &'a Presence,
    clock: &'a dyn Clock,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let now = self.clock.now().mono;
        let mut seen = self.presence.seen();
        seen.asking -= 1;
        seen.last = Some(now);
        self.presence.changed.notify_one();
    }
}
