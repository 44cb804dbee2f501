//! Who asks: bearer tokens (RFC 6750), each with a name and a role.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::config::{ApiConfig, ConfigError, check_name};
use crate::error::ApiError;

/// The shortest secret that is taken, in bytes.
pub const LEAST_SECRET_BYTES: usize = 16;

/// What a token is good for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Offering signals, and taking work as an engine.
    Submit,
    /// All of that, and everything that changes what was decided.
    Operate,
}

/// One known caller. Only a digest of its secret is kept.
#[derive(Clone)]
pub struct Token {
    name: String,
    role: Role,
    digest: [u8; 32],
}

impl Token {
    /// The caller `name`, recognised by `secret`.
    ///
    /// # Errors
    /// [`ConfigError::BadName`] and [`ConfigError::WeakSecret`].
    pub fn new(name: &str, role: Role, secret: &str) -> Result<Self, ConfigError> {
        check_name(name)?;
        check_secret(name, secret)?;
        Ok(Self { name: name.to_owned(), role, digest: digest(secret.as_bytes()) })
    }

    /// For logs, and for the reason of what this caller decides.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is good for.
    pub const fn role(&self) -> Role {
        self.role
    }

    pub(crate) fn same_secret(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {:?})", self.name, self.role)
    }
}

pub(crate) fn check_secret(name: &str, secret: &str) -> Result<(), ConfigError> {
    if secret.len() < LEAST_SECRET_BYTES {
        let (name, bytes) = (name.to_owned(), secret.len());
        return Err(ConfigError::WeakSecret { name, bytes, least: LEAST_SECRET_BYTES });
    }
    Ok(())
}

pub(crate) fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether `presented` is the secret of that digest, in a time that tells neither content nor length of the secret.
pub(crate) fn is_secret(presented: &[u8], of: &[u8; 32]) -> bool {
    digest(presented).ct_eq(of).into()
}

/// What a route asks of its caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// Nothing: what load balancers and browsers ask before anybody could have logged in. Not counted either.
    Nothing,
    /// What the configuration asks of readers.
    Read,
    /// The role to submit.
    Submit,
    /// A check of the route's own, in place of a token.
    Check,
    /// The role to operate.
    Operate,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Caller {
    /// The token's name and role; none without a token.
    pub(crate) token: Option<(String, Role)>,
}

impl Caller {
    /// The name, for logs.
    pub(crate) fn name(&self) -> &str {
        self.token.as_ref().map_or("-", |(name, _)| name)
    }

    /// `reason`, with who gave it.
    pub(crate) fn signs(&self, reason: &str) -> String {
        match &self.token {
            Some((name, _)) => format!("{reason} (by {name})"),
            None => reason.to_owned(),
        }
    }

    /// The caller that the headers name.
    ///
    /// # Errors
    /// 401 for a token that is not known here, and for what is no bearer token.
    pub(crate) fn of(headers: &HeaderMap, config: &ApiConfig) -> Result<Self, ApiError> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = given.next() else { return Ok(Self::default()) };
        if config.tokens.is_empty() {
            // Whoever brings a token to a node that knows none is as welcome as everybody else.
            return Ok(Self::default());
        }
        if given.next().is_some() {
            return Err(ApiError::unauthenticated("the header Authorization stands more than once"));
        }
        let value = value.as_bytes();
        let presented = match value.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
            Some(_) | None => {
                return Err(ApiError::unauthenticated("the header Authorization must read `Bearer TOKEN`"));
            }
        };
        // All of them are compared, so that the time does not tell which one it was nearly.
        let presented = digest(presented);
        let mut found = u32::MAX;
        for (at, token) in (0_u32..).zip(&config.tokens) {
            let same: Choice = presented.ct_eq(&token.digest);
            found.conditional_assign(&at, same);
        }
        match config.tokens.get(found as usize) {
            Some(token) => Ok(Self { token: Some((token.name.clone(), token.role)) }),
            None => Err(ApiError::unauthenticated("the token is not known here")),
        }
    }

    /// # Errors
    /// 401 when a token is needed and there is none, 403 when its role does not do.
    pub(crate) fn may(&self, need: Need, config: &ApiConfig) -> Result<(), ApiError> {
        let needed = match need {
            Need::Nothing | Need::Check => return Ok(()),
            _ if config.tokens.is_empty() => return Ok(()),
            Need::Read if !config.reads_need_token => return Ok(()),
            Need::Read | Need::Submit => Role::Submit,
            Need::Operate => Role::Operate,
        };
        match &self.token {
            None => Err(ApiError::unauthenticated("this needs a token: send the header `Authorization: Bearer TOKEN`")),
            Some((_, role)) if *role >= needed => Ok(()),
            Some((name, _)) => Err(ApiError::forbidden(
                "forbidden",
                format!("the token {name:?} may submit signals, but this needs one of the role operate"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ApiConfig {
        let tokens = vec![
            Token::new("sender", Role::Submit, "sender-secret-0123").unwrap(),
            Token::new("alice", Role::Operate, "alice-secret-01234").unwrap(),
        ];
        ApiConfig { tokens, ..ApiConfig::default() }
    }

    fn caller(value: &str) -> Result<Caller, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        Caller::of(&headers, &config())
    }

    #[test]
    fn a_known_token_is_its_bearer() {
        assert_eq!(caller("Bearer alice-secret-01234").unwrap().name(), "alice");
        assert_eq!(caller("bearer sender-secret-0123").unwrap().name(), "sender");
    }

    #[test]
    fn what_is_no_known_token_is_refused() {
        for value in ["Bearer ", "Bearer alice-secret-0123", "Basic YWxpY2U6eA==", "alice-secret-01234", "Bearer  x y"]
        {
            assert_eq!(caller(value).unwrap_err().status, 401, "{value}");
        }
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, "Bearer alice-secret-01234".parse().unwrap());
        twice.append(AUTHORIZATION, "Bearer alice-secret-01234".parse().unwrap());
        assert_eq!(Caller::of(&twice, &config()).unwrap_err().status, 401);
    }

    #[test]
    fn roles_do_what_they_are_for() {
        let config = ApiConfig { reads_need_token: true, ..config() };
        let [sender, alice] = ["Bearer sender-secret-0123", "Bearer alice-secret-01234"].map(|v| caller(v).unwrap());
        let nobody = Caller::default();
        let status = |caller: &Caller, need| caller.may(need, &config).map_err(|e| e.status.as_u16());
        for need in [Need::Read, Need::Submit, Need::Operate] {
            assert_eq!(status(&nobody, need), Err(401));
            assert_eq!(status(&alice, need), Ok(()));
        }
        assert_eq!(status(&sender, Need::Submit), Ok(()));
        assert_eq!(status(&sender, Need::Operate), Err(403));
        assert_eq!(status(&nobody, Need::Nothing), Ok(()));
        assert_eq!(nobody.may(Need::Operate, &ApiConfig::default()), Ok(()));
    }

    #[test]
    fn no_secret_is_shown() {
        assert!(!format!("{:?}", config()).contains("secret-0"));
    }
}
