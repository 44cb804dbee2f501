//! Where the broker is and how to talk to it, checked before anything is at stake.

use std::fmt;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use oncegate_protocol::Capabilities;

/// How to reach a broker over HTTP.
#[derive(Clone, Debug)]
pub struct HttpBrokerConfig {
    /// Written `host:port`; what it means is up to the `Connect` port.
    pub peer: String,
    /// Put before `/orders`: empty, or starting with a slash and not ending in one.
    pub path_prefix: String,
    /// What the broker declares about itself.
    pub capabilities: Capabilities,
    /// The longest a look-up may take, connecting included.
    pub lookup_timeout: Duration,
    /// Shown to the broker as `authorization: Bearer ...`.
    pub bearer_token: Option<Secret>,
}

/// Text that must not reach a log: printed for debugging it shows only that it is there.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text; for the wire only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a configuration can't be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// The peer is no `host:port`.
    #[error("the broker's peer {peer:?} must be written host:port")]
    Peer {
        /// As configured.
        peer: String,
    },
    /// The prefix would make no path, or another path than meant.
    #[error("the broker's path prefix {prefix:?} must be empty, or a path that starts with a slash and ends in none")]
    PathPrefix {
        /// As configured.
        prefix: String,
    },
    /// The token can't be a header; it is not shown.
    #[error("the broker's bearer token has characters that no HTTP header can carry, or none at all")]
    BearerToken,
    /// No answer can come in no time.
    #[error("the broker's lookup_timeout must be longer than zero")]
    LookupTimeout,
}

/// The parts of a configuration that every request bears, read once.
pub(crate) struct RequestParts {
    pub(crate) host: HeaderValue,
    pub(crate) authorization: Option<HeaderValue>,
}

impl HttpBrokerConfig {
    /// Checks everything that can be checked without talking to the broker.
    pub(crate) fn check(&self) -> Result<RequestParts, ConfigError> {
        let bad_peer = || ConfigError::Peer { peer: self.peer.clone() };
        let (host, port) = self.peer.rsplit_once(':').ok_or_else(bad_peer)?;
        if host.is_empty() || port.parse::<u16>().is_err() || self.peer.contains(['@', '/']) {
            return Err(bad_peer());
        }
        let host = HeaderValue::from_str(&self.peer).map_err(|_| bad_peer())?;

        let prefix = &self.path_prefix;
        let is_path = prefix.parse::<Uri>().is_ok_and(|uri| uri.path() == prefix && uri.query().is_none());
        if !(prefix.is_empty() || prefix.starts_with('/') && !prefix.ends_with('/') && is_path) {
            return Err(ConfigError::PathPrefix { prefix: prefix.clone() });
        }

        let authorization = match &self.bearer_token {
            None => None,
            Some(token) if token.expose().is_empty() => return Err(ConfigError::BearerToken),
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                    .map_err(|_| ConfigError::BearerToken)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        if self.lookup_timeout.is_zero() {
            return Err(ConfigError::LookupTimeout);
        }
        Ok(RequestParts { host, authorization })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> HttpBrokerConfig {
        HttpBrokerConfig {
            peer: "broker:8080".into(),
            path_prefix: "/v1".into(),
            capabilities: Capabilities::deduplicating(),
            lookup_timeout: Duration::from_secs(1),
            bearer_token: Some(Secret::new("hunter2")),
        }
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_is_at_stake() {
        assert!(config().check().is_ok());
        for peer in ["", "broker", ":80", "broker:", "broker:http", "broker:70000", "http://broker:80", "a@b:80"] {
            let refused = HttpBrokerConfig { peer: peer.into(), ..config() }.check().err();
            assert_eq!(refused, Some(ConfigError::Peer { peer: peer.into() }));
        }
        for prefix in ["v1", "/", "/v1/", "/v1?a", "/v 1", "/v1#a"] {
            let refused = HttpBrokerConfig { path_prefix: prefix.into(), ..config() }.check().err();
            assert_eq!(refused, Some(ConfigError::PathPrefix { prefix: prefix.into() }));
        }
        for token in ["", "a\nb"] {
            let refused = HttpBrokerConfig { bearer_token: Some(Secret::new(token)), ..config() }.check().err();
            assert_eq!(refused, Some(ConfigError::BearerToken));
        }
        let refused = HttpBrokerConfig { lookup_timeout: Duration::ZERO, ..config() }.check().err();
        assert_eq!(refused, Some(ConfigError::LookupTimeout));
    }

    #[test]
    fn a_token_is_never_printed() {
        let parts = config().check().unwrap();
        let printed = format!("{:?} {:?}", config(), parts.authorization);
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
