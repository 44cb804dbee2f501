//! What each route answers, one file a subject. Who may ask was settled before.

pub(crate) mod about;
pub(crate) mod coordinator;
pub(crate) mod live;
pub(crate) mod probes;
pub(crate) mod signals;
pub(crate) mod webhooks;
pub(crate) mod work;

use crate::error::ApiError;

/// The longest reason that is taken, in characters.
const LONGEST_REASON: usize = 500;

/// An operator's reason, which goes into the record and the log as one line.
fn reason(given: &str) -> Result<&str, ApiError> {
    let reason = given.trim();
    let refused = |message: &str| Err(ApiError::bad_request("bad_reason", message).at("/reason"));
    if reason.is_empty() {
        return refused("a reason is needed: it stands in the record");
    }
    if reason.chars().count() > LONGEST_REASON || reason.chars().any(char::is_control) {
        return refused("the reason must be one line of at most 500 characters");
    }
    Ok(reason)
}
