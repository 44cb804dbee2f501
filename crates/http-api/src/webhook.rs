//! Senders that can't set headers: each has a path of its own and one check.
//!
//! | check | where | for |
//! |---|---|---|
//! | HMAC | a header with the HMAC-SHA256 of the body, hex or base64, perhaps after a prefix like `sha256=` | senders that sign (GitHub, Shopify and many more) |
//! | path | `/v1/webhooks/{name}/{secret}` | senders that take a URL and nothing else |
//! | query | `/v1/webhooks/{name}?{key}={secret}` | the same |
//! | body | a string in the JSON body, at a JSON pointer | alert templates, like TradingView's |
//!
//! A secret in a path or query is seen by every proxy on the way and stands in its logs; ours never show it (they name
//! the route, not the path). Prefer the HMAC, then the body, over TLS in any case. A signature that is sent again by
//! somebody else is harmless: the same signal is the same fingerprint.
//!
//! **The secret in a body must not be stored.** Right after it was compared, and before the signal is read, its value
//! is replaced in the bytes by `null`: what is fingerprinted, stored, shown and sent to the broker never had it. All
//! other bytes stay as they came (numbers keep their spelling), and a new secret makes no new signal of an old one.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use hyper::header::HeaderName;
use serde_json::value::RawValue;
use sha2::Sha256;

use crate::auth::{check_secret, digest, is_secret};
use crate::config::ConfigError;
use crate::error::ApiError;

/// The deepest pointer that is followed.
const DEEPEST: usize = 8;

/// One sender and its check.
#[derive(Clone)]
pub struct Webhook(Kind);

/// How a sender shows that it is the one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Check {
    /// By signing the body with HMAC-SHA256.
    Hmac {
        /// The header that bears the signature.
        header: String,
        /// What stands before the signature, for example `sha256=`; may be empty.
        prefix: String,
        /// How the signature is written.
        encoding: Encoding,
    },
    /// By the last segment of the path.
    Path,
    /// By a parameter of the query.
    Query {
        /// Which.
        key: String,
    },
    /// By a string in the body.
    Body {
        /// Its JSON pointer (RFC 6901), through objects only.
        pointer: String,
    },
}

/// How 32 bytes are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// 64 hex digits.
    Hex,
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
}

#[derive(Clone)]
enum Kind {
    Hmac { header: String, prefix: String, encoding: Encoding, mac: Box<Hmac<Sha256>> },
    Path { digest: [u8; 32] },
    Query { key: String, digest: [u8; 32] },
    Body { pointer: String, digest: [u8; 32] },
}

impl Webhook {
    /// A sender named `name` that shows `secret` by `check`.
    ///
    /// # Errors
    /// [`ConfigError::WeakSecret`].
    pub fn new(name: &str, check: Check, secret: &str) -> Result<Self, ConfigError> {
        check_secret(name, secret)?;
        let digest = digest(secret.as_bytes());
        let kind = match check {
            Check::Hmac { header, prefix, encoding } => {
                let mac = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
                Kind::Hmac { header, prefix, encoding, mac: Box::new(mac) }
            }
            Check::Path => Kind::Path { digest },
            Check::Query { key } => Kind::Query { key, digest },
            Check::Body { pointer } => Kind::Body { pointer, digest },
        };
        Ok(Self(kind))
    }

