//! When each alert is due: one function of what is known, without time of its own.
//!
//! The durations here are those of `for` and `keep_firing_for` in `deploy/prometheus/oncegate.rules.yml`, and the
//! thresholds in [`AlertConfig::default`] are those of its expressions. Who changes one changes the other; a test
//! compares names, severities and durations.

use std::time::Duration;

use oncegate_protocol::SignalState;

use crate::metrics::MetricsSnapshot;
use crate::overview::{LEASE, Member, Overview, STORE};

/// The thresholds.
#[derive(Clone, PartialEq, Debug)]
pub struct AlertConfig {
    /// Store calls that failed, of those that ended in the last five minutes: warning above this.
    pub store_failures_warning: f64,
    /// Critical above this.
    pub store_failures_critical: f64,
    /// No ratio is judged of fewer calls than this.
    pub store_calls_least: u64,
    /// Leaderships within an hour: warning above this.
    pub leadership_changes_warning: u64,
    /// Critical above this.
    pub leadership_changes_critical: u64,
    /// Age of the leader's heartbeat: warning above this. Without one this fresh, nobody leads.
    pub heartbeat_warning: Duration,
    /// Critical above this.
    pub heartbeat_critical: Duration,
    /// Age of a signal that is owed something: critical above this.
    pub unhandled_after: Duration,
    /// Distance between two nodes' wall clocks: warning above this.
    pub clock_offset: Duration,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            store_failures_warning: 0.05,
            store_failures_critical: 0.10,
            store_calls_least: 20,
            leadership_changes_warning: 3,
            leadership_changes_critical: 10,
            heartbeat_warning: Duration::from_secs(30),
            heartbeat_critical: Duration::from_secs(60),
            unhandled_after: Duration::from_secs(60),
            clock_offset: Duration::from_secs(1),
        }
    }
}

/// How loudly an alert is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Worth a look in the morning.
    Warning,
    /// Wake somebody.
    Critical,
}

impl Level {
    /// As the label `severity` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What is known.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// This node's picture of the cluster.
    pub overview: &'a Overview,
    /// This node's figures.
    pub figures: &'a MetricsSnapshot,
    /// The thresholds.
    pub config: &'a AlertConfig,
}

