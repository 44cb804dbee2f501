//! One suite of probes over every signal store and every lease: what the calls promise, whoever serves them.
//!
//! An [`Arm`] opens one kind of store, and each probe gets a new one. To add a server, add an arm: the probes
//! see nothing but the ports. A probe that one arm can't pass is a promise that can't be kept: change the
//! documentation of the call, or the arm.

#![allow(clippy::unwrap_used)]

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::{BoxFuture, Clock, LeaseStore, SignalStore};
use oncegate_protocol::call::{Claim, Purpose, Resolution, Verdict};
use oncegate_protocol::{
    BrokerOrderId, Epoch, Fingerprint, Holder, KeyFormat, LeaseCall, LeaseReply, Leg, Mono, Now, Outcome, Pause,
    PortError, Signal, SignalState, StoreCall, StoreReply, Wall,
};
use oncegate_sqlite_store::{Db, SqliteLease, SqliteStore};

/// One kind of signal store. What comes second keeps its ground (a folder, a server) until the probe is over.
type Arm = fn() -> (Box<dyn SignalStore>, Box<dyn Any>);
type Probe = for<'a> fn(&'a dyn SignalStore) -> BoxFuture<'a, ()>;

const PROBES: &[(&str, Probe)] = &[
    ("a signal is stored once and its repeats are told apart", |s| Box::pin(stored_once(s))),
    ("an epoch is opened once, and only the newest holder acts", |s| Box::pin(fencing(s))),
    ("a claim is granted once, and its outcome is its owner's", |s| Box::pin(claims(s))),
    ("a new epoch puts what executes in doubt, and recovery claims it", |s| Box::pin(recovery(s))),
    ("verdicts and resolutions need their states", |s| Box::pin(verdicts(s))),
    ("what is owed comes bounded and in order of arrival", |s| Box::pin(pending(s))),
    ("what operators stopped is not begun, whoever leads and whatever lands late", |s| Box::pin(pauses(s))),
];

async fn run(arm: Arm) {
    for (claim, probe) in PROBES {
        println!("{claim}");
        let (store, ground) = arm();
        probe(&*store).await;
        drop((store, ground));
    }
}

#[tokio::test]
async fn sqlite_in_a_file_keeps_every_promise() {
    run(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("probe.db"), Arc::new(StoppedClock::default())).unwrap();
        (Box::new(store), Box::new(folder))
    })
    .await;
}

#[tokio::test]
async fn sqlite_in_memory_keeps_every_promise() {
    run(|| (Box::new(InMemory(Mutex::new(Db::open_in_memory().unwrap()))), Box::new(()))).await;
}

/// The store as the simulation runs it.
struct InMemory(Mutex<Db>);

impl SignalStore for InMemory {
    fn call(&self, call: StoreCall) -> BoxFuture<'_, Result<StoreReply, PortError>> {
        Box::pin(async move { self.0.lock().unwrap().apply(&call).map_err(|e| PortError(e.to_string())) })
    }
}

const AT: Wall = Wall::from_millis(1_000);

fn fingerprint(n: u8) -> Fingerprint {
    Fingerprint::of_bytes(&[n])
}

fn insert(n: u8) -> StoreCall {
    let signal = Signal { fingerprint: fingerprint(n), body_digest: fingerprint(n), raw: vec![n], expires_at: None };
    StoreCall::Insert { signal, at: AT }
}

fn holder(name: &str) -> Holder {
    Holder::new(format!("{name}:0000000000000000:1"))
}

fn open_epoch(expected: u64, name: &str) -> StoreCall {
    StoreCall::OpenEpoch { expected: Epoch(expected), holder: holder(name), at: AT }
}

fn heartbeat(epoch: u64, name: &str, at: Wall) -> StoreCall {
    StoreCall::Heartbeat { epoch: Epoch(epoch), holder: holder(name), at }
}

