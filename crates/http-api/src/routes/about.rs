//! The dashboard and the OpenAPI document.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};

use crate::answer::text;
use crate::error::ErrorBody;
use crate::router::openapi;
use crate::shared::Shared;

/// The dashboard. It bears no data itself.
#[utoipa::path(
    get,
    path = "/",
    tag = "about",
    responses(
        (status = 200, description = "One self-contained page", body = String, content_type = "text/html"),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(())
)]
pub(crate) async fn page(State(shared): State<Arc<Shared>>) -> Response {
    let mut response = text(StatusCode::OK, "text/html; charset=utf-8", shared.api.page);
    if let Ok(policy) = HeaderValue::from_str(&shared.page_policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "about",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = Object),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(())
)]
pub(crate) async fn document(State(shared): State<Arc<Shared>>) -> Response {
    let document = serde_json::to_vec(&openapi(shared.api.version));
    text(StatusCode::OK, "application/json", document.expect("the document is made of strings, numbers and maps"))
}
