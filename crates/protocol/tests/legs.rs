//! Several legs of one signal: which is claimed when, and what becomes of the signal when one of them ends badly.

mod support;

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::call::{Claim, Purpose, Verdict};
use oncegate_protocol::{
    Attempt, BrokerOrderId, Call, CallId, Capabilities, ClientOrderId, Command, Event, IdentityRule, Leg, Notice,
    Outcome, Signal, SignalRecord, SignalState, StoreCall, StoreReply, Timing,
};
use support::*;

const BODY: &str = r#"{"id": 1, "legs": [{"buy": 1}, {"sell": 2}, {"sell": 3}]}"#;

/// Signal 1 of three legs.
fn three() -> SignalRecord {
    let signal = Signal::read(BODY.as_bytes(), &IdentityRule::default()).expect("well formed");
    assert_eq!(signal.legs, 3);
    SignalRecord { raw: signal.raw, legs: signal.legs, ..received(1) }
}

fn id_of(leg: u16) -> ClientOrderId {
    fingerprint(1).client_order_id(Leg(leg), &Capabilities::deduplicating().key_format)
}

fn at_leg(leg: u16, number: u32, epoch: u64, outcome: Option<Outcome>) -> Attempt {
    let owner = if epoch == 0 { other() } else { holder(epoch) };
    Attempt { leg: Leg(leg), client_order_id: id_of(leg), ..attempt(number, epoch, owner, outcome) }
}

fn unfinished(state: SignalState, attempts: Vec<Attempt>) -> SignalRecord {
    SignalRecord { state, attempts, ..three() }
}

/// The claim that a step asks for, if any: its leg, attempt and purpose.
fn claimed(commands: &[Command]) -> Option<(u16, u32, Purpose)> {
    commands.iter().find_map(|command| match command {
        Command::Call {
            call: Call::Store(StoreCall::Claim(Claim { leg, number, purpose, client_order_id, .. })),
            ..
        } => {
            assert_eq!(*client_order_id, id_of(leg.0));
            Some((leg.0, *number, *purpose))
        }
        _ => None,
    })
}

/// The order that a step sends, if any: its leg and body.
fn sent(commands: &[Command]) -> Option<(u16, String)> {
    commands.iter().find_map(|command| match command {
        Command::Call { call: Call::Place(order), .. } => {
            assert_eq!(order.client_order_id, id_of(order.leg.0));
            Some((order.leg.0, String::from_utf8(order.body.clone()).expect("text")))
        }
        _ => None,
    })
}

fn last_call(commands: &[Command]) -> u64 {
    let ids = commands.iter().filter_map(|command| match command {
        Command::Call { id: CallId(id), .. } => Some(*id),
        _ => None,
    });
    ids.max().expect("a call")
}

fn leading(record: SignalRecord, capabilities: Capabilities) -> (Bench, Vec<Command>) {
    let mut node = Bench::leading_with(capabilities, Timing::default(), vec![received(9)]);
    let commands = node.store(4, pending(&[record]));
    (node, commands)
}

/// Has the attempt under way at one leg end so, and the store answer that.
fn ended(node: &mut Bench, claim: u64, outcome: Outcome, state: SignalState) -> Vec<Command> {
    let placing = node.store(claim, StoreReply::Claimed { number: 1 });
    let recording = node.placed(last_call(&placing), outcome);
    node.store(last_call(&recording), now_stands(state))
}

