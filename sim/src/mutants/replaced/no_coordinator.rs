//! When the coordinator can't be started, the engine runs without: a process whose first word with Redis fails
//! is its own leader for good.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{Clock, LeaseStore};
use oncegate_protocol::{Epoch, LeaseCall, LeaseReply, PortError};

use crate::mutants::Bug;
use crate::mutants::ports::lease_with;
use crate::world::locked;

/// Less than the driver gives to a call, so that the failure is seen here.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    NotYet,
    Failed,
    Done,
}

pub(crate) struct NoCoordinator;

impl Bug for NoCoordinator {
    fn lease(&self, inner: Arc<dyn LeaseStore>, clock: &Arc<dyn Clock>) -> Arc<dyn LeaseStore> {
        let (clock, start) = (Arc::clone(clock), Arc::new(Mutex::new(Start::NotYet)));
        lease_with(inner, move |lease, call| {
            let (clock, start) = (Arc::clone(&clock), Arc::clone(&start));
            Box::pin(async move {
                if *locked(&start) == Start::Failed {
                    return Ok(alone(call));
                }
                let by = clock.now().mono.plus(PATIENCE);
                let reply = until(&*clock, by, lease.call(call.clone())).await;
                let reply = reply.unwrap_or_else(|| Err(PortError("the coordinator does not start".into())));
                let mut start = locked(&start);
                if *start == Start::NotYet {
                    *start = if reply.is_ok() { Start::Done } else { Start::Failed };
                }
                if *start == Start::Failed { Ok(alone(call)) } else { reply }
            })
        })
    }
}

fn alone(call: LeaseCall) -> LeaseReply {
    match call {
        LeaseCall::Acquire { .. } | LeaseCall::Renew { .. } => LeaseReply::Granted { seen: Epoch(0) },
        LeaseCall::Release { .. } | LeaseCall::Read => LeaseReply::Free,
    }
}
