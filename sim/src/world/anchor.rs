//! Named points of the protocol, by which a fault can be anchored to what happens rather than to when.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

use super::calls::CallName;
use crate::scenario::Fault;

/// A point that the protocol reaches, seen at a port or at a service; never asked of a node.
///
/// The first fourteen are the story of a signal; the last three are the boundaries of every call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Point {
    /// The lease was granted to a node that did not have it.
    LeaseGranted,
    /// The lease was extended for the node that has it.
    LeaseRenewed,
    /// An epoch was opened.
    EpochOpened,
    /// A new signal is durable.
    SignalStored,
    /// A node is about to ask the store for a claim.
    ClaimSending,
    /// A claim is durable; its reply is on its way.
    Claimed,
    /// A node is about to hand an order to its connection.
    OrderSending,
    /// A node has asked for a connection to the broker, and has not written to it.
    BrokerConnecting,
    /// The first byte of an order has left a node.
    OrderSent,
    /// The broker took an order into its book; the answer has not left.
    OrderBooked,
    /// A node has the broker's answer.
    OrderAnswered,
    /// A node is about to ask the store to write an outcome.
    OutcomeSending,
    /// An outcome is durable; the reply is on its way.
    OutcomeStored,
    /// A node is about to ask the broker for an order in doubt.
    LookupSending,
    /// A node is about to make this call; nothing of it has left.
    Before(CallName),
    /// The service has carried this call out; the reply is on its way.
    Applied(CallName),
    /// A node has the reply to this call, and has not acted on it.
    After(CallName),
}

impl Point {
    /// The points of a signal's story, in the order in which it meets them.
    pub const ALL: [Self; 14] = [
        Self::LeaseGranted,
        Self::LeaseRenewed,
        Self::EpochOpened,
        Self::SignalStored,
        Self::ClaimSending,
        Self::Claimed,
        Self::OrderSending,
        Self::BrokerConnecting,
        Self::OrderSent,
        Self::OrderBooked,
        Self::OrderAnswered,
        Self::OutcomeSending,
        Self::OutcomeStored,
        Self::LookupSending,
    ];

    /// The name as written in scenario files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeaseGranted => "lease-granted",
            Self::LeaseRenewed => "lease-renewed",
            Self::EpochOpened => "epoch-opened",
            Self::SignalStored => "signal-stored",
            Self::ClaimSending => "claim-sending",
            Self::Claimed => "claimed",
            Self::OrderSending => "order-sending",
            Self::BrokerConnecting => "broker-connecting",
            Self::OrderSent => "order-sent",
            Self::OrderBooked => "order-booked",
            Self::OrderAnswered => "order-answered",
            Self::OutcomeSending => "outcome-sending",
            Self::OutcomeStored => "outcome-stored",
            Self::LookupSending => "lookup-sending",
            Self::Before(call) => call.points()[0],
            Self::Applied(call) => call.points()[1],
            Self::After(call) => call.points()[2],
        }
    }

    /// The boundaries of all calls.
    pub fn boundaries() -> impl Iterator<Item = Self> {
        CallName::ALL.into_iter().flat_map(|call| [Self::Before(call), Self::Applied(call), Self::After(call)])
    }

    /// The call whose boundary it is.
    pub const fn call(self) -> Option<CallName> {
        match self {
            Self::Before(call) | Self::Applied(call) | Self::After(call) => Some(call),
            Self::LeaseGranted
            | Self::LeaseRenewed
            | Self::EpochOpened
            | Self::SignalStored
            | Self::ClaimSending
            | Self::Claimed
            | Self::OrderSending
            | Self::BrokerConnecting
            | Self::OrderSent
            | Self::OrderBooked
            | Self::OrderAnswered
            | Self::OutcomeSending
            | Self::OutcomeStored
            | Self::LookupSending => None,
        }
    }
}

static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| Point::ALL.into_iter().chain(Point::boundaries()).map(Point::name).collect());

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;
        impl Visitor<'_> for Named {
            type Value = Point;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a point")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Point, E> {
                let mut all = Point::ALL.into_iter().chain(Point::boundaries());
                all.find(|point| point.name() == name).ok_or_else(|| E::unknown_variant(name, &NAMES))
            }
        }
        deserializer.deserialize_str(Named)
    }
}

/// Faults that wait for their points, and how often each point was reached.
#[derive(Default)]
pub struct Anchors {
    waiting: Vec<Waiting>,
    reached: BTreeMap<Point, u64>,
    unstruck: Vec<Point>,
}

struct Waiting {
    point: Point,
    by: Option<usize>,
    left: u32,
    fault: Fault,
}

impl Anchors {
    /// Lets `fault` wait for the `nth` time (from 1) that `point` is reached, by `by` if given.
    pub fn wait(&mut self, point: Point, nth: u32, by: Option<usize>, fault: Fault) {
        self.waiting.push(Waiting { point, by, left: nth, fault });
    }

    /// Counts that `by` reached `point`; the faults whose time has come.
    pub fn reach(&mut self, point: Point, by: usize) -> Vec<Fault> {
        *self.reached.entry(point).or_default() += 1;
        let mut due = Vec::new();
        self.waiting.retain_mut(|waiting| {
            if waiting.point == point && waiting.by.is_none_or(|host| host == by) {
                waiting.left = waiting.left.saturating_sub(1);
                if waiting.left == 0 {
                    due.push(waiting.fault.clone());
                    return false;
                }
            }
            true
        });
        due
    }

    /// The fault phase is over: what still waits never strikes.
    pub fn drop_waiting(&mut self) {
        self.unstruck = std::mem::take(&mut self.waiting).iter().map(|waiting| waiting.point).collect();
    }

    /// The points for which faults waited in vain.
    pub fn unstruck(&self) -> &[Point] {
        &self.unstruck
    }

    /// How often a point was reached.
    pub fn count(&self, point: Point) -> u64 {
        self.reached.get(&point).copied().unwrap_or(0)
    }
}
