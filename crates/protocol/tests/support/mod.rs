//! One node on a bench: its clock is set by hand, its calls are answered by hand, and what it says is compared
//! whole. Commands are built by name below, so that a test reads as a list of what is expected.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::time::Duration;

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::call::{Claim, Purpose, Verdict};
use oncegate_protocol::notice::LossReason;
use oncegate_protocol::{
    Attempt, BrokerOrderId, Call, CallId, Capabilities, ClientOrderId, Command, Epoch, Event, Fingerprint, Holder,
    IdentityRule, InstanceId, Leadership, LeaseCall, LeaseReply, Leg, Lookup, Machine, Mono, Node, NodeConfig, Notice,
    Now, Order, Outcome, PortError, Reply, Signal, SignalRecord, SignalState, StoreCall, StoreReply, Timing, Wall,
};

pub(crate) const TTL: Duration = Duration::from_secs(10);
pub(crate) const BROKER_TIMEOUT: Duration = Duration::from_secs(4);
/// What an untouched default trusts a lease for: 10 s, less 1 % drift, less 500 ms margin.
pub(crate) const TRUST_MS: u64 = 9_400;
/// A send must start this long before trust ends.
pub(crate) const SEND_MS: u64 = TRUST_MS - 4_000;

const NONCE: u64 = 7;
const WALL_AT_ZERO: i64 = 1_000_000;

pub(crate) struct Bench {
    pub(crate) node: Node,
    pub(crate) now: Now,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Capabilities::deduplicating(), Timing::default())
    }

    pub(crate) fn with(capabilities: Capabilities, timing: Timing) -> Self {
        let config = NodeConfig { instance: InstanceId::new("n"), boot_nonce: NONCE, timing, capabilities };
        let now = now_at(0);
        Self { node: Node::new(config, now).expect("a valid configuration"), now }
    }

    /// Leads epoch 1 since 0 ms as `holder(1)`; the next call has the id 5, and nothing is pending.
    pub(crate) fn leading(capabilities: Capabilities) -> Self {
        Self::leading_with(capabilities, Timing::default(), vec![])
    }

    pub(crate) fn leading_with(capabilities: Capabilities, timing: Timing, pending: Vec<SignalRecord>) -> Self {
        let mut node = Self::with(capabilities, timing);
        assert_eq!(node.tick(), vec![acquire(1, 1)]);
        assert_eq!(node.lease(1, GRANTED), vec![read_leadership(2)]);
        assert_eq!(node.store(2, leadership(0, None, 0)), vec![open(3, 0, 1, 0)]);
        assert_eq!(node.store(3, StoreReply::Opened(Epoch(1))), vec![became_leader(1, 1), read_pending(4)]);
        if pending.is_empty() {
            assert_eq!(node.store(4, StoreReply::Pending { records: vec![], paused: None }), vec![]);
        }
        node
    }

    /// Sets both clocks.
    pub(crate) fn at(&mut self, ms: u64) -> &mut Self {
        self.now = now_at(ms);
        self
    }

    pub(crate) fn hear(&mut self, event: Event) -> Vec<Command> {
        self.node.step(self.now, event)
    }

    pub(crate) fn tick(&mut self) -> Vec<Command> {
        self.hear(Event::Tick)
    }

    pub(crate) fn reply(&mut self, id: u64, reply: Reply) -> Vec<Command> {
        self.hear(Event::Replied { id: CallId(id), reply })
    }

    pub(crate) fn lease(&mut self, id: u64, reply: LeaseReply) -> Vec<Command> {
        self.reply(id, Reply::Lease(Ok(reply)))
    }

    pub(crate) fn lease_silent(&mut self, id: u64) -> Vec<Command> {
        self.reply(id, Reply::Lease(Err(silence())))
    }

    pub(crate) fn store(&mut self, id: u64, reply: StoreReply) -> Vec<Command> {
        self.reply(id, Reply::Store(Ok(reply)))
    }

    pub(crate) fn store_silent(&mut self, id: u64) -> Vec<Command> {
        self.reply(id, Reply::Store(Err(silence())))
    }

    pub(crate) fn placed(&mut self, id: u64, outcome: Outcome) -> Vec<Command> {
        self.reply(id, Reply::Place(outcome))
    }

    pub(crate) fn looked_up(&mut self, id: u64, answer: LookupAnswer) -> Vec<Command> {
        self.reply(id, Reply::LookUp(answer))
    }

    pub(crate) fn step_down(&mut self) -> Vec<Command> {
        self.hear(Event::StepDown { reason: "asked".into() })
    }

    /// When the node wants to be woken, in milliseconds.
    pub(crate) fn wakes_at(&self) -> Option<u64> {
        self.node.next_deadline().map(|at| at.as_nanos() / 1_000_000)
    }
}

