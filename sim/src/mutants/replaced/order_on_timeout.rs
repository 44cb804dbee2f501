//! An order that was not answered is placed again, as a new order.

use std::sync::Arc;

use oncegate_coordinator::{Broker, Clock};
use oncegate_protocol::{ClientOrderId, Outcome};

use crate::mutants::Bug;
use crate::mutants::ports::broker_with;

pub(crate) struct OrderOnTimeout;

impl Bug for OrderOnTimeout {
    fn broker(&self, inner: Arc<dyn Broker>, _clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
        broker_with(inner, |broker, mut order| {
            Box::pin(async move {
                // Both fit into the time that the node gives to one.
                order.timeout /= 2;
                let mut again = order.clone();
                again.client_order_id = ClientOrderId::new(format!("{}-again", order.client_order_id));
                match broker.place(order).await {
                    Outcome::Unknown(_) => broker.place(again).await,
                    outcome => outcome,
                }
            })
        })
    }
}
