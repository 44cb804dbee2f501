//! Every state that the desk can get into over one attempt that is offered up to twice, with two engines that begin,
//! repeat themselves, contradict themselves and come late, a gate that goes away, a node that is deposed, and time
//! passing at any point. In each the desk's answers are judged by what an outsider saw.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use oncegate_protocol::{BrokerOrderId, ClientOrderId, Epoch, Fingerprint, Holder, Leg, Mono, Order, Outcome};

use crate::error::DeskError;
use crate::id::AttemptKey;
use crate::state::{Handed, Heard, Number, Placing, State, Turn};
use crate::wire::Report;

const TICK: Duration = Duration::from_secs(1);
const HOLD: Duration = TICK;

/// How large a world is walked, in ticks.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// How often the one attempt may be offered.
    offers: usize,
    /// From an offer to its bounds.
    begin_by: u64,
    send_before: u64,
    deadline: u64,
    last_tick: u64,
    keys: &'static [Option<&'static str>],
    /// Whether every other attempt at the order has a definite end.
    alone: bool,
}

/// What an outsider saw.
#[derive(Clone, Debug, Default)]
struct Seen {
    now: u64,
    deposed: bool,
    offers: usize,
    /// Whom the gate waits for.
    waiting: Option<Number>,
    works: BTreeMap<Number, Work>,
}

#[derive(Clone, Debug, Default)]
struct Work {
    send_before: u64,
    deadline: u64,
    handed_at: Option<u64>,
    begun_by: Option<Option<&'static str>>,
    said: Vec<&'static str>,
    /// The gate was told, or has gone away.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Offer,
    HandOut,
    Begin(Number, Option<&'static str>),
    Report(Number, &'static str),
    Turn,
    GateGoes,
    Depose,
    Tick,
}

fn ops(shape: Shape) -> Vec<Op> {
    let mut ops = vec![Op::Offer, Op::HandOut, Op::Turn, Op::GateGoes, Op::Depose, Op::Tick];
    for number in 1..=shape.offers as Number {
        ops.extend(shape.keys.iter().map(|key| Op::Begin(number, *key)));
        ops.extend(["accepted", "rejected", "not_sent", "unknown"].map(|report| Op::Report(number, report)));
    }
    ops
}

fn at(tick: u64) -> Mono {
    Mono::from_millis(tick * 1_000)
}

fn key() -> AttemptKey {
    AttemptKey { fingerprint: Fingerprint::of_bytes(b"s"), leg: Leg(0), number: 1, owner: Holder::new("n:0:1") }
}

fn placing(now: u64, shape: Shape) -> Placing {
    let order = Order {
        fingerprint: key().fingerprint,
        leg: Leg(0),
        client_order_id: ClientOrderId::new("og"),
        epoch: Epoch(1),
        body: Vec::new(),
        send_before: at(now + shape.send_before),
        timeout: TICK * 4,
    };
    let body = serde_json::from_str("{}").unwrap();
    let (begin_by, deadline) = (at(now + shape.begin_by), at(now + shape.deadline));
    Placing { order, body, key: key(), alone: shape.alone, begin_by, deadline }
}

fn report(name: &str) -> Report {
    match name {
        "accepted" => Report::Accepted { broker_order_id: BrokerOrderId::new("b") },
        "rejected" => Report::Rejected { reason: "r".into() },
        "not_sent" => Report::NotSent { reason: "n".into() },
        _ => Report::Unknown { reason: "u".into() },
    }
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted(_) => "accepted",
        Outcome::Rejected(_) => "rejected",
        Outcome::NotSent(_) => "not_sent",
        Outcome::Unknown(_) => "unknown",
    }
}

impl Seen {
    /// What is known of an attempt after all that was said of it: `unknown` for nothing.
    fn known(&self, number: Number) -> &'static str {
        self.works[&number].said.last().copied().unwrap_or("unknown")
    }

    fn begins(&self) -> usize {
        self.works.values().filter(|work| work.begun_by.is_some()).count()
    }

