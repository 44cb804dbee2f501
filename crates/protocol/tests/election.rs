//! Who leads: every way in, every way out, and what is said and asked for on the way, whole steps at a time.

mod support;

use std::time::Duration;

use oncegate_protocol::notice::LossReason;
use oncegate_protocol::{
    Call, Capabilities, Command, Epoch, Event, LeaseCall, LeaseReply, Machine, Mono, StoreCall, StoreReply,
};
use support::*;

fn leader() -> Bench {
    Bench::leading(Capabilities::deduplicating())
}

/// Opening, with the read of the leadership row under way as call 2.
fn opening() -> Bench {
    let mut node = Bench::new();
    node.tick();
    assert_eq!(node.lease(1, GRANTED), vec![read_leadership(2)]);
    node
}

fn asked() -> LossReason {
    LossReason::Asked("asked".into())
}

/// Answers renewals, heartbeats and reads as a healthy world does, from one wish to the next, until `until`;
/// hands back the first command that is none of these, with its time.
fn run_calmly(node: &mut Bench, epoch: u64, from: Vec<Command>, until: u64) -> Vec<Command> {
    let mut commands = from;
    loop {
        let mut next = vec![];
        for command in commands {
            let Command::Call { id, call } = &command else { return vec![command] };
            next.extend(match call {
                Call::Lease(LeaseCall::Renew { .. }) => node.lease(id.0, GRANTED),
                Call::Lease(LeaseCall::Read) => node.lease(id.0, held_by(holder(epoch), 9_000)),
                Call::Store(StoreCall::Heartbeat { .. }) => node.store(id.0, StoreReply::Done),
                Call::Store(StoreCall::ReadLeadership) => node.store(id.0, leadership(epoch, Some(holder(epoch)), 0)),
                Call::Store(StoreCall::ReadPending { .. }) => node.store(id.0, pending(&[])),
                _ => return vec![command],
            });
        }
        if next.is_empty() {
            let wake = node.wakes_at().expect("an elector always has a deadline");
            if wake > until {
                return vec![];
            }
            next = node.at(wake).tick();
        }
        commands = next;
    }
}

// ---- following and acquiring

#[test]
fn a_free_lease_is_acquired_and_the_next_epoch_opened() {
    let mut node = Bench::new();
    assert_eq!(node.tick(), vec![acquire(1, 1)]);
    assert_eq!(node.at(10).lease(1, GRANTED), vec![read_leadership(2)]);
    assert_eq!(node.at(20).store(2, leadership(4, None, 0)), vec![open(3, 4, 1, 20)]);
    assert!(node.node.authority().is_none(), "the lease alone is no authority");
    assert_eq!(node.at(30).store(3, StoreReply::Opened(Epoch(5))), vec![became_leader(5, 1), read_pending(4)]);
    let authority = node.node.authority().unwrap();
    assert_eq!((authority.epoch, authority.holder), (Epoch(5), holder(1)));
    assert_eq!(authority.trusted_until, Mono::from_millis(TRUST_MS), "counted from before the send");
}

#[test]
fn a_denied_follower_tries_again_when_the_present_lease_has_run_out() {
    let mut node = Bench::new();
    node.tick();
    assert_eq!(node.at(5).lease(1, held_by(other(), 7_000)), vec![]);
    assert_eq!(node.wakes_at(), Some(7_006));
    assert_eq!(node.at(7_005).tick(), vec![]);
    assert_eq!(node.at(7_006).tick(), vec![acquire(2, 2)]);
}

#[test]
fn a_lease_that_never_expires_is_asked_for_once_per_ttl() {
    let mut node = Bench::new();
    node.tick();
    assert_eq!(node.lease(1, LeaseReply::HeldBy { holder: other(), remaining: None }), vec![]);
    assert_eq!(node.wakes_at(), Some(10_001));
}

#[test]
fn a_released_hint_tries_at_once() {
    let mut node = Bench::new();
    node.tick();
    node.lease(1, held_by(other(), 7_000));
    assert_eq!(node.at(100).hear(Event::LeaseReleased), vec![acquire(2, 2)]);
}

