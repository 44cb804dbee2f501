//! What can be set, with its default, and what must not be set so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::auth::Token;
use crate::rate::Rate;
use crate::webhook::Webhook;

/// The longest that a sender may wait for its answer: webhook senders give up at 3 s, and many much sooner.
pub const LONGEST_SUBMIT: Duration = Duration::from_millis(500);

/// Who may do what, and how much of it.
#[derive(Clone, Debug, Default)]
pub struct ApiConfig {
    /// Who is known. While there is none, everybody may do everything, which [`ApiConfig::check`] allows on loopback
    /// alone.
    pub tokens: Vec<Token>,
    /// Reading needs a token too, of any role. The page itself, the OpenAPI document and what load balancers ask
    /// (`/leader`, `/livez`, `/readyz`) never do.
    pub reads_need_token: bool,
    /// Names, beside those of loopback, by which this API is called while it has no tokens: without port, in lower
    /// case. It keeps pages on the web from reaching a node on the reader's own machine (DNS rebinding).
    pub hosts: Vec<String>,
    /// Senders that can't set headers, by the name in their path (`/v1/webhooks/{name}`).
    pub webhooks: BTreeMap<String, Webhook>,
    /// How much, and how long.
    pub limits: Limits,
}

/// How much is taken, and how long is waited. All times by the `Clock` port.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
    /// A signal is answered within this time from when it was read; 503 when the store has not answered by then.
    /// Default 450 ms, less than [`LONGEST_SUBMIT`].
    pub submit_within: Duration,
    /// What people read of the store must come within this time. Default 2 s.
    pub read_within: Duration,
    /// An operator's word is answered within this time. Default 4 s.
    pub operate_within: Duration,
    /// The loop must come round to a probe's question within this time. Default 2 s.
    pub ping_within: Duration,
    /// The head of a request must come within this time of its first byte, and the first byte of a connection within
    /// this time of its beginning. Default 5 s.
    pub head_within: Duration,
    /// The body of a request must come within this time of its head. Default 5 s.
    pub body_within: Duration,
    /// A connection on which nothing is asked is closed after this time. Default 15 s.
    pub idle_for: Duration,
    /// A peer that takes nothing of its answer for this long is cut off. Default 10 s.
    pub write_within: Duration,
    /// How long answers under way are waited for when the server ends. Default 1 s.
    pub drain: Duration,
    /// The most bytes of a request's line and headers. Default 16 KiB, at least 8 KiB.
    pub head_bytes: usize,
    /// The most header lines. Default 64.
    pub head_lines: usize,
    /// The most connections at a time. Default 256.
    pub connections: usize,
    /// The most connections at a time of one address. Default 128.
    pub connections_per_peer: usize,
    /// The most readers of `GET /v1/events` at a time. Default 32.
    pub event_streams: usize,
    /// How often each token, or each address without one, may ask; none for as often as it likes. Probes of load
    /// balancers don't count. Default 100 a second, 200 at once.
    pub rate: Option<Rate>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            submit_within: Duration::from_millis(450),
            read_within: Duration::from_secs(2),
            operate_within: Duration::from_secs(4),
            ping_within: Duration::from_secs(2),
            head_within: Duration::from_secs(5),
            body_within: Duration::from_secs(5),
            idle_for: Duration::from_secs(15),
            write_within: Duration::from_secs(10),
            drain: Duration::from_secs(1),
            head_bytes: 16 * 1024,
            head_lines: 64,
            connections: 256,
            connections_per_peer: 128,
            event_streams: 32,
            rate: Some(Rate { per_second: 100, burst: 200 }),
        }
    }
}

/// What must not be configured so.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// Whoever reaches it could place orders.
    #[error(
        "the API would listen at {0}, which is not this machine alone, and has no token: \
         configure a token, or listen on 127.0.0.1"
    )]
    Exposed(IpAddr),
    /// Two tokens of one name: the log could not say who it was.
    #[error("two tokens bear the name {0:?}: give each its own")]
    SameName(String),
    /// Two tokens of one secret: they would be one.
    #[error("the tokens {0:?} and {1:?} have the same secret: make another")]
    SameSecret(String, String),
    /// A name that would spoil a log line or a path.
    #[error("the name {0:?} is empty, longer than 64 characters, or not of letters, digits, '.', '_' and '-'")]
    BadName(String),
    /// It could be guessed.
    #[error(
        "the secret of {name:?} has {bytes} bytes, fewer than {least}: take for example the output of `openssl rand -hex 32`"
    )]
    WeakSecret {
        /// Whose.
        name: String,
        /// How long it is.
        bytes: usize,
        /// How long it must be.
        least: usize,
    },
    /// A limit that breaks a promise, or lets nothing through.
    #[error("{0}")]
    BadLimit(String),
    /// A webhook's check that could never pass or never fail.
    #[error("webhook {name:?}: {flaw}")]
    BadWebhook {
        /// Whose.
        name: String,
        /// What is wrong, and what to write.
        flaw: String,
    },
}

