//! A broker's side at which nobody is: what waits, what does not, and that it goes on at once when somebody comes.

mod support;

use oncegate_protocol::call::{Purpose, Verdict};
use oncegate_protocol::{Capabilities, Command, Epoch, Event, Notice, SignalRecord, SignalState, StoreReply, Timing};
use support::*;

fn gone() -> Command {
    Command::Notice(Notice::BrokerNotReady)
}

fn there() -> Command {
    Command::Notice(Notice::BrokerReady)
}

/// Leads epoch 1 with nobody on the broker's side, and has just read these signals; the next call has the id 5.
fn alone_with(capabilities: Capabilities, records: &[SignalRecord]) -> (Bench, Vec<Command>) {
    let mut node = Bench::leading_with(capabilities, Timing::default(), vec![received(9)]);
    assert_eq!(node.hear(Event::BrokerReady(false)), vec![gone()]);
    let commands = node.store(4, pending(records));
    (node, commands)
}

#[test]
fn nothing_is_begun_while_nobody_is_there_and_at_once_when_somebody_is() {
    let (mut node, commands) = alone_with(Capabilities::blind(), &[received(1), received(2)]);
    assert_eq!(commands, vec![]);
    assert_eq!(node.at(1_000).tick(), vec![], "and it does not spin");
    assert_eq!(node.hear(Event::BrokerReady(true)), vec![there(), claim(5, 1, 1, Purpose::Execute, 1_000)]);
    assert_eq!(node.hear(Event::BrokerReady(true)), vec![], "once is enough");
}

#[test]
fn deadlines_pass_all_the_same() {
    let (mut node, _) = alone_with(Capabilities::blind(), &[received(1), expiring(2, 1_500)]);
    assert_eq!(node.at(1_500).tick(), vec![conclude(5, 2, 1, Verdict::Expire, 1_500)]);
}

#[test]
fn an_order_in_doubt_is_neither_placed_again_nor_asked_for_until_somebody_is_there() {
    let doubtful = begun(1, SignalState::InDoubt, vec![attempt(1, 1, other(), None)]);
    let left = "left unfinished by m:0000000000000001:1 of epoch 1";
    for (capabilities, next) in [
        (Capabilities::deduplicating(), claim(5, 1, 1, Purpose::Recover, 1_000)),
        (Capabilities::lookup_only(TTL), look_up(5, 1)),
    ] {
        let (mut node, commands) = alone_with(capabilities, std::slice::from_ref(&doubtful));
        assert_eq!(commands, vec![in_doubt(1, left)]);
        assert_eq!(node.at(1_000).hear(Event::BrokerReady(true)), vec![there(), next]);
    }
}

#[test]
fn what_nobody_could_find_out_is_left_to_a_human_all_the_same() {
    let doubtful = begun(1, SignalState::InDoubt, vec![attempt(1, 1, other(), None)]);
    let (_, commands) = alone_with(Capabilities::blind(), &[doubtful]);
    let why = Verdict::Quarantine("the broker neither deduplicates nor can be asked".into());
    assert_eq!(commands.last(), Some(&conclude(5, 1, 1, why, 0)));
}

#[test]
fn a_claim_that_was_under_way_is_handed_back_unsent() {
    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![received(1)]);
    assert_eq!(node.store(4, pending(&[received(1)])), vec![claim(5, 1, 1, Purpose::Execute, 0)]);
    assert_eq!(node.hear(Event::BrokerReady(false)), vec![gone()]);
    let reason = "nobody takes orders on the broker's side";
    assert_eq!(
        node.store(5, StoreReply::Claimed { number: 1 }),
        vec![did_not_send(1, reason), record(6, 1, 1, not_sent(reason), 0)]
    );
    assert_eq!(node.store(6, now_stands(SignalState::Received)), vec![read_pending(7)]);
    assert_eq!(node.store(7, pending(&[received(1)])), vec![], "one attempt is spent, and no more");
}

#[test]
fn an_order_that_is_under_way_is_heard_out_and_recorded() {
    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![received(1)]);
    node.store(4, pending(&[received(1)]));
    node.store(5, StoreReply::Claimed { number: 1 });
    assert_eq!(node.hear(Event::BrokerReady(false)), vec![gone()]);
    assert_eq!(node.placed(6, accepted()), vec![record(7, 1, 1, accepted(), 0)]);
}

#[test]
fn who_is_not_there_when_leadership_begins_is_waited_for() {
    let mut node = Bench::with(Capabilities::blind(), Timing::default());
    assert_eq!(node.hear(Event::BrokerReady(false)), vec![acquire(1, 1), gone()]);
    node.lease(1, GRANTED);
    node.store(2, leadership(0, None, 0));
    assert_eq!(node.store(3, StoreReply::Opened(Epoch(1))), vec![became_leader(1, 1), read_pending(4)]);
    assert_eq!(node.store(4, pending(&[received(1)])), vec![]);
    assert_eq!(node.hear(Event::BrokerReady(true)), vec![there(), claim(5, 1, 1, Purpose::Execute, 0)]);
}
