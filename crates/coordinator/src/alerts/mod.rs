//! What somebody should look at: computed in this process from its picture of the cluster and its figures.
//!
//! The same alerts, by the same names, are in `deploy/prometheus/oncegate.rules.yml`, for those who have a Prometheus:
//! it also sees a process that is gone. Tests hold the two together. [`rules`] says when each is due; this module adds
//! time: an alert begins when it has been due for as long as its rule says, and ends when it has not been due for as
//! long as its rule keeps it.
//!
//! ```text
//!   quiet ──due──► pending ──due for `after`──► active ──not due for `keep`──► quiet
//!     ▲               │                           │ ▲
//!     └───not due─────┘                           └─┘ due again
//! ```

pub mod rules;

use std::time::Duration;

use oncegate_protocol::{Mono, Now, Wall};

use crate::metrics::MetricsSnapshot;
use crate::overview::{Alert, Overview};
pub use rules::AlertConfig;
use rules::{Level, RULES, Rule, Sight};

/// The alerts of one node, and since when each is due.
#[derive(Debug)]
pub struct Alerts {
    config: AlertConfig,
    states: Vec<State>,
}

impl Alerts {
    /// All quiet.
    pub fn new(config: AlertConfig) -> Self {
        Self { config, states: RULES.iter().map(|_| State::default()).collect() }
    }

