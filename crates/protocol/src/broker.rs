//! What a broker declares about itself, and the four things that can be known after an attempt.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::BrokerOrderId;

/// What is known about one attempt to place one order.
///
/// Only a definite answer is anything but [`Outcome::Unknown`]. In particular a timeout, a broken
/// connection after the first byte and a 5xx are all unknown: the order may be working at the exchange.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The broker has the order, from this attempt or an earlier one under the same client order id.
    Accepted(BrokerOrderId),
    /// The broker refused the order for good; the reason is for people.
    Rejected(String),
    /// Provably no byte of the order left this host; the reason is for people.
    NotSent(String),
    /// Anything else; what was seen, for people.
    Unknown(String),
}

/// What the broker says when asked for an order by client order id.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookupAnswer {
    /// The order exists.
    Found(BrokerOrderId),
    /// The order is not to be seen *now*; it may still be in flight or not visible yet.
    NotFound,
    /// The broker could not be asked; what went wrong, for people.
    Unavailable(String),
}

/// For how long the broker remembers client order ids and refuses or absorbs a repeated one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DedupScope {
    /// A repeated id places a second order.
    Never,
    /// A repeated id never places a second order.
    Forever,
    /// A repeated id places no second order within this time of the first.
    Within(Duration),
}

/// Whether an order can be looked up by client order id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// It can't.
    None,
    /// It can. An order that was accepted is sure to be visible after this horizon, not before.
    ByClientOrderId {
        /// Until this long after the last possible send, "not found" means nothing.
        visible_after: Duration,
    },
}

/// Which client order ids the broker takes.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct KeyFormat {
    /// Put before the derived part, e.g. a desk's tag.
    pub prefix: String,
    /// The longest id the broker takes, in ASCII characters, prefix included.
    pub max_len: usize,
}

impl Default for KeyFormat {
    fn default() -> Self {
        Self { prefix: "og".into(), max_len: 36 }
    }
}

/// What the broker declares; the recovery policy follows it mechanically and believes nothing else.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Capabilities {
    /// Whether a repeated client order id is harmless.
    pub dedup: DedupScope,
    /// Whether an order can be asked for.
    pub lookup: Lookup,
    /// The longest time between our sending an order and the broker acting on it.
    pub longest_flight: Duration,
    /// The ids it takes.
    pub key_format: KeyFormat,
}

impl Capabilities {
    /// A broker that refuses or absorbs a repeated client order id for ever.
    pub fn deduplicating() -> Self {
        Self {
            dedup: DedupScope::Forever,
            lookup: Lookup::ByClientOrderId { visible_after: Duration::from_secs(5) },
            longest_flight: Duration::from_secs(30),
            key_format: KeyFormat::default(),
        }
    }

    /// A broker that can only be asked, with the given visibility horizon.
    pub fn lookup_only(visible_after: Duration) -> Self {
        Self { dedup: DedupScope::Never, lookup: Lookup::ByClientOrderId { visible_after }, ..Self::deduplicating() }
    }

    /// A broker that neither deduplicates nor can be asked: at most once plus a human.
    pub fn blind() -> Self {
        Self { dedup: DedupScope::Never, lookup: Lookup::None, ..Self::deduplicating() }
    }
}
