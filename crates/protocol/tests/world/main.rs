//! Three nodes in a world that an adversary runs: it picks which call completes next, loses requests and
//! replies, applies calls long after they were given up, lets clocks run apart, pauses and crashes. After
//! every move no promise may be broken; when it lets go, every signal must come to its end.
//!
//! What is asserted is in [`World::check`] and [`World::heal`]; how often anything of interest happened is
//! counted in [`Seen`], so that a world in which nothing happens fails.

mod adversary;
mod peers;
mod store;

use std::cell::RefCell;
use std::collections::BTreeSet;

use adversary::{How, Move, Setup, Word, moves, setups};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::call::{Purpose, Resolution};
use oncegate_protocol::{
    Answer, Call, CallId, Command, DedupScope, Event, Fingerprint, IdentityRule, InstanceId, Leg, Machine, Mono, Node,
    NodeConfig, Notice, Now, Outcome, PortError, Reply, RequestId, Signal, SignalRecord, SignalState, StoreCall,
    StoreReply, Timing, Wall,
};
use peers::{Broker, FLIGHT, Lease, Millis};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use store::Store;

const NODES: usize = 3;
const SIGNALS: usize = 6;
/// Within this of the healing every signal must be settled, and the gate of a calm leader be open.
const SETTLED_WITHIN: Millis = 120_000;
/// Deposed leaders get this long to write down what they know.
const RECORDED_WITHIN: Millis = 30_000;
/// No node may ask for more calls than this on average in a millisecond of healed time; more is a tight loop.
const STEPS_WITHIN: usize = 20_000;

/// How often what happened, over all cases.
#[derive(Default, Debug)]
struct Seen {
    led: u64,
    sent: u64,
    sent_again: u64,
    in_doubt: u64,
    fenced: u64,
    claims_fenced: u64,
    not_sent: u64,
    refused: u64,
    late_claims: u64,
    late_orders: u64,
    late_outcomes: u64,
    late_words: u64,
    ids_kept: u64,
    received_again: u64,
    stale_pictures: u64,
    found: u64,
    resent: u64,
    told_for_others: u64,
    paused: u64,
    claims_paused: u64,
    recovered_while_paused: u64,
    late_pauses: u64,
    next_legs: u64,
    next_legs_of_others: u64,
    next_legs_while_paused: u64,
    unwound: u64,
    settled: [u64; SignalState::ALL.len()],
}

struct Pending {
    id: CallId,
    call: Call,
    reply: Option<Reply>,
}

struct Host {
    machine: Node,
    boots: u64,
    mono: u64,
    rate: u64,
    wall_offset: i64,
    paused: bool,
    pending: Vec<Pending>,
}

struct Late {
    call: Call,
    until: Millis,
}

struct World<'a> {
    setup: &'a Setup,
    time: Millis,
    hosts: Vec<Host>,
    store: Store,
    lease: Lease,
    broker: Broker,
    late: Vec<Late>,
    acknowledged: BTreeSet<Fingerprint>,
    /// Who has told of what waits for an operator: the host, its life, the signal, its state and how many attempts it
    /// then had.
    told: BTreeSet<(usize, u64, Fingerprint, SignalState, usize)>,
    /// Of what the broker had some legs when an operator said that it is not executed: a human unwound those by hand.
    unwound: BTreeSet<Fingerprint>,
    next_request: u64,
    seen: &'a RefCell<Seen>,
}

fn signal(number: usize) -> Signal {
    let deadline = match number {
        2 => ", \"expires_at_ms\": 40000",
        3 => ", \"expires_at_ms\": 90000",
        _ => "",
    };
    let legs = match number {
        1 | 3 => ", \"legs\": [{\"buy\": 1}, {\"sell\": 2}]",
        4 => ", \"legs\": [{\"buy\": 1}, {\"sell\": 2}, {\"sell\": 3}]",
        _ => "",
    };
    let body = format!("{{\"id\": {number}{deadline}{legs}}}");
    Signal::read(body.as_bytes(), &IdentityRule::default()).expect("well formed")
}

