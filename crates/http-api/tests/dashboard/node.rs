//! A node as the page sees it: serves the page, tells the events that the test wants told, keeps what it was asked.
//! It speaks the API's JSON and its refusals, on a plain socket, so that the page is tested apart from the API.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use oncegate_coordinator::overview::{Alert, Leader, Member, Overview, Paused};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../src/page/index.html");
/// How often the overview is told although nothing has changed.
const PULSE: Duration = Duration::from_millis(500);
/// The token that is asked for, when one is.
pub(crate) const TOKEN: &str = "only-for-this-test";

/// What is told at present.
pub(crate) struct Scene {
    pub(crate) overview: Overview,
    pub(crate) signals: Value,
    pub(crate) history: Value,
    /// Reading needs [`TOKEN`].
    pub(crate) guarded: bool,
    /// What a resolution is answered.
    pub(crate) taken: bool,
    /// Event streams are cut, and new ones refused.
    pub(crate) down: bool,
    /// Counts the changes.
    version: u64,
    /// What was posted: path and body.
    posted: Vec<(String, Value)>,
}

/// The node; its threads end when it is dropped.
pub(crate) struct Node {
    pub(crate) url: String,
    scene: Arc<(Mutex<Scene>, Condvar)>,
}

impl Node {
    pub(crate) fn start(overview: Overview, signals: Value, history: Value) -> Self {
        let scene = Scene {
            overview,
            signals,
            history,
            guarded: false,
            taken: true,
            down: false,
            version: 0,
            posted: Vec::new(),
        };
        let scene = Arc::new((Mutex::new(scene), Condvar::new()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let shared = Arc::downgrade(&scene);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(scene) = shared.upgrade() else { return };
                std::thread::spawn(move || {
                    // The browser hangs up whenever it likes.
                    let _ = answer(&stream.unwrap(), &scene);
                });
            }
        });
        Self { url, scene }
    }

    /// Changes what is told; it is told at once.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Scene)) {
        let (scene, changed) = &*self.scene;
        let mut scene = scene.lock().unwrap();
        change(&mut scene);
        scene.version += 1;
        changed.notify_all();
    }

    /// What was posted since the last time.
    pub(crate) fn posted(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.scene.0.lock().unwrap().posted)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.change(|scene| scene.down = true);
    }
}

fn answer(stream: &TcpStream, scene: &(Mutex<Scene>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or("").to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;

    let known = headers.get("authorization").is_some_and(|value| *value == format!("Bearer {TOKEN}"));
    let mut now = scene.0.lock().unwrap();
    if now.down {
        return stream.shutdown(Shutdown::Both);
    }
    let refused = now.guarded && !known && path != "/";
    let (status, kind, text) = match (method, path.as_str()) {
        (_, _) if refused => {
            let error = json!({ "code": "token_needed", "message": "a token is needed", "pointer": null });
            (401, "application/json", json!({ "error": error }).to_string())
        }
        ("GET", "/") => (200, "text/html; charset=utf-8", PAGE.to_owned()),
        ("GET", "/v1/events") => {
            drop(now);
            return tell(stream, scene);
        }
        ("GET", path) if path.starts_with("/v1/signals?") => (200, "application/json", now.signals.to_string()),
        ("POST", path) => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            now.posted.push((path.to_owned(), body));
            let taken = now.taken;
            let state = if taken { "received" } else { "executed" };
            (200, "application/json", json!({ "fingerprint": "", "state": state, "taken": taken }).to_string())
        }
        (_, _) => (404, "application/json", json!({ "error": { "code": "no_route", "message": path } }).to_string()),
    };
    drop(now);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} \r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", text.len())?;
    write!(stream, "Connection: close\r\n\r\n{text}")
}

/// Tells events until the browser hangs up, all at every change.
fn tell(mut stream: &TcpStream, (scene, changed): &(Mutex<Scene>, Condvar)) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")?;
    let mut told = None;
    loop {
        let (text, version) = {
            let mut now = scene.lock().unwrap();
            if told == Some(now.version) {
                now = changed.wait_timeout(now, PULSE).unwrap().0;
            }
            if now.down {
                return Err(ErrorKind::BrokenPipe.into());
            }
            now.overview.at_ms += 1;
            let event = |name: &str, data: &Value| format!("event: {name}\ndata: {data}\n\n");
            let mut text = event("overview", &serde_json::to_value(&now.overview).unwrap());
            if told != Some(now.version) {
                text += &event("signals", &now.signals);
                text += &event("history", &now.history);
            }
            (text, now.version)
        };
        told = Some(version);
        stream.write_all(text.as_bytes())?;
    }
}

