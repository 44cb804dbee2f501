//! Two kinds of instant, kept apart by type so that trust can never be measured on a wall clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A reading of one host's monotonic clock, in nanoseconds since an origin of that host's own.
///
/// Comparable only with readings of the same host and boot. The clock behind it keeps counting while the
/// machine is suspended (`CLOCK_BOOTTIME`); otherwise a lease could expire unnoticed during a suspend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Mono(u64);

impl Mono {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);
    /// Later than any reading.
    pub const MAX: Self = Self(u64::MAX);

    /// From nanoseconds since the host's origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the host's origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the host's origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long from `earlier` until this instant; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved later, stopping at [`Mono::MAX`].
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos_of(by)))
    }

    /// This instant moved earlier, stopping at [`Mono::ZERO`].
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos_of(by)))
    }
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Mono {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1_000_000_000, self.0 / 1_000_000 % 1_000)
    }
}

/// A reading of a wall clock, in milliseconds since the Unix epoch.
///
/// Wall clocks step and disagree. They decide when a signal is too old to send and how old a record looks
/// to a human; they never decide who may act.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Wall(i64);

impl Wall {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long from `earlier` until this instant; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This instant moved later.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Both clocks of the host, read together at the start of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, Default)]
pub struct Now {
    /// The monotonic clock: every timer, timeout and lease.
    pub mono: Mono,
    /// The wall clock: signal deadlines and timestamps for people.
    pub wall: Wall,
}

impl Now {
    /// The monotonic instant at which this host's wall clock will read `wall`, if neither clock steps.
    pub fn mono_at(self, wall: Wall) -> Mono {
        if wall >= self.wall {
            self.mono.plus(wall.since(self.wall))
        } else {
            self.mono.minus(self.wall.since(wall))
        }
    }
}
