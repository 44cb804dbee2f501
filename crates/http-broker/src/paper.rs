//! A broker on paper: takes every order, remembers it, and places nothing anywhere.
//!
//! For trying things out, and the model of a well-behaved broker: it deduplicates by client order id for ever
//! and shows every order at once. Drills can have it forget ids, or have it show nothing too ([`PaperKind`]). It lives
//! in memory; a restart forgets, so it must never stand in for a real broker where money is. What it executes can be
//! written to a file, a line an order, for whoever judges a drill.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use oncegate_coordinator::{BoxFuture, Broker, Clock, Stream};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{
    BrokerOrderId, Capabilities, ClientOrderId, DedupScope, Epoch, Fingerprint, Leg, Lookup, Order, Outcome,
};

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

/// How well it behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PaperKind {
    /// A repeated client order id is absorbed, and orders can be looked up.
    #[default]
    Deduplicates,
    /// A repeated id is a second order; orders can be looked up.
    LooksUp,
    /// A repeated id is a second order, and nothing can be looked up: a look-up is refused with 501.
    Blind,
}

impl PaperKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Deduplicates, Self::LooksUp, Self::Blind];

    /// The name in commands and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deduplicates => "deduplicates",
            Self::LooksUp => "looks-up",
            Self::Blind => "blind",
        }
    }

    /// What such a broker declares about itself.
    pub fn capabilities(self) -> Capabilities {
        let seen_at_once = Lookup::ByClientOrderId { visible_after: Duration::ZERO };
        let (dedup, lookup) = match self {
            Self::Deduplicates => (DedupScope::Forever, seen_at_once),
            Self::LooksUp => (DedupScope::Never, seen_at_once),
            Self::Blind => (DedupScope::Never, Lookup::None),
        };
        Capabilities { dedup, lookup, longest_flight: Duration::ZERO, ..Capabilities::deduplicating() }
    }
}

/// A broker in memory; see the module's page.
pub struct PaperBroker {
    kind: PaperKind,
    capabilities: Capabilities,
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    orders: BTreeMap<ClientOrderId, PaperOrder>,
    executed: u64,
    journal: Option<Box<dyn Write + Send>>,
}

impl PaperBroker {
    /// An empty book. The clock serves only to refuse orders that come too late to be sent.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::of_kind(PaperKind::default(), clock)
    }

    /// An empty book of a broker that behaves so.
    pub fn of_kind(kind: PaperKind, clock: Arc<dyn Clock>) -> Self {
        Self { kind, capabilities: kind.capabilities(), clock, book: Mutex::default() }
    }

    /// Writes each order that it executes from now on to `journal`, before it is answered: a line of JSON with
    /// `client_order_id`, `broker_order_id`, `fingerprint`, `leg` and `epoch`. What can't be written is not executed.
    pub fn write_to(&self, journal: impl Write + Send + 'static) {
        self.book().journal = Some(Box::new(journal));
    }

    /// All orders, by client order id; of several under one id the first.
    pub fn orders(&self) -> BTreeMap<ClientOrderId, PaperOrder> {
        self.book().orders.clone()
    }

    /// Answers one question of the order API.
    pub fn answer(&self, ask: Ask) -> Reply {
        match ask {
            Ask::Place(order) => {
                let OrderRequest { client_order_id, fingerprint, leg, epoch, signal } = order;
                let body = signal.get().as_bytes().to_vec();
                match self.take(&client_order_id, fingerprint, leg, epoch, body) {
                    Ok((true, broker_order_id)) => {
                        Reply::new(201, &OrderAnswer::Accepted { client_order_id, broker_order_id })
                    }
                    Ok((false, broker_order_id)) => {
                        Reply::new(200, &OrderAnswer::Duplicate { client_order_id, broker_order_id })
                    }
                    Err(error) => Reply { status: 500, body: error_body(&error) },
                }
            }
            Ask::LookUp(_) if self.kind == PaperKind::Blind => {
                Reply { status: 501, body: error_body("orders can't be looked up here") }
            }
            Ask::LookUp(client_order_id) => match self.find(&client_order_id) {
                Some(broker_order_id) => Reply::new(200, &OrderAnswer::Accepted { client_order_id, broker_order_id }),
                None => Reply::new(404, &OrderAnswer::NotFound { client_order_id }),
            },
        }
    }

    /// Whether an order was executed, and its name here; or why the journal would not take it.
    fn take(
        &self,
        id: &ClientOrderId,
        fingerprint: Fingerprint,
        leg: Leg,
        epoch: Epoch,
        body: Vec<u8>,
    ) -> Result<(bool, BrokerOrderId), String> {
        let mut book = self.book();
        if self.kind == PaperKind::Deduplicates
            && let Some(order) = book.orders.get_mut(id)
        {
            order.times_offered = order.times_offered.saturating_add(1);
            return Ok((false, order.broker_order_id.clone()));
        }
        let broker_order_id = BrokerOrderId::new(format!("paper-{}", book.executed + 1));
        if let Some(journal) = &mut book.journal {
            let line = serde_json::json!({
                "client_order_id": id, "broker_order_id": broker_order_id, "fingerprint": fingerprint,
                "leg": leg, "epoch": epoch,
            });
            let written = writeln!(journal, "{line}").and_then(|()| journal.flush());
            written.map_err(|e| format!("the journal of the paper broker can't be written: {e}"))?;
        }
        book.executed += 1;
        let named = broker_order_id.clone();
        match book.orders.entry(id.clone()) {
            Entry::Occupied(mut entry) => {
                let order = entry.get_mut();
                order.times_offered = order.times_offered.saturating_add(1);
            }
            Entry::Vacant(entry) => {
                entry.insert(PaperOrder { broker_order_id, fingerprint, leg, epoch, body, times_offered: 1 });
            }
        }
        Ok((true, named))
    }

    fn find(&self, id: &ClientOrderId) -> Option<BrokerOrderId> {
        self.book().orders.get(id).map(|order| order.broker_order_id.clone())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
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
            match self.take(&client_order_id, fingerprint, leg, epoch, body) {
                Ok((_, name)) => Outcome::Accepted(name),
                Err(error) => Outcome::Unknown(error),
            }
        })
    }

    fn look_up(&self, id: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        Box::pin(async move {
            match self.kind {
                PaperKind::Blind => LookupAnswer::Unavailable("orders can't be looked up here".into()),
                PaperKind::Deduplicates | PaperKind::LooksUp => {
                    self.find(&id).map_or(LookupAnswer::NotFound, LookupAnswer::Found)
                }
            }
        })
    }
}

fn error_body(error: &str) -> Bytes {
    serde_json::json!({ "error": error }).to_string().into()
}

/// Serves the order API from `broker`'s book over one stream, until the client closes it.
///
/// # Errors
/// When the connection breaks.
pub async fn serve_paper(stream: impl Stream, broker: Arc<PaperBroker>) -> hyper::Result<()> {
    serve(stream, |ask| std::future::ready(Some(broker.answer(ask)))).await
}
