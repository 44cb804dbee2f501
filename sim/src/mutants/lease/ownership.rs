//! Nobody asks whose lease it is: a renewal extends, and a release deletes, whatever is there; and one that is
//! gone is simply taken again.

use std::sync::Arc;

use oncegate_coordinator::{Clock, LeaseStore};
use oncegate_protocol::{LeaseCall, LeaseReply};

use crate::mutants::Bug;
use crate::mutants::ports::lease_with;

/// `PEXPIRE key ttl`, whoever holds it.
pub(crate) struct RenewWithoutOwner;

impl Bug for RenewWithoutOwner {
    fn lease(&self, inner: Arc<dyn LeaseStore>, _clock: &Arc<dyn Clock>) -> Arc<dyn LeaseStore> {
        lease_with(inner, |lease, call| {
            Box::pin(async move {
                let reply = lease.call(call.clone()).await?;
                match (call, reply) {
                    (LeaseCall::Renew { ttl, seen, .. }, LeaseReply::HeldBy { holder, .. }) => {
                        lease.call(LeaseCall::Renew { holder, ttl, seen }).await
                    }
                    (_, reply) => Ok(reply),
                }
            })
        })
    }
}

/// `DEL key`, whoever holds it.
pub(crate) struct ReleaseWithoutOwner;

impl Bug for ReleaseWithoutOwner {
    fn lease(&self, inner: Arc<dyn LeaseStore>, _clock: &Arc<dyn Clock>) -> Arc<dyn LeaseStore> {
        lease_with(inner, |lease, call| {
            Box::pin(async move {
                let reply = lease.call(call.clone()).await?;
                match (call, reply) {
                    (LeaseCall::Release { .. }, LeaseReply::HeldBy { holder, .. }) => {
                        lease.call(LeaseCall::Release { holder }).await
                    }
                    (_, reply) => Ok(reply),
                }
            })
        })
    }
}

/// `SET key holder PX ttl`: a renewal takes the lease again, be it gone or somebody else's.
pub(crate) struct RenewBySet;

impl Bug for RenewBySet {
    fn lease(&self, inner: Arc<dyn LeaseStore>, _clock: &Arc<dyn Clock>) -> Arc<dyn LeaseStore> {
        lease_with(inner, |lease, call| {
            Box::pin(async move {
                let reply = lease.call(call.clone()).await?;
                match (call, reply) {
                    (LeaseCall::Renew { holder, ttl, .. }, LeaseReply::Free) => {
                        lease.call(LeaseCall::Acquire { holder, ttl }).await
                    }
                    (LeaseCall::Renew { holder, ttl, .. }, LeaseReply::HeldBy { holder: other, .. }) => {
                        lease.call(LeaseCall::Release { holder: other }).await?;
                        lease.call(LeaseCall::Acquire { holder, ttl }).await
                    }
                    (_, reply) => Ok(reply),
                }
            })
        })
    }
}
