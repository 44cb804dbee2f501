//! Who leads, who led, and operators' words.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use hyper::{HeaderMap, StatusCode, Uri};
use oncegate_coordinator::timeout::until;

use crate::answer::json;
use crate::auth::Caller;
use crate::body::word;
use crate::error::{ApiError, ErrorBody};
use crate::guard::RequestId;
use crate::routes::reason;
use crate::routes::signals::limit;
use crate::shared::Shared;
use crate::wire::{Because, Heard, History, LeaderView, TermView};

/// Who leads, as asked in three places.
#[utoipa::path(
    get,
    path = "/coordinator/leader",
    tag = "coordinator",
    responses(
        (status = 200, description = "Who leads, as of the last look", body = LeaderView),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn leader(State(shared): State<Arc<Shared>>) -> Response {
    let overview = Arc::clone(&shared.api.overview.borrow());
    let leader = &overview.leader;
    let view = LeaderView {
        redis_leader: leader.redis_leader.clone(),
        db_leader: leader.db_leader.clone(),
        this_instance: shared.api.instance.clone(),
        is_leader: is_leader(&shared),
        split_brain: leader.split_brain,
        epoch: leader.epoch,
        lease_remaining_ms: leader.lease_remaining_ms,
    };
    json(StatusCode::OK, &view)
}

/// Whether this node's gate is open, now.
pub(crate) fn is_leader(shared: &Shared) -> bool {
    shared.api.handle.status().gate_open(shared.api.clock.now().mono)
}

/// Who led, newest first.
#[utoipa::path(
    get,
    path = "/coordinator/history",
    tag = "coordinator",
    params(("limit" = Option<u32>, Query, description = "At most so many, 1 to 200; 50 if not given")),
    responses(
        (status = 200, description = "The leaderships", body = History),
        (status = 503, description = "The store can't be read", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn history(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, ApiError> {
    let terms = shared.read(shared.api.ledger.history(limit(uri.query().unwrap_or_default())?)).await?;
    Ok(json(StatusCode::OK, &History { history: terms.iter().map(TermView::of).collect() }))
}

/// Give leadership up, and let others go first.
#[utoipa::path(
    post,
    path = "/coordinator/step-down",
    tag = "coordinator",
    request_body = Because,
    responses(
        (status = 202, description = "The node was told; watch `/coordinator/leader`", body = Heard),
        (status = 409, description = "This node does not lead", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn step_down(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let reason = heard(&shared, &caller, &id, "step-down", &headers, body).await?;
    let api = &shared.api;
    if api.handle.status().authority.is_none() {
        let message = "this node does not lead: ask the one that does (/coordinator/leader names it)";
        return Err(ApiError::new(StatusCode::CONFLICT, "not_leader", message));
    }
    in_time(&shared, api.handle.step_down(reason.clone())).await?;
    Ok(told(&shared, StatusCode::ACCEPTED, reason))
}

/// Stop new orders, on whichever node leads, until they are resumed.
#[utoipa::path(
    post,
    path = "/coordinator/pause",
    tag = "coordinator",
    request_body = Because,
    responses(
        (status = 200, description = "No new order is begun from now on", body = Heard),
        (status = 503, description = "Not known whether it was taken: look, and repeat", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn pause(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let reason = heard(&shared, &caller, &id, "pause", &headers, body).await?;
    set_pause(&shared, true, reason).await
}

/// Let new orders through again.
#[utoipa::path(
    post,
    path = "/coordinator/resume",
    tag = "coordinator",
    request_body = Because,
    responses(
        (status = 200, description = "Orders are begun again", body = Heard),
        (status = 503, description = "Not known whether it was taken: look, and repeat", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn resume(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let reason = heard(&shared, &caller, &id, "resume", &headers, body).await?;
    set_pause(&shared, false, reason).await
}

async fn set_pause(shared: &Shared, paused: bool, reason: String) -> Result<Response, ApiError> {
    let handle = &shared.api.handle;
    let asked = async { if paused { handle.pause(reason.clone()).await } else { handle.resume(reason.clone()).await } };
    in_time(shared, asked).await?.map_err(|why| ApiError::unavailable("not_durable", why))?;
    Ok(told(shared, StatusCode::OK, reason))
}

/// The reason, signed by who gave it, in the log before anything is done.
async fn heard(
    shared: &Shared,
    caller: &Caller,
    id: &RequestId,
    what: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, ApiError> {
    let api = &shared.api;
    let word: Because = word(headers, body, &*api.clock, &api.config.limits).await?;
    let reason = caller.signs(reason(&word.reason)?);
    if let Some(why) = api.health.why_read_only() {
        return Err(ApiError::unavailable("read_only", why));
    }
    tracing::info!(operator = caller.name(), reason, id = id.0, "{what}");
    Ok(reason)
}

async fn in_time<T>(shared: &Shared, asked: impl Future<Output = T>) -> Result<T, ApiError> {
    let clock = &*shared.api.clock;
    let within = shared.api.config.limits.operate_within;
    until(clock, clock.now().mono.plus(within), asked).await.ok_or_else(|| {
        let message = format!("no answer within {within:?}: it is not known whether it was heard; look, and repeat");
        ApiError::unavailable("no_answer", message)
    })
}

fn told(shared: &Shared, status: StatusCode, reason: String) -> Response {
    json(status, &Heard { instance: shared.api.instance.clone(), reason })
}
