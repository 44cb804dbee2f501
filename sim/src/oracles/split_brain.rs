//! Lease and store name two different leaders: noticed by the time the grace has passed, ended soon after. Reads
//! the leadership row, the lease, the notices for operators, and what each leader asks of Redis and the store.
//!
//! What ends it is the holder of the lease, which opens the next epoch; so both are owed while that holder renews
//! and has all that it takes. And a leader looks for it even when there is nothing to be seen: it reads both at
//! every so many heartbeats, because what it would find has other causes than those that were thought of.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Violation;
use super::bounds::Bounds;
use super::scene::Scene;
use super::weather::Weather;

/// The oracle's name.
pub const NAME: &str = "split-brain";

/// Sees every change of the scene, every notice of a split and every comparison.
#[derive(Default)]
pub struct SplitBrain {
    split: Option<Split>,
    leading: Option<(String, Duration)>,
    compared: BTreeMap<usize, Compared>,
    told_at: Option<Duration>,
    pub(super) violations: Vec<Violation>,
}

struct Split {
    lease: String,
    store: String,
    since: Duration,
    objected_untold: bool,
    objected_lasts: bool,
}

#[derive(Clone, Copy, Default)]
struct Compared {
    lease: Duration,
    store: Duration,
}

impl SplitBrain {
    /// A node told operators of a split brain.
    pub fn told(&mut self, at: Duration) {
        self.told_at = Some(at);
    }

    /// A node asks whom the lease names.
    pub fn reads_lease(&mut self, at: Duration, node: usize) {
        self.compared.entry(node).or_default().lease = at;
    }

    /// A node asks whom the store names.
    pub fn reads_store(&mut self, at: Duration, node: usize) {
        self.compared.entry(node).or_default().store = at;
    }

    /// The scene as it is now.
    pub fn look(&mut self, at: Duration, scene: &Scene, weather: &Weather, bounds: &Bounds) {
        self.judge_split(at, scene, weather, bounds);
        self.judge_comparing(at, scene, weather, bounds);
    }

    fn judge_split(&mut self, at: Duration, scene: &Scene, weather: &Weather, bounds: &Bounds) {
        let (Some(lease), Some(store)) = (&scene.lease, &scene.store) else {
            self.split = None;
            return;
        };
        let living = scene.life(lease).filter(|life| !life.is_over() && at <= scene.renewed + bounds.renews());
        let Some(life) = living.filter(|_| lease != store) else {
            self.split = None;
            return;
        };
        let split = match self.split.take() {
            Some(split) if split.lease == *lease && split.store == *store => split,
            _ => Split {
                lease: lease.clone(),
                store: store.clone(),
                since: at,
                objected_untold: false,
                objected_lasts: false,
            },
        };
        let split = self.split.insert(split);
        // What was asked while something was wrong is given its whole time.
        let Some(well) = weather.node_well_since(life.host.at) else { return };
        let from = split.since.max(well + bounds.renews());
        let both = format!("the lease names {lease} and the store names {store}");
        if at > from + bounds.split_told()
            && !split.objected_untold
            && self.told_at.is_none_or(|told| told < split.since)
        {
            split.objected_untold = true;
            let what = format!("{both} since {:.3}s, and nobody was told", split.since.as_secs_f64());
            self.violations.push(Violation { oracle: NAME, at, what });
        }
        if at > from + bounds.split_ends() && !split.objected_lasts {
            split.objected_lasts = true;
            let what = format!("{both} still, since {:.3}s", split.since.as_secs_f64());
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    fn judge_comparing(&mut self, at: Duration, scene: &Scene, weather: &Weather, bounds: &Bounds) {
        let Some((holder, life)) = scene.leader() else {
            self.leading = None;
            return;
        };
        let since = match self.leading.take() {
            Some((leading, since)) if leading == holder => since,
            _ => at,
        };
        self.leading = Some((holder.to_owned(), since));
        let node = life.host.at;
        let Some(well) = weather.node_well_since(node) else { return };
        let compared = self.compared.get(&node).copied().unwrap_or_default();
        let last = compared.lease.min(compared.store).max(since).max(well + bounds.renews());
        if at > last + bounds.compares() {
            let what = format!("{holder} leads, and has not compared lease and store since {:.3}s", last.as_secs_f64());
            self.violations.push(Violation { oracle: NAME, at, what });
            // Once is enough for one interval.
            self.compared.insert(node, Compared { lease: at, store: at });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::oracles::fixture::{life, scene_of};
    use crate::oracles::weather::Touched;
    use crate::world::host::Life;

    const SECOND: Duration = Duration::from_secs(1);

    struct Stage {
        oracle: SplitBrain,
        weather: Weather,
        bounds: Bounds,
        lives: [Arc<Life>; 2],
    }

    impl Stage {
        fn new() -> Self {
            let hosts = ["n1", "n2", "redis", "store"].map(str::to_owned).to_vec();
            let (weather, bounds) = (Weather::new(hosts, 2), Bounds::default());
            Self { oracle: SplitBrain::default(), weather, bounds, lives: [life(0, "n1"), life(1, "n2")] }
        }

        /// The lease was renewed just now.
        fn look(&mut self, at: Duration, lease: &str, store: &str) {
            let mut scene = scene_of(&self.lives, Some(lease), Some(store));
            scene.renewed = at;
            self.oracle.look(at, &scene, &self.weather, &self.bounds);
        }

        fn objections(&self) -> usize {
            self.oracle.violations.len()
        }
    }

    #[test]
    fn a_split_that_nobody_is_told_of_is_seen() {
        let mut stage = Stage::new();
        let told_by = 100 * SECOND + stage.bounds.split_told();
        stage.look(100 * SECOND, "n2", "n1");
        stage.look(told_by, "n2", "n1");
        assert_eq!(stage.objections(), 0);
        stage.look(told_by + SECOND / 10, "n2", "n1");
        assert_eq!(stage.objections(), 1);
        let mut stage = Stage::new();
        stage.look(100 * SECOND, "n2", "n1");
        stage.oracle.told(105 * SECOND);
        stage.look(told_by + SECOND / 10, "n2", "n1");
        assert_eq!(stage.objections(), 0);
    }

    #[test]
    fn a_split_that_does_not_end_is_seen_unless_its_holder_is_cut_off() {
        let mut stage = Stage::new();
        stage.oracle.told(106 * SECOND);
        stage.weather.begins(1, vec![Touched::Link(1, 3)]);
        stage.look(100 * SECOND, "n2", "n1");
        stage.look(150 * SECOND, "n2", "n1");
        assert_eq!(stage.objections(), 0);
        stage.weather.ends(1, 150 * SECOND);
        stage.look(170 * SECOND, "n2", "n1");
        assert_eq!(stage.objections(), 1);
    }

    #[test]
    fn a_leader_that_does_not_compare_is_seen() {
        let mut stage = Stage::new();
        stage.look(100 * SECOND, "n1", "n1");
        stage.oracle.reads_lease(110 * SECOND, 0);
        stage.oracle.reads_store(110 * SECOND, 0);
        stage.look(110 * SECOND + stage.bounds.compares(), "n1", "n1");
        assert_eq!(stage.objections(), 0);
        stage.oracle.reads_store(130 * SECOND, 0);
        stage.look(111 * SECOND + stage.bounds.compares(), "n1", "n1");
        assert_eq!(stage.objections(), 1);
    }
}
