//! What is wrong with the world, and since when nothing has been: the record by which oracles know when a
//! promise that needs a well world is owed.
//!
//! Fed from one place, the nemesis. A fault that is not known here counts against every host that it names, and
//! against everybody when it names none: what is new excuses too much rather than too little.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::hosts::node::DRIFT_BOUND_PPM;
use crate::scenario::Fault;

/// What a fault touches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Touched {
    /// A host and all that it does.
    Host(usize),
    /// What passes between two hosts; the smaller place first.
    Link(usize, usize),
}

impl Touched {
    fn link(a: usize, b: usize) -> Self {
        Self::Link(a.min(b), a.max(b))
    }
}

/// The faults in force, and when others ended.
#[derive(Default)]
pub struct Weather {
    hosts: Vec<String>,
    nodes: usize,
    in_force: BTreeMap<u64, Vec<Touched>>,
    ended: BTreeMap<Touched, Duration>,
}

impl Weather {
    /// A world of these hosts, the nodes first, with nothing wrong.
    pub fn new(hosts: Vec<String>, nodes: usize) -> Self {
        Self { hosts, nodes, ..Self::default() }
    }

    /// What `fault` touches in this world, where its names mean what `place` says.
    pub fn touched(&self, fault: &Fault, place: impl Fn(&str) -> Option<usize>) -> Vec<Touched> {
        let service = |name: &str| self.place(name).map(Touched::Host).into_iter().collect::<Vec<_>>();
        match fault {
            Fault::Partition { between: [a, b], .. } | Fault::OneWay { from: a, to: b, .. } => {
                place(a).zip(place(b)).map(|(a, b)| Touched::link(a, b)).into_iter().collect()
            }
            Fault::LateRelease { between: [a, b], .. } | Fault::Reset { between: [a, b] } => {
                place(a).zip(place(b)).map(|(a, b)| Touched::link(a, b)).into_iter().collect()
            }
            Fault::Split { groups, .. } => {
                let groups: Vec<Vec<usize>> =
                    groups.iter().map(|group| group.iter().filter_map(|name| place(name)).collect()).collect();
                let mut links = Vec::new();
                for (at, group) in groups.iter().enumerate() {
                    for other in groups.iter().skip(at + 1) {
                        links.extend(group.iter().flat_map(|a| other.iter().map(|b| Touched::link(*a, *b))));
                    }
                }
                links
            }
            // Nobody knows of what the other master grants.
            Fault::RedisTwoMasters { .. } => service("redis"),
            Fault::RedisLosesReplies { host: Some(name), .. } => {
                place(name).zip(self.place("redis")).map(|(a, b)| Touched::link(a, b)).into_iter().collect()
            }
            // An operator who says what became of a signal, or what shall not be begun, wrongs nobody.
            Fault::Resolve { .. } | Fault::StopOrders { .. } => Vec::new(),
            // Within the bound it is no excuse: every time above allows for it.
            Fault::ClockDrift { ppm, .. } if ppm.abs() <= DRIFT_BOUND_PPM => Vec::new(),
            Fault::StoreFails { host: Some(name), .. }
            | Fault::StoreBusy { host: Some(name), .. }
            | Fault::StoreLosesReplies { host: Some(name), .. } => {
                place(name).zip(self.place("store")).map(|(a, b)| Touched::link(a, b)).into_iter().collect()
            }
            fault => {
                let named: Vec<_> = fault.hosts().into_iter().filter_map(place).map(Touched::Host).collect();
                match fault.name() {
                    _ if !named.is_empty() => named,
                    name if name.starts_with("store-") => service("store"),
                    name if name.starts_with("redis-") => service("redis"),
                    name if name.starts_with("broker-") => service("broker"),
                    _ => (0..self.hosts.len()).map(Touched::Host).collect(),
                }
            }
        }
    }

    /// What a fault touches that is done to a node's call of a service.
    pub fn touched_by_call(&self, node: usize, service: &str) -> Vec<Touched> {
        self.place(service).map(|service| Touched::link(node, service)).into_iter().collect()
    }

