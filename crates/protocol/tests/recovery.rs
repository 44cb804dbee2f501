//! Orders in doubt: what each kind of broker allows, and what must not be believed too soon.

mod support;

use std::time::Duration;

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::call::{Purpose, Verdict};
use oncegate_protocol::notice::LossReason;
use oncegate_protocol::{
    BrokerOrderId, Call, Capabilities, Command, DedupScope, Epoch, Event, KeyFormat, LeaseReply, Leg, Outcome,
    SignalRecord, SignalState, StoreCall, StoreReply, Timing,
};
use support::*;

const LEFT: &str = "left unfinished by m:0000000000000001:1 of epoch 0";
const BLIND: &str = "the broker neither deduplicates nor can be asked";

fn asked() -> LossReason {
    LossReason::Asked("asked".into())
}

/// Left by another leader, with nothing known of its end.
fn left_behind() -> SignalRecord {
    begun(1, SignalState::InDoubt, vec![attempt(1, 0, other(), None)])
}

/// A new leader of epoch 1 has read what was left behind; the next call has the id 5.
fn taking_over(capabilities: Capabilities) -> (Bench, Vec<Command>) {
    let mut node = Bench::leading_with(capabilities, Timing::default(), vec![left_behind()]);
    let commands = node.store(4, pending(&[left_behind()]));
    (node, commands)
}

/// As [`taking_over`], and the order is placed again as call 6, under attempt 2.
fn placing_again() -> Bench {
    let (mut node, _) = taking_over(swift(Capabilities::deduplicating()));
    assert_eq!(node.store(5, StoreReply::Claimed { number: 2 }), vec![sending(1, 1), place(6, 1, 1, SEND_MS)]);
    node
}

/// The node's own order ended unknown, which the store knows; in doubt since 0 ms. The next call has the id 8.
fn own_in_doubt(capabilities: Capabilities) -> Bench {
    let mut node = Bench::leading_with(capabilities, Timing::default(), vec![received(1)]);
    node.store(4, pending(&[received(1)]));
    assert_eq!(node.store(5, StoreReply::Claimed { number: 1 }), vec![sending(1, 1), place(6, 1, 1, SEND_MS)]);
    assert_eq!(node.placed(6, unknown()), vec![in_doubt(1, "timed out"), record(7, 1, 1, unknown(), 0)]);
    assert_eq!(node.store(7, now_stands(SignalState::InDoubt)), vec![]);
    assert_eq!(node.wakes_at(), Some(500));
    node
}

fn quarantine(why: &str) -> Verdict {
    Verdict::Quarantine(why.into())
}

// ---- a broker that deduplicates

#[test]
fn an_own_order_in_doubt_is_placed_again_without_a_second_claim() {
    let mut node = own_in_doubt(Capabilities::deduplicating());
    assert_eq!(node.at(500).tick(), vec![sending(1, 1), place(8, 1, 1, SEND_MS)]);
    assert_eq!(node.placed(8, accepted()), vec![record(9, 1, 1, accepted(), 500)]);
    assert_eq!(
        node.store(9, now_stands(SignalState::Executed)),
        vec![settled(1, SignalState::Executed, "broker order b1")]
    );
}

#[test]
fn an_order_of_an_older_epoch_is_claimed_before_it_is_placed_again() {
    let (mut node, commands) = taking_over(Capabilities::deduplicating());
    assert_eq!(commands, vec![in_doubt(1, LEFT), claim(5, 1, 1, Purpose::Recover, 0)]);
    assert_eq!(node.store(5, StoreReply::Claimed { number: 2 }), vec![sending(1, 1), place(6, 1, 1, SEND_MS)]);
    assert_eq!(node.placed(6, accepted()), vec![record(7, 1, 2, accepted(), 0)]);
}

#[test]
fn not_sent_after_a_send_that_may_have_left_is_never_recorded() {
    let mut node = own_in_doubt(Capabilities::deduplicating());
    node.at(500).tick();
    assert_eq!(node.placed(8, not_sent("too late")), vec![did_not_send(1, "too late")]);
    assert_eq!(node.step_down(), vec![lost_leadership(1, &asked()), vacate(9, 1, 1, &asked(), 500)]);
}

