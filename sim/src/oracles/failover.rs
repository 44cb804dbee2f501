//! Leadership is taken within its bound, and kept without need to give it up. Reads the leadership row, the
//! lease, which processes live, and what is wrong with the world.
//!
//! - Nobody leads although a node has all that it takes: it leads within [`Bounds::failover`] of when both became
//!   so. Time in which the lease is in the hand of a node that lacks something does not count: it may hold on to
//!   it for as long as it can renew, and no other can tell.
//! - Where all other nodes have been well for long enough that nothing is left of any fault, the bound is that of
//!   how leadership ended: the leader died, its lease ran out, or it vacated and released.
//! - A leader that has been well for that long does not lose leadership at all.

use std::time::Duration;

use super::Violation;
use super::bounds::Bounds;
use super::scene::Scene;
use super::weather::Weather;

/// The oracle's name.
pub const NAME: &str = "failover";

/// Sees every change of the scene, and looks at it now and then.
#[derive(Default)]
pub struct Failover {
    term: Option<Term>,
    vacancy: Vacancy,
    pub(super) violations: Vec<Violation>,
}

struct Term {
    holder: String,
    node: usize,
}

#[derive(Default)]
struct Vacancy {
    since: Duration,
    /// Who led before.
    before: Option<usize>,
    how: How,
    /// When the lease was last seen in the hand of a node that lacks something.
    astray: Option<Duration>,
    /// Since when neither store nor lease names anybody.
    free: Option<Duration>,
    told: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum How {
    /// The leader's process ended.
    Died,
    /// The lease is gone while the store still names its holder.
    Lapsed,
    /// Another way: vacated, or taken.
    #[default]
    Otherwise,
}

impl Failover {
    /// The scene as it is now.
    pub fn look(&mut self, at: Duration, scene: &Scene, weather: &Weather, bounds: &Bounds) {
        let leader = scene.leader();
        if let Some(term) = self.term.take() {
            if leader.is_some_and(|(holder, _)| holder == term.holder) {
                self.term = Some(term);
                return;
            }
            self.lost(at, &term, scene, weather, bounds);
        }
        match leader {
            Some((holder, life)) => {
                self.judge_vacancy(at, weather, bounds);
                self.term = Some(Term { holder: holder.to_owned(), node: life.host.at });
            }
            None => {
                let lacking = |holder: &String| {
                    scene.life(holder).is_none_or(|life| weather.node_well_since(life.host.at).is_none())
                };
                if scene.lease.as_ref().is_some_and(lacking) {
                    self.vacancy.astray = Some(at);
                }
                if scene.lease.is_none() && scene.store.is_none() {
                    self.vacancy.free.get_or_insert(at);
                }
                self.judge_vacancy(at, weather, bounds);
            }
        }
    }

    fn lost(&mut self, at: Duration, term: &Term, scene: &Scene, weather: &Weather, bounds: &Bounds) {
        let alive = scene.life(&term.holder).is_some_and(|life| !life.is_over());
        let how = match () {
            () if !alive => How::Died,
            () if scene.lease.is_none() && scene.store.as_deref() == Some(&term.holder) => How::Lapsed,
            () => How::Otherwise,
        };
        let well_for = weather.node_well_since(term.node).map(|since| at.saturating_sub(since));
        if alive && well_for.is_some_and(|time| time > bounds.settles()) {
            let time = well_for.unwrap_or_default().as_secs_f64();
            let what =
                format!("{} lost its leadership, and nothing has been wrong with it for {time:.1}s", term.holder);
            self.violations.push(Violation { oracle: NAME, at, what });
        }
        self.vacancy = Vacancy { since: at, before: Some(term.node), how, ..Vacancy::default() };
    }

    /// Objects once when the vacancy has lasted for too long.
    fn judge_vacancy(&mut self, at: Duration, weather: &Weather, bounds: &Bounds) {
        let vacancy = &mut self.vacancy;
        let Some(owed) = vacancy.owed(weather, bounds) else { return };
        if at > owed && !vacancy.told {
            vacancy.told = true;
            let what = format!(
                "nobody has led for {:.1}s ({:?}), and somebody was due to at {:.3}s",
                (at - vacancy.since).as_secs_f64(),
                vacancy.how,
                owed.as_secs_f64()
            );
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }
}

impl Vacancy {
    /// By when somebody must lead; none while no node has all that it takes.
    fn owed(&self, weather: &Weather, bounds: &Bounds) -> Option<Duration> {
        let from = self.since.max(self.astray.unwrap_or_default());
        let anybody = weather.nodes().filter_map(|node| weather.node_well_since(node)).min()?.max(from);
        let owed = anybody + bounds.failover();
        let mut others = weather.nodes().filter(|node| Some(*node) != self.before).peekable();
        let settled_by = |node| weather.node_well_since(node).is_some_and(|well| well + bounds.settles() <= self.since);
        if self.astray.is_some() || others.peek().is_none() || !others.all(settled_by) {
            return Some(owed);
        }
        let soon = match (self.before, self.how) {
            // The first election of all.
            (None, _) => return Some(owed),
            (Some(_), How::Died) => self.since + bounds.after_death(),
            (Some(_), How::Lapsed) => self.since + bounds.after_lapse(),
            (Some(_), How::Otherwise) => self.free? + bounds.after_release(),
        };
        Some(soon.min(owed))
    }
}
