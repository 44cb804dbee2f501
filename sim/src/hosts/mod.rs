//! Who lives in the world: nodes, Redis, the store, the broker and the sources, one file each.

pub mod broker;
pub mod node;
pub mod redis;
pub mod source;
pub mod store;

use std::future::Future;
use std::sync::Arc;

pub use crate::oracles::Judge;
use crate::world::World;
use crate::world::host::{Host, Life};
use crate::world::stream::OnHost;
use crate::world::trace::What;

/// Runs one process after another on `host`, for as long as the world lasts: when one is ended its root future
/// is dropped with all it owns, and the next starts as soon as the host is up again.
pub async fn supervise<F>(world: Arc<World>, host: Arc<Host>, process: impl Fn(Arc<Life>) -> F)
where
    F: Future<Output = ()>,
{
    loop {
        while host.is_down() {
            host.turned().await;
        }
        let life = host.start();
        world.tell(host.at, What::Life(format!("process {} starts", life.number)));
        let process = OnHost::new(Arc::clone(&world), Arc::clone(&life), process(Arc::clone(&life)));
        tokio::select! {
            biased;
            () = life.ended() => {}
            // No process here is ever asked to end: one that does is a fault of the harness, not of what it tests.
            () = process => panic!("process {} of {} ended by itself", life.number, host.name),
        }
    }
}