#[test]
fn a_second_unknown_end_is_not_recorded_again() {
    let mut node = own_in_doubt(Capabilities::deduplicating());
    node.at(500).tick();
    assert_eq!(node.placed(8, unknown()), vec![in_doubt(1, "timed out")]);
    assert_eq!(node.wakes_at(), Some(1_500), "backs off");
}

#[test]
fn a_refusal_while_an_own_send_may_be_in_flight_is_not_believed() {
    let mut node = own_in_doubt(swift(Capabilities::deduplicating()));
    node.at(500).tick();
    let why = "refused (no margin) while an earlier send may be in flight";
    assert_eq!(node.at(600).placed(8, rejected()), vec![in_doubt(1, why)]);
    assert_eq!(node.wakes_at(), Some(1_500), "when the first send has landed for certain");
    assert_eq!(node.at(1_500).tick(), vec![sending(1, 1), place(9, 1, 1, SEND_MS)]);
    assert_eq!(node.placed(9, rejected()), vec![record(10, 1, 1, rejected(), 1_500)]);
    assert_eq!(node.store(10, now_stands(SignalState::Failed)), vec![settled(1, SignalState::Failed, "no margin")]);
}

/// A refused attempt that was left open would look like one that was never sent.
#[test]
fn a_refusal_while_anothers_send_may_be_in_flight_is_recorded_as_unknown() {
    let mut node = placing_again();
    let why = "refused (no margin) while an earlier send may be in flight";
    let open = Outcome::Unknown(why.into());
    assert_eq!(node.at(100).placed(6, rejected()), vec![in_doubt(1, why), record(7, 1, 2, open, 100)]);
    assert_eq!(node.store(7, now_stands(SignalState::InDoubt)), vec![]);
    assert_eq!(node.at(600).tick(), vec![sending(1, 1), place(8, 1, 1, SEND_MS)]);
    assert_eq!(node.placed(8, rejected()), vec![in_doubt(1, why)]);
    assert_eq!(node.wakes_at(), Some(1_500), "the flight is counted from when the order was taken over");
    node.at(1_500).tick();
    assert_eq!(node.placed(9, rejected()), vec![record(10, 1, 2, rejected(), 1_500)]);
}

/// Reached `check_invariants` with a closed gate that kept an order in doubt, and ended the process.
#[test]
fn a_refusal_that_is_not_believed_after_leadership_was_lost_is_left_to_the_next_leader() {
    let mut node = own_in_doubt(swift(Capabilities::deduplicating()));
    node.at(500).tick();
    assert_eq!(node.step_down(), vec![lost_leadership(1, &asked())]);
    let why = "refused (no margin) while an earlier send may be in flight";
    assert_eq!(node.placed(8, rejected()), vec![in_doubt(1, why), vacate(9, 1, 1, &asked(), 500)]);
}

#[test]
fn a_recovery_that_was_claimed_and_not_sent_is_closed_when_leadership_is_lost() {
    let mut node = placing_again();
    assert_eq!(node.placed(6, not_sent("too late")), vec![did_not_send(1, "too late")]);
    let why = "leadership was lost before the order was sent";
    assert_eq!(node.step_down(), vec![lost_leadership(1, &asked()), record(7, 1, 2, not_sent(why), 0)]);
    // Once is enough: the signal stays in doubt because of the other attempt, and that is the next leader's.
    assert_eq!(node.store(7, now_stands(SignalState::InDoubt)), vec![vacate(8, 1, 1, &asked(), 0)]);
    assert_eq!(node.tick(), vec![]);
}

