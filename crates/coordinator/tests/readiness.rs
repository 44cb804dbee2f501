//! The loop and a broker's side that comes and goes: what the machine hears of it, and that a recording of it retraces.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use oncegate_coordinator::observe::{Recorder, Step, retrace};
use oncegate_coordinator::{BoxFuture, Broker, Clock, Driver, LeaseStore, Observer, Ports, SignalStore};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::election::Authority;
use oncegate_protocol::{
    Capabilities, ClientOrderId, Command, Event, IdentityRule, InstanceId, LeaseCall, LeaseReply, Machine, Mono, Node,
    NodeConfig, Now, Order, Outcome, PortError, StoreCall, StoreReply, Timing,
};
use tokio::sync::{mpsc, watch};

/// A world in which no time passes and nobody answers.
struct Silence;

impl Clock for Silence {
    fn now(&self) -> Now {
        Now::default()
    }

    fn sleep_until(&self, _deadline: Mono) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl LeaseStore for Silence {
    fn call(&self, _call: LeaseCall) -> BoxFuture<'_, Result<LeaseReply, PortError>> {
        Box::pin(std::future::pending())
    }
}

impl SignalStore for Silence {
    fn call(&self, _call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(std::future::pending())
    }
}

/// A broker's side that is always there, as the port has it by default.
struct Always(Capabilities);

impl Broker for Always {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    fn place(&self, _order: Order) -> BoxFuture<'_, Outcome> {
        Box::pin(std::future::pending())
    }

    fn look_up(&self, _id: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        Box::pin(std::future::pending())
    }
}

/// One that comes and goes.
struct Comes {
    always: Always,
    there: watch::Receiver<bool>,
}

impl Broker for Comes {
    fn capabilities(&self) -> &Capabilities {
        self.always.capabilities()
    }

    fn place(&self, order: Order) -> BoxFuture<'_, Outcome> {
        self.always.place(order)
    }

    fn look_up(&self, id: ClientOrderId) -> BoxFuture<'_, LookupAnswer> {
        self.always.look_up(id)
    }

    fn readiness(&self, was: bool) -> BoxFuture<'_, bool> {
        let mut there = self.there.clone();
        Box::pin(async move {
            let now = there.wait_for(|now| *now != was).await.map(|now| *now);
            match now {
                Ok(now) => now,
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// Tells of every event, and stops when asked to.
struct Hears(mpsc::UnboundedSender<Event>);

impl Machine for Hears {
    fn step(&mut self, _now: Now, event: Event) -> Vec<Command> {
        let stops = event == Event::Shutdown;
        self.0.send(event).unwrap();
        if stops { vec![Command::Stopped] } else { vec![] }
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }

    fn authority(&self) -> Option<Authority> {
        None
    }
}

struct Nobody;

impl Observer for Nobody {}

fn driver(broker: Arc<dyn Broker>) -> (Driver<Hears>, oncegate_coordinator::Handle, mpsc::UnboundedReceiver<Event>) {
    let (tells, heard) = mpsc::unbounded_channel();
    let ports = Ports { clock: Arc::new(Silence), lease: Arc::new(Silence), store: Arc::new(Silence), broker };
    let (driver, handle) =
        Driver::new(Hears(tells), ports, &Timing::default(), IdentityRule::default(), Box::new(Nobody));
    (driver, handle, heard)
}

#[tokio::test]
async fn each_change_is_heard_once() {
    let (tell, there) = watch::channel(true);
    let (driver, handle, mut heard) = driver(Arc::new(Comes { always: Always(Capabilities::blind()), there }));
    let script = async {
        assert_eq!(heard.recv().await, Some(Event::Tick));
        for ready in [false, true, false] {
            tell.send(ready).unwrap();
            assert_eq!(heard.recv().await, Some(Event::BrokerReady(ready)));
        }
        handle.shut_down().await;
        assert_eq!(heard.recv().await, Some(Event::Shutdown), "and nothing else");
    };
    tokio::join!(driver.run(), script);
}

#[tokio::test]
async fn who_is_not_there_at_the_start_is_heard_of_before_anything_is_answered() {
    let (_tell, there) = watch::channel(false);
    let (driver, handle, mut heard) = driver(Arc::new(Comes { always: Always(Capabilities::blind()), there }));
    let script = async {
        assert_eq!(heard.recv().await, Some(Event::Tick));
        assert_eq!(heard.recv().await, Some(Event::BrokerReady(false)));
        handle.shut_down().await;
    };
    tokio::join!(driver.run(), script);
}

#[tokio::test]
async fn a_broker_that_does_not_say_is_always_there() {
    let (driver, handle, mut heard) = driver(Arc::new(Always(Capabilities::blind())));
    let script = async {
        assert_eq!(heard.recv().await, Some(Event::Tick));
        handle.shut_down().await;
        assert_eq!(heard.recv().await, Some(Event::Shutdown));
    };
    tokio::join!(driver.run(), script);
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_recording_of_it_retraces() {
    let config = NodeConfig {
        instance: InstanceId::new("n"),
        boot_nonce: 1,
        timing: Timing::default(),
        capabilities: Capabilities::blind(),
    };
    let mut node = Node::new(config.clone(), Now::default()).unwrap();
    let file = Shared::default();
    let mut recorder = Recorder::new(file.clone());
    for event in [Event::Tick, Event::BrokerReady(false), Event::StoreChanged, Event::BrokerReady(true)] {
        recorder.hears(Now::default(), &event);
        let commands = node.step(Now::default(), event);
        recorder.says(Now::default(), &commands);
    }
    assert!(recorder.failed.is_none());
    let text = String::from_utf8(file.0.lock().unwrap().clone()).unwrap();
    let steps: Vec<Step> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(steps.len(), 4);
    assert_eq!(retrace(&mut Node::new(config, Now::default()).unwrap(), &steps), Ok(()));
}
