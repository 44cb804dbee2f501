//! The source: sends each signal to its nodes like a webhook sender, and keeps the ledger of what it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::client::conn::http1;
use oncegate_coordinator::Connect;
use oncegate_http_broker::stream::HyperIo;
use oncegate_protocol::{Fingerprint, IdentityRule, Signal};

use super::node;
use crate::oracles::sightings::Sighting;
use crate::scenario::{Scenario, SignalSpec};
use crate::world::host::Life;
use crate::world::stream::SimConnect;
use crate::world::trace::What;
use crate::world::{WALL_ORIGIN_MS, World, locked};

/// A webhook sender gives up on one try after this long.
const PATIENCE: Duration = Duration::from_secs(3);
/// And tries again after this long.
const RETRY: Duration = Duration::from_secs(5);

/// One signal of the scenario, as it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Its id in the scenario.
    pub id: String,
    /// What it should be recognised by.
    pub fingerprint: Fingerprint,
    /// It has a deadline.
    pub expires: bool,
    /// When a node first answered 2xx.
    pub acknowledged: Option<Duration>,
}

/// What the source knows; judged against what the store and the broker say.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<String, Sent>>);

impl Ledger {
    /// A ledger of the scenario's signals, none acknowledged.
    pub fn new(scenario: &Scenario) -> Self {
        let sent = scenario.signals.iter().map(|signal| {
            let body = body(signal);
            let fingerprint = Signal::read(&body, &IdentityRule::default())
                .map(|signal| signal.fingerprint)
                .expect("the sources of scenarios write well-formed signals");
            let sent =
                Sent { id: signal.id.clone(), fingerprint, expires: signal.good_for.is_some(), acknowledged: None };
            (signal.id.clone(), sent)
        });
        Self(Mutex::new(sent.collect()))
    }

    /// Every signal, by id.
    pub fn signals(&self) -> Vec<Sent> {
        locked(&self.0).values().cloned().collect()
    }

    fn acknowledged(&self, id: &str, at: Duration) {
        if let Some(sent) = locked(&self.0).get_mut(id) {
            sent.acknowledged.get_or_insert(at);
        }
    }
}

/// The signal's bytes.
fn body(signal: &SignalSpec) -> Vec<u8> {
    let mut body = serde_json::json!({ "id": signal.id, "instrument": "NIFTY26NOVFUT", "side": "BUY", "quantity": 50 });
    if let Some(good_for) = signal.good_for {
        let expires_at = WALL_ORIGIN_MS + signal.at.as_millis() + good_for.as_millis();
        body["expires_at_ms"] = expires_at.into();
    }
    body.to_string().into_bytes()
}

/// The one process of the source: every delivery beside every other.
pub async fn process(world: Arc<World>, life: Arc<Life>, scenario: Arc<Scenario>, ledger: Arc<Ledger>) {
    let mut deliveries = FuturesUnordered::new();
    for signal in &scenario.signals {
        for to in &signal.to {
            deliveries.push(deliver(&world, &life, &ledger, signal, to));
        }
    }
    while deliveries.next().await.is_some() {}
    std::future::pending().await
}

/// Sends one signal to one node until that answers with anything but "try again".
async fn deliver(world: &Arc<World>, life: &Arc<Life>, ledger: &Ledger, signal: &SignalSpec, to: &str) {
    world.sleep_until(signal.at.get()).await;
    let connect = SimConnect { world: Arc::clone(world), life: Arc::clone(life) };
    let body = Bytes::from(body(signal));
    let here = life.host.at;
    loop {
        let until = world.now() + PATIENCE;
        let posting = std::pin::pin!(post(&connect, to, body.clone()));
        let waited = std::pin::pin!(world.sleep_until(until));
        let status = match select(posting, waited).await {
            Either::Left((status, _)) => status,
            Either::Right(((), _)) => Err("no answer within 3 s".to_owned()),
        };
        match status {
            Ok(status) if (200..300).contains(&status) => {
                ledger.acknowledged(&signal.id, world.now());
                world.tell(here, What::Source(format!("{} is acknowledged by {to} ({status})", signal.id)));
                return;
            }
            Ok(status) if (400..500).contains(&status) => {
                world.tell(here, What::Source(format!("{} is refused by {to} ({status})", signal.id)));
                return;
            }
            Ok(status) => {
                world.judge().sightings.saw(Sighting::IntakeRefused);
                world.tell(here, What::Source(format!("{} is not taken by {to} ({status}), tries again", signal.id)));
            }
            Err(error) => {
                world.tell(here, What::Source(format!("{} does not reach {to} ({error}), tries again", signal.id)));
            }
        }
        world.sleep_until(world.now() + RETRY).await;
    }
}

async fn post(connect: &SimConnect, to: &str, body: Bytes) -> Result<u16, String> {
    let stream = connect.connect(&format!("{to}:{}", node::PORT)).await.map_err(|e| e.to_string())?;
    let (mut sender, connection) = http1::handshake(HyperIo(stream)).await.map_err(|e| e.to_string())?;
    let request = hyper::Request::post(node::SIGNALS_PATH)
        .header(hyper::header::HOST, to)
        .body(Full::new(body))
        .map_err(|e| e.to_string())?;
    let asking = std::pin::pin!(sender.send_request(request));
    match select(asking, std::pin::pin!(connection)).await {
        Either::Left((response, _)) => response.map(|r| r.status().as_u16()).map_err(|e| e.to_string()),
        Either::Right(_) => Err("the connection broke".into()),
    }
}