#[test]
fn a_released_hint_that_overtakes_a_refusal_tries_again_at_once() {
    let mut node = Bench::new();
    node.tick();
    assert_eq!(node.at(3).hear(Event::LeaseReleased), vec![], "one try at a time");
    assert_eq!(node.at(5).lease(1, held_by(other(), 7_000)), vec![acquire(2, 2)], "refused before the release");
    assert_eq!(node.at(9).lease(2, held_by(other(), 7_000)), vec![], "one hint, one more try");
    assert_eq!(node.wakes_at(), Some(7_010));
}

#[test]
fn a_released_hint_does_not_hurry_whoever_was_asked_to_step_down_meanwhile() {
    let mut node = Bench::new();
    node.tick();
    node.hear(Event::LeaseReleased);
    node.step_down();
    assert_eq!(node.at(100).lease(1, held_by(other(), 3_000)), vec![]);
    assert_eq!(node.wakes_at(), Some(10_100));
}

#[test]
fn a_lost_acquire_reply_is_resolved_under_the_same_holder_value() {
    let mut node = Bench::new();
    node.tick();
    assert_eq!(node.at(1_500).lease_silent(1), vec![port_failed("acquire the lease")]);
    assert_eq!(node.wakes_at(), Some(2_000));
    assert_eq!(node.at(2_000).tick(), vec![acquire(2, 1)]);
    assert_eq!(node.at(3_500).lease_silent(2), vec![port_failed("acquire the lease")]);
    assert_eq!(node.wakes_at(), Some(4_500), "waits longer each time");
    assert_eq!(node.at(4_500).tick(), vec![acquire(3, 1)]);
    assert_eq!(node.lease(3, held_by(other(), 1_000)), vec![]);
    assert_eq!(node.at(5_501).tick(), vec![acquire(4, 2)], "once denied, that value is done with");
}

#[test]
fn a_grant_that_comes_after_its_deadline_is_given_back() {
    let mut node = Bench::new();
    node.tick();
    let lost = LossReason::RenewalDeadline;
    assert_eq!(node.at(8_000).lease(1, GRANTED), vec![read_leadership(2), gave_up_lease(&lost), release(3, 1)]);
    assert_eq!(node.store(2, leadership(0, None, 0)), vec![], "stale");
}

// ---- opening

#[test]
fn a_living_holder_is_waited_for_until_it_is_out_of_time() {
    let mut node = opening();
    let mut id = 2;
    for ms in (0..5_000).step_by(500) {
        assert_eq!(node.at(ms).store(id, leadership(3, Some(other()), ms)), vec![]);
        let commands = node.at(ms + 500).tick();
        let renews = commands.iter().filter(|c| matches!(c, Command::Call { .. })).count() > 1;
        id += if renews { 2 } else { 1 };
        assert_eq!(commands.last(), Some(&read_leadership(id)));
        if renews {
            assert_eq!(commands[0], renew(id - 1, 1, 3));
            node.lease(id - 1, GRANTED);
        }
    }
    assert_eq!(
        node.at(5_000).store(id, leadership(3, Some(other()), 5_000)),
        vec![split_brain(Some(holder(1)), Some(other()))],
        "told after the grace period, once"
    );
    assert_eq!(node.at(5_500).tick(), vec![read_leadership(id + 1)]);
    assert_eq!(node.store(id + 1, leadership(3, Some(other()), 5_500)), vec![]);
    assert_eq!(node.at(6_000).tick(), vec![renew(id + 2, 1, 3), read_leadership(id + 3)]);
    assert_eq!(node.store(id + 3, leadership(3, Some(other()), 6_000)), vec![open(id + 4, 3, 1, 6_000)]);
}

#[test]
fn a_silent_holder_is_passed_over_at_once() {
    let mut node = Bench::new();
    node.at(6_000).tick();
    node.lease(1, GRANTED);
    assert_eq!(node.store(2, leadership(3, Some(other()), 0)), vec![open(3, 3, 1, 6_000)]);
}

#[test]
fn an_earlier_acquisition_of_the_same_process_is_passed_over_at_once() {
    let mut node = opening();
    assert_eq!(node.store(2, leadership(3, Some(holder(0)), 0)), vec![open(3, 3, 1, 0)]);
}

