//! What the outside must offer. In production these are sockets, clocks and databases; in simulation the same
//! traits are served by the simulated world, and nothing else differs.
//!
//! Every method says what dropping its future halfway leaves behind: the driver bounds each call and drops
//! what takes too long.

use std::future::Future;
use std::io;
use std::pin::Pin;

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::{
    Capabilities, ClientOrderId, LeaseCall, LeaseReply, Mono, Now, Order, Outcome, PortError, StoreCall, StoreReply,
};
use tokio::io::{AsyncRead, AsyncWrite};

/// A boxed future: ports are chosen at run time, and a call to one costs far more than the box.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Both clocks of this host.
pub trait Clock: Send + Sync + 'static {
    /// Reads both clocks. The monotonic one must count through suspend.
    fn now(&self) -> Now;

    /// Ready at or after `deadline` on the monotonic clock; dropping it leaves nothing.
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()>;
}

/// A byte stream to a peer.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Opens byte streams to named peers.
pub trait Connect: Send + Sync + 'static {
    /// Connects to `peer`, written `host:port`. Dropped before it is ready it leaves no stream, and no byte
    /// of the caller's has left.
    fn connect<'a>(&'a self, peer: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;
}

/// Takes byte streams from peers: the counterpart of [`Connect`].
pub trait Listen: Send + Sync + 'static {
    /// The next stream, and who it is from (`host:port`, for logs). Dropped before it is ready it leaves the peer in
    /// the queue. An error is about one peer or a moment; the next call may succeed.
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, String)>>;
}

/// The lease: one entry that expires.
pub trait LeaseStore: Send + Sync + 'static {
    /// Performs `call` atomically. An error, or dropping the future, leaves it unknown whether the call had
    /// its effect or will have it yet.
    fn call(&self, call: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>>;

    /// Ready when the lease may have been released: a hint that may be lost, come late or come for nothing.
    /// Dropping it leaves nothing.
    fn released(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// The signals, their attempts and the epoch: the only authority.
pub trait SignalStore: Send + Sync + 'static {
    /// Performs `call` in one atomic commit, durable before it is answered. An error, or dropping the future,
    /// leaves it unknown whether the call had its effect or will have it yet.
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>>;

    /// Ready when something may have been added: a hint that may be lost, come late or come for nothing.
    /// Dropping it leaves nothing.
    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// Where orders go.
pub trait Broker: Send + Sync + 'static {
    /// What the broker declares about itself; constant.
    fn capabilities(&self) -> &Capabilities;

    /// Places one order within `order.timeout`, and not at all from `order.send_before` on. Anything that is
    /// not provably refused or provably not sent is [`Outcome::Unknown`]. Dropping the future leaves the
    /// outcome unknown.
    fn place(&self, order: Order) -> BoxFuture<'_, Outcome>;

    /// Asks for an order by the id it was placed under. Dropping it leaves nothing.
    fn look_up(&self, id: ClientOrderId) -> BoxFuture<'_, LookupAnswer>;

    /// Ready when the broker's side can take orders and questions, if it could not when `was` is false; or can't any
    /// more, if it could: with how it is now, which is never `was`. While it can't nothing is claimed and nothing is
    /// asked, so that the store does not fill with attempts that were not sent. A node begins by believing that it can;
    /// by default it always can, and this is never ready. It need not be exact: a call that comes when nobody is there
    /// must still answer within its time. Dropping it leaves nothing.
    fn readiness(&self, was: bool) -> BoxFuture<'_, bool> {
        let _ = was;
        Box::pin(std::future::pending())
    }
}
