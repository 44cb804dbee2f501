//! Every call that the thinking can ask of the doing, and every answer.
//!
//! A call is data: drivers, recorders and simulated worlds all see the same vocabulary, and a run of one node
//! can be stored and stepped through again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::{LookupAnswer, Outcome};
use crate::fingerprint::Fingerprint;
use crate::ids::{BrokerOrderId, ClientOrderId, Epoch, Holder, Leg};
use crate::record::{Leadership, Pause, SignalRecord, SignalState};
use crate::signal::Signal;
use crate::time::{Mono, Wall};

/// One call to one port.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// To the lease store.
    Lease(LeaseCall),
    /// To the signal store.
    Store(StoreCall),
    /// To the broker: place this order.
    Place(Order),
    /// To the broker: do you have this order?
    LookUp(ClientOrderId),
}

/// What came of a [`Call`]; the variants match those of the call, and of its port's answers.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Call::Lease`].
    Lease(Result<LeaseReply, PortError>),
    /// To [`Call::Store`].
    Store(Result<StoreReply, PortError>),
    /// To [`Call::Place`]: a port that failed after the first byte says [`Outcome::Unknown`].
    Place(Outcome),
    /// To [`Call::LookUp`].
    LookUp(LookupAnswer),
}

/// A call that brought no answer. It may have had its effect, may yet have it, or may never: nothing is known.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct PortError(
    /// What was being done, to what, and what was seen; for people.
    pub String,
);

/// Calls to the lease: a failure detector, never an authority.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseCall {
    /// Take the lease if nobody has it. Finding one's own holder value means that an earlier reply was lost:
    /// the lease is extended and granted.
    Acquire {
        /// Who asks.
        holder: Holder,
        /// For how long from now.
        ttl: Duration,
    },
    /// Extend the lease if `holder` has it, and keep the highest epoch that was told so.
    Renew {
        /// Who asks.
        holder: Holder,
        /// For how long from now.
        ttl: Duration,
        /// The highest epoch that the caller has seen in the signal store.
        seen: Epoch,
    },
    /// Delete the lease if `holder` has it, and tell those who listen.
    Release {
        /// Who asks.
        holder: Holder,
    },
    /// Who has it?
    Read,
}

/// Answers of the lease.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseReply {
    /// To acquire and renew: it is the caller's, for the whole `ttl` from when the store acted.
    Granted {
        /// To acquire: the highest epoch that a renewal told of, as far as the lease store knows. It outlives the lease, so that
        /// a process that has just started can tell a signal store that has lost commits. Zero when nothing is known, to
        /// renew, and always from a lease store that is lost and restored together with the signal store.
        seen: Epoch,
    },
    /// To acquire, renew, release and read: somebody's (to read: perhaps the caller's own).
    HeldBy {
        /// Whose.
        holder: Holder,
        /// For how much longer; none when the entry never expires, which nothing here ever writes.
        remaining: Option<Duration>,
    },
    /// To renew, release and read: nobody has it. To release also when it was the caller's and now is gone.
    Free,
}

