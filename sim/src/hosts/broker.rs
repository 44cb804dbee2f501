//! The broker host: HTTP/1.1 and a book of its own, which is the truth about what was executed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_http_broker::{Ask, OrderAnswer, OrderRequest, Reply, serve};
use oncegate_protocol::broker::DedupScope;
use oncegate_protocol::{BrokerOrderId, Capabilities, ClientOrderId, Epoch, Fingerprint, Leg};
use tokio::sync::oneshot;

use crate::nemesis::Nemesis;
use crate::oracles::sightings::Sighting;
use crate::scenario::BrokerKind;
use crate::world::anchor::Point;
use crate::world::host::Life;
use crate::world::stream::serve_each;
use crate::world::trace::What;
use crate::world::{World, locked};

/// Where the broker listens.
pub const PORT: u16 = 9000;
/// After this long an accepted order is sure to be seen by a look-up.
pub const VISIBLE_AFTER: Duration = Duration::from_secs(5);
/// The longest time between a node's sending an order and this broker acting on it, as declared.
pub const LONGEST_FLIGHT: Duration = Duration::from_secs(20);
/// How long an accepted order really takes to be seen.
const VISIBLE_LAG: Duration = Duration::from_secs(3);
/// How long a broker that forgets remembers a client order id, as declared.
pub const REMEMBERS_FOR: Duration = Duration::from_secs(60);
/// After this long an order is filled.
const FILLED_AFTER: Duration = Duration::from_secs(2);

/// One order in the book: an effect in the market.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Booked {
    /// Since the world began.
    pub at: Duration,
    /// Which signal it carries out.
    pub fingerprint: Fingerprint,
    /// Which order of it.
    pub leg: Leg,
    /// Under which id.
    pub client_order_id: ClientOrderId,
    /// The broker's own name for it.
    pub broker_order_id: BrokerOrderId,
    /// The fencing token that it bore.
    pub epoch: Epoch,
}

/// The broker's machine; the book outlives everything.
pub struct BrokerHost {
    /// Its place in the world.
    pub at: usize,
    kind: BrokerKind,
    book: Mutex<Vec<Booked>>,
    faults: Mutex<Faults>,
    refused: Mutex<BTreeSet<Fingerprint>>,
}

#[derive(Default)]
struct Faults {
    silent: u32,
    outage: u32,
    refuses: u32,
    confused: u32,
    misanswers: Vec<u16>,
    hides: Vec<Duration>,
    late: Vec<Duration>,
}

/// What is wrong with the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrokerFault {
    /// It places orders and does not answer.
    Silent,
    /// It answers 503 and places nothing.
    Outage,
    /// It refuses every new order for good.
    Refuses,
    /// It places orders and answers 500.
    Confused,
    /// It places orders and answers with this status.
    Misanswers(u16),
    /// Its look-up sees orders only this long after they were placed.
    Hides(Duration),
    /// It places orders this much later.
    Late(Duration),
}

impl BrokerHost {
    /// A broker with an empty book.
    pub fn new(at: usize, kind: BrokerKind) -> Self {
        Self { at, kind, book: Mutex::default(), faults: Mutex::default(), refused: Mutex::default() }
    }

    /// Lets something go wrong.
    pub fn begin(&self, fault: BrokerFault) {
        let mut faults = locked(&self.faults);
        match fault {
            BrokerFault::Silent => faults.silent += 1,
            BrokerFault::Outage => faults.outage += 1,
            BrokerFault::Refuses => faults.refuses += 1,
            BrokerFault::Confused => faults.confused += 1,
            BrokerFault::Misanswers(status) => faults.misanswers.push(status),
            BrokerFault::Hides(by) => faults.hides.push(by),
            BrokerFault::Late(by) => faults.late.push(by),
        }
    }

    /// Undoes one [`BrokerHost::begin`].
    pub fn end(&self, fault: BrokerFault) {
        let mut faults = locked(&self.faults);
        match fault {
            BrokerFault::Silent => faults.silent = faults.silent.saturating_sub(1),
            BrokerFault::Outage => faults.outage = faults.outage.saturating_sub(1),
            BrokerFault::Refuses => faults.refuses = faults.refuses.saturating_sub(1),
            BrokerFault::Confused => faults.confused = faults.confused.saturating_sub(1),
            BrokerFault::Misanswers(status) => remove_one(&mut faults.misanswers, status),
            BrokerFault::Hides(by) => remove_one(&mut faults.hides, by),
            BrokerFault::Late(by) => remove_one(&mut faults.late, by),
        }
    }

