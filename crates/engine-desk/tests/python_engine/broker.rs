//! The three kinds of broker that there are, with a book that shows every order that was ever placed.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use oncegate_coordinator::SystemClock;
use oncegate_http_broker::{Ask, OrderAnswer, PaperBroker, Reply, serve};
use oncegate_protocol::{BrokerOrderId, Capabilities, ClientOrderId, DedupScope, Lookup};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The paper broker of the project.
    Deduplicates,
    /// A repeated order is a second order; orders can be looked up.
    LookUpOnly,
    /// A repeated order is a second order, and nobody can ask.
    Blind,
}

impl Kind {
    pub(crate) fn capabilities(self) -> Capabilities {
        let flight = Duration::from_millis(300);
        let dedup = if self == Self::Deduplicates { DedupScope::Forever } else { DedupScope::Never };
        let lookup = if self == Self::Blind { Lookup::None } else { Lookup::ByClientOrderId { visible_after: flight } };
        Capabilities { dedup, lookup, longest_flight: flight, ..Capabilities::blind() }
    }
}

pub(crate) struct TestBroker {
    pub(crate) address: String,
    book: Arc<Book>,
    _tasks: JoinSet<()>,
}

struct Book {
    kind: Kind,
    paper: PaperBroker,
    orders: Mutex<Vec<ClientOrderId>>,
    placed: watch::Sender<usize>,
    /// Each answer to an order takes a permit.
    answers: Semaphore,
}

impl TestBroker {
    /// One that answers at once.
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_with(kind, Semaphore::MAX_PERMITS).await
    }

    /// One that answers so many orders and keeps the others waiting.
    pub(crate) async fn start_with(kind: Kind, answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let book = Arc::new(Book {
            kind,
            paper: PaperBroker::new(Arc::new(SystemClock)),
            orders: Mutex::default(),
            placed: watch::Sender::new(0),
            answers: Semaphore::new(answers),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, book.clone()));
        Self { address, book, _tasks: tasks }
    }

    /// How many orders there are at the exchange.
    pub(crate) fn orders(&self) -> usize {
        match self.book.kind {
            Kind::Deduplicates => self.book.paper.orders().len(),
            Kind::LookUpOnly | Kind::Blind => self.book.orders.lock().unwrap().len(),
        }
    }

    /// Ready when so many orders have come in, answered or not.
    #[allow(clippy::disallowed_methods)] // One waits; no order of waking to be seen.
    pub(crate) async fn placed(&self, count: usize) {
        self.book.placed.subscribe().wait_for(|placed| *placed >= count).await.unwrap();
    }

    /// Answers one more order.
    pub(crate) fn answer_one(&self) {
        self.book.answers.add_permits(1);
    }
}

async fn accept(listener: TcpListener, book: Arc<Book>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let book = book.clone();
        connections.spawn(async move {
            // A client that hangs up is what these tests are about.
            let _ = serve(stream, |ask| answer(book.clone(), ask)).await;
        });
    }
}

async fn answer(book: Arc<Book>, ask: Ask) -> Option<Reply> {
    let is_order = matches!(ask, Ask::Place(_));
    let reply = match (book.kind, ask) {
        (Kind::Deduplicates, ask) => book.paper.answer(ask),
        (Kind::LookUpOnly | Kind::Blind, Ask::Place(order)) => {
            let mut orders = book.orders.lock().unwrap();
            orders.push(order.client_order_id.clone());
            let broker_order_id = BrokerOrderId::new(format!("b-{}", orders.len()));
            Reply::new(201, &OrderAnswer::Accepted { client_order_id: order.client_order_id, broker_order_id })
        }
        (Kind::LookUpOnly, Ask::LookUp(client_order_id)) => {
            match book.orders.lock().unwrap().iter().position(|id| *id == client_order_id) {
                Some(at) => {
                    let broker_order_id = BrokerOrderId::new(format!("b-{}", at + 1));
                    Reply::new(200, &OrderAnswer::Accepted { client_order_id, broker_order_id })
                }
                None => Reply::new(404, &OrderAnswer::NotFound { client_order_id }),
            }
        }
        (Kind::Blind, Ask::LookUp(_)) => Reply { status: 501, body: Bytes::from_static(b"{}") },
    };
    if is_order {
        book.placed.send_modify(|placed| *placed += 1);
        book.answers.acquire().await.ok()?.forget();
    }
    Some(reply)
}