#[test]
fn a_lost_opening_is_recognised_by_its_holder() {
    let mut node = opening();
    assert_eq!(node.store(2, leadership(0, None, 0)), vec![open(3, 0, 1, 0)]);
    assert_eq!(node.at(100).store_silent(3), vec![port_failed("open an epoch")]);
    assert_eq!(node.at(600).tick(), vec![read_leadership(4)]);
    assert_eq!(node.store(4, leadership(1, Some(holder(1)), 0)), vec![became_leader(1, 1), read_pending(5)]);
}

#[test]
fn an_opening_that_somebody_else_won_waits_for_the_winner() {
    let mut node = opening();
    node.store(2, leadership(0, None, 0));
    assert_eq!(node.store(3, fenced_by(1, other())), vec![]);
    assert_eq!(node.at(500).tick(), vec![read_leadership(4)]);
}

/// A host that was suspended together with its clocks held the lease for as long as the old leader had to be given,
/// and was then passed by: what it waited for the old leader is not counted against the new one.
#[test]
fn who_was_passed_by_while_opening_does_not_depose_the_newcomer() {
    let mut node = opening();
    node.store(2, leadership(1, Some(other()), 0));
    assert_eq!(node.at(6_000).tick(), vec![renew(3, 1, 1), read_leadership(4)]);
    let newcomer = oncegate_protocol::Holder::of(&oncegate_protocol::InstanceId::new("m"), 1, 2);
    assert_eq!(node.store(4, leadership(2, Some(newcomer), 6_000)), vec![]);
    // Without the newcomer it would have been passed over by then.
    let mut node = opening();
    node.store(2, leadership(1, Some(other()), 0));
    node.at(6_000).tick();
    assert_eq!(node.store(4, leadership(1, Some(other()), 6_000)), vec![open(5, 1, 1, 6_000)]);
}

#[test]
fn an_epoch_that_goes_back_is_refused() {
    let mut node = leader();
    let asked = asked();
    node.step_down();
    node.store(5, StoreReply::Done);
    assert_eq!(node.lease(6, LeaseReply::Free), vec![]);
    assert_eq!(node.at(10_000).tick(), vec![acquire(7, 2)], "held off for a ttl after: {asked}");
    node.lease(7, GRANTED);
    let back = LossReason::EpochWentBack;
    assert_eq!(node.store(8, leadership(0, None, 0)), vec![epoch_went_back(0, 1), gave_up_lease(&back), release(9, 2)]);
    assert_eq!(node.lease(9, LeaseReply::Free), vec![]);
    assert_eq!(node.wakes_at(), Some(20_000), "waits the longest pause for the store to catch up");
}

#[test]
fn a_store_out_of_reach_gives_the_lease_to_others() {
    let mut node = opening();
    let (mut id, mut commands) = (2, vec![]);
    let mut ms = 0;
    while ms < 12_000 {
        commands = node.at(ms).store_silent(id);
        ms = node.wakes_at().unwrap();
        commands.extend(node.at(ms).tick());
        for command in &commands {
            if let Command::Call { id: renewal, call: Call::Lease(_) } = command
                && ms < 12_000
            {
                node.lease(renewal.0, GRANTED);
            }
            if let Command::Call { id: read, call: Call::Store(_) } = command {
                id = read.0;
            }
        }
    }
    let lost = LossReason::StoreUnreachable(Duration::from_secs(12));
    let Some(Command::Call { id, .. }) = commands.last() else { panic!("{commands:?}") };
    assert_eq!(commands[commands.len() - 2..], [gave_up_lease(&lost), release(id.0, 1)]);
}