fn timing(setup: &Setup) -> Timing {
    Timing { in_flight: setup.in_flight, ..Timing::default() }
}

impl<'a> World<'a> {
    fn new(setup: &'a Setup, seen: &'a RefCell<Seen>) -> Self {
        let mut world = Self {
            setup,
            time: 0,
            hosts: vec![],
            store: Store::new(),
            lease: Lease::default(),
            broker: Broker::new(setup.capabilities.clone()),
            late: vec![],
            acknowledged: BTreeSet::new(),
            told: BTreeSet::new(),
            unwound: BTreeSet::new(),
            next_request: 0,
            seen,
        };
        for number in 0..NODES {
            let host = Host {
                machine: world.boot(number, 0, Now::default()),
                boots: 0,
                mono: 0,
                rate: setup.clock_rates[number],
                wall_offset: 0,
                paused: false,
                pending: vec![],
            };
            world.hosts.push(host);
        }
        world
    }

    fn boot(&self, number: usize, boots: u64, now: Now) -> Node {
        let mut capabilities = self.setup.capabilities.clone();
        if self.setup.rolling {
            capabilities.key_format.prefix = format!("n{number}");
        }
        let config = NodeConfig {
            instance: InstanceId::new(format!("n{number}")),
            boot_nonce: boots,
            timing: timing(self.setup),
            capabilities,
        };
        Node::new(config, now).expect("a valid configuration")
    }

    fn now(&self, host: usize) -> Now {
        let host = &self.hosts[host];
        let wall = i64::try_from(self.time).expect("short runs") + host.wall_offset;
        Now { mono: Mono::from_nanos(host.mono), wall: Wall::from_millis(wall) }
    }

    // ---- moves

    fn play(&mut self, next: &Move) {
        match *next {
            Move::Complete(pick, how) => self.complete_any(pick, how, |_| true),
            Move::CompleteOrder(pick, how) => self.complete_any(pick, how, |call| matches!(call, Call::Place(_))),
            Move::Calm(calls) => {
                for _ in 0..calls {
                    if !self.deliver_next() {
                        break;
                    }
                }
            }
            Move::ApplyLate(pick) => {
                if !self.late.is_empty() {
                    let late = self.late.swap_remove(pick % self.late.len());
                    self.apply_late(&late);
                }
            }
            Move::Advance(by) => self.advance(by),
            Move::PauseOrResume(host) => self.hosts[host].paused = !self.hosts[host].paused,
            Move::Crash(host) => self.crash(host),
            Move::Offer(host, number) => self.offer(host, number),
            Move::StepWall(host, by) => {
                // The age of an order can be told by wall clocks alone where a broker forgets.
                if !matches!(self.setup.capabilities.dedup, DedupScope::Within(_)) {
                    self.hosts[host].wall_offset += by;
                }
            }
            Move::Hint(host) => {
                self.step(host, Event::LeaseReleased);
                self.step(host, Event::StoreChanged);
            }
            Move::StepDown(host) => self.step(host, Event::StepDown { reason: "asked".into() }),
            Move::SetPause(host, paused) => {
                self.next_request += 1;
                let request = RequestId(self.next_request);
                let seen = self.store.leadership.pause_words;
                self.step(host, Event::SetPause { request, paused, seen, reason: "halted".into() });
            }
            Move::LoseLease => self.lease.lose_data(),
            Move::Resolve(pick, word) => {
                let waiting = |record: &&SignalRecord| record.state.awaits_operator();
                let all: Vec<_> =
                    self.store.signals.values().filter(waiting).map(|record| record.fingerprint).collect();
                if !all.is_empty() {
                    self.resolve(all[pick % all.len()], word);
                }
            }
        }
        self.check();
    }

