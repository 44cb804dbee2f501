//! One run: builds the world of a scenario on a fresh thread, lets it go wrong, heals it, and judges.

use std::sync::Arc;
use std::time::Duration;

use oncegate_protocol::{Fingerprint, SignalState};

use crate::hosts::broker::{self, Booked, BrokerHost};
use crate::hosts::node::{self, Heartbeats, Nodes, Setup};
use crate::hosts::postgres::{self, PostgresHost};
use crate::hosts::redis::{self, RedisHost};
use crate::hosts::source::{self, Ledger};
use crate::hosts::store::StoreHost;
use crate::mutants::Mutant;
use crate::nemesis::Nemesis;
use crate::oracles::coverage::Coverage;
use crate::oracles::sightings::Sightings;
use crate::oracles::watch::look_on;
use crate::oracles::{Violation, expectations, handled, store_agrees};
use crate::scenario::{Scenario, StoreKind};
use crate::world::engine::{self, Engine};
use crate::world::net::Latency;
use crate::world::trace::{Line, What};
use crate::world::{World, anchor::Point};

/// What to run it with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep the story, not only its hash.
    pub keep_story: bool,
    /// Plant this bug.
    pub mutant: Option<Mutant>,
    /// On which engine.
    pub engine: Engine,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Run {
    /// The scenario's name.
    pub name: String,
    /// The hash of everything that happened.
    pub hash: String,
    /// What was broken; nothing, if all promises held.
    pub violations: Vec<Violation>,
    /// The simulated time.
    pub simulated: Duration,
    /// The names of all hosts, in the world's order.
    pub hosts: Vec<String>,
    /// The signals, and where each stands in the store.
    pub signals: Vec<SignalEnd>,
    /// The broker's book.
    pub book: Vec<Booked>,
    /// How often each rare thing was seen.
    pub sightings: Sightings,
    /// Which fault struck in which phase of a signal's life.
    pub coverage: Coverage,
    /// How often each point was reached.
    pub reached: Vec<(Point, u64)>,
    /// What happened, if the story was kept.
    pub story: Vec<Line>,
    /// Which points were reached when and by which host, if the story was kept.
    pub points: Vec<(Duration, Point, usize)>,
    /// The points for which faults waited in vain.
    pub unstruck: Vec<Point>,
}

/// How a signal ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignalEnd {
    /// Its id in the scenario.
    pub id: String,
    /// What it is recognised by; none when it is no signal at all.
    pub fingerprint: Option<Fingerprint>,
    /// Where it stands in the store; none when it is not there.
    pub state: Option<SignalState>,
}

impl SignalEnd {
    /// How traces name it.
    pub fn short(&self) -> String {
        self.fingerprint.map_or_else(|| self.id.clone(), |fingerprint| fingerprint.short())
    }
}

impl Run {
    /// Whether every promise held.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether the promise of that oracle was broken; of any, if none is named.
    pub fn breaks(&self, oracle: Option<&str>) -> bool {
        self.violations.iter().any(|violation| oracle.is_none_or(|oracle| violation.oracle == oracle))
    }
}