    /// Does `op` and judges the answer; false when it makes no sense here.
    fn apply(&mut self, state: &mut State, op: Op, shape: Shape) -> bool {
        let alone = shape.alone;
        match op {
            Op::Offer => {
                if self.offers == shape.offers || self.waiting.is_some() {
                    return false;
                }
                self.offers += 1;
                match state.offer(placing(self.now, shape)) {
                    Ok(number) => {
                        let (send_before, deadline) = (self.now + shape.send_before, self.now + shape.deadline);
                        self.works.insert(number, Work { send_before, deadline, ..Work::default() });
                        self.waiting = Some(number);
                    }
                    Err(outcome) => {
                        let told = name(&outcome);
                        assert!(self.works.keys().any(|number| self.known(*number) == told), "nobody said {told}");
                        assert!(
                            told == "accepted" || told == "rejected" && alone && self.begins() == 1,
                            "answered {told} from memory"
                        );
                    }
                }
            }
            Op::HandOut => match state.hand_out(at(self.now), HOLD) {
                Some(Handed::Place { number, .. }) => {
                    let now = self.now;
                    let work = self.works.get_mut(&number).unwrap();
                    assert!(work.begun_by.is_none() && !work.over, "handed out what is begun or over");
                    assert!(work.handed_at.is_none_or(|handed| now > handed), "handed out while held");
                    work.handed_at = Some(now);
                }
                Some(Handed::LookUp { .. }) => panic!("no look-up was offered"),
                None => {}
            },
            Op::Begin(number, key) => {
                let begun = state.begin(number, key, at(self.now), |_| !self.deposed);
                let now = self.now;
                let Some(work) = self.works.get_mut(&number) else {
                    assert_eq!(begun.err(), Some(DeskError::WorkOver));
                    return false;
                };
                if begun.is_ok() {
                    assert!(!work.over, "begun after the gate was told");
                    assert!(now < work.send_before && now < work.deadline, "begun too late to send");
                    assert!(!self.deposed, "begun without leadership");
                    assert!(work.said.is_empty(), "begun after an outcome");
                    match work.begun_by {
                        None => work.begun_by = Some(key),
                        Some(first) => assert!(first.is_some() && first == key, "begun by two"),
                    }
                }
            }
            Op::Report(number, name) => {
                let Some(begun) = self.works.get(&number).map(|work| work.begun_by.is_some()) else { return false };
                let heard = state.report(number, &key(), &report(name));
                if !begun {
                    // Only who began knows the attempt's name; one who guessed it is not listened to.
                    assert!(matches!(heard, Err(DeskError::WorkOver) | Ok(Heard::Forgotten)), "{heard:?}");
                    return false;
                }
                let known = self.known(number);
                let first = self.works[&number].said.is_empty();
                let may = first
                    || known == name
                    || name == "unknown"
                    || matches!((known, name), ("unknown", "accepted" | "rejected") | ("rejected", "accepted"));
                assert_eq!(heard.is_ok(), may, "{name} after {known}: {heard:?}");
                if let Ok(Heard::Late { refusal_holds: true }) = heard {
                    assert!(alone && self.begins() == 1 && self.waiting.is_none(), "a refusal of one of several sends");
                }
                let work = self.works.get_mut(&number).unwrap();
                assert_eq!(heard == Ok(Heard::InTime), heard.is_ok() && !work.over, "{heard:?}");
                if heard.is_ok() && (first || name != "unknown") && known != name || heard.is_ok() && first {
                    work.said.push(name);
                }
            }
            Op::Turn => {
                let Some(number) = self.waiting else { return false };
                match state.turn(number, at(self.now)) {
                    Turn::Wait { until, .. } => {
                        assert!(until > at(self.now), "waits for the past");
                        assert!(
                            self.known(number) == "unknown" && self.works[&number].said.is_empty(),
                            "keeps it back"
                        );
                    }
                    Turn::Done(outcome) => {
                        let known = self.known(number);
                        let now = self.now;
                        let work = self.works.get_mut(&number).unwrap();
                        match (name(&outcome), work.begun_by.is_some()) {
                            ("not_sent", false) => assert!(work.said.is_empty()),
                            (told, true) => {
                                assert_eq!(told, known, "the gate is told what the engine said");
                                assert!(!work.said.is_empty() || now >= work.deadline, "given up early");
                            }
                            (told, false) => panic!("{told} of what was never begun"),
                        }
                        work.over = true;
                        self.waiting = None;
                    }
                }
            }
            Op::GateGoes => {
                let Some(number) = self.waiting.take() else { return false };
                state.close(number);
                self.works.get_mut(&number).unwrap().over = true;
            }
            Op::Depose => {
                if self.deposed {
                    return false;
                }
                self.deposed = true;
            }
            Op::Tick => {
                if self.now == shape.last_tick {
                    return false;
                }
                self.now += 1;
            }
        }
        true
    }
}

/// Walks every state; how many there are, and what became of works in them.
fn explore(shape: Shape) -> (usize, BTreeSet<String>) {
    let mut seen = BTreeSet::new();
    let mut points = BTreeSet::new();
    let mut ahead = VecDeque::from([(State::default(), Seen::default())]);
    while let Some((state, outside)) = ahead.pop_front() {
        for op in ops(shape) {
            let (mut state, mut outside) = (state.clone(), outside.clone());
            if !outside.apply(&mut state, op, shape) {
                continue;
            }
            for work in outside.works.values() {
                points.insert(format!("{:?} {:?} {}", work.begun_by.is_some(), work.said, work.over));
            }
            if seen.insert(Fingerprint::of_bytes(format!("{state:?} {outside:?}").as_bytes())) {
                ahead.push_back((state, outside));
            }
        }
    }
    (seen.len(), points)
}

#[test]
fn in_no_state_is_an_order_begun_twice_or_late_or_called_not_sent_after_its_begin() {
    let once = Shape {
        offers: 1,
        begin_by: 2,
        send_before: 3,
        deadline: 4,
        last_tick: 5,
        keys: &[None, Some("a"), Some("b")],
        alone: true,
    };
    let twice =
        Shape { offers: 2, begin_by: 1, send_before: 1, deadline: 2, last_tick: 3, keys: &[Some("a")], alone: true };
    for shape in [once, twice, Shape { alone: false, ..once }, Shape { alone: false, ..twice }] {
        let (states, points) = explore(shape);
        println!("{states} states of {shape:?}");
        // It went where it had to: a walk that saw little proves little.
        for point in [
            "false [] true",
            "true [] true",
            r#"true ["not_sent"] true"#,
            r#"true ["unknown", "rejected", "accepted"] true"#,
            r#"true ["accepted"] false"#,
        ] {
            assert!(points.contains(point), "never seen: {point}; {points:?}");
        }
        assert!(states > 1_000, "{states}");
    }
}