/// The first attempt at an order, or a recovery as the second.
fn claim(n: u8, epoch: u64, name: &str, purpose: Purpose) -> StoreCall {
    let number = match purpose {
        Purpose::Execute => 1,
        Purpose::Recover => 2,
    };
    nth(number, n, epoch, name, purpose)
}

fn nth(number: u32, n: u8, epoch: u64, name: &str, purpose: Purpose) -> StoreCall {
    StoreCall::Claim(Claim {
        fingerprint: fingerprint(n),
        leg: Leg(0),
        epoch: Epoch(epoch),
        holder: holder(name),
        number,
        client_order_id: fingerprint(n).client_order_id(Leg(0), &KeyFormat::default()),
        purpose,
        at: AT,
    })
}

fn outcome(n: u8, number: u32, name: &str, outcome: Outcome) -> StoreCall {
    StoreCall::RecordOutcome { fingerprint: fingerprint(n), leg: Leg(0), number, owner: holder(name), outcome, at: AT }
}

fn conclude(n: u8, epoch: u64, name: &str, verdict: Verdict) -> StoreCall {
    StoreCall::Conclude { fingerprint: fingerprint(n), epoch: Epoch(epoch), holder: holder(name), verdict, at: AT }
}

fn resolve(n: u8, attempts: u32, resolution: Resolution) -> StoreCall {
    StoreCall::Resolve { fingerprint: fingerprint(n), resolution, attempts, reason: "looked".into(), at: AT }
}

fn accepted() -> Outcome {
    Outcome::Accepted(BrokerOrderId::new("b1"))
}

fn state(state: SignalState) -> StoreReply {
    StoreReply::State(Some(state))
}

async fn ask(store: &dyn SignalStore, call: StoreCall) -> StoreReply {
    store.call(call).await.unwrap()
}

async fn ask_all(store: &dyn SignalStore, calls: impl IntoIterator<Item = StoreCall>) {
    for call in calls {
        ask(store, call).await;
    }
}

/// Which epoch and holder the caller is told of, when it was fenced.
async fn fenced_by(store: &dyn SignalStore, call: StoreCall) -> Option<(Epoch, Option<Holder>)> {
    match ask(store, call).await {
        StoreReply::Fenced(leadership) => Some((leadership.epoch, leadership.holder)),
        _ => None,
    }
}

async fn stored_once(store: &dyn SignalStore) {
    let stored = |new, same_body| StoreReply::Stored { new, state: SignalState::Received, same_body };
    assert_eq!(ask(store, insert(1)).await, stored(true, true));
    assert_eq!(ask(store, insert(1)).await, stored(false, true));
    let other = Signal { fingerprint: fingerprint(1), body_digest: fingerprint(9), raw: vec![9], expires_at: None };
    assert_eq!(ask(store, StoreCall::Insert { signal: other, at: AT }).await, stored(false, false));
    let StoreReply::Signal(Some(record)) = ask(store, StoreCall::ReadSignal { fingerprint: fingerprint(1) }).await
    else {
        panic!("it is gone");
    };
    assert_eq!((record.raw, record.state, record.attempts), (vec![1], SignalState::Received, vec![]));
    let absent = StoreCall::ReadSignal { fingerprint: fingerprint(2) };
    assert_eq!(ask(store, absent).await, StoreReply::Signal(None));
}

