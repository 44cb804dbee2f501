//! What a client sees of a network and of a server in trouble is the same on both engines, and what it should be.

#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::{Connect, Stream};
use oncegate_sim::world::World;
use oncegate_sim::world::engine::{self, Engine};
use oncegate_sim::world::host::Life;
use oncegate_sim::world::net::Latency;
use oncegate_sim::world::stream::{LifeStream, SimConnect, serve_each};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PORT: u16 = 7;
const SERVER: usize = 0;
const CLIENT: usize = 1;
const LASTS: Duration = Duration::from_secs(60);

/// What the client saw, each with the time that it took, in seconds.
type Seen = Arc<Mutex<Vec<(String, u64)>>>;

/// One client, and what it is to look at.
#[derive(Clone)]
struct Probe {
    world: Arc<World>,
    life: Arc<Life>,
    seen: Seen,
}

impl Probe {
    async fn sleep(&self, seconds: u64) {
        self.world.sleep_until(self.world.now() + Duration::from_secs(seconds)).await;
    }

    /// Waits for `what`, for at most so many seconds, and notes what came of it.
    async fn see<T>(&self, what: &str, patience: u64, seen: impl Future<Output = Result<T, ErrorKind>>) -> Option<T> {
        let began = self.world.now();
        let seen = tokio::select! {
            biased;
            seen = seen => Some(seen),
            () = self.sleep(patience) => None,
        };
        let told = match &seen {
            None => format!("{what}: silence"),
            Some(Ok(_)) => what.to_owned(),
            Some(Err(kind)) => format!("{what}: {kind:?}"),
        };
        let took = self.world.now() - began;
        self.seen.lock().unwrap().push((told, (took + Duration::from_millis(500)).as_secs()));
        seen?.ok()
    }

    async fn connect(&self) -> Option<Box<dyn Stream>> {
        let connect = SimConnect { world: self.world.clone(), life: self.life.clone() };
        let connecting = async { connect.connect(&format!("server:{PORT}")).await.map_err(|e| e.kind()) };
        self.see("connected", 20, connecting).await
    }

    async fn echo(&self, stream: &mut Box<dyn Stream>) {
        let echoing = async {
            stream.write_all(b"x").await.map_err(|e| e.kind())?;
            stream.read_u8().await.map_err(|e| e.kind())
        };
        self.see("echo", 20, echoing).await;
    }

    /// The end of a connection, one way or the other: both are an end to a client.
    async fn end(&self, stream: &mut Box<dyn Stream>) {
        let ending = async {
            match stream.read_u8().await.map_err(|e| e.kind()) {
                Ok(_) => Ok(()),
                Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => Err(ErrorKind::ConnectionAborted),
                Err(other) => Err(other),
            }
        };
        self.see("byte", 10, ending).await;
    }

    /// Undoes something after so many seconds, beside whatever the client does.
    fn later(&self, seconds: u64, undo: impl FnOnce(&World) + Send + 'static) {
        let world = self.world.clone();
        self.world.spawn(async move {
            world.sleep_until(world.now() + Duration::from_secs(seconds)).await;
            undo(&world);
        });
    }
}

async fn echo(mut stream: LifeStream) {
    while let Ok(byte) = stream.read_u8().await {
        if stream.write_u8(byte).await.is_err() {
            return;
        }
    }
}

/// What a client of that script sees on that engine.
#[allow(clippy::disallowed_methods)] // A fresh thread per world, as the runner has it.
fn seen_on<F>(engine: Engine, script: fn(Probe) -> F) -> Vec<(String, u64)>
where
    F: Future<Output = ()> + Send + 'static,
{
    let world_of = move |seen: &Seen| {
        let names = ["server", "client"].map(str::to_owned);
        let world = World::on(engine, &names, Latency { least_ms: 1, most_ms: 4 }, 1, false);
        let (of, to) = (world.clone(), seen.clone());
        world.inhabit(SERVER, move |life| serve_each(of.clone(), life, PORT, echo));
        let of = world.clone();
        world.inhabit(CLIENT, move |life| {
            let probe = Probe { world: of.clone(), life, seen: to.clone() };
            async move {
                probe.sleep(1).await;
                script(probe).await;
                std::future::pending().await
            }
        });
        world
    };
    let run = move || {
        let seen = Seen::default();
        match engine {
            Engine::Jumping => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                let runtime = runtime.unwrap();
                runtime.block_on(async {
                    let world = world_of(&seen);
                    tokio::select! {
                        biased;
                        () = world.sleep_until(LASTS) => {}
                        () = world.net.run(&world) => {}
                    }
                });
            }
            Engine::Turmoil => {
                let world = world_of(&seen);
                let over = world.clone();
                engine::turmoil::run(&world, 1, LASTS, async move { over.sleep_until(LASTS).await });
            }
        }
        seen.lock().unwrap().clone()
    };
    std::thread::spawn(run).join().unwrap()
}

