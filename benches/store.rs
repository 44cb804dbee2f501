//! What an order costs at the store: two durable commits, and next to nothing beside them.
//!
//! The disk sets the price, and its mood changes by the minute. So the figures that matter are ratios of
//! medians, taken side by side in one loop, and printed last:
//!
//! - claim + settle against two one-row commits on an otherwise identical database (bound 1.3x);
//! - each hot call with 10^6 signals stored against the same call with 10^3 (flat: about 1x).
//!
//! `cargo bench --bench store`. Files lie below the target folder, which must be on a real disk: on tmpfs a
//! commit is no commit.

#![allow(clippy::disallowed_methods, reason = "a bench reads the real clock")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, criterion_group, measurement::WallTime};
use oncegate_protocol::call::{Claim, Purpose};
use oncegate_protocol::{
    BrokerOrderId, Epoch, Fingerprint, Holder, KeyFormat, Leg, Outcome, Signal, StoreCall, StoreReply, Wall,
};
use oncegate_sqlite_store::Db;
use rusqlite::Connection;
use tempfile::TempDir;

const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
const AT: Wall = Wall::from_millis(1_700_000_000_000);
const BOUND: f64 = 1.3;

/// A store with a past: settled signals, each with its accepted attempt, and ten that wait.
struct Store {
    db: Db,
    /// Numbers of the signals that wait; all below have been executed.
    waiting: std::ops::Range<u64>,
    repeats: u64,
    _folder: TempDir,
}

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn holder() -> Holder {
    Holder::new("host-a:00000000deadbeef:1")
}

fn signal(n: u64) -> Signal {
    let fingerprint = Fingerprint::of_bytes(&n.to_le_bytes());
    let raw = format!("{{\"strategy\":\"nifty\",\"bar\":{n},\"side\":\"buy\",\"quantity\":50,\"price\":\"24150.05\"}}");
    Signal { fingerprint, body_digest: fingerprint, raw: raw.into_bytes(), expires_at: None, legs: 1 }
}

impl Store {
    const WAITING: u64 = 10;

    fn with_past(signals: u64) -> Self {
        let folder = folder();
        let mut db = Db::open(folder.path().join("store.db")).unwrap();
        db.apply(&StoreCall::OpenEpoch { expected: Epoch(0), holder: holder(), at: AT }).unwrap();
        let past = db.connection().transaction().unwrap();
        // The past comes in at once, past the guards of a claim.
        let triggers: Vec<(String, String)> = past
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'attempts'")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for (name, _) in &triggers {
            past.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        {
            let mut add_signal = past
                .prepare(
                    "INSERT INTO signals (fingerprint, body_digest, state, received_at, raw)
                     VALUES (?1, ?1, 'executed', 1, ?2)",
                )
                .unwrap();
            let mut add_attempt = past
                .prepare(
                    "INSERT INTO attempts (fingerprint, leg, number, ordinal, client_order_id, epoch, owner, purpose,
                                           claimed_at, outcome, outcome_detail, outcome_at)
                     VALUES (?1, 0, 1, 1, ?2, 1, ?3, 'execute', 1, 'accepted', 'b1', 2)",
                )
                .unwrap();
            for n in 0..signals {
                let signal = signal(n);
                let id = signal.fingerprint.client_order_id(Leg(0), &KeyFormat::default());
                add_signal.execute((signal.fingerprint.as_bytes(), signal.raw)).unwrap();
                add_attempt.execute((signal.fingerprint.as_bytes(), id.as_str(), holder().as_str())).unwrap();
            }
        }
        for (_, sql) in &triggers {
            past.execute_batch(sql).unwrap();
        }
        past.commit().unwrap();
        db.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let mut store = Self { db, waiting: signals..signals, repeats: 0, _folder: folder };
        store.refill();
        store
    }

    /// As many waiting as ever, in one commit that nobody measures.
    fn refill(&mut self) {
        let more = self.db.connection().transaction().unwrap();
        while self.waiting.end - self.waiting.start < Self::WAITING {
            let signal = signal(self.waiting.end);
            more.execute(
                "INSERT INTO signals (fingerprint, body_digest, state, received_at, raw)
                 VALUES (?1, ?1, 'received', 1, ?2)",
                (signal.fingerprint.as_bytes(), signal.raw),
            )
            .unwrap();
            self.waiting.end += 1;
        }
        more.commit().unwrap();
    }

    fn claim_and_settle(&mut self) -> Duration {
        self.refill();
        let fingerprint = signal(self.waiting.start).fingerprint;
        self.waiting.start += 1;
        let claim = StoreCall::Claim(Claim {
            fingerprint,
            leg: Leg(0),
            epoch: Epoch(1),
            holder: holder(),
            number: 1,
            client_order_id: fingerprint.client_order_id(Leg(0), &KeyFormat::default()),
            purpose: Purpose::Execute,
            at: AT,
        });
        let settle = StoreCall::RecordOutcome {
            fingerprint,
            leg: Leg(0),
            number: 1,
            owner: holder(),
            outcome: Outcome::Accepted(BrokerOrderId::new("221123000012345")),
            at: AT,
        };
        let start = Instant::now();
        let claimed = self.db.apply(&claim).unwrap();
        self.db.apply(&settle).unwrap();
        let took = start.elapsed();
        assert_eq!(claimed, StoreReply::Claimed { number: 1 });
        took
    }

    fn reject_duplicate(&mut self) -> Duration {
        // A different one each time, all over the past.
        self.repeats += 1;
        let n = self.repeats.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.waiting.start;
        let call = StoreCall::Insert { signal: signal(n), at: AT };
        let start = Instant::now();
        let reply = self.db.apply(&call).unwrap();
        let took = start.elapsed();
        assert!(matches!(reply, StoreReply::Stored { new: false, .. }));
        took
    }

    fn read_pending(&mut self) -> Duration {
        let start = Instant::now();
        let reply = self.db.apply(&StoreCall::ReadPending { limit: 16 }).unwrap();
        let took = start.elapsed();
        assert!(matches!(reply, StoreReply::Pending { records, .. } if !records.is_empty()));
        took
    }
}

