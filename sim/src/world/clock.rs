//! Clocks that disagree: each host's own monotonic and wall clock, with offset, rate and steps.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use oncegate_coordinator::{BoxFuture, Clock};
use oncegate_protocol::{Mono, Now, Wall};

use super::host::Life;
use super::{WALL_ORIGIN_MS, World, locked};

/// One host's clocks, as a straight line through the last change.
#[derive(Debug)]
pub struct HostClock {
    line: Mutex<Line>,
    /// Whether its rate will ever change in this run: only then do timers ask to be told.
    drifts: AtomicBool,
    sleepers: Mutex<Sleepers>,
}

/// Timers that want to hear of a change of rate, each under a number of its own.
#[derive(Debug, Default)]
struct Sleepers {
    numbers: u64,
    wakers: BTreeMap<u64, Waker>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    /// World time of the last change.
    from: Duration,
    /// What the monotonic clock read then, in nanoseconds.
    mono: u64,
    /// By how much it runs fast, in parts per million; negative is slow.
    ppm: i64,
    /// What the wall clock adds to the monotonic one, in milliseconds.
    wall_offset_ms: i64,
    /// It stands still: the whole machine does.
    frozen: bool,
}

/// Scenarios last two days at most.
const LONGER_THAN_ANY_RUN: Duration = Duration::from_secs(30 * 24 * 3600);

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl HostClock {
    /// A true clock whose monotonic origin lies `age` before the world's beginning.
    pub fn new(age: Duration) -> Self {
        let mono = nanos(age);
        let wall_offset_ms = WALL_ORIGIN_MS - i64::try_from(mono / 1_000_000).unwrap_or(0);
        Self {
            line: Mutex::new(Line { from: Duration::ZERO, mono, ppm: 0, wall_offset_ms, frozen: false }),
            drifts: AtomicBool::new(false),
            sleepers: Mutex::default(),
        }
    }

    /// What the clocks read at world time `at`.
    pub fn read(&self, at: Duration) -> Now {
        let line = *locked(&self.line);
        let mono = line.mono_at(at);
        let wall = i64::try_from(mono / 1_000_000).unwrap_or(i64::MAX) + line.wall_offset_ms;
        Now { mono: Mono::from_nanos(mono), wall: Wall::from_millis(wall) }
    }

    /// The first world time at which the monotonic clock reads at least `deadline`, if its rate stays.
    pub fn when(&self, deadline: Mono, at: Duration) -> Duration {
        let line = *locked(&self.line);
        if line.frozen {
            // Nothing rings before it thaws, and then every sleeper looks again.
            return at + LONGER_THAN_ANY_RUN;
        }
        let left = deadline.as_nanos().saturating_sub(line.mono_at(at));
        let rate = 1_000_000 + i128::from(line.ppm);
        let world = (i128::from(left) * 1_000_000 + rate - 1) / rate;
        at + Duration::from_nanos(u64::try_from(world).unwrap_or(u64::MAX))
    }

    /// Steps the wall clock; the monotonic one does not step.
    pub fn step_wall(&self, by_ms: i64) {
        locked(&self.line).wall_offset_ms += by_ms;
    }

    /// Runs fast or slow from world time `at` on.
    pub fn set_rate(&self, at: Duration, ppm: i64) {
        self.change(|line| Line { from: at, mono: line.mono_at(at), ppm, ..line });
    }

    /// Both clocks stand still from world time `at` on.
    pub fn freeze(&self, at: Duration) {
        self.change(|line| Line { from: at, mono: line.mono_at(at), frozen: true, ..line });
    }

    /// They go on from where they stood, and stay behind.
    pub fn thaw(&self, at: Duration) {
        self.change(|line| Line { from: at, frozen: false, ..line });
    }

    fn change(&self, next: impl FnOnce(Line) -> Line) {
        {
            let mut line = locked(&self.line);
            *line = next(*line);
        }
        std::mem::take(&mut locked(&self.sleepers).wakers).into_values().for_each(Waker::wake);
    }

    /// Says that its rate may change; before anything sleeps on it.
    pub fn will_drift(&self) {
        self.drifts.store(true, Ordering::Relaxed);
    }

    /// Wakes `cx` when the rate changes; `number` is the timer's own, given at the first call.
    fn wake_on_change(&self, cx: &Context<'_>, number: &mut Option<u64>) {
        if self.drifts.load(Ordering::Relaxed) {
            let mut sleepers = locked(&self.sleepers);
            let number = *number.get_or_insert_with(|| {
                sleepers.numbers += 1;
                sleepers.numbers
            });
            sleepers.wakers.insert(number, cx.waker().clone());
        }
    }

    fn forget(&self, number: u64) {
        locked(&self.sleepers).wakers.remove(&number);
    }

    /// By how much it runs fast, in parts per million, and from when on: another value means that timers must
    /// look again.
    fn rate(&self) -> (i64, Duration) {
        let line = locked(&self.line);
        (line.ppm, line.from)
    }
}

