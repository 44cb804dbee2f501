//! P2 and P3: a signal that was acknowledged to its sender, or that merely got into the store, has come to an
//! end that its circumstances allow by the end of the healed phase. Reads the source's ledger, the store's rows
//! and the broker's kind.

use std::collections::BTreeSet;
use std::time::Duration;

use oncegate_protocol::{Fingerprint, SignalRecord, SignalState};

use super::Violation;
use crate::hosts::source::Sent;
use crate::scenario::BrokerKind;

/// The oracle's name.
pub const NAME: &str = "handled";

/// Judges the end of a run.
pub fn judge(
    at: Duration,
    broker: BrokerKind,
    refused: &BTreeSet<Fingerprint>,
    sent: &[Sent],
    stored: &[SignalRecord],
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut object = |what: String| violations.push(Violation { oracle: NAME, at, what });
    for signal in sent {
        let Some(fingerprint) = signal.fingerprint else {
            // No signal at all: to be refused by everybody, and to leave no trace.
            if let Some(when) = signal.acknowledged {
                object(format!("{} was acknowledged at {:.3}s, and is none", signal.id, when.as_secs_f64()));
            } else if !signal.refused {
                object(format!("{} was never refused, though its source kept trying", signal.id));
            }
            continue;
        };
        let record = stored.iter().find(|record| record.fingerprint == fingerprint);
        let Some(record) = record else {
            match signal.acknowledged {
                Some(when) => object(format!(
                    "{} was acknowledged at {:.3}s and is not in the store",
                    signal.id,
                    when.as_secs_f64()
                )),
                None => object(format!("{} never got through, though its source kept trying", signal.id)),
            }
            continue;
        };
        if record.legs != signal.legs {
            object(format!("{} was sent with {} legs, and is stored with {}", signal.id, signal.legs, record.legs));
        }
        let state = record.state.name();
        match record.state {
            SignalState::Received | SignalState::Executing | SignalState::InDoubt => {
                object(format!("{} is still {state} at the end of the healed phase", signal.id));
            }
            SignalState::Executed => {}
            SignalState::Failed if refused.contains(&record.fingerprint) => {}
            SignalState::Failed => object(format!("{} is failed, but the broker never refused it", signal.id)),
            // A leg was refused, or the deadline passed between two.
            SignalState::Partial if signal.expires || refused.contains(&record.fingerprint) => {}
            SignalState::Partial => object(format!("{} is partial, and no leg of it was refused or late", signal.id)),
            SignalState::Expired if !signal.expires => object(format!("{} is expired, but has no deadline", signal.id)),
            SignalState::Expired => {}
            SignalState::Quarantined if record.attempts.is_empty() => {
                object(format!("{} is quarantined without an attempt", signal.id));
            }
            // A deadline that passes while an order is in doubt forbids placing it again.
            SignalState::Quarantined if broker.never_repeats() && !signal.expires => {
                object(format!("{} is quarantined, but this broker deduplicates", signal.id));
            }
            SignalState::Quarantined => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::fixture::stored;

    fn sent(acknowledged: bool, expires: bool) -> Sent {
        Sent {
            id: "s".into(),
            spec: "s".into(),
            fingerprint: Some(Fingerprint::of_bytes(b"s")),
            expires,
            legs: 1,
            acknowledged: acknowledged.then_some(Duration::ZERO),
            refused: false,
        }
    }

    fn objections(sent: Sent, stored: &[SignalRecord]) -> usize {
        judge(Duration::ZERO, BrokerKind::Deduplicates, &BTreeSet::new(), &[sent], stored).len()
    }

    #[test]
    fn an_acknowledged_signal_that_was_lost_is_seen() {
        assert_eq!(objections(sent(true, false), &[]), 1);
    }

    #[test]
    fn unfinished_and_unexplained_ends_are_seen() {
        use SignalState::{Executed, Executing, Expired, Failed, InDoubt, Partial, Quarantined, Received};
        for state in [Received, Executing, InDoubt, Failed, Partial, Expired, Quarantined] {
            assert_eq!(objections(sent(true, false), &[stored(state)]), 1, "{state:?}");
        }
        assert_eq!(objections(sent(true, false), &[stored(Executed)]), 0);
        assert_eq!(objections(sent(true, true), &[stored(Expired)]), 0);
        assert_eq!(objections(Sent { legs: 2, ..sent(true, false) }, &[stored(Executed)]), 1, "of another signal");
    }

    #[test]
    fn what_is_no_signal_must_be_refused() {
        let none = |acknowledged, refused| Sent { fingerprint: None, refused, ..sent(acknowledged, false) };
        assert_eq!(objections(none(false, true), &[]), 0);
        assert_eq!(objections(none(true, true), &[]), 1);
        assert_eq!(objections(none(false, false), &[]), 1);
    }
}
