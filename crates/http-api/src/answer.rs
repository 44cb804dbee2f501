//! Answers as they are written.

use axum::body::Body;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

/// How JSON is announced.
pub(crate) const JSON: &str = "application/json";

/// `body` as JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => text(status, JSON, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            let said = r#"{"error":{"code":"internal","message":"the answer could not be written","pointer":null}}"#;
            text(StatusCode::INTERNAL_SERVER_ERROR, JSON, said)
        }
    }
}

/// `body` as it is.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
