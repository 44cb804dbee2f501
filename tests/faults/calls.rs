//! Faults of one call, at each of the three peers.

use crate::Probe;
use crate::probe::{LEADER, QUICK, all, buy, fault, fault_when, s, see};
use oncegate_sim::oracles::sightings::Sighting;

pub(crate) const PROBES: &[Probe] = &[
    ("call-fails", a_call_that_fails_never_leaves),
    ("call-loses-reply", a_call_without_reply_was_carried_out),
    ("call-repeated", a_call_arrives_once_more),
];

/// Before that call, the first time.
fn before(call: &str, fault: &str) -> String {
    fault_when(&format!("point = \"before-{call}\""), fault)
}

#[test]
fn a_call_that_fails_never_leaves() {
    let claim = see("", &buy("27s", &before("claim", "\"call-fails\"")));
    let (asked, done) =
        (claim.points(LEADER, "before-claim", 0.0..60.0), claim.points(LEADER, "applied-claim", 0.0..60.0));
    assert_eq!((asked.len(), done.len()), (2, 1), "the first does not arrive, the second does");
    assert!(done[0] > asked[1]);

    let renew = see("", &before("renew", "\"call-fails\""));
    assert_eq!(renew.count(LEADER, "applied-renew", 0.0..2.1), 0);
    assert!(all(renew.took(LEADER, "renew", "applied", 2.1..60.0), QUICK), "the next ones are well");

    let place = see("", &buy("27s", &before("place", "\"call-fails\"")));
    assert_eq!(place.told(LEADER, "NotSent", 27.0..27.1).len(), 1);
    assert!(place.booked().len() == 1 && place.booked()[0] > place.points(LEADER, "before-place", 0.0..60.0)[1]);
}

#[test]
fn a_call_without_reply_was_carried_out() {
    let claim = see("", &buy("27s", &before("claim", "\"call-loses-reply\"")));
    assert_eq!(claim.count(LEADER, "claimed", 27.0..27.1), 1, "the store has claimed");
    assert!(!claim.told(LEADER, "PortFailed", 27.0..27.1).is_empty(), "and n2 does not know");
    assert_eq!((claim.booked().len(), claim.state("BUY")), (1, "executed"));

    let renew = see("", &before("renew", "\"call-loses-reply\""));
    assert_eq!(renew.count(LEADER, "lease-renewed", 2.0..2.1), 1);
    assert!(!renew.told(LEADER, "PortFailed", 2.0..2.1).is_empty());

    let place = see("", &buy("27s", &before("place", "\"call-loses-reply\"")));
    assert!(all(place.booked(), s(27.0)..s(27.1)));
    assert!(!place.told(LEADER, "InDoubt", 27.0..27.1).is_empty());
    assert!(place.sighted(Sighting::OrderDeduplicated) >= 1);
    assert_eq!((place.booked().len(), place.state("BUY")), (1, "executed"));
}

#[test]
fn a_call_arrives_once_more() {
    let twelve = "{ call-repeated = { by = \"12s\" } }";
    let claim = see("", &buy("27s", &before("claim", twelve)));
    let (asked, done) =
        (claim.points(LEADER, "before-claim", 0.0..60.0), claim.points(LEADER, "applied-claim", 0.0..60.0));
    assert_eq!((asked.len(), done.len()), (1, 2));
    assert!(all(vec![done[1] - asked[0]], s(12.0)..s(12.005)), "the copy arrives 12 s later");
    assert_eq!(claim.sighted(Sighting::ClaimTaken), 1, "where it changes nothing");
    assert_eq!((claim.booked().len(), claim.state("BUY")), (1, "executed"));

    let place = see("", &buy("27s", &before("place", twelve)));
    let sent = place.points(LEADER, "before-place", 0.0..60.0)[0];
    assert_eq!(place.told("broker", "already, as B1", 0.0..60.0), [sent + s(12.0)]);
    assert_eq!(place.booked().len(), 1);

    // n1 is alone, and its first life ends long before the copy of its first command arrives.
    let acquire = before("acquire", "{ call-repeated = { by = \"30s\" } }");
    let dead = fault("5s", r#"{ crash = { host = "n1", down = "28s" } }"#);
    let seen = see("nodes = 1", &(acquire + &dead));
    assert_eq!(seen.told("n1", "process 2 starts", 33.0..33.1).len(), 1);
    let granted = seen.points("n1", "lease-granted", 33.0..60.0)[0];
    assert!(granted >= s(40.0), "the dead process was granted the lease at 30 s, for ten seconds: {granted:?}");
}
