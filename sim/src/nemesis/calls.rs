//! What is done to one call: it fails, loses its reply, or arrives twice.

use std::sync::Arc;
use std::time::Duration;

use oncegate_http_broker::OrderRequest;
use oncegate_protocol::Order;

use super::Nemesis;
use crate::scenario::Fault;
use crate::world::anchor::Point;
use crate::world::calls::CallName;
use crate::world::locked;
use crate::world::trace::What;

/// What becomes of the call that a node is about to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fate {
    /// It fails, and nothing of it leaves the node.
    pub fails: bool,
    /// It is carried out, and its reply is lost.
    pub loses_reply: bool,
    /// It is carried out once more, so much later.
    pub repeated: Option<Duration>,
}

impl Nemesis {
    /// A node is about to make a call. What was anchored there strikes now; what was anchored there to strike the
    /// call itself is handed back.
    pub fn begin_call(self: &Arc<Self>, call: CallName, host: usize) -> Fate {
        let point = Point::Before(call);
        let at = self.world.now();
        self.world.trace().reach(at, host, point);
        let due = self.world.anchors().reach(point, host);
        let mut fate = Fate::default();
        for fault in due {
            self.world.tell(host, What::Reached(point));
            let told = match &fault {
                Fault::CallFails => {
                    fate.fails = true;
                    "this call fails".to_owned()
                }
                Fault::CallLosesReply => {
                    fate.loses_reply = true;
                    "the reply to this call is lost".to_owned()
                }
                Fault::CallRepeated { by } => {
                    fate.repeated = Some(by.get());
                    format!("this call arrives once more, {by} later")
                }
                _ => {
                    self.strike(&fault, Some(host));
                    continue;
                }
            };
            let phases = self.world.judge().course.phases(|name| self.world.lives(name));
            self.world.judge().coverage.struck(fault.name(), &phases);
            self.world.tell(host, What::Fault(told));
            self.disturb_call(call, host, fate.repeated);
        }
        fate
    }

    /// Tells the oracles that a call goes wrong, until the copy of it has arrived, if one is under way.
    fn disturb_call(self: &Arc<Self>, call: CallName, host: usize, repeated: Option<Duration>) {
        let now = self.world.now();
        let judge = &mut *self.world.judge();
        let touched = judge.weather.touched_by_call(host, call.peer());
        let Some(by) = repeated else {
            judge.fault_passes(now, &touched);
            return;
        };
        let number = {
            let mut active = locked(&self.active);
            active.begun += 1;
            active.begun
        };
        judge.fault_begins(now, number, touched);
        let world = Arc::clone(&self.world);
        self.world.spawn(async move {
            world.sleep_until(now + by).await;
            world.judge().fault_ends(world.now(), number);
        });
    }

    /// A copy of an order arrives at the broker, so much later: where the broker deduplicates. Elsewhere bytes
    /// that travel twice are two orders, which nothing on this side of the wire can prevent.
    pub fn repeat_order(self: &Arc<Self>, order: &Order, by: Duration) {
        if !self.broker.never_repeats() {
            let told = "no copy of the order is made: this broker would take it for another order".to_owned();
            self.world.tell(self.broker.at, What::Healed(told));
            return;
        }
        let order = OrderRequest::of(order).expect("intake lets only JSON through");
        let nemesis = Arc::clone(self);
        self.world.spawn(async move {
            nemesis.world.sleep_until(nemesis.world.now() + by).await;
            nemesis.broker.repeat(&nemesis.world, &nemesis, &order);
        });
    }
}
