//! The door: signals offered, operators heard, and the end of the process.

mod support;

use oncegate_protocol::call::{Purpose, Resolution};
use oncegate_protocol::{
    Answer, Call, CallId, Capabilities, Command, Event, InstanceId, LeaseReply, Node, NodeConfig, RequestId,
    SignalState, StoreCall, StoreReply, Timing,
};
use support::*;

const REQUEST: RequestId = RequestId(9);

fn follower() -> Bench {
    let mut node = Bench::new();
    node.tick();
    assert_eq!(node.lease(1, held_by(other(), 7_000)), vec![]);
    node
}

fn offered(node: &mut Bench) -> Vec<Command> {
    node.hear(Event::Offered { request: REQUEST, signal: signal(1, None) })
}

fn insert(id: u64, ms: u64) -> Command {
    Command::Call { id: CallId(id), call: Call::Store(StoreCall::Insert { signal: signal(1, None), at: wall(ms) }) }
}

fn answer(answer: Answer) -> Command {
    Command::Answer { request: REQUEST, answer }
}

fn stored(new: bool, same_body: bool) -> StoreReply {
    StoreReply::Stored { new, state: SignalState::Received, same_body }
}

#[test]
fn a_signal_is_acknowledged_by_any_node_and_only_once_it_is_durable() {
    let mut node = follower();
    assert_eq!(offered(&mut node), vec![insert(2, 0)]);
    let stands = Answer::Stored { fingerprint: fingerprint(1), new: true, state: SignalState::Received };
    assert_eq!(node.store(2, stored(true, true)), vec![answer(stands)]);
}

#[test]
fn a_leader_looks_at_once_at_what_it_stored() {
    let mut node = Bench::leading(Capabilities::blind());
    assert_eq!(offered(&mut node), vec![insert(5, 0)]);
    let stands = Answer::Stored { fingerprint: fingerprint(1), new: true, state: SignalState::Received };
    assert_eq!(node.store(5, stored(true, true)), vec![answer(stands), read_pending(6)]);
    assert_eq!(node.store(6, pending(&[received(1)])), vec![claim(7, 1, 1, Purpose::Execute, 0)]);
}

#[test]
fn a_signal_that_may_not_be_durable_is_not_acknowledged() {
    let mut node = follower();
    offered(&mut node);
    assert_eq!(node.store_silent(2), vec![answer(Answer::Unavailable { reason: "no answer".into() })]);
}

#[test]
fn a_different_body_of_the_same_identity_is_a_conflict() {
    let mut node = follower();
    offered(&mut node);
    let conflict = Answer::Conflict { fingerprint: fingerprint(1) };
    assert_eq!(node.store(2, stored(false, false)), vec![answer(conflict)]);
}

#[test]
fn an_operators_word_is_passed_on_by_any_node() {
    let mut node = follower();
    let (fingerprint, resolution) = (fingerprint(1), Resolution::Resend);
    let resolve = Event::Resolve { request: REQUEST, fingerprint, resolution, attempts: 3, reason: "looked".into() };
    let call = StoreCall::Resolve { fingerprint, resolution, attempts: 3, reason: "looked".into(), at: wall(0) };
    assert_eq!(node.hear(resolve), vec![Command::Call { id: CallId(2), call: Call::Store(call) }]);
    let stands = Answer::State(Some(SignalState::Received));
    assert_eq!(node.store(2, now_stands(SignalState::Received)), vec![answer(stands)]);
}

// ---- the end

/// Has lost leadership, follows, and still owes the store the outcome of its order, which is due at 7,200 ms.
fn follower_with_an_outcome_owed() -> Bench {
    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![received(1)]);
    node.store(4, pending(&[received(1)]));
    node.store(5, StoreReply::Claimed { number: 1 });
    node.placed(6, accepted());
    node.at(100).step_down();
    node.at(6_100).tick();
    node.store(8, StoreReply::Done);
    assert_eq!(node.lease(9, LeaseReply::Free), vec![]);
    assert_eq!(node.at(6_700).store_silent(7), vec![port_failed("record an outcome")]);
    node
}

#[test]
fn a_process_that_is_asked_to_end_first_records_what_it_knows() {
    let mut node = follower_with_an_outcome_owed();
    assert_eq!(node.hear(Event::Shutdown), vec![]);
    assert_eq!(node.at(7_200).tick(), vec![record(10, 1, 1, accepted(), 7_200)]);
    assert_eq!(
        node.store(10, now_stands(SignalState::Executed)),
        vec![settled(1, SignalState::Executed, "broker order b1"), Command::Stopped]
    );
}

#[test]
fn a_process_that_is_asked_to_end_does_not_wait_for_the_store_for_ever() {
    let mut node = follower_with_an_outcome_owed();
    node.hear(Event::Shutdown);
    assert_eq!(node.at(7_200).tick(), vec![record(10, 1, 1, accepted(), 7_200)]);
    assert_eq!(node.wakes_at(), Some(12_700), "the drain, from when it was asked");
    assert_eq!(node.at(12_700).tick(), vec![Command::Stopped]);
}

// ---- configuration

#[test]
fn a_node_without_a_name_or_with_empty_promises_is_refused() {
    let config = NodeConfig {
        instance: InstanceId::new("n"),
        boot_nonce: 1,
        timing: Timing::default(),
        capabilities: Capabilities::blind(),
    };
    let nameless = NodeConfig { instance: InstanceId::new(""), ..config.clone() };
    assert!(Node::new(nameless, now_at(0)).unwrap_err().to_string().starts_with("instance:"));
    let hasty = NodeConfig { timing: Timing { ttl: BROKER_TIMEOUT, ..Timing::default() }, ..config };
    assert!(Node::new(hasty, now_at(0)).unwrap_err().to_string().starts_with("timing:"));
}