    fn complete_any(&mut self, pick: usize, how: How, wanted: impl Fn(&Call) -> bool) {
        let mut all = vec![];
        for (number, host) in self.hosts.iter().enumerate() {
            let calls = host.pending.iter().enumerate().filter(|(_, pending)| wanted(&pending.call));
            all.extend(calls.map(|(index, _)| (number, index)));
        }
        if !all.is_empty() {
            let (host, index) = all[pick % all.len()];
            self.complete(host, index, how);
        }
    }

    fn deliver_next(&mut self) -> bool {
        let ready = |host: &&usize| !self.hosts[**host].paused && !self.hosts[**host].pending.is_empty();
        let Some(host) = [0, 1, 2].iter().find(ready).copied() else { return false };
        self.complete(host, 0, How::Deliver);
        true
    }

    fn complete(&mut self, host: usize, index: usize, how: How) {
        let now = self.now(host);
        let paused = self.hosts[host].paused;
        let pending = &mut self.hosts[host].pending[index];
        let call = pending.call.clone();
        if pending.reply.is_none() && matches!(how, How::Deliver | How::ApplyOnly | How::LoseReply | How::Refuse) {
            let reply = self.apply(&call, Some(now), how == How::Refuse);
            self.hosts[host].pending[index].reply = Some(reply);
        }
        if paused || how == How::ApplyOnly {
            return;
        }
        let pending = self.hosts[host].pending.remove(index);
        let reply = match how {
            How::Deliver | How::Refuse | How::ApplyOnly => pending.reply.expect("applied above"),
            How::LoseRequest | How::LoseReply => no_answer(&call),
            How::Late if pending.reply.is_some() => no_answer(&call),
            How::Late if matches!(&call, Call::Place(order) if now.mono >= order.send_before) => {
                Reply::Place(Outcome::NotSent("too late".into()))
            }
            How::Late => {
                self.late.push(Late { call: call.clone(), until: self.time + FLIGHT });
                no_answer(&call)
            }
        };
        if let (
            Call::Store(StoreCall::ReadPending { .. }),
            Reply::Store(Ok(StoreReply::Pending { records: picture, .. })),
        ) = (&call, &reply)
            && picture.iter().any(|record| self.store.signals[&record.fingerprint] != *record)
        {
            self.seen.borrow_mut().stale_pictures += 1;
        }
        self.step(host, Event::Replied { id: pending.id, reply });
    }

    /// `sender` is the clock of the host that is about to send, and nothing for what is on its way already.
    fn apply(&mut self, call: &Call, sender: Option<Now>, refuses: bool) -> Reply {
        let mut seen = self.seen.borrow_mut();
        match call {
            Call::Lease(call) => Reply::Lease(Ok(self.lease.apply(self.time, call))),
            Call::Store(call) => {
                let resent = |store: &Store, of: &Fingerprint| {
                    let record = &store.signals[of];
                    record.state == SignalState::Received && record.attempts.iter().any(|a| a.answered_for)
                };
                let paused = self.store.leadership.paused.is_some();
                let reply = self.store.apply(call);
                if let StoreCall::RecordOutcome { fingerprint, outcome: Outcome::NotSent(_), .. } = call {
                    seen.received_again += u64::from(resent(&self.store, fingerprint));
                }
                if let StoreCall::Claim(claim) = call {
                    match &reply {
                        // P4: the claim was the newest leadership's own.
                        StoreReply::Claimed { .. } => {
                            assert!(self.store.leads(claim.epoch, &claim.holder));
                            let begins = claim.purpose == Purpose::Execute && claim.leg == Leg(0);
                            assert!(!paused || !begins, "begun while new orders are stopped");
                            seen.recovered_while_paused += u64::from(paused && claim.purpose == Purpose::Recover);
                            if claim.leg > Leg(0) && claim.purpose == Purpose::Execute {
                                let attempts = &self.store.signals[&claim.fingerprint].attempts;
                                seen.next_legs += 1;
                                seen.next_legs_of_others += u64::from(attempts[0].owner != claim.holder);
                                seen.next_legs_while_paused += u64::from(paused);
                            }
                        }
                        StoreReply::Paused(_) => seen.claims_paused += 1,
                        StoreReply::Fenced(_) => seen.claims_fenced += 1,
                        _ => {}
                    }
                }
                Reply::Store(Ok(reply))
            }
            Call::Place(order) => {
                if sender.is_some_and(|now| now.mono >= order.send_before) {
                    return Reply::Place(Outcome::NotSent("too late".into()));
                }
                seen.refused += u64::from(refuses);
                Reply::Place(self.broker.place(self.time, order, refuses))
            }
            Call::LookUp(id) => {
                let answer = self.broker.look_up(self.time, id);
                seen.found += u64::from(matches!(answer, LookupAnswer::Found(_)));
                Reply::LookUp(answer)
            }
        }
    }

