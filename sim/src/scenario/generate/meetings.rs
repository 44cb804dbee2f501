//! Any fault, in a phase of a signal's life that lasts for milliseconds or is rarely come to: chance alone would bring
//! a kind of fault and such a phase together a few times in thousands of runs. What each phase is, and how often each
//! was met, [`crate::oracles::coverage`] says.

use proptest::prelude::*;
use proptest::strategy::Union;

use super::faults::{anchor, fault};
use super::secs;
use super::stories::when;
use super::swarm::Swarm;
use crate::scenario::{BrokerKind, Fault, FaultSpec};
use crate::world::anchor::Point;
use crate::world::calls::CallName;

/// Any fault that the swarm has, in one of the rarer phases.
pub fn meetings(swarm: &Swarm) -> impl Strategy<Value = Vec<FaultSpec>> + use<> {
    let at = |points: Vec<Point>, most: u32| {
        let drawn = (prop::sample::select(points), 1..=most, fault(swarm, true));
        drawn.prop_map(|(point, nth, fault)| vec![anchor(point, nth, fault)]).boxed()
    };
    let mut phases = vec![
        (5, at(vec![Point::Before(CallName::OpenEpoch), Point::LeaseGranted], 2)),
        (4, at(vec![Point::Before(CallName::Insert)], 5)),
        (1, at(vec![Point::SignalStored, Point::ClaimSending], 5)),
        (2, at(vec![Point::Claimed, Point::OrderSending], 5)),
        (2, at(vec![Point::OutcomeSending, Point::OrderBooked], 5)),
        (5, sent(swarm)),
    ];
    if let Some(breaks) = breaks(swarm) {
        phases.push((4, in_doubt(swarm, breaks.clone())));
        if !swarm.broker.never_repeats() {
            phases.push((3, quarantined(swarm, breaks)));
        }
    }
    Union::new_weighted(phases)
}

/// While the first byte of an order has left, and the broker has not booked it. No call is made in that moment, so
/// what is done to a call waits for an order that does not get through.
fn sent(swarm: &Swarm) -> BoxedStrategy<Vec<FaultSpec>> {
    let parts = |lasts| Fault::Partition { between: ["@actor".to_owned(), "broker".to_owned()], lasts };
    let kinds: [(&str, BoxedStrategy<Fault>); 3] = [
        ("partition", secs(5..=15).prop_map(parts).boxed()),
        ("broker-refuses", secs(1..=5).prop_map(|lasts| Fault::BrokerRefuses { lasts }).boxed()),
        ("broker-outage", secs(1..=5).prop_map(|lasts| Fault::BrokerOutage { lasts }).boxed()),
    ];
    let open: Vec<_> = kinds.into_iter().filter(|(kind, _)| swarm.has(kind)).map(|(_, fault)| fault).collect();
    let fails = if open.is_empty() { Just(None).boxed() } else { Union::new(open).prop_map(Some).boxed() };
    (1..=4_u32, fault(swarm, true), fails)
        .prop_map(|(nth, fault, fails)| match fails {
            Some(fails) if fault.is_of_a_call() => {
                vec![when(Point::OrderSending, nth, fails), when(Point::Before(CallName::RecordOutcome), nth, fault)]
            }
            _ => vec![anchor(Point::OrderSent, nth, fault)],
        })
        .boxed()
}

/// What interrupts a leader for good, of the kinds that the swarm has.
fn breaks(swarm: &Swarm) -> Option<BoxedStrategy<Fault>> {
    let leader = || "@leader".to_owned();
    let kinds: [(&str, BoxedStrategy<Fault>); 3] = [
        ("crash", secs(1..=20).prop_map(move |down| Fault::Crash { host: leader(), down }).boxed()),
        ("power-loss", secs(1..=20).prop_map(move |down| Fault::PowerLoss { host: leader(), down }).boxed()),
        ("pause", secs(12..=30).prop_map(move |lasts| Fault::Pause { host: leader(), lasts }).boxed()),
    ];
    let open: Vec<_> = kinds.into_iter().filter(|(kind, _)| swarm.has(kind)).map(|(_, fault)| fault).collect();
    (!open.is_empty()).then(|| Union::new(open).boxed())
}

/// When the successor has put the order in doubt, or is about to do something about it.
fn in_doubt(swarm: &Swarm, breaks: BoxedStrategy<Fault>) -> BoxedStrategy<Vec<FaultSpec>> {
    let broken_at = prop::sample::select(vec![Point::OrderSending, Point::OrderSent, Point::OrderBooked]);
    let broker = swarm.broker;
    let drawn = (broken_at, 1..=3_u32, breaks, fault(swarm, true), prop::bool::ANY);
    drawn
        .prop_map(move |(point, nth, breaks, fault, early)| {
            let next = match broker {
                _ if early && !fault.is_of_a_call() => when(Point::EpochOpened, 2, fault),
                // The claims so far, and one more.
                BrokerKind::Deduplicates | BrokerKind::Absorbs | BrokerKind::Forgets => {
                    when(Point::Before(CallName::Claim), nth + 1, fault)
                }
                BrokerKind::UntilFilled | BrokerKind::LooksUp => when(Point::Before(CallName::LookUp), 1, fault),
                BrokerKind::Blind => when(Point::Before(CallName::Conclude), 1, fault),
            };
            vec![when(point, nth, breaks), next]
        })
        .boxed()
}

/// When a human has been asked, and has not answered.
fn quarantined(swarm: &Swarm, breaks: BoxedStrategy<Fault>) -> BoxedStrategy<Vec<FaultSpec>> {
    let points = match swarm.broker {
        BrokerKind::Blind => vec![Point::OrderSending, Point::OrderSent, Point::OrderBooked],
        // What it has it finds.
        _ => vec![Point::OrderSending],
    };
    let drawn = (prop::sample::select(points), 1..=2_u32, breaks, 20..=85_u32, fault(swarm, true));
    drawn
        .prop_map(|(point, nth, breaks, later, fault)| {
            vec![when(point, nth, breaks), anchor(Point::LeaseRenewed, later, fault)]
        })
        .boxed()
}
