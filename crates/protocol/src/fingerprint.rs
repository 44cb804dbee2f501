//! Which signals are the same signal.
//!
//! The fingerprint is the SHA-256 of the RFC 8785 canonical JSON of `[schema version, identity]`, so that
//! white space, key order and number spelling never make two signals of one. The identity is the whole
//! object, or the fields that a list of JSON pointers (RFC 6901) names. Two bodies of one fingerprint are one
//! signal; dedup rows are never deleted, so this holds for ever.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::broker::KeyFormat;
use crate::ids::{ClientOrderId, Leg};
use crate::signal::SignalError;

/// The identity of a signal: 32 bytes, written as 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 32]);

/// Which part of a signal makes it that signal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityRule {
    /// Part of every fingerprint; raise it when the meaning of the fields changes.
    pub schema_version: u32,
    /// JSON pointers of the identifying fields; none means the whole object.
    #[serde(default)]
    pub fields: Vec<String>,
}

impl Default for IdentityRule {
    fn default() -> Self {
        Self { schema_version: 1, fields: Vec::new() }
    }
}

impl IdentityRule {
    /// The fingerprint of `body` under this rule.
    ///
    /// # Errors
    /// [`SignalError::MissingIdentity`] when a named field is absent: a signal without its identity would be
    /// the same as every other such signal.
    pub fn fingerprint(&self, body: &Value) -> Result<Fingerprint, SignalError> {
        let canonical = if self.fields.is_empty() {
            serde_json_canonicalizer::to_vec(&(self.schema_version, body))
        } else {
            let mut identity = BTreeMap::new();
            for pointer in &self.fields {
                let value =
                    body.pointer(pointer).ok_or_else(|| SignalError::MissingIdentity { pointer: pointer.clone() })?;
                identity.insert(pointer.as_str(), value);
            }
            serde_json_canonicalizer::to_vec(&(self.schema_version, identity))
        };
        let canonical = canonical.map_err(|e| SignalError::NotJson { detail: e.to_string() })?;
        Ok(Fingerprint::of_bytes(&canonical))
    }
}

impl Fingerprint {
    /// The SHA-256 of `bytes`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// From 32 bytes as stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hex digits, for people.
    pub fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(8);
        hex
    }

    /// The client order id of one leg: the same on every node and at every attempt.
    ///
    /// Its derived part is the hex of the SHA-256 of fingerprint and leg, cut to the length that the broker
    /// takes; [`KeyFormat::check`] keeps at least 64 bits of it.
    pub fn client_order_id(&self, leg: Leg, format: &KeyFormat) -> ClientOrderId {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(leg.0.to_be_bytes());
        let mut id = format.prefix.clone();
        id.push_str(&hex(&hasher.finalize()));
        id.truncate(format.max_len);
        ClientOrderId::new(id)
    }
}

impl KeyFormat {
    /// The fewest derived hex digits that keep two signals' ids apart (64 bits).
    pub const LEAST_DERIVED: usize = 16;

    /// # Errors
    /// What is wrong and what to write, when the ids could not be ASCII or would keep under 64 derived bits.
    pub fn check(&self) -> Result<(), String> {
        if !self.prefix.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("key prefix {:?} must be printable ASCII without spaces", self.prefix));
        }
        let least = self.prefix.len() + Self::LEAST_DERIVED;
        if self.max_len < least {
            return Err(format!(
                "client order ids of {} characters leave fewer than {} derived digits after prefix {:?}: \
                 allow at least {least}, or shorten the prefix",
                self.max_len,
                Self::LEAST_DERIVED,
                self.prefix
            ));
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("a fingerprint is 64 hex digits, not {text:?}");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn whole() -> IdentityRule {
        IdentityRule::default()
    }

    #[test]
    fn spelling_does_not_matter() {
        let a: Value = serde_json::from_str(r#"{"b": 1.50, "a": "A"}"#).unwrap();
        let b: Value = serde_json::from_str("{\"a\":\"\\u0041\",\n\"b\":1.5}").unwrap();
        assert_eq!(whole().fingerprint(&a).unwrap(), whole().fingerprint(&b).unwrap());
    }

    #[test]
    fn schema_version_and_identity_fields_do_matter() {
        let body = json!({"strategy": "s", "bar": 7, "note": "x"});
        let noted = json!({"strategy": "s", "bar": 7, "note": "y"});
        let rule = IdentityRule { schema_version: 1, fields: vec!["/strategy".into(), "/bar".into()] };
        assert_eq!(rule.fingerprint(&body).unwrap(), rule.fingerprint(&noted).unwrap());
        assert_ne!(whole().fingerprint(&body).unwrap(), whole().fingerprint(&noted).unwrap());
        let newer = IdentityRule { schema_version: 2, ..rule.clone() };
        assert_ne!(rule.fingerprint(&body).unwrap(), newer.fingerprint(&body).unwrap());
    }

    #[test]
    fn a_missing_identity_field_is_refused() {
        let rule = IdentityRule { schema_version: 1, fields: vec!["/bar".into()] };
        assert_eq!(
            rule.fingerprint(&json!({"strategy": "s"})),
            Err(SignalError::MissingIdentity { pointer: "/bar".into() })
        );
    }

    /// Pinned: a change here would make every stored signal a new one.
    #[test]
    fn the_fingerprint_is_what_it_was() {
        let body = json!({"id": "NIFTY-2026-11-23", "qty": 50});
        // printf '[1,{"id":"NIFTY-2026-11-23","qty":50}]' | sha256sum
        assert_eq!(
            whole().fingerprint(&body).unwrap().to_string(),
            "c8b8ffcfe0a217402c13bf342389b709185c3b9426c4f3a6291b15e093ee62ea"
        );
    }

    #[test]
    fn client_order_ids_fit_the_broker_and_differ_by_leg() {
        let fingerprint = Fingerprint::of_bytes(b"x");
        let format = KeyFormat { prefix: "og".into(), max_len: 20 };
        format.check().unwrap();
        let first = fingerprint.client_order_id(Leg(0), &format);
        assert_eq!(first.as_str().len(), 20);
        assert_ne!(first, fingerprint.client_order_id(Leg(1), &format));
        assert!(KeyFormat { prefix: "og".into(), max_len: 17 }.check().is_err());
        assert!(KeyFormat { prefix: "ö".into(), max_len: 36 }.check().is_err());
    }

    proptest! {
        #[test]
        fn text_form_reads_back(bytes: [u8; 32]) {
            let fingerprint = Fingerprint::from_bytes(bytes);
            prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        }
    }
}
