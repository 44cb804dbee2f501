//! Who lives in the world: nodes, Redis, the store (by calls, or as a PostgreSQL server), the broker and the sources,
//! one file each.

pub mod broker;
pub mod node;
pub mod postgres;
pub mod redis;
pub mod source;
pub mod store;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

pub use crate::oracles::Judge;
use crate::oracles::Violation;
use crate::world::World;
use crate::world::host::{Host, Life};
use crate::world::stream::OnHost;
use crate::world::trace::What;

/// The oracle that no process panics or ends by itself.
pub const PROCESSES: &str = "processes";

/// How soon a process that failed is started again.
const RESTART_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

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
        // A panic would end this task and nothing else: the host would be gone for the rest of the run, unseen.
        let process = AssertUnwindSafe(process).catch_unwind();
        let end = tokio::select! {
            biased;
            () = world.ends(&life) => continue,
            end = process => end,
        };
        if end.is_ok() && host.has_left() {
            world.tell(host.at, What::Life(format!("process {} has ended as asked", life.number)));
            continue;
        }
        let what = match end {
            Err(panic) => {
                let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
                format!("process {} of {} panicked: {}", life.number, host.name, said.unwrap_or("no message"))
            }
            Ok(()) => format!("process {} of {} ended by itself", life.number, host.name),
        };
        world.tell(host.at, What::Life(what.clone()));
        world.judge().processes.push(Violation { oracle: PROCESSES, at: world.now(), what });
        // As a service manager would: again, after a while.
        host.take_down();
        world.sleep_until(world.now() + RESTART_AFTER).await;
        host.bring_up();
    }
}
