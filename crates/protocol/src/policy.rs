//! What to do about an order in doubt: a table over the broker's declared capabilities, nothing else.
//!
//! | broker | deadline | looked up | then |
//! |---|---|---|---|
//! | deduplicates, and the id is surely still remembered | open | - | place again, same id |
//! | can be looked up | any | never, or not found before the horizon | look up |
//! | can be looked up | any | not found after the horizon | quarantine |
//! | anything else | any | - | quarantine |
//!
//! "Found" is believed at once and never reaches this table. "Not found" is never taken as leave to send:
//! bytes that a paused host has yet to send cannot be fenced, so only a broker that deduplicates makes a
//! second send harmless. A deadline that has passed closes the first row too, because the first attempt may
//! never have arrived, and then placing again would execute a signal too late.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::{Capabilities, DedupScope, Lookup};

/// What is known about the order in doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Doubt {
    /// The signal's own deadline has passed.
    pub deadline_passed: bool,
    /// How long ago the oldest attempt was claimed; too long is safe, too short is not.
    pub oldest_attempt_age: Duration,
    /// How long this order has been known to be in doubt, when a look-up last said "not found".
    pub not_found_after: Option<Duration>,
}

/// The next move for an order in doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Recovery {
    /// Send again under the same client order id.
    PlaceAgain,
    /// Ask the broker.
    LookUp,
    /// Leave it to a human, loudly.
    Quarantine,
}

/// For how long from now a repeat of the order is sure to be recognised as one, if it leaves within that time.
pub fn time_to_repeat(capabilities: &Capabilities, oldest_attempt_age: Duration) -> Duration {
    match capabilities.dedup {
        DedupScope::Never => Duration::ZERO,
        DedupScope::Forever => Duration::MAX,
        // The order must land, not only leave, while its first sighting is remembered.
        DedupScope::Within(window) => {
            window.saturating_sub(capabilities.longest_flight).saturating_sub(oldest_attempt_age)
        }
    }
}

/// Reads the table in this module's head.
pub fn recover(capabilities: &Capabilities, doubt: Doubt) -> Recovery {
    let remembered = !time_to_repeat(capabilities, doubt.oldest_attempt_age).is_zero();
    if remembered && !doubt.deadline_passed {
        return Recovery::PlaceAgain;
    }
    match (capabilities.lookup, doubt.not_found_after) {
        (Lookup::None, _) => Recovery::Quarantine,
        (Lookup::ByClientOrderId { .. }, None) => Recovery::LookUp,
        (Lookup::ByClientOrderId { visible_after }, Some(after)) => {
            if after < visible_after.max(capabilities.longest_flight) {
                Recovery::LookUp
            } else {
                Recovery::Quarantine
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn doubt(deadline_passed: bool, age: u64, not_found_after: Option<u64>) -> Doubt {
        Doubt {
            deadline_passed,
            oldest_attempt_age: SECOND * u32::try_from(age).unwrap(),
            not_found_after: not_found_after.map(Duration::from_secs),
        }
    }

    /// The whole table: every dedup scope x lookup x deadline x age x look-up answer.
    #[test]
    fn the_table_is_exhaustive_and_only_a_remembered_id_is_placed_again() {
        let flight = 30 * SECOND;
        for dedup in [DedupScope::Never, DedupScope::Forever, DedupScope::Within(60 * SECOND)] {
            for lookup in [Lookup::None, Lookup::ByClientOrderId { visible_after: 5 * SECOND }] {
                for deadline_passed in [false, true] {
                    for age in [0, 29, 30, 31, 600] {
                        for not_found_after in [None, Some(0), Some(29), Some(30)] {
                            let capabilities =
                                Capabilities { dedup, lookup, longest_flight: flight, ..Capabilities::blind() };
                            let next = recover(&capabilities, doubt(deadline_passed, age, not_found_after));
                            let remembered = match dedup {
                                DedupScope::Never => false,
                                DedupScope::Forever => true,
                                DedupScope::Within(_) => age < 30,
                            };
                            let expected = if remembered && !deadline_passed {
                                Recovery::PlaceAgain
                            } else if lookup != Lookup::None && not_found_after.is_none_or(|s| s < 30) {
                                Recovery::LookUp
                            } else {
                                Recovery::Quarantine
                            };
                            assert_eq!(
                                next, expected,
                                "{dedup:?} {lookup:?} {deadline_passed} {age} {not_found_after:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}
