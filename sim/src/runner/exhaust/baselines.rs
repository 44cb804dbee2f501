//! The runs into which every fault is put: short, and each with calls at its ports that the others don't make.

use serde::Serialize;

use crate::scenario::read::LEAST_HEALED;
use crate::scenario::{BrokerKind, Expect, Fault, FaultSpec, Form, Scenario, SignalSpec, Span, TimingSpec, WorldSpec};
use crate::world::anchor::Point;
use crate::world::calls::CallName;

/// A run that is disturbed at each of its boundaries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// Two nodes start, one leads, two signals are executed; nothing goes wrong.
    Quiet,
    /// The leader's first claim is carried out and its reply lost, so that it has to read what became of it.
    Unheard,
    /// An operator asks the leader to step down with an order under way.
    StepDown,
    /// The leader is asked to end when it has claimed a signal; another signal arrives meanwhile.
    Shutdown,
    /// The leader's machine loses its power when the broker has booked the order: the next leader finds an order in
    /// doubt, and a signal whose deadline has passed. Where nobody can know, an operator says later.
    Takeover,
    /// The leader stands still when it has claimed a signal, and comes back after another has taken over: the order
    /// in doubt was never placed. Where nobody can know, an operator says later.
    Deposed,
    /// An operator stops new orders, signals come, and new orders go on.
    Stopped,
}

impl Baseline {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Quiet, Self::Unheard, Self::StepDown, Self::Shutdown, Self::Takeover, Self::Deposed, Self::Stopped];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Unheard => "unheard",
            Self::StepDown => "step-down",
            Self::Shutdown => "shutdown",
            Self::Takeover => "takeover",
            Self::Deposed => "deposed",
            Self::Stopped => "stopped",
        }
    }

    /// The run with a broker of that kind.
    pub fn scenario(self, broker: BrokerKind) -> Scenario {
        let leader = || "@leader".to_owned();
        let operator = |secs| timed(secs, Fault::Resolve { host: leader() });
        let (nodes, faults_for, faults) = match self {
            Self::Quiet => (2, 30, vec![]),
            Self::Unheard => (2, 30, vec![anchored(Point::Before(CallName::Claim), Fault::CallLosesReply)]),
            Self::StepDown => (2, 45, vec![anchored(Point::OrderSending, Fault::StepDown { host: leader() })]),
            Self::Shutdown => {
                (2, 45, vec![anchored(Point::Claimed, Fault::Shutdown { host: leader(), down: Span::secs(12) })])
            }
            Self::Takeover => {
                let loss = Fault::PowerLoss { host: leader(), down: Span::secs(20) };
                (2, 80, vec![anchored(Point::OrderBooked, loss), operator(55)])
            }
            Self::Deposed => {
                let pause = Fault::Pause { host: leader(), lasts: Span::secs(25) };
                (3, 80, vec![anchored(Point::Claimed, pause), operator(55)])
            }
            Self::Stopped => (2, 45, vec![timed(5, Fault::StopOrders { host: "n1".into(), lasts: Span::secs(10) })]),
        };
        let mut last = signal("SELL", 9, &["n2"]);
        last.good_for = Some(Span::secs(40));
        if self == Self::Takeover {
            // Taken in by the node that is left, and past its deadline when that leads.
            (last.to, last.good_for) = (vec!["n1".into()], Some(Span::secs(5)));
        }
        Scenario {
            name: format!("exhaust-{}-{}", self.name(), broker.name()),
            seed: 1,
            world: WorldSpec {
                nodes,
                broker,
                faults_for: Span::secs(faults_for),
                healed_for: LEAST_HEALED,
                timing: TimingSpec::default(),
                ..WorldSpec::default()
            },
            signals: vec![signal("BUY", 6, &["n1", "n2"]), last],
            faults,
            expect: Expect::default(),
        }
    }
}

fn signal(id: &str, at: i64, to: &[&str]) -> SignalSpec {
    SignalSpec {
        id: id.into(),
        at: Span::secs(at),
        to: to.iter().map(|node| (*node).to_owned()).collect(),
        good_for: None,
        legs: 1,
        burst: 1,
        times: 1,
        form: Form::Well,
    }
}

fn anchored(point: Point, fault: Fault) -> FaultSpec {
    FaultSpec { at: None, when: Some(crate::scenario::Anchor { point, nth: 1, by: None }), fault }
}

fn timed(secs: i64, fault: Fault) -> FaultSpec {
    FaultSpec { at: Some(Span::secs(secs)), when: None, fault }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::read;

    #[test]
    fn baselines_are_scenarios_that_could_be_written() {
        for baseline in Baseline::ALL {
            for broker in BrokerKind::ALL {
                read::check(&baseline.scenario(broker)).unwrap();
            }
        }
    }
}
