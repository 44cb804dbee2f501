//! What faults are made of, for whoever changes scenarios without knowing each kind: a new kind needs one arm in
//! each of the two matches here.

use super::{Fault, Span};

/// One changeable member of a fault.
#[derive(Debug)]
pub enum Part<'a> {
    /// Whom it strikes.
    Host(&'a mut String),
    /// For how long.
    Lasts(&'a mut Span),
    /// By how much, in time; may be negative.
    By(&'a mut Span),
    /// By how much, in some other unit; may be negative.
    Number(&'a mut i64),
}

impl Fault {
    /// Shows every member to `visit`, in the order in which a reader meets them.
    pub fn parts(&mut self, visit: &mut dyn FnMut(Part<'_>)) {
        match self {
            Self::Partition { between: [a, b], lasts } | Self::OneWay { from: a, to: b, lasts } => {
                visit(Part::Host(a));
                visit(Part::Host(b));
                visit(Part::Lasts(lasts));
            }
            Self::LateRelease { between: [a, b], lasts, late } => {
                visit(Part::Host(a));
                visit(Part::Host(b));
                visit(Part::Lasts(lasts));
                visit(Part::By(late));
            }
            Self::Reset { between: [a, b] } => {
                visit(Part::Host(a));
                visit(Part::Host(b));
            }
            Self::Split { groups, lasts } => {
                groups.iter_mut().flatten().for_each(|host| visit(Part::Host(host)));
                visit(Part::Lasts(lasts));
            }
            Self::RedisTwoMasters { hosts, lasts } => {
                hosts.iter_mut().for_each(|host| visit(Part::Host(host)));
                visit(Part::Lasts(lasts));
            }
            Self::LatencySpike { host, by, lasts } => {
                visit(Part::Host(host));
                visit(Part::By(by));
                visit(Part::Lasts(lasts));
            }
            Self::Isolate { host, lasts }
            | Self::Crash { host, down: lasts }
            | Self::PowerLoss { host, down: lasts }
            | Self::Pause { host, lasts }
            | Self::Snapshot { host, lasts }
            | Self::Shutdown { host, down: lasts }
            | Self::Refuse { host, lasts }
            | Self::StopOrders { host, lasts }
            | Self::PauseHeartbeats { host, lasts } => {
                visit(Part::Host(host));
                visit(Part::Lasts(lasts));
            }
            Self::ClockStep { host, by } => {
                visit(Part::Host(host));
                visit(Part::By(by));
            }
            Self::ClockDrift { host, ppm, lasts } => {
                visit(Part::Host(host));
                visit(Part::Number(ppm));
                visit(Part::Lasts(lasts));
            }
            Self::StoreFails { host, lasts }
            | Self::StoreLosesReplies { host, lasts }
            | Self::StoreBusy { host, lasts }
            | Self::RedisLosesReplies { host, lasts } => {
                host.iter_mut().for_each(|host| visit(Part::Host(host)));
                visit(Part::Lasts(lasts));
            }
            Self::StoreSlow { by, lasts }
            | Self::RedisSlow { by, lasts }
            | Self::BrokerHides { by, lasts }
            | Self::BrokerLate { by, lasts } => {
                visit(Part::By(by));
                visit(Part::Lasts(lasts));
            }
            Self::BrokerSilent { lasts }
            | Self::BrokerOutage { lasts }
            | Self::BrokerRefuses { lasts }
            | Self::BrokerConfused { lasts }
            | Self::BrokerMisanswers { lasts, .. }
            | Self::StoreFull { lasts } => visit(Part::Lasts(lasts)),
            Self::StepDown { host } | Self::Resolve { host } => visit(Part::Host(host)),
            Self::RedisFailsOver { loses: by } | Self::CallRepeated { by } => visit(Part::By(by)),
            Self::RedisLosesData | Self::RedisEvicts | Self::CallFails | Self::CallLosesReply => {}
        }
    }

    /// The next gentler faults of its family: what does part of the same, or the same less thoroughly. Families
    /// have ends: following them never leads back.
    pub fn gentler(&self) -> Vec<Self> {
        match self.clone() {
            Self::PowerLoss { host, down } => vec![Self::Crash { host, down }],
            Self::Crash { host, down } if host == "redis" => {
                vec![Self::RedisLosesData, Self::Pause { host, lasts: down }]
            }
            Self::Crash { host, down } => vec![Self::Pause { host, lasts: down }],
            Self::Shutdown { host, .. } => vec![Self::StepDown { host }],
            Self::Snapshot { host, lasts } => vec![Self::Pause { host, lasts }],
            Self::Pause { host, lasts } => vec![Self::PauseHeartbeats { host, lasts }],
            Self::Split { groups, lasts } => {
                let mut pairs = Vec::new();
                for (at, group) in groups.iter().enumerate() {
                    for other in groups.iter().skip(at + 1) {
                        let all = group.iter().flat_map(|a| other.iter().map(move |b| (a.clone(), b.clone())));
                        pairs.extend(all.map(|(a, b)| Self::Partition { between: [a, b], lasts }));
                    }
                }
                pairs
            }
            Self::LateRelease { between, lasts, .. } => vec![Self::Partition { between, lasts }],
            Self::RedisFailsOver { .. } | Self::RedisTwoMasters { .. } => vec![Self::RedisEvicts, Self::RedisLosesData],
            Self::Isolate { host, lasts } => {
                let peers = ["redis", "store", "broker", "@leader"].into_iter().filter(|peer| *peer != host);
                peers.map(|peer| Self::Partition { between: [host.clone(), peer.into()], lasts }).collect()
            }
            Self::Partition { between: [a, b], lasts } => {
                vec![Self::OneWay { from: a.clone(), to: b.clone(), lasts }, Self::OneWay { from: b, to: a, lasts }]
            }
            Self::StoreLosesReplies { host, lasts } => vec![Self::StoreFails { host, lasts }],
            Self::StoreFull { lasts } => vec![Self::StoreFails { host: None, lasts }],
            Self::StoreBusy { host, lasts } => vec![Self::StoreFails { host, lasts }],
            Self::BrokerSilent { lasts } | Self::BrokerConfused { lasts } => vec![Self::BrokerOutage { lasts }],
            Self::BrokerMisanswers { lasts, .. } => vec![Self::BrokerConfused { lasts }],
            Self::BrokerLate { lasts, .. } => vec![Self::BrokerSilent { lasts }, Self::BrokerOutage { lasts }],
            Self::OneWay { .. }
            | Self::PauseHeartbeats { .. }
            | Self::StopOrders { .. }
            | Self::ClockStep { .. }
            | Self::ClockDrift { .. }
            | Self::LatencySpike { .. }
            | Self::Reset { .. }
            | Self::Refuse { .. }
            | Self::Resolve { .. }
            | Self::RedisLosesData
            | Self::RedisEvicts
            | Self::RedisLosesReplies { .. }
            | Self::RedisSlow { .. }
            | Self::BrokerHides { .. }
            | Self::CallFails
            | Self::CallLosesReply
            | Self::CallRepeated { .. }
            | Self::StoreFails { .. }
            | Self::StoreSlow { .. }
            | Self::BrokerOutage { .. }
            | Self::BrokerRefuses { .. }
            | Self::StepDown { .. } => Vec::new(),
        }
    }

    /// How many times it can be replaced by a gentler one, and once for being there.
    pub fn harshness(&self) -> usize {
        1 + self.gentler().iter().map(Self::harshness).max().unwrap_or(0)
    }

    /// Changes whom it strikes.
    pub fn rename_hosts(&mut self, mut name: impl FnMut(&str) -> Option<String>) {
        self.parts(&mut |part| {
            if let Part::Host(host) = part
                && let Some(other) = name(host)
            {
                *host = other;
            }
        });
    }

    /// Makes it last so long; nothing, for what happens at once.
    pub fn set_lasts(&mut self, long: Span) {
        self.parts(&mut |part| {
            if let Part::Lasts(lasts) = part {
                *lasts = long;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::generate;

    /// Of every kind that is drawn: the parts are all there are.
    #[test]
    fn parts_are_what_hosts_and_lasts_say() {
        for seed in 0..300 {
            for spec in generate::draw(seed).faults {
                let mut fault = spec.fault.clone();
                let (mut hosts, mut lasts) = (Vec::new(), std::time::Duration::ZERO);
                fault.parts(&mut |part| match part {
                    Part::Host(host) => hosts.push(host.clone()),
                    Part::Lasts(span) => lasts = span.get(),
                    Part::By(_) | Part::Number(_) => {}
                });
                assert_eq!(
                    (hosts.iter().map(String::as_str).collect::<Vec<_>>(), lasts),
                    (fault.hosts(), fault.lasts())
                );
                assert_eq!(fault, spec.fault);
            }
        }
    }

    #[test]
    fn gentler_faults_are_gentler() {
        let loss = Fault::PowerLoss { host: "n1".into(), down: Span::secs(1) };
        assert_eq!(loss.harshness(), 4);
        for seed in 0..300 {
            for spec in generate::draw(seed).faults {
                let harshness = spec.fault.harshness();
                assert!(spec.fault.gentler().iter().all(|fault| fault.harshness() < harshness));
            }
        }
    }
}
