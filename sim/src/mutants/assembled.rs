//! The production election and the production gate, joined by other hands than the production node's.
//!
//! What [`oncegate_protocol::Node`] does between the two is a promise of its own: the gate closes in the step in
//! which leadership ends, and the election waits for the gate's orders before it gives the lease back. The bugs
//! that break it can't be put around a node; this is the node they live in, the same but for its [`Joints`].

use std::collections::BTreeMap;

use oncegate_protocol::election::{Authority, Election};
use oncegate_protocol::gate::Gate;
use oncegate_protocol::outbox::Outbox;
use oncegate_protocol::{
    Answer, Call, CallId, Command, Event, Fingerprint, Machine, Mono, NodeConfig, Now, Reply, RequestId, StoreCall,
    StoreReply,
};

/// How election and gate are joined; production would be neither.
#[derive(Clone, Copy, Default)]
pub(super) struct Joints {
    /// The gate never hears that leadership has ended.
    pub(super) stays_open: bool,
    /// The election is told that no order is under way, whatever is.
    pub(super) skips_drain: bool,
}

/// A node of production parts.
pub(super) struct Assembled {
    joints: Joints,
    election: Election,
    gate: Gate,
    last: Option<Authority>,
    requests: BTreeMap<CallId, (RequestId, Fingerprint)>,
    out: Outbox,
}

impl Assembled {
    pub(super) fn new(config: NodeConfig, now: Now, joints: Joints) -> Self {
        Self {
            joints,
            election: Election::new(config.timing.clone(), config.instance, config.boot_nonce, now),
            gate: Gate::new(config.timing, config.capabilities),
            last: None,
            requests: BTreeMap::new(),
            out: Outbox::default(),
        }
    }

    fn pass_authority_on(&mut self, now: Now) {
        if let Some(newest) = self.gate.take_fenced() {
            self.election.on_fenced(now, newest, &mut self.out);
        }
        let authority = self.election.authority();
        if authority.is_some() || !self.joints.stays_open {
            self.last = authority;
        }
        self.gate.set_authority(now, self.last.clone(), &mut self.out);
    }

    fn tick_election(&mut self, now: Now) {
        let drained = self.joints.skips_drain || self.gate.is_drained();
        self.election.tick(now, drained, &mut self.out);
        self.pass_authority_on(now);
    }

    fn hear(&mut self, now: Now, event: Event) {
        match event {
            Event::Offered { request, signal } => {
                let fingerprint = signal.fingerprint;
                let id = self.out.call(Call::Store(StoreCall::Insert { signal, at: now.wall }));
                self.requests.insert(id, (request, fingerprint));
            }
            Event::Replied { id, reply } => match self.requests.remove(&id) {
                Some((request, fingerprint)) => {
                    let answer = match reply {
                        Reply::Store(Ok(StoreReply::Stored { new, state, .. })) => {
                            self.gate.on_store_changed(now);
                            Answer::Stored { fingerprint, new, state }
                        }
                        _ => Answer::Unavailable { reason: "the store did not answer".into() },
                    };
                    self.out.answer(request, answer);
                }
                None => {
                    self.election.on_reply(now, id, &reply, &mut self.out);
                    self.pass_authority_on(now);
                    self.gate.on_reply(now, id, reply, &mut self.out);
                }
            },
            Event::LeaseReleased => self.election.on_released_hint(now),
            Event::StoreChanged => self.gate.on_store_changed(now),
            Event::StepDown { reason } => self.election.step_down(now, reason, &mut self.out),
            Event::Shutdown => self.election.shut_down(now, &mut self.out),
            Event::Tick | Event::Resolve { .. } | Event::ReadLeadership { .. } | Event::SetPause { .. } => {}
        }
    }
}

impl Machine for Assembled {
    fn step(&mut self, now: Now, event: Event) -> Vec<Command> {
        self.tick_election(now);
        self.hear(now, event);
        self.pass_authority_on(now);
        self.gate.tick(now, &mut self.out);
        self.tick_election(now);
        if self.election.is_stopped() && (self.joints.skips_drain || self.gate.is_drained()) {
            self.out.stopped();
        }
        self.out.take()
    }

    fn next_deadline(&self) -> Option<Mono> {
        [self.election.next_deadline(), self.gate.next_deadline()].into_iter().flatten().min()
    }

    fn authority(&self) -> Option<Authority> {
        self.last.clone()
    }
}
