//! Trust runs from when a reply is heard. Whoever waits for it has no patience of his own and no number for what
//! he asked: the reply to a renewal of long ago, heard late by a process that stood still, is taken for the reply
//! to the one just asked for.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use oncegate_coordinator::{BoxFuture, Clock, LeaseStore};
use oncegate_protocol::{LeaseCall, LeaseReply, PortError};

use crate::mutants::Bug;
use crate::mutants::ports::lease_with;
use crate::world::locked;

type Asked = BoxFuture<'static, Result<LeaseReply, PortError>>;

pub(crate) struct CountedFromReply;

impl Bug for CountedFromReply {
    fn lease(&self, inner: Arc<dyn LeaseStore>, _clock: &Arc<dyn Clock>) -> Arc<dyn LeaseStore> {
        let waiting: Arc<Mutex<Option<Asked>>> = Arc::default();
        lease_with(inner, move |lease, call| {
            if !matches!(call, LeaseCall::Renew { .. }) {
                return Box::pin(async move { lease.call(call).await });
            }
            let waiting = Arc::clone(&waiting);
            Box::pin(async move {
                poll_fn(|cx| {
                    let mut waiting = locked(&waiting);
                    let (lease, call) = (Arc::clone(&lease), call.clone());
                    // Outlives the asker, who is dropped when the driver's patience ends.
                    let asked = waiting.get_or_insert_with(|| Box::pin(async move { lease.call(call).await }));
                    let reply = asked.as_mut().poll(cx);
                    if reply.is_ready() {
                        *waiting = None;
                    }
                    reply
                })
                .await
            })
        })
    }
}
