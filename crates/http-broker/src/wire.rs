//! The order API: what travels between oncegate and a broker, or a gateway in front of one.
//!
//! ```text
//! POST /orders                      content-type: application/json
//!                                   idempotency-key: <client order id>
//!                                   x-fencing-token: <epoch>
//!   {"client_order_id": .., "fingerprint": .., "leg": .., "epoch": .., "signal": <the signal, byte for byte>}
//!
//!   201        {"status": "accepted",  "client_order_id": .., "broker_order_id": ..}
//!   200 | 409  {"status": "duplicate", "client_order_id": .., "broker_order_id": ..}   there already
//!   422        {"status": "rejected",  "client_order_id": .., "reason": ..}            refused for good
//!
//! GET /orders/{client_order_id}
//!
//!   200        {"status": "accepted",  "client_order_id": .., "broker_order_id": ..}
//!   404        {"status": "not_found", "client_order_id": ..}
//! ```
//!
//! Every answer echoes the client order id; one that doesn't is no answer to the question. Further members
//! are ignored, a repeated one makes the answer malformed.

use std::fmt::Write as _;

use bytes::Bytes;
use oncegate_protocol::{BrokerOrderId, ClientOrderId, Epoch, Fingerprint, Leg, Order};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The path of the order collection, after the configured prefix.
pub const ORDERS_PATH: &str = "/orders";
/// Names the order to a broker that deduplicates by header; bears the client order id.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Bears the epoch: who knows a higher one should refuse.
pub const FENCING_TOKEN: &str = "x-fencing-token";
/// The content type of every body.
pub const JSON: &str = "application/json";

/// The body of `POST /orders`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderRequest {
    /// The id it is placed under, the same at every attempt.
    pub client_order_id: ClientOrderId,
    /// Which signal.
    pub fingerprint: Fingerprint,
    /// Which order of the signal.
    pub leg: Leg,
    /// The fencing token.
    pub epoch: Epoch,
    /// The signal as it came, byte for byte but for white space around it.
    pub signal: Box<RawValue>,
}

impl OrderRequest {
    /// The request for `order`.
    ///
    /// # Errors
    /// When the order's body is not JSON, which intake never lets through.
    pub fn of(order: &Order) -> Result<Self, serde_json::Error> {
        Ok(Self {
            client_order_id: order.client_order_id.clone(),
            fingerprint: order.fingerprint,
            leg: order.leg,
            epoch: order.epoch,
            signal: serde_json::from_slice(&order.body)?,
        })
    }
}

/// The body of every answer that means something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum OrderAnswer {
    /// The broker took the order, or, when looked up, has it.
    Accepted {
        /// The id that was asked about.
        client_order_id: ClientOrderId,
        /// The broker's own name for the order.
        broker_order_id: BrokerOrderId,
    },
    /// The broker had the order before this request, and did nothing.
    Duplicate {
        /// The id that was asked about.
        client_order_id: ClientOrderId,
        /// The broker's own name for the order.
        broker_order_id: BrokerOrderId,
    },
    /// The broker refused the order for good.
    Rejected {
        /// The id that was asked about.
        client_order_id: ClientOrderId,
        /// For people.
        reason: String,
    },
    /// The broker sees no such order now.
    NotFound {
        /// The id that was asked about.
        client_order_id: ClientOrderId,
    },
}

impl OrderAnswer {
    /// The id that the answer is about.
    pub const fn client_order_id(&self) -> &ClientOrderId {
        match self {
            Self::Accepted { client_order_id, .. }
            | Self::Duplicate { client_order_id, .. }
            | Self::Rejected { client_order_id, .. }
            | Self::NotFound { client_order_id } => client_order_id,
        }
    }

    /// The answer as JSON.
    ///
    /// # Panics
    /// Never: an answer is strings all the way down.
    pub fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).expect("strings are always JSON").into()
    }
}

/// The path under which `id` is looked up, after the configured prefix. Whatever is not an unreserved
/// character (RFC 3986, section 2.3) is percent-encoded, so that no id reaches another resource.
pub fn order_path(id: &ClientOrderId) -> String {
    let mut path = format!("{ORDERS_PATH}/");
    for byte in id.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

/// The id that `path` looks up, if it is one that [`order_path`] makes.
pub fn id_in_path(path: &str) -> Option<ClientOrderId> {
    let segment = path.strip_prefix(ORDERS_PATH)?.strip_prefix('/')?;
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'/' => return None,
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let value = digit(rest.next())? * 16 + digit(rest.next())?;
                bytes.push(u8::try_from(value).ok()?);
            }
            _ => bytes.push(byte),
        }
    }
    let id = String::from_utf8(bytes).ok()?;
    (!id.is_empty()).then(|| ClientOrderId::new(id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_are_spelled_as_documented() {
        let id = ClientOrderId::new("og-1");
        let broker_order_id = BrokerOrderId::new("b-1");
        let spelled = |answer: OrderAnswer| String::from_utf8(answer.to_json().to_vec()).unwrap();
        assert_eq!(
            spelled(OrderAnswer::Accepted { client_order_id: id.clone(), broker_order_id: broker_order_id.clone() }),
            r#"{"status":"accepted","client_order_id":"og-1","broker_order_id":"b-1"}"#
        );
        assert_eq!(
            spelled(OrderAnswer::Duplicate { client_order_id: id.clone(), broker_order_id }),
            r#"{"status":"duplicate","client_order_id":"og-1","broker_order_id":"b-1"}"#
        );
        assert_eq!(
            spelled(OrderAnswer::Rejected { client_order_id: id.clone(), reason: "no funds".into() }),
            r#"{"status":"rejected","client_order_id":"og-1","reason":"no funds"}"#
        );
        assert_eq!(
            spelled(OrderAnswer::NotFound { client_order_id: id }),
            r#"{"status":"not_found","client_order_id":"og-1"}"#
        );
    }

    #[test]
    fn an_id_cannot_climb_out_of_its_path() {
        assert_eq!(order_path(&ClientOrderId::new("../x?a=1 é")), "/orders/..%2Fx%3Fa%3D1%20%C3%A9");
        for stranger in ["/orders", "/orders/", "/orders/a/b", "/orders/%4", "/orders/%zz", "/orders/%ff", "/order/a"] {
            assert_eq!(id_in_path(stranger), None, "{stranger}");
        }
    }

    proptest! {
        #[test]
        fn any_id_survives_its_path(text in ".+") {
            let id = ClientOrderId::new(text);
            prop_assert_eq!(id_in_path(&order_path(&id)), Some(id));
        }
    }
}
