//! What happened: all of it as a hash, what is worth telling as a story.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use oncegate_protocol::Notice;
use sha2::{Digest, Sha256};

use crate::world::anchor::Point;

/// One thing worth telling.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum What {
    /// A node said so.
    Notice(Notice),
    /// The protocol reached a named point.
    Reached(Point),
    /// The world did something to somebody.
    Fault(String),
    /// A fault ended.
    Healed(String),
    /// A host began to run, or ended.
    Life(String),
    /// A source offered a signal, or heard about it.
    Source(String),
    /// The broker's book changed, or the broker answered.
    Broker(String),
    /// The store committed something.
    Store(String),
    /// The lease changed hands.
    Redis(String),
    /// An oracle objected.
    Violation(String),
}

/// One line of the story.
#[derive(Clone, Debug)]
pub struct Line {
    /// Since the world began.
    pub at: Duration,
    /// Where, as a place in the world's list of hosts.
    pub host: usize,
    /// What.
    pub what: What,
}

/// The trace of one run.
pub struct Trace {
    digest: Sha256,
    pending: Vec<u8>,
    keep_story: bool,
    story: Vec<Line>,
    points: Vec<(Duration, Point, usize)>,
}

/// Hash input is gathered up to this many bytes.
const CHUNK: usize = 4096;

impl Trace {
    /// An empty trace; without a story only the hash is kept.
    pub fn new(keep_story: bool) -> Self {
        let pending = Vec::with_capacity(CHUNK * 2);
        Self { digest: Sha256::new(), pending, keep_story, story: Vec::new(), points: Vec::new() }
    }

    /// Makes `what` part of the hash.
    pub fn mix(&mut self, at: Duration, host: usize, what: &impl Hash) {
        at.hash(self);
        host.hash(self);
        what.hash(self);
    }

    /// Makes `what` part of the hash and of the story.
    pub fn tell(&mut self, at: Duration, host: usize, what: What) {
        self.mix(at, host, &what);
        if self.keep_story {
            self.story.push(Line { at, host, what });
        }
    }

    /// Makes a point that `host` reached part of the hash, and of what is kept beside the story.
    pub fn reach(&mut self, at: Duration, host: usize, point: Point) {
        self.mix(at, host, &point);
        if self.keep_story {
            self.points.push((at, point, host));
        }
    }

    /// The points that were reached, when, and by which host; none without a story.
    pub fn points(&self) -> &[(Duration, Point, usize)] {
        &self.points
    }

    /// The story so far.
    pub fn story(&self) -> &[Line] {
        &self.story
    }

    /// The hash of all that happened, in hex.
    pub fn hash(&mut self) -> String {
        self.digest.update(&self.pending);
        self.pending.clear();
        let mut hex = String::with_capacity(64);
        for byte in self.digest.clone().finalize() {
            use std::fmt::Write;
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// Collects what `#[derive(Hash)]` feeds it. The integers are written little-endian and at fixed widths, so
/// that a trace hash means the same on any machine.
impl Hasher for Trace {
    fn write(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK {
            self.digest.update(&self.pending);
            self.pending.clear();
        }
    }

    fn write_u16(&mut self, i: u16) {
        self.write(&i.to_le_bytes());
    }

    fn write_u32(&mut self, i: u32) {
        self.write(&i.to_le_bytes());
    }

    fn write_u64(&mut self, i: u64) {
        self.write(&i.to_le_bytes());
    }

    fn write_usize(&mut self, i: usize) {
        self.write(&(i as u64).to_le_bytes());
    }

    fn write_isize(&mut self, i: isize) {
        self.write(&(i as i64).to_le_bytes());
    }

    fn finish(&self) -> u64 {
        // The whole digest is what counts; see `hash`.
        0
    }
}
