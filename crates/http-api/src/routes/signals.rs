//! Signals in, and what became of them.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::{HeaderMap, StatusCode, Uri};
use oncegate_coordinator::SubmitError;
use oncegate_coordinator::ledger::{Entry, Wanted};
use oncegate_coordinator::timeout::until;
use oncegate_protocol::call::Resolution;
use oncegate_protocol::signal::{MAX_SIGNAL_BYTES, SignalError};
use oncegate_protocol::{Fingerprint, Leg, SignalState};

use crate::answer::json;
use crate::auth::Caller;
use crate::body::{is_json, whole, word};
use crate::error::{ApiError, ErrorBody};
use crate::guard::RequestId;
use crate::place::pointer_of;
use crate::routes::reason;
use crate::shared::Shared;
use crate::wire::{Resolve, Resolved, SignalPage, SignalView, Taken};

/// The most signals of one page.
const MOST: u32 = 200;

/// How many of the newest signals are looked through for one whose fingerprint begins as given.
const LOOKED_THROUGH: u32 = 1_000;

/// The fewest hex digits that a fingerprint can be called by.
const FEWEST_DIGITS: usize = 8;

/// Offer a signal.
///
/// 2xx says that it is durable, and then it is sent to the broker once, however often it is offered. On 503, 408 and
/// on no answer at all, offer it again, unchanged: it may be stored already, and will be answered 200.
#[utoipa::path(
    post,
    path = "/v1/signals",
    tag = "signals",
    request_body(content = Object, description = "Any JSON object of at most 64 KiB, without repeated keys and without \
        integers beyond 2^53. `expires_at_ms` (Unix time in milliseconds), if it is there, is until when it may be sent. \
        `legs`, if it is there, is a list of 2 to 8 orders, each an object: they are sent one after another, each once \
        the one before it was accepted, and each is what the broker gets; without it the whole object is the order."),
    responses(
        (status = 202, description = "Stored; it was not there before", body = Taken),
        (status = 200, description = "It was there already", body = Taken),
        (status = 400, description = "Not a signal: change it", body = ErrorBody),
        (status = 409, description = "Another body with this identity is stored: do not repeat", body = ErrorBody),
        (status = 413, description = "Too large", body = ErrorBody),
        (status = 415, description = "Not sent as application/json", body = ErrorBody),
        (status = 503, description = "Not known to be durable: repeat after Retry-After", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn submit(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    is_json(&headers)?;
    let api = &shared.api;
    let raw = whole(body, MAX_SIGNAL_BYTES, &*api.clock, &api.config.limits).await?;
    offer(&shared, &raw).await
}

/// Offers `raw` to the loop, and answers in time whatever the store does.
pub(crate) async fn offer(shared: &Shared, raw: &[u8]) -> Result<Response, ApiError> {
    let api = &shared.api;
    if let Some(why) = api.health.why_read_only() {
        return Err(ApiError::unavailable("read_only", why));
    }
    let within = api.config.limits.submit_within;
    match until(&*api.clock, api.clock.now().mono.plus(within), api.handle.submit(raw)).await {
        Some(Ok(receipt)) => {
            let status = if receipt.new { StatusCode::ACCEPTED } else { StatusCode::OK };
            Ok(json(status, &Taken::of(receipt.fingerprint, receipt.new, receipt.state)))
        }
        Some(Err(SubmitError::Malformed(error))) => {
            let place = match &error {
                SignalError::NotJson { detail } => pointer_of(raw, detail),
                SignalError::NotAnObject { .. }
                | SignalError::TooLarge { .. }
                | SignalError::MissingIdentity { .. }
                | SignalError::BadLegs { .. }
                | SignalError::BadDeadline { .. } => None,
            };
            let refusal = ApiError::from(error);
            Err(match place {
                Some(pointer) => refusal.at(pointer),
                None => refusal,
            })
        }
        Some(Err(error @ SubmitError::Conflict(_))) => {
            Err(ApiError::new(StatusCode::CONFLICT, "conflict", error.to_string()))
        }
        Some(Err(error @ SubmitError::Unavailable(_))) => Err(ApiError::unavailable("not_durable", error.to_string())),
        None => Err(ApiError::unavailable(
            "not_durable_yet",
            format!(
                "the store has not answered within {within:?}, so the signal may be stored or not; send it again, \
                 unchanged: one that is stored is answered 200, and is executed once all the same"
            ),
        )),
    }
}

/// Signals, newest first.
#[utoipa::path(
    get,
    path = "/v1/signals",
    tag = "signals",
    params(
        ("state" = Option<Vec<crate::wire::StateName>>, Query, description = "Only those in this state; may stand more than once"),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 200; 50 if not given"),
        ("before" = Option<u64>, Query, description = "Only those that came before the one of this sequence: `next` of the page before"),
    ),
    responses(
        (status = 200, description = "A page of signals", body = SignalPage),
        (status = 400, description = "A parameter that is not known, or a value that it can't have", body = ErrorBody),
        (status = 503, description = "The store can't be read", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, ApiError> {
    let wanted = wanted(uri.query().unwrap_or_default())?;
    let limit = wanted.limit as usize;
    let entries = shared.read(shared.api.ledger.signals(wanted)).await?;
    let next = if entries.len() < limit { None } else { entries.last().map(|entry| entry.record.sequence) };
    Ok(json(StatusCode::OK, &page(&shared, &entries, next)))
}

pub(crate) fn page(shared: &Shared, entries: &[Entry], next: Option<u64>) -> SignalPage {
    let now = shared.api.clock.now().wall;
    SignalPage { signals: entries.iter().map(|entry| SignalView::of(entry, now)).collect(), next }
}

fn wanted(query: &str) -> Result<Wanted, ApiError> {
    let mut wanted = Wanted { states: Vec::new(), before: None, limit: 50 };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let refused = |meant: &str| {
            let message = format!("the parameter {name} must be {meant}, not {value:?}");
            ApiError::bad_request("bad_parameter", message)
        };
        match &*name {
            "state" => {
                let names = SignalState::ALL.map(SignalState::name).join(", ");
                let state = SignalState::from_name(&value).ok_or_else(|| refused(&format!("one of {names}")))?;
                if !wanted.states.contains(&state) {
                    wanted.states.push(state);
                }
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                wanted.limit = limit.ok_or_else(|| refused(&format!("a number from 1 to {MOST}")))?;
            }
            "before" => {
                let before = value.parse().ok().filter(|before| i64::try_from(*before).is_ok());
                wanted.before = Some(before.ok_or_else(|| refused("the sequence of a signal"))?);
            }
            _ => {
                let message = format!("there is no parameter {name:?}: state, limit and before are known");
                return Err(ApiError::bad_request("bad_parameter", message));
            }
        }
    }
    Ok(wanted)
}

/// The history parameter `limit`, alone.
pub(crate) fn limit(query: &str) -> Result<u32, ApiError> {
    if form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name != "limit") {
        return Err(ApiError::bad_request("bad_parameter", "there is no other parameter than limit"));
    }
    Ok(wanted(query)?.limit)
}

/// One signal.
#[utoipa::path(
    get,
    path = "/v1/signals/{fingerprint}",
    tag = "signals",
    params(("fingerprint" = String, Path, description = "64 hex digits, or at least the first 8 if no other signal has them")),
    responses(
        (status = 200, description = "The signal", body = SignalView),
        (status = 404, description = "There is none", body = ErrorBody),
        (status = 409, description = "More than one begins so", body = ErrorBody),
        (status = 503, description = "The store can't be read", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn show(State(shared): State<Arc<Shared>>, Path(digits): Path<String>) -> Result<Response, ApiError> {
    let entry = find(&shared, &digits).await?;
    Ok(json(StatusCode::OK, &SignalView::of(&entry, shared.api.clock.now().wall)))
}

async fn find(shared: &Shared, digits: &str) -> Result<Entry, ApiError> {
    let ledger = &shared.api.ledger;
    let digits = digits.to_ascii_lowercase();
    if let Ok(fingerprint) = digits.parse::<Fingerprint>() {
        let entry = shared.read(ledger.signal(fingerprint)).await?;
        return entry.ok_or_else(|| ApiError::not_found("no_such_signal", "there is no signal of that fingerprint"));
    }
    if !(FEWEST_DIGITS..64).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        let message = "a fingerprint is 64 hex digits; at least the first 8 must be given";
        return Err(ApiError::bad_request("bad_fingerprint", message));
    }
    let mut found: Option<Entry> = None;
    let mut before = None;
    for _ in 0..LOOKED_THROUGH / MOST {
        let page = shared.read(ledger.signals(Wanted { states: Vec::new(), before, limit: MOST })).await?;
        before = page.last().map(|entry| entry.record.sequence);
        let is_last = page.len() < MOST as usize;
        for entry in page {
            if entry.record.fingerprint.to_string().starts_with(&digits) && found.replace(entry).is_some() {
                let message = format!("more than one signal begins with {digits}: give more digits");
                return Err(ApiError::new(StatusCode::CONFLICT, "ambiguous", message));
            }
        }
        if is_last {
            break;
        }
    }
    found.ok_or_else(|| {
        let message = format!(
            "none of the newest {LOOKED_THROUGH} signals begins with {digits}; give all 64 digits for an older one"
        );
        ApiError::not_found("no_such_signal", message)
    })
}

/// Say what became of a quarantined signal, or of one that was executed in part.
///
/// The word is taken only if the signal is so still, after exactly as many attempts as the operator saw. It is about the
/// whole signal: `executed` says that the broker has every leg, by whoever's hand; `resend` has the leg in doubt sent
/// again, and then those after it. What was executed in part is not sent again.
#[utoipa::path(
    post,
    path = "/v1/signals/{fingerprint}/resolve",
    tag = "signals",
    params(("fingerprint" = String, Path, description = "64 hex digits, or at least the first 8 if no other signal has them")),
    request_body = Resolve,
    responses(
        (status = 200, description = "It stands as the operator said", body = Resolved),
        (status = 404, description = "There is no such signal", body = ErrorBody),
        (status = 409, description = "Nothing was changed: it is not quarantined nor partial, or has other attempts", body = Resolved),
        (status = 503, description = "Not known whether the word was taken: look at the signal", body = ErrorBody),
        (status = "default", description = "Refused", body = ErrorBody),
    ),
    security(("bearer" = []))
)]
pub(crate) async fn resolve(
    State(shared): State<Arc<Shared>>,
    Path(digits): Path<String>,
    Extension(caller): Extension<Caller>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let api = &shared.api;
    let word: Resolve = word(&headers, body, &*api.clock, &api.config.limits).await?;
    let reason = caller.signs(reason(&word.reason)?);
    if let Some(why) = api.health.why_read_only() {
        return Err(ApiError::unavailable("read_only", why));
    }
    let seen = find(&shared, &digits).await?.record;
    let fingerprint = seen.fingerprint;
    let resolution = Resolution::from(word.resolution);
    tracing::info!(operator = caller.name(), %fingerprint, ?resolution, attempts = word.attempts, reason, id = id.0, "resolve");
    let asked = api.handle.resolve(fingerprint, resolution, word.attempts, reason);
    let by = api.clock.now().mono.plus(api.config.limits.operate_within);
    let unknown = |why: String| {
        let message = format!("it is not known whether the word was taken ({why}): look at the signal before the next");
        ApiError::unavailable("not_durable", message)
    };
    let state = match until(&*api.clock, by, asked).await {
        Some(Ok(Some(state))) => state,
        Some(Ok(None)) => return Err(ApiError::not_found("no_such_signal", "there is no signal of that fingerprint")),
        Some(Err(why)) => return Err(unknown(why)),
        None => return Err(unknown("the store has not answered in time".into())),
    };
    // What goes on after its first legs is in doubt for a moment, as it may have been before.
    let stands = resolution.state(seen.has_accepted(Leg(0)));
    let taken = state == stands && (state != SignalState::InDoubt || resolution.fits(seen.state));
    let error = (!taken).then(|| {
        let message = format!(
            "nothing was changed: the signal is {} now, or has other attempts than the {} that were seen; look at it again",
            state.name(),
            word.attempts
        );
        ApiError::new(StatusCode::CONFLICT, "not_as_seen", message).detail
    });
    let status = if taken { StatusCode::OK } else { StatusCode::CONFLICT };
    let resolved = Resolved { fingerprint: fingerprint.to_string(), state: state.into(), taken, error };
    Ok(json(status, &resolved).into_response())
}
