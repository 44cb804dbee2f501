//! P1: at most one order per (fingerprint, leg) is ever accepted by the broker. Reads the broker's book, and
//! goes by what an order carries out, not by the id that it came under.

use std::collections::BTreeMap;

use oncegate_protocol::{Fingerprint, Leg};

use super::Violation;
use crate::hosts::broker::Booked;

/// The oracle's name.
pub const NAME: &str = "at-most-once";

/// Sees every order that enters the book.
#[derive(Default)]
pub struct AtMostOnce {
    first: BTreeMap<(Fingerprint, Leg), Booked>,
    pub(super) violations: Vec<Violation>,
}

impl AtMostOnce {
    /// An order entered the book.
    pub fn booked(&mut self, booked: Booked) {
        let key = (booked.fingerprint, booked.leg);
        match self.first.get(&key) {
            None => {
                self.first.insert(key, booked);
            }
            Some(first) => self.violations.push(Violation {
                oracle: NAME,
                at: booked.at,
                what: format!(
                    "signal {:?} was executed twice: {} at {:.3}s (epoch {}) and {} at {:.3}s (epoch {})",
                    booked.fingerprint,
                    first.broker_order_id,
                    first.at.as_secs_f64(),
                    first.epoch,
                    booked.broker_order_id,
                    booked.at.as_secs_f64(),
                    booked.epoch,
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oncegate_protocol::{BrokerOrderId, ClientOrderId, Epoch};

    use super::*;

    fn booked(number: u64, id: &str, signal: &[u8], leg: u16) -> Booked {
        Booked {
            at: Duration::from_secs(number),
            fingerprint: Fingerprint::of_bytes(signal),
            leg: Leg(leg),
            client_order_id: ClientOrderId::new(id),
            broker_order_id: BrokerOrderId::new(format!("B{number}")),
            epoch: Epoch(1),
        }
    }

    #[test]
    fn a_second_order_is_seen_even_under_another_id() {
        let mut oracle = AtMostOnce::default();
        oracle.booked(booked(1, "a", b"s", 0));
        oracle.booked(booked(2, "b", b"s", 0));
        assert_eq!(oracle.violations.len(), 1);
    }

    #[test]
    fn other_signals_and_other_legs_are_other_orders() {
        let mut oracle = AtMostOnce::default();
        oracle.booked(booked(1, "a", b"s", 0));
        oracle.booked(booked(2, "b", b"t", 0));
        oracle.booked(booked(3, "c", b"s", 1));
        assert_eq!(oracle.violations, []);
    }
}
