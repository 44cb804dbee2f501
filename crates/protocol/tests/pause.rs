//! New orders stopped by operators: what the leader begins, tells and asks then, and what it does not.

mod support;

use oncegate_protocol::call::{Purpose, Verdict};
use oncegate_protocol::{
    Answer, Call, CallId, Capabilities, Command, Event, Leadership, Notice, Pause, RequestId, SignalRecord,
    SignalState, StoreCall, StoreReply, Timing,
};
use support::*;

const REASON: &str = "the exchange is halted";

fn pause() -> Pause {
    Pause { reason: REASON.into(), since: wall(0) }
}

fn told_paused() -> Command {
    Command::Notice(Notice::Paused { reason: REASON.into(), since: wall(0) })
}

fn paused_picture(records: &[SignalRecord]) -> StoreReply {
    StoreReply::Pending { records: records.to_vec(), paused: Some(pause()) }
}

fn paused_row() -> Leadership {
    Leadership { paused: Some(pause()), pause_words: 1, ..row(1, Some(holder(1)), 0) }
}

/// Leads epoch 1 and has read that new orders are stopped, with these signals; the next call has the id 5.
fn paused_with(capabilities: Capabilities, records: &[SignalRecord]) -> (Bench, Vec<Command>) {
    let mut node = Bench::leading_with(capabilities, Timing::default(), vec![received(9)]);
    let commands = node.store(4, paused_picture(records));
    (node, commands)
}

#[test]
fn a_leader_that_finds_new_orders_stopped_tells_it_once_and_begins_nothing() {
    let (mut node, commands) = paused_with(Capabilities::blind(), &[received(1)]);
    assert_eq!(commands, vec![told_paused()]);
    assert_eq!(node.hear(Event::StoreChanged), vec![read_pending(5)]);
    assert_eq!(node.store(5, paused_picture(&[received(1)])), vec![]);
    assert_eq!(node.tick(), vec![], "and does not spin");
    assert!(node.wakes_at() >= Some(2_000), "its renewal is what comes next: {:?}", node.wakes_at());
}

#[test]
fn when_they_go_on_the_oldest_is_begun() {
    let (mut node, _) = paused_with(Capabilities::blind(), &[received(1), received(2)]);
    assert_eq!(node.hear(Event::StoreChanged), vec![read_pending(5)]);
    assert_eq!(
        node.store(5, pending(&[received(1), received(2)])),
        vec![Command::Notice(Notice::Resumed), claim(6, 1, 1, Purpose::Execute, 0)]
    );
}

#[test]
fn a_claim_that_is_refused_for_it_is_not_tried_again_until_they_go_on() {
    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![received(1)]);
    assert_eq!(node.store(4, pending(&[received(1), received(2)])), vec![claim(5, 1, 1, Purpose::Execute, 0)]);
    assert_eq!(node.store(5, StoreReply::Paused(paused_row())), vec![told_paused()]);
    assert_eq!(node.tick(), vec![]);
    assert_eq!(node.hear(Event::StoreChanged), vec![read_pending(6)]);
    assert_eq!(
        node.store(6, pending(&[received(1), received(2)])),
        vec![Command::Notice(Notice::Resumed), claim(7, 1, 1, Purpose::Execute, 0)]
    );
}

#[test]
fn a_picture_of_before_the_refusal_does_not_overrule_it() {
    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![received(1)]);
    node.store(4, pending(&[received(1)]));
    assert_eq!(node.hear(Event::StoreChanged), vec![read_pending(6)]);
    assert_eq!(node.store(5, StoreReply::Paused(paused_row())), vec![told_paused()]);
    assert_eq!(node.store(6, pending(&[received(1)])), vec![read_pending(7)], "it asks again, and claims nothing");
    assert_eq!(node.store(7, paused_picture(&[received(1)])), vec![]);
}

#[test]
fn a_claim_granted_before_the_pause_is_handed_back_unsent() {
    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![received(1)]);
    node.store(4, pending(&[received(1)]));
    node.hear(Event::StoreChanged);
    assert_eq!(node.store(6, paused_picture(&[])), vec![told_paused()]);
    let reason = "operators have stopped new orders";
    assert_eq!(
        node.store(5, StoreReply::Claimed { number: 1 }),
        vec![did_not_send(1, reason), record(7, 1, 1, not_sent(reason), 0)]
    );
}

#[test]
fn deadlines_pass_all_the_same() {
    let (mut node, commands) = paused_with(Capabilities::blind(), &[received(1), expiring(2, 3_000)]);
    assert_eq!(commands, vec![told_paused()]);
    assert_eq!(
        node.at(3_000).tick(),
        vec![renew(5, 1, 1), heartbeat(6, 1, 1, 3_000), conclude(7, 2, 1, Verdict::Expire, 3_000)]
    );
}

#[test]
fn what_is_in_doubt_goes_on() {
    let doubtful = begun(1, SignalState::InDoubt, vec![attempt(1, 1, other(), None)]);
    let (_, commands) = paused_with(Capabilities::deduplicating(), &[doubtful]);
    assert!(commands.contains(&claim(5, 1, 1, Purpose::Recover, 0)), "{commands:?}");
}

// ---- the word itself

const REQUEST: RequestId = RequestId(9);

fn asked(paused: bool, seen: u64) -> Event {
    Event::SetPause { request: REQUEST, paused, seen, reason: REASON.into() }
}

fn word(id: u64, paused: bool, seen: u64) -> Command {
    let call = Call::Store(StoreCall::SetPause { paused, seen, reason: REASON.into(), at: wall(0) });
    Command::Call { id: CallId(id), call }
}

fn follower() -> Bench {
    let mut node = Bench::new();
    node.tick();
    node.lease(1, held_by(other(), 7_000));
    node
}

fn answer(answer: Answer) -> Command {
    Command::Answer { request: REQUEST, answer }
}

#[test]
fn any_node_tells_how_many_words_there_are_and_passes_the_next_one_on() {
    let mut node = follower();
    assert_eq!(node.hear(Event::ReadLeadership { request: REQUEST }), vec![read_leadership(2)]);
    let before = Leadership { pause_words: 4, ..row(3, Some(other()), 0) };
    let told = Answer::Leadership(before.clone());
    assert_eq!(node.store(2, StoreReply::Leadership(before)), vec![answer(told)]);
    assert_eq!(node.hear(asked(true, 4)), vec![word(3, true, 4)]);
    let told = Answer::Leadership(paused_row());
    assert_eq!(node.store(3, StoreReply::Leadership(paused_row())), vec![answer(told)]);
}

#[test]
fn a_leader_that_passes_the_word_on_looks_at_once() {
    let mut node = Bench::leading(Capabilities::blind());
    assert_eq!(node.hear(asked(true, 0)), vec![word(5, true, 0)]);
    let told = Answer::Leadership(paused_row());
    assert_eq!(node.store(5, StoreReply::Leadership(paused_row())), vec![answer(told), read_pending(6)]);
    assert_eq!(node.store(6, paused_picture(&[])), vec![told_paused()]);
}

#[test]
fn a_word_that_may_not_be_durable_is_not_confirmed() {
    let mut node = follower();
    node.hear(asked(true, 0));
    assert_eq!(node.store_silent(2), vec![answer(Answer::Unavailable { reason: "no answer".into() })]);
}