async fn fencing(store: &dyn SignalStore) {
    let StoreReply::Leadership(first) = ask(store, StoreCall::ReadLeadership).await else { panic!() };
    assert_eq!((first.epoch, first.holder), (Epoch(0), None));
    assert_eq!(ask(store, open_epoch(0, "a")).await, StoreReply::Opened(Epoch(1)));
    assert_eq!(fenced_by(store, open_epoch(0, "b")).await, Some((Epoch(1), Some(holder("a")))));
    assert_eq!(ask(store, open_epoch(1, "b")).await, StoreReply::Opened(Epoch(2)));
    let newest = Some((Epoch(2), Some(holder("b"))));
    for stale in
        [heartbeat(1, "a", AT), heartbeat(2, "a", AT), heartbeat(1, "b", AT), claim(1, 1, "a", Purpose::Execute)]
    {
        assert_eq!(fenced_by(store, stale.clone()).await, newest, "{stale:?}");
    }
    let later = AT.plus(Duration::from_secs(1));
    assert_eq!(ask(store, heartbeat(2, "b", later)).await, StoreReply::Done);
    let StoreReply::Leadership(now) = ask(store, StoreCall::ReadLeadership).await else { panic!() };
    assert_eq!(now.heartbeat_at, later);
    let vacate = StoreCall::Vacate { epoch: Epoch(2), holder: holder("b"), reason: "asked".into(), at: AT };
    assert_eq!(ask(store, vacate.clone()).await, StoreReply::Done);
    assert_eq!(fenced_by(store, vacate).await, Some((Epoch(2), None)), "a repeat changes nothing");
    assert_eq!(ask(store, open_epoch(2, "a")).await, StoreReply::Opened(Epoch(3)));
}

async fn claims(store: &dyn SignalStore) {
    ask_all(store, [insert(1), open_epoch(0, "a")]).await;
    assert_eq!(ask(store, claim(1, 1, "a", Purpose::Execute)).await, StoreReply::Claimed { number: 1 });
    let StoreReply::NotClaimed(Some(record)) = ask(store, claim(1, 1, "a", Purpose::Execute)).await else {
        panic!("claimed twice");
    };
    assert_eq!((record.state, record.attempts.len()), (SignalState::Executing, 1));
    assert_eq!(ask(store, claim(2, 1, "a", Purpose::Execute)).await, StoreReply::NotClaimed(None));
    assert_eq!(ask(store, outcome(1, 1, "b", accepted())).await, state(SignalState::Executing));
    let not_sent = Outcome::NotSent("gate closed".into());
    assert_eq!(ask(store, outcome(1, 1, "a", not_sent)).await, state(SignalState::Received));
    let StoreReply::NotClaimed(Some(record)) = ask(store, claim(1, 1, "a", Purpose::Execute)).await else {
        panic!("a late copy claimed");
    };
    assert_eq!((record.state, record.attempts.len()), (SignalState::Received, 1));
    assert_eq!(ask(store, nth(2, 1, 1, "a", Purpose::Execute)).await, StoreReply::Claimed { number: 2 });
    ask_all(store, [open_epoch(1, "b")]).await;
    assert_eq!(ask(store, outcome(1, 2, "a", accepted())).await, state(SignalState::Executed), "deposed, yet true");
    assert_eq!(ask(store, outcome(9, 1, "a", accepted())).await, StoreReply::State(None));
}

async fn recovery(store: &dyn SignalStore) {
    ask_all(store, [insert(1), open_epoch(0, "a"), claim(1, 1, "a", Purpose::Execute)]).await;
    assert!(matches!(ask(store, claim(1, 1, "a", Purpose::Recover)).await, StoreReply::NotClaimed(Some(_))));
    ask_all(store, [open_epoch(1, "b")]).await;
    assert!(matches!(ask(store, claim(1, 2, "b", Purpose::Execute)).await, StoreReply::NotClaimed(Some(_))));
    assert_eq!(ask(store, claim(1, 2, "b", Purpose::Recover)).await, StoreReply::Claimed { number: 2 });
    let StoreReply::NotClaimed(Some(record)) = ask(store, claim(1, 2, "b", Purpose::Recover)).await else {
        panic!("a repeat added an attempt");
    };
    assert_eq!((record.state, record.attempts.len()), (SignalState::InDoubt, 2));
    let id = fingerprint(1).client_order_id(Leg(0), &KeyFormat::default());
    assert!(record.attempts.iter().all(|attempt| attempt.client_order_id == id), "as it was claimed");
    assert_eq!(ask(store, outcome(1, 2, "b", accepted())).await, state(SignalState::Executed));
    assert_eq!(ask(store, outcome(1, 1, "a", accepted())).await, state(SignalState::Executed));
}