/// One alert.
pub struct Rule {
    /// Its name, here and in the Prometheus rules.
    pub name: &'static str,
    /// How loudly it is told. The same name may stand at both levels; both are active then.
    pub level: Level,
    /// For how long it must be due before it begins.
    pub after: Duration,
    /// For how long it must not be due before it ends.
    pub keep: Duration,
    /// What makes it due, with figures, for people; none when it is not.
    pub due: fn(&Sight<'_>) -> Option<String>,
}

impl Rule {
    /// Where the manual says what it means and what to do.
    pub fn runbook(&self) -> String {
        format!("docs/OPERATIONS.md#{}", self.name.to_ascii_lowercase())
    }
}

const AT_ONCE: Duration = Duration::ZERO;
/// Two nodes are asked one after the other: for a moment, both may truly have said that they lead.
const TEN_SECONDS: Duration = Duration::from_secs(10);
/// A failover after a crash takes a lease time, 10 s by default.
const HALF_A_MINUTE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

const fn rule(
    name: &'static str,
    level: Level,
    after: Duration,
    keep: Duration,
    due: fn(&Sight<'_>) -> Option<String>,
) -> Rule {
    Rule { name, level, after, keep, due }
}

/// Every alert, in the order in which they are told.
pub static RULES: [Rule; 20] = [
    rule("OncegateManyLeaders", Level::Critical, TEN_SECONDS, MINUTE, many_leaders),
    rule("OncegateSplitBrain", Level::Critical, AT_ONCE, MINUTE, split_brain),
    rule("OncegateEpochWentBack", Level::Critical, AT_ONCE, AT_ONCE, epoch_went_back),
    rule("OncegateQuarantined", Level::Critical, AT_ONCE, AT_ONCE, quarantined),
    rule("OncegatePartial", Level::Critical, AT_ONCE, AT_ONCE, partial),
    rule("OncegateSignalUnhandled", Level::Critical, AT_ONCE, AT_ONCE, signal_unhandled),
    rule("OncegateNoLeader", Level::Critical, HALF_A_MINUTE, AT_ONCE, no_leader),
    rule("OncegateHeartbeatStale", Level::Critical, AT_ONCE, AT_ONCE, heartbeat_critical),
    rule("OncegateHeartbeatStale", Level::Warning, AT_ONCE, AT_ONCE, heartbeat_warning),
    rule("OncegateStoreUnreachable", Level::Critical, HALF_A_MINUTE, MINUTE, store_unreachable),
    rule("OncegateStoreFailureRate", Level::Critical, MINUTE, MINUTE, store_failures_critical),
    rule("OncegateStoreFailureRate", Level::Warning, MINUTE, MINUTE, store_failures_warning),
    rule("OncegateLeadershipFlapping", Level::Critical, AT_ONCE, AT_ONCE, flapping_critical),
    rule("OncegateLeadershipFlapping", Level::Warning, AT_ONCE, AT_ONCE, flapping_warning),
    rule("OncegateInDoubt", Level::Warning, HALF_A_MINUTE, AT_ONCE, in_doubt),
    rule("OncegateLeaseUnreachable", Level::Warning, HALF_A_MINUTE, MINUTE, lease_unreachable),
    rule("OncegateNodeUnreachable", Level::Warning, MINUTE, MINUTE, node_unreachable),
    rule("OncegateClockDisagreement", Level::Warning, MINUTE, MINUTE, clock_disagreement),
    rule("OncegateHistoryWriteFailing", Level::Warning, AT_ONCE, AT_ONCE, history_write_failing),
    rule("OncegatePaused", Level::Warning, AT_ONCE, AT_ONCE, paused),
];

fn many_leaders(sight: &Sight<'_>) -> Option<String> {
    let leaders: Vec<_> = leaders(sight).map(|node| node.instance.as_str()).collect();
    (leaders.len() > 1).then(|| format!("{} say that they lead", leaders.join(" and ")))
}

fn split_brain(sight: &Sight<'_>) -> Option<String> {
    let (leader, found) = (&sight.overview.leader, sight.figures.leadership.split_brain_detections_last_5m);
    let who = |name: &Option<String>| name.clone().unwrap_or_else(|| "nobody".to_owned());
    let named = || format!("the lease names {}, the store names {}", who(&leader.redis_leader), who(&leader.db_leader));
    if leader.split_brain {
        Some(named())
    } else {
        (found > 0).then(|| format!("found by this node in the last 5 minutes, times: {found}; now {}", named()))
    }
}

fn epoch_went_back(sight: &Sight<'_>) -> Option<String> {
    let times = sight.figures.leadership.epoch_went_back_last_hour;
    (times > 0)
        .then(|| format!("the store has lost epochs, so it has lost commits; found in the last hour, times: {times}"))
}

fn quarantined(sight: &Sight<'_>) -> Option<String> {
    let count = in_state(sight, SignalState::Quarantined.name());
    (count > 0).then(|| format!("signals that need a human to find out whether their orders were placed: {count}"))
}

fn partial(sight: &Sight<'_>) -> Option<String> {
    let count = in_state(sight, SignalState::Partial.name());
    (count > 0).then(|| format!("signals that were executed in part, some legs placed and others not: {count}"))
}

fn in_doubt(sight: &Sight<'_>) -> Option<String> {
    let count = in_state(sight, SignalState::InDoubt.name());
    (count > 0).then(|| format!("signals of which nobody knows yet whether their orders were placed: {count}"))
}

fn signal_unhandled(sight: &Sight<'_>) -> Option<String> {
    let age = Duration::from_millis(sight.overview.oldest_unhandled_ms?);
    let bound = sight.config.unhandled_after;
    (age > bound).then(|| format!("a signal waits for {}, longer than {}", seconds(age), seconds(bound)))
}

fn no_leader(sight: &Sight<'_>) -> Option<String> {
    if leaders(sight).next().is_some() {
        return None;
    }
    // Not every node can be asked; one that is heard of through the store leads too.
    let heard = sight.overview.leader.db_leader.as_ref().zip(heartbeat_age(sight));
    match heard {
        Some((_, age)) if age <= sight.config.heartbeat_warning => None,
        Some((name, age)) => Some(format!("no node leads; {name}, which led last, was heard {} ago", seconds(age))),
        None => Some("no node leads, and the store names none".to_owned()),
    }
}

fn heartbeat_critical(sight: &Sight<'_>) -> Option<String> {
    heartbeat_over(sight, sight.config.heartbeat_critical)
}

fn heartbeat_warning(sight: &Sight<'_>) -> Option<String> {
    heartbeat_over(sight, sight.config.heartbeat_warning)
}

fn store_unreachable(sight: &Sight<'_>) -> Option<String> {
    unreachable(sight, STORE).then(|| "this node can't read the store: it takes no signals and can't lead".to_owned())
}

fn lease_unreachable(sight: &Sight<'_>) -> Option<String> {
    unreachable(sight, LEASE).then(|| "this node can't read the lease: it can't take over".to_owned())
}

fn store_failures_critical(sight: &Sight<'_>) -> Option<String> {
    store_failures_over(sight, sight.config.store_failures_critical)
}

fn store_failures_warning(sight: &Sight<'_>) -> Option<String> {
    store_failures_over(sight, sight.config.store_failures_warning)
}

fn flapping_critical(sight: &Sight<'_>) -> Option<String> {
    flapping_over(sight, sight.config.leadership_changes_critical)
}

fn flapping_warning(sight: &Sight<'_>) -> Option<String> {
    flapping_over(sight, sight.config.leadership_changes_warning)
}

fn node_unreachable(sight: &Sight<'_>) -> Option<String> {
    let silent: Vec<_> =
        sight.overview.nodes.iter().filter(|node| !node.reachable).map(|node| node.instance.as_str()).collect();
    (!silent.is_empty()).then(|| format!("{} did not answer: it may not be there to take over", silent.join(", ")))
}

fn clock_disagreement(sight: &Sight<'_>) -> Option<String> {
    let bound = sight.config.clock_offset;
    let offset = |node: &Member| node.clock_offset_ms.map(|ms| (ms, Duration::from_millis(ms.unsigned_abs())));
    let off = sight.overview.nodes.iter().filter_map(|node| offset(node).map(|(ms, size)| (node, ms, size)));
    let (node, ms, size) = off.max_by_key(|(_, _, size)| *size)?;
    let way = if ms > 0 { "ahead of" } else { "behind" };
    (size > bound).then(|| format!("the clock of {} is at least {} {way} this node's", node.instance, seconds(size)))
}

fn history_write_failing(sight: &Sight<'_>) -> Option<String> {
    let times = sight.figures.leadership.history_write_failures_last_hour;
    (times > 0)
        .then(|| format!("entries of the leadership history that could not be written in the last hour: {times}"))
}

fn paused(sight: &Sight<'_>) -> Option<String> {
    sight.overview.paused.as_ref().map(|paused| format!("operators have stopped new orders: {}", paused.reason))
}

fn leaders<'a>(sight: &Sight<'a>) -> impl Iterator<Item = &'a Member> {
    sight.overview.nodes.iter().filter(|node| node.reachable && node.is_leader)
}