#[test]
fn an_attempt_recorded_as_not_sent_is_never_sent_under() {
    // An earlier attempt, which nobody has answered for, keeps the signal in doubt.
    let reopened = begun(1, SignalState::Received, vec![attempt(1, 0, other(), Some(unknown()))]);
    let mut node = Bench::leading_with(Capabilities::deduplicating(), Timing::default(), vec![reopened.clone()]);
    assert_eq!(node.store(4, pending(&[reopened])), vec![claim_nth(2, 5, 1, 1, Purpose::Execute, 0)]);
    node.store(5, StoreReply::Claimed { number: 2 });
    assert_eq!(
        node.placed(6, not_sent("too late")),
        vec![did_not_send(1, "too late"), record(7, 1, 2, not_sent("too late"), 0)]
    );
    assert_eq!(node.store(7, now_stands(SignalState::InDoubt)), vec![]);
    assert_eq!(node.at(500).tick(), vec![claim_nth(3, 8, 1, 1, Purpose::Recover, 500)]);
}

#[test]
fn a_recovery_claim_that_keeps_failing_backs_off() {
    let (mut node, _) = taking_over(Capabilities::deduplicating());
    assert_eq!(node.store_silent(5), vec![port_failed("claim a signal"), read_signal(6, 1)]);
    // A store that can be read and not written, as on a full disk.
    assert_eq!(node.store(6, StoreReply::Signal(Some(left_behind()))), vec![read_pending(7)]);
    assert_eq!(node.store(7, pending(&[left_behind()])), vec![in_doubt(1, LEFT)]);
    assert_eq!(node.wakes_at(), Some(500));
    assert_eq!(node.at(500).tick(), vec![claim(8, 1, 1, Purpose::Recover, 500)]);
}

// ---- a key format that was changed between two leaders

/// What this node would derive for the signal now, and never may once another has claimed it.
fn renamed(capabilities: Capabilities) -> Capabilities {
    let key_format = KeyFormat { prefix: "new-desk-".into(), max_len: 30 };
    let derived = fingerprint(1).client_order_id(Leg(0), &key_format);
    assert_ne!(derived, order_id(1));
    Capabilities { key_format, ..capabilities }
}

/// The names of commands in `support` stand for the id that the other leader claimed under.
#[test]
fn an_order_is_placed_again_and_claimed_under_its_stored_id() {
    let (mut node, commands) = taking_over(renamed(swift(Capabilities::deduplicating())));
    assert_eq!(commands, vec![in_doubt(1, LEFT), claim(5, 1, 1, Purpose::Recover, 0)]);
    assert_eq!(node.store(5, StoreReply::Claimed { number: 2 }), vec![sending(1, 1), place(6, 1, 1, SEND_MS)]);
    assert_eq!(node.placed(6, unknown()), vec![in_doubt(1, "timed out"), record(7, 1, 2, unknown(), 0)]);
    node.store(7, now_stands(SignalState::InDoubt));
    assert_eq!(node.at(500).tick(), vec![sending(1, 1), place(8, 1, 1, SEND_MS)], "and once more");
}

#[test]
fn an_order_is_looked_up_under_its_stored_id() {
    let (_, commands) = taking_over(renamed(Capabilities::lookup_only(TTL)));
    assert_eq!(commands, vec![in_doubt(1, LEFT), look_up(5, 1)]);
}

#[test]
fn a_signal_that_is_received_again_is_executed_under_its_stored_id() {
    let unsent = begun(1, SignalState::Received, vec![attempt(1, 0, other(), Some(not_sent("too late")))]);
    let capabilities = renamed(Capabilities::blind());
    let mut node = Bench::leading_with(capabilities, Timing::default(), vec![unsent.clone()]);
    assert_eq!(node.store(4, pending(&[unsent])), vec![claim_nth(2, 5, 1, 1, Purpose::Execute, 0)]);
    assert_eq!(node.store(5, StoreReply::Claimed { number: 2 }), vec![sending(1, 1), place(6, 1, 1, SEND_MS)]);
}

#[test]
fn an_own_claim_that_was_read_back_is_sent_under_its_stored_id() {
    let own = begun(1, SignalState::Executing, vec![attempt(1, 1, holder(1), None)]);
    let capabilities = renamed(Capabilities::blind());
    let mut node = Bench::leading_with(capabilities, Timing::default(), vec![own.clone()]);
    assert_eq!(node.store(4, pending(&[own])), vec![sending(1, 1), place(5, 1, 1, SEND_MS)]);
}

