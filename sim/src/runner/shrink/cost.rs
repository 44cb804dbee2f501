//! What makes one scenario smaller than another.

use std::fmt;

use serde::Serialize;

use crate::scenario::read::LEAST_HEALED;
use crate::scenario::shape::Part;
use crate::scenario::{BrokerKind, Form, Scenario, SignalSpec, Span, WorldSpec};

/// What a reader counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Size {
    /// How many things go wrong.
    pub faults: usize,
    /// How many nodes there are.
    pub nodes: usize,
    /// How many signals are sent.
    pub signals: usize,
}

impl Size {
    /// Of that scenario.
    pub fn of(scenario: &Scenario) -> Self {
        Self { faults: scenario.faults.len(), nodes: scenario.world.nodes, signals: scenario.signals.len() }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let [faults, signals, nodes] =
            [(self.faults, "fault"), (self.signals, "signal"), (self.nodes, "node")].map(|(n, what)| counted(n, what));
        write!(f, "{faults} {signals} {nodes}")
    }
}

/// Compared from the first member on: what weighs more stands first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Cost {
    size: Size,
    recipients: usize,
    expectations: bool,
    /// Deadlines, bursts, repeats and odd bodies.
    deadlines: usize,
    harshness: usize,
    /// Faults that strike at a moment, which means another thing as soon as anything takes longer.
    timed: usize,
    /// Faults that strike a node by its name.
    names: usize,
    odd_world: usize,
    /// Values that are not round; not asked while there are large things to take away.
    odd: usize,
    /// Everything that takes time or counts, in milliseconds.
    long: u64,
    seed: u64,
    ids: usize,
}

impl Cost {
    pub(super) fn of(scenario: &Scenario, rounding: bool) -> Self {
        let world = &scenario.world;
        let plain = WorldSpec::default();
        let mut cost = Self {
            size: Size::of(scenario),
            recipients: scenario.signals.iter().map(|signal| signal.to.len()).sum(),
            expectations: scenario.expect != crate::scenario::Expect::default(),
            deadlines: scenario.signals.iter().map(oddity).sum(),
            harshness: scenario.faults.iter().map(|spec| spec.fault.harshness()).sum(),
            timed: scenario.faults.iter().filter(|spec| spec.at.is_some()).count(),
            names: 0,
            odd_world: broker_rank(world.broker)
                + usize::from((world.latency_min, world.latency_max) != (plain.latency_min, plain.latency_max))
                + usize::from(world.timing != plain.timing)
                + usize::from(world.identity != plain.identity),
            odd: usize::from(world.healed_for != LEAST_HEALED),
            long: 0,
            seed: scenario.seed,
            ids: (1..).zip(&scenario.signals).filter(|(n, signal)| signal.id != format!("S{n}")).count(),
        };
        let mut count = |span: Span| {
            cost.odd += usize::from(rounding && !is_round(span));
            cost.long += span.as_millis().unsigned_abs();
        };
        count(world.faults_for);
        let mut whole = vec![world.healed_for];
        for signal in &scenario.signals {
            count(signal.at);
            signal.good_for.map(&mut count);
        }
        for spec in &scenario.faults {
            spec.at.map(&mut count);
            // As if each time took a while, so that counting further and waiting longer weigh about the same.
            whole.extend(spec.when.as_ref().map(|anchor| Span::secs(i64::from(anchor.nth))));
            spec.fault.clone().parts(&mut |part| match part {
                Part::Host(host) => cost.names += usize::from(is_node_name(host)),
                Part::Lasts(span) | Part::By(span) => count(*span),
                Part::Number(number) => count(Span::millis(*number)),
            });
            cost.names += usize::from(spec.when.as_ref().is_some_and(|anchor| anchor.by.is_some()));
        }
        cost.long += whole.into_iter().map(|span| span.as_millis().unsigned_abs()).sum::<u64>();
        if !rounding {
            cost.odd = 0;
        }
        cost
    }
}

/// In how many ways a signal is more than one that is sent once.
fn oddity(signal: &SignalSpec) -> usize {
    let plainly =
        [signal.good_for.is_none(), signal.legs == 1, signal.burst == 1, signal.times == 1, signal.form == Form::Well];
    plainly.into_iter().filter(|plain| !plain).count()
}

/// The plainer a broker, the plainer the scenario.
fn broker_rank(kind: BrokerKind) -> usize {
    match kind {
        BrokerKind::Deduplicates => 0,
        BrokerKind::LooksUp => 1,
        BrokerKind::Blind => 2,
        BrokerKind::Absorbs => 3,
        BrokerKind::Forgets => 4,
        BrokerKind::UntilFilled => 5,
    }
}

/// Whether that is a node's name and no role.
pub(super) fn is_node_name(host: &str) -> bool {
    host.strip_prefix('n').is_some_and(|rest| rest.parse::<usize>().is_ok())
}

/// One digit and zeros, in the unit in which it is written.
pub(super) fn is_round(span: Span) -> bool {
    let millis = span.as_millis().unsigned_abs();
    let mut number = match millis {
        _ if millis.is_multiple_of(60_000) => millis / 60_000,
        _ if millis.is_multiple_of(1_000) && millis < 60_000 => millis / 1_000,
        _ if millis < 1_000 => millis,
        _ => return false,
    };
    while number >= 10 && number.is_multiple_of(10) {
        number /= 10;
    }
    number < 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_is_what_people_write() {
        for (millis, round) in
            [(0, true), (20_000, true), (500, true), (120_000, true), (-60_000, true), (11_900, false), (15_000, false)]
        {
            assert_eq!(is_round(Span::millis(millis)), round, "{millis}");
        }
    }

    #[test]
    fn a_fault_less_weighs_more_than_all_the_rest() {
        let mut large = crate::scenario::generate::draw(1);
        large.faults.truncate(2);
        let mut small = large.clone();
        small.faults.truncate(1);
        small.seed = u64::MAX;
        small.world.faults_for = Span::secs(3_600);
        assert!(Cost::of(&small, true) < Cost::of(&large, true));
    }
}
