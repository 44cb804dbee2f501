//! The shapes of [`oncegate_engine_desk::wire`] as the OpenAPI document describes them. The tests hold the two
//! together by what the desk really answers.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::wire::StateName;

/// Work for an engine.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum WorkItem {
    /// Place one order: begin it, and only then send it.
    Place {
        /// Names the work in what follows.
        work_id: String,
        /// Which signal, 64 hex digits.
        fingerprint: String,
        /// Which order of the signal.
        leg: u16,
        /// The signal as it came.
        #[schema(value_type = Object)]
        body: serde_json::Value,
        /// How long there is from now to begin it.
        answer_within_ms: u64,
    },
    /// Ask the broker whether it has this order. Nothing may be sent for it.
    LookUp {
        /// Names the look-up when it is answered.
        work_id: String,
        /// The id that the order was placed under.
        client_order_id: String,
        /// How long there is from now to answer.
        answer_within_ms: u64,
    },
}

/// Which work is begun.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginRequest {
    /// Of `GET /v1/work`.
    pub work_id: String,
    /// Drawn at random for this one begin: a request that repeats it gets the same answer again.
    #[schema(max_length = 128)]
    pub key: Option<String>,
}

/// From now on an order may be on its way.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// Names the attempt when its outcome is told.
    pub attempt_id: String,
    /// Place the order under this id, and under no other.
    pub client_order_id: String,
    /// The fencing token, for brokers and gateways that take one.
    pub epoch: u64,
    /// Which signal, 64 hex digits.
    pub fingerprint: String,
    /// Which order of the signal.
    pub leg: u16,
    /// Which attempt at it, counting from 1.
    pub number: u32,
    /// Send nothing later than this after the begin was asked for.
    pub send_within_ms: u64,
    /// An outcome told later than this from now is late: still wanted, but until then the order is in doubt.
    pub answer_within_ms: u64,
}

/// How an order ended, or what a look-up found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// The broker has the order.
    Accepted {
        /// The broker's own name for it.
        #[schema(min_length = 1, max_length = 256)]
        broker_order_id: String,
    },
    /// The broker refused the order for good.
    Rejected {
        /// For people.
        #[serde(default)]
        reason: String,
    },
    /// Provably no byte of the order left the engine. A time-out is no such knowledge.
    NotSent {
        /// For people.
        #[serde(default)]
        reason: String,
    },
    /// Anything else.
    Unknown {
        /// For people.
        #[serde(default)]
        reason: String,
    },
    /// To a look-up: the broker has the order.
    Found {
        /// The broker's own name for it.
        #[schema(min_length = 1, max_length = 256)]
        broker_order_id: String,
    },
    /// To a look-up: the broker answered, and does not see the order now.
    NotFound,
    /// To a look-up: the broker could not be asked, or gave no clear answer.
    Unavailable {
        /// For people.
        #[serde(default)]
        reason: String,
    },
}

/// An outcome was heard.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    /// It came in time for the node that waits for it.
    pub in_time: bool,
    /// Where the signal stands, when this outcome was written before this answer; an acceptance always is.
    pub state: Option<StateName>,
}
