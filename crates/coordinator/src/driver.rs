//! The one event loop: wait, think, do.
//!
//! ```text
//!   deadline ─┐
//!   replies  ─┤                 ┌─► port calls, each bounded, all beside the loop
//!   hints    ─┼─► step(event) ──┼─► answers to those who asked
//!   questions─┘                 └─► notices
//! ```
//!
//! It decides nothing. It must never: let one slow call delay another or a deadline, run a call without a
//! bound, or keep anything alive that outlives it: dropping the future of [`Driver::run`] drops every call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{
    Answer, Call, CallId, Command, Event, IdentityRule, Machine, Mono, Now, Outcome, PortError, Reply, RequestId,
    Timing,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::handle::{Handle, Question, Status};
use crate::ports::{BoxFuture, Broker, Clock, LeaseStore, SignalStore};
use crate::timeout::until;

/// How many questions may wait for the loop; more wait in their askers.
const QUESTIONS: usize = 64;

/// A broker port bounds itself, because only it knows whether a byte has left; this much later it is given up.
const BROKER_GRACE: Duration = Duration::from_millis(250);

/// The outside of one node.
#[derive(Clone)]
pub struct Ports {
    /// Both clocks.
    pub clock: Arc<dyn Clock>,
    /// The failure detector.
    pub lease: Arc<dyn LeaseStore>,
    /// The authority.
    pub store: Arc<dyn SignalStore>,
    /// Where orders go.
    pub broker: Arc<dyn Broker>,
}

/// Sees each step: logs, metrics, recordings and simulation traces feed on it.
pub trait Observer: Send + 'static {
    /// Before the step.
    fn hears(&mut self, now: Now, event: &Event) {
        let _ = (now, event);
    }

    /// After the step, before anything is done.
    fn says(&mut self, now: Now, commands: &[Command]) {
        let _ = (now, commands);
    }
}

/// Both see each step, the first one first.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn hears(&mut self, now: Now, event: &Event) {
        self.0.hears(now, event);
        self.1.hears(now, event);
    }

    fn says(&mut self, now: Now, commands: &[Command]) {
        self.0.says(now, commands);
        self.1.says(now, commands);
    }
}

/// The loop of one node, to be run to its end.
pub struct Driver<M> {
    machine: M,
    ports: Ports,
    bounds: Bounds,
    observer: Box<dyn Observer>,
    questions: mpsc::Receiver<Question>,
    askers: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    last_request: RequestId,
    status: watch::Sender<Status>,
}

#[derive(Clone, Copy)]
struct Bounds {
    lease: Duration,
    store: Duration,
    broker: Duration,
}

impl<M: Machine> Driver<M> {
    /// A loop around `machine`, and the handle by which the process talks to it.
    pub fn new(
        machine: M,
        ports: Ports,
        timing: &Timing,
        identity: IdentityRule,
        observer: Box<dyn Observer>,
    ) -> (Self, Handle) {
        let (ask, questions) = mpsc::channel(QUESTIONS);
        let (status, watch) = watch::channel(Status::default());
        let driver = Self {
            machine,
            ports,
            bounds: Bounds { lease: timing.lease_timeout, store: timing.store_timeout, broker: timing.broker_timeout },
            observer,
            questions,
            askers: BTreeMap::new(),
            last_request: RequestId::default(),
            status,
        };
        (driver, Handle::new(ask, watch, identity))
    }

    /// Runs until a [`Event::Shutdown`] has been carried out. Dropped halfway it leaves what a crash leaves.
    pub async fn run(mut self) {
        let mut calls = FuturesUnordered::new();
        let mut released = self.released();
        let mut changed = self.changed();
        let mut timer = Timer::default();
        let mut event = Event::Tick;
        loop {
            let now = self.ports.clock.now();
            self.observer.hears(now, &event);
            let commands = self.machine.step(now, event);
            self.observer.says(now, &commands);
            self.publish();
            for command in commands {
                match command {
                    Command::Call { id, call } => calls.push(self.perform(now, id, call)),
                    Command::Answer { request, answer } => {
                        if let Some(asker) = self.askers.remove(&request) {
                            // An asker who has gone away no longer wants to know.
                            let _ = asker.send(answer);
                        }
                    }
                    // Told by the observer.
                    Command::Notice(_) => {}
                    Command::Stopped => return,
                }
            }
            timer.set(&*self.ports.clock, self.machine.next_deadline());
            event = tokio::select! {
                biased;
                () = timer.wait() => Event::Tick,
                Some((id, reply)) = calls.next() => Event::Replied { id, reply },
                () = &mut released => {
                    released = self.released();
                    Event::LeaseReleased
                }
                () = &mut changed => {
                    changed = self.changed();
                    Event::StoreChanged
                }
                Some(question) = self.questions.recv() => self.hear(question),
            };
        }
    }

