//! The system that oncegate replaces, as its gate was:
//!
//! ```text
//! leader? ─► duplicate in the database? ─► leader still? ─► log "executing" ─► execute ─► log status
//! ```
//!
//! Separate steps, each right when it is taken: nothing ties the check to the act. No epoch is looked at, the
//! log entry is no claim (writing it never fails), no intent is unique, and every execution is a new order to
//! the broker. The elector is the production one, so that what is caught is the gate's fault alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use oncegate_protocol::call::{Claim, Purpose};
use oncegate_protocol::election::{Authority, Election};
use oncegate_protocol::outbox::Outbox;
use oncegate_protocol::{
    Answer, Call, CallId, ClientOrderId, Command, Event, Fingerprint, Leg, Machine, Mono, NodeConfig, Notice, Now,
    Order, Outcome, Reply, RequestId, SignalRecord, SignalState, StoreCall, StoreReply, Timing,
};
use oncegate_sqlite_store::{Db, DbError};

use crate::mutants::{Bug, guards};

/// How often the leader looks for signals.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The replaced system's node.
struct CheckThenAct {
    timing: Timing,
    election: Election,
    out: Outbox,
    requests: BTreeMap<CallId, (RequestId, Fingerprint)>,
    look: (Option<CallId>, Mono),
    waiting: BTreeMap<u64, SignalRecord>,
    /// One signal at a time, and where it is.
    at_work: Option<(SignalRecord, Step)>,
    /// What this process has dealt with.
    seen: BTreeSet<Fingerprint>,
}

enum Step {
    /// Duplicate in the database?
    Checking(CallId),
    /// Log "executing".
    Logging(CallId),
    /// Execute.
    Executing(CallId),
    /// Log status.
    Closing(CallId),
}

impl CheckThenAct {
    /// A node that follows.
    fn new(config: NodeConfig, now: Now) -> Self {
        Self {
            timing: config.timing.clone(),
            election: Election::new(config.timing, config.instance, config.boot_nonce, now),
            out: Outbox::default(),
            requests: BTreeMap::new(),
            look: (None, now.mono),
            waiting: BTreeMap::new(),
            at_work: None,
            seen: BTreeSet::new(),
        }
    }

    fn is_leader(&self) -> bool {
        self.election.authority().is_some()
    }

    fn look_around(&mut self, now: Now) {
        if self.is_leader() && self.look.0.is_none() && now.mono >= self.look.1 {
            self.look.0 = Some(self.out.call(Call::Store(StoreCall::ReadPending { limit: 64 })));
        }
        if self.at_work.is_none()
            && self.is_leader()
            && let Some((_, record)) = self.waiting.pop_first()
        {
            let call = StoreCall::ReadSignal { fingerprint: record.fingerprint };
            let id = self.out.call(Call::Store(call));
            self.at_work = Some((record, Step::Checking(id)));
        }
    }