impl ApiConfig {
    /// Whether the API may listen at `address` with this configuration.
    ///
    /// # Errors
    /// The first thing that must not be so.
    pub fn check(&self, address: IpAddr) -> Result<(), ConfigError> {
        if self.tokens.is_empty() && !address.to_canonical().is_loopback() {
            return Err(ConfigError::Exposed(address));
        }
        let mut names = BTreeSet::new();
        for (at, token) in self.tokens.iter().enumerate() {
            if !names.insert(token.name()) {
                return Err(ConfigError::SameName(token.name().to_owned()));
            }
            if let Some(other) = self.tokens[..at].iter().find(|other| other.same_secret(token)) {
                return Err(ConfigError::SameSecret(other.name().to_owned(), token.name().to_owned()));
            }
        }
        for (name, webhook) in &self.webhooks {
            check_name(name)?;
            webhook.check().map_err(|flaw| ConfigError::BadWebhook { name: name.clone(), flaw })?;
        }
        self.limits.check()
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        let must = |holds: bool, rule: String| if holds { Ok(()) } else { Err(ConfigError::BadLimit(rule)) };
        must(
            self.submit_within < LONGEST_SUBMIT,
            format!("submit_within must be less than {LONGEST_SUBMIT:?}, but is {:?}", self.submit_within),
        )?;
        must(self.head_bytes >= 8 * 1024, format!("head_bytes must be at least 8192, but is {}", self.head_bytes))?;
        for (time, name) in [
            (self.submit_within, "submit_within"),
            (self.read_within, "read_within"),
            (self.operate_within, "operate_within"),
            (self.ping_within, "ping_within"),
            (self.head_within, "head_within"),
            (self.body_within, "body_within"),
            (self.idle_for, "idle_for"),
            (self.write_within, "write_within"),
        ] {
            must(!time.is_zero(), format!("{name} must be more than 0"))?;
        }
        for (count, name) in [
            (self.head_lines, "head_lines"),
            (self.connections, "connections"),
            (self.connections_per_peer, "connections_per_peer"),
            (self.event_streams, "event_streams"),
        ] {
            must(count > 0, format!("{name} must be more than 0"))?;
        }
        if let Some(rate) = self.rate {
            must(rate.per_second > 0 && rate.burst > 0, "a rate's per_second and burst must be more than 0".into())?;
        }
        Ok(())
    }
}

/// Whether `name` can stand in a log line, a path and an operator's reason as it is.
pub(crate) fn check_name(name: &str) -> Result<(), ConfigError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(ConfigError::BadName(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;

    const LOOPBACK: [&str; 3] = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];

    fn token(name: &str, secret: &str) -> Token {
        Token::new(name, Role::Submit, secret).unwrap()
    }

    #[test]
    fn without_tokens_only_loopback_is_listened_on() {
        let config = ApiConfig::default();
        for address in LOOPBACK {
            config.check(address.parse().unwrap()).unwrap();
        }
        for address in ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1"] {
            let address = address.parse().unwrap();
            assert_eq!(config.check(address), Err(ConfigError::Exposed(address)));
        }
        let config = ApiConfig { tokens: vec![token("a", "0123456789abcdef")], ..config };
        config.check("0.0.0.0".parse().unwrap()).unwrap();
    }

    #[test]
    fn tokens_that_could_be_taken_for_one_another_are_refused() {
        let address = "127.0.0.1".parse().unwrap();
        let tokens = vec![token("a", "0123456789abcdef"), token("a", "0123456789abcdeg")];
        let config = ApiConfig { tokens, ..ApiConfig::default() };
        assert_eq!(config.check(address), Err(ConfigError::SameName("a".into())));
        let tokens = vec![token("a", "0123456789abcdef"), token("b", "0123456789abcdef")];
        let config = ApiConfig { tokens, ..ApiConfig::default() };
        assert_eq!(config.check(address), Err(ConfigError::SameSecret("a".into(), "b".into())));
    }

    #[test]
    fn limits_that_break_a_promise_are_refused() {
        let broken: [fn(&mut Limits); 4] = [
            |l| l.submit_within = LONGEST_SUBMIT,
            |l| l.head_bytes = 100,
            |l| l.connections = 0,
            |l| l.rate = Some(Rate { per_second: 0, burst: 1 }),
        ];
        for breaks in broken {
            let mut config = ApiConfig::default();
            breaks(&mut config.limits);
            assert!(matches!(config.check("::1".parse().unwrap()), Err(ConfigError::BadLimit(_))));
        }
    }
}