    /// Whether it has a look-up and does not deduplicate for ever.
    pub fn can_be_asked(&self) -> bool {
        matches!(self.kind, BrokerKind::LooksUp | BrokerKind::UntilFilled | BrokerKind::Forgets)
    }

    /// Whether it will never place a second order under the same client order id.
    pub fn never_repeats(&self) -> bool {
        self.kind.never_repeats()
    }

    /// The order that this broker knows under that id, and will not place again.
    fn known(&self, id: &ClientOrderId, at: Duration) -> Option<Booked> {
        let remembered = |booked: &Booked| match self.kind {
            BrokerKind::Deduplicates | BrokerKind::Absorbs => true,
            BrokerKind::Forgets => at < booked.at + REMEMBERS_FOR,
            BrokerKind::UntilFilled => at < booked.at + FILLED_AFTER,
            BrokerKind::LooksUp | BrokerKind::Blind => false,
        };
        locked(&self.book).iter().rev().find(|booked| booked.client_order_id == *id && remembered(booked)).cloned()
    }

    /// A copy of an order that was sent before arrives, from nobody who waits for the answer.
    pub fn repeat(&self, world: &World, nemesis: &Arc<Nemesis>, order: &OrderRequest) {
        let outage = locked(&self.faults).outage > 0;
        let refuses = locked(&self.faults).refuses > 0 && self.known(&order.client_order_id, world.now()).is_none();
        if !outage && !refuses {
            self.take(world, nemesis, order);
        }
    }

    /// Which signals' orders it has refused for good.
    pub fn refused(&self) -> BTreeSet<Fingerprint> {
        locked(&self.refused).clone()
    }

    /// The book as it is.
    pub fn book(&self) -> Vec<Booked> {
        locked(&self.book).clone()
    }

    /// Takes an order into the book, unless this broker has one under the same id.
    fn take(&self, world: &World, nemesis: &Arc<Nemesis>, order: &OrderRequest) -> OrderAnswer {
        let id = order.client_order_id.clone();
        if let Some(booked) = self.known(&id, world.now()) {
            world.judge().sightings.saw(Sighting::OrderDeduplicated);
            world.tell(
                self.at,
                What::Broker(format!("has {:?} already, as {}", booked.fingerprint, booked.broker_order_id)),
            );
            let broker_order_id = booked.broker_order_id;
            return if self.kind == BrokerKind::Absorbs {
                OrderAnswer::Accepted { client_order_id: id, broker_order_id }
            } else {
                OrderAnswer::Duplicate { client_order_id: id, broker_order_id }
            };
        }
        let mut book = locked(&self.book);
        let booked = Booked {
            at: world.now(),
            fingerprint: order.fingerprint,
            leg: order.leg,
            client_order_id: id.clone(),
            broker_order_id: BrokerOrderId::new(format!("B{}", book.len() + 1)),
            epoch: order.epoch,
        };
        let broker_order_id = booked.broker_order_id.clone();
        book.push(booked.clone());
        drop(book);
        world.tell(
            self.at,
            What::Broker(format!("EXECUTES {:?} as {broker_order_id} (epoch {})", order.fingerprint, order.epoch)),
        );
        world.judge().course.booked(booked.fingerprint);
        world.judge().at_most_once.booked(booked);
        nemesis.reach(Point::OrderBooked, self.at);
        OrderAnswer::Accepted { client_order_id: id, broker_order_id }
    }

