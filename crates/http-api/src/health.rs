//! What probes are told of this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{Clock, Handle};

/// What this process says about itself, beside what its loop and its store say.
#[derive(Debug, Default)]
pub struct Health {
    stopping: AtomicBool,
    read_only: Option<String>,
}

impl Health {
    /// Of a process that runs a node.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a process that runs no node and shows what there is; `why`, and what to do, for people.
    pub fn read_only(why: impl Into<String>) -> Self {
        Self { read_only: Some(why.into()), ..Self::default() }
    }

    /// From now on the process is ending: it is not ready any more, though it answers for a while.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether it is ending.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Why there is no node here; none when there is one.
    pub fn why_read_only(&self) -> Option<&str> {
        self.read_only.as_deref()
    }
}

/// Whether the loop behind `handle` turns: it must come round to a question within `within`. For `/livez`, and for a
/// service manager's watchdog.
///
/// # Errors
/// What is wrong with it, for people.
pub async fn alive(handle: &Handle, clock: &dyn Clock, within: Duration) -> Result<(), String> {
    let deadline = clock.now().mono.plus(within);
    until(clock, deadline, handle.ping())
        .await
        .unwrap_or_else(|| Err(format!("the loop has not come round to a question within {within:?}: it is stuck")))
}
