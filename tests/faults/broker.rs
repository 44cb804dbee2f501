//! Faults of the broker.

use crate::Probe;
use crate::probe::{LEADER, all, buy, fault, fault_when, s, see};
use oncegate_sim::oracles::sightings::Sighting;

pub(crate) const PROBES: &[Probe] = &[
    ("broker-silent", a_silent_broker_places_and_says_nothing),
    ("broker-outage", a_broker_that_is_out_places_nothing),
    ("broker-refuses", a_broker_refuses_new_orders_and_knows_old_ones),
    ("broker-confused", a_confused_broker_places_and_answers_500),
    ("broker-misanswers", a_broker_misanswers_as_it_is_told_to),
    ("broker-hides", a_broker_hides_what_it_has_placed),
    ("broker-late", a_late_broker_places_whoever_waits),
];

#[test]
fn a_silent_broker_places_and_says_nothing() {
    let seen = see("", &buy("27s", &fault("25s", r#"{ broker-silent = { for = "3s" } }"#)));
    assert!(all(seen.booked(), s(27.0)..s(27.1)));
    assert!(all(seen.took(LEADER, "place", "after", 27.0..27.1), s(3.99)..s(4.02)), "n2 waits for it in vain");
    assert_eq!(seen.sighted(Sighting::BrokerSilent), 1);
    assert!(seen.sighted(Sighting::OrderDeduplicated) >= 1, "and asked again, it answers");
    assert_eq!((seen.booked().len(), seen.state("BUY")), (1, "executed"));
}

#[test]
fn a_broker_that_is_out_places_nothing() {
    let seen = see("", &buy("27s", &fault("25s", r#"{ broker-outage = { for = "6s" } }"#)));
    assert!(!seen.told("broker", "answers 503", 27.0..27.1).is_empty());
    assert_eq!(seen.told("broker", "answers 503", 31.0..60.0), []);
    assert!(seen.booked().len() == 1 && seen.booked()[0] > s(31.0), "{:?}", seen.booked());
}

#[test]
fn a_broker_refuses_new_orders_and_knows_old_ones() {
    let mut more = fault("25s", r#"{ broker-refuses = { for = "6s" } }"#);
    more += "[[signal]]\nid = \"SELL\"\nat = \"32s\"\nto = [\"n1\"]\n";
    let seen = see("", &buy("27s", &more));
    assert_eq!((seen.state("BUY"), seen.state("SELL")), ("failed", "executed"));
    assert!(all(seen.booked(), s(32.0)..s(32.1)));

    let silent = fault("25s", r#"{ broker-silent = { for = "3s" } }"#);
    let seen = see("", &buy("27s", &(silent + &fault("28s", r#"{ broker-refuses = { for = "20s" } }"#))));
    assert_eq!((seen.booked().len(), seen.state("BUY")), (1, "executed"), "what it has, it answers for");
    assert_eq!(seen.sighted(Sighting::BrokerRefused), 0);
}

#[test]
fn a_confused_broker_places_and_answers_500() {
    let seen = see("", &buy("27s", &fault("25s", r#"{ broker-confused = { for = "6s" } }"#)));
    assert!(all(seen.booked(), s(27.0)..s(27.1)));
    assert!(all(seen.took(LEADER, "place", "after", 27.0..27.1), s(0.0)..s(0.05)), "at once");
    let told = seen.told("broker", "answers 500", 0.0..60.0);
    assert!(!told.is_empty() && all(told, s(25.0)..s(31.0)));
    assert!(!seen.told(LEADER, "InDoubt", 27.0..27.1).is_empty(), "nobody can know what that means");
    assert_eq!((seen.booked().len(), seen.state("BUY")), (1, "executed"));
}

#[test]
fn a_broker_misanswers_as_it_is_told_to() {
    for status in [400, 404, 429, 599] {
        let fault = fault("25s", &format!("{{ broker-misanswers = {{ status = {status}, for = \"6s\" }} }}"));
        let seen = see("", &buy("27s", &fault));
        assert!(all(seen.booked(), s(27.0)..s(27.1)), "{status}: it places");
        let told = seen.told("broker", &format!("answers {status}"), 0.0..60.0);
        assert!(!told.is_empty() && all(told, s(25.0)..s(31.0)), "{status}: and says that, for so long");
        assert!(seen.sighted(Sighting::BrokerMisanswered) >= 1);
        assert_eq!((seen.booked().len(), seen.state("BUY")), (1, "executed"), "{status}");
    }
}

#[test]
fn a_broker_hides_what_it_has_placed() {
    // What n2 hears of the order is lost; it is booked at 21 s and asked for some seconds later.
    let silent = fault("20s", r#"{ broker-silent = { for = "3s" } }"#);
    let asks = |more: &str| see("broker = \"looks-up\"", &buy("21s", &(silent.clone() + more)));
    let usual = asks("");
    let found = usual.told("broker", "finds", 0.0..60.0)[0];
    assert!(found >= usual.booked()[0] + s(3.0));
    let hides = fault("20s", r#"{ broker-hides = { by = "5s", for = "30s" } }"#);
    let hidden = asks(&hides);
    assert!(hidden.told("broker", "finds", 0.0..60.0)[0] >= hidden.booked()[0] + s(5.0));
    let before = fault("5s", r#"{ broker-hides = { by = "60s", for = "10s" } }"#);
    assert_eq!(asks(&before).told("broker", "finds", 0.0..60.0)[0], found, "it ends with the fault");
    assert_eq!(hidden.booked().len(), 1);
}

#[test]
fn a_late_broker_places_whoever_waits() {
    let late = |by: &str| fault("25s", &format!("{{ broker-late = {{ by = \"{by}\", for = \"6s\" }} }}"));
    let seen = see("", &buy("27s", &late("2s")));
    assert!(all(seen.booked(), s(29.0)..s(29.1)));
    assert!(all(seen.took(LEADER, "place", "after", 27.0..28.0), s(2.0)..s(2.05)), "in time for who waits");

    let crash = fault_when(r#"point = "order-sending""#, r#"{ partition = { between = ["n2", "n3"], for = "1s" } }"#);
    let seen = see("", &buy("27s", &(late("12s") + &crash)));
    assert!(all(seen.took(LEADER, "place", "after", 27.0..28.0), s(3.99)..s(4.05)), "n2 has given up");
    assert!(!seen.booked().is_empty() && seen.booked().len() == 1);
    assert_eq!(seen.state("BUY"), "executed");
}
