//! What the adversary may do, and how often it does it.

use std::time::Duration;

use oncegate_protocol::{Capabilities, DedupScope};
use proptest::prelude::*;

use crate::peers::Millis;
use crate::{NODES, SIGNALS};

/// What the adversary does next. Picks are taken modulo what there is to pick from.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    Complete(usize, How),
    /// Completes an order that is under way, if there is one: what everything else is about.
    CompleteOrder(usize, How),
    /// Completes so many calls in order, as a healthy world would.
    Calm(usize),
    ApplyLate(usize),
    Advance(Millis),
    PauseOrResume(usize),
    /// The process dies and starts again at once, knowing nothing.
    Crash(usize),
    Offer(usize, usize),
    StepWall(usize, i64),
    Hint(usize),
    StepDown(usize),
    LoseLease,
    /// An operator who knows for certain resolves a quarantined signal; one that was not executed is sent again,
    /// or not. The word may be heard twice: now, and again at some later time.
    Resolve(usize, Word),
    /// An operator tells a node that new orders are stopped, or go on.
    SetPause(usize, bool),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    Deliver,
    /// It has its effect now; its reply stays on the way.
    ApplyOnly,
    LoseRequest,
    LoseReply,
    /// Its reply is lost, and it has its effect at some later time, or never.
    Late,
    /// Like deliver, but a broker refuses.
    Refuse,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) resend: bool,
    pub(crate) twice: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) capabilities: Capabilities,
    pub(crate) in_flight: usize,
    /// Parts per thousand of world time.
    pub(crate) clock_rates: [u64; NODES],
    /// A change of the format of ids is being rolled out: each node derives ids of its own.
    pub(crate) rolling: bool,
}

// ---- how often it chooses what

fn hows() -> impl Strategy<Value = How> {
    prop_oneof![
        10 => Just(How::Deliver),
        4 => Just(How::ApplyOnly),
        1 => Just(How::LoseRequest),
        3 => Just(How::LoseReply),
        3 => Just(How::Late),
        3 => Just(How::Refuse),
    ]
}

/// Orders are where things go wrong.
fn hows_of_orders() -> impl Strategy<Value = How> {
    prop_oneof![
        3 => Just(How::Deliver),
        2 => Just(How::ApplyOnly),
        1 => Just(How::LoseRequest),
        3 => Just(How::LoseReply),
        3 => Just(How::Late),
        3 => Just(How::Refuse),
    ]
}

pub(crate) fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        10 => (any::<u16>(), hows_of_orders()).prop_map(|(pick, how)| Move::CompleteOrder(pick.into(), how)),
        40 => (any::<u16>(), hows()).prop_map(|(pick, how)| Move::Complete(pick.into(), how)),
        8 => (1..12_usize).prop_map(Move::Calm),
        8 => any::<u16>().prop_map(|pick| Move::ApplyLate(pick.into())),
        10 => (1..3_000_u64).prop_map(Move::Advance),
        3 => (3_000..15_000_u64).prop_map(Move::Advance),
        3 => (0..NODES).prop_map(Move::PauseOrResume),
        2 => (0..NODES).prop_map(Move::Crash),
        8 => (0..NODES, 0..SIGNALS).prop_map(|(host, number)| Move::Offer(host, number)),
        1 => (0..NODES, -20_000..20_000_i64).prop_map(|(host, by)| Move::StepWall(host, by)),
        4 => (0..NODES).prop_map(Move::Hint),
        2 => (0..NODES).prop_map(Move::StepDown),
        2 => Just(Move::LoseLease),
        4 => (any::<u16>(), any::<(bool, bool)>())
            .prop_map(|(pick, (resend, twice))| Move::Resolve(pick.into(), Word { resend, twice })),
        2 => (0..NODES, any::<bool>()).prop_map(|(host, paused)| Move::SetPause(host, paused)),
    ]
}

pub(crate) fn setups() -> impl Strategy<Value = Setup> {
    let forgets = Capabilities { dedup: DedupScope::Within(Duration::from_secs(60)), ..Capabilities::deduplicating() };
    let capabilities = prop_oneof![
        Just(Capabilities::deduplicating()),
        Just(forgets),
        Just(Capabilities::lookup_only(Duration::from_secs(5))),
        Just(Capabilities::blind()),
    ];
    (capabilities, 1..3_usize, prop::array::uniform3(800..1_250_u64), any::<bool>()).prop_map(
        |(capabilities, in_flight, clock_rates, rolling)| Setup { capabilities, in_flight, clock_rates, rolling },
    )
}
