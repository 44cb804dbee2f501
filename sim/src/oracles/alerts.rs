//! Operators are told when, and only when, there is something to be told, and loudly enough. Compares the notices
//! of each process with what its ports told it, with the store's commits and with the world.
//!
//! Due:
//! - a process that the store tells that a signal failed, expired, is partial or quarantined says so, at once;
//! - a process that the store tells that its epoch is open says that it leads, at once, or that it gave up;
//! - nobody acts as a leader, or vacates, unannounced;
//! - a deposed leader that lives says so within the longest of its deadlines;
//! - what is quarantined at the end, and has been for long enough in a well world with a leader, has been told of by
//!   somebody since, whatever became of who wrote it.
//!
//! Only when due:
//! - a state that is told of a signal was committed; an epoch that is told was opened for who tells it; a loss is
//!   told once, by who said that it leads; a split was there to be seen; a port failed only if something was wrong
//!   not long ago; the store went back only if it did.
//!
//! Not promised by the system, and so not due: that a signal failed or expired, when its author ended, or lost
//! leadership, before the store's answer reached it. The store knows, and the next leader does not look at what
//! needs nobody any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use oncegate_protocol::notice::Severity;
use oncegate_protocol::{Epoch, Fingerprint, Notice, SignalState, StoreCall, StoreReply};

use super::Violation;
use super::bounds::Bounds;
use super::scene::Scene;
use super::weather::Weather;
use crate::world::host::Life;

/// The oracle's name.
pub const NAME: &str = "alerts";

/// One process: its host's place, and which life of it.
type Process = (usize, u64);

/// Sees every notice, every answer of the store, and every commit.
#[derive(Default)]
pub struct Alerts {
    owed: Vec<Owed>,
    /// Who leads by its own word, and since when another epoch is open.
    leads: BTreeMap<Process, Leads>,
    holders: BTreeMap<Epoch, String>,
    announced: BTreeSet<String>,
    /// When each process last said that it gave something up.
    gave_up: BTreeMap<Process, Duration>,
    committed: BTreeSet<(Fingerprint, SignalState)>,
    /// What operators have ever said of new orders, and the store has taken.
    said_of_orders: BTreeSet<bool>,
    /// What is quarantined and was told of to nobody since, and since when it is.
    untold: BTreeMap<Fingerprint, Duration>,
    quarantined: BTreeSet<Fingerprint>,
    /// When lease and store last did not agree.
    disagreed: Option<Duration>,
    /// Until when there was more than one lease to read; for ever, while there is.
    two_leases: Option<Duration>,
    pub(super) violations: Vec<Violation>,
}

struct Owed {
    at: Duration,
    asked: Duration,
    life: Arc<Life>,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// That the signal is settled. Whether whoever asked goes on with it when it leads no more.
    Settled(Fingerprint, SignalState, bool),
    /// That it leads.
    Leads(Epoch),
}

struct Leads {
    epoch: Epoch,
    life: Arc<Life>,
    deposed: Option<Duration>,
}

fn process(life: &Life) -> Process {
    (life.host.at, life.number)
}

/// Whether a signal that ends so is anybody's business: what was executed is the course of things.
fn alarms(state: SignalState) -> bool {
    matches!(state, SignalState::Failed | SignalState::Partial | SignalState::Expired | SignalState::Quarantined)
}

/// How loudly it must be told at least: as the brief for operators has it.
fn least_severity(notice: &Notice) -> Severity {
    match notice {
        Notice::Settled { state: SignalState::Quarantined | SignalState::Partial, .. }
        | Notice::EpochWentBack { .. } => Severity::Critical,
        Notice::Settled { state: SignalState::Failed | SignalState::Expired, .. }
        | Notice::BecameLeader { .. }
        | Notice::LostLeadership { .. }
        | Notice::SplitBrain { .. }
        | Notice::Fenced { .. }
        | Notice::InDoubt { .. }
        | Notice::Paused { .. } => Severity::Error,
        Notice::GaveUpLease { .. } | Notice::PortFailed { .. } | Notice::NotSent { .. } | Notice::BrokerNotReady => {
            Severity::Warning
        }
        Notice::Settled { .. } | Notice::Sending { .. } | Notice::Resumed | Notice::BrokerReady => Severity::Info,
    }
}

impl Alerts {
    // ---- what was outwardly so

