//! What a test sees of a run: who reached which point when, what was told when, and how it ended.

use std::ops::Range;
use std::time::Duration;

use oncegate_sim::oracles::sightings::Sighting;
use oncegate_sim::runner::{Options, Run, run};
use oncegate_sim::scenario::{Scenario, read};
use oncegate_sim::world::anchor::Point;
use oncegate_sim::world::trace::What;

/// Who leads from the beginning.
pub(crate) const LEADER: &str = "n2";
/// How long a call takes when nothing is wrong.
pub(crate) const QUICK: Range<Duration> = Duration::ZERO..Duration::from_millis(11);

/// After so long a client of Redis gives up its connection, and all that it has asked on it.
pub(crate) const IN_VAIN: Range<Duration> = Duration::from_millis(900)..Duration::from_millis(3_100);

/// A run of a small scenario, looked at from outside.
pub(crate) struct Seen {
    /// As it was.
    pub(crate) run: Run,
}

/// One minute in which things go wrong, among three nodes, of which n2 leads from the beginning: it renews its
/// lease and says that it lives every two seconds, while the others ask for the lease every ten. `more` is what a
/// test adds.
pub(crate) fn scenario(world: &str, more: &str) -> Scenario {
    let text =
        format!("name = \"probe\"\nseed = 1\n[world]\nfaults-for = \"60s\"\nhealed-for = \"90s\"\n{world}\n{more}");
    read::text_of("probe.toml", &text).unwrap_or_else(|bad| panic!("{bad}\n{text}"))
}

/// Runs it, and demands that every promise held: a fault excuses nothing.
pub(crate) fn see(world: &str, more: &str) -> Seen {
    let run = run(&scenario(world, more), Options { keep_story: true, ..Options::default() });
    let seen = Seen { run };
    assert_eq!(seen.run.violations, [], "{}", seen.story());
    seen
}

/// A signal `BUY` to n1 at that time, and whatever goes wrong.
pub(crate) fn buy(at: &str, more: &str) -> String {
    format!("[[signal]]\nid = \"BUY\"\nat = \"{at}\"\nto = [\"n1\"]\n{more}")
}

/// A fault at that time.
pub(crate) fn fault(at: &str, what: &str) -> String {
    format!("[[fault]]\nat = \"{at}\"\ndo = {what}\n")
}

/// A fault when that point is reached.
pub(crate) fn fault_when(when: &str, what: &str) -> String {
    format!("[[fault]]\nwhen = {{ {when} }}\ndo = {what}\n")
}

/// Whether there is any, and all are within that span; says what there is, if not.
pub(crate) fn all(times: Vec<Duration>, within: Range<Duration>) -> bool {
    let all = !times.is_empty() && times.iter().all(|time| within.contains(time));
    if !all {
        eprintln!("within {within:?}? {times:?}");
    }
    all
}

/// Seconds of the run.
pub(crate) fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl Seen {
    /// The place of that host.
    pub(crate) fn host(&self, name: &str) -> usize {
        self.run.hosts.iter().position(|host| host == name).unwrap()
    }

    /// When `host` reached the point of that name, within that span of seconds.
    pub(crate) fn points(&self, host: &str, point: &str, within: Range<f64>) -> Vec<Duration> {
        let (host, named) = (self.host(host), point_named(point));
        let all = self.run.points.iter().filter(|(_, point, by)| *point == named && *by == host);
        all.map(|(at, ..)| *at).filter(|at| (s(within.start)..s(within.end)).contains(at)).collect()
    }

    /// How often.
    pub(crate) fn count(&self, host: &str, point: &str, within: Range<f64>) -> usize {
        self.points(host, point, within).len()
    }

    /// How many points `host` reached at its own doing within that span.
    pub(crate) fn anything(&self, host: &str, within: Range<f64>) -> usize {
        let (host, within) = (self.host(host), s(within.start)..s(within.end));
        let own = |point: &Point| matches!(point, Point::Before(_) | Point::After(_));
        self.run.points.iter().filter(|(at, point, by)| *by == host && own(point) && within.contains(at)).count()
    }

    /// How long each call of `host` that began within that span took, from before it to the point of that name
    /// (`applied` or `after`); those that never came so far are left out.
    pub(crate) fn took(&self, host: &str, call: &str, to: &str, within: Range<f64>) -> Vec<Duration> {
        let began = self.points(host, &format!("before-{call}"), within.clone());
        let reached = self.points(host, &format!("{to}-{call}"), within.start..1e6);
        let every = self.points(host, &format!("before-{call}"), within.start..1e6);
        let next = |begun: Duration| {
            let again = every.iter().find(|at| **at > begun);
            let reached = reached.iter().find(|at| **at > begun && again.is_none_or(|again| *at <= again));
            reached.map(|at| *at - begun)
        };
        began.into_iter().filter_map(next).collect()
    }

    /// Every line told by `host` that contains those words, within that span.
    pub(crate) fn told(&self, host: &str, words: &str, within: Range<f64>) -> Vec<Duration> {
        let host = self.host(host);
        let lines = self.run.story.iter().filter(|line| line.host == host && said(&line.what).contains(words));
        lines.map(|line| line.at).filter(|at| (s(within.start)..s(within.end)).contains(at)).collect()
    }

    /// Every line that contains those words, whoever told it.
    pub(crate) fn anybody_told(&self, words: &str) -> Vec<Duration> {
        self.run.story.iter().filter(|line| said(&line.what).contains(words)).map(|line| line.at).collect()
    }

    /// When the only line with those words was told.
    pub(crate) fn once(&self, words: &str) -> Duration {
        let told = self.anybody_told(words);
        assert_eq!(told.len(), 1, "{words:?}: {}", self.story());
        told[0]
    }

    /// How often it was sighted.
    pub(crate) fn sighted(&self, sighting: Sighting) -> u64 {
        self.run.sightings.count(sighting)
    }

    /// How the signal stands at the end.
    pub(crate) fn state(&self, id: &str) -> &'static str {
        let end = self.run.signals.iter().find(|signal| signal.id == id).unwrap();
        end.state.map_or("not stored", |state| state.name())
    }

    /// When each order was booked.
    pub(crate) fn booked(&self) -> Vec<Duration> {
        self.run.book.iter().map(|booked| booked.at).collect()
    }

    /// The whole story, for the messages of tests.
    pub(crate) fn story(&self) -> String {
        let line = |line: &oncegate_sim::world::trace::Line| {
            format!("\n{:>9.3} {:<7}{}", line.at.as_secs_f64(), self.run.hosts[line.host], said(&line.what))
        };
        self.run.story.iter().map(line).collect()
    }
}

fn point_named(name: &str) -> Point {
    let mut all = Point::ALL.into_iter().chain(Point::boundaries());
    all.find(|point| point.name() == name).unwrap_or_else(|| panic!("no point {name}"))
}

/// The words of a line.
fn said(what: &What) -> String {
    match what {
        What::Notice(notice) => format!("says {notice:?}"),
        What::Reached(point) => format!("reaches {}", point.name()),
        What::Fault(told)
        | What::Healed(told)
        | What::Life(told)
        | What::Source(told)
        | What::Broker(told)
        | What::Store(told)
        | What::Redis(told)
        | What::Violation(told) => told.clone(),
    }
}