/// When every scene begins, as Unix time in milliseconds.
pub(crate) const BEGAN: i64 = 1_790_000_000_000;

/// `n1` leads two nodes, and nothing is the matter.
pub(crate) fn calm() -> Overview {
    let node = |name: &str, url: Option<&str>| Member {
        instance: name.into(),
        url: url.map(str::to_owned),
        reachable: true,
        is_leader: url.is_none(),
        seen_at_ms: Some(BEGAN),
        clock_offset_ms: url.map(|_| 12),
    };
    let mut overview = Overview {
        at_ms: BEGAN,
        instance: "n1".into(),
        version: "0.1.0".into(),
        leader: Leader { this_instance: "n1".into(), ..leads("n1", 17) },
        nodes: vec![node("n1", None), node("n2", Some("http://127.0.0.1:1/"))],
        ..Overview::default()
    };
    for state in oncegate_protocol::SignalState::ALL {
        overview.signals_by_state.insert(state.name().into(), 0);
    }
    overview
}

/// `name` leads, as this node sees it.
pub(crate) fn leads(name: &str, epoch: u64) -> Leader {
    Leader {
        redis_leader: Some(name.into()),
        db_leader: Some(name.into()),
        this_instance: "n1".into(),
        is_leader: name == "n1",
        split_brain: false,
        epoch,
        lease_remaining_ms: Some(9_000),
        trust_remaining_ms: (name == "n1").then_some(8_400),
        led_since_ms: Some(BEGAN - 60_000),
        heartbeat_at_ms: Some(BEGAN - 1_000),
    }
}

/// Everything at once.
pub(crate) fn alarming() -> Overview {
    let mut overview = calm();
    overview.leader.split_brain = true;
    overview.leader.is_leader = false;
    overview.leader.trust_remaining_ms = None;
    overview.leader.db_leader = Some("n2".into());
    overview.paused = Some(Paused { reason: "gateway maintenance".into(), since_ms: BEGAN - 600_000 });
    overview.nodes[1].reachable = false;
    overview.nodes[1].seen_at_ms = Some(BEGAN - 42_000);
    overview.signals_by_state.extend([("quarantined".into(), 1), ("in_doubt".into(), 1), ("executed".into(), 1)]);
    let alert = |name: &str, severity: &str, message: &str| Alert {
        name: name.into(),
        severity: severity.into(),
        since_ms: BEGAN - 7_000,
        message: message.into(),
    };
    overview.alerts = vec![
        alert("OncegateSplitBrain", "critical", "the lease names n1, the store names n2"),
        alert("OncegateStoreFailures", "warning", "7.1 % of store calls failed"),
    ];
    overview
}

/// A signal that stands in `state` after one attempt.
pub(crate) fn signal(sequence: u64, state: &str, body: Value) -> Value {
    json!({
        "fingerprint": format!("{sequence:08x}").repeat(8),
        "sequence": sequence,
        "state": state,
        "received_at_ms": BEGAN - 3_600_000,
        "age_ms": 3_600_000,
        "expires_at_ms": null,
        "body": body,
        "attempts": [{
            "leg": 0, "number": 1, "epoch": 17, "owner": "n1:60f227ed20871ab1:3", "client_order_id": "og4f1c22d9a0b7",
            "claimed_at_ms": BEGAN - 3_500_000, "outcome": "unknown", "detail": "cut off", "answered_for": false,
        }],
        "decisions": [],
    })
}

/// A page of signals.
pub(crate) fn page(signals: &[Value]) -> Value {
    json!({ "signals": signals, "next": null })
}

/// `n2` led before `n1` and died.
pub(crate) fn history() -> Value {
    json!({ "history": [
        { "epoch": 17, "holder": "n1:a:1", "instance": "n1", "opened_at_ms": BEGAN - 60_000, "closed_at_ms": null,
          "reason": null },
        { "epoch": 16, "holder": "n2:b:1", "instance": "n2", "opened_at_ms": BEGAN - 900_000,
          "closed_at_ms": BEGAN - 70_200, "reason": "no renewal succeeded before the deadline" },
    ]})
}
