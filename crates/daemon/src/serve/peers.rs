//! The other nodes of the cluster, asked over their HTTP API.

use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::cluster::{LOOK_EVERY, LOOK_TIMEOUT};
use oncegate_coordinator::overview::Overview;
use oncegate_coordinator::peers::clock_offset_ms;
use oncegate_coordinator::{BoxFuture, Clock, PeerAnswer, Peers};
use oncegate_protocol::{PortError, Wall};

use crate::client::http::Client;

/// A picture that a peer tells was put together at most so long before it is told: it looks around every so often, and
/// a look may take so long.
const OLDEST_PICTURE: Duration = LOOK_EVERY.saturating_add(LOOK_TIMEOUT);

/// Peers by their URLs.
pub(super) struct HttpPeers {
    urls: Vec<String>,
    clients: Vec<Client>,
    clock: Arc<dyn Clock>,
}

impl HttpPeers {
    pub(super) fn new(peers: Vec<(String, Client)>, clock: Arc<dyn Clock>) -> Self {
        let (urls, clients) = peers.into_iter().unzip();
        Self { urls, clients, clock }
    }
}

impl Peers for HttpPeers {
    fn urls(&self) -> &[String] {
        &self.urls
    }

    fn ask(&self, peer: usize) -> BoxFuture<'_, Result<PeerAnswer, PortError>> {
        Box::pin(async move {
            let client = self.clients.get(peer).ok_or_else(|| PortError(format!("there is no peer {peer}")))?;
            let asked = self.clock.now().wall;
            let answer = client.get("/v1/overview").await.map_err(|no| PortError(no.what))?;
            let answered = self.clock.now().wall;
            if answer.status >= 400 {
                return Err(PortError(format!("{} answered HTTP {}", client.url(), answer.status)));
            }
            let seen: Overview = serde_json::from_value(answer.body)
                .map_err(|error| PortError(format!("{} told something else: {error}", client.url())))?;
            let millis = i64::try_from(OLDEST_PICTURE.as_millis()).unwrap_or(i64::MAX);
            let earliest = Wall::from_millis(asked.as_millis().saturating_sub(millis));
            Ok(PeerAnswer {
                instance: seen.instance,
                is_leader: seen.leader.is_leader,
                clock_offset_ms: Some(clock_offset_ms(earliest, answered, Wall::from_millis(seen.at_ms), 1)),
            })
        })
    }
}