    /// The store carried a call out.
    pub fn committed(&mut self, at: Duration, call: &StoreCall, reply: &StoreReply) {
        match (call, reply) {
            (
                StoreCall::RecordOutcome { fingerprint, .. }
                | StoreCall::Conclude { fingerprint, .. }
                | StoreCall::Resolve { fingerprint, .. },
                StoreReply::State(Some(state)),
            ) => {
                self.committed.insert((*fingerprint, *state));
                if !state.awaits_operator() {
                    self.quarantined.remove(fingerprint);
                    self.untold.remove(fingerprint);
                } else if self.quarantined.insert(*fingerprint) {
                    self.untold.insert(*fingerprint, at);
                }
            }
            (StoreCall::SetPause { .. }, StoreReply::Leadership(row)) => {
                self.said_of_orders.insert(row.paused.is_some());
            }
            (StoreCall::OpenEpoch { holder, .. }, StoreReply::Opened(epoch)) => {
                self.holders.insert(*epoch, holder.as_str().to_owned());
            }
            _ => {}
        }
    }

    /// The store's answer to what was asked then has reached who asked.
    pub fn answered(&mut self, at: Duration, asked: Duration, life: &Arc<Life>, call: &StoreCall, reply: &StoreReply) {
        self.collect(at);
        let what = match (call, reply) {
            (StoreCall::RecordOutcome { fingerprint, .. }, StoreReply::State(Some(state))) if alarms(*state) => {
                What::Settled(*fingerprint, *state, true)
            }
            (StoreCall::Conclude { fingerprint, .. }, StoreReply::State(Some(state))) if alarms(*state) => {
                What::Settled(*fingerprint, *state, false)
            }
            (StoreCall::OpenEpoch { .. }, StoreReply::Opened(epoch)) => What::Leads(*epoch),
            _ => return,
        };
        self.owed.push(Owed { at, asked, life: Arc::clone(life), what });
    }

    /// From now on some nodes read another lease than others: whom it names, the world's own record does not say.
    pub fn leases_part(&mut self) {
        self.two_leases = Some(Duration::MAX);
    }

    /// There is one lease again.
    pub fn leases_join(&mut self, at: Duration) {
        self.two_leases = Some(at);
    }

    /// The clocks of that host stood still, and go on now: its deadlines for noticing run from here.
    pub fn clock_stood_still(&mut self, at: Duration, host: &str) {
        for leads in self.leads.values_mut().filter(|leads| leads.life.host.name == host) {
            leads.deposed = leads.deposed.map(|_| at);
        }
    }

