//! The OpenAPI document says what the API does, and the API does what it says.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

mod kit;

use std::collections::BTreeSet;

use kit::{ALICE, Answer, Mute, Plan, SENDER, request};
use serde_json::{Value, json};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

async fn document(node: &kit::Running) -> Value {
    let answer = node.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

#[tokio::test]
async fn every_path_and_method_of_the_document_is_served_and_no_other() {
    let node = Plan::default().start().await;
    let document = document(&node).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], "0.0.0-test");
    for (path, item) in document["paths"].as_object().unwrap() {
        let concrete = path.replace("{fingerprint}", &"0".repeat(64)).replace(['{', '}'], "");
        if path == "/v1/events" {
            continue; // Never ends; the rest of it is tested where events are.
        }
        for method in METHODS {
            let is_written = item.get(method.to_lowercase()).is_some();
            let answer = node.send(&request(method, &concrete, &[], b"")).await;
            assert_eq!(answer.status != 405, is_written, "{method} {path}: {answer:?}");
            if answer.status == 404 {
                assert_ne!(answer.code(), "not_found", "{method} {path} is in the document and not in the router");
            }
        }
    }
}

/// The routes are written once, in the router, which makes both; this holds what was promised against both.
#[tokio::test]
async fn all_promised_routes_are_there() {
    let node = Plan::default().start().await;
    let document = document(&node).await;
    let mut written = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            written.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let promised = [
        "GET /",
        "GET /coordinator/history",
        "GET /coordinator/leader",
        "GET /leader",
        "GET /livez",
        "GET /metrics",
        "GET /metrics.json",
        "GET /openapi.json",
        "GET /readyz",
        "GET /v1/events",
        "GET /v1/overview",
        "GET /v1/signals",
        "GET /v1/signals/{fingerprint}",
        "GET /v1/work",
        "POST /coordinator/pause",
        "POST /coordinator/resume",
        "POST /coordinator/step-down",
        "POST /v1/attempts",
        "POST /v1/attempts/{id}/outcome",
        "POST /v1/signals",
        "POST /v1/signals/{fingerprint}/resolve",
        "POST /v1/webhooks/{sender}",
        "POST /v1/webhooks/{sender}/{secret}",
    ];
    assert_eq!(written, promised.map(str::to_owned).into());
}

/// Whether an answer is one that the document writes for that method and path.
fn holds(document: &Value, method: &str, path: &str, answer: &Answer) {
    let responses = &document["paths"][path][method]["responses"];
    let written = [&*answer.status.to_string(), "default"].iter().find_map(|key| responses.get(key));
    let written = written.unwrap_or_else(|| panic!("{method} {path} answers {}, which is not written", answer.status));
    let is_written = responses.get(answer.status.to_string()).is_some() || answer.status >= 400;
    assert!(is_written, "{method} {path} answers {}, which is not written", answer.status);
    let Some(content) = written.get("content") else {
        assert_eq!(answer.body, "", "{method} {path}");
        return;
    };
    let kind = answer.header("content-type").unwrap().split(';').next().unwrap();
    let schema = &content.get(kind).unwrap_or_else(|| panic!("{method} {path} answers with {kind}"))["schema"];
    if kind != "application/json" {
        return;
    }
    // References point into the document.
    let mut whole = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema] });
    whole["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&whole).unwrap();
    let body = answer.json();
    let flaws: Vec<_> = validator.iter_errors(&body).map(|flaw| format!("{}: {flaw}", flaw.instance_path())).collect();
    assert!(flaws.is_empty(), "{method} {path} {}: {flaws:?}\n{body:#}", answer.status);
}

#[tokio::test]
async fn real_answers_are_as_the_document_writes_them() {
    let node = Plan { broker: Mute::new(), ..Plan::with_tokens() }.start().await;
    let document = document(&node).await;
    node.until("/leader", |answer| answer.status == 200).await;
    let signal = r#"{"id":1,"expires_at_ms":99999999999999}"#;
    for (token, body) in [(SENDER, signal), (SENDER, signal), (SENDER, "{"), ("nobody-known-here", "{}")] {
        holds(&document, "post", "/v1/signals", &node.post_as(token, "/v1/signals", body).await);
    }
    let fingerprint = node.post_as(SENDER, "/v1/signals", signal).await.json()["fingerprint"].clone();
    let shown = format!("/v1/signals/{}", fingerprint.as_str().unwrap());
    node.until(&shown, |answer| answer.json()["state"] == "quarantined").await;
    let resolve = "/v1/signals/{fingerprint}/resolve";
    for attempts in [9, 1] {
        let word = format!(r#"{{"resolution":"executed","reason":"seen","attempts":{attempts}}}"#);
        holds(&document, "post", resolve, &node.post_as(ALICE, &format!("{shown}/resolve"), &word).await);
    }
    let nobody = format!("/v1/signals/{}", "0".repeat(64));
    holds(&document, "get", "/v1/signals/{fingerprint}", &node.get(&shown).await);
    holds(&document, "get", "/v1/signals/{fingerprint}", &node.get(&nobody).await);
    for path in [
        "/",
        "/v1/signals",
        "/v1/overview",
        "/coordinator/leader",
        "/coordinator/history",
        "/leader",
        "/livez",
        "/readyz",
        "/metrics",
        "/metrics.json",
        "/openapi.json",
        "/v1/work",
    ] {
        holds(&document, "get", path, &node.get(path).await);
    }
    for path in ["/coordinator/pause", "/coordinator/resume", "/coordinator/step-down", "/coordinator/step-down"] {
        holds(&document, "post", path, &node.post_as(ALICE, path, r#"{"reason":"test"}"#).await);
        holds(&document, "post", path, &node.post_as(ALICE, path, r#"{"raeson":"test"}"#).await);
    }
    holds(&document, "post", "/v1/webhooks/{sender}", &node.post("/v1/webhooks/unknown", "{}").await);
}

#[tokio::test]
async fn what_a_desk_answers_is_as_the_document_writes_it() {
    let node = Plan { at_desk: true, ..Plan::default() }.start().await;
    let document = document(&node).await;
    holds(&document, "get", "/v1/work", &node.get("/v1/work?wait=0s").await);
    node.post("/v1/signals", r#"{"id":1}"#).await;
    let work = node.get("/v1/work?wait=20s").await;
    assert_eq!(work.status, 200);
    holds(&document, "get", "/v1/work", &work);
    let begin = json!({ "work_id": work.json()["work_id"] }).to_string();
    let begun = node.post("/v1/attempts", &begin).await;
    assert_eq!(begun.status, 200);
    holds(&document, "post", "/v1/attempts", &begun);
    holds(&document, "post", "/v1/attempts", &node.post("/v1/attempts", &begin).await);
    let outcome = "/v1/attempts/{id}/outcome";
    let path = outcome.replace("{id}", begun.json()["attempt_id"].as_str().unwrap());
    let told = node.post(&path, r#"{"outcome":"accepted","broker_order_id":"b-1"}"#).await;
    assert_eq!(told.status, 200);
    holds(&document, "post", outcome, &told);
    holds(&document, "post", outcome, &node.post(&path, r#"{"outcome":"not_sent"}"#).await);
}

/// A shape that lets anything pass would make the test above empty.
#[tokio::test]
async fn every_object_that_is_written_refuses_fields_that_are_not() {
    let node = Plan::default().start().await;
    let document = document(&node).await;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if schema.get("properties").is_some() {
            assert_eq!(schema["additionalProperties"], json!(false), "{name}");
        }
    }
}
