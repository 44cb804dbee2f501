//! What engines send and get, as JSON.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/work?wait=30s` | - | 200 [`WorkItem`], or 204 when there was none in that time |
//! | `POST /v1/attempts` | [`BeginRequest`] | 200 [`Begun`] |
//! | `POST /v1/attempts/{id}/outcome` | [`Report`] | 200 [`Finished`] |
//!
//! The id of the last is an `attempt_id`, or the `work_id` of a look-up.

use std::time::Duration;

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{BrokerOrderId, ClientOrderId, Epoch, Fingerprint, Leg, Outcome, SignalState};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::DeskError;

/// How long a request for work waits when it doesn't say.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// The longest that it may wait; longer is cut to this.
pub const MAX_WAIT: Duration = Duration::from_secs(60);
/// The longest key of a begin, in bytes.
pub const MAX_KEY_BYTES: usize = 128;
/// The longest order id of a broker, in bytes.
pub const MAX_ORDER_ID_BYTES: usize = 256;
/// How much of a reason is kept, in characters.
pub const MAX_REASON_CHARS: usize = 1_000;

/// Work for an engine.
#[derive(Clone, Debug, Serialize)]
pub struct WorkItem {
    /// Names the work in what follows.
    pub work_id: String,
    /// What is to be done, and about what.
    #[serde(flatten)]
    pub task: Task,
    /// How long there is from now to begin an order, or to answer a look-up, in milliseconds.
    pub answer_within_ms: u64,
}

/// What is to be done.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Place one order: begin it, and only then send it, under the client order id that the begin is answered with.
    Place {
        /// Which signal.
        fingerprint: Fingerprint,
        /// Which order of the signal.
        leg: Leg,
        /// The signal as it came, byte for byte but for white space around it.
        body: Box<RawValue>,
    },
    /// Ask the broker whether it has this order. Nothing may be sent for it.
    LookUp {
        /// The id that it was placed under.
        client_order_id: ClientOrderId,
    },
}

/// The body of `POST /v1/attempts`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginRequest {
    /// Which work.
    pub work_id: String,
    /// Drawn at random for this one begin. A request that repeats it gets the same answer again, should the first
    /// have been lost; without one, nothing is repeated.
    #[serde(default)]
    pub key: Option<String>,
}

/// The answer to a begin: from now on an order may be on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// Names the attempt when its outcome is told.
    pub attempt_id: String,
    /// Place the order under this id, and under no other.
    pub client_order_id: ClientOrderId,
    /// The fencing token, for brokers and gateways that take one.
    pub epoch: Epoch,
    /// Which signal.
    pub fingerprint: Fingerprint,
    /// Which order of the signal.
    pub leg: Leg,
    /// Which attempt at it, counting from 1.
    pub number: u32,
    /// Send nothing later than this many milliseconds after the begin was *asked for*, on a monotonic clock.
    pub send_within_ms: u64,
    /// An outcome told later than this many milliseconds from now is late: still wanted, but until then the order is
    /// in doubt.
    pub answer_within_ms: u64,
}

/// The body of an outcome: how an attempt ended, or what a look-up found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// The broker has the order.
    Accepted {
        /// The broker's own name for it.
        broker_order_id: BrokerOrderId,
    },
    /// The broker refused the order for good.
    Rejected {
        /// For people.
        #[serde(default)]
        reason: String,
    },
    /// The engine knows for sure that no byte of the order left it. A time-out is no such knowledge.
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
        broker_order_id: BrokerOrderId,
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

/// The answer to an outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// It came in time for the gate, which takes it from here. If not: what is still to be learned from it was
    /// written to the store, and the rest is of no use any more.
    pub in_time: bool,
    /// Where the signal stands, when this outcome was written to the store before this answer; an acceptance
    /// always is.
    pub state: Option<SignalState>,
}