    fn apply_late(&mut self, late: &Late) {
        if matches!(late.call, Call::Place(_)) && self.time > late.until {
            return;
        }
        let reply = self.apply(&late.call, None, false);
        let mut seen = self.seen.borrow_mut();
        match (&late.call, reply) {
            (Call::Place(_), _) => seen.late_orders += 1,
            (_, Reply::Store(Ok(StoreReply::Claimed { .. }))) => seen.late_claims += 1,
            (Call::Store(StoreCall::RecordOutcome { .. }), _) => seen.late_outcomes += 1,
            (Call::Store(StoreCall::Resolve { .. }), _) => seen.late_words += 1,
            (Call::Store(StoreCall::SetPause { .. }), _) => seen.late_pauses += 1,
            _ => {}
        }
    }

    fn pass(&mut self, by: Millis) {
        self.time += by;
        for host in &mut self.hosts {
            host.mono += by * 1_000 * host.rate;
        }
    }

    fn advance(&mut self, by: Millis) {
        self.pass(by);
        for host in 0..NODES {
            let due = self.hosts[host].machine.next_deadline().is_some_and(|at| self.now(host).mono >= at);
            if due {
                self.step(host, Event::Tick);
            }
        }
    }

    fn crash(&mut self, number: usize) {
        let now = self.now(number);
        let boots = self.hosts[number].boots + 1;
        let machine = self.boot(number, boots, now);
        let host = &mut self.hosts[number];
        host.machine = machine;
        host.boots = boots;
        host.paused = false;
        for pending in std::mem::take(&mut host.pending) {
            let left = !matches!(&pending.call, Call::Place(order) if now.mono >= order.send_before);
            if pending.reply.is_none() && left {
                self.late.push(Late { call: pending.call, until: self.time + FLIGHT });
            }
        }
    }

    fn offer(&mut self, host: usize, number: usize) {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.step(host, Event::Offered { request, signal: signal(number) });
    }

