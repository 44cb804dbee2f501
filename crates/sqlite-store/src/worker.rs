//! The executor of blocking calls: a thread that owns one thing and works through a bounded queue.

use std::io;

use tokio::sync::{mpsc, oneshot};

/// How many calls may wait. A node has a handful under way; more than this means that the disk is stuck, and
/// callers then wait in front of the queue, under their own timeouts.
const QUEUE: usize = 64;

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// A thread that ends when this is dropped and the job at hand is done.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    jobs: mpsc::Sender<Job<T>>,
}

impl<T: Send + 'static> Worker<T> {
    #[allow(clippy::disallowed_methods)] // This is the executor port.
    pub(crate) fn start(name: &str, mut owned: T) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job<T>>(QUEUE);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut owned);
            }
        })?;
        Ok(Self { jobs })
    }

    /// The job's output; none when the thread has ended. Dropped before the thread came to it, the job is
    /// never run; dropped later it runs to its end all the same.
    pub(crate) async fn run<R: Send + 'static>(&self, job: impl FnOnce(&mut T) -> R + Send + 'static) -> Option<R> {
        let (reply, output) = oneshot::channel();
        let job: Job<T> = Box::new(move |owned| {
            // Nobody waits any more: the later it came, the less it would be expected.
            if !reply.is_closed() {
                // Who stopped waiting meanwhile has been told that the effect is unknown.
                let _ = reply.send(job(owned));
            }
        });
        self.jobs.send(job).await.ok()?;
        output.await.ok()
    }
}