#[test]
fn an_epoch_whose_opening_was_not_heard_is_vacated_before_the_lease_is_released() {
    let shutdown = LossReason::Asked("shutdown".into());
    let mut node = opening();
    node.store(2, leadership(4, None, 0));
    assert_eq!(node.at(100).hear(Event::Shutdown), vec![gave_up_lease(&shutdown), vacate(4, 5, 1, &shutdown, 100)]);
    assert_eq!(node.store(3, StoreReply::Opened(Epoch(5))), vec![], "too late");
    assert_eq!(node.store(4, StoreReply::Done), vec![release(5, 1)]);

    // Its answer was lost, and the lease is gone before the store can be asked again.
    let mut node = opening();
    node.store(2, leadership(0, None, 0));
    assert_eq!(node.at(2_000).tick(), vec![renew(4, 1, 0)]);
    node.store_silent(3);
    let gone = LossReason::LeaseGone;
    assert_eq!(node.lease(4, LeaseReply::Free), vec![gave_up_lease(&gone), vacate(5, 1, 1, &gone, 2_000)]);
    assert_eq!(node.store(5, fenced_by(1, other())), vec![release(6, 1)], "it was another's");
}

#[test]
fn an_opening_that_the_store_has_refused_leaves_nothing_to_vacate() {
    let mut node = opening();
    node.store(2, leadership(0, None, 0));
    node.store(3, fenced_by(1, other()));
    assert_eq!(node.step_down(), vec![gave_up_lease(&asked()), release(4, 1)]);
}

// ---- leading

#[test]
fn slow_renewal_does_not_extend_trust() {
    let mut node = leader();
    assert_eq!(node.at(2_000).tick(), vec![renew(5, 1, 1), heartbeat(6, 1, 1, 2_000)]);
    assert_eq!(node.at(3_400).lease(5, GRANTED), vec![]);
    assert_eq!(node.node.authority().unwrap().trusted_until, Mono::from_millis(2_000 + TRUST_MS));
    assert_eq!(node.wakes_at(), Some(4_000), "the next renewal is due from the send, too");
}

#[test]
fn a_send_is_allowed_only_while_trust_outlasts_the_brokers_timeout() {
    let node = leader();
    assert!(node.node.may_send(Mono::from_millis(SEND_MS)));
    assert!(!node.node.may_send(Mono::from_millis(SEND_MS + 1)));
}

#[test]
fn a_renewal_that_fails_is_tried_again_without_extending_trust() {
    let mut node = leader();
    node.at(2_000).tick();
    assert_eq!(node.at(3_500).lease_silent(5), vec![port_failed("renew the lease")]);
    assert_eq!(node.node.authority().unwrap().trusted_until, Mono::from_millis(TRUST_MS));
    assert_eq!(node.at(4_000).tick(), vec![renew(7, 1, 1)]);
}

/// Loses leadership by the given answer to a renewal, and goes all the way back to following.
fn loses_by_renewal(reply: LeaseReply, lost: &LossReason) {
    let mut node = leader();
    node.at(2_000).tick();
    assert_eq!(node.at(2_100).lease(5, reply), vec![lost_leadership(1, lost), vacate(7, 1, 1, lost, 2_100)]);
    assert!(node.node.authority().is_none());
    assert!(!node.node.may_send(Mono::from_millis(2_100)));
    assert_eq!(node.at(2_200).store(7, StoreReply::Done), vec![release(8, 1)]);
    assert_eq!(node.at(2_300).lease(8, held_by(other(), 9_000)), vec![]);
    assert_eq!(node.wakes_at(), Some(2_800), "backs off");
    assert_eq!(node.hear(Event::LeaseReleased), vec![], "a hint does not cut the hold-off short");
    assert_eq!(node.at(2_800).tick(), vec![acquire(9, 2)], "under a holder value of its own");
}

#[test]
fn a_denied_renewal_ends_leadership() {
    loses_by_renewal(held_by(other(), 9_000), &LossReason::LeaseTaken(other()));
}

#[test]
fn a_lease_that_is_gone_ends_leadership() {
    loses_by_renewal(LeaseReply::Free, &LossReason::LeaseGone);
}

#[test]
fn the_renewal_deadline_is_a_timer_of_its_own() {
    let mut node = leader();
    node.at(2_000).tick();
    node.store(6, StoreReply::Done);
    node.at(4_000).tick();
    node.store(7, StoreReply::Done);
    node.at(5_000).tick();
    node.store(8, pending(&[]));
    node.at(6_000).tick();
    node.store(9, StoreReply::Done);
    assert_eq!(node.wakes_at(), Some(8_000), "though the renewal never came back");
    let lost = LossReason::RenewalDeadline;
    assert_eq!(node.at(8_000).tick(), vec![lost_leadership(1, &lost), vacate(10, 1, 1, &lost, 8_000)]);
    assert_eq!(node.lease(5, GRANTED), vec![], "stale");
    assert!(node.node.authority().is_none());
}

