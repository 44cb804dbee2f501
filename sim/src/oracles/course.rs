//! Where each signal stands, and who leads, as the services have committed it: followed from their answers, so that
//! nothing need be read. Tells which transitions were seen ([`super::sightings`]), and in which phases of their lives
//! the signals are when something goes wrong ([`super::coverage`]). Judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use oncegate_protocol::call::{Claim, Purpose, Resolution, Verdict};
use oncegate_protocol::{ClientOrderId, Fingerprint, Holder, Leg, SignalState, StoreCall, StoreReply};

use super::coverage::Phase;
use super::sightings::{Sighting, Sightings};
use crate::hosts::broker::{LONGEST_FLIGHT, REMEMBERS_FOR};
use crate::scenario::BrokerKind;

/// The course of one run so far.
#[derive(Default)]
pub struct Course {
    broker: Option<BrokerKind>,
    signals: BTreeMap<Fingerprint, Stands>,
    orders: BTreeMap<ClientOrderId, Order>,
    /// Who claimed each signal last.
    claimants: BTreeMap<Fingerprint, Holder>,
    /// Whom the store names.
    leader: Option<Holder>,
    split_told: bool,
}

/// One signal.
#[derive(Clone, Copy, Default)]
struct Stands {
    /// None while its source alone knows of it.
    state: Option<SignalState>,
    /// A first byte of an order has left under the present claim.
    sent: bool,
    /// The broker has an order.
    booked: bool,
}

/// One client order id.
#[derive(Clone, Copy)]
struct Order {
    claimed_at: Duration,
    looked_up: bool,
}

impl Course {
    /// With that broker.
    pub fn begin(&mut self, broker: BrokerKind) {
        self.broker = Some(broker);
    }

    /// A source begins to send it.
    pub fn offered(&mut self, signal: Fingerprint) {
        self.signals.entry(signal).or_default();
    }

    /// The first byte of its order has left a node.
    pub fn sent(&mut self, signal: Fingerprint) {
        self.signals.entry(signal).or_default().sent = true;
    }

    /// The broker has taken its order.
    pub fn booked(&mut self, signal: Fingerprint) {
        self.signals.entry(signal).or_default().booked = true;
    }

    /// The store carried out a call. `lives` says whether that host has a process.
    pub fn store_did(
        &mut self,
        at: Duration,
        call: &StoreCall,
        reply: &StoreReply,
        lives: impl Fn(&str) -> bool,
        seen: &mut Sightings,
    ) {
        match (call, reply) {
            (StoreCall::Insert { signal, .. }, StoreReply::Stored { state, .. }) => {
                self.signals.entry(signal.fingerprint).or_default().state = Some(*state);
            }
            (StoreCall::OpenEpoch { holder, expected, .. }, StoreReply::Opened(_)) => {
                seen.saw(match self.leader.replace(holder.clone()) {
                    None if expected.0 == 0 => Sighting::OpenedFirst,
                    None => Sighting::OpenedVacant,
                    Some(before) if process(&before) == process(holder) => Sighting::OpenedOverItself,
                    Some(before) if before.instance() == holder.instance() || !lives(before.instance()) => {
                        Sighting::OpenedOverTheDead
                    }
                    Some(_) => Sighting::OpenedOverTheLiving,
                });
                for stands in self.signals.values_mut().filter(|s| s.state == Some(SignalState::Executing)) {
                    stands.state = Some(SignalState::InDoubt);
                    seen.saw(Sighting::LeftUnfinished);
                }
            }
            (StoreCall::OpenEpoch { .. }, StoreReply::Fenced(_)) => seen.saw(Sighting::EpochRefused),
            (StoreCall::Vacate { .. }, StoreReply::Done) => {
                self.leader = None;
                seen.saw(Sighting::Vacated);
            }
            (StoreCall::Vacate { .. }, StoreReply::Fenced(_)) => seen.saw(Sighting::VacateFenced),
            (StoreCall::Claim(claim), StoreReply::Claimed { .. }) => self.claimed(at, claim, seen),
            (StoreCall::Claim(claim), StoreReply::NotClaimed(Some(record))) if record.state == needs(claim.purpose) => {
                seen.saw(Sighting::ClaimOutnumbered);
            }
            (StoreCall::RecordOutcome { fingerprint, .. }, StoreReply::State(Some(state))) => {
                if let Some(before) = self.moved(fingerprint, *state)
                    && let Some(sighting) = by_word(before, *state)
                {
                    seen.saw(sighting);
                }
            }
            (StoreCall::Conclude { .. }, StoreReply::Fenced(_)) => seen.saw(Sighting::ConcludeFenced),
            (StoreCall::Conclude { fingerprint, verdict, .. }, StoreReply::State(Some(state))) => {
                let moved = self.moved(fingerprint, *state).is_some();
                if moved && *state == SignalState::Partial {
                    seen.saw(Sighting::Partial);
                }
                if moved && matches!(verdict, Verdict::Quarantine(_)) {
                    let blind = self.broker == Some(BrokerKind::Blind);
                    seen.saw(if blind { Sighting::QuarantinedBlind } else { Sighting::QuarantinedUnfound });
                }
            }
            (StoreCall::Resolve { fingerprint, resolution, .. }, StoreReply::State(Some(state))) => {
                let moved = self.moved(fingerprint, *state) == Some(SignalState::Quarantined);
                seen.saw(match resolution {
                    Resolution::Executed if moved => Sighting::ResolvedExecuted,
                    Resolution::Resend if moved => Sighting::ResolvedResend,
                    Resolution::Executed | Resolution::Resend | Resolution::NotExecuted => Sighting::WordRefused,
                });
            }
            _ => {}
        }
    }