    /// A process sets out to `act` as `holder`.
    pub fn acts(&mut self, at: Duration, act: &str, holder: &str) {
        if !self.announced.contains(holder) {
            let what = format!("{holder} sets out to {act}, and has not said that it leads");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    /// A process sets out to vacate its epoch.
    pub fn vacates(&mut self, at: Duration, life: &Life, epoch: Epoch) {
        if self.leads.get(&process(life)).is_some_and(|leads| leads.epoch == epoch) {
            let what = format!("{} vacates epoch {epoch}, and has not said that it leads no more", life.host.name);
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    /// The world as it is now.
    pub fn look(&mut self, at: Duration, scene: &Scene, weather: &Weather, bounds: &Bounds) {
        self.collect(at);
        if scene.lease != scene.store {
            self.disagreed = Some(at);
        }
        let mut late = Vec::new();
        self.leads.retain(|_, leads| {
            if leads.life.is_over() {
                return false;
            }
            if scene.epoch > leads.epoch {
                leads.deposed.get_or_insert(at);
            }
            let Some(deposed) = leads.deposed else { return true };
            // A process that stands still tells when it goes on.
            let Some(well) = weather.host_well_since(leads.life.host.at) else { return true };
            let owed = (deposed + bounds.deposed_tells()).max(well + super::bounds::LOOK);
            if at > owed {
                let name = &leads.life.host.name;
                let newest = scene.epoch;
                late.push(format!("{name} has not said that epoch {} is over, and {newest} is open", leads.epoch));
            }
            at <= owed
        });
        self.violations.extend(late.into_iter().map(|what| Violation { oracle: NAME, at, what }));
    }

    // ---- what was told

    /// A process tells operators something.
    pub fn told(&mut self, at: Duration, life: &Arc<Life>, notice: &Notice, weather: &Weather, bounds: &Bounds) {
        self.collect(at);
        let by = process(life);
        let mut wrong = None;
        match notice {
            Notice::BecameLeader { epoch, holder } => {
                if self.holders.get(epoch).map(String::as_str) != Some(holder.as_str()) {
                    wrong = Some("the store has not opened that epoch for it");
                }
                self.pay(by, What::Leads(*epoch));
                self.announced.insert(holder.as_str().to_owned());
                self.leads.insert(by, Leads { epoch: *epoch, life: Arc::clone(life), deposed: None });
            }
            Notice::LostLeadership { epoch, .. } => {
                self.gave_up.insert(by, at);
                if self.leads.remove(&by).is_none_or(|leads| leads.epoch != *epoch) {
                    wrong = Some("it had not said that it leads");
                }
            }
            Notice::GaveUpLease { .. } => {
                self.gave_up.insert(by, at);
            }
            Notice::Settled { fingerprint, state, .. } => {
                if state.awaits_operator() {
                    self.untold.remove(fingerprint);
                }
                self.owed.retain(|owed| {
                    let settled = matches!(owed.what, What::Settled(f, s, _) if f == *fingerprint && s == *state);
                    !(settled && process(&owed.life) == by)
                });
                if !self.committed.contains(&(*fingerprint, *state)) {
                    wrong = Some("the store has never said so");
                }
            }
            Notice::SplitBrain { .. } => {
                // It looks at the lease and at the store, one after the other, and tells after the grace at the latest.
                let timing = &bounds.timing;
                let window = timing.split_brain_grace + timing.lease_timeout + timing.store_timeout + bounds.compares();
                let well = weather.host_well_since(life.host.at).is_some_and(|well| well + window <= at);
                if well && self.disagreed.max(self.two_leases).is_none_or(|then| then.saturating_add(window) < at) {
                    wrong = Some("lease and store have named the same");
                }
            }
            Notice::PortFailed { .. } => {
                if weather.quiet_since().is_some_and(|quiet| quiet + bounds.settles() < at) {
                    wrong = Some("nothing has been wrong for long");
                }
            }
            Notice::Fenced { own, newest } => {
                let opened = self.holders.last_key_value().is_some_and(|(last, _)| newest <= last);
                if !opened || newest < own {
                    wrong = Some("no such epoch has been opened");
                }
            }
            Notice::EpochWentBack { .. } => {
                let stable = weather.place("store").is_none_or(|store| weather.never_touched(store));
                if stable {
                    wrong = Some("the store has lost nothing");
                }
            }
            Notice::Paused { .. } | Notice::Resumed => {
                if !self.said_of_orders.contains(&matches!(notice, Notice::Paused { .. })) {
                    wrong = Some("no operator has said so");
                }
            }
            // The world's nodes have a broker on the network, which is asked whether or not it is there.
            Notice::BrokerNotReady | Notice::BrokerReady => wrong = Some("no broker here comes and goes"),
            Notice::Sending { .. } | Notice::NotSent { .. } | Notice::InDoubt { .. } => {}
        }
        let name = &life.host.name;
        if let Some(wrong) = wrong {
            let what = format!("{name} says \"{notice}\", and {wrong}");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
        let (is, least) = (notice.severity(), least_severity(notice));
        if is < least {
            let what = format!("{name} says \"{notice}\" as {is:?}, and it is {least:?} at least");
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    fn pay(&mut self, by: Process, what: What) {
        self.owed.retain(|owed| owed.what != what || process(&owed.life) != by);
    }

    /// What was owed at an instant that is over is late. What ends owing the word of a quarantine leaves it to the next
    /// leader ([`Self::judge`]).
    fn collect(&mut self, now: Duration) {
        let (late, owed) = std::mem::take(&mut self.owed).into_iter().partition(|owed| owed.at < now);
        self.owed = owed;
        for Owed { at, asked, life, what } in late {
            let gave_up = self.gave_up.get(&process(&life)).is_some_and(|gave_up| *gave_up >= asked);
            let what = match what {
                _ if life.is_over() => continue,
                What::Settled(_, _, false) | What::Leads(_) if gave_up => continue,
                What::Settled(fingerprint, state, _) => {
                    format!("{} knows that {fingerprint:?} is {}, and does not say so", life.host.name, state.name())
                }
                What::Leads(epoch) => format!("{} leads, epoch {epoch}, and does not say so", life.host.name),
            };
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }

    /// The end of a run: what is quarantined untold, although a leader had the time to read of it and tell.
    pub fn judge(&self, at: Duration, scene: &Scene, weather: &Weather, bounds: &Bounds) -> Vec<Violation> {
        let Some(quiet) = weather.quiet_since().filter(|_| scene.leader().is_some()) else { return Vec::new() };
        let late = self.untold.iter().filter(|(_, since)| quiet.max(**since) + bounds.finds_quarantines() < at);
        late.map(|(fingerprint, since)| {
            let since = since.as_secs_f64();
            let what = format!("{fingerprint:?} waits for an operator since {since:.3}s, and nobody has said so");
            Violation { oracle: NAME, at, what }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use oncegate_protocol::call::{Resolution, Verdict};
    use oncegate_protocol::notice::LossReason;
    use oncegate_protocol::{Holder, Wall};

    use super::*;
    use crate::oracles::fixture::{life, scene_of};

    const SECOND: Duration = Duration::from_secs(1);

    struct Stage {
        oracle: Alerts,
        weather: Weather,
        bounds: Bounds,
        life: Arc<Life>,
    }

    fn signal() -> Fingerprint {
        Fingerprint::of_bytes(b"s")
    }

    fn conclusion() -> (StoreCall, StoreReply) {
        let call = StoreCall::Conclude {
            fingerprint: signal(),
            epoch: Epoch(1),
            holder: Holder::new("n1"),
            verdict: Verdict::Quarantine(String::new()),
            at: Wall::default(),
        };
        (call, StoreReply::State(Some(SignalState::Quarantined)))
    }

    fn settled() -> Notice {
        Notice::Settled { fingerprint: signal(), state: SignalState::Quarantined, detail: String::new() }
    }

    impl Stage {
        /// A node whose epoch was opened, and that has said that it leads.
        fn leading() -> Self {
            let weather = Weather::new(["n1", "redis", "store"].map(str::to_owned).to_vec(), 1);
            let life = life(0, "n1");
            let mut stage = Self { oracle: Alerts::default(), weather, bounds: Bounds::default(), life };
            let call = StoreCall::OpenEpoch { expected: Epoch(0), holder: Holder::new("n1"), at: Wall::default() };
            stage.oracle.committed(SECOND, &call, &StoreReply::Opened(Epoch(1)));
            stage.oracle.answered(SECOND, SECOND, &stage.life, &call, &StoreReply::Opened(Epoch(1)));
            stage.tell(1, &Notice::BecameLeader { epoch: Epoch(1), holder: Holder::new("n1") });
            stage
        }

        fn tell(&mut self, at: u32, notice: &Notice) {
            self.oracle.told(SECOND * at, &self.life, notice, &self.weather, &self.bounds);
        }

        fn look(&mut self, at: Duration, epoch: u64) {
            let mut scene = scene_of(&[], Some("n1"), Some("n1"));
            scene.epoch = Epoch(epoch);
            self.oracle.look(at, &scene, &self.weather, &self.bounds);
        }

        /// So many objections at the end, when this node leads if it lives.
        fn end(&self, at: u32) -> usize {
            let name = self.life.host.name.as_str();
            let scene = scene_of(&[Arc::clone(&self.life)], Some(name), Some(name));
            self.oracle.judge(SECOND * at, &scene, &self.weather, &self.bounds).len()
        }

        fn objections(&self) -> usize {
            self.oracle.violations.len()
        }
    }

    #[test]
    fn a_quarantine_that_its_author_keeps_to_itself_is_seen() {
        let (call, reply) = conclusion();
        for (tells, objections) in [(true, 0), (false, 1)] {
            let mut stage = Stage::leading();
            stage.oracle.committed(SECOND, &call, &reply);
            stage.oracle.answered(2 * SECOND, SECOND, &stage.life, &call, &reply);
            if tells {
                stage.tell(2, &settled());
            }
            stage.look(3 * SECOND, 1);
            assert_eq!(stage.objections(), objections);
            assert_eq!(stage.end(100), objections);
        }
    }

    #[test]
    fn an_author_that_has_given_up_or_died_leaves_the_word_of_it_to_the_next_leader() {
        let (call, reply) = conclusion();
        for dies in [true, false] {
            let mut stage = Stage::leading();
            stage.oracle.committed(SECOND, &call, &reply);
            stage.tell(2, &Notice::LostLeadership { epoch: Epoch(1), reason: LossReason::LeaseGone });
            stage.oracle.answered(2 * SECOND, SECOND, &stage.life, &call, &reply);
            if dies {
                stage.life.host.take_down();
            }
            stage.look(3 * SECOND, 1);
            assert_eq!(stage.objections(), 0);
            assert_eq!(stage.end(100), usize::from(!dies), "with nobody who leads nobody tells");
            let next = Stage { life: life(1, "n2"), ..stage };
            assert_eq!(next.end(10), 0, "it has not had the time yet");
            assert_eq!(next.end(100), 1);
            let mut next = next;
            next.tell(5, &settled());
            assert_eq!(next.end(100), 0);
        }
    }

    #[test]
    fn a_quarantine_that_was_ended_in_time_is_owed_nothing_and_the_next_one_is() {
        let (call, reply) = conclusion();
        let resend = StoreCall::Resolve {
            fingerprint: signal(),
            resolution: Resolution::Resend,
            attempts: 1,
            reason: String::new(),
            at: Wall::default(),
        };
        let mut stage = Stage::leading();
        stage.oracle.committed(SECOND, &call, &reply);
        stage.tell(1, &settled());
        stage.oracle.committed(2 * SECOND, &call, &reply);
        assert_eq!(stage.end(100), 0, "the same, said again");
        stage.oracle.committed(3 * SECOND, &resend, &StoreReply::State(Some(SignalState::Received)));
        assert_eq!(stage.end(100), 0);
        stage.oracle.committed(4 * SECOND, &call, &reply);
        assert_eq!(stage.end(100), 1);
    }

    #[test]
    fn a_leadership_that_is_not_announced_is_seen() {
        let mut stage = Stage::leading();
        let call = StoreCall::OpenEpoch { expected: Epoch(1), holder: Holder::new("n1b"), at: Wall::default() };
        stage.oracle.acts(SECOND, "claim", "n1");
        assert_eq!(stage.objections(), 0);
        stage.oracle.answered(2 * SECOND, SECOND, &stage.life, &call, &StoreReply::Opened(Epoch(2)));
        stage.look(3 * SECOND, 1);
        stage.oracle.acts(3 * SECOND, "claim", "n1b");
        assert_eq!(stage.objections(), 2);
    }

    #[test]
    fn an_end_of_leadership_that_is_not_told_is_seen() {
        let mut stage = Stage::leading();
        stage.oracle.vacates(2 * SECOND, &stage.life, Epoch(1));
        assert_eq!(stage.objections(), 1);
        stage.look(2 * SECOND, 2);
        stage.look(2 * SECOND + stage.bounds.deposed_tells(), 2);
        assert_eq!(stage.objections(), 1);
        stage.look(3 * SECOND + stage.bounds.deposed_tells(), 2);
        assert_eq!(stage.objections(), 2);
    }

    #[test]
    fn alarms_without_a_cause_are_seen() {
        let lost = Notice::LostLeadership { epoch: Epoch(1), reason: LossReason::LeaseGone };
        let mut stage = Stage::leading();
        stage.look(SECOND, 1);
        stage.tell(500, &settled());
        stage.tell(500, &Notice::SplitBrain { lease: None, store: None });
        stage.tell(500, &Notice::PortFailed { doing: "x".into(), detail: "y".into() });
        stage.tell(500, &Notice::Fenced { own: Epoch(1), newest: Epoch(2) });
        stage.tell(500, &Notice::EpochWentBack { read: Epoch(1), seen: Epoch(2) });
        stage.tell(500, &Notice::BecameLeader { epoch: Epoch(2), holder: Holder::new("n1") });
        stage.tell(500, &Notice::Paused { reason: String::new(), since: Wall::default() });
        stage.tell(500, &Notice::Resumed);
        assert_eq!(stage.objections(), 8);
        let mut stage = Stage::leading();
        stage.tell(2, &lost);
        assert_eq!(stage.objections(), 0);
        stage.tell(3, &lost);
        assert_eq!(stage.objections(), 1);
    }
}