#[test]
fn a_late_wake_up_finds_its_deadline_before_the_grant_that_it_hears() {
    let mut node = leader();
    node.at(2_000).tick();
    let lost = LossReason::RenewalDeadline;
    assert_eq!(node.at(8_000).lease(5, GRANTED), vec![lost_leadership(1, &lost), vacate(7, 1, 1, &lost, 8_000)]);
}

#[test]
fn a_store_that_hears_no_heartbeat_ends_leadership() {
    let mut node = leader();
    let (mut beat, mut ms, mut commands) = (None, 0, vec![]);
    while ms < 12_000 {
        if let Some(id) = beat.take() {
            node.store_silent(id);
        }
        ms = node.wakes_at().unwrap();
        commands = node.at(ms).tick();
        for command in &commands {
            match command {
                Command::Call { id, call: Call::Lease(LeaseCall::Renew { .. }) } => {
                    node.lease(id.0, GRANTED);
                }
                Command::Call { id, call: Call::Store(StoreCall::Heartbeat { .. }) } => beat = Some(id.0),
                _ => {}
            }
        }
    }
    let lost = LossReason::StoreUnreachable(Duration::from_secs(12));
    assert_eq!(commands[0], lost_leadership(1, &lost));
}

#[test]
fn a_fenced_heartbeat_ends_leadership_and_nothing_is_vacated() {
    let mut node = leader();
    node.at(2_000).tick();
    let lost = LossReason::Fenced(Epoch(2));
    assert_eq!(node.store(6, fenced_by(2, other())), vec![fenced(1, 2), lost_leadership(1, &lost), release(7, 1)]);
}

#[test]
fn a_heartbeat_refused_by_an_older_epoch_means_that_the_store_has_lost_commits() {
    let mut node = Bench::new();
    node.tick();
    node.lease(1, GRANTED);
    node.store(2, leadership(4, None, 0));
    node.store(3, StoreReply::Opened(Epoch(5)));
    node.store(4, pending(&[]));
    node.at(2_000).tick();
    let lost = LossReason::EpochWentBack;
    assert_eq!(
        node.store(6, fenced_by(3, other())),
        vec![epoch_went_back(3, 5), lost_leadership(5, &lost), release(7, 1)]
    );
}

// ---- comparing lease and store

/// At the tenth heartbeat, with both reads just asked for: the ids of the two.
fn comparing() -> (Bench, u64, u64) {
    let mut node = leader();
    let mut beats = 0;
    loop {
        let wake = node.wakes_at().expect("an elector always has a deadline");
        for command in node.at(wake).tick() {
            let Command::Call { id, call } = command else { panic!("{command:?}") };
            match call {
                Call::Lease(LeaseCall::Renew { .. }) => assert_eq!(node.lease(id.0, GRANTED), vec![]),
                Call::Store(StoreCall::ReadPending { .. }) => assert_eq!(node.store(id.0, pending(&[])), vec![]),
                Call::Store(StoreCall::Heartbeat { .. }) => {
                    beats += 1;
                    let commands = node.store(id.0, StoreReply::Done);
                    if beats < 10 {
                        assert_eq!(commands, vec![], "beat {beats}");
                    } else {
                        let Some(Command::Call { id: last, .. }) = commands.last() else { panic!("{commands:?}") };
                        assert_eq!(commands, vec![read_lease(last.0 - 1), read_leadership(last.0)]);
                        return (node, last.0 - 1, last.0);
                    }
                }
                call => panic!("{call:?}"),
            }
        }
    }
}

#[test]
fn every_tenth_heartbeat_compares_and_agreement_says_nothing() {
    let (mut node, lease, store) = comparing();
    assert_eq!(node.now, now_at(20_000));
    assert_eq!(node.lease(lease, held_by(holder(1), 9_000)), vec![]);
    assert_eq!(node.store(store, leadership(1, Some(holder(1)), 20_000)), vec![]);
    assert!(node.node.authority().is_some());
}