impl Line {
    fn mono_at(self, at: Duration) -> u64 {
        if self.frozen {
            return self.mono;
        }
        let elapsed = nanos(at.saturating_sub(self.from));
        if self.ppm == 0 {
            return self.mono + elapsed;
        }
        let gained = i128::from(elapsed) * i128::from(self.ppm) / 1_000_000;
        let mono = i128::from(self.mono) + i128::from(elapsed) + gained;
        u64::try_from(mono).unwrap_or(0)
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_secs() * NANOS_PER_SECOND + u64::from(duration.subsec_nanos())
}

/// The clock port of one life of one host: its readings are its host's, its timers stand still while the host
/// does and never ring for a life that has ended.
#[derive(Clone)]
pub struct SimClock {
    /// Where time comes from.
    pub world: Arc<World>,
    /// Whose clock.
    pub life: Arc<Life>,
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        self.life.host.clock.read(self.world.now())
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { clock: self.clone(), deadline, timer: None, rate: (0, Duration::ZERO), number: None })
    }
}

/// A timer of one host's monotonic clock.
struct Sleep {
    clock: SimClock,
    deadline: Mono,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    /// Under which rate the timer was set.
    rate: (i64, Duration),
    /// Under which number the clock knows it.
    number: Option<u64>,
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.clock.life.host.clock.forget(number);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    #[allow(clippy::disallowed_methods)] // The world is where time comes from.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let (world, life) = (&this.clock.world, &this.clock.life);
        if !life.poll_running(cx) {
            return Poll::Pending;
        }
        let clock = &life.host.clock;
        loop {
            let at = world.now();
            let rate = clock.rate();
            let timer = match &mut this.timer {
                Some(timer) if this.rate == rate => timer,
                _ => {
                    this.rate = rate;
                    let wakes = world.instant(clock.when(this.deadline, at));
                    this.timer.insert(Box::pin(tokio::time::sleep_until(wakes)))
                }
            };
            clock.wake_on_change(cx, &mut this.number);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.timer = None;
            if clock.read(world.now()).mono >= this.deadline {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_fast_clock_reaches_its_deadline_early_and_not_before() {
        let clock = HostClock::new(100 * SECOND);
        clock.set_rate(10 * SECOND, 20_000);
        let deadline = clock.read(10 * SECOND).mono.plus(102 * SECOND);
        let when = clock.when(deadline, 10 * SECOND);
        assert_eq!(when, 110 * SECOND);
        assert!(clock.read(when).mono >= deadline);
        assert!(clock.read(when - Duration::from_micros(1)).mono < deadline);
    }

    #[test]
    fn a_frozen_clock_stands_still_and_stays_behind() {
        let clock = HostClock::new(SECOND);
        let before = clock.read(10 * SECOND);
        clock.freeze(10 * SECOND);
        assert_eq!(clock.read(70 * SECOND), before);
        clock.thaw(70 * SECOND);
        let after = clock.read(71 * SECOND);
        assert_eq!(after.mono.since(before.mono), SECOND);
        assert_eq!(after.wall.since(before.wall), SECOND);
        assert_eq!(clock.when(before.mono.plus(5 * SECOND), 71 * SECOND), 75 * SECOND);
    }

    #[test]
    fn a_wall_step_leaves_the_monotonic_clock_alone() {
        let clock = HostClock::new(SECOND);
        let before = clock.read(SECOND);
        clock.step_wall(-30_000);
        let after = clock.read(SECOND);
        assert_eq!(before.mono, after.mono);
        assert_eq!(before.wall.since(after.wall), 30 * SECOND);
    }
}
