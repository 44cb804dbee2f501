//! What a caller is told when the answer is no: one shape for every refusal.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use oncegate_protocol::signal::{DEADLINE_POINTER, SignalError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::json;

/// The body of every answer with a status from 400 on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// What is wrong, for programs and for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorDetail {
    /// In snake case; the same for the same mistake.
    pub code: String,
    /// What is wrong, where, and what to do.
    pub message: String,
    /// The JSON pointer (RFC 6901) of what is wrong in the body that was sent; the empty one means the whole of it,
    /// and null that it is not about one place.
    pub pointer: Option<String>,
}

/// A refusal on its way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub detail: ErrorDetail,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// A refusal by its status, its code and its sentence.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let detail = ErrorDetail { code: code.to_owned(), message: message.into(), pointer: None };
        Self { status, detail, headers: Vec::new() }
    }

    /// The same, about one place of the body.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.detail.pointer = Some(pointer.into());
        self
    }

    /// The same, with the time after which to try again, in whole seconds from 1 on.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.headers.push((RETRY_AFTER, HeaderValue::from(seconds.max(1))));
        self
    }

    /// 400: the request must be changed.
    pub fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: no token, or none that is known here.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message);
        error.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"oncegate\"")));
        error
    }

    /// 403: known, and not allowed.
    pub fn forbidden(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404: nothing of that name.
    pub fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 413: more than is taken.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("the body has more than {limit} bytes, which is the most that is taken here");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 503: nothing is known to have happened; repeating is safe.
    pub fn unavailable(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(1)
    }
}

impl From<SignalError> for ApiError {
    fn from(error: SignalError) -> Self {
        let message = error.to_string();
        match error {
            SignalError::NotJson { .. } => Self::bad_request("not_json", message),
            SignalError::NotAnObject { .. } => Self::bad_request("not_an_object", message).at(""),
            SignalError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message),
            SignalError::MissingIdentity { pointer } => Self::bad_request("missing_identity", message).at(pointer),
            SignalError::BadLegs { pointer, .. } => Self::bad_request("bad_legs", message).at(pointer),
            SignalError::BadDeadline { .. } => Self::bad_request("bad_deadline", message).at(DEADLINE_POINTER),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let mut response = json(self.status, &ErrorBody { error: self.detail });
        response.headers_mut().extend(self.headers);
        response
    }
}