#[test]
fn disagreement_that_outlasts_the_grace_period_is_told_once() {
    let (mut node, lease, store) = comparing();
    node.lease(lease, held_by(other(), 9_000));
    assert_eq!(node.store(store, leadership(1, Some(holder(1)), 20_000)), vec![]);
    let found = run_calmly(&mut node, 1, vec![], 24_999);
    assert_eq!(found, vec![]);
    let commands = node.at(25_000).tick();
    let Some(Command::Call { id, .. }) = commands.iter().find(|c| {
        matches!(c, Command::Call { call, .. }
        if *call == Call::Lease(LeaseCall::Read))
    }) else {
        panic!("{commands:?}")
    };
    let id = id.0;
    assert_eq!(node.lease(id, held_by(other(), 9_000)), vec![]);
    assert_eq!(
        node.store(id + 1, leadership(1, Some(holder(1)), 24_000)),
        vec![split_brain(Some(other()), Some(holder(1)))]
    );
    assert!(node.node.authority().is_some(), "the store names this node, and the next renewal will tell");
}

#[test]
fn a_disagreement_is_followed_up_even_if_a_read_fails() {
    let (mut node, lease, store) = comparing();
    node.lease(lease, held_by(other(), 9_000));
    node.store(store, leadership(1, Some(holder(1)), 20_000));
    run_calmly(&mut node, 1, vec![], 24_999);
    let commands = node.at(25_000).tick();
    let Some(id) = commands.iter().find_map(|c| match c {
        Command::Call { id, call } if *call == Call::Lease(LeaseCall::Read) => Some(id.0),
        _ => None,
    }) else {
        panic!("{commands:?}")
    };
    assert_eq!(node.at(25_100).lease_silent(id), vec![]);
    let again = node.at(25_600).tick();
    assert!(matches!(&again[..], [Command::Call { call: lease, .. }, Command::Call { call: store, .. }]
        if *lease == Call::Lease(LeaseCall::Read)
            && *store == Call::Store(StoreCall::ReadLeadership)));
}

#[test]
fn a_store_that_lost_commits_is_known_by_what_the_lease_remembers() {
    let mut node = Bench::new();
    node.tick();
    assert_eq!(node.lease(1, LeaseReply::Granted { seen: Epoch(5) }), vec![read_leadership(2)]);
    let back = LossReason::EpochWentBack;
    assert_eq!(node.store(2, leadership(4, None, 0)), vec![epoch_went_back(4, 5), gave_up_lease(&back), release(3, 1)]);
    // An epoch that was opened, and not told of before its leader died, is no reason to refuse.
    let mut node = Bench::new();
    node.tick();
    node.lease(1, LeaseReply::Granted { seen: Epoch(5) });
    assert_eq!(node.store(2, leadership(6, None, 0)), vec![open(3, 6, 1, 0)]);
    node.store(3, StoreReply::Opened(Epoch(7)));
    assert!(node.at(2_000).tick().contains(&renew(5, 1, 7)), "the next one hears of it");
}

#[test]
fn a_store_that_names_another_demotes_at_once() {
    let (mut node, lease, store) = comparing();
    node.lease(lease, held_by(holder(1), 9_000));
    let lost = LossReason::Fenced(Epoch(2));
    assert_eq!(
        node.store(store, leadership(2, Some(other()), 20_000)),
        vec![
            split_brain(Some(holder(1)), Some(other())),
            fenced(1, 2),
            lost_leadership(1, &lost),
            release(store + 1, 1)
        ]
    );
}

#[test]
fn a_store_whose_epoch_went_back_demotes_at_once() {
    let (mut node, lease, store) = comparing();
    node.lease(lease, held_by(holder(1), 9_000));
    let lost = LossReason::EpochWentBack;
    assert_eq!(
        node.store(store, leadership(0, None, 0)),
        vec![epoch_went_back(0, 1), lost_leadership(1, &lost), release(store + 1, 1)]
    );
}

// ---- leaving