    /// Looks at what is known at `now`. Tells through `tracing` what begins and what ends, and returns what is active:
    /// critical ones first, then in the order of [`RULES`].
    pub fn look(&mut self, now: Now, overview: &Overview, figures: &MetricsSnapshot) -> Vec<Alert> {
        let sight = Sight { overview, figures, config: &self.config };
        let mut active = Vec::new();
        for (rule, state) in std::iter::zip(&RULES, &mut self.states) {
            let change = state.turn(now, (rule.due)(&sight), rule.after, rule.keep);
            if let Some(change) = change {
                tell(rule, state, change, now, &overview.instance);
            }
            if let Some(since) = state.active {
                active.push(Alert {
                    name: rule.name.to_owned(),
                    severity: rule.level.name().to_owned(),
                    since_ms: since.as_millis(),
                    message: state.message.clone(),
                });
            }
        }
        active.sort_by_key(|alert| alert.severity != Level::Critical.name());
        active
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Begins,
    /// After so long.
    Ends(Duration),
}

/// One alert's place in the diagram above.
#[derive(Default, Debug)]
struct State {
    /// Since when it is due without a break.
    due: Option<Now>,
    /// Since when it was due when it began.
    active: Option<Wall>,
    began: Mono,
    /// Since when it has not been due, while it is active.
    over: Option<Mono>,
    /// What was seen when it was last due.
    message: String,
}

impl State {
    /// `seen` is what makes it due, if it is.
    fn turn(&mut self, now: Now, seen: Option<String>, after: Duration, keep: Duration) -> Option<Change> {
        match seen {
            Some(message) => {
                self.message = message;
                self.over = None;
                let due = *self.due.get_or_insert(now);
                if self.active.is_none() && now.mono.since(due.mono) >= after {
                    self.active = Some(due.wall);
                    self.began = now.mono;
                    return Some(Change::Begins);
                }
            }
            None => {
                self.due = None;
                if self.active.is_some() {
                    let over = *self.over.get_or_insert(now.mono);
                    if now.mono.since(over) >= keep {
                        self.active = None;
                        self.over = None;
                        return Some(Change::Ends(now.mono.since(self.began)));
                    }
                }
            }
        }
        None
    }
}

fn tell(rule: &Rule, state: &State, change: Change, now: Now, instance: &str) {
    let (alert, message, runbook) = (rule.name, state.message.as_str(), rule.runbook());
    let at_ms = now.wall.as_millis();
    match (change, rule.level) {
        (Change::Begins, Level::Warning) => {
            tracing::warn!(instance, alert, severity = "WARNING", runbook, at_ms, "alert {alert}: {message}");
        }
        (Change::Begins, Level::Critical) => {
            tracing::error!(instance, alert, severity = "CRITICAL", runbook, at_ms, "alert {alert}: {message}");
        }
        (Change::Ends(after), _) => {
            tracing::info!(instance, alert, at_ms, "alert {alert} is over after {:.0} s", after.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Metadata, Subscriber};

    use super::*;
    use crate::overview::Paused;

    fn at(ms: u64) -> Now {
        Now { mono: Mono::from_millis(ms), wall: Wall::from_millis(1_000_000 + i64::try_from(ms).unwrap()) }
    }

    /// The definition, without state: whether an alert is active at the last of these looks.
    fn is_active(looks: &[(u64, bool)], after: u64, keep: u64) -> bool {
        let mut active = false;
        for (index, (now, due)) in looks.iter().enumerate() {
            let run = looks[..=index].iter().rev().take_while(|look| look.1 == *due).last().expect("the look itself");
            let lasted = now - run.0;
            if *due && lasted >= after {
                active = true;
            }
            if !*due && lasted >= keep {
                active = false;
            }
        }
        active
    }

    proptest! {
        #[test]
        fn an_alert_is_active_when_and_only_when_its_definition_says_so(
            steps in prop::collection::vec((1_u64..4_000, any::<bool>()), 1..50),
            after in 0_u64..6_000,
            keep in 0_u64..6_000,
        ) {
            let mut state = State::default();
            let (mut now, mut looks, mut told) = (0, Vec::new(), false);
            for (step, due) in steps {
                now += step;
                looks.push((now, due));
                let change = state.turn(
                    at(now), due.then(String::new), Duration::from_millis(after), Duration::from_millis(keep),
                );
                prop_assert_eq!(state.active.is_some(), is_active(&looks, after, keep));
                // Each beginning and each end is told once, in turn.
                if let Some(change) = change {
                    prop_assert_eq!(matches!(change, Change::Begins), !told);
                    told = !told;
                }
                prop_assert_eq!(state.active.is_some(), told);
            }
        }
    }

    /// Keeps what is told, as `LEVEL field=value ..`.
    #[derive(Clone, Default)]
    struct Ears(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Ears {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            struct Line(String);
            impl Visit for Line {
                fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                    self.0.push_str(&format!(" {}={value:?}", field.name()));
                }
            }
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn an_alert_is_logged_once_when_it_begins_and_once_when_it_ends() {
        let (ears, mut alerts) = (Ears::default(), Alerts::new(AlertConfig::default()));
        let (mut overview, figures) = (Overview::default(), MetricsSnapshot::default());
        overview.instance = "a".into();
        tracing::subscriber::with_default(ears.clone(), || {
            for second in 0..20 {
                // Two alerts, one after the other; `OncegateNoLeader`, which is due all the time, is not due for long.
                overview.paused = (2..8).contains(&second).then(|| Paused { reason: "drill".into(), since_ms: 0 });
                let quarantined = u64::from((10..15).contains(&second));
                overview.signals_by_state.insert("quarantined".into(), quarantined);
                let active = alerts.look(at(second * 1_000), &overview, &figures);
                assert_eq!(active.len() as u64, u64::from(overview.paused.is_some()) + quarantined);
            }
        });
        let told = ears.0.lock().unwrap().clone();
        assert_eq!(told.len(), 4, "{told:#?}");
        for (line, words) in std::iter::zip(
            &told,
            [
                ["WARN", "instance=\"a\"", "alert=\"OncegatePaused\"", "drill"],
                ["INFO", "instance=\"a\"", "alert=\"OncegatePaused\"", "is over after 6 s"],
                [
                    "ERROR",
                    "severity=\"CRITICAL\"",
                    "runbook=\"docs/OPERATIONS.md#oncegatequarantined\"",
                    "were placed: 1",
                ],
                ["INFO", "instance=\"a\"", "alert=\"OncegateQuarantined\"", "is over after 5 s"],
            ],
        ) {
            assert!(words.iter().all(|word| line.contains(word)), "{line} has not all of {words:?}");
        }
    }

    #[test]
    fn an_alert_holds_since_it_was_first_due() {
        let mut state = State::default();
        let after = Duration::from_secs(30);
        assert_eq!(state.turn(at(0), Some("a".into()), after, Duration::ZERO), None);
        assert_eq!(state.turn(at(30_000), Some("b".into()), after, Duration::ZERO), Some(Change::Begins));
        assert_eq!((state.active, state.message.as_str()), (Some(at(0).wall), "b"));
        let end = state.turn(at(45_000), None, after, Duration::ZERO);
        assert_eq!(end, Some(Change::Ends(Duration::from_secs(15))));
    }
}
