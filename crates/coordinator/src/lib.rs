//! The doing half of oncegate: the ports to the outside and the one event loop that serves them.
//!
//! [`ports`] names what the outside must offer, [`clock`] and [`net`] are the real clock and the real
//! network, [`timeout`] bounds a call on any clock.

pub mod clock;
pub mod net;
pub mod ports;
pub mod timeout;

pub use clock::SystemClock;
pub use net::TcpConnect;
pub use ports::{BoxFuture, Broker, Clock, Connect, LeaseStore, SignalStore, Stream};
