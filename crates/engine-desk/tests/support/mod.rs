//! A desk on tokio's paused time and a store in memory, with one signal that its node has claimed.
#![allow(dead_code, clippy::unwrap_used)] // Each test binary uses some of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::{BoxFuture, Clock, SignalStore};
use oncegate_engine_desk::wire::{BeginRequest, Begun, Report, WorkItem};
use oncegate_engine_desk::{DeskConfig, DeskError, EngineDesk};
use oncegate_protocol::call::{Claim, Purpose};
use oncegate_protocol::{
    BrokerOrderId, Capabilities, ClientOrderId, Epoch, Holder, IdentityRule, Leg, Mono, Now, Order, Outcome, PortError,
    Signal, SignalRecord, StoreCall, StoreReply, Timing, Wall,
};
use oncegate_sqlite_store::Db;
use tokio::time::Instant;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NONCE: u64 = 7;

/// Both clocks, on the runtime's paused time.
pub(crate) struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        Now { mono: Mono::from_millis(1_000_000).plus(self.0.elapsed()), wall: Wall::from_millis(5) }
    }

    #[allow(clippy::disallowed_methods)] // This is the port, and time is paused.
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(deadline.since(self.now().mono)))
    }
}

/// The SQL of production, without its thread.
pub(crate) struct TestStore {
    db: Mutex<Db>,
    /// Answers nothing.
    pub(crate) stuck: Mutex<bool>,
}

impl SignalStore for TestStore {
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(async move {
            if *self.stuck.lock().unwrap() {
                std::future::pending::<()>().await;
            }
            self.db.lock().unwrap().apply(&call).map_err(|e| PortError(e.to_string()))
        })
    }
}

pub(crate) struct Fixture {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: Arc<TestStore>,
    pub(crate) desk: EngineDesk,
    pub(crate) signal: Signal,
}

pub(crate) fn holder(epoch: u64) -> Holder {
    Holder::new(format!("n:0000000000000007:{epoch}"))
}

impl Fixture {
    pub(crate) fn new() -> Self {
        #[allow(clippy::disallowed_methods)] // Where the paused time starts.
        let clock = Arc::new(TestClock(Instant::now()));
        let store = Arc::new(TestStore { db: Mutex::new(Db::open_in_memory().unwrap()), stuck: Mutex::new(false) });
        let signal = Signal::read(br#"{ "qty": 50.0}"#, &IdentityRule::default()).unwrap();
        let fixture = Self { desk: desk(NONCE, &clock, &store), clock, store, signal };
        fixture.apply(StoreCall::Insert { signal: fixture.signal.clone(), at: Wall::default() });
        fixture.lead(1);
        fixture.claim(1, 1, Purpose::Execute);
        fixture
    }

    /// As if the process had ended and started anew.
    pub(crate) fn restart(&mut self) {
        self.desk = desk(NONCE + 1, &self.clock, &self.store);
    }

    pub(crate) fn apply(&self, call: StoreCall) -> StoreReply {
        self.store.db.lock().unwrap().apply(&call).unwrap()
    }

    pub(crate) fn lead(&self, epoch: u64) {
        let call = StoreCall::OpenEpoch { expected: Epoch(epoch - 1), holder: holder(epoch), at: Wall::default() };
        assert_eq!(self.apply(call), StoreReply::Opened(Epoch(epoch)));
    }

    pub(crate) fn claim(&self, epoch: u64, number: u32, purpose: Purpose) {
        let claim = Claim {
            fingerprint: self.signal.fingerprint,
            leg: Leg(0),
            epoch: Epoch(epoch),
            holder: holder(epoch),
            number,
            client_order_id: ClientOrderId::new("og-1"),
            purpose,
            at: Wall::default(),
        };
        assert_eq!(self.apply(StoreCall::Claim(claim)), StoreReply::Claimed { number });
    }

    /// The gate writes how its attempt ended.
    pub(crate) fn record(&self, epoch: u64, number: u32, outcome: Outcome) {
        let (fingerprint, owner) = (self.signal.fingerprint, holder(epoch));
        let at = Wall::default();
        self.apply(StoreCall::RecordOutcome { fingerprint, leg: Leg(0), number, owner, outcome, at });
    }

    pub(crate) fn stored(&self) -> SignalRecord {
        match self.apply(StoreCall::ReadSignal { fingerprint: self.signal.fingerprint }) {
            StoreReply::Signal(Some(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn order(&self, epoch: u64) -> Order {
        Order {
            fingerprint: self.signal.fingerprint,
            leg: Leg(0),
            client_order_id: ClientOrderId::new("og-1"),
            epoch: Epoch(epoch),
            body: self.signal.raw.clone(),
            send_before: self.clock.now().mono.plus(SECOND * 3),
            timeout: SECOND * 4,
        }
    }

    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now().mono.plus(time)).await;
    }

    /// Asks for work that is there.
    pub(crate) async fn take(&self) -> WorkItem {
        self.desk.work(SECOND).await.unwrap().expect("there is work")
    }

    pub(crate) fn begin(&self, work: &WorkItem, key: &str) -> Result<Begun, DeskError> {
        self.desk.begin(&BeginRequest { work_id: work.work_id.clone(), key: Some(key.into()) })
    }
}

fn desk(nonce: u64, clock: &Arc<TestClock>, store: &Arc<TestStore>) -> EngineDesk {
    let config = DeskConfig::new(Capabilities::deduplicating(), nonce, &Timing::default());
    EngineDesk::new(config, clock.clone(), store.clone())
}

pub(crate) fn accepted() -> Report {
    Report::Accepted { broker_order_id: BrokerOrderId::new("b-1") }
}

pub(crate) fn rejected() -> Report {
    Report::Rejected { reason: "no funds".into() }
}
