//! The same for one client in particular: what the lease sees when its Redis is killed, stopped, or comes back empty;
//! on the simulated network with the simulated Redis, and on loopback with a real `redis-server`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{BoxFuture, Clock, Connect, LeaseStore, SystemClock, TcpConnect};
use oncegate_protocol::{Epoch, Holder, LeaseCall, LeaseReply, PortError};
use oncegate_redis_lease::{RedisLease, RedisLeaseConfig};
use oncegate_sim::redis::{RedisModel, serve};
use oncegate_sim::world::stream::serve_each;

use crate::processes::signal;
use crate::script::{Arm, Fate};
use crate::simulated::{PORT, in_a_new_world};
use crate::support::redis_server::RedisServer;

/// A ttl that no probe outlives, and one that probes wait for.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);
/// How long nothing must be heard before it counts as nothing, and how soon something must be.
const QUIET: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_secs(5);
const KEY: &str = "lease";

const GRANTED: Option<Result<LeaseReply, PortError>> = Some(Ok(LeaseReply::Granted { seen: Epoch(0) }));
const FREE: Option<Result<LeaseReply, PortError>> = Some(Ok(LeaseReply::Free));

fn acquire(name: &str, ttl: Duration) -> LeaseCall {
    LeaseCall::Acquire { holder: Holder::new(name), ttl }
}

fn renew(name: &str) -> LeaseCall {
    LeaseCall::Renew { holder: Holder::new(name), ttl: LONG, seen: Epoch(0) }
}

fn release(name: &str) -> LeaseCall {
    LeaseCall::Release { holder: Holder::new(name) }
}

/// A client's lease, whose calls are given up when nothing is heard.
struct Client {
    lease: RedisLease,
    clock: Arc<dyn Clock>,
}

impl Client {
    fn of(arm: &dyn Arm) -> Self {
        let config = RedisLeaseConfig::new(arm.peer(), KEY);
        Self { lease: RedisLease::new(config, arm.connect(), arm.clock()), clock: arm.clock() }
    }

    async fn within<T>(&self, time: Duration, call: impl Future<Output = T>) -> Option<T> {
        until(&*self.clock, self.clock.now().mono.plus(time), call).await
    }

    async fn call(&self, call: LeaseCall) -> Option<Result<LeaseReply, PortError>> {
        self.within(SOON, self.lease.call(call)).await
    }

    /// Who holds the lease, if anybody.
    async fn holder(&self) -> Option<String> {
        match self.call(LeaseCall::Read).await.unwrap().unwrap() {
            LeaseReply::HeldBy { holder, .. } => Some(holder.as_str().to_owned()),
            LeaseReply::Free | LeaseReply::Granted { .. } => None,
        }
    }
}

async fn a_redis_that_was_killed_comes_back_without_the_lease(arm: &mut dyn Arm) {
    let (ours, theirs) = (Client::of(arm), Client::of(arm));
    assert_eq!(ours.call(acquire("a", LONG)).await, GRANTED);
    assert_eq!(theirs.holder().await.as_deref(), Some("a"));
    arm.befall(Fate::Kill).await;
    for call in [renew("a"), renew("a"), acquire("a", LONG), LeaseCall::Read] {
        assert!(matches!(ours.call(call).await, Some(Err(_))), "nobody is there");
    }
    arm.befall(Fate::Start).await;
    // The first call on each connection that the old Redis left may find out by its failure.
    let _ = ours.call(renew("a")).await;
    let _ = theirs.call(LeaseCall::Read).await;
    assert_eq!(ours.call(renew("a")).await, FREE);
    assert_eq!(theirs.call(acquire("b", LONG)).await, GRANTED);
    assert_eq!(ours.holder().await.as_deref(), Some("b"));
}

async fn a_redis_that_is_killed_in_the_middle_of_a_call_fails_it(arm: &mut dyn Arm) {
    let ours = Client::of(arm);
    assert_eq!(ours.call(acquire("a", LONG)).await, GRANTED);
    assert_eq!(ours.call(renew("a")).await, GRANTED);
    arm.befall(Fate::Stop).await;
    let mut call = ours.lease.call(renew("a"));
    assert_eq!(ours.within(QUIET, call.as_mut()).await, None);
    arm.befall(Fate::Kill).await;
    assert!(matches!(ours.within(SOON, call).await, Some(Err(_))), "its reply will never come");
}

async fn a_stopped_redis_answers_when_it_goes_on(arm: &mut dyn Arm) {
    let ours = Client::of(arm);
    assert_eq!(ours.call(acquire("a", LONG)).await, GRANTED);
    arm.befall(Fate::Stop).await;
    let mut call = ours.lease.call(renew("a"));
    assert_eq!(ours.within(QUIET, call.as_mut()).await, None);
    arm.befall(Fate::Resume).await;
    assert_eq!(ours.within(SOON, call).await, GRANTED);
}