async fn verdicts(store: &dyn SignalStore) {
    ask_all(store, [insert(1), insert(2), open_epoch(0, "a"), claim(1, 1, "a", Purpose::Execute)]).await;
    ask_all(store, [open_epoch(1, "b")]).await;
    assert!(fenced_by(store, conclude(2, 1, "a", Verdict::Expire)).await.is_some());
    assert_eq!(ask(store, conclude(1, 2, "b", Verdict::Expire)).await, state(SignalState::InDoubt));
    assert_eq!(ask(store, conclude(2, 2, "b", Verdict::Expire)).await, state(SignalState::Expired));
    assert_eq!(ask(store, resolve(1, 1, Resolution::Resend)).await, state(SignalState::InDoubt));
    let quarantine = Verdict::Quarantine("blind".into());
    assert_eq!(ask(store, conclude(1, 2, "b", quarantine)).await, state(SignalState::Quarantined));
    assert_eq!(ask(store, resolve(1, 2, Resolution::Resend)).await, state(SignalState::Quarantined), "it saw another");
    assert_eq!(ask(store, resolve(1, 1, Resolution::Resend)).await, state(SignalState::Received));
    assert_eq!(ask(store, nth(2, 1, 2, "b", Purpose::Execute)).await, StoreReply::Claimed { number: 2 });
    ask_all(store, [outcome(1, 2, "b", Outcome::NotSent("gate closed".into()))]).await;
    assert_eq!(ask(store, nth(3, 1, 2, "b", Purpose::Execute)).await, StoreReply::Claimed { number: 3 });
    ask_all(store, [outcome(1, 3, "b", Outcome::Unknown("timeout".into()))]).await;
    let found = Verdict::Found(BrokerOrderId::new("b1"));
    assert_eq!(ask(store, conclude(1, 2, "b", found)).await, state(SignalState::Executed));
}

async fn pending(store: &dyn SignalStore) {
    ask_all(store, [open_epoch(0, "a")]).await;
    ask_all(store, (1..=6).map(insert)).await;
    ask_all(store, [2, 4, 5].map(|n| claim(n, 1, "a", Purpose::Execute))).await;
    ask_all(store, [outcome(5, 1, "a", accepted())]).await;
    let StoreReply::Pending { records, .. } = ask(store, StoreCall::ReadPending { limit: 2 }).await else { panic!() };
    let order: Vec<_> = records.iter().map(|record| record.fingerprint).collect();
    assert_eq!(order, [1, 2, 3, 4].map(fingerprint));
    assert_eq!(records.iter().map(|record| record.attempts.len()).collect::<Vec<_>>(), [0, 1, 0, 1]);

    // What is quarantined is owed a telling: the newest, beside the others.
    let unsure = [1, 3, 6].map(|n| claim(n, 1, "a", Purpose::Execute));
    ask_all(store, unsure).await;
    ask_all(store, [1, 3, 6].map(|n| outcome(n, 1, "a", Outcome::Unknown("timeout".into())))).await;
    ask_all(store, [1, 3, 6].map(|n| conclude(n, 1, "a", Verdict::Quarantine("blind".into())))).await;
    let StoreReply::Pending { records, .. } = ask(store, StoreCall::ReadPending { limit: 2 }).await else { panic!() };
    let order: Vec<_> = records.iter().map(|record| (record.fingerprint, record.state)).collect();
    let [executing, quarantined] = [SignalState::Executing, SignalState::Quarantined];
    let expected = [(2, executing), (3, quarantined), (4, executing), (6, quarantined)];
    assert_eq!(order, expected.map(|(n, state)| (fingerprint(n), state)));
}

