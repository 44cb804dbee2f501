//! The lease and the broker, in memory, on the world's own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{
    BrokerOrderId, Capabilities, ClientOrderId, DedupScope, Epoch, Fingerprint, Holder, LeaseCall, LeaseReply, Leg,
    Order, Outcome,
};

/// World time, in milliseconds.
pub(crate) type Millis = u64;

#[derive(Default)]
pub(crate) struct Lease {
    held: Option<(Holder, Millis)>,
    seen: Epoch,
}

impl Lease {
    pub(crate) fn lose_data(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn apply(&mut self, now: Millis, call: &LeaseCall) -> LeaseReply {
        self.held = self.held.take().filter(|(_, until)| now < *until);
        let until = |ttl: &Duration| now + u64::try_from(ttl.as_millis()).expect("a short time");
        match call {
            LeaseCall::Acquire { holder, ttl } if self.held.as_ref().is_none_or(|(held_by, _)| held_by == holder) => {
                self.held = Some((holder.clone(), until(ttl)));
                LeaseReply::Granted { seen: self.seen }
            }
            LeaseCall::Renew { holder, ttl, seen } if self.is_held_by(holder) => {
                self.held = Some((holder.clone(), until(ttl)));
                self.seen = self.seen.max(*seen);
                LeaseReply::Granted { seen: self.seen }
            }
            LeaseCall::Release { holder } if self.is_held_by(holder) => {
                self.held = None;
                LeaseReply::Free
            }
            LeaseCall::Acquire { .. } | LeaseCall::Renew { .. } | LeaseCall::Release { .. } | LeaseCall::Read => {
                match &self.held {
                    Some((holder, until)) => LeaseReply::HeldBy {
                        holder: holder.clone(),
                        remaining: Some(Duration::from_millis(until - now)),
                    },
                    None => LeaseReply::Free,
                }
            }
        }
    }

    fn is_held_by(&self, holder: &Holder) -> bool {
        self.held.as_ref().is_some_and(|(held_by, _)| held_by == holder)
    }
}

/// What a broker declares is a promise with room to spare: in truth orders land and show sooner.
pub(crate) const FLIGHT: Millis = 10_000;
const VISIBLE_AFTER: Millis = 4_000;

pub(crate) struct Broker {
    pub(crate) capabilities: Capabilities,
    /// Every order that was accepted, when and for which signal and leg: the book.
    pub(crate) book: Vec<(ClientOrderId, (Fingerprint, Leg), Millis)>,
    first_seen: BTreeMap<ClientOrderId, Millis>,
}

impl Broker {
    pub(crate) fn new(capabilities: Capabilities) -> Self {
        Self { capabilities, book: vec![], first_seen: BTreeMap::new() }
    }

    pub(crate) fn orders_for(&self, fingerprint: &Fingerprint, leg: Leg) -> usize {
        self.book.iter().filter(|(_, of, _)| *of == (*fingerprint, leg)).count()
    }

    pub(crate) fn place(&mut self, now: Millis, order: &Order, refuses: bool) -> Outcome {
        let id = &order.client_order_id;
        let remembered = match self.capabilities.dedup {
            DedupScope::Never => false,
            DedupScope::Forever => true,
            DedupScope::Within(window) => {
                self.first_seen.get(id).is_some_and(|first| u128::from(now - first) < window.as_millis())
            }
        };
        let known = self.book.iter().position(|(known, ..)| known == id).filter(|_| remembered);
        self.first_seen.entry(id.clone()).or_insert(now);
        match known {
            Some(number) => Outcome::Accepted(BrokerOrderId::new(format!("b{number}"))),
            None if refuses => Outcome::Rejected("no margin".into()),
            None => {
                self.book.push((id.clone(), (order.fingerprint, order.leg), now));
                Outcome::Accepted(BrokerOrderId::new(format!("b{}", self.book.len() - 1)))
            }
        }
    }

    pub(crate) fn look_up(&self, now: Millis, id: &ClientOrderId) -> LookupAnswer {
        match self.book.iter().position(|(known, _, at)| known == id && now >= at + VISIBLE_AFTER) {
            Some(number) => LookupAnswer::Found(BrokerOrderId::new(format!("b{number}"))),
            None => LookupAnswer::NotFound,
        }
    }
}
