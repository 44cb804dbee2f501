//! A leader is leader until it is told otherwise: it believes in its lease six times as long as Redis keeps it.

use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::{Clock, LeaseStore};
use oncegate_protocol::{LeaseCall, NodeConfig, Timing};

use crate::mutants::Bug;
use crate::mutants::ports::lease_with;

pub(crate) struct FlagWithoutDeadline;

impl Bug for FlagWithoutDeadline {
    fn config(&self, config: &mut NodeConfig) {
        config.timing.ttl = Duration::from_secs(60);
        config.timing.renew_deadline = Duration::from_secs(58);
    }

    fn lease(&self, inner: Arc<dyn LeaseStore>, _clock: &Arc<dyn Clock>) -> Arc<dyn LeaseStore> {
        lease_with(inner, |lease, call| {
            let ttl = Timing::default().ttl;
            let call = match call {
                LeaseCall::Acquire { holder, .. } => LeaseCall::Acquire { holder, ttl },
                LeaseCall::Renew { holder, seen, .. } => LeaseCall::Renew { holder, ttl, seen },
                other => other,
            };
            Box::pin(async move { lease.call(call).await })
        })
    }
}