fn in_state(sight: &Sight<'_>, name: &str) -> u64 {
    sight.overview.signals_by_state.get(name).copied().unwrap_or(0)
}

fn unreachable(sight: &Sight<'_>, part: &str) -> bool {
    sight.overview.unreachable.iter().any(|name| name == part)
}

/// How long the leader has not been heard in the store; none when no heartbeat is known.
fn heartbeat_age(sight: &Sight<'_>) -> Option<Duration> {
    let at = sight.overview.leader.heartbeat_at_ms.filter(|at| *at > 0)?;
    Some(Duration::from_millis(u64::try_from(sight.overview.at_ms.saturating_sub(at)).unwrap_or(0)))
}

fn heartbeat_over(sight: &Sight<'_>, bound: Duration) -> Option<String> {
    let age = heartbeat_age(sight)?;
    (age > bound).then(|| format!("the store last heard a leader {} ago, more than {}", seconds(age), seconds(bound)))
}

fn store_failures_over(sight: &Sight<'_>, bound: f64) -> Option<String> {
    let lately = &sight.figures.store.lately;
    (lately.ended >= sight.config.store_calls_least && lately.failure_ratio > bound).then(|| {
        format!(
            "{} of {} calls to the store failed in the last {:.0} s: {:.1} %, more than {:.0} %",
            lately.failed,
            lately.ended,
            lately.window_seconds,
            lately.failure_ratio * 100.0,
            bound * 100.0
        )
    })
}