/// Calls to the signal store: the only authority. Each is atomic and durable before it is answered, and each
/// may be repeated: the guards in it make a second application change nothing.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreCall {
    /// Store a signal unless its fingerprint is there. Answered by [`StoreReply::Stored`].
    Insert {
        /// The signal.
        signal: Signal,
        /// By the receiving node's wall clock.
        at: Wall,
    },
    /// Answered by [`StoreReply::Leadership`].
    ReadLeadership,
    /// Open the epoch after `expected` for `holder`, if `expected` is still the newest; in the same commit
    /// put every executing signal in doubt (no claim of the new epoch exists yet, so all are older) and
    /// append to the leadership history. Answered by [`StoreReply::Opened`] or [`StoreReply::Fenced`].
    OpenEpoch {
        /// The newest epoch the caller saw.
        expected: Epoch,
        /// Who opens.
        holder: Holder,
        /// By the caller's wall clock.
        at: Wall,
    },
    /// Say that the holder of `epoch` lives. Answered by [`StoreReply::Done`] or [`StoreReply::Fenced`].
    Heartbeat {
        /// The caller's epoch.
        epoch: Epoch,
        /// The caller.
        holder: Holder,
        /// By the caller's wall clock.
        at: Wall,
    },
    /// Give the leadership up: the row stays, its holder goes. Answered like [`StoreCall::Heartbeat`].
    Vacate {
        /// The caller's epoch.
        epoch: Epoch,
        /// The caller.
        holder: Holder,
        /// Why, for the history.
        reason: String,
        /// By the caller's wall clock.
        at: Wall,
    },
    /// All signals that are owed something, in order of arrival: the oldest `limit` that are received; the oldest
    /// `limit` that are executing or in doubt; and the newest `limit` each that are quarantined or partial, which are
    /// owed that operators are told. Answered by [`StoreReply::Pending`].
    ReadPending {
        /// How many of each kind.
        limit: u32,
    },
    /// Answered by [`StoreReply::Signal`].
    ReadSignal {
        /// Which.
        fingerprint: Fingerprint,
    },
    /// Commit the intent to place one order, in one statement: an attempt is added if and only if `epoch` is
    /// the newest, `holder` holds it, the signal has the leg and is in the state that `purpose` names, and `number`
    /// is the next, and, to execute the first leg, only while operators have not stopped new orders. So a copy of a
    /// claim that was committed is refused whenever it lands. Answered by [`StoreReply::Claimed`], [`StoreReply::NotClaimed`],
    /// [`StoreReply::Paused`] or [`StoreReply::Fenced`].
    Claim(Claim),
    /// Write how an attempt ended, if `owner` owns it and knowledge grows by it, whatever the epoch is by
    /// now; the signal's state follows ([`crate::record::state_after`]). Answered by [`StoreReply::State`].
    RecordOutcome {
        /// Which signal.
        fingerprint: Fingerprint,
        /// Which order.
        leg: Leg,
        /// Which attempt.
        number: u32,
        /// Whose attempt.
        owner: Holder,
        /// How it ended.
        outcome: Outcome,
        /// By the caller's wall clock.
        at: Wall,
    },
    /// Move a signal on without an attempt of one's own, if `epoch` is the newest, `holder` holds it and the
    /// signal is in the state that `verdict` needs. One order that was found executes it; the order of one of several
    /// legs makes an attempt at that leg accepted ([`SignalRecord::attempt_found`]), from which the state follows. One whose deadline has passed
    /// is expired, or between two legs partial. Answered by [`StoreReply::State`] or
    /// [`StoreReply::Fenced`].
    Conclude {
        /// Which signal.
        fingerprint: Fingerprint,
        /// The caller's epoch.
        epoch: Epoch,
        /// The caller.
        holder: Holder,
        /// What was concluded.
        verdict: Verdict,
        /// By the caller's wall clock.
        at: Wall,
    },
    /// An operator's word on a signal that is in a state [that it fits](Resolution::fits) after exactly so many
    /// attempts; no epoch is needed, a human is the authority. Every quarantine comes after an attempt more than the
    /// last, so a copy of a word that was taken is refused whenever it lands. [`Resolution::Resend`] also marks every
    /// attempt that was not accepted as [answered for](crate::record::Attempt::answered_for). Answered by [`StoreReply::State`] with the present
    /// state, which nothing has changed when the signal was not as the operator saw it.
    Resolve {
        /// Which signal.
        fingerprint: Fingerprint,
        /// What the operator found out or wants.
        resolution: Resolution,
        /// How many attempts the operator saw, over all legs.
        attempts: u32,
        /// Why, for the record.
        reason: String,
        /// By the receiving node's wall clock.
        at: Wall,
    },
    /// An operator's word that new orders are stopped, or are not any more; no epoch is needed, a human is the
    /// authority. It is taken if `seen` words were taken before it, and then counts and is kept for people, whether or
    /// not it changes anything: so a copy of it, and every word that was on its way before it, is refused whenever it
    /// lands. Answered by [`StoreReply::Leadership`] as it now is.
    SetPause {
        /// Stopped, or not.
        paused: bool,
        /// [`Leadership::pause_words`] as the operator's node read it.
        seen: u64,
        /// Why, for the record.
        reason: String,
        /// By that node's wall clock.
        at: Wall,
    },
}

