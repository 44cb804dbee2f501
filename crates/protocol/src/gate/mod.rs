//! What may be sent: one signal's way from stored to settled, through an intent that is durable before the
//! first byte leaves.
//!
//! ```text
//!  received ──claim(epoch)──► executing ──order sent──► executed
//!     │  ▲                        │ │ └───────────────► failed       (definite refusal)
//!     │  └── provably not sent ───┘ └──► in doubt ──found──► executed
//!     │                                     │ ├── broker deduplicates ──► placed again, same id
//!     │                                     │ └── otherwise ──► quarantined ──operator──► executed, failed, received
//!     └──deadline passed──► expired
//! ```
//!
//! Of a signal with several legs this is the way of each, one after another: the next is claimed once the one before it was
//! accepted, by whoever leads then, and stays unsent for ever when one before it was refused. Between two legs a signal
//! is *executing* (*in doubt* after a change of leaders), and a refusal or a deadline leaves it *partial* once the broker
//! has any of its orders.
//!
//! While operators have stopped new orders (`pause`), nothing leaves *received* but what expires: no signal is begun, and
//! one that is claimed and not sent yet is handed back. What is in doubt goes on, and so does a signal between its legs. While the broker's side is not ready
//! (`readiness`) what is in doubt waits too.
//!
//! Must never: send without a claim that the store confirmed, send when trust does not outlast the broker's
//! time-out, take silence for refusal, or forget an attempt of its own before the store knows how it ended.

mod pause;
mod readiness;
mod recovery;
mod task;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use crate::broker::Capabilities;
use crate::call::{Call, PortError, Reply, StoreCall, StoreReply, Verdict};
use crate::election::Authority;
use crate::fingerprint::Fingerprint;
use crate::ids::{CallId, Epoch};
use crate::notice::Notice;
use crate::outbox::Outbox;
use crate::record::{Pause, SignalRecord, SignalState};
use crate::time::{Mono, Now};
use crate::timing::Timing;
use task::{Stage, Task};
use told::Told;

/// How many signals of each kind are read from the store at a time.
const READ_LIMIT: u32 = 64;

/// The gate of one process: closed unless it holds an [`Authority`].
#[derive(Clone, Debug)]
pub struct Gate {
    timing: Timing,
    capabilities: Capabilities,
    authority: Option<Authority>,
    reading: Reading,
    /// What was let go since the read under way began: the picture that it brings may be older than that.
    let_go: BTreeSet<Fingerprint>,
    /// Received and not begun, or between two legs; in order of arrival.
    queue: BTreeMap<u64, SignalRecord>,
    /// Begun and not settled.
    tasks: BTreeMap<Fingerprint, Task>,
    /// Which task waits for which call.
    calls: BTreeMap<CallId, Fingerprint>,
    /// Signals that are left alone for a while after a try that led nowhere.
    rests: BTreeMap<Fingerprint, Rest>,
    /// Outlasts leaderships: an operator need not be woken by one process twice.
    told: Told,
    /// What operators last said of new orders, as far as is known here. Outlasts leaderships for the same reason; the
    /// store is what refuses, and the first look of each leadership what corrects.
    paused: Option<Pause>,
    /// Somebody is there on the broker's side.
    broker_ready: bool,
    fenced_by: Option<Epoch>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    under_way: Option<CallId>,
    /// Something may have been added since the read under way began.
    again: bool,
    /// What the read under way says of new orders is older than what is known.
    old_pause: bool,
    /// The next read even without a hint, because hints may be lost.
    due: Mono,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Mono,
    tries: u32,
}

impl Reading {
    fn due(at: Mono) -> Self {
        Self { under_way: None, again: false, old_pause: false, due: at }
    }
}

impl Gate {
    /// A closed gate. The capabilities are what the broker declares; recovery believes nothing else.
    pub fn new(timing: Timing, capabilities: Capabilities) -> Self {
        Self {
            timing,
            capabilities,
            authority: None,
            reading: Reading::due(Mono::MAX),
            let_go: BTreeSet::new(),
            queue: BTreeMap::new(),
            tasks: BTreeMap::new(),
            calls: BTreeMap::new(),
            rests: BTreeMap::new(),
            told: Told::default(),
            paused: None,
            broker_ready: true,
            fenced_by: None,
        }
    }