pub(crate) fn now_at(ms: u64) -> Now {
    Now { mono: Mono::from_millis(ms), wall: wall(ms) }
}

pub(crate) fn wall(ms: u64) -> Wall {
    Wall::from_millis(WALL_AT_ZERO + i64::try_from(ms).expect("short runs"))
}

pub(crate) fn silence() -> PortError {
    PortError("no answer".into())
}

/// A broker that remembers ids for ever, and whose orders land and show within a second and a half.
pub(crate) fn swift(capabilities: Capabilities) -> Capabilities {
    let lookup = match capabilities.lookup {
        Lookup::None => Lookup::None,
        Lookup::ByClientOrderId { .. } => Lookup::ByClientOrderId { visible_after: Duration::from_millis(1_000) },
    };
    Capabilities { longest_flight: Duration::from_millis(1_500), lookup, ..capabilities }
}

// ---- names

pub(crate) fn holder(attempt: u64) -> Holder {
    Holder::of(&InstanceId::new("n"), NONCE, attempt)
}

pub(crate) fn other() -> Holder {
    Holder::of(&InstanceId::new("m"), 1, 1)
}

/// The `number`th signal, with or without a deadline.
pub(crate) fn signal(number: u64, expires_at_ms: Option<u64>) -> Signal {
    let raw = format!("{{\"id\": {number}}}");
    let signal = Signal::read(raw.as_bytes(), &IdentityRule::default()).expect("well formed");
    Signal { expires_at: expires_at_ms.map(wall), ..signal }
}

pub(crate) fn fingerprint(number: u64) -> Fingerprint {
    signal(number, None).fingerprint
}

pub(crate) fn order_id(number: u64) -> ClientOrderId {
    fingerprint(number).client_order_id(Leg(0), &Capabilities::deduplicating().key_format)
}

pub(crate) fn received(number: u64) -> SignalRecord {
    let Signal { fingerprint, raw, expires_at, legs, .. } = signal(number, None);
    let state = SignalState::Received;
    SignalRecord { fingerprint, sequence: number, state, raw, expires_at, legs, attempts: vec![] }
}

pub(crate) fn expiring(number: u64, ms: u64) -> SignalRecord {
    SignalRecord { expires_at: Some(wall(ms)), ..received(number) }
}

pub(crate) fn begun(number: u64, state: SignalState, attempts: Vec<Attempt>) -> SignalRecord {
    SignalRecord { state, attempts, ..received(number) }
}

/// At signal 1, under the id that every node here derives.
pub(crate) fn attempt(number: u32, epoch: u64, owner: Holder, outcome: Option<Outcome>) -> Attempt {
    Attempt {
        leg: Leg(0),
        number,
        epoch: Epoch(epoch),
        owner,
        client_order_id: order_id(1),
        claimed_at: wall(0),
        outcome,
        answered_for: false,
    }
}

/// An operator has had the signal sent again.
pub(crate) fn answered_for(attempt: Attempt) -> Attempt {
    Attempt { answered_for: true, ..attempt }
}

pub(crate) fn accepted() -> Outcome {
    Outcome::Accepted(BrokerOrderId::new("b1"))
}

pub(crate) fn rejected() -> Outcome {
    Outcome::Rejected("no margin".into())
}

pub(crate) fn unknown() -> Outcome {
    Outcome::Unknown("timed out".into())
}

