//! Simulation speed: simulated seconds per second, next to `turmoil::Sim` carrying the same heartbeats.
//!
//! `cargo bench --bench world`. Both sides run in turn within one process, because machines are noisy. The
//! traffic on both: three clients of one server, each sending a small request every two seconds and waiting for
//! the answer. The third figure is the whole default world (production nodes, Redis, store, broker) left alone.

#![allow(clippy::disallowed_methods)] // A bench measures real time.

use std::time::{Duration, Instant};

use oncegate_sim::runner::{Options, run};
use oncegate_sim::scenario::{BrokerKind, Expect, Scenario, WorldSpec};
use oncegate_sim::world::World;
use oncegate_sim::world::net::Latency;
use oncegate_sim::world::stream::{LifeListener, SimConnect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long the heartbeat worlds run.
const BEATING_FOR: Duration = Duration::from_secs(600);
/// How often a client beats.
const BEAT: Duration = Duration::from_secs(2);
/// What a request, and an answer, looks like on the wire: as long as a renewal.
const MESSAGE: [u8; 120] = [b'x'; 120];
/// How often each side takes its turn.
const TURNS: usize = 7;
/// What the idle default world must reach.
const BOUND: f64 = 10_000.0;

/// Simulated seconds per second.
fn speed(simulated: Duration, took: Duration) -> f64 {
    simulated.as_secs_f64() / took.as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn our_heartbeats() -> f64 {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing");
    runtime.block_on(async {
        let names: Vec<String> = ["n1", "n2", "n3", "redis"].map(str::to_owned).into();
        let world = World::new(&names, Latency { least_ms: 1, most_ms: 1 }, 1, false);
        let server = world.hosts()[3].start();
        let listener = LifeListener::bind(world.clone(), server, 6379).await.expect("the port is free");
        tokio::spawn(async move {
            while let Ok(mut stream) = listener.accept().await {
                tokio::spawn(async move {
                    let mut message = MESSAGE;
                    while stream.read_exact(&mut message).await.is_ok() && stream.write_all(&message).await.is_ok() {}
                });
            }
        });
        for client in 0..3 {
            let (world, life) = (world.clone(), world.hosts()[client].start());
            tokio::spawn(async move {
                use oncegate_coordinator::Connect;
                let connect = SimConnect { world: world.clone(), life };
                let mut stream = connect.connect("redis:6379").await.expect("the server listens");
                let mut message = MESSAGE;
                loop {
                    stream.write_all(&message).await.expect("the server reads");
                    stream.read_exact(&mut message).await.expect("the server answers");
                    world.sleep_until(world.now() + BEAT).await;
                }
            });
        }
        tokio::select! {
            biased;
            () = world.sleep_until(BEATING_FOR) => {}
            () = world.net.run(&world) => {}
        }
    });
    speed(BEATING_FOR, began.elapsed())
}

fn turmoil_heartbeats() -> f64 {
    let began = Instant::now();
    let mut sim = turmoil::Builder::new()
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(1))
        .simulation_duration(BEATING_FOR * 2)
        .build();
    sim.host("redis", || async {
        let listener = turmoil::net::TcpListener::bind("0.0.0.0:6379").await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut message = MESSAGE;
                while stream.read_exact(&mut message).await.is_ok() && stream.write_all(&message).await.is_ok() {}
            });
        }
    });
    for client in ["n1", "n2", "n3"] {
        sim.client(client, async {
            let mut stream = turmoil::net::TcpStream::connect("redis:6379").await?;
            let mut message = MESSAGE;
            let beats = BEATING_FOR.as_secs() / BEAT.as_secs();
            for _ in 0..beats {
                stream.write_all(&message).await?;
                stream.read_exact(&mut message).await?;
                tokio::time::sleep(BEAT).await;
            }
            Ok(())
        });
    }
    sim.run().expect("the clients end");
    speed(BEATING_FOR, began.elapsed())
}

fn idle_world() -> f64 {
    let scenario = Scenario {
        name: "idle".into(),
        seed: 1,
        world: WorldSpec { broker: BrokerKind::Deduplicates, ..WorldSpec::default() },
        signals: Vec::new(),
        faults: Vec::new(),
        expect: Expect::default(),
    };
    let began = Instant::now();
    let run = run(&scenario, Options::default());
    assert!(run.holds(), "{:?}", run.violations);
    speed(run.simulated, began.elapsed())
}

fn main() {
    let (mut ours, mut theirs, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(our_heartbeats());
        theirs.push(turmoil_heartbeats());
        idle.push(idle_world());
    }
    let (ours, theirs, idle) = (median(ours), median(theirs), median(idle));
    println!("simulated seconds per second, medians of {TURNS} turns, one core:");
    println!("  heartbeats of three clients, this world     {ours:>10.0}");
    println!(
        "  the same on turmoil::Sim at its 1 ms tick   {theirs:>10.0}   (this world is {:.0}x faster)",
        ours / theirs
    );
    let verdict = if idle >= BOUND { "within" } else { "BEYOND" };
    println!("  the whole default world, left alone         {idle:>10.0}   ({verdict} the bound of {BOUND:.0})");
}