fn flapping_over(sight: &Sight<'_>, bound: u64) -> Option<String> {
    let changes = sight.figures.leadership.changes_last_hour;
    (changes > bound).then(|| format!("leadership changed {changes} times in the last hour, more than {bound}"))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::Paused;

    const NOW: i64 = 1_700_000_000_000;

    fn well() -> (Overview, MetricsSnapshot) {
        let node = |name: &str, is_leader| Member {
            instance: name.into(),
            reachable: true,
            is_leader,
            clock_offset_ms: Some(0),
            ..Member::default()
        };
        let mut overview = Overview {
            at_ms: NOW,
            nodes: vec![node("a", true), node("b", false)],
            signals_by_state: SignalState::ALL.iter().map(|state| (state.name().to_owned(), 0)).collect(),
            ..Overview::default()
        };
        overview.leader.redis_leader = Some("a".into());
        overview.leader.db_leader = Some("a".into());
        overview.leader.heartbeat_at_ms = Some(NOW - 2_000);
        (overview, MetricsSnapshot::default())
    }

    /// The alerts that are due after `disturb`, with `!` for critical ones.
    fn due(disturb: impl FnOnce(&mut Overview, &mut MetricsSnapshot)) -> String {
        let (mut overview, mut figures) = well();
        disturb(&mut overview, &mut figures);
        let sight = Sight { overview: &overview, figures: &figures, config: &AlertConfig::default() };
        let due = RULES.iter().filter(|rule| (rule.due)(&sight).is_some());
        let name = |rule: &Rule| rule.name.trim_start_matches("Oncegate").to_owned();
        due.map(|rule| name(rule) + if rule.level == Level::Critical { "!" } else { "" }).collect::<Vec<_>>().join(" ")
    }

    fn fail(figures: &mut MetricsSnapshot, failed: u64, ended: u64) {
        figures.store.lately.failed = failed;
        figures.store.lately.ended = ended;
        #[allow(clippy::cast_precision_loss)]
        let ratio = failed as f64 / ended as f64;
        figures.store.lately.failure_ratio = ratio;
    }

    #[test]
    fn nothing_is_due_while_all_is_well() {
        assert_eq!(due(|_, _| {}), "");
    }

    #[test]
    fn each_alert_is_due_beyond_its_threshold_and_not_at_it() {
        let count = |state: &str, count| {
            let state = (state.to_owned(), count);
            due(move |overview, _| overview.signals_by_state.extend([state]))
        };
        assert_eq!(count("in_doubt", 1), "InDoubt");
        assert_eq!(count("quarantined", 1), "Quarantined!");
        assert_eq!(count("partial", 1), "Partial!");
        assert_eq!(count("executed", 1_000), "");

        let age = |ms| due(move |overview, _| overview.oldest_unhandled_ms = Some(ms));
        assert_eq!((age(60_000), age(60_001)), (String::new(), "SignalUnhandled!".into()));

        let heartbeat = |ms| due(move |overview, _| overview.leader.heartbeat_at_ms = Some(NOW - ms));
        assert_eq!((heartbeat(30_000), heartbeat(30_001)), (String::new(), "HeartbeatStale".into()));
        assert_eq!(heartbeat(60_000), "HeartbeatStale");
        assert_eq!(heartbeat(60_001), "HeartbeatStale! HeartbeatStale");
        assert_eq!(heartbeat(-5_000), "", "a leader whose clock is ahead is not stale");

        let failures = |failed, ended| due(move |_, figures| fail(figures, failed, ended));
        assert_eq!((failures(5, 100), failures(6, 100)), (String::new(), "StoreFailureRate".into()));
        assert_eq!(failures(10, 100), "StoreFailureRate");
        assert_eq!(failures(11, 100), "StoreFailureRate! StoreFailureRate");
        assert_eq!((failures(19, 19), failures(3, 20)), (String::new(), "StoreFailureRate! StoreFailureRate".into()));

        let changes = |changes| due(move |_, figures| figures.leadership.changes_last_hour = changes);
        assert_eq!((changes(3), changes(4)), (String::new(), "LeadershipFlapping".into()));
        assert_eq!(
            (changes(10), changes(11)),
            ("LeadershipFlapping".into(), "LeadershipFlapping! LeadershipFlapping".into())
        );

        let offset = |ms| due(move |overview, _| overview.nodes[1].clock_offset_ms = Some(ms));
        assert_eq!((offset(1_000), offset(-1_000)), (String::new(), String::new()));
        assert_eq!((offset(1_001), offset(-1_001)), ("ClockDisagreement".into(), "ClockDisagreement".into()));

        assert_eq!(due(|overview, _| overview.nodes[1].is_leader = true), "ManyLeaders!");
        assert_eq!(due(|overview, _| overview.nodes[1].reachable = false), "NodeUnreachable");
        assert_eq!(due(|overview, _| overview.leader.split_brain = true), "SplitBrain!");
        assert_eq!(due(|_, figures| figures.leadership.split_brain_detections_last_5m = 1), "SplitBrain!");
        assert_eq!(due(|_, figures| figures.leadership.epoch_went_back_last_hour = 1), "EpochWentBack!");
        assert_eq!(due(|_, figures| figures.leadership.history_write_failures_last_hour = 1), "HistoryWriteFailing");
        assert_eq!(due(|overview, _| overview.unreachable.push(STORE.into())), "StoreUnreachable!");
        assert_eq!(due(|overview, _| overview.unreachable.push(LEASE.into())), "LeaseUnreachable");
        assert_eq!(due(|overview, _| overview.paused = Some(Paused::default())), "Paused");
    }

    #[test]
    fn nobody_leads_when_no_node_says_so_and_the_store_has_heard_of_none_for_long() {
        assert_eq!(due(|overview, _| overview.nodes[0].is_leader = false), "", "the store hears a leader yet");
        let vacated = due(|overview, _| {
            overview.nodes[0].is_leader = false;
            overview.leader.db_leader = None;
        });
        assert_eq!(vacated, "NoLeader!");
        let silent = due(|overview, _| {
            overview.nodes[0].is_leader = false;
            overview.leader.heartbeat_at_ms = Some(NOW - 31_000);
        });
        assert_eq!(silent, "NoLeader! HeartbeatStale");
        let never = due(|overview, _| {
            overview.nodes[0].is_leader = false;
            overview.leader.db_leader = None;
            overview.leader.heartbeat_at_ms = None;
        });
        assert_eq!(never, "NoLeader!");
        // What a peer said last is not what it says.
        let gone = due(|overview, _| {
            overview.nodes[0].reachable = false;
            overview.leader.db_leader = None;
        });
        assert_eq!(gone, "NoLeader! NodeUnreachable");
    }
}
