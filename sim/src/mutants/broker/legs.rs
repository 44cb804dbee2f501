//! Who treats the legs of a signal as one basket, and places the whole basket once more when a leg is not accepted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use oncegate_coordinator::{Broker, Clock};
use oncegate_protocol::{ClientOrderId, Leg, Order, Outcome};

use crate::mutants::Bug;
use crate::mutants::ports::broker_with;
use crate::world::locked;

pub(crate) struct AllLegsAgain;

impl Bug for AllLegsAgain {
    fn broker(&self, inner: Arc<dyn Broker>, _clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
        let placed = Arc::new(Mutex::new(BTreeMap::new()));
        broker_with(inner, move |broker, order| {
            locked(&placed).insert((order.fingerprint, order.leg), order.clone());
            let basket: Vec<Order> = {
                let placed = locked(&placed);
                placed
                    .range((order.fingerprint, Leg(0))..(order.fingerprint, order.leg))
                    .map(|(_, o)| o.clone())
                    .collect()
            };
            Box::pin(async move {
                let send_before = order.send_before;
                let outcome = broker.place(order).await;
                if !matches!(outcome, Outcome::Accepted(_)) {
                    for again in basket {
                        let client_order_id = ClientOrderId::new(format!("{}-again", again.client_order_id));
                        broker.place(Order { client_order_id, send_before, ..again }).await;
                    }
                }
                outcome
            })
        })
    }
}