    fn on_reply(&mut self, now: Now, id: CallId, reply: &Reply) {
        if self.look.0 == Some(id) {
            self.look = (None, now.mono.plus(LOOK_EVERY));
            if let Reply::Store(Ok(StoreReply::Pending { records, .. })) = reply {
                let fresh =
                    records.iter().filter(|r| r.state == SignalState::Received && !self.seen.contains(&r.fingerprint));
                self.waiting.extend(fresh.map(|record| (record.sequence, record.clone())));
            }
            return;
        }
        let Some((record, step)) = self.at_work.take() else { return };
        let fingerprint = record.fingerprint;
        match step {
            Step::Checking(awaited) if awaited == id => {
                let duplicate = match reply {
                    Reply::Store(Ok(StoreReply::Signal(Some(stored)))) => stored.state != SignalState::Received,
                    _ => true,
                };
                // Leader still? It was, when it was asked.
                if duplicate || !self.is_leader() {
                    return;
                }
                let Some(authority) = self.election.authority() else { return };
                self.seen.insert(fingerprint);
                let log = StoreCall::Claim(Claim {
                    fingerprint,
                    leg: Leg(0),
                    epoch: authority.epoch,
                    holder: authority.holder,
                    number: 1,
                    client_order_id: ClientOrderId::new("none"),
                    purpose: Purpose::Execute,
                    at: now.wall,
                });
                let id = self.out.call(Call::Store(log));
                self.at_work = Some((record, Step::Logging(id)));
            }
            Step::Logging(awaited) if awaited == id => {
                let epoch = self.election.authority().map(|authority| authority.epoch).unwrap_or_default();
                self.out.notice(Notice::Sending { fingerprint, leg: Leg(0), epoch });
                let order = Order {
                    fingerprint,
                    leg: Leg(0),
                    client_order_id: ClientOrderId::new(format!(
                        "run-{}-{}",
                        now.wall.as_millis(),
                        fingerprint.short()
                    )),
                    epoch,
                    body: record.raw.clone(),
                    send_before: Mono::MAX,
                    timeout: self.timing.broker_timeout,
                };
                let id = self.out.call(Call::Place(order));
                self.at_work = Some((record, Step::Executing(id)));
            }
            Step::Executing(awaited) if awaited == id => {
                let outcome = match reply {
                    Reply::Place(outcome) => outcome.clone(),
                    _ => Outcome::Unknown("no answer".into()),
                };
                let status = StoreCall::RecordOutcome {
                    fingerprint,
                    leg: Leg(0),
                    number: 1,
                    owner: oncegate_protocol::Holder::new("whoever"),
                    outcome,
                    at: now.wall,
                };
                let id = self.out.call(Call::Store(status));
                self.at_work = Some((record, Step::Closing(id)));
            }
            Step::Closing(awaited) if awaited == id => {}
            unfinished => self.at_work = Some((record, unfinished)),
        }
    }
}

impl Machine for CheckThenAct {
    fn step(&mut self, now: Now, event: Event) -> Vec<Command> {
        self.election.tick(now, true, &mut self.out);
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
                            Answer::Stored { fingerprint, new, state }
                        }
                        _ => Answer::Unavailable { reason: "the database did not answer".into() },
                    };
                    self.out.answer(request, answer);
                }
                None => {
                    self.election.on_reply(now, id, &reply, &mut self.out);
                    self.on_reply(now, id, &reply);
                }
            },
            Event::LeaseReleased => self.election.on_released_hint(now),
            Event::StoreChanged => self.look.1 = now.mono,
            Event::StepDown { reason } => self.election.step_down(now, reason, &mut self.out),
            Event::Shutdown => self.election.shut_down(now, &mut self.out),
            Event::Tick
            | Event::BrokerReady(_)
            | Event::Resolve { .. }
            | Event::ReadLeadership { .. }
            | Event::SetPause { .. } => {}
        }
        self.election.tick(now, true, &mut self.out);
        self.look_around(now);
        self.out.take()
    }

    fn next_deadline(&self) -> Option<Mono> {
        let look = (self.is_leader() && self.look.0.is_none()).then_some(self.look.1);
        [self.election.next_deadline(), look].into_iter().flatten().min()
    }

    fn authority(&self) -> Option<Authority> {
        self.election.authority()
    }
}

/// The whole system of machine and database.
pub(crate) struct ReplacedSystem;

impl Bug for ReplacedSystem {
    fn machine(&self, config: NodeConfig, now: Now) -> Box<dyn Machine> {
        Box::new(CheckThenAct::new(config, now))
    }

    fn replaces_calls(&self) -> bool {
        true
    }

    fn store_call(&self, db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
        store_call(db, call)
    }
}

/// The replaced system's database: a log, not a gate.
fn store_call(db: &mut Db, call: &StoreCall) -> Option<Result<StoreReply, DbError>> {
    let (fingerprint, state, reply) = match call {
        StoreCall::Claim(claim) => (claim.fingerprint, SignalState::Executing, StoreReply::Claimed { number: 1 }),
        StoreCall::RecordOutcome { fingerprint, outcome, .. } => {
            let state = match outcome {
                Outcome::Accepted(_) => SignalState::Executed,
                Outcome::Rejected(_) | Outcome::NotSent(_) | Outcome::Unknown(_) => SignalState::Failed,
            };
            (*fingerprint, state, StoreReply::State(Some(state)))
        }
        _ => return None,
    };
    const LOG: &str = "UPDATE signals SET state = ?2 WHERE fingerprint = ?1";
    guards::write(db, LOG, (fingerprint.as_bytes(), state.name()));
    Some(Ok(reply))
}
