//! One node: election and gate joined, with the door for signals in front.
//!
//! ```text
//!   Event ──► deadlines first ──► election ──authority──► gate ──► Commands
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::Capabilities;
use crate::call::{Call, Reply, StoreCall, StoreReply};
use crate::command::{Answer, Command};
use crate::election::{Authority, Election};
use crate::event::Event;
use crate::fingerprint::Fingerprint;
use crate::gate::Gate;
use crate::ids::{CallId, InstanceId, RequestId};
use crate::outbox::Outbox;
use crate::time::{Mono, Now};
use crate::timing::{Timing, TimingError};

/// What the driver drives. Production has one implementation, [`Node`]; the harness has wrong ones.
pub trait Machine: Send + 'static {
    /// Hears one event and says what to do. Nothing is awaited between the check and the act.
    fn step(&mut self, now: Now, event: Event) -> Vec<Command>;

    /// When to send [`Event::Tick`] at the latest.
    fn next_deadline(&self) -> Option<Mono>;

    /// The right to act, while this node leads.
    fn authority(&self) -> Option<Authority>;
}

impl<M: Machine + ?Sized> Machine for Box<M> {
    fn step(&mut self, now: Now, event: Event) -> Vec<Command> {
        (**self).step(now, event)
    }

    fn next_deadline(&self) -> Option<Mono> {
        (**self).next_deadline()
    }

    fn authority(&self) -> Option<Authority> {
        (**self).authority()
    }
}

/// Who a node is and what it keeps to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Its name, unique among the hosts that share a lease.
    pub instance: InstanceId,
    /// Differs between any two processes that ever bear the name.
    pub boot_nonce: u64,
    /// Times and counts.
    pub timing: Timing,
    /// What the broker declares.
    pub capabilities: Capabilities,
}

/// Why a node can't be configured so.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// The times do not keep to their relations.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The broker's client order ids can't be derived.
    #[error("broker: {0}")]
    KeyFormat(String),
    /// The instance has no name.
    #[error("instance: the name is empty; every host that shares the lease needs one of its own")]
    NoInstance,
}

/// The production state machine.
#[derive(Clone, Debug)]
pub struct Node {
    election: Election,
    gate: Gate,
    /// Who waits for which answer of the store.
    requests: BTreeMap<CallId, Request>,
    out: Outbox,
    drain: Duration,
    /// Until when a process that was asked to end waits for its own attempts to be recorded.
    stops_by: Option<Mono>,
    stopped: bool,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    id: RequestId,
    kind: RequestKind,
}

#[derive(Clone, Copy, Debug)]
enum RequestKind {
    Insert(Fingerprint),
    Resolve,
    Leadership,
}

impl Node {
    /// A node that follows, and tries for the lease at its first tick.
    ///
    /// # Errors
    /// [`ConfigError`], with the rule that the configuration breaks.
    pub fn new(config: NodeConfig, now: Now) -> Result<Self, ConfigError> {
        config.timing.check()?;
        config.capabilities.key_format.check().map_err(ConfigError::KeyFormat)?;
        if config.instance.as_str().is_empty() {
            return Err(ConfigError::NoInstance);
        }
        Ok(Self {
            drain: config.timing.drain,
            election: Election::new(config.timing.clone(), config.instance, config.boot_nonce, now),
            gate: Gate::new(config.timing, config.capabilities),
            requests: BTreeMap::new(),
            out: Outbox::default(),
            stops_by: None,
            stopped: false,
        })
    }

    /// Whether a send that starts at `now` may take its whole time.
    pub fn may_send(&self, now: Mono) -> bool {
        self.election.may_send(now)
    }

