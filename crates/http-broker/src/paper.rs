//! A broker on paper: takes every order, remembers it, and places nothing anywhere.
//!
//! For trying things out, and the model of a well-behaved broker: it deduplicates by client order id for ever
//! and shows every order at once. It lives in memory; a restart forgets, so it must never stand in for a real
//! broker where money is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oncegate_coordinator::{BoxFuture, Broker, Clock, Stream};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{BrokerOrderId, Capabilities, ClientOrderId, Epoch, Fingerprint, Leg, Lookup, Order, Outcome};

use crate::server::{Ask, Reply, serve};
use crate::wire::{OrderAnswer, OrderRequest};

/// An order as the paper broker remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaperOrder {
    /// Its name here: `paper-1`, `paper-2` and so on, in the order of arrival.
    pub broker_order_id: BrokerOrderId,
    /// Which signal.
    pub fingerprint: Fingerprint,
    /// Which order of the signal.
    pub leg: Leg,
    /// Under which epoch it first came.
    pub epoch: Epoch,
    /// The signal as it first came.
    pub body: Vec<u8>,
    /// How often it came, the first time included.
    pub times_offered: u32,
}

/// A broker in memory; see the module's page.
pub struct PaperBroker {
    capabilities: Capabilities,
    clock: Arc<dyn Clock>,
    book: Mutex<BTreeMap<ClientOrderId, PaperOrder>>,
}

impl PaperBroker {
    /// An empty book. The clock serves only to refuse orders that come too late to be sent.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let capabilities = Capabilities {
            lookup: Lookup::ByClientOrderId { visible_after: Duration::ZERO },
            longest_flight: Duration::ZERO,
            ..Capabilities::deduplicating()
        };
        Self { capabilities, clock, book: Mutex::default() }
    }

    /// All orders, by client order id.
    pub fn orders(&self) -> BTreeMap<ClientOrderId, PaperOrder> {
        self.book().clone()
    }

    /// Answers one question of the order API.
    pub fn answer(&self, ask: Ask) -> Reply {
        match ask {
            Ask::Place(order) => {
                let OrderRequest { client_order_id, fingerprint, leg, epoch, signal } = order;
                let body = signal.get().as_bytes().to_vec();
                let (new, broker_order_id) = self.take(&client_order_id, fingerprint, leg, epoch, body);
                if new {
                    Reply::new(201, &OrderAnswer::Accepted { client_order_id, broker_order_id })
                } else {
                    Reply::new(200, &OrderAnswer::Duplicate { client_order_id, broker_order_id })
                }
            }
            Ask::LookUp(client_order_id) => match self.find(&client_order_id) {
                Some(broker_order_id) => Reply::new(200, &OrderAnswer::Accepted { client_order_id, broker_order_id }),
                None => Reply::new(404, &OrderAnswer::NotFound { client_order_id }),
            },
        }
    }

    /// Whether the order is new, and its name here.
    fn take(
        &self,
        id: &ClientOrderId,
        fingerprint: Fingerprint,
        leg: Leg,
        epoch: Epoch,
        body: Vec<u8>,
    ) -> (bool, BrokerOrderId) {
        let mut book = self.book();
        let next = book.len() + 1;
        match book.entry(id.clone()) {
            Entry::Occupied(mut entry) => {
                let order = entry.get_mut();
                order.times_offered = order.times_offered.saturating_add(1);
                (false, order.broker_order_id.clone())
            }
            Entry::Vacant(entry) => {
                let broker_order_id = BrokerOrderId::new(format!("paper-{next}"));
                let named = broker_order_id.clone();
                entry.insert(PaperOrder { broker_order_id, fingerprint, leg, epoch, body, times_offered: 1 });
                (true, named)
            }
        }
    }

    fn find(&self, id: &ClientOrderId) -> Option<BrokerOrderId> {
        self.book().get(id).map(|order| order.broker_order_id.clone())
    }

    fn book(&self) -> MutexGuard<'_, BTreeMap<ClientOrderId, PaperOrder>> {
        // Nothing under the lock leaves the book half changed, so a panic elsewhere doesn't spoil it.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker for PaperBroker {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn place(&self, order: Order) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            if self.clock.now().mono >= order.send_before {
                return Outcome::NotSent("the time to send had run out".into());
            }
            let Order { client_order_id, fingerprint, leg, epoch, body, .. } = order;
            Outcome::Accepted(self.take(&client_order_id, fingerprint, leg, epoch, body).1)
        })
    }

    fn look_up(&self, id: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        Box::pin(async move { self.find(&id).map_or(LookupAnswer::NotFound, LookupAnswer::Found) })
    }
}

/// Serves the order API from `broker`'s book over one stream, until the client closes it.
///
/// # Errors
/// When the connection breaks.
pub async fn serve_paper(stream: impl Stream, broker: Arc<PaperBroker>) -> hyper::Result<()> {
    serve(stream, |ask| std::future::ready(Some(broker.answer(ask)))).await
}