async fn pauses(store: &dyn SignalStore) {
    let word = |paused, seen| StoreCall::SetPause { paused, seen, reason: format!("word {seen}"), at: AT };
    let since = |reason: &str| Some(Pause { reason: reason.to_owned(), since: AT });
    ask_all(store, (1..=3).map(insert)).await;
    ask_all(store, [open_epoch(0, "a"), claim(1, 1, "a", Purpose::Execute)]).await;
    let StoreReply::Leadership(row) = ask(store, word(true, 0)).await else { panic!() };
    assert_eq!((row.paused, row.pause_words), (since("word 0"), 1));

    // A new leader finds it so, everywhere it looks.
    ask_all(store, [open_epoch(1, "b")]).await;
    let StoreReply::Leadership(row) = ask(store, StoreCall::ReadLeadership).await else { panic!() };
    assert_eq!((row.epoch, row.paused.clone(), row.pause_words), (Epoch(2), since("word 0"), 1));
    let StoreReply::Pending { paused, .. } = ask(store, StoreCall::ReadPending { limit: 2 }).await else { panic!() };
    assert_eq!(paused, since("word 0"));
    let refused = StoreReply::Paused(row);
    assert_eq!(ask(store, claim(2, 2, "b", Purpose::Execute)).await, refused);
    assert!(matches!(ask(store, claim(2, 1, "a", Purpose::Execute)).await, StoreReply::Fenced(_)));
    assert!(matches!(ask(store, nth(2, 2, 2, "b", Purpose::Execute)).await, StoreReply::NotClaimed(Some(_))));
    assert!(matches!(ask(store, claim(1, 2, "b", Purpose::Execute)).await, StoreReply::NotClaimed(Some(_))));
    assert_eq!(ask(store, claim(9, 2, "b", Purpose::Execute)).await, StoreReply::NotClaimed(None));

    // What was begun before goes on, and what is late expires.
    assert_eq!(ask(store, claim(1, 2, "b", Purpose::Recover)).await, StoreReply::Claimed { number: 2 });
    assert_eq!(ask(store, conclude(3, 2, "b", Verdict::Expire)).await, state(SignalState::Expired));

    // Said again, it counts; so what was on its way before it comes too late.
    let StoreReply::Leadership(row) = ask(store, word(true, 1)).await else { panic!() };
    assert_eq!((row.paused, row.pause_words), (since("word 1"), 2));
    for late in [word(true, 0), word(false, 1), word(false, 3)] {
        let StoreReply::Leadership(row) = ask(store, late).await else { panic!() };
        assert_eq!((row.paused, row.pause_words), (since("word 1"), 2));
    }
    let StoreReply::Leadership(row) = ask(store, word(false, 2)).await else { panic!() };
    assert_eq!((row.paused, row.pause_words), (None, 3));
    assert_eq!(ask(store, claim(2, 2, "b", Purpose::Execute)).await, StoreReply::Claimed { number: 1 });
}

/// A clock that stands until it is moved; whoever sleeps on it gets its turn again at once.
#[derive(Default)]
struct StoppedClock(AtomicU64);

impl StoppedClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Now {
        Now { mono: Mono::from_nanos(self.0.load(Ordering::SeqCst)), wall: AT }
    }

    fn sleep_until(&self, _: Mono) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// Two clients of one lease, and the clock that both go by.
struct Leases {
    ours: Box<dyn LeaseStore>,
    theirs: Box<dyn LeaseStore>,
    clock: Arc<StoppedClock>,
    _ground: Box<dyn Any>,
}

fn sqlite_leases() -> Leases {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lease.db");
    let clock = Arc::new(StoppedClock::default());
    clock.advance(Duration::from_secs(100));
    let open = || Box::new(SqliteLease::open(&path, Arc::<StoppedClock>::clone(&clock)).unwrap());
    Leases { ours: open(), theirs: open(), clock, _ground: Box::new(folder) }
}

const TTL: Duration = Duration::from_secs(10);

fn acquire(name: &str) -> LeaseCall {
    LeaseCall::Acquire { holder: holder(name), ttl: TTL }
}

