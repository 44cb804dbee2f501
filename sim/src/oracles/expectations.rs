//! What a scenario says that it must have shown, so that a story can't pass without having happened.

use std::time::Duration;

use oncegate_protocol::SignalRecord;

use super::Violation;
use super::sightings::Sightings;
use crate::hosts::broker::Booked;
use crate::hosts::source::Sent;
use crate::scenario::Expect;
use crate::world::anchor::Anchors;

/// The oracle's name.
pub const NAME: &str = "expectations";

/// Judges the end of a run.
pub fn judge(
    at: Duration,
    expect: &Expect,
    book: &[Booked],
    sent: &[Sent],
    stored: &[SignalRecord],
    reached: &Anchors,
    sightings: &Sightings,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut object = |what: String| violations.push(Violation { oracle: NAME, at, what });
    if let Some(orders) = expect.orders
        && book.len() != orders
    {
        object(format!("{} orders are in the broker's book, and {orders} were expected", book.len()));
    }
    if *expect != Expect::default() {
        // A drawn fault may wait in vain; one in a story has a part in it.
        for point in reached.unstruck() {
            object(format!("a fault waited for {} in vain", point.name()));
        }
    }
    for (id, state) in &expect.states {
        // A burst is expected of as one.
        for sent in sent.iter().filter(|sent| sent.spec == *id) {
            let record = stored.iter().find(|record| Some(record.fingerprint) == sent.fingerprint);
            let found = record.map_or("not stored", |record| record.state.name());
            if found != state {
                object(format!("{} is {found}, and {state} was expected", sent.id));
            }
        }
    }
    for (point, least) in &expect.reached {
        if reached.count(*point) < *least {
            object(format!(
                "{} was reached {} times, and at least {least} was expected",
                point.name(),
                reached.count(*point)
            ));
        }
    }
    for (sighting, least) in &expect.seen {
        let count = sightings.count(*sighting);
        if count < *least {
            object(format!("{} was seen {count} times, and at least {least} was expected", sighting.name()));
        }
    }
    violations
}
