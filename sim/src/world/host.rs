//! A host: something that can stand still, die and come back.
//!
//! A [`Host`] is the machine, a [`Life`] is one process on it. Everything a process holds (streams, timers,
//! store calls) asks its life before each move: a paused one does not answer until it is resumed, an ended one
//! never does. The process's root future is dropped at its end, with all it owns.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use turmoil_net::HostId;

use super::clock::HostClock;
use super::locked;

/// One machine.
pub struct Host {
    /// Its place in the world's list.
    pub at: usize,
    /// Its name.
    pub name: String,
    /// Its network stack, where hosts share a thread's.
    net: Option<HostId>,
    /// Its clocks.
    pub clock: HostClock,
    /// How many pauses overlap.
    pauses: AtomicU32,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    /// Who waits for the last of them to end.
    sleepers: Vec<Waker>,
    /// The present process; none while the host is down.
    life: Option<Arc<Life>>,
    lives: u64,
    /// How many reasons there are for it to be down.
    downs: u32,
    /// Its process was asked to end.
    leaving: bool,
}

/// One process, from its start to its crash.
pub struct Life {
    /// On which machine.
    pub host: Arc<Host>,
    /// Counts from 1 on each machine.
    pub number: u64,
    over: AtomicBool,
}

impl Host {
    pub(crate) fn new(at: usize, name: &str, net: impl Into<Option<HostId>>) -> Arc<Self> {
        // Hosts were not booted together: a lease must not depend on it.
        let age = std::time::Duration::from_secs(1_000 + 777 * at as u64);
        Arc::new(Self {
            at,
            name: name.to_owned(),
            net: net.into(),
            clock: HostClock::new(age),
            pauses: AtomicU32::new(0),
            state: Mutex::default(),
            ended: Notify::new(),
        })
    }

    /// What this thread does next with sockets, it does on this host's network stack.
    pub(super) fn enter(&self) {
        if let Some(net) = self.net {
            turmoil_net::set_current(net);
        }
    }

    /// Starts a process; the one before must have ended.
    pub fn start(self: &Arc<Self>) -> Arc<Life> {
        let mut state = locked(&self.state);
        state.lives += 1;
        let life = Arc::new(Life { host: Arc::clone(self), number: state.lives, over: AtomicBool::new(false) });
        state.life = Some(Arc::clone(&life));
        life
    }

    /// The present process.
    pub fn life(&self) -> Option<Arc<Life>> {
        locked(&self.state).life.clone()
    }

    /// How many processes it has had.
    pub fn lives(&self) -> u64 {
        locked(&self.state).lives
    }

    /// Whether the host stands still.
    pub fn is_paused(&self) -> bool {
        self.pauses.load(Ordering::Relaxed) > 0
    }

    /// Whether it must not be started.
    pub fn is_down(&self) -> bool {
        locked(&self.state).downs > 0
    }

    /// Stands still until resumed as often as paused.
    pub fn pause(&self) {
        self.pauses.fetch_add(1, Ordering::Relaxed);
    }

    /// Undoes one pause.
    pub fn resume(&self) {
        if self.pauses.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        let sleepers = std::mem::take(&mut locked(&self.state).sleepers);
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Ends the present process and keeps the host down until [`Host::bring_up`].
    pub fn take_down(&self) {
        let life = {
            let mut state = locked(&self.state);
            state.downs += 1;
            state.leaving = false;
            state.life.take()
        };
        if let Some(life) = life {
            life.over.store(true, Ordering::Relaxed);
        }
        self.ended.notify_waiters();
    }

    /// Its process was asked to end: that it does is no failure, and it is not started before [`Host::bring_up`].
    pub fn leave(&self) {
        let mut state = locked(&self.state);
        state.downs += 1;
        state.leaving = true;
    }

    /// Whether the process that has just ended was asked to; its life is over then.
    pub fn has_left(&self) -> bool {
        let life = {
            let mut state = locked(&self.state);
            if !std::mem::take(&mut state.leaving) {
                return false;
            }
            state.life.take()
        };
        if let Some(life) = life {
            life.over.store(true, Ordering::Relaxed);
        }
        true
    }

    /// Undoes one [`Host::take_down`] or [`Host::leave`]. Who was asked to end and has not by then is ended, as
    /// a service manager does.
    pub fn bring_up(&self) {
        let mut state = locked(&self.state);
        state.downs = state.downs.saturating_sub(1);
        let stubborn = if std::mem::take(&mut state.leaving) { state.life.take() } else { None };
        drop(state);
        if let Some(life) = stubborn {
            life.over.store(true, Ordering::Relaxed);
        }
        self.ended.notify_waiters();
    }

    /// Ready when the host was taken down or brought up.
    pub async fn turned(&self) {
        self.ended.notified().await;
    }

    /// Whether it moves; if not, `cx` is woken when it does again.
    fn poll_moving(&self, cx: &Context<'_>) -> bool {
        if !self.is_paused() {
            return true;
        }
        let mut state = locked(&self.state);
        if !state.sleepers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.sleepers.push(cx.waker().clone());
        }
        false
    }
}

impl Life {
    /// Whether the process has ended.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether the process may make a move now. If it stands still `cx` is woken when it moves again; if it has
    /// ended nothing ever happens to it again.
    pub fn poll_running(&self, cx: &Context<'_>) -> bool {
        !self.is_over() && self.host.poll_moving(cx)
    }

    /// Ready while the process runs, at once or when it is resumed; never when it has ended.
    pub async fn running(&self) {
        poll_fn(|cx| if self.poll_running(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Ready when the process has ended.
    pub async fn ended(&self) {
        while !self.is_over() {
            self.host.ended.notified().await;
        }
    }
}
