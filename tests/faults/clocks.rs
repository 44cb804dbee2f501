//! Faults of clocks.

use crate::Probe;
use crate::probe::{LEADER, QUICK, all, fault, s, see};

pub(crate) const PROBES: &[Probe] = &[
    ("snapshot", a_snapshot_stops_the_process_and_its_clocks),
    ("clock-step", a_step_moves_the_wall_clock_and_no_timer),
    ("clock-drift", a_drift_changes_the_pace_for_a_while),
];

/// A signal to n1, and until when it may be sent.
fn short_lived(at: &str, good_for: &str) -> String {
    format!("[[signal]]\nid = \"BUY\"\nat = \"{at}\"\nto = [\"n1\"]\ngood-for = \"{good_for}\"\n")
}

#[test]
fn a_snapshot_stops_the_process_and_its_clocks() {
    let snapshot = fault("25s", r#"{ snapshot = { host = "n2", for = "6s" } }"#);
    let seen = see("", &snapshot);
    assert_eq!(seen.anything(LEADER, 25.0..31.0), 0);
    let renewals = seen.points(LEADER, "before-renew", 24.0..35.0);
    assert_eq!(renewals, [24.0, 32.0, 34.0].map(s), "its timers stood still with it, and stay behind");
    assert!(all(seen.took("n1", "acquire", "after", 25.0..60.0), QUICK));

    // Its wall clock reads 25 s when it goes on at 31 s: what was good until 30 s is still good to it.
    let seen = see("", &(short_lived("26s", "4s") + &snapshot));
    assert_eq!(seen.state("BUY"), "executed");
    assert!(all(seen.booked(), s(31.0)..s(31.1)));
    let pause = fault("25s", r#"{ pause = { host = "n2", for = "6s" } }"#);
    let seen = see("", &(short_lived("26s", "4s") + &pause));
    assert_eq!(seen.state("BUY"), "expired", "a clock that ran on says otherwise");
}

#[test]
fn a_step_moves_the_wall_clock_and_no_timer() {
    let step = |host, by| fault("25s", &format!("{{ clock-step = {{ host = \"{host}\", by = \"{by}\" }} }}"));
    let signal = short_lived("27s", "10s");
    let seen = see("", &(signal.clone() + &step("n2", "30s")));
    assert_eq!((seen.state("BUY"), seen.booked().len()), ("expired", 0), "n2 thinks that it is 57 s");
    let renewals = seen.points(LEADER, "before-renew", 24.0..31.0);
    assert_eq!(renewals, [24.0, 26.0, 28.0, 30.0].map(s), "timers don't step");
    let seen = see("", &(signal + &step("n1", "30s")));
    assert_eq!(seen.state("BUY"), "executed", "another's clock is another's");

    let seen = see("", &step("redis", "30s"));
    assert_eq!(seen.count(LEADER, "lease-renewed", 25.0..27.0), 0, "a lease ends when redis thinks so");
}

#[test]
fn a_drift_changes_the_pace_for_a_while() {
    let seen = see("", &fault("24s", r#"{ clock-drift = { host = "n2", ppm = 200000, for = "12s" } }"#));
    let renewals = seen.points(LEADER, "before-renew", 20.0..45.0);
    let gaps: Vec<f64> = renewals.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    let fast = gaps.iter().filter(|gap| (**gap - 2.0 / 1.2).abs() < 0.001).count();
    assert!((6..=7).contains(&fast), "two of its seconds are 1.667 true ones: {gaps:?}");
    assert!(gaps.first() == Some(&2.0) && gaps.last() == Some(&2.0), "before and afterwards they are two: {gaps:?}");
    let another = see("", &fault("24s", r#"{ clock-drift = { host = "n1", ppm = 200000, for = "12s" } }"#));
    let renewals = another.points(LEADER, "before-renew", 20.0..45.0);
    assert!(renewals.windows(2).all(|pair| pair[1] - pair[0] == s(2.0)), "another's clock is another's");
    let slow = see("", &fault("24s", r#"{ clock-drift = { host = "n2", ppm = -5000, for = "12s" } }"#));
    assert_eq!(slow.anybody_told("LostLeadership"), [], "within the stated bound nothing comes of it");
}