    /// A fault begins.
    pub fn begins(&mut self, fault: u64, touched: Vec<Touched>) {
        self.in_force.insert(fault, touched);
    }

    /// A fault ends.
    pub fn ends(&mut self, fault: u64, at: Duration) {
        let touched = self.in_force.remove(&fault).unwrap_or_default();
        self.passes(&touched, at);
    }

    /// Something has happened at once.
    pub fn passes(&mut self, touched: &[Touched], at: Duration) {
        self.ended.extend(touched.iter().map(|touched| (*touched, at)));
    }

    /// The place of that host.
    pub fn place(&self, host: &str) -> Option<usize> {
        self.hosts.iter().position(|name| name == host)
    }

    /// The places of the nodes.
    pub fn nodes(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.nodes
    }

    /// Since when nothing is wrong with any of these; none while something is.
    fn calm_since(&self, these: &[Touched]) -> Option<Duration> {
        if self.in_force.values().flatten().any(|touched| these.contains(touched)) {
            return None;
        }
        Some(these.iter().filter_map(|touched| self.ended.get(touched)).max().copied().unwrap_or_default())
    }

    /// Since when that host itself has nothing wrong with it.
    pub fn host_well_since(&self, host: usize) -> Option<Duration> {
        self.calm_since(&[Touched::Host(host)])
    }

    /// Whether nothing was ever wrong with that host itself.
    pub fn never_touched(&self, host: usize) -> bool {
        self.host_well_since(host) == Some(Duration::ZERO)
    }

    /// Since when a host and a service have nothing wrong with them or with what passes between them.
    pub fn link_well_since(&self, host: usize, service: &str) -> Option<Duration> {
        let service = self.place(service)?;
        self.calm_since(&[Touched::Host(host), Touched::Host(service), Touched::link(host, service)])
    }

    /// Since when a node has had all that it takes to lead; none while it lacks something.
    pub fn node_well_since(&self, node: usize) -> Option<Duration> {
        Some(self.link_well_since(node, "redis")?.max(self.link_well_since(node, "store")?))
    }

    /// Since when nothing at all has been wrong.
    pub fn quiet_since(&self) -> Option<Duration> {
        let quiet = self.in_force.values().all(Vec::is_empty);
        quiet.then(|| self.ended.values().max().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Span;

    const SECOND: Duration = Duration::from_secs(1);

    fn weather() -> Weather {
        Weather::new(["n1", "n2", "redis", "store", "broker"].map(str::to_owned).to_vec(), 2)
    }

    fn touched(fault: &Fault) -> Vec<Touched> {
        let weather = weather();
        weather.touched(fault, |name| weather.place(name))
    }

    #[test]
    fn a_partition_leaves_everybody_else_well() {
        let mut weather = weather();
        let lasts = Span::secs(1);
        let cut = Fault::Partition { between: ["redis".into(), "n1".into()], lasts };
        weather.begins(1, touched(&cut));
        assert_eq!(weather.node_well_since(0), None);
        assert_eq!(weather.link_well_since(0, "store"), Some(Duration::ZERO));
        assert_eq!(weather.node_well_since(1), Some(Duration::ZERO));
        weather.ends(1, SECOND);
        assert_eq!(weather.node_well_since(0), Some(SECOND));
        assert_eq!(weather.quiet_since(), Some(SECOND));
    }

    #[test]
    fn a_fault_counts_against_its_hosts_or_its_service() {
        let lasts = Span::secs(1);
        assert_eq!(touched(&Fault::Pause { host: "n2".into(), lasts }), [Touched::Host(1)]);
        assert_eq!(touched(&Fault::RedisLosesData), [Touched::Host(2)]);
        assert_eq!(touched(&Fault::StoreSlow { by: lasts, lasts }), [Touched::Host(3)]);
        assert_eq!(touched(&Fault::StoreFails { host: Some("n1".into()), lasts }), [Touched::Link(0, 3)]);
        assert_eq!(touched(&Fault::ClockDrift { host: "n1".into(), ppm: 5_000, lasts }), []);
        assert_eq!(touched(&Fault::ClockDrift { host: "n1".into(), ppm: 5_001, lasts }), [Touched::Host(0)]);
    }
}
