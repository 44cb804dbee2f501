//! Not Redis says when a lease is over, but somebody's own idea of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::{Clock, LeaseStore};
use oncegate_protocol::{LeaseCall, LeaseReply, NodeConfig};

use crate::mutants::Bug;
use crate::mutants::ports::lease_with;
use crate::world::locked;

/// A follower notes when the lease that it was shown will run out, and takes it then, renewed or not.
pub(crate) struct OwnIdeaOfExpiry;

impl Bug for OwnIdeaOfExpiry {
    fn lease(&self, inner: Arc<dyn LeaseStore>, clock: &Arc<dyn Clock>) -> Arc<dyn LeaseStore> {
        let (clock, noted) = (Arc::clone(clock), Arc::new(Mutex::new(None)));
        lease_with(inner, move |lease, call| {
            let (clock, noted) = (Arc::clone(&clock), Arc::clone(&noted));
            Box::pin(async move {
                let reply = lease.call(call.clone()).await?;
                let (LeaseCall::Acquire { ttl, .. }, LeaseReply::HeldBy { holder, remaining }) = (&call, &reply) else {
                    return Ok(reply);
                };
                let now = clock.now().mono;
                let over = match &*locked(&noted) {
                    Some((whose, at)) => whose == holder && now >= *at,
                    None => false,
                };
                if !over {
                    *locked(&noted) = Some((holder.clone(), now.plus(remaining.unwrap_or(*ttl))));
                    return Ok(reply);
                }
                lease.call(LeaseCall::Release { holder: holder.clone() }).await?;
                lease.call(call).await
            })
        })
    }
}

/// One host is configured with a shorter lease than the others, and cuts theirs to its own whenever it asks.
pub(crate) struct ShorterOnOneHost;

impl Bug for ShorterOnOneHost {
    fn config(&self, config: &mut NodeConfig) {
        if config.instance.as_str() == "n3" {
            let timing = &mut config.timing;
            timing.ttl = Duration::from_secs(5);
            timing.renew_every = Duration::from_secs(1);
            timing.lease_timeout = Duration::from_millis(500);
            timing.renew_deadline = Duration::from_millis(3_900);
            timing.broker_timeout = Duration::from_secs(2);
        }
    }
}

/// Clocks are taken to run alike, and nothing to happen between a reading and its use: the lease is trusted to
/// its last millisecond. (The renewal deadline is earlier, and stays: it helps only a process that is running.)
pub(crate) struct TrustedToTheEnd;

impl Bug for TrustedToTheEnd {
    fn config(&self, config: &mut NodeConfig) {
        let timing = &mut config.timing;
        timing.drift = 0.0;
        timing.margin = Duration::ZERO;
    }
}