    fn resolve(&mut self, fingerprint: Fingerprint, word: Word) {
        // An earlier word about it that is still on its way lands first, whatever it finds.
        let about = |call: &Call| match call {
            Call::Store(StoreCall::Resolve { fingerprint, .. }) => Some(*fingerprint),
            _ => None,
        };
        if let Some(index) = self.late.iter().position(|late| about(&late.call) == Some(fingerprint)) {
            let late = self.late.swap_remove(index);
            self.apply_late(&late);
            self.check();
        }
        let on_its_way = |call: &Call| matches!(call, Call::Place(order) if order.fingerprint == fingerprint);
        let unsure = self.hosts.iter().flat_map(|host| &host.pending).any(|pending| on_its_way(&pending.call))
            || self.late.iter().any(|late| on_its_way(&late.call) && self.time <= late.until);
        let record = &self.store.signals[&fingerprint];
        if unsure || !record.state.awaits_operator() {
            return;
        }
        let attempts = u32::try_from(record.attempts.len()).expect("few attempts");
        let has = |leg: u16| self.broker.orders_for(&fingerprint, Leg(leg)) > 0;
        let all = (0..record.legs).all(has);
        let doubtful = has(record.current_leg().0);
        let resolution = match (all, doubtful, word.resend && record.state == SignalState::Quarantined) {
            (true, ..) => Resolution::Executed,
            (false, false, true) => Resolution::Resend,
            (false, ..) => Resolution::NotExecuted,
        };
        if resolution == Resolution::NotExecuted && (0..record.legs).any(has) {
            self.unwound.insert(fingerprint);
            self.seen.borrow_mut().unwound += 1;
        }
        let next = resolution.state(record.has_accepted(Leg(0)));
        self.seen.borrow_mut().resent += u64::from(resolution == Resolution::Resend);
        let wall = Wall::from_millis(i64::try_from(self.time).expect("short runs"));
        let resolve = StoreCall::Resolve { fingerprint, resolution, attempts, reason: "looked".into(), at: wall };
        assert_eq!(self.store.apply(&resolve), StoreReply::State(Some(next)));
        if word.twice {
            self.late.push(Late { call: Call::Store(resolve), until: self.time });
        }
    }

    // ---- steps

    fn step(&mut self, number: usize, event: Event) {
        if self.hosts[number].paused {
            return;
        }
        let now = self.now(number);
        let commands = self.hosts[number].machine.step(now, event);
        for command in commands {
            match command {
                Command::Call { id, call } => {
                    if let Call::Place(order) = &call {
                        self.check_order(order);
                    }
                    self.hosts[number].pending.push(Pending { id, call, reply: None });
                }
                Command::Answer { answer: Answer::Stored { fingerprint, .. }, .. } => {
                    assert!(self.store.signals.contains_key(&fingerprint), "P2: acknowledged means durable");
                    self.acknowledged.insert(fingerprint);
                }
                Command::Answer { .. } => {}
                Command::Notice(notice) => self.count(number, &notice),
                Command::Stopped => panic!("nobody asked to stop"),
            }
        }
        let next = self.hosts[number].machine.next_deadline();
        assert!(next.is_none_or(|at| at > now.mono), "n{number} would tick without end: {next:?} at {now:?}");
    }

    fn check_order(&self, order: &oncegate_protocol::Order) {
        let record = &self.store.signals[&order.fingerprint];
        let attempts: Vec<_> = record.attempts_at(order.leg).collect();
        assert_eq!(Some(&order.body), record.order(order.leg).as_ref());
        assert!((0..order.leg.0).all(|leg| record.has_accepted(Leg(leg))), "sent before the legs before it");
        assert!(attempts.iter().any(|attempt| attempt.epoch == order.epoch), "sent without a claim of its epoch");
        let same_id = attempts.iter().all(|attempt| attempt.client_order_id == order.client_order_id);
        assert!(same_id, "sent under another id than was claimed first");
        let mut seen = self.seen.borrow_mut();
        seen.ids_kept += u64::from(self.setup.rolling && attempts.iter().any(|a| a.epoch != order.epoch));
        seen.sent += 1;
        seen.sent_again += u64::from(self.broker.orders_for(&order.fingerprint, order.leg) > 0);
    }

    fn count(&mut self, host: usize, notice: &Notice) {
        if let Notice::Settled { fingerprint, state, detail } = notice
            && state.awaits_operator()
        {
            let attempts = self.store.signals[fingerprint].attempts.len();
            self.told.insert((host, self.hosts[host].boots, *fingerprint, *state, attempts));
            self.seen.borrow_mut().told_for_others += u64::from(detail.starts_with("found so in the store"));
        }
        let mut seen = self.seen.borrow_mut();
        match notice {
            Notice::BecameLeader { .. } => seen.led += 1,
            Notice::InDoubt { .. } => seen.in_doubt += 1,
            Notice::Fenced { .. } => seen.fenced += 1,
            Notice::NotSent { .. } => seen.not_sent += 1,
            Notice::Settled { state, .. } => seen.settled[*state as usize] += 1,
            Notice::Paused { .. } => seen.paused += 1,
            Notice::LostLeadership { .. }
            | Notice::GaveUpLease { .. }
            | Notice::SplitBrain { .. }
            | Notice::EpochWentBack { .. }
            | Notice::PortFailed { .. }
            | Notice::Resumed
            | Notice::BrokerNotReady
            | Notice::BrokerReady
            | Notice::Sending { .. } => {}
        }
    }