#[test]
fn a_leader_that_steps_down_vacates_releases_and_lets_others_go_first() {
    let mut node = leader();
    assert_eq!(node.at(100).step_down(), vec![lost_leadership(1, &asked()), vacate(5, 1, 1, &asked(), 100)]);
    assert_eq!(node.at(200).store(5, StoreReply::Done), vec![release(6, 1)]);
    assert_eq!(node.at(300).lease(6, LeaseReply::Free), vec![]);
    assert_eq!(node.wakes_at(), Some(10_300), "holds off for a ttl");
    assert_eq!(node.at(400).hear(Event::LeaseReleased), vec![], "its own release is no hint");
    assert_eq!(node.at(10_300).tick(), vec![acquire(7, 2)]);
}

#[test]
fn stepping_down_while_acquiring_releases_what_is_granted_and_lets_others_go_first() {
    let mut node = Bench::new();
    node.tick();
    assert_eq!(node.step_down(), vec![], "a release that overtook the request would leave the lease to nobody");
    assert_eq!(node.at(100).lease(1, GRANTED), vec![gave_up_lease(&asked()), release(2, 1)]);
    assert_eq!(node.at(200).lease(2, LeaseReply::Free), vec![]);
    assert_eq!(node.hear(Event::LeaseReleased), vec![], "its own release is no hint");
    assert_eq!(node.wakes_at(), Some(10_200), "holds off for a ttl");
    assert_eq!(node.at(10_200).tick(), vec![acquire(3, 2)]);
    assert_eq!(node.lease(3, GRANTED), vec![read_leadership(4)], "asked once, not for ever");
}

#[test]
fn stepping_down_while_acquiring_holds_off_though_the_lease_was_anothers() {
    let mut node = Bench::new();
    node.tick();
    node.step_down();
    assert_eq!(node.at(100).lease(1, held_by(other(), 3_000)), vec![]);
    assert_eq!(node.hear(Event::LeaseReleased), vec![]);
    assert_eq!(node.wakes_at(), Some(10_100));
}

#[test]
fn stepping_down_with_an_acquisition_unheard_gives_it_back() {
    let mut node = Bench::new();
    node.tick();
    node.step_down();
    assert_eq!(node.at(100).lease_silent(1), vec![port_failed("acquire the lease"), release(2, 1)]);
    assert_eq!(node.lease_silent(2), vec![port_failed("release the lease")]);
    assert_eq!(node.wakes_at(), Some(10_100));

    let mut node = Bench::new();
    node.tick();
    node.lease_silent(1);
    assert_eq!(node.at(100).step_down(), vec![release(2, 1)], "heard before it tries again");
    assert_eq!(node.lease(2, LeaseReply::Free), vec![]);
    assert_eq!(node.at(10_100).tick(), vec![acquire(3, 2)]);
}

#[test]
fn neither_store_nor_lease_can_keep_a_leader_from_leaving() {
    let mut node = leader();
    node.step_down();
    assert_eq!(node.store_silent(5), vec![port_failed("vacate the epoch"), release(6, 1)]);
    assert_eq!(node.lease_silent(6), vec![port_failed("release the lease")]);
    assert_eq!(node.wakes_at(), Some(10_000));
}

#[test]
fn flapping_backs_off_exponentially_and_steady_leadership_resets_it() {
    let mut node = Bench::new();
    let (mut ms, mut id, mut epoch) = (0, 0, 0);
    let mut pauses = vec![];
    // Seven short leaderships, and a steady one after which the next pause is short again.
    for steady in [false, false, false, false, false, false, false, true] {
        assert_eq!(node.at(ms).tick(), vec![acquire(id + 1, epoch + 1)]);
        node.lease(id + 1, GRANTED);
        node.store(id + 2, leadership(epoch, None, 0));
        epoch += 1;
        assert_eq!(
            node.store(id + 3, StoreReply::Opened(Epoch(epoch))),
            vec![became_leader(epoch, epoch), read_pending(id + 4)]
        );
        id += 4;
        node.store(id, pending(&[]));
        if steady {
            assert_eq!(run_calmly(&mut node, epoch, vec![], ms + 100_000), vec![]);
        }
        // Ends with the next renewal.
        let renewal = loop {
            let wake = node.wakes_at().expect("an elector always has a deadline");
            let commands = node.at(wake).tick();
            let Command::Call { id: first, call } = &commands[0] else { panic!("{commands:?}") };
            if matches!(call, Call::Lease(_)) {
                break first.0;
            }
            run_calmly(&mut node, epoch, commands, wake);
        };
        let commands = node.lease(renewal, LeaseReply::Free);
        let Some(Command::Call { id: vacate, .. }) = commands.last() else { panic!("{commands:?}") };
        let vacate = vacate.0;
        assert_eq!(node.store(vacate, StoreReply::Done), vec![release(vacate + 1, epoch)]);
        assert_eq!(node.lease(vacate + 1, LeaseReply::Free), vec![]);
        id = vacate + 1;
        let left_at = node.now.mono.as_nanos() / 1_000_000;
        ms = node.wakes_at().unwrap();
        pauses.push(ms - left_at);
    }
    assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 500]);
}

