//! A signal as it arrives: bytes from outside, read strictly or refused with a reason.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::fingerprint::{Fingerprint, IdentityRule};
use crate::legs;
use crate::time::Wall;

/// The largest signal taken, in bytes.
pub const MAX_SIGNAL_BYTES: usize = 64 * 1024;

/// Beyond this an integer is not the same number to every reader of JSON (RFC 8785, section 3.2.2.3).
const MAX_EXACT_INTEGER: u64 = 1 << 53;

/// The optional member of a signal that says until when it may be sent: Unix time in milliseconds.
pub const DEADLINE_POINTER: &str = "/expires_at_ms";

/// A signal that was read, identified and found well formed.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct Signal {
    /// Which signal this is.
    pub fingerprint: Fingerprint,
    /// The SHA-256 of the canonical whole body: tells a repeat from a different body of the same identity.
    pub body_digest: Fingerprint,
    /// The bytes as they came.
    pub raw: Vec<u8>,
    /// After this the signal must not be sent for the first time.
    pub expires_at: Option<Wall>,
    /// How many orders it asks for ([`crate::legs`]).
    #[serde(default = "one")]
    pub legs: u16,
}

/// What recordings of before there were several say.
pub(crate) fn one() -> u16 {
    1
}

/// Why a signal was refused; the sender must change it, repeating it as it is won't help.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignalError {
    /// Not JSON, or JSON that not every reader reads alike.
    #[error("the signal can't be read: {detail}")]
    NotJson {
        /// What and where.
        detail: String,
    },
    /// JSON, but not an object.
    #[error("the signal must be a JSON object, not {found}")]
    NotAnObject {
        /// What it was instead.
        found: &'static str,
    },
    /// Over [`MAX_SIGNAL_BYTES`].
    #[error("the signal has {bytes} bytes; at most {MAX_SIGNAL_BYTES} are taken")]
    TooLarge {
        /// How large it was.
        bytes: usize,
    },
    /// A field that the identity rule names is absent.
    #[error("the signal has no {pointer}, which its identity needs")]
    MissingIdentity {
        /// The JSON pointer of the field.
        pointer: String,
    },
    /// The deadline is there but is no Unix time in milliseconds.
    #[error("{DEADLINE_POINTER} must be a whole number of milliseconds since 1970, not {found}")]
    BadDeadline {
        /// What it was instead.
        found: String,
    },
    /// There are legs, but no such list of orders as is sent ([`crate::legs`]).
    #[error("{pointer} must be {wanted}, not {found}")]
    BadLegs {
        /// The JSON pointer of what is wrong.
        pointer: String,
        /// What would be taken there.
        wanted: &'static str,
        /// What it was instead.
        found: String,
    },
}

impl Signal {
    /// Reads a signal strictly: one JSON object, no duplicate keys, no integer beyond 2^53.
    ///
    /// # Errors
    /// [`SignalError`], which tells the sender what to change.
    pub fn read(raw: &[u8], identity: &IdentityRule) -> Result<Self, SignalError> {
        if raw.len() > MAX_SIGNAL_BYTES {
            return Err(SignalError::TooLarge { bytes: raw.len() });
        }
        let body = read_strictly(raw)?;
        if !body.is_object() {
            return Err(SignalError::NotAnObject { found: kind(&body) });
        }
        let expires_at = match body.pointer(DEADLINE_POINTER) {
            None | Some(Value::Null) => None,
            Some(value) => match value.as_i64() {
                Some(millis) if millis >= 0 => Some(Wall::from_millis(millis)),
                _ => return Err(SignalError::BadDeadline { found: value.to_string() }),
            },
        };
        let canonical =
            serde_json_canonicalizer::to_vec(&body).map_err(|e| SignalError::NotJson { detail: e.to_string() })?;
        Ok(Self {
            fingerprint: identity.fingerprint(&body)?,
            body_digest: Fingerprint::of_bytes(&canonical),
            raw: raw.to_vec(),
            expires_at,
            legs: legs::count(&body)?,
        })
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// `serde_json::Value` keeps the last of two equal keys in silence, and another reader may keep the first.
fn read_strictly(raw: &[u8]) -> Result<Value, SignalError> {
    let refused = |e: serde_json::Error| SignalError::NotJson { detail: e.to_string() };
    let mut reader = serde_json::Deserializer::from_slice(raw);
    let value = Strict.deserialize(&mut reader).map_err(refused)?;
    reader.end().map_err(refused)?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > MAX_EXACT_INTEGER {
            return Err(E::custom(format_args!("integer {value} is beyond 2^53: send it as a string")));
        }
        Ok(Value::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > MAX_EXACT_INTEGER {
            return Err(E::custom(format_args!("integer {value} is beyond 2^53: send it as a string")));
        }
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // Integers too long for 64 bits arrive here, already rounded.
        #[allow(clippy::cast_precision_loss)]
        if value.fract() == 0.0 && value.abs() > MAX_EXACT_INTEGER as f64 {
            return Err(E::custom(format_args!("integer {value} is beyond 2^53: send it as a string")));
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(serde::de::Error::custom(format_args!("key {key:?} stands twice")));
            }
            let value = members.next_value_seed(Strict)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Signal, SignalError> {
        Signal::read(text.as_bytes(), &IdentityRule::default())
    }

    #[test]
    fn raw_bytes_are_kept_and_the_deadline_is_read() {
        let text = "{ \"id\": 1, \"expires_at_ms\": 1700000000000 }";
        let signal = read(text).unwrap();
        assert_eq!(signal.raw, text.as_bytes());
        assert_eq!(signal.expires_at, Some(Wall::from_millis(1_700_000_000_000)));
    }

    #[test]
    fn what_readers_would_disagree_about_is_refused() {
        for text in [
            "",
            "{",
            "{} {}",
            "[]",
            "null",
            "3",
            r#""{}""#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"\u0062":2}}"#,
            r#"{"a":9007199254740993}"#,
            r#"{"a":-9007199254740993}"#,
            r#"{"a":100000000000000000000}"#,
            r#"{"a":1e400}"#,
            r#"{"a":NaN}"#,
            r#"{"expires_at_ms":"soon"}"#,
            r#"{"expires_at_ms":-1}"#,
            r#"{"expires_at_ms":1.5}"#,
        ] {
            assert!(read(text).is_err(), "{text} was taken");
        }
        assert!(read(&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_SIGNAL_BYTES))).is_err());
    }

    #[test]
    fn refusals_say_what_and_where() {
        assert_eq!(
            read(r#"{"a":1,"a":2}"#).unwrap_err().to_string(),
            "the signal can't be read: key \"a\" stands twice at line 1 column 10"
        );
        assert_eq!(read("[1]").unwrap_err().to_string(), "the signal must be a JSON object, not an array");
    }

    #[test]
    fn the_largest_exact_integer_is_taken() {
        assert!(read(r#"{"a":9007199254740992,"b":-9007199254740992,"c":1.5e300}"#).is_err());
        assert!(read(r#"{"a":9007199254740992,"b":-9007199254740992,"c":0.1}"#).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Signal::read(&bytes, &IdentityRule::default());
        }
    }
}
