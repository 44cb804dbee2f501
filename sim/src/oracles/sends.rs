//! What is true of every order at the moment its first byte leaves a node: its deadline has not passed on that
//! node's own wall clock. (That the lease names the node is [`super::gate_lease`]'s.) Reads the bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Violation;
use crate::world::World;

/// The oracle's name.
pub const NAME: &str = "sends";

/// A wall clock that stepped so recently excuses a node: it looked before.
const STEP_EXCUSES: Duration = Duration::from_secs(5);

/// Sees the first byte of every order.
#[derive(Default)]
pub struct Sends {
    stepped: BTreeMap<usize, Duration>,
    pub(super) violations: Vec<Violation>,
}

impl Sends {
    /// The wall clock of that host stepped.
    pub fn clock_stepped(&mut self, host: usize, at: Duration) {
        self.stepped.insert(host, at);
    }

    /// The clocks of that host stood still for so long: what it looked at before is that much younger.
    pub fn clock_stood_still(&mut self, host: usize, lasted: Duration) {
        if let Some(stepped) = self.stepped.get_mut(&host) {
            *stepped += lasted;
        }
    }

    /// An order begins to leave the node at `by`.
    pub fn first_byte(&mut self, world: &World, by: usize, bytes: &[u8]) {
        let at = world.now();
        let Some(deadline) = deadline_in(bytes) else { return };
        let wall = world.hosts()[by].clock.read(at).wall.as_millis();
        self.judge(at, (by, &world.hosts()[by].name), wall, deadline);
    }

    fn judge(&mut self, at: Duration, (by, name): (usize, &str), wall: i64, deadline: i64) {
        let excused = self.stepped.get(&by).is_some_and(|stepped| *stepped + STEP_EXCUSES > at);
        if wall >= deadline && !excused {
            let what = format!("{name} sends an order {} ms after its deadline", wall - deadline);
            self.violations.push(Violation { oracle: NAME, at, what });
        }
    }
}

/// The signal that an order's request carries out.
pub fn fingerprint_in(bytes: &[u8]) -> Option<oncegate_protocol::Fingerprint> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once("\"fingerprint\":\"")?;
    let (hex, _) = rest.split_once('"')?;
    serde_json::from_str(&format!("\"{hex}\"")).ok()
}

/// The deadline in an order's request.
fn deadline_in(bytes: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once("\"expires_at_ms\":")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_leaves_after_its_deadline_is_seen() {
        let mut oracle = Sends::default();
        let at = Duration::from_secs(60);
        oracle.judge(at, (0, "n1"), 999, 1_000);
        assert_eq!(oracle.violations, []);
        oracle.judge(at, (0, "n1"), 1_000, 1_000);
        assert_eq!(oracle.violations.len(), 1);
        oracle.clock_stepped(0, at);
        oracle.judge(at, (0, "n1"), 1_000, 1_000);
        assert_eq!(oracle.violations.len(), 1);
        oracle.clock_stood_still(0, Duration::from_secs(60));
        oracle.judge(at + Duration::from_secs(60), (0, "n1"), 1_000, 1_000);
        assert_eq!(oracle.violations.len(), 1);
    }

    #[test]
    fn the_deadline_is_found_in_the_request() {
        assert_eq!(deadline_in(b"POST / HTTP/1.1\r\n\r\n{\"signal\":{\"expires_at_ms\":17,\"id\":1}}"), Some(17));
        assert_eq!(deadline_in(b"POST / HTTP/1.1\r\n\r\n{}"), None);
    }
}
