//! A whole node behind its API on a real socket: driver, SQLite in a folder of its own, and a broker on paper.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // Each test file uses a part; clippy knows tests by their attribute.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oncegate_coordinator::observe::NoticeLog;
use oncegate_coordinator::overview::{Leader, Member, Overview};
use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{
    BoxFuture, Broker, Clock, Connect, Driver, Exposition, Handle, Listen, Ports, SignalStore, Stream, SystemClock,
    TcpConnect, TcpListen,
};
use oncegate_engine_desk::{DeskConfig, EngineDesk};
use oncegate_http_api::{Api, ApiConfig, Health, Limits, Role, Token, serve_until};
use oncegate_http_broker::PaperBroker;
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{
    Capabilities, ClientOrderId, IdentityRule, InstanceId, Node, NodeConfig, Order, Outcome, PortError, StoreCall,
    StoreReply, Timing,
};
use oncegate_sqlite_store::{SqliteLease, SqliteLedger, SqliteStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub const SENDER: &str = "sender-secret-0123456789";
pub const ALICE: &str = "alice-secret-0123456789";
pub const INSTANCE: &str = "node-a";

/// How a node is put together.
pub struct Plan {
    pub config: ApiConfig,
    pub identity: IdentityRule,
    pub broker: Arc<dyn Broker>,
    pub health: Health,
    /// Orders go over a desk, and not to `broker`.
    pub at_desk: bool,
    /// The loop is never run.
    pub stuck: bool,
}

impl Default for Plan {
    fn default() -> Self {
        let limits = Limits { rate: None, ..Limits::default() };
        Self {
            config: ApiConfig { limits, ..ApiConfig::default() },
            identity: IdentityRule::default(),
            broker: Arc::new(PaperBroker::new(clock())),
            health: Health::new(),
            at_desk: false,
            stuck: false,
        }
    }
}

impl Plan {
    /// With a sender and an operator.
    pub fn with_tokens() -> Self {
        let mut plan = Self::default();
        plan.config.tokens = vec![
            Token::new("sender", Role::Submit, SENDER).unwrap(),
            Token::new("alice", Role::Operate, ALICE).unwrap(),
        ];
        plan
    }

    pub async fn start(self) -> Running {
        let listen = TcpListen::bind("127.0.0.1:0").await.unwrap();
        let address = listen.local_address().unwrap().to_string();
        self.start_on(Arc::new(listen), address).await
    }

    pub async fn start_on(self, listen: Arc<dyn Listen>, address: String) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("oncegate.sqlite");
        let clock = clock();
        let store = Arc::new(Stalling {
            inner: SqliteStore::open(&file, Arc::clone(&clock)).unwrap(),
            stalls: AtomicBool::new(false),
            goes_on: Notify::new(),
        });
        let desk = self.at_desk.then(|| {
            let config = DeskConfig::new(Capabilities::deduplicating(), 7, &Timing::default());
            EngineDesk::new(config, Arc::clone(&clock), Arc::clone(&store) as Arc<dyn SignalStore>)
        });
        let broker: Arc<dyn Broker> = match &desk {
            Some(desk) => Arc::new(desk.clone()),
            None => Arc::clone(&self.broker),
        };
        let ports = Ports {
            clock: Arc::clone(&clock),
            lease: Arc::new(SqliteLease::open(&file, Arc::clone(&clock)).unwrap()),
            store: Arc::clone(&store) as Arc<dyn SignalStore>,
            broker: Arc::clone(&broker),
        };
        let config = NodeConfig {
            instance: InstanceId::new(INSTANCE),
            boot_nonce: 7,
            timing: Timing::default(),
            capabilities: broker.capabilities().clone(),
        };
        let node = Node::new(config, clock.now()).unwrap();
        let log = Box::new(NoticeLog { instance: INSTANCE.into() });
        let (driver, handle) = Driver::new(node, ports, &Timing::default(), self.identity, log);
        if let Some(desk) = &desk {
            desk.follow(handle.clone());
        }
        let (told, overview) = watch::channel(Arc::new(picture()));
        let health = Arc::new(self.health);
        let api = Api {
            instance: INSTANCE.into(),
            version: "0.0.0-test",
            handle: handle.clone(),
            clock: Arc::clone(&clock),
            ledger: Arc::new(SqliteLedger::open(&file).unwrap()),
            overview,
            figures: Arc::new(Figures),
            desk: desk.clone(),
            config: self.config,
            health: Arc::clone(&health),
            page: oncegate_http_api::PAGE,
        };
        let stop = Arc::new(Notify::new());
        let stops = Arc::clone(&stop);
        let serving = tokio::spawn(async move { serve_until(listen, api, stops.notified()).await });
        let (driving, parked) =
            if self.stuck { (None, Some(driver)) } else { (Some(tokio::spawn(driver.run())), None) };
        Running { address, handle, store, told, health, stop, serving, driving, _parked: parked, _folder: folder }
    }
}

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// A picture in which nothing is left out.
pub fn picture() -> Overview {
    let leader = Leader {
        redis_leader: Some(INSTANCE.into()),
        db_leader: Some(INSTANCE.into()),
        this_instance: INSTANCE.into(),
        epoch: 3,
        lease_remaining_ms: Some(9_000),
        trust_remaining_ms: Some(8_000),
        led_since_ms: Some(1),
        heartbeat_at_ms: Some(2),
        ..Leader::default()
    };
    Overview {
        at_ms: 5,
        instance: INSTANCE.into(),
        version: "0.0.0-test".into(),
        leader,
        paused: Some(oncegate_coordinator::overview::Paused { reason: "test".into(), since_ms: 4 }),
        nodes: vec![Member { instance: "node-b".into(), url: Some("http://b".into()), ..Member::default() }],
        signals_by_state: BTreeMap::from([("received".into(), 1)]),
        oldest_unhandled_ms: Some(6),
        alerts: vec![oncegate_coordinator::overview::Alert {
            name: "OncegateNoLeader".into(),
            severity: "critical".into(),
            since_ms: 3,
            message: "nobody leads".into(),
        }],
        unreachable: vec!["lease".into()],
    }
}

