//! Many runs on all cores, with progress.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is drawn when nothing is a terminal: never.
const REDRAWS_PER_SECOND: u8 = 10;

/// How many runs go on at a time: one per core.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A bar that tells how far a phase is, how fast it goes and when it will end; silent where nobody looks.
pub fn bar(name: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND));
    let style = ProgressStyle::with_template("{prefix:>14} [{bar:32}] {pos}/{len}  {per_sec}  {eta} left {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    bar.set_prefix(name.to_owned());
    bar
}

/// Carries `job` out for 0 to `count`, on all cores, in rising order, until it is done or says that enough is
/// enough; what it returned, by number. All numbers below the last one returned were carried out.
pub fn each<T: Send>(count: u64, bar: &ProgressBar, job: impl Fn(u64) -> (T, bool) + Sync) -> Vec<(u64, T)> {
    let results = part(count, bar, job);
    bar.finish_and_clear();
    results
}

/// What workers share: each waits for its turn, and what a worker left at its panic is still there.
pub(crate) fn shared<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// As [`each`], for one part of what the bar shows.
#[allow(clippy::disallowed_methods)] // Workers share nothing but the counter; each run has its own thread and world.
pub fn part<T: Send>(count: u64, bar: &ProgressBar, job: impl Fn(u64) -> (T, bool) + Sync) -> Vec<(u64, T)> {
    let next = AtomicU64::new(0);
    let enough = AtomicBool::new(false);
    let results = Mutex::new(Vec::new());
    bar.enable_steady_tick(Duration::from_millis(500));
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let (result, stop) = job(number);
                    if stop {
                        enough.store(true, Ordering::Relaxed);
                    }
                    shared(&results).push((number, result));
                    bar.inc(1);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results
}

/// Asks `job` about 0 to `count`, on all cores, in rising order, until one is good; what it returned, by number, up
/// to the first good one and never further, so that which core is faster changes nothing.
#[allow(clippy::disallowed_methods)] // As above.
pub fn until_good<T: Send>(count: usize, job: impl Fn(usize) -> (T, bool) + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let good = AtomicUsize::new(usize::MAX);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..cores().min(count) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || number > good.load(Ordering::Relaxed) {
                        return;
                    }
                    let (result, is_good) = job(number);
                    if is_good {
                        good.fetch_min(number, Ordering::Relaxed);
                    }
                    shared(&results).push((number, result));
                }
            });
        }
    });
    let last = good.into_inner();
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.retain(|(number, _)| *number <= last);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
