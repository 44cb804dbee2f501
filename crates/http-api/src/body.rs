//! Bodies, read whole within a size and a time.

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{HeaderMap, StatusCode};
use oncegate_coordinator::Clock;
use oncegate_coordinator::timeout::until;
use serde::de::DeserializeOwned;

use crate::config::Limits;
use crate::error::ApiError;

/// The largest body of an operator's word, in bytes.
pub(crate) const MAX_WORD_BYTES: usize = 16 * 1024;

/// A body that is too large is read on so far and thrown away, so that its sender comes to read why it was refused.
const READ_ON: u64 = 1 << 20;

/// The whole body, of at most `limit` bytes.
///
/// # Errors
/// 413, 408 when it does not come in time, 400 when it breaks off.
pub(crate) async fn whole(body: Body, limit: usize, clock: &dyn Clock, limits: &Limits) -> Result<Bytes, ApiError> {
    let by = clock.now().mono.plus(limits.body_within);
    until(clock, by, collect(body, limit)).await.unwrap_or_else(|| {
        let message = format!("the body did not come within {:?} of its head", limits.body_within);
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message))
    })
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > READ_ON {
        return Err(ApiError::too_large(limit));
    }
    let mut kept = Vec::new();
    let mut seen = 0_u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, "a body broke off");
            ApiError::bad_request("broken_body", "the body broke off, or is not framed as its head says")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len() as u64);
        if seen <= limit as u64 {
            kept.extend_from_slice(&data);
        } else if seen > READ_ON {
            break;
        } else {
            kept = Vec::new();
        }
    }
    if seen > limit as u64 { Err(ApiError::too_large(limit)) } else { Ok(kept.into()) }
}

/// Whether the body says of itself that it is JSON as it stands. A page on the web can't send that to another site
/// without asking first, which is refused here: this is what keeps strange pages from posting to a node on loopback.
///
/// # Errors
/// 415.
pub(crate) fn is_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let refused = |message: &str| Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", message));
    if headers.contains_key(CONTENT_ENCODING) {
        return refused("the body must come as it is, without content-encoding");
    }
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    refused("the header Content-Type must be application/json")
}

/// What the body says, as `T`.
///
/// # Errors
/// 415, 413, 408, and 400 with the JSON pointer of what does not fit.
pub(crate) async fn word<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    clock: &dyn Clock,
    limits: &Limits,
) -> Result<T, ApiError> {
    is_json(headers)?;
    let bytes = whole(body, MAX_WORD_BYTES, clock, limits).await?;
    let mut reader = serde_json::Deserializer::from_slice(&bytes);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        let error = error.into_inner();
        let code = if error.is_data() { "bad_request" } else { "not_json" };
        ApiError::bad_request(code, error.to_string()).at(pointer)
    })?;
    reader.end().map_err(|error| ApiError::bad_request("not_json", error.to_string()))?;
    Ok(read)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}
