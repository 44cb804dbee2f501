//! A port that is timed: it counts each call by kind, how it ended and how long it took, and changes nothing else.
//!
//! A call that its caller drops before it ends was given up: the driver drops what takes too long, and nothing else
//! but its own end drops calls.

use std::sync::Arc;

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{
    Capabilities, ClientOrderId, LeaseCall, LeaseReply, Mono, Order, Outcome, PortError, StoreCall, StoreReply,
};

use super::Metrics;
use super::book::{Book, End, Port};
use super::names;
use crate::ports::{BoxFuture, Broker, LeaseStore, SignalStore};

/// A port that is timed: `Measured<dyn SignalStore>`, `Measured<dyn LeaseStore>`, `Measured<dyn Broker>`.
pub struct Measured<T: ?Sized> {
    inner: Arc<T>,
    metrics: Metrics,
}

impl<T: ?Sized> Measured<T> {
    /// Times every call to `inner` into `metrics`.
    pub fn new(inner: Arc<T>, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    fn begin(&self, port: fn(&mut Book) -> &mut Port, kind: &'static str) -> Timed<'_> {
        let since = self.metrics.now().mono;
        port(&mut self.metrics.book()).begins(kind);
        Timed { metrics: &self.metrics, port, kind, since, end: End::TimedOut }
    }
}

/// A call under way. Dropped before [`Timed::ended`] it has timed out.
struct Timed<'a> {
    metrics: &'a Metrics,
    port: fn(&mut Book) -> &mut Port,
    kind: &'static str,
    since: Mono,
    end: End,
}

impl Timed<'_> {
    fn ended(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let now = self.metrics.now().mono;
        (self.port)(&mut self.metrics.book()).ends(self.kind, now, now.since(self.since), self.end);
    }
}

fn end_of<T, E>(reply: &Result<T, E>) -> End {
    if reply.is_ok() { End::Answered } else { End::Failed }
}

impl<T: LeaseStore + ?Sized> LeaseStore for Measured<T> {
    fn call(&self, call: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>> {
        Box::pin(async move {
            let timed = self.begin(|book| &mut book.lease, names::lease_call(&call));
            let reply = self.inner.call(call).await;
            timed.ended(end_of(&reply));
            reply
        })
    }

    fn released(&self) -> BoxFuture<'_, ()> {
        self.inner.released()
    }
}

impl<T: SignalStore + ?Sized> SignalStore for Measured<T> {
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(async move {
            let timed = self.begin(|book| &mut book.store, names::store_call(&call));
            let claims = matches!(call, StoreCall::Claim(_));
            let reply = self.inner.call(call).await;
            timed.ended(end_of(&reply));
            if claims && matches!(reply, Ok(StoreReply::Fenced(_))) {
                self.metrics.book().fenced_claims += 1;
            }
            reply
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.inner.changed()
    }
}

impl<T: Broker + ?Sized> Broker for Measured<T> {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn place(&self, order: Order) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let timed = self.begin(|book| &mut book.broker, "place");
            let counted = Counted { metrics: &self.metrics, outcome: names::UNKNOWN };
            let outcome = self.inner.place(order).await;
            // A refusal is an answer; nobody knowing is not.
            timed.ended(if matches!(outcome, Outcome::Unknown(_)) { End::Failed } else { End::Answered });
            counted.ended(&outcome);
            outcome
        })
    }

    fn look_up(&self, id: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        Box::pin(async move {
            let timed = self.begin(|book| &mut book.broker, "look_up");
            let answer = self.inner.look_up(id).await;
            timed.ended(if matches!(answer, LookupAnswer::Unavailable(_)) { End::Failed } else { End::Answered });
            *self.metrics.book().lookups.entry(names::lookup(&answer)).or_default() += 1;
            answer
        })
    }
}

/// An order under way, counted when it ends: as unknown when it was given up.
struct Counted<'a> {
    metrics: &'a Metrics,
    outcome: &'static str,
}

impl Counted<'_> {
    fn ended(mut self, outcome: &Outcome) {
        self.outcome = names::outcome(outcome);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        *self.metrics.book().outcomes.entry(self.outcome).or_default() += 1;
    }
}
