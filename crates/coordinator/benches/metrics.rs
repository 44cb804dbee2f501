//! What being observed costs: `cargo bench -p oncegate-coordinator --bench metrics`.
//!
//! A step of the driver is observed before and after; a call at a port is timed around it. Neither may cost a
//! microsecond, which is less than a thousandth of what the fastest durable commit takes. The scrape is for scale.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use oncegate_coordinator::{Clock, Exposition, LeaseStore, Measured, Metrics, Observer, SystemClock};
use oncegate_protocol::{
    CallId, Command, Epoch, Event, Fingerprint, Holder, Leadership, LeaseCall, LeaseReply, Leg, Notice, PortError,
    Reply, StoreReply, Wall,
};

/// Answers at once.
struct Free;

impl LeaseStore for Free {
    fn call(&self, _: LeaseCall) -> oncegate_coordinator::BoxFuture<'_, Result<LeaseReply, PortError>> {
        Box::pin(async { Ok(LeaseReply::Free) })
    }
}

fn observing(criterion: &mut Criterion) {
    let clock = Arc::new(SystemClock);
    let mut metrics = Metrics::new(clock.clone(), "a", "0", "k");
    let now = clock.now();
    let holder = Holder::new("a:0:1");
    let leadership = Leadership {
        epoch: Epoch(3),
        holder: Some(holder),
        heartbeat_at: Wall::default(),
        paused: None,
        pause_words: 0,
    };
    let replied = Event::Replied { id: CallId(1), reply: Reply::Store(Ok(StoreReply::Leadership(leadership))) };
    let fingerprint = Fingerprint::of_bytes(b"x");
    let sends = [Command::Notice(Notice::Sending { fingerprint, leg: Leg(0), epoch: Epoch(3) })];

    criterion.bench_function("observe a step that says nothing", |bencher| {
        bencher.iter(|| {
            metrics.hears(now, black_box(&Event::Tick));
            metrics.says(now, black_box(&[]));
        });
    });
    criterion.bench_function("observe a step that hears of the leader and sends an order", |bencher| {
        bencher.iter(|| {
            metrics.hears(now, black_box(&replied));
            metrics.says(now, black_box(&sends));
        });
    });
    let (plain, timed): (Arc<dyn LeaseStore>, _) = (Arc::new(Free), metrics.clone());
    let timed: Measured<dyn LeaseStore> = Measured::new(plain.clone(), timed);
    let ready = |call: oncegate_coordinator::BoxFuture<'_, _>| {
        futures_util::FutureExt::now_or_never(call).map(|reply: Result<LeaseReply, PortError>| reply.is_ok())
    };
    criterion.bench_function("a call that is not timed", |bencher| {
        bencher.iter(|| ready(plain.call(black_box(LeaseCall::Read))));
    });
    criterion.bench_function("a call that is timed", |bencher| {
        bencher.iter(|| ready(timed.call(black_box(LeaseCall::Read))));
    });
    criterion.bench_function("get_metrics()", |bencher| bencher.iter(|| metrics.snapshot()));
    criterion.bench_function("a scrape", |bencher| bencher.iter(|| metrics.prometheus()));
}

criterion_group!(benches, observing);
criterion_main!(benches);