    /// Whether no attempt of this process still awaits its outcome, or its outcome the store.
    pub fn is_drained(&self) -> bool {
        self.tasks.values().all(|task| !task.is_own_business())
    }

    /// What operators last said of new orders, as far as is known here.
    pub fn paused(&self) -> Option<&Pause> {
        self.paused.as_ref()
    }

    /// The newest epoch, when the store refused an act for it since the last call.
    pub fn take_fenced(&mut self) -> Option<Epoch> {
        self.fenced_by.take()
    }

    /// When [`Gate::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        let tasks = self.tasks.values().filter_map(Task::next_deadline).min();
        let reading = (self.authority.is_some() && self.reading.under_way.is_none()).then_some(self.reading.due);
        // While nothing may begin the next look wakes what may have expired.
        let rests = if self.authority.is_some() && self.has_room() {
            let waiting = self.queue.values().filter(|record| self.may_begin(record));
            waiting.filter_map(|record| self.rests.get(&record.fingerprint)).map(|rest| rest.until).min()
        } else {
            None
        };
        [tasks, reading, rests].into_iter().flatten().min()
    }

    /// Opens, moves or closes the gate. Closing forgets all that is not about attempts of this process.
    pub fn set_authority(&mut self, now: Now, authority: Option<Authority>, out: &mut Outbox) {
        let same_epoch = match (&self.authority, &authority) {
            (Some(old), Some(new)) => old.epoch == new.epoch,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.authority = authority;
        if same_epoch {
            return;
        }
        self.queue.clear();
        self.rests.clear();
        self.reading = Reading::due(now.mono);
        let mut ended = Vec::new();
        for (fingerprint, task) in &mut self.tasks {
            task.on_authority_lost();
            if !task.is_own_business() {
                ended.push(*fingerprint);
            }
        }
        for fingerprint in ended {
            self.forget(&fingerprint);
        }
        self.tick(now, out);
    }

    /// Something may have been added to the store.
    pub fn on_store_changed(&mut self, now: Now) {
        if self.reading.under_way.is_some() {
            self.reading.again = true;
        } else {
            self.reading.due = now.mono;
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now, out: &mut Outbox) {
        let due: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.next_deadline().is_some_and(|at| now.mono >= at))
            .map(|(fingerprint, _)| *fingerprint)
            .collect();
        for fingerprint in due {
            self.advance(now, fingerprint, out);
        }
        if self.authority.is_some() && self.reading.under_way.is_none() && now.mono >= self.reading.due {
            self.reading.under_way = Some(out.call(Call::Store(StoreCall::ReadPending { limit: READ_LIMIT })));
            self.let_go.clear();
        }
        self.begin_next(now, out);
    }

    /// A completion. Those that nothing waits for are stale, and change nothing.
    pub fn on_reply(&mut self, now: Now, id: CallId, reply: Reply, out: &mut Outbox) {
        if self.reading.under_way == Some(id) {
            self.reading.under_way = None;
            self.on_pending(now, reply, out);
        } else if let Some(fingerprint) = self.calls.remove(&id) {
            self.on_task_reply(now, fingerprint, reply, out);
            if self.fenced_by.is_some() {
                // Closed here and now; the election hears of it in the same step.
                self.set_authority(now, None, out);
            }
            self.tick(now, out);
        }
    }

    /// Panics when an invariant of the gate does not hold: a node that is wrong about itself must not trade.
    pub fn check_invariants(&self, now: Now, commands: &[crate::command::Command]) {
        for (id, fingerprint) in &self.calls {
            let task = self.tasks.get(fingerprint).expect("a call belongs to a task");
            assert_eq!(task.awaits(), Some(*id), "the task waits for its call");
        }
        for (fingerprint, task) in &self.tasks {
            if let Some(id) = task.awaits() {
                assert_eq!(self.calls.get(&id), Some(fingerprint), "an awaited call is known");
            }
            assert!(self.authority.is_some() || task.is_own_business(), "a closed gate only finishes its own attempts");
            assert!(
                !matches!(task.stage, Stage::Placing { .. }) || task.own.is_some(),
                "sent only under a durable claim"
            );
        }
        assert!(self.authority.is_some() || self.queue.is_empty(), "a closed gate has no queue");
        assert!(self.busy() <= self.timing.in_flight, "no more signals in flight than allowed");
        for command in commands {
            if let crate::command::Command::Call { call: Call::Place(order), .. } = command {
                let authority = self.authority.as_ref().expect("orders leave through an open gate only");
                assert_eq!(order.epoch, authority.epoch, "orders bear the epoch they were claimed under");
                assert!(order.send_before > now.mono, "an order leaves only while there is time to send it");
                let ends_by = order.send_before.plus(order.timeout);
                assert!(ends_by <= authority.trusted_until, "trust outlasts the broker's time-out");
            }
        }
    }

    // ---- from the store to the queue

    fn on_pending(&mut self, now: Now, reply: Reply, out: &mut Outbox) {
        if self.authority.is_none() {
            return;
        }
        // The hint's safety net: once per lease time even if nobody says that something changed.
        self.reading.due = now.mono.plus(self.timing.ttl / 2);
        if std::mem::take(&mut self.reading.again) {
            self.reading.due = now.mono;
        }
        match reply {
            Reply::Store(Ok(StoreReply::Pending { records, paused })) => {
                if std::mem::take(&mut self.reading.old_pause) {
                    self.reading.due = now.mono;
                } else {
                    self.learn_pause(paused, out);
                }
                let let_go = std::mem::take(&mut self.let_go);
                let waiting = records.iter().filter(|record| record.state.awaits_operator());
                self.told.keep(&waiting.map(|record| record.fingerprint).collect(), &let_go);
                for record in records {
                    if let_go.contains(&record.fingerprint) {
                        // Seen before it ended: an order that was sent and recorded would look unsent.
                        self.reading.due = now.mono;
                        continue;
                    }
                    if self.is_doubt_ended_by(&record) {
                        self.forget(&record.fingerprint);
                    }
                    if !self.tasks.contains_key(&record.fingerprint) {
                        self.take_up(now, record, out);
                    }
                }
            }
            other => {
                self.reading.old_pause = false;
                out.port_failed("read what is pending", &unexpected(other));
                self.reading.due = now.mono.plus(self.timing.backoff(1));
            }
        }
        self.tick(now, out);
    }

    fn take_up(&mut self, now: Now, record: SignalRecord, out: &mut Outbox) {
        match record.state {
            SignalState::Received => {
                self.queue.insert(record.sequence, record);
            }
            SignalState::Executing | SignalState::InDoubt if record.is_between_legs() => {
                self.queue.insert(record.sequence, record);
            }
            SignalState::Executing | SignalState::InDoubt => self.take_up_unfinished(now, record, out),
            SignalState::Quarantined | SignalState::Partial => {
                self.rests.remove(&record.fingerprint);
                self.queue.remove(&record.sequence);
                if self.told.note(&record, record.state) {
                    let detail = "found so in the store; it waits for an operator".into();
                    let (fingerprint, state) = (record.fingerprint, record.state);
                    out.notice(Notice::Settled { fingerprint, state, detail });
                }
            }
            SignalState::Executed | SignalState::Failed | SignalState::Expired => {}
        }
    }

    /// Whether the store knows the end of a doubt that is still open here.
    fn is_doubt_ended_by(&self, record: &SignalRecord) -> bool {
        let Some(task) = self.tasks.get(&record.fingerprint) else { return false };
        let in_doubt =
            task.doubt_since.is_some() && matches!(task.stage, Stage::Doubtful { .. } | Stage::Asking { .. });
        match record.state {
            // Whoever left it unfinished has proved since that nothing was sent. A doubt of one's own ends by
            // one's own hand alone.
            SignalState::Received => in_doubt && task.own.is_none(),
            // The verdict's reply was lost, and no attempt was added after it.
            SignalState::Quarantined | SignalState::Partial => {
                in_doubt && task.record.attempts.len() <= record.attempts.len()
            }
            // The leg in doubt is so no more: accepted, by the word of who sent it or a verdict whose reply was lost; or
            // proved not to have been sent.
            SignalState::Executing | SignalState::InDoubt => {
                let accepted = record.has_accepted(task.leg);
                in_doubt && (accepted || task.own.is_none() && record.is_between_legs())
            }
            SignalState::Executed | SignalState::Failed | SignalState::Expired => false,
        }
    }

    fn busy(&self) -> usize {
        self.tasks.values().filter(|task| task.is_in_flight()).count()
    }

    fn has_room(&self) -> bool {
        self.busy() < self.timing.in_flight
    }

    /// Begins the oldest signal that does not rest, those between two legs first, as long as there is room.
    fn begin_next(&mut self, now: Now, out: &mut Outbox) {
        while self.authority.is_some() && self.has_room() {
            let rested =
                |record: &SignalRecord| self.rests.get(&record.fingerprint).is_none_or(|r| now.mono >= r.until);
            let may_begin = |record: &SignalRecord| self.may_begin(record) || has_expired(record, now);
            let waiting = self.queue.iter().filter(|(_, record)| rested(record) && may_begin(record));
            let next = waiting.min_by_key(|(_, record)| record.state == SignalState::Received);
            let Some(sequence) = next.map(|(sequence, _)| *sequence) else { return };
            let Some(record) = self.queue.remove(&sequence) else { return };
            self.begin(now, record, out);
        }
    }

    fn begin(&mut self, now: Now, record: SignalRecord, out: &mut Outbox) {
        if self.tasks.contains_key(&record.fingerprint) {
            return;
        }
        let fingerprint = record.fingerprint;
        let expired = has_expired(&record, now);
        self.tasks.insert(fingerprint, Task::new(record));
        if expired {
            self.conclude(now, fingerprint, Verdict::Expire, out);
        } else {
            self.claim(now, fingerprint, crate::call::Purpose::Execute, out);
        }
    }

    // ---- bookkeeping shared by the stages

    /// Puts a task into the stage that waits for `call`.
    fn ask(&mut self, fingerprint: Fingerprint, call: Call, stage: impl FnOnce(CallId) -> Stage, out: &mut Outbox) {
        if let Some(task) = self.tasks.get_mut(&fingerprint) {
            let id = out.call(call);
            task.stage = stage(id);
            self.calls.insert(id, fingerprint);
        }
    }

    fn forget(&mut self, fingerprint: &Fingerprint) {
        if let Some(task) = self.tasks.remove(fingerprint) {
            if let Some(id) = task.awaits() {
                self.calls.remove(&id);
            }
            if self.reading.under_way.is_some() {
                self.let_go.insert(*fingerprint);
            }
        }
    }

    /// Lets go of a signal that did not get on, and asks the store for it, which has the last word. Whatever is
    /// begun with it next rests before that, longer each time, so that no disagreement becomes a tight loop.
    fn rest(&mut self, now: Now, fingerprint: Fingerprint) {
        let tries = self.rests.get(&fingerprint).map_or(0, |rest| rest.tries) + 1;
        self.rests.insert(fingerprint, Rest { until: now.mono.plus(self.timing.backoff(tries)), tries });
        self.forget(&fingerprint);
        self.on_store_changed(now);
    }

    fn settle(&mut self, fingerprint: Fingerprint, state: SignalState, detail: String, out: &mut Outbox) {
        if let Some(task) = self.tasks.get(&fingerprint).filter(|_| state.awaits_operator()) {
            self.told.note(&task.record, state);
        }
        self.forget(&fingerprint);
        self.rests.remove(&fingerprint);
        out.notice(Notice::Settled { fingerprint, state, detail });
    }
}

fn has_expired(record: &SignalRecord, now: Now) -> bool {
    record.expires_at.is_some_and(|at| now.wall >= at)
}

/// The error behind a reply that is not the expected one.
fn unexpected(reply: Reply) -> PortError {
    match reply {
        Reply::Store(Err(error)) | Reply::Lease(Err(error)) => error,
        Reply::Store(Ok(reply)) => PortError(format!("answered something else: {reply:?}")),
        Reply::Lease(Ok(reply)) => PortError(format!("answered something else: {reply:?}")),
        Reply::Place(_) | Reply::LookUp(_) => PortError("answered by another port".into()),
    }
}
