//! What is shown of a running node, and what probes and operators of the coordinator are told.

#![allow(clippy::unwrap_used)] // Clippy knows tests by their attribute, and helpers bear none.

mod kit;

use std::sync::Arc;
use std::time::Duration;

use kit::{ALICE, INSTANCE, Plan, clock, picture};
use oncegate_coordinator::timeout::until;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn who_leads_is_told_by_the_names_that_the_replaced_system_used() {
    let node = Plan::default().start().await;
    node.until("/leader", |answer| answer.status == 200).await;
    let leader = node.get("/coordinator/leader").await;
    assert_eq!(
        leader.json(),
        json!({
            "redis_leader": INSTANCE, "db_leader": INSTANCE, "this_instance": INSTANCE, "is_leader": true,
            "split_brain": false, "epoch": 3, "lease_remaining_ms": 9000,
        })
    );
    assert_eq!(node.get("/leader").await.json(), json!({ "instance": INSTANCE, "is_leader": true }));
    let history = node.get("/coordinator/history?limit=1").await.json();
    assert_eq!(history["history"][0]["instance"], INSTANCE);
    assert_eq!(history["history"][0]["closed_at_ms"], Value::Null);
}

#[tokio::test]
async fn an_operator_has_the_leader_step_down_and_is_named_in_the_history() {
    let node = Plan::with_tokens().start().await;
    node.until("/leader", |answer| answer.status == 200).await;
    let empty = node.post_as(ALICE, "/coordinator/step-down", r#"{"reason":" "}"#).await;
    assert_eq!((empty.status, &*empty.code()), (400, "bad_reason"));
    let heard = node.post_as(ALICE, "/coordinator/step-down", r#"{"reason":"new kernel"}"#).await;
    assert_eq!((heard.status, heard.json()["reason"].as_str()), (202, Some("new kernel (by alice)")));
    let told = |answer: &kit::Answer| answer.body.contains("new kernel (by alice)");
    let history = node.until("/coordinator/history", told).await.json();
    assert!(history["history"].as_array().unwrap().iter().any(|term| term["closed_at_ms"].is_i64()), "{history}");
}

#[tokio::test]
async fn an_operator_stops_new_orders_and_lets_them_go_on() {
    let node = Plan::with_tokens().start().await;
    node.until("/leader", |answer| answer.status == 200).await;
    let paused = node.post_as(ALICE, "/coordinator/pause", r#"{"reason":"the exchange halts"}"#).await;
    assert_eq!((paused.status, paused.json()["reason"].as_str()), (200, Some("the exchange halts (by alice)")));
    let taken = node.post_as(kit::SENDER, "/v1/signals", r#"{"id":1}"#).await;
    assert_eq!(taken.status, 202, "signals are taken all the same");
    let words = node.handle.leadership().await.unwrap();
    assert_eq!(words.paused.map(|paused| paused.reason).as_deref(), Some("the exchange halts (by alice)"));
    let shown = format!("/v1/signals/{}", taken.json()["fingerprint"].as_str().unwrap());
    assert_eq!(node.get(&shown).await.json()["state"], "received");
    assert_eq!(node.post_as(ALICE, "/coordinator/resume", r#"{"reason":"it goes on"}"#).await.status, 200);
    node.until(&shown, |answer| answer.json()["state"] == "executed").await;
    node.store.stall(true);
    let unknown = node.post_as(ALICE, "/coordinator/pause", r#"{"reason":"x"}"#).await;
    assert_eq!((unknown.status, &*unknown.code()), (503, "not_durable"));
}

#[tokio::test]
async fn a_node_that_does_not_lead_does_not_step_down() {
    let node = Plan { stuck: true, ..Plan::default() }.start().await;
    let answer = node.post("/coordinator/step-down", r#"{"reason":"x"}"#).await;
    assert_eq!((answer.status, &*answer.code()), (409, "not_leader"));
    assert_eq!(node.get("/leader").await.status, 503);
}

#[tokio::test]
async fn a_loop_that_is_stuck_is_not_alive() {
    let mut plan = Plan { stuck: true, ..Plan::default() };
    plan.config.limits.ping_within = Duration::from_millis(200);
    let node = plan.start().await;
    let alive = node.get("/livez").await;
    assert_eq!((alive.status, alive.json()["ok"].as_bool()), (503, Some(false)));
    assert!(alive.json()["flaws"][0].as_str().unwrap().contains("stuck"), "{alive:?}");
    assert_eq!(node.get("/readyz").await.status, 503);
}

#[tokio::test]
async fn a_node_is_ready_until_it_ends() {
    let node = Plan::default().start().await;
    for path in ["/livez", "/readyz"] {
        let fit = node.get(path).await;
        assert_eq!((fit.status, fit.json()["ok"].as_bool()), (200, Some(true)), "{fit:?}");
    }
    node.health.stop();
    assert_eq!(node.get("/livez").await.status, 200);
    let ready = node.get("/readyz").await;
    assert!(ready.status == 503 && ready.body.contains("ending"), "{ready:?}");
}

#[tokio::test]
async fn figures_and_page_come_as_they_are() {
    let node = Plan::default().start().await;
    let metrics = node.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(metrics.body.contains("oncegate_leader 1"));
    assert_eq!(node.get("/metrics.json").await.json(), json!({ "leader": 1 }));
    let page = node.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.body, oncegate_http_api::PAGE);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for (header, value) in
        [("x-content-type-options", "nosniff"), ("x-frame-options", "deny"), ("cache-control", "no-store")]
    {
        assert_eq!(page.header(header), Some(value), "{page:?}");
    }
    assert!(page.header("date").is_none() && page.header("server").is_none());
}

#[tokio::test]
async fn requests_have_names() {
    let node = Plan::default().start().await;
    let (first, second) = (node.get("/livez").await, node.get("/livez").await);
    assert_ne!(first.header("x-request-id").unwrap(), second.header("x-request-id").unwrap());
    let named = node.send(&kit::request("GET", "/livez", &[("x-request-id", "abc-1")], b"")).await;
    assert_eq!(named.header("x-request-id"), Some("abc-1"));
    let odd = node.send(&kit::request("GET", "/livez", &[("x-request-id", "a b\"c")], b"")).await;
    assert_ne!(odd.header("x-request-id"), Some("a b\"c"));
}

/// Server-sent events, one after another.
struct Events {
    stream: Box<dyn oncegate_coordinator::Stream>,
    text: String,
}

impl Events {
    async fn of(node: &kit::Running) -> Self {
        let mut stream = kit::connect(&node.address).await;
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        Self { stream, text: String::new() }
    }

    /// The data of the next event of that name.
    async fn next(&mut self, name: &str) -> Value {
        let clock = clock();
        let by = clock.now().mono.plus(Duration::from_secs(10));
        let reading = async {
            loop {
                let opens = format!("event: {name}\ndata: ");
                if let Some((before, rest)) = self.text.split_once(&opens)
                    && let Some((data, rest)) = rest.split_once("\n\n")
                {
                    let _ = before;
                    let data = serde_json::from_str(data).unwrap();
                    self.text = rest.to_owned();
                    return data;
                }
                let mut chunk = vec![0; 64 * 1024];
                let read = self.stream.read(&mut chunk).await.unwrap();
                assert_ne!(read, 0, "the events have ended: {}", self.text);
                self.text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
            }
        };
        until(&*clock, by, reading).await.unwrap_or_else(|| panic!("no event {name} within 10 s"))
    }
}

#[tokio::test]
async fn events_tell_at_once_and_when_something_changes() {
    let node = Plan::default().start().await;
    let mut events = Events::of(&node).await;
    assert_eq!(events.next("overview").await, serde_json::to_value(picture()).unwrap());
    let mut events = Events::of(&node).await;
    assert_eq!(events.next("signals").await, json!({ "signals": [], "next": null }));
    assert!(events.next("history").await["history"].is_array());

    let mut changed = picture();
    changed.leader.epoch = 99;
    node.told.send_replace(Arc::new(changed));
    while events.next("overview").await["leader"]["epoch"] != 99 {}
    node.post("/v1/signals", "{ \"id\":\r\n 1 }").await;
    while events.next("signals").await["signals"][0]["state"] != "executed" {}
    // At least every second, change or no change.
    events.next("overview").await;
    let begun = clock().now().mono;
    events.next("overview").await;
    assert!(clock().now().mono.since(begun) < Duration::from_millis(1_500));

    node.health.stop();
    let mut rest = Vec::new();
    events.stream.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn readers_of_events_beyond_the_limit_are_told_so() {
    let mut plan = Plan::default();
    plan.config.limits.event_streams = 1;
    let node = plan.start().await;
    let mut first = Events::of(&node).await;
    first.next("overview").await;
    let second = node.get("/v1/events").await;
    assert_eq!((second.status, &*second.code()), (503, "too_many_readers"));
    drop(first);
    let mut freed = false;
    for _ in 0..200 {
        let mut stream = kit::connect(&node.address).await;
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        freed = &status == b"HTTP/1.1 200";
        if freed {
            break;
        }
    }
    assert!(freed, "the place of a reader who has left is free");
}

#[tokio::test]
async fn a_server_that_ends_lets_answers_under_way_be_heard() {
    let node = Plan::default().start().await;
    node.store.stall(true);
    let asking = node.post("/v1/signals", r#"{"id":1}"#);
    let ending = async {
        // The request is under way when the connection is there: the listening socket takes them in order.
        let mut after = kit::connect(&node.address).await;
        after.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        after.read_to_end(&mut answer).await.unwrap();
        node.stop.notify_one();
    };
    let (answer, ()) = tokio::join!(asking, ending);
    assert_eq!(answer.status, 503, "{answer:?}");
    let clock = clock();
    until(&*clock, clock.now().mono.plus(Duration::from_secs(5)), async {
        while !node.serving.is_finished() {
            clock.sleep_until(clock.now().mono.plus(Duration::from_millis(5))).await;
        }
    })
    .await
    .expect("the server ends when its answers are given");
}

#[tokio::test]
async fn an_engine_takes_work_begins_it_and_says_how_it_ended() {
    let node = Plan { at_desk: true, ..Plan::with_tokens() }.start().await;
    assert_eq!(node.get("/v1/work?wait=0s").await.status, 401);
    let sender = kit::SENDER;
    assert_eq!(node.get_as(sender, "/v1/work?wait=1x").await.status, 422);
    assert_eq!(node.get_as(sender, "/v1/work?wait=0s").await.status, 204);
    let signal = r#"{"id":1, "quantity": 50.0}"#;
    let taken = node.post_as(sender, "/v1/signals", signal).await.json();
    let work = node.get_as(sender, "/v1/work?wait=20s").await;
    assert!(work.body.contains(signal), "{work:?}");
    assert_eq!(
        (work.json()["kind"].as_str(), work.json()["fingerprint"].as_str()),
        (Some("place"), taken["fingerprint"].as_str())
    );
    let begin = json!({ "work_id": work.json()["work_id"], "key": "k1" }).to_string();
    let begun = node.post_as(sender, "/v1/attempts", &begin).await;
    assert_eq!((begun.status, begun.json()["number"].as_u64()), (200, Some(1)), "{begun:?}");
    let again = node.post_as(sender, "/v1/attempts", &begin.replace("k1", "k2")).await;
    assert_eq!((again.status, &*again.code()), (409, "work_taken"));
    let path = format!("/v1/attempts/{}/outcome", begun.json()["attempt_id"].as_str().unwrap());
    let odd = node.post_as(sender, &path, r#"{"outcome":"sent"}"#).await;
    assert_eq!(odd.status, 400, "{odd:?}");
    let told = node.post_as(sender, &path, r#"{"outcome":"accepted","broker_order_id":"b-1"}"#).await;
    assert_eq!((told.status, told.json()["in_time"].as_bool()), (200, Some(true)), "{told:?}");
    let shown = format!("/v1/signals/{}", taken["fingerprint"].as_str().unwrap());
    let shown = node.until(&shown, |answer| answer.json()["state"] == "executed").await.json();
    assert_eq!(shown["attempts"][0]["client_order_id"], begun.json()["client_order_id"]);
}

#[tokio::test]
async fn a_node_without_a_desk_hands_out_no_work() {
    let node = Plan::default().start().await;
    let work = node.get("/v1/work").await;
    assert_eq!((work.status, &*work.code()), (404, "no_desk"));
}
