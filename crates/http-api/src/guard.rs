//! In front of every route: what the request is called, who asks, how often, and whether they may.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{HeaderMap, Method, StatusCode, Uri};

use crate::answer::JSON;
use crate::auth::{Caller, Need};
use crate::config::ApiConfig;
use crate::error::ApiError;
use crate::server::Peer;
use crate::shared::Shared;

/// Names and logs a request, and puts on its answer what keeps browsers careful.
pub(crate) async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let begun = shared.api.clock.now().mono;
    let id = shared.request_id(request.headers());
    let method = request.method().clone();
    // The route and not the path, which may bear a secret.
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let peer = request.extensions().get::<Peer>().cloned();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    let caller = response.extensions().get::<Caller>().map_or("-", Caller::name);
    tracing::debug!(
        peer = peer.as_ref().map_or("-", |peer| peer.0.as_str()),
        caller,
        %method,
        route,
        status = response.status().as_u16(),
        ms = shared.api.clock.now().mono.since(begun).as_millis(),
        id,
        "answered"
    );
    if response.status().as_u16() >= 400 && response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != JSON) {
        response = with_reason(response);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    let careful = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in careful {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

/// What was refused before a route of ours saw it, said like everything else that is refused.
fn with_reason(bare: Response) -> Response {
    let status = bare.status();
    let (code, message) = match status {
        StatusCode::NOT_FOUND => ("not_found", "there is nothing at this path: /openapi.json says what there is"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", "this path does not take this method: the header Allow names those that it takes")
        }
        _ => {
            ("bad_request", "the request can't be read: its path is not UTF-8, or not of the form that it should have")
        }
    };
    let mut response = ApiError::new(status, code, message).into_response();
    if let Some(allowed) = bare.headers().get(ALLOW) {
        response.headers_mut().insert(ALLOW, allowed.clone());
    }
    response
}

/// What a request is called in logs and answers.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Lets a request pass whose caller may do what the route needs.
pub(crate) async fn admit(
    State((shared, need)): State<(Arc<Shared>, Need)>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let caller = match admitted(&shared, need, &request) {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(caller);
    response
}

fn admitted(shared: &Shared, need: Need, request: &Request<Body>) -> Result<Caller, ApiError> {
    let config = &shared.api.config;
    is_no_strange_page(config, request.method(), request.uri(), request.headers())?;
    let caller = Caller::of(request.headers(), config);
    if need != Need::Nothing
        && let Some(limiter) = &shared.limiter
    {
        // Whoever is not known is told apart by address, and so is kept from guessing fast.
        let known = caller.as_ref().ok().and_then(|caller| caller.token.as_ref());
        let peer = request.extensions().get::<Peer>().map_or("-", Peer::host);
        let key = known.map_or_else(|| format!("@{peer}"), |(name, _)| name.clone());
        limiter.take(&key, shared.api.clock.now().mono).map_err(|wait| {
            let message = "this caller asks too often: wait for as long as the header Retry-After says";
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_often", message).retry_after(seconds)
        })?;
    }
    let caller = match (caller, need) {
        // A wrong token is no reason to keep from anybody what is open to all.
        (Err(_), Need::Nothing | Need::Check) => Caller::default(),
        (caller, _) => caller?,
    };
    caller.may(need, config)?;
    Ok(caller)
}

/// Browsers say on whose behalf they ask. Without tokens, whoever can make the reader's own browser ask would be as
/// good as the reader; so a node without tokens answers to its own names only, and nothing is changed for a page
/// that is not this node's.
fn is_no_strange_page(config: &ApiConfig, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let authority = uri.authority().map(hyper::http::uri::Authority::as_str).or_else(|| text(HOST));
    if config.tokens.is_empty() && !authority.is_some_and(|authority| is_own_name(config, authority)) {
        return Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            "the header Host is not a name of this node: it has no tokens, so it answers to localhost and loopback \
             addresses only; configure the name, or a token",
        ));
    }
    if method.is_safe() {
        return Ok(());
    }
    let strange = match text(ORIGIN) {
        None => headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none"),
        Some(origin) => origin.split_once("://").map(|(_, host)| host) != authority,
    };
    if strange {
        return Err(ApiError::forbidden(
            "cross_origin",
            "a page of another site asks, and may not: only this node's own page changes anything here",
        ));
    }
    Ok(())
}

fn is_own_name(config: &ApiConfig, authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let host = host.to_ascii_lowercase();
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    is_loopback || host == "localhost" || config.hosts.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(config: &ApiConfig, method: Method, headers: &[(&str, &str)]) -> Result<(), u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        is_no_strange_page(config, &method, &Uri::from_static("/v1/signals"), &map).map_err(|e| e.status.as_u16())
    }

    #[test]
    fn without_tokens_only_its_own_names_are_answered_to() {
        let config = ApiConfig { hosts: vec!["node-a".into()], ..ApiConfig::default() };
        for host in ["localhost", "localhost:7411", "127.0.0.1:7411", "[::1]:7411", "[::1]", "127.9.9.9", "NODE-A:1"] {
            assert_eq!(asked(&config, Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]:7411", "node-b", ""] {
            assert_eq!(asked(&config, Method::GET, &[("host", host)]), Err(421), "{host}");
        }
        assert_eq!(asked(&config, Method::GET, &[]), Err(421));
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let config = ApiConfig::default();
        let from = |origin| asked(&config, Method::POST, &[("host", "localhost:7411"), ("origin", origin)]);
        assert_eq!(from("http://localhost:7411"), Ok(()));
        for origin in ["http://localhost", "https://evil.example", "null", "http://localhost:7411.evil.example"] {
            assert_eq!(from(origin), Err(403), "{origin}");
        }
        let site = |site| asked(&config, Method::POST, &[("host", "localhost:7411"), ("sec-fetch-site", site)]);
        assert_eq!((site("same-origin"), site("none"), site("cross-site")), (Ok(()), Ok(()), Err(403)));
        assert_eq!(asked(&config, Method::POST, &[("host", "localhost:7411")]), Ok(()));
    }
}
