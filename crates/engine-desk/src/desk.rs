//! The port, and the three routes that engines use.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{BoxFuture, Broker, Clock, Handle, SignalStore};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{Capabilities, ClientOrderId, Mono, Order, Outcome};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::config::DeskConfig;
use crate::error::DeskError;
use crate::id::{self, AttemptKey};
use crate::presence::Presence;
use crate::state::{Handed, Heard, Number, Placing, State, Turn};
use crate::wire::{BeginRequest, Begun, Finished, MAX_KEY_BYTES, MAX_WAIT, Report, Task, WorkItem};

/// A [`Broker`] that hands its work to an engine; see the crate's page. Cheap to clone: all clones are one desk.
#[derive(Clone)]
pub struct EngineDesk(Arc<Inner>);

struct Inner {
    config: DeskConfig,
    clock: Arc<dyn Clock>,
    store: Arc<dyn SignalStore>,
    state: Mutex<State>,
    /// A work has become free for one who asks.
    offered: Notify,
    /// Something was handed out, told or refused that someone may wait for.
    told: Notify,
    presence: Presence,
    handle: OnceLock<Handle>,
}

impl EngineDesk {
    /// An empty desk. `store` is the node's own: outcomes that the gate no longer waits for go there.
    pub fn new(config: DeskConfig, clock: Arc<dyn Clock>, store: Arc<dyn SignalStore>) -> Self {
        Self(Arc::new(Inner {
            config,
            clock,
            store,
            state: Mutex::default(),
            offered: Notify::new(),
            told: Notify::new(),
            presence: Presence::default(),
            handle: OnceLock::new(),
        }))
    }

    /// Names the node whose orders these are, so that a begin is refused from the step on in which it stops leading.
    /// Only the first call counts. Without it the order's own time to send is the only bound.
    pub fn follow(&self, handle: Handle) {
        // A desk serves one node for its life.
        let _ = self.0.handle.set(handle);
    }

    /// `GET /v1/work`: the oldest work that nobody has, as soon as there is one; none when there was none within
    /// `wait` (cut to [`MAX_WAIT`]). Who asks first gets it first. Dropping it leaves the work to others.
    ///
    /// # Errors
    /// [`DeskError::Crowded`].
    pub async fn work(&self, wait: Duration) -> Result<Option<WorkItem>, DeskError> {
        let inner = &*self.0;
        let _asking = inner.presence.asks(&*inner.clock)?;
        let deadline = inner.clock.now().mono.plus(wait.min(MAX_WAIT));
        loop {
            let mut offered = pin!(inner.offered.notified());
            offered.as_mut().enable();
            let now = inner.clock.now().mono;
            if let Some(handed) = inner.state().hand_out(now, inner.config.hold) {
                // Whoever waits for its end sees to it that others get it when the hold is over.
                inner.told.notify_waiters();
                return Ok(Some(self.item(handed, now)));
            }
            if until(&*inner.clock, deadline, offered).await.is_none() {
                return Ok(None);
            }
        }
    }

    /// `POST /v1/attempts`: takes an order on. The intent has been committed; from here on the order may be on its
    /// way, and only a definite outcome says otherwise.
    ///
    /// # Errors
    /// [`DeskError`]: nothing may be sent, whatever it is.
    pub fn begin(&self, request: &BeginRequest) -> Result<Begun, DeskError> {
        let inner = &*self.0;
        let key = request.key.as_deref();
        if key.is_some_and(|key| key.is_empty() || key.len() > MAX_KEY_BYTES) {
            let detail = format!("key must have 1 to {MAX_KEY_BYTES} bytes, drawn at random for this begin");
            return Err(DeskError::Malformed { pointer: Some("/key"), detail });
        }
        let number = match id::read(&request.work_id) {
            Some(name) if name.attempt.is_none() => (name.nonce == inner.config.boot_nonce).then_some(name.number),
            Some(_) | None => {
                let detail = format!("{:?} is no work_id: use that of GET /v1/work", request.work_id);
                return Err(DeskError::Malformed { pointer: Some("/work_id"), detail });
            }
        };
        let number = number.ok_or(DeskError::WorkOver)?;
        // The clock is read under the lock: a begin is before its time-out, or it is none.
        let mut state = inner.state();
        let now = inner.clock.now().mono;
        inner.presence.heard_of(now);
        let begun = state.begin(number, key, now, |placing| inner.leads(placing, now));
        drop(state);
        if matches!(begun, Err(DeskError::NotLeading)) {
            inner.told.notify_waiters();
        }
        let Placing { order, key, deadline, .. } = begun?;
        Ok(Begun {
            attempt_id: id::attempt_name(inner.config.boot_nonce, number, &key),
            client_order_id: order.client_order_id,
            epoch: order.epoch,
            fingerprint: order.fingerprint,
            leg: order.leg,
            number: key.number,
            send_within_ms: millis(order.send_before.min(deadline).since(now)),
            answer_within_ms: millis(deadline.since(now)),
        })
    }

