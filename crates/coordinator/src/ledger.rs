//! What people read of the store: never what the protocol acts on.
//!
//! Everything here is a picture of a moment that is past when it is seen. Nothing is decided on it but what to show.

use oncegate_protocol::{Epoch, Fingerprint, Holder, PortError, SignalRecord, SignalState, Wall};
use serde::{Deserialize, Serialize};

use crate::ports::BoxFuture;

/// A store as people read it. Each method is one read; dropping it leaves nothing.
pub trait Ledger: Send + Sync + 'static {
    /// Signals by [`Wanted`], newest first.
    fn signals(&self, wanted: Wanted) -> BoxFuture<'_, Result<Vec<Entry>, PortError>>;

    /// One signal, if it is there.
    fn signal(&self, fingerprint: Fingerprint) -> BoxFuture<'_, Result<Option<Entry>, PortError>>;

    /// How many signals stand in each state, in [`SignalState::ALL`]'s order, states without any included.
    fn tally(&self) -> BoxFuture<'_, Result<Vec<Tally>, PortError>>;

    /// The newest `limit` leaderships, newest first.
    fn history(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Term>, PortError>>;
}

/// Which signals.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// In one of these states; all when empty.
    pub states: Vec<SignalState>,
    /// Arrived before this one ([`SignalRecord::sequence`]), for the next page.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// A signal, and what was decided about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The signal with its attempts.
    pub record: SignalRecord,
    /// When it was stored, by the wall clock of the node that took it.
    pub received_at: Wall,
    /// What leaders concluded and operators decided, oldest first.
    pub decisions: Vec<Decision>,
}

/// One word about a signal that was no attempt's outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// When, by the wall clock of who wrote it.
    pub at: Wall,
    /// The leader that concluded; none for an operator.
    pub leader: Option<Holder>,
    /// `found`, `quarantine`, `expire`; of operators `executed`, `not_executed`, `resend`.
    pub verdict: String,
    /// The broker's order id when found, else why.
    pub detail: String,
}

/// How many signals stand in one state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Which state.
    pub state: SignalState,
    /// So many.
    pub count: u64,
    /// When the oldest of them was stored; none when there is none.
    pub oldest: Option<Wall>,
}

/// One leadership of the past, or the present one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Term {
    /// Its epoch.
    pub epoch: Epoch,
    /// Who opened it.
    pub holder: Holder,
    /// When, by the wall clock of who opened it.
    pub opened_at: Wall,
    /// When it ended, by the wall clock of who ended it, and why; none while it lasts, or when nobody could say.
    pub closed: Option<(Wall, String)>,
}
