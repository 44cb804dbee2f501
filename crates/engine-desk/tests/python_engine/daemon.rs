//! A node as the daemon composes one: driver, SQLite, lease on SQLite, desk, and the desk's routes over HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use oncegate_coordinator::observe::NoticeLog;
use oncegate_coordinator::{Clock, Driver, Handle, Ports, SystemClock, entropy};
use oncegate_engine_desk::{DeskConfig, DeskError, EngineDesk, wire};
use oncegate_http_broker::stream::HyperIo;
use oncegate_protocol::{Capabilities, IdentityRule, InstanceId, Node, NodeConfig, Timing};
use oncegate_sqlite_store::{SqliteLease, SqliteStore};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Times short enough for a test, and long enough for an interpreter on a busy machine.
fn timing() -> Timing {
    let millis = Duration::from_millis;
    Timing {
        ttl: millis(5_000),
        renew_every: millis(200),
        renew_deadline: millis(900),
        lease_timeout: millis(250),
        store_timeout: millis(500),
        broker_timeout: millis(2_000),
        margin: millis(100),
        stale_after: millis(1_000),
        store_deadline: millis(1_500),
        retry: (millis(50), millis(500)),
        drain: millis(2_500),
        ..Timing::default()
    }
}

/// One life of the daemon: dropping it is what SIGKILL does.
pub(crate) struct Daemon {
    pub(crate) handle: Handle,
    pub(crate) desk: EngineDesk,
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Daemon {
    pub(crate) fn start(store: &Path, capabilities: Capabilities, listener: std::net::TcpListener) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let boot_nonce = entropy::boot_nonce().unwrap();
        let signals = Arc::new(SqliteStore::open(store, Arc::clone(&clock)).unwrap());
        let desk_config = DeskConfig::new(capabilities.clone(), boot_nonce, &timing());
        let desk = EngineDesk::new(desk_config, Arc::clone(&clock), signals.clone());
        let ports = Ports {
            clock: Arc::clone(&clock),
            lease: Arc::new(SqliteLease::open(store, Arc::clone(&clock)).unwrap()),
            store: signals,
            broker: Arc::new(desk.clone()),
        };
        let config = NodeConfig { instance: InstanceId::new("a"), boot_nonce, timing: timing(), capabilities };
        let node = Node::new(config, clock.now()).unwrap();
        let log = Box::new(NoticeLog { instance: "a".into() });
        let (driver, handle) = Driver::new(node, ports, &timing(), IdentityRule::default(), log);
        desk.follow(handle.clone());

        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run());
        tasks.spawn(serve(TcpListener::from_std(listener).unwrap(), desk.clone()));
        Self { handle, desk, address, _tasks: tasks }
    }
}

/// Answers until it is dropped, with every connection.
async fn serve(listener: TcpListener, desk: EngineDesk) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let desk = desk.clone();
        connections.spawn(async move {
            let service = service_fn(|request| route(desk.clone(), request));
            // A client that hangs up is no business of the test's.
            let _ = http1::Builder::new().serve_connection(HyperIo(stream), service).await;
        });
    }
}

async fn route(desk: EngineDesk, request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
    let malformed = |e: serde_json::Error| DeskError::Malformed { pointer: None, detail: e.to_string() };
    let answer = match (&head.method, &path[..]) {
        (&Method::GET, ["v1", "work"]) => {
            let wait = head.uri.query().and_then(|query| query.strip_prefix("wait="));
            match wire::read_wait(wait) {
                Ok(wait) => match desk.work(wait).await {
                    Ok(None) => Ok(None),
                    Ok(Some(work)) => Ok(Some(json(&work))),
                    Err(refusal) => Err(refusal),
                },
                Err(flaw) => Err(flaw),
            }
        }
        (&Method::POST, ["v1", "attempts"]) => serde_json::from_slice(&body)
            .map_err(malformed)
            .and_then(|request| desk.begin(&request))
            .map(|begun| Some(json(&begun))),
        (&Method::POST, ["v1", "attempts", id, "outcome"]) => match serde_json::from_slice(&body) {
            Ok(report) => desk.finish(id, report).await.map(|finished| Some(json(&finished))),
            Err(e) => Err(malformed(e)),
        },
        _ => panic!("the example engine asked for {} {}", head.method, head.uri),
    };
    let (status, body) = match answer {
        Ok(Some(body)) => (200, body),
        Ok(None) => (204, Bytes::new()),
        Err(refusal) => {
            let error = serde_json::json!({
                "error": { "code": refusal.code(), "message": refusal.to_string(), "pointer": refusal.pointer() }
            });
            (refusal.status(), json(&error))
        }
    };
    Ok(Response::builder().status(status).body(Full::new(body)).unwrap())
}

fn json(answer: &impl Serialize) -> Bytes {
    serde_json::to_vec(answer).unwrap().into()
}
