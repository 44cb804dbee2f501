//! What senders do: often, differently, wrongly, and all at once.

use crate::probe::{all, buy, s, see};
use oncegate_sim::oracles::sightings::Sighting;

#[test]
fn who_sends_four_times_is_acknowledged_four_times() {
    let seen = see("", &buy("20s", "times = 4\n"));
    assert_eq!(seen.told("source", "BUY is acknowledged by n1 (202)", 20.0..20.1).len(), 1, "new at first");
    let known = seen.told("source", "BUY is acknowledged by n1 (200)", 0.0..60.0);
    let expected = [25.0, 30.0, 35.0].map(s);
    assert_eq!(known.len(), 3);
    assert!(known.iter().zip(expected).all(|(at, then)| *at >= then && *at < then + s(0.2)), "then known: {known:?}");
    assert_eq!((seen.booked().len(), seen.sighted(Sighting::SignalRepeated)), (1, 3));
}

#[test]
fn of_bodies_that_differ_the_first_counts() {
    let text = "[[signal]]\nid = \"BUY\"\nat = \"20s\"\nto = [\"n1\", \"n2\", \"n3\"]\nform = \"addressed\"\n";
    let seen = see("identity = [\"/id\"]", text);
    assert_eq!(seen.anybody_told("(202)").len(), 1);
    assert_eq!(seen.anybody_told("(409)").len(), 2);
    assert_eq!((seen.booked().len(), seen.sighted(Sighting::ConflictRefused)), (1, 2));
}

#[test]
fn what_is_no_signal_is_refused_and_leaves_no_trace() {
    for form in ["malformed", "duplicate-key"] {
        let seen = see("", &buy("20s", &format!("form = \"{form}\"\n")));
        assert_eq!(seen.told("source", "BUY is refused by n1 (400)", 20.0..20.1).len(), 1, "{form}");
        assert_eq!(seen.sighted(Sighting::MalformedRefused), 1);
        assert_eq!((seen.booked().len(), seen.state("BUY")), (0, "not stored"));
        assert_eq!(seen.count("n1", "before-insert", 0.0..60.0), 0, "the store is not even asked");
    }
}

#[test]
fn a_burst_is_so_many_signals_at_one_time() {
    let seen = see("", &buy("20s", "burst = 50\n"));
    assert_eq!(seen.count("n1", "before-insert", 20.0..20.1), 50, "all at once");
    assert_eq!(seen.anybody_told("is acknowledged by n1 (202)").len(), 50);
    assert_eq!(seen.run.signals.len(), 50);
    assert_eq!((seen.state("BUY-1"), seen.state("BUY-50")), ("executed", "executed"));
    assert_eq!(seen.booked().len(), 50);
    assert!(all(seen.booked(), s(20.0)..s(30.0)), "one after the other");
}

#[test]
fn a_signal_may_be_sent_until_its_deadline() {
    let refuses = "[[fault]]\nat = \"19s\"\ndo = { refuse = { host = \"broker\", for = \"10s\" } }\n";
    let late = see("", &buy("20s", &format!("good-for = \"5s\"\n{refuses}")));
    assert_eq!((late.state("BUY"), late.booked().len()), ("expired", 0));
    let in_time = see("", &buy("20s", &format!("good-for = \"30s\"\n{refuses}")));
    assert_eq!((in_time.state("BUY"), in_time.booked().len()), ("executed", 1));
}