struct Figures;

impl Exposition for Figures {
    fn prometheus(&self) -> String {
        "# TYPE oncegate_leader gauge\noncegate_leader 1\n".into()
    }

    fn json(&self) -> Value {
        serde_json::json!({ "leader": 1 })
    }
}

/// A store that can be made to stand still.
pub struct Stalling {
    inner: SqliteStore,
    stalls: AtomicBool,
    goes_on: Notify,
}

impl Stalling {
    pub fn stall(&self, stalls: bool) {
        self.stalls.store(stalls, Ordering::SeqCst);
        self.goes_on.notify_waiters();
    }
}

impl SignalStore for Stalling {
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(async move {
            loop {
                let goes_on = self.goes_on.notified();
                if !self.stalls.load(Ordering::SeqCst) {
                    break;
                }
                goes_on.await;
            }
            self.inner.call(call).await
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.inner.changed()
    }
}

/// A broker that never says how an order ended and can't be asked: what it is sent is quarantined.
pub struct Mute(Capabilities);

impl Mute {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Capabilities::blind()))
    }
}

impl Broker for Mute {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    fn place(&self, _: Order) -> BoxFuture<'_, Outcome> {
        Box::pin(std::future::ready(Outcome::Unknown("it says nothing".into())))
    }

    fn look_up(&self, _: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        Box::pin(std::future::ready(LookupAnswer::Unavailable("it can't be asked".into())))
    }
}

/// A node that runs until it is dropped.
pub struct Running {
    pub address: String,
    pub handle: Handle,
    pub store: Arc<Stalling>,
    pub told: watch::Sender<Arc<Overview>>,
    pub health: Arc<Health>,
    pub stop: Arc<Notify>,
    pub serving: JoinHandle<()>,
    driving: Option<JoinHandle<()>>,
    _parked: Option<Driver<Node>>,
    _folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
        if let Some(driving) = &self.driving {
            driving.abort();
        }
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// From all the bytes of a connection, of which the last answer counts.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.into()
        };
        Some(Self { status, head: head.to_ascii_lowercase(), body })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| line.split_once(": ").filter(|(n, _)| *n == name).map(|(_, v)| v))
    }

    /// The code of a refusal, whose message says something.
    pub fn code(&self) -> String {
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|m| m.len() > 10), "{self:?}");
        error["code"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

pub async fn connect(address: &str) -> Box<dyn Stream> {
    TcpConnect.connect(address).await.unwrap()
}

/// Sends these bytes and reads whatever comes until the end.
pub async fn exchange(address: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(address).await;
    // A server may have said enough before it has heard all.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        bytes.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    bytes.push_str("\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Running {
    pub async fn send(&self, bytes: &[u8]) -> Answer {
        let answer = exchange(&self.address, bytes).await;
        let said = || panic!("{:?} to {:?}", String::from_utf8_lossy(&answer), String::from_utf8_lossy(bytes));
        Answer::read(&answer).unwrap_or_else(said)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(&request("GET", path, &[], b"")).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> Answer {
        self.send(&request("GET", path, &[("authorization", &format!("Bearer {token}"))], b"")).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(&request("POST", path, &[("content-type", "application/json")], body.as_bytes())).await
    }

    pub async fn post_as(&self, token: &str, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json"), ("authorization", &*format!("Bearer {token}"))];
        self.send(&request("POST", path, &headers, body.as_bytes())).await
    }

    /// Asks until the answer is as wanted, for at most 20 s.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let clock = clock();
        let by = clock.now().mono.plus(Duration::from_secs(20));
        let mut last = None;
        let asking = async {
            loop {
                let answer = self.get(path).await;
                if wanted(&answer) {
                    return answer;
                }
                last = Some(answer);
                clock.sleep_until(clock.now().mono.plus(Duration::from_millis(20))).await;
            }
        };
        let found = until(&*clock, by, asking).await;
        found.unwrap_or_else(|| panic!("{path} never answered as wanted; last {last:?}"))
    }
}
