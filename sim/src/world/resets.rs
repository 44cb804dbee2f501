//! Connections that can be reset: which there are between which hosts, and which of them are broken.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};

use super::locked;

/// Every stream of a run that may be reset; empty in runs without such faults.
#[derive(Default)]
pub struct Resets {
    armed: AtomicBool,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    numbers: u64,
    open: BTreeMap<u64, Weak<Fate>>,
}

/// What one end of a connection has come to.
pub struct Fate {
    host: usize,
    peer: usize,
    reset: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Resets {
    /// Connections of this run may be reset; said before the first is made.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
    }

    /// One end of a new connection, if anything may ever happen to it.
    pub(super) fn watch(&self, host: usize, peer: usize) -> Option<Arc<Fate>> {
        if !self.armed.load(Ordering::Relaxed) {
            return None;
        }
        let fate = Arc::new(Fate { host, peer, reset: AtomicBool::new(false), wakers: Mutex::default() });
        let mut streams = locked(&self.streams);
        streams.open.retain(|_, fate| fate.strong_count() > 0);
        streams.numbers += 1;
        let number = streams.numbers;
        streams.open.insert(number, Arc::downgrade(&fate));
        Some(fate)
    }

    /// Resets every connection between two hosts, both ends; how many ends there were.
    pub fn reset(&self, a: usize, b: usize) -> usize {
        let fates: Vec<_> = locked(&self.streams).open.values().filter_map(Weak::upgrade).collect();
        let struck = fates.iter().filter(|fate| [(a, b), (b, a)].contains(&(fate.host, fate.peer)));
        struck.map(|fate| fate.strike()).count()
    }
}

impl Fate {
    fn strike(&self) {
        self.reset.store(true, Ordering::Relaxed);
        std::mem::take(&mut *locked(&self.wakers)).into_iter().for_each(Waker::wake);
    }

    /// Whether it is reset; if not, `cx` is woken when it is.
    pub(super) fn poll(&self, cx: &Context<'_>) -> bool {
        if self.reset.load(Ordering::Relaxed) {
            return true;
        }
        let mut wakers = locked(&self.wakers);
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        false
    }
}
