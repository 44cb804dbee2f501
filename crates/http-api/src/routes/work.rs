//! Orders handed to an engine in another language. See [`oncegate_engine_desk`], which decides; this is its door.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, select};
use hyper::{HeaderMap, StatusCode, Uri};
use oncegate_coordinator::timeout::until;
use oncegate_engine_desk::wire::{BeginRequest, Report, read_wait};
use oncegate_engine_desk::{DeskError, EngineDesk};

use crate::answer::json;
use crate::body::word;
use crate::error::{ApiError, ErrorBody};
use crate::shared::Shared;
use crate::work_shapes as shape;

/// How often a request that waits looks whether the node is ending.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl From<DeskError> for ApiError {
    fn from(error: DeskError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let refusal = Self::new(status, error.code(), error.to_string());
        let refusal = match error.pointer() {
            Some(pointer) => refusal.at(pointer),
            None => refusal,
        };
        if status == StatusCode::SERVICE_UNAVAILABLE { refusal.retry_after(1) } else { refusal }
    }
}

fn desk(shared: &Shared) -> Result<&EngineDesk, ApiError> {
    shared.api.desk.as_ref().ok_or_else(|| {
        ApiError::not_found("no_desk", "this node hands out no work: it is configured to place orders itself")
    })
}

/// Take the oldest work that nobody has, as soon as there is some.
#[utoipa::path(
    get,
    path = "/v1/work",
    tag = "work",
    params(("wait" = Option<String>, Query, description = "How long to wait for some, like 30s or 1500ms; 30s if not given, 60s at most")),
    responses(
        (status = 200, description = "Work for this engine", body = shape::WorkItem),
        (status = 204, description = "There was none in that time: ask again"),
        (status = 404, description = "This node hands out no work", body = ErrorBody),
        (status = 503, description = "Too many engines wait already", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn work(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, ApiError> {
    let desk = desk(&shared)?;
    let mut wait = None;
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if name != "wait" || wait.is_some() {
            return Err(ApiError::bad_request("bad_parameter", "there is one parameter, wait, and it stands once"));
        }
        wait = Some(value);
    }
    let working = std::pin::pin!(desk.work(read_wait(wait.as_deref())?));
    let ending = std::pin::pin!(async {
        let clock = &shared.api.clock;
        while !shared.api.health.is_stopping() {
            clock.sleep_until(clock.now().mono.plus(LOOK_EVERY)).await;
        }
    });
    let item = match select(working, ending).await {
        Either::Left((item, _)) => item?,
        // Dropped, it leaves the work to others.
        Either::Right(((), _)) => None,
    };
    Ok(item.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |item| json(StatusCode::OK, &item)))
}

/// Begin an order: from the answer on it may be on its way.
///
/// The intent has been committed. Any other answer than 200 means: send nothing.
#[utoipa::path(
    post,
    path = "/v1/attempts",
    tag = "work",
    request_body = shape::BeginRequest,
    responses(
        (status = 200, description = "Place the order now, under this client order id", body = shape::Begun),
        (status = 404, description = "This node hands out no work", body = ErrorBody),
        (status = 409, description = "Somebody else has begun it: send nothing", body = ErrorBody),
        (status = 410, description = "The work is over, or the time to send: send nothing", body = ErrorBody),
        (status = "default", description = "Refused: send nothing", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn begin(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let desk = desk(&shared)?;
    let request: BeginRequest = word(&headers, body, &*shared.api.clock, &shared.api.config.limits).await?;
    Ok(json(StatusCode::OK, &desk.begin(&request)?))
}

/// Say how an order ended, or what a look-up found.
///
/// May be repeated, at any node. A time-out of the broker's is `unknown`; `not_sent` says that provably no byte of
/// the order left the engine.
#[utoipa::path(
    post,
    path = "/v1/attempts/{id}/outcome",
    tag = "work",
    params(("id" = String, Path, description = "The attempt_id, or the work_id of a look-up")),
    request_body = shape::Report,
    responses(
        (status = 200, description = "Heard", body = shape::Finished),
        (status = 404, description = "No such attempt, or this node hands out no work", body = ErrorBody),
        (status = 409, description = "It was said to have ended otherwise: find out, and tell an operator", body = ErrorBody),
        (status = 410, description = "That look-up is over", body = ErrorBody),
        (status = 503, description = "Not known to be recorded: say it again", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn outcome(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let desk = desk(&shared)?;
    let clock = &*shared.api.clock;
    let limits = &shared.api.config.limits;
    let report: Report = word(&headers, body, clock, limits).await?;
    let by = clock.now().mono.plus(limits.operate_within);
    let finished = until(clock, by, desk.finish(&id, report)).await;
    let finished = finished.unwrap_or_else(|| Err(DeskError::Unavailable("the store has not answered in time".into())));
    Ok(json(StatusCode::OK, &finished?))
}
