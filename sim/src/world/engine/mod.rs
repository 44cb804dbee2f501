//! The seam between the world and what moves it: time, tasks, byte streams, and how a process ends.
//!
//! Everything else (hosts, nemesis, oracles, scenarios, clocks, the ways of store calls) is the same code on
//! both engines. Two of them, so that a mistake in one shows as a disagreement:
//! - [`Engine::Jumping`]: `turmoil-net`'s TCP under one paused clock, jumping from event to event;
//! - [`Engine::Turmoil`]: `turmoil::Sim`, its TCP, its hosts with a runtime and a clock each, its links, its end of
//!   processes; it ticks through idle time, so it is the slow reference. See [`turmoil`].

pub mod turmoil;
pub mod wire;

use std::future::Future;
use std::time::Duration;

use self::turmoil::Ticking;
use super::host::Life;

/// What moves a world.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Engine {
    /// The fast one: jumps from event to event.
    #[default]
    Jumping,
    /// The reference: `turmoil::Sim`, tick by tick.
    Turmoil,
}

impl Engine {
    /// Both, the default first.
    pub const ALL: [Self; 2] = [Self::Jumping, Self::Turmoil];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jumping => "jumping",
            Self::Turmoil => "turmoil",
        }
    }
}

/// An engine at work in one world.
pub(super) enum Drive {
    /// The instant at which the world began, on its one clock.
    Jumping(tokio::time::Instant),
    /// What the hosts of a `turmoil::Sim` share.
    Ticking(Ticking),
}

impl Drive {
    pub(super) const fn engine(&self) -> Engine {
        match self {
            Self::Jumping(_) => Engine::Jumping,
            Self::Ticking(_) => Engine::Turmoil,
        }
    }

    #[allow(clippy::disallowed_methods)] // The world is where time comes from.
    pub(super) fn now(&self) -> Duration {
        match self {
            Self::Jumping(began) => tokio::time::Instant::now().duration_since(*began),
            Self::Ticking(ticking) => ticking.now(),
        }
    }

    /// The instant at world time `at`, on the clock of the runtime that asks.
    pub(super) fn instant(&self, at: Duration) -> tokio::time::Instant {
        match self {
            Self::Jumping(began) => *began + at,
            Self::Ticking(ticking) => ticking.instant(at),
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Jumping(_) => drop(tokio::spawn(task)),
            Self::Ticking(ticking) => ticking.spawn(task),
        }
    }

    /// Ready when whoever runs that process should drop it.
    pub(super) async fn ends(&self, life: &Life) {
        life.ended().await;
        if let Self::Ticking(ticking) = self {
            ticking.bury(life.host.at).await;
        }
    }
}
