//! The gate's hot path without I/O: fingerprint, one step of the state machine, the leadership check.
//!
//! `cargo bench --bench gate`. The bound: a step under one microsecond.

#![allow(clippy::disallowed_methods)] // A bench measures real time.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use oncegate_protocol::{
    Call, Capabilities, Command, Epoch, Event, IdentityRule, InstanceId, Leadership, LeaseReply, Machine, Mono, Node,
    NodeConfig, Now, Reply, Signal, StoreReply, Timing, Wall,
};

/// The most that one step may take.
const STEP_BOUND: Duration = Duration::from_micros(1);

const SIGNAL: &[u8] = br#"{"id":"NIFTY-2026-11-23-0915","strategy":"orb","instrument":"NIFTY26NOVFUT","side":"BUY","quantity":50,"price":24350.5,"expires_at_ms":1795405560000}"#;

fn at(millis: u64) -> Now {
    Now { mono: Mono::from_millis(millis), wall: Wall::from_millis(1_795_405_500_000) }
}

/// A node that leads since its first millisecond, and whatever it wants next.
fn leader() -> (Node, Vec<Command>) {
    let config = NodeConfig {
        instance: InstanceId::new("n1"),
        boot_nonce: 7,
        timing: Timing::default(),
        capabilities: Capabilities::deduplicating(),
    };
    let mut node = Node::new(config, at(0)).expect("the defaults hold");
    let mut commands = node.step(at(0), Event::Tick);
    for _ in 0..8 {
        let replies: Vec<_> = commands.iter().filter_map(answer).collect();
        commands.clear();
        for event in replies {
            commands.extend(node.step(at(1), event));
        }
    }
    assert!(node.authority().is_some(), "the node leads");
    (node, commands)
}

/// What an obliging world says to a call.
fn answer(command: &Command) -> Option<Event> {
    use oncegate_protocol::{LeaseCall, StoreCall};
    let Command::Call { id, call } = command else { return None };
    let leadership =
        Leadership { epoch: Epoch(0), holder: None, heartbeat_at: Wall::default(), paused: None, pause_words: 0 };
    let reply = match call {
        Call::Lease(LeaseCall::Acquire { .. } | LeaseCall::Renew { .. }) => {
            Reply::Lease(Ok(LeaseReply::Granted { seen: Epoch(0) }))
        }
        Call::Lease(LeaseCall::Release { .. } | LeaseCall::Read) => Reply::Lease(Ok(LeaseReply::Free)),
        Call::Store(StoreCall::ReadLeadership) => Reply::Store(Ok(StoreReply::Leadership(leadership))),
        Call::Store(StoreCall::OpenEpoch { .. }) => Reply::Store(Ok(StoreReply::Opened(Epoch(1)))),
        Call::Store(StoreCall::ReadPending { .. }) => {
            Reply::Store(Ok(StoreReply::Pending { records: Vec::new(), paused: None }))
        }
        Call::Store(_) => Reply::Store(Ok(StoreReply::Done)),
        Call::Place(_) | Call::LookUp(_) => return None,
    };
    Some(Event::Replied { id: *id, reply })
}

fn fingerprint(criterion: &mut Criterion) {
    let identity = IdentityRule::default();
    criterion.bench_function("fingerprint of a 150-byte signal", |bench| {
        bench.iter(|| Signal::read(black_box(SIGNAL), &identity));
    });
}

fn steps(criterion: &mut Criterion) {
    criterion.bench_function("step: tick with nothing due", |bench| {
        let (mut node, _) = leader();
        bench.iter(|| node.step(black_box(at(2)), Event::Tick));
    });
    // A leader's whole life without signals: renewals, heartbeats, comparisons and reads as they fall due.
    criterion.bench_function("step: a leader's average step", |bench| {
        bench.iter_custom(|steps| {
            let (mut node, mut commands) = leader();
            let mut now = 2;
            let mut spent = Duration::ZERO;
            let mut done = 0;
            while done < steps {
                let mut events: Vec<_> = commands.iter().filter_map(answer_of_leader).collect();
                if events.is_empty() {
                    now = node.next_deadline().map_or(now, |at| at.as_nanos() / 1_000_000 + 1);
                    events.push(Event::Tick);
                }
                commands.clear();
                for event in events {
                    let before = Instant::now();
                    let said = node.step(at(now), event);
                    spent += before.elapsed();
                    commands.extend(said);
                    done += 1;
                }
            }
            assert!(node.authority().is_some(), "it led all along");
            let mean = spent / u32::try_from(done).unwrap_or(u32::MAX);
            assert!(
                mean < STEP_BOUND || steps < 1_000,
                "a step took {mean:?} on average, over the bound of {STEP_BOUND:?}"
            );
            spent
        });
    });
}

/// As [`answer`], for a node that leads epoch 1: comparisons must find it there.
fn answer_of_leader(command: &Command) -> Option<Event> {
    use oncegate_protocol::{Holder, LeaseCall, StoreCall};
    let Command::Call { id, call } = command else { return None };
    let holder = Holder::of(&InstanceId::new("n1"), 7, 1);
    match call {
        Call::Lease(LeaseCall::Read) => {
            let held = LeaseReply::HeldBy { holder, remaining: Some(Duration::from_secs(9)) };
            Some(Event::Replied { id: *id, reply: Reply::Lease(Ok(held)) })
        }
        Call::Store(StoreCall::ReadLeadership) => {
            let row = Leadership {
                epoch: Epoch(1),
                holder: Some(holder),
                heartbeat_at: Wall::default(),
                paused: None,
                pause_words: 0,
            };
            Some(Event::Replied { id: *id, reply: Reply::Store(Ok(StoreReply::Leadership(row))) })
        }
        _ => answer(command),
    }
}

fn leadership_check(criterion: &mut Criterion) {
    let (node, _) = leader();
    criterion.bench_function("leadership check", |bench| bench.iter(|| node.may_send(black_box(Mono::from_millis(2)))));
}

criterion_group!(benches, fingerprint, steps, leadership_check);
criterion_main!(benches);