#[test]
fn only_the_first_claim_derives_an_id() {
    let capabilities = renamed(Capabilities::blind());
    let derived = fingerprint(1).client_order_id(Leg(0), &capabilities.key_format);
    let mut node = Bench::leading_with(capabilities, Timing::default(), vec![received(1)]);
    let commands = node.store(4, pending(&[received(1)]));
    let [Command::Call { call: Call::Store(StoreCall::Claim(claim)), .. }] = &commands[..] else { panic!() };
    assert_eq!(claim.client_order_id, derived);
    let sent = node.store(5, StoreReply::Claimed { number: 1 });
    let [_, Command::Call { call: Call::Place(order), .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(order.client_order_id, derived);
}

// ---- a broker that forgets

fn forgetful() -> Capabilities {
    // Room for one and a half seconds between the first claim and the last repeat.
    Capabilities { dedup: DedupScope::Within(Duration::from_secs(3)), ..swift(Capabilities::deduplicating()) }
}

#[test]
fn a_repeat_must_land_while_the_first_send_is_remembered() {
    let (mut node, commands) = taking_over(forgetful());
    assert_eq!(commands, vec![in_doubt(1, LEFT), claim(5, 1, 1, Purpose::Recover, 0)]);
    let again = vec![sending(1, 1), place(6, 1, 1, 1_500)];
    assert_eq!(node.at(700).store(5, StoreReply::Claimed { number: 2 }), again);
}

#[test]
fn a_repeat_whose_claim_took_too_long_is_not_sent() {
    let (mut node, _) = taking_over(forgetful());
    let why = "the broker may not remember the first send any more";
    assert_eq!(node.at(1_500).store(5, StoreReply::Claimed { number: 2 }), vec![did_not_send(1, why)]);
    assert_eq!(node.at(1_999).tick(), vec![]);
    assert_eq!(
        node.at(2_000).tick(),
        vec![renew(6, 1, 1), heartbeat(7, 1, 1, 2_000), look_up(8, 1)],
        "and the policy, asked again, no longer wants it"
    );
}

#[test]
fn a_wall_clock_that_steps_back_makes_no_order_young_again() {
    let mut node = own_in_doubt(forgetful());
    node.at(1_500);
    node.now.wall = wall(0);
    assert_eq!(node.tick(), vec![look_up(8, 1)]);
}

/// Found by a sweep (`scenarios/regressions/forgotten-while-it-was-repeated.toml`): "not found" was counted from when
/// the doubt began, and the last repeat was still under way when the order was given up.
#[test]
fn not_found_is_counted_from_the_last_repeat() {
    let mut node = own_in_doubt(forgetful());
    assert_eq!(node.at(500).tick(), vec![sending(1, 1), place(8, 1, 1, 3_000 - 1_500)]);
    assert_eq!(node.at(1_400).placed(8, unknown()), vec![in_doubt(1, "timed out")]);
    // Remembered no more for certain; in doubt for 2.4 s, but the repeat left one second ago.
    assert_eq!(node.at(2_400).tick(), vec![renew(9, 1, 1), heartbeat(10, 1, 1, 2_400), look_up(11, 1)]);
    assert_eq!(node.looked_up(11, LookupAnswer::NotFound), vec![]);
    assert_eq!(node.at(4_400).tick(), vec![look_up(12, 1)]);
    assert_eq!(node.looked_up(12, LookupAnswer::NotFound), vec![]);
}

// ---- a broker that can only be asked

#[test]
fn an_order_that_is_found_is_executed() {
    let (mut node, commands) = taking_over(Capabilities::lookup_only(TTL));
    assert_eq!(commands, vec![in_doubt(1, LEFT), look_up(5, 1)]);
    let found = BrokerOrderId::new("b1");
    assert_eq!(
        node.looked_up(5, LookupAnswer::Found(found.clone())),
        vec![conclude(6, 1, 1, Verdict::Found { leg: Leg(0), id: found }, 0)]
    );
    assert_eq!(
        node.store(6, now_stands(SignalState::Executed)),
        vec![settled(1, SignalState::Executed, "found at the broker as b1")]
    );
}

#[test]
fn not_found_is_asked_again_until_the_last_send_has_landed_and_then_quarantined() {
    // Visible after one second, in flight for one and a half: the longer of the two counts.
    let (mut node, _) = taking_over(swift(Capabilities::lookup_only(TTL)));
    assert_eq!(node.looked_up(5, LookupAnswer::NotFound), vec![]);
    assert_eq!(node.wakes_at(), Some(500));
    assert_eq!(node.at(500).tick(), vec![look_up(6, 1)]);
    assert_eq!(node.looked_up(6, LookupAnswer::NotFound), vec![]);
    assert_eq!(node.at(1_500).tick(), vec![look_up(7, 1)]);
    assert_eq!(node.at(1_600).looked_up(7, LookupAnswer::NotFound), vec![]);
    let why = "the broker does not have it 2s later, and a send that is still under way can't be ruled out";
    assert_eq!(
        node.at(3_600).tick(),
        vec![renew(8, 1, 1), heartbeat(9, 1, 1, 3_600), conclude(10, 1, 1, quarantine(why), 3_600)]
    );
    assert_eq!(node.store(10, now_stands(SignalState::Quarantined)), vec![settled(1, SignalState::Quarantined, why)]);
}

#[test]
fn a_doubt_that_its_owner_has_ended_is_not_asked_about_any_longer() {
    let (mut node, _) = taking_over(swift(Capabilities::lookup_only(TTL)));
    assert_eq!(node.looked_up(5, LookupAnswer::NotFound), vec![]);
    // The deposed leader wakes and records that it never sent: the signal is there to be executed, at once.
    let unsent = begun(1, SignalState::Received, vec![attempt(1, 0, other(), Some(not_sent("too late")))]);
    assert_eq!(node.at(100).hear(Event::StoreChanged), vec![read_pending(6)]);
    assert_eq!(node.store(6, pending(&[unsent])), vec![claim_nth(2, 7, 1, 1, Purpose::Execute, 100)]);
}

#[test]
fn a_question_counts_from_when_it_was_asked_not_from_when_it_was_answered() {
    let (mut node, _) = taking_over(swift(Capabilities::lookup_only(TTL)));
    assert_eq!(node.at(1_900).looked_up(5, LookupAnswer::NotFound), vec![]);
    node.lease(6, GRANTED);
    assert_eq!(node.at(2_400).tick(), vec![renew(6, 1, 1), heartbeat(7, 1, 1, 2_400), look_up(8, 1)]);
}

#[test]
fn a_broker_that_cannot_be_asked_now_is_asked_later() {
    let (mut node, _) = taking_over(Capabilities::lookup_only(TTL));
    let asking = LookupAnswer::Unavailable("no answer".into());
    assert_eq!(node.looked_up(5, asking), vec![port_failed("look an order up")]);
    assert_eq!(node.at(500).tick(), vec![look_up(6, 1)]);
}

#[test]
fn a_verdict_that_the_store_did_not_hear_is_reached_again() {
    let (mut node, _) = taking_over(Capabilities::lookup_only(TTL));
    node.looked_up(5, LookupAnswer::Found(BrokerOrderId::new("b1")));
    assert_eq!(node.store_silent(6), vec![port_failed("conclude on a signal")]);
    assert_eq!(node.at(500).tick(), vec![look_up(7, 1)]);
}

#[test]
fn a_fenced_verdict_ends_leadership() {
    let (mut node, _) = taking_over(Capabilities::blind());
    let lost = LossReason::Fenced(Epoch(2));
    assert_eq!(node.store(5, fenced_by(2, other())), vec![fenced(1, 2), lost_leadership(1, &lost), release(6, 1)]);
}

// ---- a broker that is blind

#[test]
fn a_blind_broker_quarantines_what_was_left_behind_at_once() {
    let (mut node, commands) = taking_over(Capabilities::blind());
    assert_eq!(commands, vec![in_doubt(1, LEFT), conclude(5, 1, 1, quarantine(BLIND), 0)]);
    assert_eq!(node.store(5, now_stands(SignalState::Quarantined)), vec![settled(1, SignalState::Quarantined, BLIND)]);
}

#[test]
fn a_blind_broker_quarantines_an_own_order_too() {
    let mut node = own_in_doubt(Capabilities::blind());
    assert_eq!(node.at(500).tick(), vec![conclude(8, 1, 1, quarantine(BLIND), 500)]);
}

#[test]
fn a_verdict_that_its_owner_knew_better_rests_before_the_next() {
    let (mut node, _) = taking_over(Capabilities::blind());
    assert_eq!(node.store(5, now_stands(SignalState::Received)), vec![read_pending(6)]);
    assert_eq!(node.store(6, pending(&[received(1)])), vec![]);
    assert_eq!(node.at(500).tick(), vec![claim(7, 1, 1, Purpose::Execute, 500)]);
}

// ---- a quarantine that nobody may have told of

const FOUND_SO: &str = "found so in the store; it waits for an operator";

fn quarantined(attempts: u32) -> SignalRecord {
    begun(1, SignalState::Quarantined, (1..=attempts).map(|number| attempt(number, 0, other(), None)).collect())
}

fn told(detail: &str) -> Vec<Command> {
    vec![settled(1, SignalState::Quarantined, detail)]
}

/// The store changes, and is read as it is then: by call `id`.
fn reads(node: &mut Bench, id: u64, records: &[SignalRecord]) -> Vec<Command> {
    assert_eq!(node.hear(Event::StoreChanged), vec![read_pending(id)]);
    node.store(id, pending(records))
}

#[test]
fn a_leader_tells_once_of_a_quarantine_whose_author_may_have_died_with_it() {
    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![quarantined(1)]);
    assert_eq!(node.store(4, pending(&[quarantined(1)])), told(FOUND_SO), "and does nothing else about it");
    assert_eq!(reads(&mut node, 5, &[quarantined(1)]), vec![]);
    // It leads again, and has not forgotten.
    node.step_down();
    node.store(6, StoreReply::Done);
    node.lease(7, LeaseReply::Free);
    node.at(10_000).tick();
    node.lease(8, GRANTED);
    node.store(9, leadership(1, None, 0));
    assert_eq!(node.store(10, StoreReply::Opened(Epoch(2))), vec![became_leader(2, 2), read_pending(11)]);
    assert_eq!(node.store(11, pending(&[quarantined(1)])), vec![]);
}

#[test]
fn every_quarantine_of_one_signal_is_told_of() {
    let mut node = Bench::leading_with(Capabilities::blind(), Timing::default(), vec![quarantined(1)]);
    assert_eq!(node.store(4, pending(&[quarantined(1)])), told(FOUND_SO));
    // Sent again and quarantined again by others, in between two reads.
    assert_eq!(reads(&mut node, 5, &[quarantined(2)]), told(FOUND_SO));
    assert_eq!(reads(&mut node, 6, &[quarantined(1)]), vec![], "an old picture");
    // Resolved: it is not kept in mind for ever.
    assert_eq!(reads(&mut node, 7, &[]), vec![]);
    assert_eq!(reads(&mut node, 8, &[quarantined(2)]), told(FOUND_SO));
}

#[test]
fn the_author_of_a_quarantine_that_told_of_it_does_not_tell_again() {
    let (mut node, _) = taking_over(Capabilities::blind());
    // Reads that begin before the verdict is heard, and end after: without it, and with it.
    assert_eq!(node.hear(Event::StoreChanged), vec![read_pending(6)]);
    assert_eq!(node.store(5, now_stands(SignalState::Quarantined)), told(BLIND));
    assert_eq!(node.store(6, pending(&[])), vec![]);
    assert_eq!(reads(&mut node, 7, &[quarantined(1)]), vec![]);

    let (mut node, _) = taking_over(Capabilities::blind());
    assert_eq!(reads(&mut node, 6, &[quarantined(1)]), vec![], "its own answer is about to come");
    assert_eq!(node.store(5, now_stands(SignalState::Quarantined)), told(BLIND));
    assert_eq!(reads(&mut node, 7, &[quarantined(1)]), vec![]);
}

#[test]
fn a_verdict_whose_answer_was_lost_is_told_of_although_the_broker_cannot_be_asked_again() {
    let (mut node, _) = taking_over(Capabilities::blind());
    node.store_silent(5);
    assert_eq!(reads(&mut node, 6, &[quarantined(1)]), told(FOUND_SO));
    assert_eq!(node.at(500).tick(), vec![], "nothing is left to conclude");

    // The same of an order of its own.
    let mut node = own_in_doubt(Capabilities::blind());
    node.at(500).tick();
    node.store_silent(8);
    let own = begun(1, SignalState::Quarantined, vec![attempt(1, 1, holder(1), Some(unknown()))]);
    assert_eq!(reads(&mut node, 9, &[own]), told(FOUND_SO));
    assert_eq!(node.at(1_000).tick(), vec![]);
}

#[test]
fn a_picture_of_a_quarantine_before_the_present_doubt_does_not_end_it() {
    let mut node = own_in_doubt(Capabilities::blind());
    let before = begun(1, SignalState::Quarantined, vec![]);
    assert_eq!(reads(&mut node, 8, &[before]), vec![]);
    assert_eq!(node.at(500).tick(), vec![conclude(9, 1, 1, quarantine(BLIND), 500)]);
}

// ---- leadership in between

#[test]
fn a_question_that_is_open_when_leadership_is_lost_is_dropped() {
    let (mut node, _) = taking_over(Capabilities::lookup_only(TTL));
    assert_eq!(node.step_down(), vec![lost_leadership(1, &asked()), vacate(6, 1, 1, &asked(), 0)]);
    assert_eq!(node.looked_up(5, LookupAnswer::Found(BrokerOrderId::new("b1"))), vec![], "stale");
}

#[test]
fn an_own_order_of_an_earlier_epoch_is_claimed_again_before_it_is_repeated() {
    let mut node = own_in_doubt(Capabilities::deduplicating());
    node.at(500).step_down();
    node.store(8, StoreReply::Done);
    node.lease(9, LeaseReply::Free);
    node.at(10_500).tick();
    node.lease(10, GRANTED);
    node.store(11, leadership(1, None, 0));
    assert_eq!(node.store(12, StoreReply::Opened(Epoch(2))), vec![became_leader(2, 2), read_pending(13)]);
    let known = begun(1, SignalState::InDoubt, vec![attempt(1, 1, holder(1), Some(unknown()))]);
    let left = "left unfinished by n:0000000000000007:1 of epoch 1";
    assert_eq!(node.store(13, pending(&[known])), vec![in_doubt(1, left), claim(14, 1, 2, Purpose::Recover, 10_500)]);
    assert_eq!(node.hear(Event::Tick), vec![]);
}

#[test]
fn an_own_order_whose_end_was_recorded_late_is_claimed_under_the_new_epoch() {
    let mut node = Bench::leading_with(Capabilities::deduplicating(), Timing::default(), vec![received(1)]);
    node.store(4, pending(&[received(1)]));
    node.store(5, StoreReply::Claimed { number: 1 });
    node.placed(6, unknown());
    // The store is slow: the outcome is call 7, and still open when this node leads again.
    node.step_down();
    node.at(6_000).tick();
    node.store(8, StoreReply::Done);
    node.lease(9, LeaseReply::Free);
    node.at(16_000).tick();
    node.lease(10, GRANTED);
    node.store(11, leadership(1, None, 0));
    assert_eq!(node.store(12, StoreReply::Opened(Epoch(2))), vec![became_leader(2, 2), read_pending(13)]);
    assert_eq!(node.store(7, now_stands(SignalState::InDoubt)), vec![]);
    assert_eq!(node.at(16_500).tick(), vec![claim(14, 1, 2, Purpose::Recover, 16_500)]);
}