    // ---- promises

    fn check(&self) {
        for (fingerprint, record) in &self.store.signals {
            let by_leg: Vec<_> = (0..record.legs).map(|leg| self.broker.orders_for(fingerprint, Leg(leg))).collect();
            let orders: usize = by_leg.iter().sum();
            let context = || format!("{record:#?}\nthe broker has {by_leg:?}");
            assert!(by_leg.iter().all(|orders| *orders <= 1), "P1: {}", context());
            assert!(by_leg.is_sorted_by(|before, after| before >= after), "a leg was left out: {}", context());
            match record.state {
                SignalState::Executed => assert_eq!(orders, by_leg.len(), "P5: {}", context()),
                SignalState::Partial => assert!((1..by_leg.len()).contains(&orders), "P5: {}", context()),
                SignalState::Failed if self.unwound.contains(fingerprint) => {}
                SignalState::Received | SignalState::Failed | SignalState::Expired => {
                    assert_eq!(orders, 0, "P5: {}", context());
                }
                SignalState::Executing | SignalState::InDoubt | SignalState::Quarantined => {}
            }
        }
    }

    /// Clocks run, every call is answered at once: everything must come to its end.
    fn heal(&mut self) {
        for late in std::mem::take(&mut self.late) {
            self.apply_late(&late);
        }
        for host in 0..NODES {
            self.hosts[host].paused = false;
            self.offer(host, host);
            self.step(host, Event::Tick);
        }
        let healed_at = self.time;
        self.run_healthy(|world| world.all_settled() || world.time > healed_at + SETTLED_WITHIN);
        assert!(self.all_settled(), "P2: not settled in time: {:#?}", self.store.signals);
        let settled_at = self.time;
        self.run_healthy(|world| world.time > settled_at + RECORDED_WITHIN);
        for fingerprint in &self.acknowledged {
            let state = self.store.signals[fingerprint].state;
            if self.setup.capabilities.dedup == DedupScope::Forever && signal_has_no_deadline(fingerprint) {
                let ended = [SignalState::Executed, SignalState::Failed, SignalState::Partial];
                assert!(ended.contains(&state), "P3: {state:?}");
            }
        }
        for (fingerprint, record) in &self.store.signals {
            let told = |(_, _, of, state, attempts): &(_, _, _, SignalState, usize)| {
                (of, *state, *attempts) == (fingerprint, record.state, record.attempts.len())
            };
            let owed = record.state.awaits_operator();
            assert!(!owed || self.told.iter().any(told), "P2: nobody was told of {record:#?}");
        }
        let leaders = self.hosts.iter().filter(|host| host.machine.authority().is_some()).count();
        assert_eq!(leaders, 1, "a healthy world has one leader");
    }

    fn all_settled(&self) -> bool {
        self.store.signals.values().all(|record| record.state.is_settled())
    }

    fn run_healthy(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..STEPS_WITHIN {
            if done(self) {
                return;
            }
            if self.store.leadership.paused.is_some() {
                // Words of before may still come; the operator has the last.
                let (seen, at) = (self.store.leadership.pause_words, Wall::default());
                self.store.apply(&StoreCall::SetPause { paused: false, seen, reason: "over".into(), at });
            }
            if !self.deliver_next() {
                self.pass(self.until_next_deadline());
                for host in 0..NODES {
                    self.step(host, Event::Tick);
                }
            }
            self.check();
        }
        panic!("a tight loop: {:#?}", self.store.signals);
    }