    async fn answer(self: Arc<Self>, world: Arc<World>, nemesis: Arc<Nemesis>, ask: Ask) -> Option<Reply> {
        match ask {
            Ask::Place(order) => {
                if locked(&self.faults).outage > 0 {
                    world.tell(self.at, What::Broker(format!("answers 503 to {:?}", order.fingerprint)));
                    world.judge().sightings.saw(Sighting::BrokerOutage);
                    return Some(Reply { status: 503, body: "maintenance".into() });
                }
                let known = self.known(&order.client_order_id, world.now()).is_some();
                if locked(&self.faults).refuses > 0 && !known {
                    world.tell(self.at, What::Broker(format!("REFUSES {:?}", order.fingerprint)));
                    world.judge().sightings.saw(Sighting::BrokerRefused);
                    locked(&self.refused).insert(order.fingerprint);
                    let refusal =
                        OrderAnswer::Rejected { client_order_id: order.client_order_id, reason: "no margin".into() };
                    return Some(Reply::new(422, &refusal));
                }
                let late = locked(&self.faults).late.iter().max().copied();
                if let Some(by) = late {
                    world.tell(self.at, What::Broker(format!("takes its time over {:?}", order.fingerprint)));
                    world.judge().sightings.saw(Sighting::BrokerLate);
                    // Under way inside the broker, whether or not its client still waits.
                    let (broker, later) = (Arc::clone(&self), Arc::clone(&world));
                    let (done, placed) = oneshot::channel();
                    world.spawn(async move {
                        later.sleep_until(later.now() + by).await;
                        // Nobody may be waiting any more.
                        let _ = done.send(broker.take(&later, &nemesis, &order));
                    });
                    let answer = placed.await.ok()?;
                    return Some(placed_reply(&answer));
                }
                let answer = self.take(&world, &nemesis, &order);
                if locked(&self.faults).confused > 0 {
                    world.tell(self.at, What::Broker("answers 500".into()));
                    world.judge().sightings.saw(Sighting::BrokerConfused);
                    return Some(Reply { status: 500, body: "internal error".into() });
                }
                let misanswer = locked(&self.faults).misanswers.last().copied();
                if let Some(status) = misanswer {
                    world.tell(self.at, What::Broker(format!("answers {status}")));
                    world.judge().sightings.saw(Sighting::BrokerMisanswered);
                    return Some(Reply { status, body: "not in the mood".into() });
                }
                if locked(&self.faults).silent > 0 {
                    world.tell(self.at, What::Broker("does not answer".into()));
                    world.judge().sightings.saw(Sighting::BrokerSilent);
                    return std::future::pending().await;
                }
                Some(placed_reply(&answer))
            }
            Ask::LookUp(id) => Some(self.look_up(&world, id)),
        }
    }

    fn look_up(&self, world: &World, id: ClientOrderId) -> Reply {
        world.judge().looked_up(world.now(), &id);
        if self.kind == BrokerKind::Blind || locked(&self.faults).outage > 0 {
            world.judge().sightings.saw(Sighting::LookUpRefused);
            return Reply { status: 503, body: "no such service".into() };
        }
        let now = world.now();
        let lag = locked(&self.faults).hides.iter().max().copied().unwrap_or_default().max(VISIBLE_LAG);
        let seen = locked(&self.book)
            .iter()
            .find(|booked| booked.client_order_id == id && now >= booked.at + lag)
            .map(|booked| booked.broker_order_id.clone());
        match seen {
            Some(broker_order_id) => {
                world.tell(self.at, What::Broker(format!("finds {id} as {broker_order_id}")));
                Reply::new(200, &OrderAnswer::Accepted { client_order_id: id, broker_order_id })
            }
            None => {
                world.tell(self.at, What::Broker(format!("does not find {id}")));
                world.judge().sightings.saw(Sighting::OrderNotFound);
                Reply::new(404, &OrderAnswer::NotFound { client_order_id: id })
            }
        }
    }
}

fn remove_one<T: PartialEq>(of: &mut Vec<T>, which: T) {
    if let Some(at) = of.iter().position(|one| *one == which) {
        of.remove(at);
    }
}

fn placed_reply(answer: &OrderAnswer) -> Reply {
    let status = match answer {
        OrderAnswer::Duplicate { .. } => 409,
        OrderAnswer::Accepted { .. } | OrderAnswer::Rejected { .. } | OrderAnswer::NotFound { .. } => 201,
    };
    Reply::new(status, answer)
}

/// What a node is told about a broker of that kind.
pub fn capabilities(kind: BrokerKind) -> Capabilities {
    let honest = match kind {
        BrokerKind::Deduplicates | BrokerKind::Absorbs => Capabilities::deduplicating(),
        BrokerKind::Forgets => {
            Capabilities { dedup: DedupScope::Within(REMEMBERS_FOR), ..Capabilities::deduplicating() }
        }
        BrokerKind::UntilFilled | BrokerKind::LooksUp => Capabilities::lookup_only(VISIBLE_AFTER),
        BrokerKind::Blind => Capabilities::blind(),
    };
    Capabilities { longest_flight: LONGEST_FLIGHT, ..honest }
}

/// One process of the broker.
pub async fn process(world: Arc<World>, life: Arc<Life>, broker: Arc<BrokerHost>, nemesis: Arc<Nemesis>) {
    let serve_client = |stream| {
        let (broker, world, nemesis) = (Arc::clone(&broker), Arc::clone(&world), Arc::clone(&nemesis));
        serve(stream, move |ask| Arc::clone(&broker).answer(Arc::clone(&world), Arc::clone(&nemesis), ask))
    };
    serve_each(Arc::clone(&world), life, PORT, serve_client).await;
}