/// The intent to place one order.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Which signal.
    pub fingerprint: Fingerprint,
    /// Which order.
    pub leg: Leg,
    /// The claimant's epoch.
    pub epoch: Epoch,
    /// The claimant.
    pub holder: Holder,
    /// The attempt that it is to become: one more than the newest that the claimant has seen on this leg.
    pub number: u32,
    /// The id under which it will be placed: that of the attempts before it; only the first derives one.
    pub client_order_id: ClientOrderId,
    /// First attempt or recovery.
    pub purpose: Purpose,
    /// By the claimant's wall clock.
    pub at: Wall,
}

/// What an attempt is for, which is also the state its signal must be in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Nothing was sent of this leg. The first leg: from received to executing. Another: the signal is executing or in
    /// doubt, the leg before was accepted, and all attempts at this one
    /// [leave nothing sent](crate::record::Attempt::leaves_nothing_sent); it is executing then.
    Execute,
    /// Something may have been sent: stays in doubt. The leg was not accepted, and an attempt at it that counts is open
    /// or unknown.
    Recover,
}

/// What a leader can conclude about a signal without sending.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// In doubt, and the broker says that it has the order.
    Found {
        /// The order of which leg.
        leg: Leg,
        /// What the broker calls it.
        id: BrokerOrderId,
    },
    /// In doubt, and nothing here can find out; why, for people.
    Quarantine(String),
    /// Received, and its deadline has passed; or between two legs, and the same.
    Expire,
}

/// What an operator says about a quarantined signal, or one that was executed in part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The broker has the order; of several legs, all, by whoever's hand.
    Executed,
    /// The broker does not have it, and it shall not be sent; of several legs, nothing is open that shall stay so.
    NotExecuted,
    /// The broker does not have it, and it shall be sent; of several legs, the one in doubt, and then those after it.
    Resend,
}

impl Resolution {
    /// The state that follows. What is sent again when the broker `has_some` of the legs goes on after those, as from
    /// an older leader.
    pub const fn state(self, has_some: bool) -> SignalState {
        match self {
            Self::Executed => SignalState::Executed,
            Self::NotExecuted => SignalState::Failed,
            Self::Resend if has_some => SignalState::InDoubt,
            Self::Resend => SignalState::Received,
        }
    }

    /// Whether the word is taken of a signal in that state. What was executed in part is never sent again: its
    /// deadline may have passed, or its order been refused for good.
    pub const fn fits(self, state: SignalState) -> bool {
        match self {
            Self::Executed | Self::NotExecuted => state.awaits_operator(),
            Self::Resend => matches!(state, SignalState::Quarantined),
        }
    }
}

/// Answers of the signal store.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreReply {
    /// The signal is durable.
    Stored {
        /// It was not there before.
        new: bool,
        /// Where it stands.
        state: SignalState,
        /// The stored body is the same as the offered one.
        same_body: bool,
    },
    /// The leadership row as it is.
    Leadership(Leadership),
    /// The epoch is open.
    Opened(Epoch),
    /// Refused: the leadership is not what the caller believed; here it is.
    Fenced(Leadership),
    /// Done.
    Done,
    /// What is owed.
    Pending {
        /// In order of arrival.
        records: Vec<SignalRecord>,
        /// Operators have stopped new orders, as of the same moment.
        paused: Option<Pause>,
    },
    /// The signal, if it is there.
    Signal(Option<SignalRecord>),
    /// The intent is durable, as this attempt.
    Claimed {
        /// The number that was claimed.
        number: u32,
    },
    /// Nothing was added: the signal is not in the state that the claim needs, or has other attempts than the
    /// claimant saw. It is as given, or not there.
    NotClaimed(Option<SignalRecord>),
    /// Nothing was added, and would have been, had operators not stopped new orders; the leadership as it is.
    Paused(Leadership),
    /// Where the signal stands now; none when it is not there.
    State(Option<SignalState>),
}

/// One order, ready to send.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Order {
    /// Which signal.
    pub fingerprint: Fingerprint,
    /// Which order.
    pub leg: Leg,
    /// The id it is placed under, the same at every attempt.
    pub client_order_id: ClientOrderId,
    /// The fencing token: a broker or gateway that knows a higher one should refuse.
    pub epoch: Epoch,
    /// The order as it came: the signal, or one of its legs.
    pub body: Vec<u8>,
    /// The port reads the clock once more just before the first byte, and at or after this instant answers
    /// [`Outcome::NotSent`].
    pub send_before: Mono,
    /// How long the port may take, connecting included.
    pub timeout: Duration,
}
