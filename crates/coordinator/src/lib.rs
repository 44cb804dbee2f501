//! The doing half of oncegate: the ports to the outside and the one event loop that serves them.
//!
//! [`ports`] names what the outside must offer, [`driver`] is the loop, [`handle`] talks to it, [`observe`]
//! listens to it; [`ledger`], [`overview`], [`exposition`] and [`metrics`] are what people read; [`clock`], [`net`] and
//! [`entropy`] are the real ones, [`timeout`] bounds a call on any clock.

pub mod alerts;
pub mod clock;
pub mod cluster;
pub mod driver;
pub mod entropy;
pub mod exposition;
pub mod handle;
pub mod ledger;
pub mod metrics;
pub mod net;
pub mod observe;
pub mod overview;
pub mod peers;
pub mod ports;
pub mod timeout;

pub use alerts::{AlertConfig, Alerts};
pub use clock::SystemClock;
pub use cluster::{ClusterWatch, watch_cluster};
pub use driver::{Driver, Observer, Ports};
pub use exposition::Exposition;
pub use handle::{Handle, Receipt, Status, SubmitError};
pub use ledger::Ledger;
pub use metrics::{Measured, Metrics, MetricsSnapshot};
pub use net::{TcpConnect, TcpListen};
pub use peers::{NoPeers, PeerAnswer, Peers};
pub use ports::{BoxFuture, Broker, Clock, Connect, LeaseStore, Listen, SignalStore, Stream};
