//! The real clocks.

use std::time::Duration;

use oncegate_protocol::{Mono, Now, Wall};
use rustix::time::{ClockId, clock_gettime};

use crate::ports::{BoxFuture, Clock};

/// The operating system's clocks: `CLOCK_BOOTTIME`, which counts through suspend, and `CLOCK_REALTIME`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// Timers of the runtime sleep through a suspend without counting it; looking again this often bounds by how
/// much a deadline can be overslept after one.
const LONGEST_NAP: Duration = Duration::from_millis(250);

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let boot = clock_gettime(ClockId::Boottime);
        let wall = clock_gettime(ClockId::Realtime);
        let nanos = u64::try_from(boot.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(boot.tv_nsec).unwrap_or(0);
        Now { mono: Mono::from_nanos(nanos), wall: Wall::from_millis(wall.tv_sec * 1_000 + wall.tv_nsec / 1_000_000) }
    }

    #[allow(clippy::disallowed_methods)] // This is the port.
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let clock = *self;
        Box::pin(async move {
            loop {
                let left = deadline.since(clock.now().mono);
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_NAP)).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_never_ends_before_its_deadline() {
        let clock = SystemClock;
        let deadline = clock.now().mono.plus(Duration::from_millis(20));
        clock.sleep_until(deadline).await;
        assert!(clock.now().mono >= deadline);
    }
}