    /// `POST /v1/attempts/{id}/outcome`: how an attempt ended, or what a look-up found. May be repeated, at any node and
    /// after any crash: knowledge only grows. Dropping it leaves it unknown whether it was taken.
    ///
    /// # Errors
    /// [`DeskError`]; to be said again when its status is 503.
    pub async fn finish(&self, id: &str, report: Report) -> Result<Finished, DeskError> {
        report.check()?;
        let name = id::read(id).ok_or_else(|| DeskError::NoSuchAttempt(id.to_owned()))?;
        self.0.presence.heard_of(self.0.clock.now().mono);
        let ours = name.nonce == self.0.config.boot_nonce;
        match (name.attempt, report.outcome(), report.lookup_answer()) {
            (Some(key), Some(outcome), _) => self.outcome(ours.then_some(name.number), &key, &report, outcome).await,
            (None, _, Some(answer)) => {
                let number = ours.then_some(name.number).ok_or(DeskError::WorkOver)?;
                self.0.state().answer(number, answer)?;
                self.0.told.notify_waiters();
                Ok(Finished { in_time: true, state: None })
            }
            (Some(_), None, _) => Err(misplaced("an attempt ends as accepted, rejected, not_sent or unknown")),
            (None, _, None) => Err(misplaced(
                "a look-up is answered by found, not_found or unavailable; for an order, name the attempt_id that \
                 POST /v1/attempts answered with",
            )),
        }
    }

    /// Whether an engine is there to take work, now.
    pub fn is_attended(&self) -> bool {
        self.0.presence.is_there(self.0.clock.now().mono, self.0.config.grace)
    }