    /// What could never pass, for people.
    pub(crate) fn check(&self) -> Result<(), String> {
        match &self.0 {
            Kind::Hmac { header, prefix, .. } => {
                if HeaderName::try_from(header).is_err() {
                    return Err(format!("{header:?} can't be the name of a header"));
                }
                if !prefix.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err(format!("the prefix {prefix:?} must be printable ASCII without spaces"));
                }
            }
            Kind::Path { .. } => {}
            Kind::Query { key, .. } => {
                if key.is_empty() {
                    return Err("the query's key is empty: name it".into());
                }
            }
            Kind::Body { pointer, .. } => {
                let depth = pointer.matches('/').count();
                if !pointer.starts_with('/') || depth > DEEPEST {
                    return Err(format!(
                        "{pointer:?} is no JSON pointer to a member at most {DEEPEST} deep: write /secret"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The signal's bytes, if it is this sender who sent them.
    ///
    /// # Errors
    /// 401, without saying how near it was.
    pub(crate) fn admit(
        &self,
        segment: Option<&str>,
        query: Option<&str>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, ApiError> {
        let refused = |what: &str| ApiError::unauthenticated(format!("{what} is not this sender's, or missing"));
        if segment.is_some() && !matches!(self.0, Kind::Path { .. }) {
            return Err(refused("the path"));
        }
        match &self.0 {
            Kind::Hmac { header, prefix, encoding, mac } => {
                let given = headers.get(header).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
                let given = given.strip_prefix(prefix.as_str()).unwrap_or_default();
                let given = match encoding {
                    Encoding::Hex => HEXLOWER_PERMISSIVE.decode(given.as_bytes()),
                    Encoding::Base64 => BASE64.decode(given.as_bytes()),
                };
                let mac = (**mac).clone().chain_update(&body);
                // In constant time.
                match given.map(|given| mac.verify_slice(&given)) {
                    Ok(Ok(())) => Ok(body),
                    Ok(Err(_)) | Err(_) => Err(refused("the signature")),
                }
            }
            Kind::Path { digest } => {
                let shown = is_secret(segment.unwrap_or_default().as_bytes(), digest);
                if shown { Ok(body) } else { Err(refused("the secret in the path")) }
            }
            Kind::Query { key, digest } => {
                let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
                let given: Vec<_> = pairs.filter(|(name, _)| name == key).collect();
                match &*given {
                    [(_, value)] if is_secret(value.as_bytes(), digest) => Ok(body),
                    _ => Err(refused("the secret in the query")),
                }
            }
            Kind::Body { pointer, digest } => match cut_out(&body, pointer) {
                Some((secret, rest)) if is_secret(secret.as_bytes(), digest) => Ok(rest.into()),
                Some(_) | None => Err(refused("the secret in the body")),
            },
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Hmac { header, .. } => write!(f, "Webhook(HMAC in {header})"),
            Kind::Path { .. } => write!(f, "Webhook(secret in the path)"),
            Kind::Query { key, .. } => write!(f, "Webhook(secret in the query's {key})"),
            Kind::Body { pointer, .. } => write!(f, "Webhook(secret at {pointer})"),
        }
    }
}

/// The string at `pointer`, and the bytes with `null` in its place. None when there is no such string, and when a key
/// on the way stands twice: then nobody could say which one is left behind.
fn cut_out(body: &[u8], pointer: &str) -> Option<(String, Vec<u8>)> {
    let mut at: &RawValue = serde_json::from_slice(body).ok()?;
    for token in pointer.split('/').skip(1).take(DEEPEST) {
        let key = token.replace("~1", "/").replace("~0", "~");
        at = serde_json::from_str::<Members<'_>>(at.get()).ok()?.0.remove(&key)?;
    }
    let secret = serde_json::from_str::<String>(at.get()).ok()?;
    // A borrowed raw value is a part of the bytes that it was read from.
    let start = (at.get().as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let end = start.checked_add(at.get().len()).filter(|end| *end <= body.len())?;
    Some((secret, [&body[..start], b"null", &body[end..]].concat()))
}

/// The members of an object, as they are written.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = BTreeMap<String, &'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut all = BTreeMap::new();
                while let Some((key, value)) = members.next_entry::<String, &'de RawValue>()? {
                    if all.insert(key, value).is_some() {
                        return Err(serde::de::Error::custom("a key stands twice"));
                    }
                }
                Ok(all)
            }
        }
        deserializer.deserialize_map(Visitor).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a shared secret of some length";

    fn admit(
        check: Check,
        segment: Option<&str>,
        query: Option<&str>,
        header: Option<(&str, &str)>,
        body: &str,
    ) -> Option<String> {
        let webhook = Webhook::new("w", check, SECRET).unwrap();
        webhook.check().unwrap();
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let admitted = webhook.admit(segment, query, &headers, Bytes::from(body.to_owned()));
        admitted.ok().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn a_signature_admits_the_body_that_it_signs_and_no_other() {
        let hmac =
            |encoding, prefix: &str| Check::Hmac { header: "x-signature".into(), prefix: prefix.into(), encoding };
        // printf '{"id":1}' | openssl dgst -sha256 -hmac 'a shared secret of some length'
        let pinned = "3d4fa2bb67a0fce8aaae130e48f60ed9613d376974cc91064c1d6142372e125e";
        let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(b"{\"id\":1}").finalize();
        let hexed = HEXLOWER_PERMISSIVE.encode(&mac.clone().into_bytes());
        let based = BASE64.encode(&mac.into_bytes());
        assert_eq!(hexed, pinned);
        let asked = |encoding, prefix: &str, value: &str, body: &str| {
            admit(hmac(encoding, prefix), None, None, Some(("x-signature", value)), body).is_some()
        };
        assert!(asked(Encoding::Hex, "sha256=", &format!("sha256={hexed}"), "{\"id\":1}"));
        assert!(asked(Encoding::Hex, "", &hexed.to_uppercase(), "{\"id\":1}"));
        assert!(asked(Encoding::Base64, "", &based, "{\"id\":1}"));
        assert!(!asked(Encoding::Hex, "sha256=", &hexed, "{\"id\":1}"), "without its prefix");
        assert!(!asked(Encoding::Hex, "", &hexed, "{\"id\":2}"));
        assert!(!asked(Encoding::Hex, "", &hexed[..62], "{\"id\":1}"));
        assert!(!asked(Encoding::Base64, "", &hexed, "{\"id\":1}"));
        assert!(!asked(Encoding::Hex, "", "", "{\"id\":1}"));
        assert_eq!(admit(hmac(Encoding::Hex, ""), None, None, None, "{}"), None);
        assert_eq!(admit(hmac(Encoding::Hex, ""), Some("x"), None, Some(("x-signature", &hexed)), "{\"id\":1}"), None);
    }

    #[test]
    fn a_secret_in_path_or_query_admits() {
        assert!(admit(Check::Path, Some(SECRET), None, None, "{}").is_some());
        assert!(admit(Check::Path, Some("another"), None, None, "{}").is_none());
        assert!(admit(Check::Path, None, None, None, "{}").is_none());
        let query = || Check::Query { key: "key".into() };
        let right = "a=b&key=a+shared%20secret+of+some+length";
        assert!(admit(query(), None, Some(right), None, "{}").is_some());
        assert!(admit(query(), None, Some(&format!("{right}&key=another")), None, "{}").is_none());
        assert!(admit(query(), None, Some("key=another"), None, "{}").is_none());
        assert!(admit(query(), None, None, None, "{}").is_none());
    }

    #[test]
    fn a_secret_in_the_body_admits_and_is_gone_while_all_else_stays() {
        let top = || Check::Body { pointer: "/secret".into() };
        let body = "{ \"price\": 1.50,\n \"secret\" : \"a shared\\u0020secret of some length\", \"n\": 1e2 }";
        let left = "{ \"price\": 1.50,\n \"secret\" : null, \"n\": 1e2 }";
        assert_eq!(admit(top(), None, None, None, body).as_deref(), Some(left));
        let nested = Check::Body { pointer: "/auth/a~1b".into() };
        let body = format!(r#"{{"auth":{{"a/b":"{SECRET}"}},"secret":"x"}}"#);
        assert_eq!(admit(nested, None, None, None, &body).as_deref(), Some(r#"{"auth":{"a/b":null},"secret":"x"}"#));
        for body in [
            "{}".to_owned(),
            "[]".into(),
            "{".into(),
            r#"{"secret":1}"#.into(),
            r#"{"secret":{"secret":"a"}}"#.into(),
            r#"{"secret":"another of some length"}"#.into(),
            format!(r#"{{"secret":"{SECRET}","secret":"{SECRET}"}}"#),
            format!(r#"{{"secret":"{SECRET}","s\u0065cret":"{SECRET}"}}"#),
        ] {
            assert_eq!(admit(top(), None, None, None, &body), None, "{body}");
        }
    }

    #[test]
    fn no_secret_is_shown_and_what_can_never_pass_is_refused() {
        for check in [Check::Path, Check::Body { pointer: "/a".into() }, Check::Query { key: "k".into() }] {
            assert!(!format!("{:?}", Webhook::new("w", check, SECRET).unwrap()).contains("shared"));
        }
        for check in [Check::Body { pointer: "secret".into() }, Check::Query { key: String::new() }] {
            assert!(Webhook::new("w", check, SECRET).unwrap().check().is_err());
        }
        let header = Check::Hmac { header: "x y".into(), prefix: String::new(), encoding: Encoding::Hex };
        assert!(Webhook::new("w", header, SECRET).unwrap().check().is_err());
        assert!(Webhook::new("w", Check::Path, "short").is_err());
    }
}