fn both_see<F>(script: fn(Probe) -> F, expected: &[(&str, u64)])
where
    F: Future<Output = ()> + Send + 'static,
{
    let expected: Vec<_> = expected.iter().map(|(what, took)| ((*what).to_owned(), *took)).collect();
    for engine in Engine::ALL {
        assert_eq!(seen_on(engine, script), expected, "{engine:?}");
    }
}

#[test]
fn nobody_listens() {
    let script = |probe: Probe| async move {
        probe.world.hosts()[SERVER].take_down();
        probe.sleep(1).await;
        probe.connect().await;
        probe.world.hosts()[SERVER].bring_up();
        probe.sleep(1).await;
        let mut stream = probe.connect().await.unwrap();
        probe.echo(&mut stream).await;
    };
    both_see(script, &[("connected: ConnectionRefused", 0), ("connected", 0), ("echo", 0)]);
}

#[test]
fn either_direction_is_held_alone_and_nothing_of_it_is_lost() {
    let script = |probe: Probe| async move {
        let mut stream = probe.connect().await.unwrap();
        for (from, to) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
            probe.world.net.block(from, to);
            probe.later(5, move |world| world.net.unblock(world, from, to));
            probe.echo(&mut stream).await;
            probe.echo(&mut stream).await;
        }
        probe.world.net.block(SERVER, CLIENT);
        probe.later(5, |world| world.net.unblock(world, SERVER, CLIENT));
        probe.connect().await;
    };
    let held_then_not = [("echo", 5), ("echo", 0), ("echo", 5), ("echo", 0)];
    both_see(script, &[&[("connected", 0)], &held_then_not[..], &[("connected", 5)]].concat());
}

#[test]
fn what_was_held_may_come_late_while_new_connections_work() {
    let script = |probe: Probe| async move {
        let mut stream = probe.connect().await.unwrap();
        probe.world.net.block(CLIENT, SERVER);
        probe.later(3, |world| world.net.release(world, CLIENT, SERVER, Duration::from_secs(6)));
        let beside = probe.clone();
        probe.world.spawn(async move {
            beside.sleep(4).await;
            beside.see("meanwhile", 1, std::future::ready(Ok(()))).await;
        });
        probe.echo(&mut stream).await;
    };
    both_see(script, &[("connected", 0), ("meanwhile", 0), ("echo", 9)]);
}

#[test]
fn a_crash_is_told_and_a_power_loss_is_not() {
    let script = |probe: Probe| async move {
        let mut stream = probe.connect().await.unwrap();
        probe.later(2, |world| world.hosts()[SERVER].take_down());
        probe.end(&mut stream).await;
        probe.world.hosts()[SERVER].bring_up();
        probe.sleep(1).await;
        let mut stream = probe.connect().await.unwrap();
        probe.later(2, |world| {
            world.net.cut(SERVER);
            world.hosts()[SERVER].take_down();
        });
        probe.end(&mut stream).await;
        probe.connect().await;
        stream.write_all(b"x").await.unwrap();
        probe.world.net.mend(SERVER);
        probe.world.hosts()[SERVER].bring_up();
        probe.sleep(1).await;
        // It knows nothing of that connection any more, and says so.
        probe.end(&mut stream).await;
        let mut stream = probe.connect().await.unwrap();
        probe.echo(&mut stream).await;
    };
    let crash = [("connected", 0), ("byte: ConnectionAborted", 2)];
    let loss = [("connected", 0), ("byte: silence", 10), ("connected: silence", 20), ("byte: ConnectionAborted", 0)];
    both_see(script, &[&crash[..], &loss, &[("connected", 0), ("echo", 0)]].concat());
}

#[test]
fn the_kernel_of_a_process_that_stands_still_takes_connections() {
    let script = |probe: Probe| async move {
        probe.world.hosts()[SERVER].pause();
        probe.later(5, |world| world.hosts()[SERVER].resume());
        let mut stream = probe.connect().await.unwrap();
        probe.echo(&mut stream).await;
    };
    both_see(script, &[("connected", 0), ("echo", 5)]);
}

#[test]
fn a_slow_network_is_slow_until_it_is_not() {
    let script = |probe: Probe| async move {
        let mut stream = probe.connect().await.unwrap();
        let by = Duration::from_secs(2);
        probe.world.net.slow_down(SERVER, by);
        // So that the second engine's links know.
        probe.sleep(1).await;
        probe.echo(&mut stream).await;
        probe.world.net.speed_up(SERVER, by);
        // Nothing overtakes the last slow acknowledgement.
        probe.sleep(3).await;
        probe.echo(&mut stream).await;
    };
    both_see(script, &[("connected", 0), ("echo", 4), ("echo", 0)]);
}
