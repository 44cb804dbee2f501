//! Signals in, and what is shown of them, over a real socket.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

mod kit;

use std::time::Duration;

use kit::{ALICE, Mute, Plan, SENDER, clock, request};
use oncegate_http_api::webhook::Encoding;
use oncegate_http_api::{Check, Limits, Rate, Webhook};
use oncegate_protocol::IdentityRule;

const SIGNAL: &str = r#"{ "id": 1, "price": 1.50,
 "side": "BUY" }"#;

#[tokio::test]
async fn a_signal_is_taken_once_and_shown_as_it_came() {
    let node = Plan::default().start().await;
    let first = node.post("/v1/signals", SIGNAL).await;
    assert_eq!(first.status, 202, "{first:?}");
    let fingerprint = first.json()["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!((first.json()["new"].as_bool(), first.json()["state"].as_str()), (Some(true), Some("received")));

    let path = format!("/v1/signals/{fingerprint}");
    let shown = node.until(&path, |answer| answer.json()["state"] == "executed").await;
    assert!(shown.body.contains(SIGNAL), "the bytes as they came: {shown:?}");
    assert_eq!(shown.json()["attempts"][0]["outcome"], "accepted");
    assert_eq!(shown.json()["attempts"][0]["detail"], "paper-1");

    let again = node.post("/v1/signals", r#"{"side":"BUY","price":1.5,"id":1}"#).await;
    assert_eq!((again.status, again.json()["new"].as_bool()), (200, Some(false)));
    assert_eq!(again.json()["state"], "executed");

    for digits in [&fingerprint[..8], &fingerprint[..63], &fingerprint.to_uppercase()] {
        assert_eq!(node.get(&format!("/v1/signals/{digits}")).await.json()["fingerprint"], fingerprint);
    }
    let page = node.get("/v1/signals?state=executed&state=failed&limit=1").await.json();
    assert_eq!(page["signals"][0]["fingerprint"], fingerprint);
    let next = format!("/v1/signals?before={}", page["next"]);
    assert_eq!(node.get(&next).await.body, r#"{"signals":[],"next":null}"#);
    assert_eq!(node.get("/v1/signals?state=quarantined").await.body, r#"{"signals":[],"next":null}"#);
}

#[tokio::test]
async fn another_body_of_the_same_identity_is_a_conflict() {
    let identity = IdentityRule { fields: vec!["/id".into()], ..IdentityRule::default() };
    let node = Plan { identity, ..Plan::default() }.start().await;
    assert_eq!(node.post("/v1/signals", r#"{"id":1,"quantity":50}"#).await.status, 202);
    let other = node.post("/v1/signals", r#"{"id":1,"quantity":5000}"#).await;
    assert_eq!((other.status, other.code().as_str()), (409, "conflict"));
    let nameless = node.post("/v1/signals", r#"{"quantity":50}"#).await;
    assert_eq!((nameless.status, nameless.code().as_str()), (400, "missing_identity"));
    assert_eq!(nameless.json()["error"]["pointer"], "/id");
}

#[tokio::test]
async fn what_is_no_signal_is_refused_with_what_is_wrong_and_where() {
    let node = Plan::default().start().await;
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024));
    let deep = "[".repeat(30_000);
    let cases: [(&str, u16, &str, Option<&str>); 11] = [
        ("{", 400, "not_json", Some("")),
        ("", 400, "not_json", Some("")),
        ("[1]", 400, "not_an_object", Some("")),
        (r#"{"a":1,"a":2}"#, 400, "not_json", Some("/a")),
        (r#"{"b":{"a":9007199254740993}}"#, 400, "not_json", Some("/b/a")),
        (r#"{"expires_at_ms":"soon"}"#, 400, "bad_deadline", Some("/expires_at_ms")),
        (r#"{"legs":[{"side":"buy"}]}"#, 400, "bad_legs", Some("/legs")),
        (r#"{"legs":[{"side":"buy"},"sell"]}"#, 400, "bad_legs", Some("/legs/1")),
        ("\u{0}", 400, "not_json", Some("")),
        (&deep, 400, "not_json", None),
        (&large, 413, "too_large", None),
    ];
    for (body, status, code, pointer) in cases {
        let answer = node.post("/v1/signals", body).await;
        let shown = &body[..body.len().min(40)];
        assert_eq!((answer.status, &*answer.code()), (status, code), "{shown}");
        assert_eq!(answer.json()["error"]["pointer"].as_str(), pointer, "{shown}");
    }
    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
    ] {
        let answer = node.send(&request("POST", "/v1/signals", headers, SIGNAL.as_bytes())).await;
        assert_eq!((answer.status, &*answer.code()), (415, "content_type"), "{headers:?}");
    }
    assert_eq!(node.get("/v1/signals").await.json()["signals"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn every_other_path_and_parameter_is_refused_with_a_reason() {
    let node = Plan::default().start().await;
    for (path, status, code) in [
        ("/v1/signals?state=sent", 400, "bad_parameter"),
        ("/v1/signals?limit=0", 400, "bad_parameter"),
        ("/v1/signals?limit=201", 400, "bad_parameter"),
        ("/v1/signals?before=-1", 400, "bad_parameter"),
        ("/v1/signals?before=18446744073709551615", 400, "bad_parameter"),
        ("/v1/signals?stat=executed", 400, "bad_parameter"),
        ("/coordinator/history?limit=x", 400, "bad_parameter"),
        ("/coordinator/history?before=1", 400, "bad_parameter"),
        ("/v1/signals/0123", 400, "bad_fingerprint"),
        ("/v1/signals/0123456z", 400, "bad_fingerprint"),
        ("/v1/signals/%ff%ff%ff%ff", 400, "bad_request"),
        ("/v1/signals/01234567", 404, "no_such_signal"),
        ("/nothing", 404, "not_found"),
        ("/coordinator/pause", 405, "method_not_allowed"),
        ("/v1/webhooks/unknown", 405, "method_not_allowed"),
    ] {
        let answer = node.get(path).await;
        assert_eq!((answer.status, &*answer.code()), (status, code), "{path}");
    }
    let nobody = "0".repeat(64);
    assert_eq!(node.get(&format!("/v1/signals/{nobody}")).await.status, 404);
    let delete = node.send(&request("DELETE", "/v1/signals", &[], b"")).await;
    assert_eq!((delete.status, delete.header("allow")), (405, Some("get,head,post")));
    assert_eq!(node.post("/v1/webhooks/unknown", "{}").await.status, 401);
}

#[tokio::test]
async fn a_store_that_stands_still_is_answered_for_in_time_and_nothing_is_lost() {
    let node = Plan::default().start().await;
    assert_eq!(node.post("/v1/signals", r#"{"id":0}"#).await.status, 202);
    node.store.stall(true);
    let mut fastest = Duration::MAX;
    for number in 1..=5 {
        let begun = clock().now().mono;
        let answer = node.post("/v1/signals", &format!(r#"{{"id":{number}}}"#)).await;
        let took = clock().now().mono.since(begun);
        assert_eq!((answer.status, &*answer.code()), (503, "not_durable_yet"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        fastest = fastest.min(took);
    }
    // A busy machine adds to it what it likes; `in_time.rs` has the figure on a clock that nothing disturbs.
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
    node.store.stall(false);
    // The sender repeats, as it was told; whether it was stored meanwhile is not its business.
    for number in 1..=5 {
        let answer = node.post("/v1/signals", &format!(r#"{{"id":{number}}}"#)).await;
        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
    }
    let count = node.get("/v1/signals").await.json()["signals"].as_array().unwrap().len();
    assert_eq!(count, 6);
}

#[tokio::test]
async fn a_loop_that_has_ended_takes_nothing() {
    let node = Plan::default().start().await;
    node.handle.shut_down().await;
    let by = |answer: &kit::Answer| answer.status == 503;
    node.until("/livez", by).await;
    let answer = node.post("/v1/signals", SIGNAL).await;
    assert_eq!((answer.status, &*answer.code()), (503, "not_durable"));
}

#[tokio::test]
async fn tokens_do_what_their_role_says() {
    let mut plan = Plan::with_tokens();
    plan.config.reads_need_token = true;
    let node = plan.start().await;
    let nobody = node.post("/v1/signals", SIGNAL).await;
    assert_eq!((nobody.status, &*nobody.code()), (401, "unauthenticated"));
    assert_eq!(nobody.header("www-authenticate"), Some("bearer realm=\"oncegate\""));
    assert_eq!(node.post_as("wrong-secret-0123456789", "/v1/signals", SIGNAL).await.status, 401);
    assert_eq!(node.post_as(SENDER, "/v1/signals", SIGNAL).await.status, 202);
    assert_eq!(node.post_as(ALICE, "/v1/signals", SIGNAL).await.status, 200);
    let word = r#"{"reason":"test"}"#;
    let sender = node.post_as(SENDER, "/coordinator/step-down", word).await;
    assert_eq!((sender.status, &*sender.code()), (403, "forbidden"));
    assert_eq!(node.post("/coordinator/step-down", word).await.status, 401);
    for path in ["/v1/signals", "/v1/overview", "/v1/events", "/metrics", "/metrics.json", "/coordinator/leader"] {
        assert_eq!(node.get(path).await.status, 401, "{path}");
    }
    assert_eq!(node.get_as(SENDER, "/v1/signals").await.status, 200);
    for path in ["/", "/openapi.json", "/leader", "/livez", "/readyz"] {
        assert_ne!(node.get(path).await.status, 401, "{path}");
        assert_ne!(node.get_as("wrong-secret-0123456789", path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn who_asks_too_often_waits_and_nobody_else_does() {
    let mut plan = Plan::with_tokens();
    plan.config.limits.rate = Some(Rate { per_second: 1, burst: 3 });
    let node = plan.start().await;
    let asked = |_| node.get_as(SENDER, "/v1/signals");
    let answers = futures_util::future::join_all((0..6).map(asked)).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(refused.len() >= 2, "{answers:?}");
    assert!(refused.iter().all(|answer| answer.header("retry-after").is_some() && answer.code() == "too_often"));
    assert_eq!(node.get_as(ALICE, "/v1/signals").await.status, 200);
    for _ in 0..10 {
        assert_eq!(node.get("/livez").await.status, 200);
    }
    let guesses = futures_util::future::join_all((0..6).map(|_| node.get_as("a-wrong-secret-12", "/v1/signals"))).await;
    assert!(guesses.iter().any(|answer| answer.status == 429), "{guesses:?}");
}

#[tokio::test]
async fn a_page_of_another_site_reaches_nothing() {
    let node = Plan::default().start().await;
    let json = ("content-type", "application/json");
    let rebound = b"GET /v1/signals HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert_eq!(node.send(rebound).await.status, 421);
    let crossed = [json, ("origin", "https://evil.example")];
    let answer = node.send(&request("POST", "/v1/signals", &crossed, SIGNAL.as_bytes())).await;
    assert_eq!((answer.status, &*answer.code()), (403, "cross_origin"));
    let preflight = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    let answer = node.send(&request("OPTIONS", "/v1/signals", &preflight, b"")).await;
    assert!(answer.status >= 400 && answer.header("access-control-allow-origin").is_none(), "{answer:?}");
}

#[tokio::test]
async fn a_sender_that_cannot_set_headers_is_known_by_its_check_and_its_secret_is_not_kept() {
    const SECRET: &str = "a-webhook-secret-0123";
    let mut plan = Plan::with_tokens();
    let hmac = Check::Hmac { header: "x-signature".into(), prefix: "sha256=".into(), encoding: Encoding::Hex };
    for (name, check) in
        [("signed", hmac), ("path", Check::Path), ("view", Check::Body { pointer: "/passphrase".into() })]
    {
        plan.config.webhooks.insert(name.into(), Webhook::new(name, check, SECRET).unwrap());
    }
    let node = plan.start().await;
    let body = format!("{{\"id\": 7.10,\r\n \"passphrase\": \"{SECRET}\"}}");
    let taken =
        node.send(&request("POST", "/v1/webhooks/view", &[("content-type", "text/plain")], body.as_bytes())).await;
    assert_eq!(taken.status, 202, "{taken:?}");
    let shown = node.get(&format!("/v1/signals/{}", taken.json()["fingerprint"].as_str().unwrap())).await;
    assert!(shown.body.contains("{\"id\": 7.10,\r\n \"passphrase\": null}"), "{shown:?}");
    assert!(!node.get("/v1/signals").await.body.contains(SECRET));
    for (path, body, status) in [
        ("/v1/webhooks/view".to_owned(), r#"{"id":8,"passphrase":"another-secret-0123456"}"#, 401),
        ("/v1/webhooks/view".into(), r#"{"id":8}"#, 401),
        (format!("/v1/webhooks/view/{SECRET}"), r#"{"id":8}"#, 401),
        (format!("/v1/webhooks/path/{SECRET}"), r#"{"id":8}"#, 202),
        (format!("/v1/webhooks/path/{SECRET}"), r#"{"id":8}"#, 200),
        (format!("/v1/webhooks/path/{SECRET}"), r#"{"id":8,"id":9}"#, 400),
        ("/v1/webhooks/path/another".into(), r#"{"id":8}"#, 401),
        ("/v1/webhooks/signed".into(), r#"{"id":8}"#, 401),
    ] {
        let answer = node.post(&path, body).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    // printf '{"id":10}' | openssl dgst -sha256 -hmac a-webhook-secret-0123
    let signature = "sha256=0665a1d2315268c1104c996e3ca920661be1a420093f41e2668412f8c761e29c";
    let headers = [("x-signature", signature)];
    let signed = node.send(&request("POST", "/v1/webhooks/signed", &headers, br#"{"id":10}"#)).await;
    assert_eq!(signed.status, 202, "{signed:?}");
    let changed = node.send(&request("POST", "/v1/webhooks/signed", &headers, br#"{"id":11}"#)).await;
    assert_eq!(changed.status, 401);
}

#[tokio::test]
async fn an_operator_resolves_what_is_quarantined_as_it_was_seen() {
    let node = Plan { broker: Mute::new(), ..Plan::with_tokens() }.start().await;
    let taken = node.post_as(SENDER, "/v1/signals", SIGNAL).await.json();
    let path = format!("/v1/signals/{}", taken["fingerprint"].as_str().unwrap());
    node.until(&path, |answer| answer.json()["state"] == "quarantined").await;
    let resolve = format!("{path}/resolve");
    let word = |resolution: &str, attempts: u32| {
        format!(r#"{{"resolution":"{resolution}","reason":" asked the desk ","attempts":{attempts}}}"#)
    };
    for (body, code, pointer) in [
        (r#"{"resolution":"executed","attempts":1}"#, "bad_request", ""),
        (r#"{"resolution":"maybe","reason":"x","attempts":1}"#, "bad_request", "/resolution"),
        (r#"{"resolution":"executed","reason":"x","attempts":-1}"#, "bad_request", "/attempts"),
        (r#"{"resolution":"executed","reason":"  ","attempts":1}"#, "bad_reason", "/reason"),
        (r#"{"resolution":"executed","reason":"a\nb","attempts":1}"#, "bad_reason", "/reason"),
        (r#"{"resolution":"executed","reason":"x","attempts":1,"force":true}"#, "bad_request", "/force"),
        (r#"{"resolution":"executed""#, "not_json", ""),
    ] {
        let answer = node.post_as(ALICE, &resolve, body).await;
        assert_eq!((answer.status, &*answer.code()), (400, code), "{body}");
        assert_eq!(answer.json()["error"]["pointer"], pointer, "{body}");
    }
    assert_eq!(node.post_as(SENDER, &resolve, &word("executed", 1)).await.status, 403);
    let stale = node.post_as(ALICE, &resolve, &word("executed", 2)).await;
    assert_eq!((stale.status, stale.json()["taken"].as_bool(), &*stale.code()), (409, Some(false), "not_as_seen"));
    assert_eq!(stale.json()["state"], "quarantined");
    let taken = node.post_as(ALICE, &resolve, &word("not_executed", 1)).await;
    assert_eq!((taken.status, taken.json()["taken"].as_bool()), (200, Some(true)));
    let shown = node.get(&path).await.json();
    assert_eq!(shown["state"], "failed");
    let decision = shown["decisions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&decision["verdict"], &decision["detail"]),
        (&"not_executed".into(), &"asked the desk (by alice)".into())
    );
    assert!(decision["leader"].is_null());
    let nobody = format!("/v1/signals/{}/resolve", "0".repeat(64));
    assert_eq!(node.post_as(ALICE, &nobody, &word("executed", 1)).await.status, 404);
    node.store.stall(true);
    let unknown = node.post_as(ALICE, &resolve, &word("executed", 1)).await;
    assert_eq!((unknown.status, &*unknown.code()), (503, "not_durable"));
}

#[tokio::test]
async fn a_node_that_only_shows_takes_nothing_and_says_why() {
    let health = oncegate_http_api::Health::read_only("the store is one migration behind: run `oncegate migrate`");
    let node = Plan { health, stuck: true, ..Plan::default() }.start().await;
    for (path, body) in [("/v1/signals", SIGNAL), ("/coordinator/step-down", r#"{"reason":"x"}"#)] {
        let answer = node.post(path, body).await;
        assert_eq!((answer.status, &*answer.code()), (503, "read_only"));
        assert!(answer.body.contains("oncegate migrate"));
    }
    assert_eq!(node.get("/livez").await.status, 200);
    let ready = node.get("/readyz").await;
    assert!(ready.status == 503 && ready.body.contains("oncegate migrate"), "{ready:?}");
    assert_eq!(node.get("/v1/signals").await.status, 200);
}

#[tokio::test]
async fn a_reader_that_is_slow_to_send_is_told_and_holds_up_nobody() {
    let mut plan = Plan::default();
    plan.config.limits = Limits {
        head_within: Duration::from_millis(300),
        body_within: Duration::from_millis(300),
        idle_for: Duration::from_millis(300),
        rate: None,
        ..Limits::default()
    };
    let node = plan.start().await;
    let head = node.send(b"POST /v1/signals HTTP/1.1\r\nhost: localhost\r\ncontent-le");
    let body = node.send(
        b"POST /v1/signals HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{\"id\"",
    );
    let quiet = kit::exchange(&node.address, b"");
    let kept = kit::exchange(&node.address, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let other = node.post("/v1/signals", SIGNAL);
    let (head, body, quiet, kept, other) = tokio::join!(head, body, quiet, kept, other);
    assert_eq!((head.status, &*head.code()), (408, "too_slow"));
    assert_eq!((body.status, &*body.code()), (408, "too_slow"));
    assert_eq!(quiet, b"");
    assert!(String::from_utf8(kept).unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(other.status, 202);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let mut plan = Plan::default();
    plan.config.limits.connections_per_peer = 2;
    let node = plan.start().await;
    let held = [kit::connect(&node.address).await, kit::connect(&node.address).await];
    let over = node.get("/livez").await;
    assert_eq!((over.status, &*over.code()), (503, "too_many_connections"));
    drop(held);
    node.until("/livez", |answer| answer.status == 200).await;
}