pub(crate) fn not_sent(reason: &str) -> Outcome {
    Outcome::NotSent(reason.into())
}

pub(crate) fn pending(records: &[SignalRecord]) -> StoreReply {
    StoreReply::Pending { records: records.to_vec(), paused: None }
}

pub(crate) fn held_by(holder: Holder, remaining_ms: u64) -> LeaseReply {
    LeaseReply::HeldBy { holder, remaining: Some(Duration::from_millis(remaining_ms)) }
}

pub(crate) fn row(epoch: u64, holder: Option<Holder>, beat_ms: u64) -> Leadership {
    Leadership { epoch: Epoch(epoch), holder, heartbeat_at: wall(beat_ms), paused: None, pause_words: 0 }
}

pub(crate) fn leadership(epoch: u64, holder: Option<Holder>, beat_ms: u64) -> StoreReply {
    StoreReply::Leadership(row(epoch, holder, beat_ms))
}

pub(crate) fn fenced_by(epoch: u64, holder: Holder) -> StoreReply {
    StoreReply::Fenced(row(epoch, Some(holder), 0))
}

pub(crate) fn now_stands(state: SignalState) -> StoreReply {
    StoreReply::State(Some(state))
}

/// By a lease store that has been told nothing.
pub(crate) const GRANTED: LeaseReply = LeaseReply::Granted { seen: Epoch(0) };

// ---- commands

fn call(id: u64, call: Call) -> Command {
    Command::Call { id: CallId(id), call }
}

pub(crate) fn acquire(id: u64, attempt: u64) -> Command {
    call(id, Call::Lease(LeaseCall::Acquire { holder: holder(attempt), ttl: TTL }))
}

/// While the highest epoch seen is `seen`.
pub(crate) fn renew(id: u64, attempt: u64, seen: u64) -> Command {
    call(id, Call::Lease(LeaseCall::Renew { holder: holder(attempt), ttl: TTL, seen: Epoch(seen) }))
}

pub(crate) fn release(id: u64, attempt: u64) -> Command {
    call(id, Call::Lease(LeaseCall::Release { holder: holder(attempt) }))
}

pub(crate) fn read_lease(id: u64) -> Command {
    call(id, Call::Lease(LeaseCall::Read))
}

pub(crate) fn read_leadership(id: u64) -> Command {
    call(id, Call::Store(StoreCall::ReadLeadership))
}

pub(crate) fn open(id: u64, expected: u64, attempt: u64, ms: u64) -> Command {
    let open = StoreCall::OpenEpoch { expected: Epoch(expected), holder: holder(attempt), at: wall(ms) };
    call(id, Call::Store(open))
}

pub(crate) fn heartbeat(id: u64, epoch: u64, attempt: u64, ms: u64) -> Command {
    call(id, Call::Store(StoreCall::Heartbeat { epoch: Epoch(epoch), holder: holder(attempt), at: wall(ms) }))
}

pub(crate) fn vacate(id: u64, epoch: u64, attempt: u64, reason: &LossReason, ms: u64) -> Command {
    let (epoch, holder, reason) = (Epoch(epoch), holder(attempt), reason.to_string());
    call(id, Call::Store(StoreCall::Vacate { epoch, holder, reason, at: wall(ms) }))
}

pub(crate) fn read_pending(id: u64) -> Command {
    call(id, Call::Store(StoreCall::ReadPending { limit: 64 }))
}

pub(crate) fn read_signal(id: u64, number: u64) -> Command {
    call(id, Call::Store(StoreCall::ReadSignal { fingerprint: fingerprint(number) }))
}

/// The first attempt at an order, or a recovery as the second.
pub(crate) fn claim(id: u64, number: u64, epoch: u64, purpose: Purpose, ms: u64) -> Command {
    let attempt = match purpose {
        Purpose::Execute => 1,
        Purpose::Recover => 2,
    };
    claim_nth(attempt, id, number, epoch, purpose, ms)
}