async fn a_call_that_was_given_up_may_have_its_effect_yet(arm: &mut dyn Arm) {
    let (ours, theirs) = (Client::of(arm), Client::of(arm));
    assert_eq!(ours.call(LeaseCall::Read).await, FREE);
    assert_eq!(theirs.call(LeaseCall::Read).await, FREE);
    arm.befall(Fate::Stop).await;
    assert_eq!(ours.within(QUIET, ours.lease.call(acquire("a", LONG))).await, None);
    arm.befall(Fate::Resume).await;
    ours.within(QUIET, std::future::pending::<()>()).await;
    assert_eq!(theirs.holder().await.as_deref(), Some("a"));
}

async fn the_ttl_of_a_stopped_redis_runs_on(arm: &mut dyn Arm) {
    let (ours, theirs) = (Client::of(arm), Client::of(arm));
    assert_eq!(ours.call(acquire("a", SHORT)).await, GRANTED);
    assert_eq!(theirs.holder().await.as_deref(), Some("a"));
    arm.befall(Fate::Stop).await;
    ours.within(QUIET, std::future::pending::<()>()).await;
    arm.befall(Fate::Resume).await;
    assert_eq!(theirs.call(LeaseCall::Read).await, FREE);
    assert_eq!(ours.call(renew("a")).await, FREE);
}

async fn releases_are_heard_again_after_redis_was_killed(arm: &mut dyn Arm) {
    let (ours, theirs) = (Client::of(arm), Client::of(arm));
    for killed in [false, true] {
        if killed {
            arm.befall(Fate::Kill).await;
            arm.befall(Fate::Start).await;
        }
        let mut heard = None;
        for _ in 0..20 {
            // Whether the subscription stands is known by what comes over it.
            let _ = ours.call(acquire("a", LONG)).await;
            let _ = ours.call(release("a")).await;
            heard = theirs.within(QUIET, theirs.lease.released()).await;
            if heard.is_some() {
                break;
            }
        }
        assert_eq!(heard, Some(()), "killed: {killed}");
        while theirs.within(QUIET, theirs.lease.released()).await.is_some() {}
    }
}

type Probe = for<'a> fn(&'a mut dyn Arm) -> BoxFuture<'a, ()>;

macro_rules! probes {
    ($($probe:ident),* $(,)?) => {
        &[$((stringify!($probe), |arm| Box::pin($probe(arm)))),*]
    };
}

const PROBES: &[(&str, Probe)] = probes![
    a_redis_that_was_killed_comes_back_without_the_lease,
    a_redis_that_is_killed_in_the_middle_of_a_call_fails_it,
    a_stopped_redis_answers_when_it_goes_on,
    a_call_that_was_given_up_may_have_its_effect_yet,
    the_ttl_of_a_stopped_redis_runs_on,
    releases_are_heard_again_after_redis_was_killed,
];

#[test]
fn the_simulated_redis_fails_as_it_should() {
    for (name, probe) in PROBES {
        eprintln!("probe {name}");
        let serve_redis = |world: Arc<oncegate_sim::world::World>, life| {
            // Without persistence each life begins empty.
            let model = Arc::new(Mutex::new(RedisModel::new()));
            let clock = Arc::clone(&world);
            serve_each(world, life, PORT, move |stream| {
                let clock = Arc::clone(&clock);
                serve(stream, Arc::clone(&model), move || u64::try_from(clock.wall_ms()).unwrap(), ())
            })
        };
        in_a_new_world(serve_redis, |arm| Box::pin(async move { probe(arm).await }));
    }
}

/// A real server, started again where it was.
struct RealRedis(RedisServer);

impl Arm for RealRedis {
    fn peer(&self) -> String {
        self.0.peer.clone()
    }

    fn connect(&self) -> Arc<dyn Connect> {
        Arc::new(TcpConnect)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn befall(&mut self, fate: Fate) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match fate {
                Fate::Kill => self.0.kill(),
                Fate::Start => self.0.start_again().await,
                Fate::Stop | Fate::Resume => signal(self.0.id(), fate).await,
                other => panic!("{other:?} is nothing that can befall a process"),
            }
        })
    }
}

#[test]
#[ignore = "needs redis-server: cargo xtask test"]
fn a_real_redis_fails_as_it_should() {
    crate::real_time().block_on(async {
        for (name, probe) in PROBES {
            eprintln!("probe {name}");
            probe(&mut RealRedis(RedisServer::start().await)).await;
        }
    });
}