    /// A word for people on what the elector is doing.
    pub fn phase_name(&self) -> &'static str {
        self.election.phase_name()
    }

    fn hear(&mut self, now: Now, event: Event) {
        match event {
            Event::Tick => {}
            Event::Offered { request, signal } => {
                let fingerprint = signal.fingerprint;
                let call = self.out.call(Call::Store(StoreCall::Insert { signal, at: now.wall }));
                self.requests.insert(call, Request { id: request, kind: RequestKind::Insert(fingerprint) });
            }
            Event::Resolve { request, fingerprint, resolution, attempts, reason } => {
                let resolve = StoreCall::Resolve { fingerprint, resolution, attempts, reason, at: now.wall };
                let call = self.out.call(Call::Store(resolve));
                self.requests.insert(call, Request { id: request, kind: RequestKind::Resolve });
            }
            Event::ReadLeadership { request } => {
                let call = self.out.call(Call::Store(StoreCall::ReadLeadership));
                self.requests.insert(call, Request { id: request, kind: RequestKind::Leadership });
            }
            Event::SetPause { request, paused, seen, reason } => {
                let call = self.out.call(Call::Store(StoreCall::SetPause { paused, seen, reason, at: now.wall }));
                self.requests.insert(call, Request { id: request, kind: RequestKind::Leadership });
            }
            Event::LeaseReleased => self.election.on_released_hint(now),
            Event::StoreChanged => self.gate.on_store_changed(now),
            Event::StepDown { reason } => self.election.step_down(now, reason, &mut self.out),
            Event::Shutdown => {
                self.stops_by.get_or_insert(now.mono.plus(self.drain));
                self.election.shut_down(now, &mut self.out);
            }
            Event::Replied { id, reply } => match self.requests.remove(&id) {
                Some(request) => self.answer(now, request, reply),
                None => {
                    self.election.on_reply(now, id, &reply, &mut self.out);
                    // Authority that this reply ended is gone before the gate hears of the reply.
                    self.pass_authority_on(now);
                    self.gate.on_reply(now, id, reply, &mut self.out);
                }
            },
        }
    }

    fn answer(&mut self, now: Now, request: Request, reply: Reply) {
        let answer = match (request.kind, reply) {
            (RequestKind::Insert(fingerprint), Reply::Store(Ok(StoreReply::Stored { new, state, same_body }))) => {
                if new {
                    self.gate.on_store_changed(now);
                }
                if same_body {
                    Answer::Stored { fingerprint, new, state }
                } else {
                    Answer::Conflict { fingerprint }
                }
            }
            (RequestKind::Resolve, Reply::Store(Ok(StoreReply::State(state)))) => {
                self.gate.on_store_changed(now);
                Answer::State(state)
            }
            (RequestKind::Leadership, Reply::Store(Ok(StoreReply::Leadership(row)))) => {
                if row.paused.as_ref() != self.gate.paused() {
                    self.gate.on_store_changed(now);
                }
                Answer::Leadership(row)
            }
            (_, Reply::Store(Err(error))) => Answer::Unavailable { reason: error.to_string() },
            (_, other) => Answer::Unavailable { reason: format!("the store answered something else: {other:?}") },
        };
        self.out.answer(request.id, answer);
    }

    /// The gate closes in the same step in which leadership ends.
    fn pass_authority_on(&mut self, now: Now) {
        if let Some(newest) = self.gate.take_fenced() {
            self.election.on_fenced(now, newest, &mut self.out);
        }
        self.gate.set_authority(now, self.election.authority(), &mut self.out);
    }
}

impl Machine for Node {
    fn step(&mut self, now: Now, event: Event) -> Vec<Command> {
        // A process that was paused hears its backlog late: what has run out meanwhile has run out first.
        self.election.tick(now, self.gate.is_drained(), &mut self.out);
        self.pass_authority_on(now);
        self.hear(now, event);
        self.pass_authority_on(now);
        self.gate.tick(now, &mut self.out);
        self.election.tick(now, self.gate.is_drained(), &mut self.out);
        self.pass_authority_on(now);
        self.gate.check_invariants(now, self.out.commands());
        if let Some(stops_by) = self.stops_by
            && !self.stopped
            && self.election.is_stopped()
            && (self.gate.is_drained() || now.mono >= stops_by)
        {
            self.stopped = true;
            self.out.stopped();
        }
        self.out.take()
    }

    fn next_deadline(&self) -> Option<Mono> {
        let stop = self.stops_by.filter(|_| !self.stopped && self.election.is_stopped());
        [self.election.next_deadline(), self.gate.next_deadline(), stop].into_iter().flatten().min()
    }

    fn authority(&self) -> Option<Authority> {
        self.election.authority()
    }
}
