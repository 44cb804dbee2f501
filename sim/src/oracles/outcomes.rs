//! What a process has heard it writes down, for as long as it takes: an acceptance is in the store within its
//! bound of when the process can reach the store again. Sees the broker port's answers and the store's commits.
//!
//! `truth` asks whether the store knows in the end; another leader may have found out by then. This asks whether
//! who knew said so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use oncegate_protocol::Fingerprint;

use super::Violation;
use super::bounds::Bounds;
use super::weather::Weather;
use crate::world::host::Life;

/// The oracle's name.
pub const NAME: &str = "outcomes";

/// Sees what was accepted, and what was written.
#[derive(Default)]
pub struct Outcomes {
    heard: BTreeMap<(Fingerprint, usize), (Arc<Life>, Duration)>,
    pub(super) violations: Vec<Violation>,
}

impl Outcomes {
    /// A process has heard that the broker has the order.
    pub fn accepted(&mut self, at: Duration, fingerprint: Fingerprint, life: &Arc<Life>) {
        self.heard.entry((fingerprint, life.host.at)).or_insert_with(|| (Arc::clone(life), at));
    }

    /// The store carried out an outcome write of that node.
    pub fn written(&mut self, fingerprint: Fingerprint, node: usize) {
        self.heard.remove(&(fingerprint, node));
    }

    /// The world as it is now.
    pub fn look(&mut self, at: Duration, weather: &Weather, bounds: &Bounds) {
        let mut late = Vec::new();
        self.heard.retain(|(fingerprint, node), (life, heard)| {
            if life.is_over() {
                return false;
            }
            let owed = weather.link_well_since(*node, "store").map(|well| well.max(*heard) + bounds.records());
            if owed.is_some_and(|owed| at > owed) {
                let (name, heard) = (&life.host.name, heard.as_secs_f64());
                late.push(format!(
                    "{name} heard at {heard:.3}s that {fingerprint:?} was accepted, and has not written it"
                ));
                return false;
            }
            true
        });
        self.violations.extend(late.into_iter().map(|what| Violation { oracle: NAME, at, what }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::fixture::life;

    #[test]
    fn an_acceptance_that_is_never_written_is_seen() {
        let (weather, bounds) = (Weather::new(vec!["n1".into(), "store".into()], 1), Bounds::default());
        let (signal, life) = (Fingerprint::of_bytes(b"s"), life(0, "n1"));
        let late = bounds.records() + Duration::from_secs(1);
        let mut oracle = Outcomes::default();
        oracle.accepted(Duration::ZERO, signal, &life);
        oracle.look(late / 2, &weather, &bounds);
        oracle.written(signal, 0);
        oracle.look(late, &weather, &bounds);
        assert_eq!(oracle.violations, []);
        oracle.accepted(Duration::ZERO, signal, &life);
        oracle.look(late, &weather, &bounds);
        assert_eq!(oracle.violations.len(), 1);
        oracle.accepted(Duration::ZERO, signal, &life);
        life.host.take_down();
        oracle.look(late, &weather, &bounds);
        assert_eq!(oracle.violations.len(), 1);
    }
}
