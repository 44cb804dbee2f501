//! Ports that lie: a production adapter with something else in front of it.

use std::sync::Arc;

use oncegate_coordinator::{BoxFuture, Broker, LeaseStore, SignalStore};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{
    Capabilities, ClientOrderId, LeaseCall, LeaseReply, Order, Outcome, PortError, StoreCall, StoreReply,
};

type LeaseAnswer = Result<LeaseReply, PortError>;
type StoreAnswer = Result<StoreReply, PortError>;

struct LeaseWith<F> {
    inner: Arc<dyn LeaseStore>,
    act: F,
}

/// The lease, with every call carried out by `act`.
pub(super) fn lease_with<F>(inner: Arc<dyn LeaseStore>, act: F) -> Arc<dyn LeaseStore>
where
    F: Fn(Arc<dyn LeaseStore>, LeaseCall) -> BoxFuture<'static, LeaseAnswer> + Send + Sync + 'static,
{
    Arc::new(LeaseWith { inner, act })
}

impl<F> LeaseStore for LeaseWith<F>
where
    F: Fn(Arc<dyn LeaseStore>, LeaseCall) -> BoxFuture<'static, LeaseAnswer> + Send + Sync + 'static,
{
    fn call(&self, call: LeaseCall) -> BoxFuture<'_, LeaseAnswer> {
        (self.act)(Arc::clone(&self.inner), call)
    }

    fn released(&self) -> BoxFuture<'_, ()> {
        self.inner.released()
    }
}

struct StoreWith<F> {
    inner: Arc<dyn SignalStore>,
    act: F,
}

/// The store, with every call carried out by `act`.
pub(super) fn store_with<F>(inner: Arc<dyn SignalStore>, act: F) -> Arc<dyn SignalStore>
where
    F: Fn(Arc<dyn SignalStore>, StoreCall) -> BoxFuture<'static, StoreAnswer> + Send + Sync + 'static,
{
    Arc::new(StoreWith { inner, act })
}

impl<F> SignalStore for StoreWith<F>
where
    F: Fn(Arc<dyn SignalStore>, StoreCall) -> BoxFuture<'static, StoreAnswer> + Send + Sync + 'static,
{
    fn call(&self, call: StoreCall) -> BoxFuture<'_, StoreAnswer> {
        (self.act)(Arc::clone(&self.inner), call)
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.inner.changed()
    }
}

struct BrokerWith<F> {
    inner: Arc<dyn Broker>,
    place: F,
}

/// The broker, with every order placed by `place`.
pub(super) fn broker_with<F>(inner: Arc<dyn Broker>, place: F) -> Arc<dyn Broker>
where
    F: Fn(Arc<dyn Broker>, Order) -> BoxFuture<'static, Outcome> + Send + Sync + 'static,
{
    Arc::new(BrokerWith { inner, place })
}

/// The broker, with every outcome read by `read`.
pub(super) fn outcomes_read(inner: Arc<dyn Broker>, read: fn(Outcome) -> Outcome) -> Arc<dyn Broker> {
    broker_with(inner, move |broker, order| Box::pin(async move { read(broker.place(order).await) }))
}

impl<F> Broker for BrokerWith<F>
where
    F: Fn(Arc<dyn Broker>, Order) -> BoxFuture<'static, Outcome> + Send + Sync + 'static,
{
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn place(&self, order: Order) -> BoxFuture<'_, Outcome> {
        (self.place)(Arc::clone(&self.inner), order)
    }

    fn look_up(&self, id: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        self.inner.look_up(id)
    }

    fn readiness(&self, was: bool) -> BoxFuture<'_, bool> {
        self.inner.readiness(was)
    }
}
