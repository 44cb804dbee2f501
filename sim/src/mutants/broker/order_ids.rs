//! Every try at an order has an id of its own, so that the broker's answers can be told apart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use oncegate_coordinator::{Broker, Clock};
use oncegate_protocol::ClientOrderId;

use crate::mutants::Bug;
use crate::mutants::ports::broker_with;
use crate::world::locked;

pub(crate) struct IdChangedAtRetry;

impl Bug for IdChangedAtRetry {
    fn broker(&self, inner: Arc<dyn Broker>, _clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
        let tries = Arc::new(Mutex::new(BTreeMap::new()));
        broker_with(inner, move |broker, mut order| {
            let tried = {
                let mut tries = locked(&tries);
                let tried = tries.entry((order.fingerprint, order.leg)).or_insert(0_u32);
                *tried += 1;
                *tried
            };
            if tried > 1 {
                order.client_order_id = ClientOrderId::new(format!("{}-{tried}", order.client_order_id));
            }
            Box::pin(async move { broker.place(order).await })
        })
    }
}