fn renew(name: &str) -> LeaseCall {
    LeaseCall::Renew { holder: holder(name), ttl: TTL }
}

fn release(name: &str) -> LeaseCall {
    LeaseCall::Release { holder: holder(name) }
}

fn held_by(name: &str, remaining: u64) -> LeaseReply {
    LeaseReply::HeldBy { holder: holder(name), remaining: Some(Duration::from_secs(remaining)) }
}

/// Every lease passes these; the steps are (seconds that pass, ours or theirs, call, answer).
async fn lease_probes(leases: fn() -> Leases) {
    let Leases { ours, theirs, clock, _ground } = leases();
    let steps = [
        (0, &ours, LeaseCall::Read, LeaseReply::Free),
        (0, &ours, renew("a"), LeaseReply::Free),
        (0, &ours, release("a"), LeaseReply::Free),
        (0, &ours, acquire("a"), LeaseReply::Granted),
        (4, &theirs, acquire("b"), held_by("a", 6)),
        (0, &theirs, renew("b"), held_by("a", 6)),
        (0, &theirs, release("b"), held_by("a", 6)),
        (0, &theirs, LeaseCall::Read, held_by("a", 6)),
        (0, &ours, acquire("a"), LeaseReply::Granted),
        (9, &ours, renew("a"), LeaseReply::Granted),
        (9, &theirs, LeaseCall::Read, held_by("a", 1)),
        (1, &theirs, LeaseCall::Read, LeaseReply::Free),
        (0, &ours, renew("a"), LeaseReply::Free),
        (0, &theirs, acquire("b"), LeaseReply::Granted),
        (0, &ours, release("a"), held_by("b", 10)),
        (0, &theirs, release("b"), LeaseReply::Free),
        (0, &theirs, release("b"), LeaseReply::Free),
        (0, &ours, acquire("a"), LeaseReply::Granted),
    ];
    for (seconds, lease, call, answer) in steps {
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(lease.call(call.clone()).await.unwrap(), answer, "{call:?}");
    }
}

#[tokio::test]
async fn sqlite_lease_keeps_every_promise() {
    lease_probes(sqlite_leases).await;
}

#[tokio::test]
async fn sqlite_lease_of_an_earlier_boot_has_expired() {
    let Leases { ours, theirs, clock, _ground } = sqlite_leases();
    assert_eq!(ours.call(acquire("a")).await.unwrap(), LeaseReply::Granted);
    clock.0.store(1, Ordering::SeqCst);
    assert_eq!(theirs.call(LeaseCall::Read).await.unwrap(), LeaseReply::Free);
    assert_eq!(theirs.call(acquire("b")).await.unwrap(), LeaseReply::Granted);
}

#[tokio::test]
async fn sqlite_lease_tells_who_waits_that_it_was_released() {
    let Leases { ours, theirs, .. } = &sqlite_leases();
    ours.call(acquire("a")).await.unwrap();
    let release = async {
        ours.call(renew("a")).await.unwrap();
        ours.call(release("a")).await.unwrap();
    };
    tokio::join!(theirs.released(), release);
    assert_eq!(theirs.call(LeaseCall::Read).await.unwrap(), LeaseReply::Free);
}

#[tokio::test]
async fn sqlite_store_tells_of_its_own_and_of_others_signals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.db");
    let store = SqliteStore::open(&path, Arc::new(StoppedClock::default())).unwrap();
    ask_all(&store, [insert(1)]).await;
    store.changed().await;
    let other = SqliteStore::open(&path, Arc::new(StoppedClock::default())).unwrap();
    tokio::join!(store.changed(), ask(&other, insert(2)));
    // Nothing has happened since, and a duplicate is nothing.
    ask_all(&store, [insert(2)]).await;
    let mut quiet = store.changed();
    for _ in 0..100 {
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(quiet.as_mut().poll(context))).await;
        assert!(polled.is_pending(), "woken for nothing");
        tokio::task::yield_now().await;
    }
}
