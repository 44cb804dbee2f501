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
use crate::scenario::{Form, Scenario, SignalSpec};
use crate::world::host::Life;
use crate::world::stream::SimConnect;
use crate::world::trace::What;
use crate::world::{WALL_ORIGIN_MS, World, locked};

/// A webhook sender gives up on one try after this long.
const PATIENCE: Duration = Duration::from_secs(3);
/// A node that stood still while it read may say that the sender was too slow: that is no word about the signal.
const TOO_SLOW: u16 = 408;
/// And tries again after this long.
const RETRY: Duration = Duration::from_secs(5);

/// One signal of the scenario, as it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Its id in the scenario.
    pub id: String,
    /// The id of the signal, or burst of signals, that it is written as.
    pub spec: String,
    /// What it should be recognised by; none when it is no signal at all.
    pub fingerprint: Option<Fingerprint>,
    /// It has a deadline.
    pub expires: bool,
    /// How many orders it asks for.
    pub legs: u16,
    /// When a node first answered 2xx.
    pub acknowledged: Option<Duration>,
    /// A node has refused it for good.
    pub refused: bool,
}

/// What the source knows; judged against what the store and the broker say.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<String, Sent>>);

impl Ledger {
    /// A ledger of the scenario's signals, none acknowledged.
    pub fn new(scenario: &Scenario) -> Self {
        let rule = identity_rule(scenario);
        let each = scenario.signals.iter().flat_map(|spec| spec.ids().into_iter().map(move |id| (spec, id)));
        let sent = each.map(|(spec, id)| {
            let read = Signal::read(&body(spec, &id, &spec.to[0]), &rule);
            let legs = read.as_ref().map_or(0, |signal| signal.legs);
            let fingerprint = read.ok().map(|signal| signal.fingerprint);
            assert_eq!(fingerprint.is_none(), spec.form.is_refused(), "sources write what their scenario says");
            let sent = Sent {
                id: id.clone(),
                spec: spec.id.clone(),
                fingerprint,
                expires: spec.good_for.is_some(),
                legs,
                acknowledged: None,
                refused: false,
            };
            (id, sent)
        });
        Self(Mutex::new(sent.collect()))
    }

    /// Every signal, by id.
    pub fn signals(&self) -> Vec<Sent> {
        locked(&self.0).values().cloned().collect()
    }

    fn fingerprint(&self, id: &str) -> Option<Fingerprint> {
        locked(&self.0).get(id)?.fingerprint
    }

    fn refused(&self, id: &str) {
        if let Some(sent) = locked(&self.0).get_mut(id) {
            sent.refused = true;
        }
    }

    fn acknowledged(&self, id: &str, at: Duration) {
        if let Some(sent) = locked(&self.0).get_mut(id) {
            sent.acknowledged.get_or_insert(at);
        }
    }
}

/// By what the nodes of a scenario tell signals apart.
pub fn identity_rule(scenario: &Scenario) -> IdentityRule {
    IdentityRule { fields: scenario.world.identity.clone(), ..IdentityRule::default() }
}

/// The signal's bytes, as they go to one recipient.
fn body(signal: &SignalSpec, id: &str, to: &str) -> Vec<u8> {
    let mut body = serde_json::json!({ "id": id, "instrument": "NIFTY26NOVFUT", "side": "BUY", "quantity": 50 });
    if let Some(good_for) = signal.good_for {
        let expires_at = WALL_ORIGIN_MS + signal.at.as_millis() + good_for.as_millis();
        body["expires_at_ms"] = expires_at.into();
    }
    if signal.legs > 1 {
        // The orders of its legs are whole, deadline included: they are all that the broker gets.
        let order = |leg: u32| {
            let mut order = body.clone();
            order["instrument"] = format!("NIFTY26NOV{}CE", 25_000 + 100 * leg).into();
            order["side"] = if leg.is_multiple_of(2) { "BUY" } else { "SELL" }.into();
            order
        };
        let legs: Vec<_> = (0..signal.legs).map(order).collect();
        body["legs"] = legs.into();
    }
    if signal.form == Form::Addressed {
        body["sent_to"] = to.into();
    }
    let text = body.to_string();
    match signal.form {
        Form::Well | Form::Addressed => text,
        Form::Malformed => text[..text.len() / 2].to_owned(),
        Form::DuplicateKey => format!("{{\"quantity\":5000,{}", &text[1..]),
    }
    .into_bytes()
}

/// The one process of the source: every delivery beside every other.
pub async fn process(world: Arc<World>, life: Arc<Life>, scenario: Arc<Scenario>, ledger: Arc<Ledger>) {
    let mut deliveries = FuturesUnordered::new();
    for signal in &scenario.signals {
        for id in signal.ids() {
            for to in &signal.to {
                deliveries.push(deliver(&world, &life, &ledger, signal, id.clone(), to));
            }
        }
    }
    while deliveries.next().await.is_some() {}
    std::future::pending().await
}

/// Sends one signal to one node until that answers with anything but "try again", as often as the scenario says.
async fn deliver(world: &Arc<World>, life: &Arc<Life>, ledger: &Ledger, signal: &SignalSpec, id: String, to: &str) {
    world.sleep_until(signal.at.get()).await;
    let connect = SimConnect { world: Arc::clone(world), life: Arc::clone(life) };
    let body = Bytes::from(body(signal, &id, to));
    if let Some(fingerprint) = ledger.fingerprint(&id) {
        world.judge().course.offered(fingerprint);
    }
    let here = life.host.at;
    let mut times = 0;
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
                ledger.acknowledged(&id, world.now());
                world.tell(here, What::Source(format!("{id} is acknowledged by {to} ({status})")));
                times += 1;
            }
            Ok(status) if (400..500).contains(&status) && status != TOO_SLOW => {
                world.tell(here, What::Source(format!("{id} is refused by {to} ({status})")));
                ledger.refused(&id);
                let refused = if status == 409 { Sighting::ConflictRefused } else { Sighting::MalformedRefused };
                world.judge().sightings.saw(refused);
                times += 1;
            }
            Ok(status) => {
                world.judge().sightings.saw(Sighting::IntakeRefused);
                world.tell(here, What::Source(format!("{id} is not taken by {to} ({status}), tries again")));
            }
            Err(error) => {
                world.tell(here, What::Source(format!("{id} does not reach {to} ({error}), tries again")));
            }
        }
        if times == signal.times {
            return;
        }
        world.sleep_until(world.now() + RETRY).await;
    }
}

async fn post(connect: &SimConnect, to: &str, body: Bytes) -> Result<u16, String> {
    let stream = connect.connect(&format!("{to}:{}", node::PORT)).await.map_err(|e| e.to_string())?;
    let (mut sender, connection) = http1::handshake(HyperIo(stream)).await.map_err(|e| e.to_string())?;
    let request = hyper::Request::post(node::SIGNALS_PATH)
        .header(hyper::header::HOST, to)
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|e| e.to_string())?;
    let asking = std::pin::pin!(sender.send_request(request));
    match select(asking, std::pin::pin!(connection)).await {
        Either::Left((response, _)) => response.map(|r| r.status().as_u16()).map_err(|e| e.to_string()),
        Either::Right(_) => Err("the connection broke".into()),
    }
}