/// The same journal, the same waiting for the disk, one table, one row a commit.
struct Raw {
    connection: Connection,
    _folder: TempDir,
}

impl Raw {
    fn new() -> Self {
        let folder = folder();
        let connection = Connection::open(folder.path().join("raw.db")).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 CREATE TABLE rows (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;",
            )
            .unwrap();
        Self { connection, _folder: folder }
    }

    fn two_commits(&mut self) -> Duration {
        let start = Instant::now();
        for _ in 0..2 {
            let transaction = self.connection.transaction().unwrap();
            let mut insert = transaction.prepare_cached("INSERT INTO rows (bytes) VALUES (zeroblob(150))").unwrap();
            insert.execute([]).unwrap();
            drop(insert);
            transaction.commit().unwrap();
        }
        start.elapsed()
    }
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut once: impl FnMut() -> Duration) {
    group.bench_function(name, |bencher| bencher.iter_custom(|times| (0..times).map(|_| once()).sum()));
}

fn hot_path(criterion: &mut Criterion) {
    // `cargo test --benches` runs everything once; a million signals would be most of it.
    let quick = std::env::args().any(|argument| argument == "--test");
    let many = if quick { FEW } else { MANY };
    let (mut raw, mut few, mut big) = (Raw::new(), Store::with_past(FEW), Store::with_past(many));

    let mut group = criterion.benchmark_group("commit");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    measure(&mut group, "raw two durable commits", || raw.two_commits());
    measure(&mut group, "claim+settle, 10^3 stored", || few.claim_and_settle());
    measure(&mut group, "claim+settle, 10^6 stored", || big.claim_and_settle());
    group.finish();

    let mut group = criterion.benchmark_group("read");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    measure(&mut group, "duplicate rejected, 10^3 stored", || few.reject_duplicate());
    measure(&mut group, "duplicate rejected, 10^6 stored", || big.reject_duplicate());
    measure(&mut group, "pending, 10^3 stored", || few.read_pending());
    measure(&mut group, "pending, 10^6 stored", || big.read_pending());
    group.finish();

    if !quick {
        side_by_side(&mut raw, &mut few, &mut big);
    }
}

fn side_by_side(raw: &mut Raw, few: &mut Store, big: &mut Store) {
    const ROUNDS: usize = 2_000;
    let mut times: [Vec<Duration>; 7] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(raw.two_commits());
        times[1].push(few.claim_and_settle());
        times[2].push(big.claim_and_settle());
        times[3].push(few.reject_duplicate());
        times[4].push(big.reject_duplicate());
        times[5].push(few.read_pending());
        times[6].push(big.read_pending());
    }
    let [raw, few_orders, big_orders, few_repeats, big_repeats, few_pending, big_pending] = times.map(Figures::of);
    println!("\nside by side, {ROUNDS} rounds: median (mean, 99th percentile)");
    println!("two raw commits                  {raw}");
    println!("claim+settle, 10^3 stored        {few_orders}");
    println!("claim+settle, 10^6 stored        {big_orders}");
    println!("duplicate rejected, 10^3 stored  {few_repeats}");
    println!("duplicate rejected, 10^6 stored  {big_repeats}");
    println!("pending, 10^3 stored             {few_pending}");
    println!("pending, 10^6 stored             {big_pending}\n");
    for (stored, orders) in [("10^3", &few_orders), ("10^6", &big_orders)] {
        let ratio = orders.over(&raw);
        let verdict = if ratio <= BOUND { "" } else { "  BEYOND THE BOUND" };
        println!("claim+settle / two raw commits = {ratio:.2}x at {stored} stored (bound {BOUND}x){verdict}");
    }
    println!("claim+settle, 10^6 / 10^3 stored = {:.2}x", big_orders.over(&few_orders));
    println!("duplicate rejected, 10^6 / 10^3 stored = {:.2}x", big_repeats.over(&few_repeats));
    println!("pending, 10^6 / 10^3 stored = {:.2}x", big_pending.over(&few_pending));
}

struct Figures {
    median: Duration,
    mean: Duration,
    slow: Duration,
}

impl Figures {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap();
        Self { median: times[times.len() / 2], mean, slow: times[times.len() * 99 / 100] }
    }

    fn over(&self, other: &Self) -> f64 {
        self.median.as_secs_f64() / other.median.as_secs_f64()
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        write!(f, "{:9.1} us ({:.1}, {:.1})", micros(self.median), micros(self.mean), micros(self.slow))
    }
}

criterion_group!(benches, hot_path);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