#[test]
fn legs_are_sent_one_after_another_each_as_it_came() {
    let (mut node, commands) = leading(three(), Capabilities::blind());
    assert_eq!(claimed(&commands), Some((0, 1, Purpose::Execute)));
    let placing = node.store(last_call(&commands), StoreReply::Claimed { number: 1 });
    assert_eq!(sent(&placing), Some((0, r#"{"buy": 1}"#.into())));
    let recording = node.placed(last_call(&placing), accepted());
    assert_eq!((claimed(&recording), sent(&recording)), (None, None), "not before the store knows");
    let next = node.store(last_call(&recording), now_stands(SignalState::Executing));
    assert_eq!(claimed(&next), Some((1, 1, Purpose::Execute)));
    let placing = node.store(last_call(&next), StoreReply::Claimed { number: 1 });
    assert_eq!(sent(&placing), Some((1, r#"{"sell": 2}"#.into())));
    let recording = node.placed(last_call(&placing), accepted());
    let next = node.store(last_call(&recording), now_stands(SignalState::Executing));
    let last = ended(&mut node, last_call(&next), accepted(), SignalState::Executed);
    let detail = "leg 2 (of 0 to 2): broker order b1";
    assert_eq!(last, vec![settled(1, SignalState::Executed, detail)]);
}

#[test]
fn after_a_refused_leg_nothing_more_is_sent() {
    let (mut node, commands) = leading(three(), Capabilities::blind());
    let next = ended(&mut node, last_call(&commands), accepted(), SignalState::Executing);
    let last = ended(&mut node, last_call(&next), rejected(), SignalState::Partial);
    assert_eq!(last, vec![settled(1, SignalState::Partial, "leg 1 (of 0 to 2): no margin")]);
    assert_eq!(node.tick(), vec![]);
    // Found so in the store, it is not told again; a process that has not told it does.
    assert_eq!(node.hear(Event::StoreChanged), vec![read_pending(last_call(&[read_pending(11)]))]);
    let partial =
        unfinished(SignalState::Partial, vec![at_leg(0, 1, 1, Some(accepted())), at_leg(1, 1, 1, Some(rejected()))]);
    assert_eq!(node.store(11, pending(std::slice::from_ref(&partial))), vec![]);
    let (_, commands) = leading(partial, Capabilities::blind());
    let detail = "found so in the store; it waits for an operator";
    assert_eq!(commands, vec![settled(1, SignalState::Partial, detail)]);
}

#[test]
fn a_new_leader_goes_on_between_two_legs_without_a_word_of_doubt() {
    let begun = unfinished(SignalState::InDoubt, vec![at_leg(0, 1, 0, Some(accepted()))]);
    let (_, commands) = leading(begun, Capabilities::blind());
    assert_eq!(claimed(&commands), Some((1, 1, Purpose::Execute)));
    assert!(!commands.iter().any(|command| matches!(command, Command::Notice(Notice::InDoubt { .. }))));
}

#[test]
fn a_new_leader_leaves_the_next_leg_while_one_is_in_doubt() {
    for outcome in [None, Some(unknown())] {
        let attempts = vec![at_leg(0, 1, 0, Some(accepted())), at_leg(1, 1, 0, outcome)];
        let (_, commands) = leading(unfinished(SignalState::InDoubt, attempts), Capabilities::blind());
        let told = "leg 1 (of 0 to 2): left unfinished by m:0000000000000001:1 of epoch 0";
        let why = "leg 1 (of 0 to 2): the broker neither deduplicates nor can be asked";
        let quarantine = conclude(5, 1, 1, Verdict::Quarantine(why.into()), 0);
        assert_eq!(commands, vec![in_doubt(1, told), quarantine]);
    }
}

#[test]
fn a_leg_that_is_found_is_followed_by_the_next() {
    let begun = unfinished(SignalState::InDoubt, vec![at_leg(0, 1, 0, Some(unknown()))]);
    let (mut node, asking) = leading(begun, swift(Capabilities::lookup_only(std::time::Duration::from_secs(1))));
    assert_eq!(asking.last(), Some(&look_up(5, 1)));
    let found = Verdict::Found { leg: Leg(0), id: BrokerOrderId::new("b9") };
    assert_eq!(node.looked_up(5, LookupAnswer::Found(BrokerOrderId::new("b9"))), vec![conclude(6, 1, 1, found, 0)]);
    let next = node.store(6, now_stands(SignalState::InDoubt));
    assert_eq!(claimed(&next), Some((1, 1, Purpose::Execute)));
}

#[test]
fn between_two_legs_a_deadline_leaves_it_partial() {
    let mut begun = unfinished(SignalState::InDoubt, vec![at_leg(0, 1, 0, Some(accepted()))]);
    begun.expires_at = Some(wall(0));
    let (mut node, commands) = leading(begun, Capabilities::deduplicating());
    assert_eq!(commands, vec![conclude(5, 1, 1, Verdict::Expire, 0)]);
    let told = node.store(5, now_stands(SignalState::Partial));
    let detail = "leg 1 (of 0 to 2): its deadline passed before it was sent";
    assert_eq!(told, vec![settled(1, SignalState::Partial, detail)]);
}

#[test]
fn a_leg_that_was_not_sent_is_claimed_again_and_no_other() {
    let (mut node, commands) = leading(three(), Capabilities::blind());
    let next = ended(&mut node, last_call(&commands), accepted(), SignalState::Executing);
    let rested = ended(&mut node, last_call(&next), not_sent("refused the connection"), SignalState::Executing);
    assert_eq!((claimed(&rested), rested.len()), (None, 1), "the store is asked first: {rested:?}");
    let begun = unfinished(
        SignalState::Executing,
        vec![at_leg(0, 1, 1, Some(accepted())), at_leg(1, 1, 1, Some(not_sent("refused the connection")))],
    );
    assert_eq!(node.store(last_call(&rested), pending(&[begun])), vec![], "it rests");
    let again = node.at(node.wakes_at().expect("it rests for a while")).tick();
    assert_eq!(claimed(&again), Some((1, 2, Purpose::Execute)));
}

#[test]
fn what_is_begun_goes_on_while_new_orders_are_stopped_and_before_what_is_new() {
    let begun =
        SignalRecord { sequence: 7, ..unfinished(SignalState::InDoubt, vec![at_leg(0, 1, 0, Some(accepted()))]) };
    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![received(9)]);
    let commands = node.store(4, pending(&[received(2), begun.clone()]));
    assert_eq!(claimed(&commands), Some((1, 1, Purpose::Execute)), "though the other came first");

    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![received(9)]);
    let pause = oncegate_protocol::Pause { reason: "halted".into(), since: wall(0) };
    let picture = StoreReply::Pending { records: vec![received(2), begun], paused: Some(pause) };
    let commands = node.store(4, picture);
    assert_eq!(claimed(&commands), Some((1, 1, Purpose::Execute)));
    let placing = node.store(last_call(&commands), StoreReply::Claimed { number: 1 });
    assert_eq!(sent(&placing).map(|(leg, _)| leg), Some(1));
}

#[test]
fn a_deposed_leader_records_its_leg_and_begins_no_other() {
    let (mut node, commands) = leading(three(), Capabilities::blind());
    let placing = node.store(last_call(&commands), StoreReply::Claimed { number: 1 });
    node.step_down();
    let recording = node.placed(last_call(&placing), accepted());
    let after = node.store(last_call(&recording), now_stands(SignalState::InDoubt));
    assert_eq!((claimed(&after), sent(&after)), (None, None));
}
