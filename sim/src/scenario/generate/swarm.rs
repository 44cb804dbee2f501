//! What kind of run a run is: drawn first, once, so that a sweep varies between runs and not only within them.
//!
//! A run in which everything can go wrong hides what only shows when most things go right (Groce et al., "Swarm
//! Testing", 2012); so each run leaves out about half of the fault kinds altogether.

use std::collections::BTreeSet;
use std::fmt;

use proptest::prelude::*;
use serde::Serialize;

use crate::scenario::{BrokerKind, Fault, Span, TimingSpec, WorldSpec};

/// The configuration of one run.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Swarm {
    /// How many nodes.
    pub nodes: usize,
    /// What the broker can do.
    pub broker: BrokerKind,
    /// Every time that the nodes keep to, in percent of production's.
    pub timing_percent: u32,
    /// How many signals are executed at a time.
    pub in_flight: usize,
    /// How long a packet travels at most.
    pub latency_max: Span,
    /// How long things go wrong.
    pub faults_for: Span,
    /// The kinds of fault that can happen at all.
    pub kinds: BTreeSet<&'static str>,
    /// How many of them happen at most.
    pub faults: usize,
    /// How many of ten are anchored to the protocol's points rather than to times.
    pub anchored: u32,
    /// How many of ten signals are mirrored to two nodes.
    pub mirrored: u32,
    /// How many of ten signals have a deadline.
    pub deadlines: u32,
    /// Mirrored bodies differ in a member that does not matter.
    pub addressed: bool,
    /// Some bodies are no signals.
    pub odd_bodies: bool,
    /// Senders repeat what was acknowledged.
    pub repeats: bool,
    /// One signal is a burst of up to fifty.
    pub burst: bool,
}

/// Longer than anything that is owed takes, at 130 % of production's times.
const HEALED_FOR: Span = Span::secs(120);
/// How many things go wrong at most in one run.
const MOST_FAULTS: usize = 8;

/// Every configuration, the ordinary ones more often.
pub fn swarm() -> impl Strategy<Value = Swarm> {
    let nodes = prop_oneof![3 => Just(2_usize), 5 => Just(3), 1 => Just(4), 1 => Just(5)];
    let broker = prop_oneof![
        3 => Just(BrokerKind::Deduplicates),
        1 => Just(BrokerKind::Absorbs),
        1 => Just(BrokerKind::Forgets),
        1 => Just(BrokerKind::UntilFilled),
        3 => Just(BrokerKind::LooksUp),
        3 => Just(BrokerKind::Blind),
    ];
    let percent = prop_oneof![3 => Just(100_u32), 1 => Just(60), 1 => Just(80), 1 => Just(130)];
    let in_flight = prop_oneof![4 => Just(1_usize), 1 => Just(3)];
    let latency = prop_oneof![4 => Just(Span::millis(4)), 1 => Just(Span::millis(40)), 1 => Just(Span::millis(150))];
    let minutes =
        prop_oneof![2 => Just(3_i64), 2 => Just(5), 1 => Just(7)].prop_map(|minutes| Span::secs(minutes * 60));
    let kinds = prop::sample::subsequence(&Fault::NAMES[..], 8..=Fault::NAMES.len());
    let topology = (nodes, broker, percent, in_flight, latency, minutes);
    let rates = (1..=MOST_FAULTS, 2..=8_u32, 0..=10_u32, 0..=6_u32);
    let workload =
        (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.3), prop::bool::weighted(0.05));
    (topology, kinds, rates, workload).prop_map(|(topology, kinds, rates, workload)| {
        let (nodes, broker, timing_percent, in_flight, latency_max, faults_for) = topology;
        let (faults, anchored, mirrored, deadlines) = rates;
        let (addressed, odd_bodies, repeats, burst) = workload;
        let kinds = kinds.into_iter().collect();
        Swarm {
            nodes,
            broker,
            timing_percent,
            in_flight,
            latency_max,
            faults_for,
            kinds,
            faults,
            anchored,
            mirrored,
            deadlines,
            addressed,
            odd_bodies,
            repeats,
            burst,
        }
    })
}

impl Swarm {
    /// The world that it makes.
    pub fn world(&self) -> WorldSpec {
        WorldSpec {
            nodes: self.nodes,
            broker: self.broker,
            latency_max: self.latency_max,
            faults_for: self.faults_for,
            healed_for: HEALED_FOR,
            identity: if self.addressed { vec!["/id".to_owned()] } else { Vec::new() },
            timing: TimingSpec { in_flight: self.in_flight, ..TimingSpec::scaled(self.timing_percent) },
            ..WorldSpec::default()
        }
    }

    /// Whether faults of that kind can happen.
    pub fn has(&self, kind: &str) -> bool {
        self.kinds.contains(kind)
    }
}

impl fmt::Display for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let habits = [
            (self.addressed, "bodies name their recipient"),
            (self.odd_bodies, "some bodies are no signals"),
            (self.repeats, "senders repeat themselves"),
            (self.burst, "one burst"),
        ];
        let habits: Vec<_> = habits.iter().filter(|(on, _)| *on).map(|(_, habit)| *habit).collect();
        writeln!(
            f,
            "{} nodes at {} % of production's times, {} in flight, packets take up to {}; the broker {}",
            self.nodes,
            self.timing_percent,
            self.in_flight,
            self.latency_max,
            self.broker.name()
        )?;
        writeln!(
            f,
            "signals: {} of 10 mirrored, {} of 10 with a deadline{}{}",
            self.mirrored,
            self.deadlines,
            if habits.is_empty() { "" } else { "; " },
            habits.join(", ")
        )?;
        let kinds: Vec<_> = self.kinds.iter().copied().collect();
        write!(
            f,
            "faults: up to {} within {}, {} of 10 anchored, of {} kinds: {}",
            self.faults,
            self.faults_for,
            self.anchored,
            kinds.len(),
            kinds.join(", ")
        )
    }
}
