//! The JSON shapes of the API. Names and units are a promise: fields are added, never renamed.
//!
//! Instants end in `_at_ms` (milliseconds since the Unix epoch by the wall clock of who wrote them), durations in
//! `_ms`. Every shape refuses fields that it does not know when it is read back, which is how the tests hold real
//! answers against the OpenAPI document.

use oncegate_coordinator::ledger::{Decision, Entry, Term};
use oncegate_protocol::call::Resolution;
use oncegate_protocol::{Attempt, Fingerprint, Outcome, SignalState, Wall};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::ErrorDetail;

/// The answer to an offered signal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// 64 hex digits by which the signal is known from now on.
    pub fingerprint: String,
    /// It was not there before.
    pub new: bool,
    /// Where it stands.
    pub state: StateName,
}

/// Where a signal stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Stored, not claimed.
    Received,
    /// An order may be on its way.
    Executing,
    /// Nobody knows yet how an attempt ended.
    InDoubt,
    /// The broker has the order; of several legs, all.
    Executed,
    /// The broker refused it for good, or an operator said that it never was.
    Failed,
    /// The broker has some of its legs and not the others, which are not sent any more: a human must complete or unwind it.
    Partial,
    /// Its deadline passed, and provably nothing was sent.
    Expired,
    /// A human must find out.
    Quarantined,
}

impl From<SignalState> for StateName {
    fn from(state: SignalState) -> Self {
        match state {
            SignalState::Received => Self::Received,
            SignalState::Executing => Self::Executing,
            SignalState::InDoubt => Self::InDoubt,
            SignalState::Executed => Self::Executed,
            SignalState::Failed => Self::Failed,
            SignalState::Partial => Self::Partial,
            SignalState::Expired => Self::Expired,
            SignalState::Quarantined => Self::Quarantined,
        }
    }
}

/// A page of signals, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalPage {
    /// The signals.
    pub signals: Vec<SignalView>,
    /// What to give as `before` for the next page; null when this is the last.
    pub next: Option<u64>,
}

/// A signal with all that is known of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalView {
    /// 64 hex digits.
    pub fingerprint: String,
    /// Its place in the order of arrival.
    pub sequence: u64,
    /// Where it stands.
    pub state: StateName,
    /// When it was stored.
    pub received_at_ms: i64,
    /// For how long it has been there, by this node's clock.
    pub age_ms: u64,
    /// After this it is not sent for the first time.
    pub expires_at_ms: Option<i64>,
    /// How many orders it asks for: one, or as many as its `legs`.
    pub legs: u16,
    /// The JSON as it came.
    #[schema(value_type = Object)]
    pub body: Box<RawValue>,
    /// All attempts, oldest first.
    pub attempts: Vec<AttemptView>,
    /// What leaders concluded and operators decided, oldest first.
    pub decisions: Vec<DecisionView>,
}

/// One attempt at one order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptView {
    /// Which order of the signal.
    pub leg: u16,
    /// Counts from 1 within the leg.
    pub number: u32,
    /// Under which epoch it was claimed.
    pub epoch: u64,
    /// By which leadership.
    pub owner: String,
    /// The id of the order at the broker.
    pub client_order_id: String,
    /// When.
    pub claimed_at_ms: i64,
    /// How it ended; null while nothing is known.
    pub outcome: Option<OutcomeName>,
    /// The broker's order id when accepted, else why.
    pub detail: Option<String>,
    /// An operator said that the broker does not have it, and had the signal sent again.
    pub answered_for: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeName {
    /// The broker has it.
    Accepted,
    /// The broker refused it.
    Rejected,
    /// Provably nothing was sent.
    NotSent,
    /// Nobody knows.
    Unknown,
}

/// One word about a signal that was no attempt's outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionView {
    /// When.
    pub at_ms: i64,
    /// The leader that concluded; null for an operator.
    pub leader: Option<String>,
    /// `found`, `quarantine`, `expire`; of operators `executed`, `not_executed`, `resend`.
    pub verdict: String,
    /// The broker's order id when found, else why.
    pub detail: String,
}

/// Past leaderships and the present one, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The leaderships.
    pub history: Vec<TermView>,
}

/// One leadership.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TermView {
    /// Its epoch.
    pub epoch: u64,
    /// `instance:boot-nonce:attempt`.
    pub holder: String,
    /// The node.
    pub instance: String,
    /// When it began.
    pub opened_at_ms: i64,
    /// When it ended; null while it lasts, or when nobody could say.
    pub closed_at_ms: Option<i64>,
    /// Why it ended.
    pub reason: Option<String>,
}

/// Who leads, as asked in three places: the five fields that the replaced system answered, and two more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaderView {
    /// The instance that the lease names.
    pub redis_leader: Option<String>,
    /// The instance that the store names.
    pub db_leader: Option<String>,
    /// This node.
    pub this_instance: String,
    /// Whether this node's gate is open, at this moment.
    pub is_leader: bool,
    /// Lease and store name different leaders for longer than the grace period.
    pub split_brain: bool,
    /// The newest epoch.
    pub epoch: u64,
    /// For how much longer the lease runs.
    pub lease_remaining_ms: Option<u64>,
}