    fn claimed(&mut self, at: Duration, claim: &Claim, seen: &mut Sightings) {
        let order = Order { claimed_at: at, looked_up: false };
        self.orders.entry(claim.client_order_id.clone()).or_insert(order);
        let before = self.claimants.insert(claim.fingerprint, claim.holder.clone());
        let stands = self.signals.entry(claim.fingerprint).or_default();
        match claim.purpose {
            Purpose::Execute if claim.leg > Leg(0) => {
                let taken_over = before.as_ref() != Some(&claim.holder);
                *stands = Stands { state: Some(SignalState::Executing), sent: false, booked: false };
                seen.saw(if taken_over { Sighting::NextLegTakenOver } else { Sighting::NextLeg });
            }
            Purpose::Execute => {
                *stands = Stands { state: Some(SignalState::Executing), sent: false, ..*stands };
                seen.saw(Sighting::Begun);
            }
            Purpose::Recover => seen.saw(Sighting::PlacedAgain),
        }
    }

    /// Where it stood before, if it stands elsewhere now.
    fn moved(&mut self, signal: &Fingerprint, to: SignalState) -> Option<SignalState> {
        let before = self.signals.entry(*signal).or_default().state.replace(to);
        before.filter(|before| *before != to)
    }

    /// The broker was asked for an order.
    pub fn looked_up(&mut self, at: Duration, id: &ClientOrderId, seen: &mut Sightings) {
        seen.saw(Sighting::LookedUp);
        let Some(order) = self.orders.get_mut(id) else { return };
        if std::mem::replace(&mut order.looked_up, true) {
            seen.saw(Sighting::LookedUpAgain);
        }
        let forgotten = at >= order.claimed_at + REMEMBERS_FOR.saturating_sub(LONGEST_FLIGHT);
        match self.broker {
            Some(BrokerKind::Deduplicates | BrokerKind::Absorbs) => seen.saw(Sighting::LookedUpPastDeadline),
            Some(BrokerKind::Forgets) if forgotten => seen.saw(Sighting::LookedUpForgotten),
            Some(BrokerKind::Forgets | BrokerKind::UntilFilled | BrokerKind::LooksUp | BrokerKind::Blind) | None => {}
        }
    }

    /// A node has told of a split.
    pub fn split_is_told(&mut self) {
        self.split_told = true;
    }

    /// Whether a split that was told is over, now that these are named; said once.
    pub fn split_is_over(&mut self, lease: Option<&str>, store: Option<&str>) -> bool {
        let agreed = self.split_told && lease.is_some() && lease == store;
        self.split_told &= !agreed;
        agreed
    }

    /// The phases in which the world and some signals are. `lives` says whether that host has a process.
    pub fn phases(&self, lives: impl Fn(&str) -> bool) -> BTreeSet<Phase> {
        let mut phases: BTreeSet<_> = self.signals.values().filter_map(|stands| stands.phase()).collect();
        if phases.iter().all(|phase| *phase == Phase::Quarantined) {
            phases.insert(Phase::Idle);
        }
        if !self.leader.as_ref().is_some_and(|leader| lives(leader.instance())) {
            phases.insert(Phase::Leaderless);
        }
        phases
    }
}

impl Stands {
    fn phase(self) -> Option<Phase> {
        match self.state {
            None => Some(Phase::Offered),
            Some(SignalState::Received) => Some(Phase::Received),
            Some(SignalState::Executing) if self.booked => Some(Phase::Booked),
            Some(SignalState::Executing) if self.sent => Some(Phase::Sent),
            Some(SignalState::Executing) => Some(Phase::Claimed),
            Some(SignalState::InDoubt) => Some(Phase::InDoubt),
            Some(SignalState::Quarantined) => Some(Phase::Quarantined),
            Some(SignalState::Executed | SignalState::Failed | SignalState::Partial | SignalState::Expired) => None,
        }
    }
}

fn needs(purpose: Purpose) -> SignalState {
    match purpose {
        Purpose::Execute => SignalState::Received,
        Purpose::Recover => SignalState::InDoubt,
    }
}

/// The transition of a signal by the word of who had claimed it.
fn by_word(from: SignalState, to: SignalState) -> Option<Sighting> {
    Some(match (from, to) {
        (_, SignalState::Partial) => Sighting::Partial,
        (SignalState::Executing, SignalState::Executed) => Sighting::ExecutedAtOnce,
        (SignalState::Executing, SignalState::Failed) => Sighting::RefusedAtOnce,
        (SignalState::Executing, SignalState::Received) => Sighting::HandedBack,
        (SignalState::Executing, SignalState::InDoubt) => Sighting::Doubted,
        (SignalState::InDoubt, SignalState::Executed) => Sighting::ExecutedLate,
        (SignalState::InDoubt, SignalState::Failed) => Sighting::RefusedLate,
        (SignalState::InDoubt, SignalState::Received) => Sighting::ClearedUp,
        (SignalState::Quarantined, SignalState::Executed) => Sighting::QuarantineOverruled,
        (SignalState::Quarantined, SignalState::Failed) => Sighting::QuarantineRefused,
        _ => return None,
    })
}

/// The process of a holder value, without its acquisition.
fn process(holder: &Holder) -> &str {
    holder.as_str().rsplit_once(':').map_or(holder.as_str(), |(process, _)| process)
}