    /// Ready when [`EngineDesk::is_attended`] is no longer `was`; returns what it is. For one who waits at a time.
    /// Dropping it leaves nothing.
    pub async fn attendance_changed(&self, was: bool) -> bool {
        self.0.presence.changed(was, &*self.0.clock, self.0.config.grace).await
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn store(&self) -> &dyn SignalStore {
        &*self.0.store
    }

    pub(crate) fn config(&self) -> &DeskConfig {
        &self.0.config
    }

    async fn outcome(
        &self,
        number: Option<Number>,
        key: &AttemptKey,
        report: &Report,
        outcome: Outcome,
    ) -> Result<Finished, DeskError> {
        let heard = match number {
            Some(number) => self.0.state().report(number, key, report),
            None => Ok(Heard::Forgotten),
        };
        if let Err(refused @ DeskError::Contradiction { .. }) = &heard {
            let fingerprint = key.fingerprint.short();
            tracing::error!(fingerprint, attempt = key.number, "an engine contradicts itself: {refused}");
        }
        let heard = heard?;
        let in_time = heard == Heard::InTime;
        if in_time {
            self.0.told.notify_waiters();
        }
        // An acceptance is written even when the gate will: this process may end before the gate has written it, and
        // then nobody but the engine knows.
        let is_written = match (&outcome, heard) {
            (Outcome::Accepted(_), _) => true,
            (Outcome::Rejected(_), Heard::Late { refusal_holds }) => refusal_holds,
            (Outcome::Rejected(_) | Outcome::NotSent(_) | Outcome::Unknown(_), _) => false,
        };
        let state = if is_written { Some(self.record(key, outcome).await?) } else { None };
        Ok(Finished { in_time, state })
    }

    fn item(&self, handed: Handed, now: Mono) -> WorkItem {
        let (number, task, by) = match handed {
            Handed::Place { number, body, fingerprint, leg, begin_by } => {
                (number, Task::Place { fingerprint, leg, body }, begin_by)
            }
            Handed::LookUp { number, id, deadline } => (number, Task::LookUp { client_order_id: id }, deadline),
        };
        let work_id = id::work_name(self.0.config.boot_nonce, number);
        WorkItem { work_id, task, answer_within_ms: millis(by.since(now)) }
    }

    async fn place_order(&self, order: Order) -> Outcome {
        let inner = &*self.0;
        let started = inner.clock.now().mono;
        if started >= order.send_before {
            return Outcome::NotSent("the time to send had run out before the order was offered".into());
        }
        let body: Box<RawValue> = match serde_json::from_slice(&order.body) {
            Ok(body) => body,
            Err(flaw) => return Outcome::NotSent(format!("the signal is not JSON: {flaw}")),
        };
        // What is left after a begin is the engine's, to place the order and to tell of it.
        let begin_by = order.send_before.min(started.plus(order.timeout / 2));
        let deadline = started.plus(order.timeout);
        let (key, alone) = match self.attempt_of(&order, begin_by).await {
            Ok(found) => found,
            Err(outcome) => return outcome,
        };
        let placing = Placing { order, body, key, alone, begin_by, deadline };
        let seat = match inner.state().offer(placing) {
            Ok(number) => Seat { inner, number },
            Err(outcome) => return outcome,
        };
        inner.offered.notify_one();
        seat.wait(|state, now| state.turn(seat.number, now)).await
    }

    async fn look_up_order(&self, id: ClientOrderId) -> LookupAnswer {
        let inner = &*self.0;
        let deadline = inner.clock.now().mono.plus(inner.config.look_up_timeout);
        let seat = Seat { inner, number: inner.state().offer_look_up(id, deadline) };
        inner.offered.notify_one();
        seat.wait(|state, now| state.turn_look_up(seat.number, now)).await
    }
}

/// Where someone waits for a work; leaving it closes the work.
struct Seat<'a> {
    inner: &'a Inner,
    number: Number,
}

impl Seat<'_> {
    async fn wait<T>(&self, mut turn: impl FnMut(&mut State, Mono) -> Turn<T>) -> T {
        loop {
            let mut told = pin!(self.inner.told.notified());
            told.as_mut().enable();
            // The clock is read under the lock, as at the begin.
            let turn = {
                let mut state = self.inner.state();
                let now = self.inner.clock.now().mono;
                turn(&mut state, now)
            };
            match turn {
                Turn::Done(over) => return over,
                Turn::Wait { until: next, offered } => {
                    if offered {
                        self.inner.offered.notify_one();
                    }
                    // Whether time or a word woke this, the next turn looks.
                    let _ = until(&*self.inner.clock, next, told).await;
                }
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.inner.state().close(self.number);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock leaves it half changed, so a panic elsewhere doesn't spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leads(&self, placing: &Placing, now: Mono) -> bool {
        self.handle.get().is_none_or(|handle| {
            handle.status().authority.is_some_and(|authority| {
                authority.epoch == placing.order.epoch
                    && authority.holder == placing.key.owner
                    && now < authority.trusted_until
            })
        })
    }
}

impl Broker for EngineDesk {
    fn capabilities(&self) -> &Capabilities {
        &self.0.config.capabilities
    }

    fn place(&self, order: Order) -> BoxFuture<'_, Outcome> {
        Box::pin(self.place_order(order))
    }

    fn look_up(&self, id: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        Box::pin(self.look_up_order(id))
    }

    fn readiness(&self, was: bool) -> BoxFuture<'_, bool> {
        Box::pin(self.attendance_changed(was))
    }
}

fn misplaced(detail: &str) -> DeskError {
    DeskError::Malformed { pointer: Some("/outcome"), detail: detail.into() }
}

/// Whole milliseconds, rounded down.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