/// What a load balancer is told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IsLeader {
    /// This node.
    pub instance: String,
    /// Whether its gate is open, at this moment.
    pub is_leader: bool,
}

/// What a probe is told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// This node.
    pub instance: String,
    /// Of the program.
    pub version: String,
    /// Whether it is alive, or ready.
    pub ok: bool,
    /// What is wrong, for people; empty when nothing is.
    pub flaws: Vec<String>,
}

/// An operator's word on a quarantined signal, or one that was executed in part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// What the operator found out or wants.
    pub resolution: ResolutionName,
    /// Why, for the record; not empty, at most 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
    /// How many attempts the operator saw, over all legs; the word is not taken when there are others by now.
    pub attempts: u32,
}

/// What an operator found out or wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolutionName {
    /// The broker has the order.
    Executed,
    /// The broker does not have it, and it shall not be sent.
    NotExecuted,
    /// The broker does not have it, and it shall be sent.
    Resend,
}

impl From<ResolutionName> for Resolution {
    fn from(name: ResolutionName) -> Self {
        match name {
            ResolutionName::Executed => Self::Executed,
            ResolutionName::NotExecuted => Self::NotExecuted,
            ResolutionName::Resend => Self::Resend,
        }
    }
}

/// What came of an operator's word on a signal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolved {
    /// Which signal.
    pub fingerprint: String,
    /// Where it stands now.
    pub state: StateName,
    /// It stands as the operator said. Else nothing was changed, and the status is 409: look at it again.
    pub taken: bool,
    /// With 409: what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<ErrorDetail>,
}

/// An operator's reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Why, for the record; not empty, at most 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

/// An operator's word was passed on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// The node that was told.
    pub instance: String,
    /// What it was told, with who said it.
    pub reason: String,
}

impl SignalView {
    /// `entry`, as it looks at `now`.
    pub fn of(entry: &Entry, now: Wall) -> Self {
        let Entry { record, received_at, decisions } = entry;
        Self {
            fingerprint: record.fingerprint.to_string(),
            sequence: record.sequence,
            state: record.state.into(),
            received_at_ms: received_at.as_millis(),
            age_ms: u64::try_from(now.since(*received_at).as_millis()).unwrap_or(u64::MAX),
            expires_at_ms: record.expires_at.map(Wall::as_millis),
            legs: record.legs,
            body: body(&record.raw),
            attempts: record.attempts.iter().map(AttemptView::of).collect(),
            decisions: decisions.iter().map(DecisionView::of).collect(),
        }
    }
}

/// Stored bytes were read as JSON before they were stored; what was put there by other hands is shown as a string.
fn body(raw: &[u8]) -> Box<RawValue> {
    let as_it_came = String::from_utf8(raw.to_vec()).ok().and_then(|text| RawValue::from_string(text).ok());
    as_it_came.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(raw);
        serde_json::value::to_raw_value(&*text).expect("a string is JSON")
    })
}

impl AttemptView {
    fn of(attempt: &Attempt) -> Self {
        let (outcome, detail) = match &attempt.outcome {
            None => (None, None),
            Some(Outcome::Accepted(id)) => (Some(OutcomeName::Accepted), Some(id.to_string())),
            Some(Outcome::Rejected(why)) => (Some(OutcomeName::Rejected), Some(why.clone())),
            Some(Outcome::NotSent(why)) => (Some(OutcomeName::NotSent), Some(why.clone())),
            Some(Outcome::Unknown(why)) => (Some(OutcomeName::Unknown), Some(why.clone())),
        };
        Self {
            leg: attempt.leg.0,
            number: attempt.number,
            epoch: attempt.epoch.0,
            owner: attempt.owner.to_string(),
            client_order_id: attempt.client_order_id.to_string(),
            claimed_at_ms: attempt.claimed_at.as_millis(),
            outcome,
            detail,
            answered_for: attempt.answered_for,
        }
    }
}

impl DecisionView {
    fn of(decision: &Decision) -> Self {
        Self {
            at_ms: decision.at.as_millis(),
            leader: decision.leader.as_ref().map(ToString::to_string),
            verdict: decision.verdict.clone(),
            detail: decision.detail.clone(),
        }
    }
}

impl TermView {
    /// `term`, as it is shown.
    pub fn of(term: &Term) -> Self {
        Self {
            epoch: term.epoch.0,
            holder: term.holder.to_string(),
            instance: term.holder.instance().to_owned(),
            opened_at_ms: term.opened_at.as_millis(),
            closed_at_ms: term.closed.as_ref().map(|(at, _)| at.as_millis()),
            reason: term.closed.as_ref().map(|(_, reason)| reason.clone()),
        }
    }
}

impl Taken {
    /// A receipt, as it is shown.
    pub fn of(fingerprint: Fingerprint, new: bool, state: SignalState) -> Self {
        Self { fingerprint: fingerprint.to_string(), new, state: state.into() }
    }
}