/// Runs a scenario to its end, on an OS thread of its own.
///
/// # Panics
/// When the world itself is broken: that is a bug of the harness, not a verdict.
#[allow(clippy::disallowed_methods)] // A fresh thread per run is what keeps runs from seeing each other.
pub fn run(scenario: &Scenario, options: Options) -> Run {
    let scenario = Arc::new(scenario.clone());
    let thread = std::thread::Builder::new()
        .name("run".into())
        .stack_size(1 << 20)
        .spawn(move || run_here(&scenario, options))
        .expect("the machine has room for one more thread");
    match thread.join() {
        Ok(run) => run,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn run_here(scenario: &Arc<Scenario>, options: Options) -> Run {
    match options.engine {
        Engine::Jumping => run_jumping(scenario, options),
        Engine::Turmoil => {
            let parts = Parts::begin(scenario, options);
            let (world, redis, nodes) = (Arc::clone(&parts.world), Arc::clone(&parts.redis), Arc::clone(&parts.nodes));
            parts.world.spawn(async move { look_on(&world, &redis, &nodes).await });
            engine::turmoil::run(&parts.world, scenario.seed, scenario.world.total(), parts.phases(scenario));
            parts.judge(scenario)
        }
    }
}

fn run_jumping(scenario: &Arc<Scenario>, options: Options) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the machine");
    let parts = runtime.block_on(async { Parts::begin(scenario, options) });
    let run = runtime.block_on(parts.carry_out(scenario));
    // Processes first: their sockets close on the network of the world that they hold.
    drop(runtime);
    run
}

/// The machines of one run.
struct Parts {
    world: Arc<World>,
    store: Arc<StoreHost>,
    broker: Arc<BrokerHost>,
    redis: Arc<RedisHost>,
    ledger: Arc<Ledger>,
    nemesis: Arc<Nemesis>,
    nodes: Arc<Nodes>,
    /// A bug that this world's store can't have.
    unplanted: Option<Mutant>,
}

impl Parts {
    fn begin(scenario: &Arc<Scenario>, options: Options) -> Self {
        let spec = &scenario.world;
        let names = spec.host_names();
        let millis = |span: crate::scenario::Span| u64::try_from(span.as_millis()).unwrap_or(0);
        let latency = Latency { least_ms: millis(spec.latency_min), most_ms: millis(spec.latency_max) };
        let world = World::on(options.engine, &names, latency, scenario.seed, options.keep_story);
        let timing = spec.timing.timing();
        world.judge().begin(names.clone(), spec.nodes, &timing, spec.latency_max.get());
        world.judge().course.begin(spec.broker);
        let place = |name: &str| world.host(name).expect("every world has this host").at;
        let store = Arc::new(StoreHost::new(place("store")).expect("an in-memory store opens"));
        store.plant(options.mutant);
        let broker = Arc::new(BrokerHost::new(place("broker"), spec.broker));
        let redis = Arc::new(RedisHost::new(place("redis")));
        let heartbeats = Arc::new(Heartbeats::default());
        let nodes = Arc::new(Nodes::default());
        let ledger = Arc::new(Ledger::new(scenario));
        let nemesis = Nemesis::new(
            Arc::clone(&world),
            Arc::clone(&store),
            Arc::clone(&broker),
            Arc::clone(&redis),
            Arc::clone(&heartbeats),
            spec.nodes,
            Arc::clone(&nodes),
        );
        nemesis.arm(scenario);

        let serve_redis = {
            let (world, redis, nodes, nemesis) =
                (Arc::clone(&world), Arc::clone(&redis), Arc::clone(&nodes), Arc::clone(&nemesis));
            move |life| {
                redis::process(Arc::clone(&world), life, Arc::clone(&redis), Arc::clone(&nodes), Arc::clone(&nemesis))
            }
        };
        world.inhabit(redis.at, serve_redis);
        let serve_broker = {
            let (world, broker, nemesis) = (Arc::clone(&world), Arc::clone(&broker), Arc::clone(&nemesis));
            move |life| broker::process(Arc::clone(&world), life, Arc::clone(&broker), Arc::clone(&nemesis))
        };
        world.inhabit(broker.at, serve_broker);
        let postgres = match spec.store {
            StoreKind::Sqlite => None,
            StoreKind::Postgres => {
                let server = store.serve_postgres(options.mutant);
                let host = Arc::new(PostgresHost::new(Arc::clone(&store), server));
                let serve = {
                    let (world, host, nemesis) = (Arc::clone(&world), Arc::clone(&host), Arc::clone(&nemesis));
                    move |life| postgres::process(Arc::clone(&world), life, Arc::clone(&host), Arc::clone(&nemesis))
                };
                world.inhabit(store.at, serve);
                Some(host)
            }
        };
        let setup = Arc::new(Setup {
            seed: scenario.seed,
            timing,
            identity: source::identity_rule(scenario),
            capabilities: broker::capabilities(spec.broker),
            mutant: options.mutant,
            store: Arc::clone(&store),
            postgres,
            redis: Arc::clone(&redis),
            nodes: Arc::clone(&nodes),
            heartbeats,
            nemesis: Arc::clone(&nemesis),
        });
        for at in 0..spec.nodes {
            let (world_of, setup) = (Arc::clone(&world), Arc::clone(&setup));
            let process = move |life| node::process(Arc::clone(&world_of), life, Arc::clone(&setup));
            world.inhabit(at, process);
        }
        let send = {
            let (world, scenario, ledger) = (Arc::clone(&world), Arc::clone(scenario), Arc::clone(&ledger));
            move |life| source::process(Arc::clone(&world), life, Arc::clone(&scenario), Arc::clone(&ledger))
        };
        world.inhabit(place("source"), send);
        let unplanted = options.mutant.filter(|mutant| spec.store == StoreKind::Postgres && mutant.replaces_calls());
        Self { world, store, broker, redis, ledger, nemesis, nodes, unplanted }
    }

    /// Faults until their time is over, then time for progress.
    fn phases(&self, scenario: &Scenario) -> impl Future<Output = ()> + use<> {
        let (world, nemesis, teller) = (Arc::clone(&self.world), Arc::clone(&self.nemesis), self.redis.at);
        let (healed, over) = (scenario.world.faults_for.get(), scenario.world.total());
        async move {
            world.sleep_until(healed).await;
            world.tell(teller, What::Healed("every fault ends here; progress is owed".into()));
            nemesis.end_all();
            world.sleep_until(over).await;
        }
    }

    async fn carry_out(self, scenario: &Scenario) -> Run {
        let world = &self.world;
        tokio::select! {
            biased;
            () = self.phases(scenario) => {}
            () = world.net.run(world) => {}
            () = look_on(world, &self.redis, &self.nodes) => {}
        }
        self.judge(scenario)
    }

    fn judge(self, scenario: &Scenario) -> Run {
        let world = &self.world;
        let at = world.now();
        let stored = self.store.signals().expect("the store can be read");
        let (book, sent) = (self.broker.book(), self.ledger.signals());
        let mut judge = world.judge();
        let mut violations = judge.violations();
        violations.extend(handled::judge(at, scenario.world.broker, &self.broker.refused(), &sent, &stored));
        violations.extend(store_agrees::judge(at, &book, &stored));
        violations.extend(judge.truth.judge(at, &stored));
        violations.extend(judge.alerts.judge(at, &judge.scene, &judge.weather, &judge.bounds));
        let sightings = std::mem::take(&mut judge.sightings);
        let coverage = std::mem::take(&mut judge.coverage);
        drop(judge);
        violations.extend(expectations::judge(
            at,
            &scenario.expect,
            &book,
            &sent,
            &stored,
            &world.anchors(),
            &sightings,
        ));
        for unknown in self.redis.unsupported() {
            // The simulation is out of its depth: no verdict of it means anything.
            violations.push(Violation { oracle: "world", at, what: format!("redis was asked for {unknown}") });
        }
        for unknown in self.store.unsupported() {
            violations.push(Violation { oracle: "world", at, what: format!("postgresql was asked for {unknown}") });
        }
        if let Some(mutant) = self.unplanted {
            let what = format!("{} answers calls of the store, and postgresql is sent statements", mutant.name());
            violations.push(Violation { oracle: "world", at, what });
        }
        for violation in &violations {
            world.tell(self.store.at, What::Violation(format!("{}: {}", violation.oracle, violation.what)));
        }
        let state_of = |fingerprint| stored.iter().find(|r| r.fingerprint == fingerprint).map(|r| r.state);
        let mut trace = world.trace();
        Run {
            name: scenario.name.clone(),
            hash: trace.hash(),
            violations,
            simulated: at,
            hosts: scenario.world.host_names(),
            signals: sent
                .iter()
                .map(|sent| SignalEnd {
                    id: sent.id.clone(),
                    fingerprint: sent.fingerprint,
                    state: sent.fingerprint.and_then(state_of),
                })
                .collect(),
            book,
            sightings,
            coverage,
            reached: Point::ALL.into_iter().map(|point| (point, world.anchors().count(point))).collect(),
            story: trace.story().to_vec(),
            points: trace.points().to_vec(),
            unstruck: world.anchors().unstruck().to_vec(),
        }
    }
}
