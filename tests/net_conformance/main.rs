//! What does a client see when its peer is killed, stands still, loses its power, closes, or cannot be reached? One
//! suite of probes, three grounds: the simulated network, real processes on loopback, and real processes on
//! "machines" of their own (network namespaces behind a router that can swallow packets and be unplugged). What a
//! simulation run proves about a broken network, it proves about TCP only as far as these agree.
//!
//! Where they don't, the difference is in [`deviations::DEVIATIONS`], with its reason, and that table is exact: a
//! difference that is gone fails as loudly as a new one. In the simulated arm no real time passes.
#![allow(clippy::disallowed_methods)] // The arms own their clocks, threads and sockets.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod deviations;
mod machines;
mod peer;
mod probes;
mod processes;
mod redis;
mod script;
mod simulated;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write as _;

use probes::{Needs, probes};
use script::{Arm, Probe, play};

/// The runtime of a client on real sockets.
fn real_time() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Real peers must do what the probes say; nothing deviates but the simulation.
async fn check_real(probe: &Probe, arm: &mut dyn Arm) {
    let began = std::time::Instant::now();
    let seen = play(probe, arm).await;
    eprintln!("probe {} ({} ms)", probe.claim, began.elapsed().as_millis());
    assert_eq!(seen, probe.expected(), "{}", probe.claim);
}

#[test]
fn the_simulated_network_conforms() {
    let mut wrong = Vec::new();
    for probe in probes() {
        eprintln!("probe {}", probe.claim);
        let seen = simulated::run(&probe);
        let expected = deviations::expected_of_the_simulation(&probe);
        if seen != expected {
            wrong.push(format!("{}:\n  seen     {seen:?}\n  expected {expected:?}", probe.claim));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_deviation_is_one() {
    deviations::check(&probes());
}

#[test]
fn processes_on_loopback_conform() {
    real_time().block_on(async {
        for probe in probes().iter().filter(|probe| probe.needs == Needs::Processes) {
            check_real(probe, &mut processes::Process::start_on_loopback()).await;
        }
    });
}

#[test]
fn machines_behind_a_router_conform() {
    if !machines::is_inside() {
        if let Err(reason) = machines::run_inside("machines_behind_a_router_conform") {
            // Not by `eprintln`, which nobody sees when a test passes.
            let skipped = probes().iter().filter(|probe| probe.needs == Needs::Machines).count();
            let _ = writeln!(std::io::stderr(), "SKIPPED {skipped} probes between machines: {reason}");
        }
        return;
    }
    real_time().block_on(async {
        let mut router = machines::Router::start();
        for probe in probes().iter().filter(|probe| probe.needs == Needs::Machines) {
            check_real(probe, &mut router.machine()).await;
        }
    });
}

/// No test: what the other tests start this program for.
#[test]
fn a_peer_serves_whoever_started_it() {
    if let Some(address) = processes::asked_to_serve_on() {
        real_time().block_on(peer::serve_on(&address));
    }
}