pub(crate) fn claim_nth(attempt: u32, id: u64, number: u64, epoch: u64, purpose: Purpose, ms: u64) -> Command {
    let claim = Claim {
        fingerprint: fingerprint(number),
        leg: Leg(0),
        epoch: Epoch(epoch),
        holder: holder(epoch),
        number: attempt,
        client_order_id: order_id(number),
        purpose,
        at: wall(ms),
    };
    call(id, Call::Store(StoreCall::Claim(claim)))
}

pub(crate) fn place(id: u64, number: u64, epoch: u64, send_before_ms: u64) -> Command {
    let order = Order {
        fingerprint: fingerprint(number),
        leg: Leg(0),
        client_order_id: order_id(number),
        epoch: Epoch(epoch),
        body: signal(number, None).raw,
        send_before: Mono::from_millis(send_before_ms),
        timeout: BROKER_TIMEOUT,
    };
    call(id, Call::Place(order))
}

pub(crate) fn look_up(id: u64, number: u64) -> Command {
    call(id, Call::LookUp(order_id(number)))
}

/// By `holder(1)`, the leader of epoch 1.
pub(crate) fn record(id: u64, number: u64, attempt: u32, outcome: Outcome, ms: u64) -> Command {
    record_by(id, number, attempt, holder(1), outcome, ms)
}

pub(crate) fn record_by(id: u64, number: u64, attempt: u32, owner: Holder, outcome: Outcome, ms: u64) -> Command {
    let record = StoreCall::RecordOutcome {
        fingerprint: fingerprint(number),
        leg: Leg(0),
        number: attempt,
        owner,
        outcome,
        at: wall(ms),
    };
    call(id, Call::Store(record))
}

pub(crate) fn conclude(id: u64, number: u64, epoch: u64, verdict: Verdict, ms: u64) -> Command {
    let (fingerprint, epoch, holder) = (fingerprint(number), Epoch(epoch), holder(epoch));
    call(id, Call::Store(StoreCall::Conclude { fingerprint, epoch, holder, verdict, at: wall(ms) }))
}

// ---- notices

pub(crate) fn became_leader(epoch: u64, attempt: u64) -> Command {
    Command::Notice(Notice::BecameLeader { epoch: Epoch(epoch), holder: holder(attempt) })
}

pub(crate) fn lost_leadership(epoch: u64, reason: &LossReason) -> Command {
    Command::Notice(Notice::LostLeadership { epoch: Epoch(epoch), reason: reason.clone() })
}

pub(crate) fn gave_up_lease(reason: &LossReason) -> Command {
    Command::Notice(Notice::GaveUpLease { reason: reason.clone() })
}

pub(crate) fn fenced(own: u64, newest: u64) -> Command {
    Command::Notice(Notice::Fenced { own: Epoch(own), newest: Epoch(newest) })
}

pub(crate) fn epoch_went_back(read: u64, seen: u64) -> Command {
    Command::Notice(Notice::EpochWentBack { read: Epoch(read), seen: Epoch(seen) })
}

pub(crate) fn split_brain(lease: Option<Holder>, store: Option<Holder>) -> Command {
    Command::Notice(Notice::SplitBrain { lease, store })
}

pub(crate) fn port_failed(doing: &str) -> Command {
    Command::Notice(Notice::PortFailed { doing: doing.into(), detail: silence().to_string() })
}

pub(crate) fn sending(number: u64, epoch: u64) -> Command {
    Command::Notice(Notice::Sending { fingerprint: fingerprint(number), leg: Leg(0), epoch: Epoch(epoch) })
}

pub(crate) fn did_not_send(number: u64, reason: &str) -> Command {
    Command::Notice(Notice::NotSent { fingerprint: fingerprint(number), reason: reason.into() })
}

pub(crate) fn in_doubt(number: u64, reason: &str) -> Command {
    Command::Notice(Notice::InDoubt { fingerprint: fingerprint(number), reason: reason.into() })
}

pub(crate) fn settled(number: u64, state: SignalState, detail: &str) -> Command {
    Command::Notice(Notice::Settled { fingerprint: fingerprint(number), state, detail: detail.into() })
}
