//! One scenario on both engines: they must come to the same verdict.
//!
//! What is compared is what the promises are about: which of them were broken, how many orders each signal has in
//! the broker's book, and where each stands in the store. Times, latencies and trace hashes are each engine's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Options, Run, run};
use crate::mutants::Mutant;
use crate::scenario::Scenario;
use crate::world::engine::Engine;

/// What an engine says of a scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The oracles that objected; none, if every promise held.
    pub broken: BTreeSet<&'static str>,
    /// Where each signal ended, and with how many orders.
    pub ends: BTreeMap<String, (Option<oncegate_protocol::SignalState>, usize)>,
}

impl Verdict {
    /// The verdict of a run.
    pub fn of(run: &Run) -> Self {
        let orders = |fingerprint| run.book.iter().filter(|booked| Some(booked.fingerprint) == fingerprint).count();
        Self {
            broken: run.violations.iter().map(|violation| violation.oracle).collect(),
            ends: run
                .signals
                .iter()
                .map(|signal| (signal.id.clone(), (signal.state, orders(signal.fingerprint))))
                .collect(),
        }
    }

    fn told(&self) -> String {
        let broken = if self.broken.is_empty() {
            "holds".to_owned()
        } else {
            format!("breaks {}", self.broken.iter().copied().collect::<Vec<_>>().join(", "))
        };
        let ends = self.ends.iter().map(|(id, (state, orders))| {
            let state = state.map_or("unknown", oncegate_protocol::SignalState::name);
            format!("{id} {state} with {orders} orders")
        });
        format!("{broken}; {}", ends.collect::<Vec<_>>().join(", "))
    }
}

/// What the engines say of one scenario, the default engine first.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// The scenario's name.
    pub name: String,
    /// One run per engine.
    pub runs: [(Engine, Run); 2],
}

impl Agreement {
    /// Whether they say the same.
    pub fn agrees(&self) -> bool {
        let [(_, first), (_, second)] = &self.runs;
        Verdict::of(first) == Verdict::of(second)
    }

    /// Whether every promise held on each.
    pub fn holds(&self) -> bool {
        self.runs.iter().all(|(_, run)| run.holds())
    }

    /// Whether the promise of that oracle was broken on the first and on the second engine.
    pub fn breaks(&self, oracle: &str) -> (bool, bool) {
        let [(_, first), (_, second)] = &self.runs;
        (first.breaks(Some(oracle)), second.breaks(Some(oracle)))
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for (engine, run) in &self.runs {
            write!(f, "\n  {:8} {}", engine.name(), Verdict::of(run).told())?;
        }
        Ok(())
    }
}

/// Runs a scenario on both engines, with the stories of both kept.
pub fn compare(scenario: &Scenario, mutant: Option<Mutant>) -> Agreement {
    let runs = Engine::ALL.map(|engine| (engine, run(scenario, Options { keep_story: true, mutant, engine })));
    Agreement { name: scenario.name.clone(), runs }
}
