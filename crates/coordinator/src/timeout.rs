//! A bound on a call, on whatever clock the host has.

use std::future::Future;

use futures_util::future::{Either, select};
use oncegate_protocol::Mono;

use crate::ports::Clock;

/// The output of `call`, or none when `deadline` came first; the call is dropped then. A call that is ready
/// at the deadline wins.
pub async fn until<T>(clock: &dyn Clock, deadline: Mono, call: impl Future<Output = T>) -> Option<T> {
    let call = std::pin::pin!(call);
    match select(call, clock.sleep_until(deadline)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}