// ---- shutdown

#[test]
fn shutdown_while_following_stops_at_once() {
    let mut node = Bench::new();
    node.tick();
    node.lease(1, held_by(other(), 7_000));
    assert_eq!(node.hear(Event::Shutdown), vec![Command::Stopped]);
    assert_eq!(node.wakes_at(), None);
    assert_eq!(node.hear(Event::LeaseReleased), vec![]);
    assert_eq!(node.hear(Event::Shutdown), vec![], "said once");
}

#[test]
fn shutdown_while_an_acquisition_is_unheard_gives_it_back() {
    let mut node = Bench::new();
    node.tick();
    node.lease_silent(1);
    assert_eq!(node.hear(Event::Shutdown), vec![release(2, 1)]);
    assert_eq!(node.lease(2, LeaseReply::Free), vec![Command::Stopped]);
}

#[test]
fn shutdown_while_acquiring_gives_back_what_may_be_granted() {
    let mut node = Bench::new();
    node.tick();
    assert_eq!(node.hear(Event::Shutdown), vec![release(2, 1)]);
    assert_eq!(node.lease(1, GRANTED), vec![], "stale");
    assert_eq!(node.lease_silent(2), vec![port_failed("release the lease"), Command::Stopped]);
}

#[test]
fn shutdown_while_opening_gives_the_lease_back() {
    let mut node = opening();
    let lost = LossReason::Asked("shutdown".into());
    assert_eq!(node.hear(Event::Shutdown), vec![gave_up_lease(&lost), release(3, 1)]);
    assert_eq!(node.lease(3, LeaseReply::Free), vec![Command::Stopped]);
}

#[test]
fn shutdown_while_leading_vacates_and_releases_first() {
    let mut node = leader();
    let lost = LossReason::Asked("shutdown".into());
    assert_eq!(node.hear(Event::Shutdown), vec![lost_leadership(1, &lost), vacate(5, 1, 1, &lost, 0)]);
    assert_eq!(node.store(5, StoreReply::Done), vec![release(6, 1)]);
    assert_eq!(node.lease(6, LeaseReply::Free), vec![Command::Stopped]);
}

#[test]
fn shutdown_while_leaving_ends_there() {
    let mut node = leader();
    node.step_down();
    assert_eq!(node.hear(Event::Shutdown), vec![]);
    assert_eq!(node.store(5, StoreReply::Done), vec![release(6, 1)]);
    assert_eq!(node.lease(6, LeaseReply::Free), vec![Command::Stopped]);
}

// ---- stale

#[test]
fn completions_that_nothing_waits_for_change_nothing() {
    let mut node = leader();
    let before = format!("{:?}", node.node);
    for id in [1, 2, 3, 4, 99] {
        for reply in [GRANTED, LeaseReply::Free, held_by(other(), 1)] {
            assert_eq!(node.lease(id, reply), vec![]);
        }
        assert_eq!(node.lease_silent(id), vec![]);
        assert_eq!(node.store_silent(id), vec![]);
        assert_eq!(node.placed(id, accepted()), vec![]);
        for reply in [fenced_by(9, other()), leadership(9, Some(other()), 0), StoreReply::Opened(Epoch(9))] {
            assert_eq!(node.store(id, reply), vec![]);
        }
    }
    assert_eq!(format!("{:?}", node.node), before);
}
