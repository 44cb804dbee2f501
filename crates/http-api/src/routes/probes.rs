//! For load balancers, service managers and Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;

use crate::answer::{json, text};
use crate::error::ErrorBody;
use crate::health::alive;
use crate::routes::coordinator::is_leader;
use crate::shared::Shared;
use crate::wire::{Fit, IsLeader};

/// Whether this node leads: 200 or 503.
#[utoipa::path(
    get,
    path = "/leader",
    tag = "probes",
    responses(
        (status = 200, description = "This node's gate is open", body = IsLeader),
        (status = 503, description = "It is not", body = IsLeader),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(())
)]
pub(crate) async fn leader(State(shared): State<Arc<Shared>>) -> Response {
    let is_leader = is_leader(&shared);
    let status = if is_leader { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &IsLeader { instance: shared.api.instance.clone(), is_leader })
}

/// Whether the loop turns: who gets 503 here for a while should restart the process.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "probes",
    responses(
        (status = 200, description = "It turns, or there is none by design", body = Fit),
        (status = 503, description = "It is stuck, or has ended", body = Fit),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(())
)]
pub(crate) async fn livez(State(shared): State<Arc<Shared>>) -> Response {
    fit(&shared, stuck(&shared).await.into_iter().collect())
}

/// Whether this node can take signals: its loop turns, its store answers, and it is neither ending nor read-only.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "probes",
    responses(
        (status = 200, description = "It can", body = Fit),
        (status = 503, description = "It can't, and why", body = Fit),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(())
)]
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let health = &shared.api.health;
    let mut flaws = Vec::new();
    if health.is_stopping() {
        flaws.push("this node is ending".to_owned());
    }
    flaws.extend(health.why_read_only().map(str::to_owned));
    flaws.extend(stuck(&shared).await);
    flaws.extend(shared.board().await.err().map(|error| error.to_string()));
    fit(&shared, flaws)
}

async fn stuck(shared: &Shared) -> Option<String> {
    let api = &shared.api;
    if api.health.why_read_only().is_some() {
        return None;
    }
    alive(&api.handle, &*api.clock, api.config.limits.ping_within).await.err()
}

fn fit(shared: &Shared, flaws: Vec<String>) -> Response {
    let ok = flaws.is_empty();
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (instance, version) = (shared.api.instance.clone(), shared.api.version.to_owned());
    json(status, &Fit { instance, version, ok, flaws })
}

/// The figures, in Prometheus's text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "probes",
    responses(
        (status = 200, description = "Version 0.0.4 of the format", body = String, content_type = "text/plain"),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", shared.api.figures.prometheus())
}

/// The same figures as JSON.
#[utoipa::path(
    get,
    path = "/metrics.json",
    tag = "probes",
    responses(
        (status = 200, description = "The figures", body = Object),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn metrics_json(State(shared): State<Arc<Shared>>) -> Response {
    json(StatusCode::OK, &shared.api.figures.json())
}
