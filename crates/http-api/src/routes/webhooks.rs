//! Signals from senders that can't set headers. See [`crate::webhook`].

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::{HeaderMap, Uri};
use oncegate_protocol::signal::MAX_SIGNAL_BYTES;

use crate::body::whole;
use crate::error::{ApiError, ErrorBody};
use crate::routes::signals::offer;
use crate::shared::Shared;
use crate::wire::Taken;

/// Offer a signal as a configured sender, shown by a signature, or a secret in query or body.
///
/// Answers as `POST /v1/signals` does. The body is taken as JSON whatever the header Content-Type says.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{sender}",
    tag = "signals",
    params(("sender" = String, Path, description = "The name of a configured sender")),
    request_body(content = Object, description = "As of `POST /v1/signals`; where the secret stands in the body, it is \
        replaced by null before anything else is done"),
    responses(
        (status = 202, description = "Stored; it was not there before", body = Taken),
        (status = 200, description = "It was there already", body = Taken),
        (status = 401, description = "No such sender, or not from it", body = ErrorBody),
        (status = "default", description = "As of POST /v1/signals", body = ErrorBody),
    ),
    security(())
)]
pub(crate) async fn receive(
    State(shared): State<Arc<Shared>>,
    Path(sender): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    take(&shared, &sender, None, &uri, &headers, body).await
}

/// Offer a signal as a configured sender, shown by a secret in the path.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{sender}/{secret}",
    tag = "signals",
    params(
        ("sender" = String, Path, description = "The name of a configured sender"),
        ("secret" = String, Path, description = "Its secret"),
    ),
    request_body(content = Object, description = "As of `POST /v1/signals`"),
    responses(
        (status = 202, description = "Stored; it was not there before", body = Taken),
        (status = 200, description = "It was there already", body = Taken),
        (status = 401, description = "No such sender, or not from it", body = ErrorBody),
        (status = "default", description = "As of POST /v1/signals", body = ErrorBody),
    ),
    security(())
)]
pub(crate) async fn receive_by_path(
    State(shared): State<Arc<Shared>>,
    Path((sender, secret)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    take(&shared, &sender, Some(&secret), &uri, &headers, body).await
}

async fn take(
    shared: &Shared,
    sender: &str,
    secret: Option<&str>,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let api = &shared.api;
    let raw = whole(body, MAX_SIGNAL_BYTES, &*api.clock, &api.config.limits).await?;
    // Which names there are is told to nobody either.
    let webhook = api.config.webhooks.get(sender);
    let webhook =
        webhook.ok_or_else(|| ApiError::unauthenticated("there is no such sender, or this is not from it"))?;
    let raw = webhook.admit(secret, uri.query(), headers, raw)?;
    offer(shared, &raw).await
}