impl Report {
    /// Its name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::NotSent { .. } => "not_sent",
            Self::Unknown { .. } => "unknown",
            Self::Found { .. } => "found",
            Self::NotFound => "not_found",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// As the outcome of an attempt; none when it answers a look-up.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Accepted { broker_order_id } => Some(Outcome::Accepted(broker_order_id.clone())),
            Self::Rejected { reason } => Some(Outcome::Rejected(told(reason))),
            Self::NotSent { reason } => Some(Outcome::NotSent(told(reason))),
            Self::Unknown { reason } => Some(Outcome::Unknown(told(reason))),
            Self::Found { .. } | Self::NotFound | Self::Unavailable { .. } => None,
        }
    }

    /// As the answer to a look-up; none when it is the outcome of an attempt.
    pub fn lookup_answer(&self) -> Option<LookupAnswer> {
        match self {
            Self::Found { broker_order_id } => Some(LookupAnswer::Found(broker_order_id.clone())),
            Self::NotFound => Some(LookupAnswer::NotFound),
            Self::Unavailable { reason } => Some(LookupAnswer::Unavailable(told(reason))),
            Self::Accepted { .. } | Self::Rejected { .. } | Self::NotSent { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Checks what the types don't.
    pub(crate) fn check(&self) -> Result<(), DeskError> {
        let (Self::Accepted { broker_order_id } | Self::Found { broker_order_id }) = self else { return Ok(()) };
        let length = broker_order_id.as_str().len();
        if length == 0 || length > MAX_ORDER_ID_BYTES {
            let detail = format!(
                "broker_order_id has {length} bytes: give the broker's own id of the order, of 1 to {MAX_ORDER_ID_BYTES}"
            );
            return Err(DeskError::Malformed { pointer: Some("/broker_order_id"), detail });
        }
        Ok(())
    }
}

fn told(reason: &str) -> String {
    if reason.is_empty() {
        return "the engine gave no reason".into();
    }
    reason.chars().take(MAX_REASON_CHARS).collect()
}

/// Reads the `wait` of a request for work: `30s`, `1500ms`, or seconds without a unit.
///
/// # Errors
/// [`DeskError::Malformed`] when it is neither.
pub fn read_wait(text: Option<&str>) -> Result<Duration, DeskError> {
    let Some(text) = text else { return Ok(DEFAULT_WAIT) };
    let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let wait = match (digits.parse(), unit) {
        (Ok(millis), "ms") => Duration::from_millis(millis),
        (Ok(seconds), "s" | "") => Duration::from_secs(seconds),
        (Ok(_) | Err(_), _) => {
            let detail = format!("wait={text:?} is no time: write it like 30s or 1500ms");
            return Err(DeskError::Malformed { pointer: None, detail });
        }
    };
    Ok(wait.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Report, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn outcomes_are_spelled_as_documented_and_anything_else_is_refused() {
        let id = BrokerOrderId::new("b-1");
        let accepted = Report::Accepted { broker_order_id: id.clone() };
        assert_eq!(read(r#"{"outcome":"accepted","broker_order_id":"b-1"}"#), Ok(accepted));
        assert_eq!(read(r#"{"outcome":"not_sent"}"#), Ok(Report::NotSent { reason: String::new() }));
        assert_eq!(read(r#"{"outcome":"unknown","reason":"x"}"#), Ok(Report::Unknown { reason: "x".into() }));
        assert_eq!(read(r#"{"outcome":"found","broker_order_id":"b-1"}"#), Ok(Report::Found { broker_order_id: id }));
        assert_eq!(read(r#"{"outcome":"not_found"}"#), Ok(Report::NotFound));
        for flawed in [
            "{}",
            r#"{"outcome":"accepted"}"#,
            r#"{"outcome":"Accepted","broker_order_id":"b-1"}"#,
            r#"{"outcome":"accepted","broker_order_id":7}"#,
            r#"{"outcome":"accepted","broker_order_id":"b-1","reason":"x"}"#,
            r#"{"outcome":"rejected","outcome":"accepted","broker_order_id":"b-1"}"#,
            r#"{"outcome":"not_sent","raeson":"x"}"#,
            r#"{"outcome":null}"#,
        ] {
            assert!(read(flawed).is_err(), "{flawed}: {:?}", read(flawed));
        }
    }

    #[test]
    fn work_is_spelled_as_documented() {
        let body: Box<RawValue> = serde_json::from_str(r#"{ "qty": 50.0}"#).unwrap();
        let fingerprint = Fingerprint::of_bytes(b"x");
        let task = Task::Place { fingerprint, leg: Leg(0), body };
        let item = WorkItem { work_id: "w-1".into(), task, answer_within_ms: 5 };
        assert_eq!(
            serde_json::to_string(&item).unwrap(),
            format!(
                r#"{{"work_id":"w-1","kind":"place","fingerprint":"{fingerprint}","leg":0,"body":{{ "qty": 50.0}},"answer_within_ms":5}}"#
            )
        );
        let task = Task::LookUp { client_order_id: ClientOrderId::new("og1") };
        let item = WorkItem { work_id: "w-1".into(), task, answer_within_ms: 5 };
        assert_eq!(
            serde_json::to_string(&item).unwrap(),
            r#"{"work_id":"w-1","kind":"look_up","client_order_id":"og1","answer_within_ms":5}"#
        );
    }

    #[test]
    fn waits_are_read_and_bounded() {
        assert_eq!(read_wait(None), Ok(DEFAULT_WAIT));
        assert_eq!(read_wait(Some("7s")), Ok(Duration::from_secs(7)));
        assert_eq!(read_wait(Some("7")), Ok(Duration::from_secs(7)));
        assert_eq!(read_wait(Some("1500ms")), Ok(Duration::from_millis(1_500)));
        assert_eq!(read_wait(Some("7000s")), Ok(MAX_WAIT));
        for flawed in ["", "s", "-1s", "1m", "1.5s", "99999999999999999999999s"] {
            assert!(read_wait(Some(flawed)).is_err(), "{flawed}");
        }
    }
}