    fn released(&self) -> BoxFuture<'static, ()> {
        let lease = Arc::clone(&self.ports.lease);
        Box::pin(async move { lease.released().await })
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        let store = Arc::clone(&self.ports.store);
        Box::pin(async move { store.changed().await })
    }

    fn publish(&self) {
        let authority = self.machine.authority();
        self.status.send_if_modified(|status| {
            let changed = status.authority != authority;
            status.authority = authority;
            changed
        });
    }

    fn hear(&mut self, question: Question) -> Event {
        let mut number = |asker| {
            self.last_request = RequestId(self.last_request.0 + 1);
            self.askers.insert(self.last_request, asker);
            self.last_request
        };
        match question {
            Question::Offer { signal, answer } => Event::Offered { request: number(answer), signal },
            Question::Resolve { fingerprint, resolution, attempts, reason, answer } => {
                Event::Resolve { request: number(answer), fingerprint, resolution, attempts, reason }
            }
            Question::Leadership { answer } => Event::ReadLeadership { request: number(answer) },
            Question::SetPause { paused, seen, reason, answer } => {
                Event::SetPause { request: number(answer), paused, seen, reason }
            }
            Question::StepDown { reason } => Event::StepDown { reason },
            Question::Ping { answer } => {
                // An asker who has gone away no longer wants to know.
                let _ = answer.send(());
                Event::Tick
            }
            Question::Shutdown => Event::Shutdown,
        }
    }

    /// One bounded port call, as a future of the loop's own.
    fn perform(&self, now: Now, id: CallId, call: Call) -> BoxFuture<'static, (CallId, Reply)> {
        let clock = Arc::clone(&self.ports.clock);
        let by = |bound: Duration| now.mono.plus(bound);
        match call {
            Call::Lease(call) => {
                let (lease, deadline) = (Arc::clone(&self.ports.lease), by(self.bounds.lease));
                Box::pin(async move {
                    let reply = until(&*clock, deadline, lease.call(call)).await;
                    (id, Reply::Lease(reply.unwrap_or_else(|| Err(no_answer("the lease", deadline, now)))))
                })
            }
            Call::Store(call) => {
                let (store, deadline) = (Arc::clone(&self.ports.store), by(self.bounds.store));
                Box::pin(async move {
                    let reply = until(&*clock, deadline, store.call(call)).await;
                    (id, Reply::Store(reply.unwrap_or_else(|| Err(no_answer("the store", deadline, now)))))
                })
            }
            Call::Place(order) => {
                let (broker, deadline) = (Arc::clone(&self.ports.broker), by(order.timeout + BROKER_GRACE));
                Box::pin(async move {
                    let outcome = until(&*clock, deadline, broker.place(order)).await;
                    let outcome = outcome.unwrap_or_else(|| Outcome::Unknown(no_answer("the broker", deadline, now).0));
                    (id, Reply::Place(outcome))
                })
            }
            Call::LookUp(order) => {
                let (broker, deadline) = (Arc::clone(&self.ports.broker), by(self.bounds.broker + BROKER_GRACE));
                Box::pin(async move {
                    let answer = until(&*clock, deadline, broker.look_up(order)).await;
                    let answer =
                        answer.unwrap_or_else(|| LookupAnswer::Unavailable(no_answer("the broker", deadline, now).0));
                    (id, Reply::LookUp(answer))
                })
            }
        }
    }
}

fn no_answer(whom: &str, deadline: Mono, asked: Now) -> PortError {
    PortError(format!("{whom} gave no answer within {:?}", deadline.since(asked.mono)))
}

/// The deadline that the loop waits for; kept while it stays the same.
#[derive(Default)]
struct Timer {
    deadline: Option<Mono>,
    sleep: Option<BoxFuture<'static, ()>>,
}

impl Timer {
    fn set(&mut self, clock: &dyn Clock, deadline: Option<Mono>) {
        if self.deadline != deadline || self.sleep.is_none() {
            self.deadline = deadline;
            self.sleep = deadline.map(|at| clock.sleep_until(at));
        }
    }

    async fn wait(&mut self) {
        match &mut self.sleep {
            Some(sleep) => {
                sleep.await;
                self.sleep = None;
            }
            None => std::future::pending().await,
        }
    }
}