    fn until_next_deadline(&self) -> Millis {
        let wait = |(host, at): (&Host, Mono)| at.since(Mono::from_nanos(host.mono)).as_nanos() as u64;
        let waits = self.hosts.iter().filter_map(|host| host.machine.next_deadline().map(|at| (host, at)));
        waits
            .map(|next| wait(next).div_ceil(1_000 * next.0.rate))
            .min()
            .expect("an elector always has a deadline")
            .max(1)
    }
}

fn signal_has_no_deadline(fingerprint: &Fingerprint) -> bool {
    (0..SIGNALS).map(signal).any(|signal| signal.fingerprint == *fingerprint && signal.expires_at.is_none())
}

fn no_answer(call: &Call) -> Reply {
    let error = PortError("no answer".into());
    match call {
        Call::Lease(_) => Reply::Lease(Err(error)),
        Call::Store(_) => Reply::Store(Err(error)),
        Call::Place(_) => Reply::Place(Outcome::Unknown(error.0)),
        Call::LookUp(_) => Reply::LookUp(LookupAnswer::Unavailable(error.0)),
    }
}

#[test]
fn no_adversary_breaks_a_promise_and_every_signal_ends_once_it_lets_go() {
    let config = Config { cases: 2_000, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(config.cases);
    let config = Config { cases, ..config };
    let rng = match std::env::var("WORLD_SEED") {
        Ok(seed) => TestRng::from_seed(RngAlgorithm::ChaCha, Fingerprint::of_bytes(seed.as_bytes()).as_bytes()),
        Err(_) => TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    };
    let seen = RefCell::new(Seen::default());
    TestRunner::new_with_rng(config, rng)
        .run(&(setups(), proptest::collection::vec(moves(), 40..400)), |(setup, moves)| {
            let mut world = World::new(&setup, &seen);
            for next in &moves {
                world.play(next);
            }
            world.heal();
            Ok(())
        })
        .unwrap_or_else(|failure| match failure {
            TestError::Abort(reason) => panic!("{reason}"),
            TestError::Fail(reason, smallest) => panic!("{reason}\nsmallest: {smallest:?}"),
        });
    let seen = seen.into_inner();
    println!("{seen:#?}");
    for (count, what) in [
        (seen.led, "led"),
        (seen.sent, "sent"),
        (seen.sent_again, "sent again"),
        (seen.in_doubt, "in doubt"),
        (seen.fenced, "fenced"),
        (seen.claims_fenced, "claims fenced"),
        (seen.not_sent, "not sent"),
        (seen.refused, "refused"),
        (seen.late_claims, "late claims"),
        (seen.late_orders, "late orders"),
        (seen.late_outcomes, "late outcomes"),
        (seen.late_words, "late words"),
        (seen.ids_kept, "ids kept"),
        (seen.received_again, "received again"),
        (seen.stale_pictures, "stale pictures"),
        (seen.found, "found"),
        (seen.resent, "resent"),
        (seen.paused, "paused"),
        (seen.claims_paused, "refused because of a pause"),
        (seen.recovered_while_paused, "recovered during a pause"),
        (seen.late_pauses, "paused late"),
        (seen.told_for_others, "told for an author that did not live to tell"),
        (seen.next_legs, "gone on with after its first leg"),
        (seen.next_legs_of_others, "gone on with after another's first leg"),
        (seen.next_legs_while_paused, "gone on with during a pause"),
        (seen.unwound, "unwound"),
        (seen.settled[SignalState::Partial as usize], "executed in part"),
        (seen.settled[SignalState::Executed as usize], "executed"),
        (seen.settled[SignalState::Failed as usize], "failed"),
        (seen.settled[SignalState::Expired as usize], "expired"),
        (seen.settled[SignalState::Quarantined as usize], "quarantined"),
    ] {
        assert!(count > 0, "in no case was anything {what}: the adversary has grown tame");
    }
}
