//! The network: turmoil's simulated TCP, driven from event to event.
//!
//! Streams say when they have done something ([`Net::poke`]); then every host's outgoing packets are collected,
//! each is given an arrival time (in order per direction), and the world sleeps until the first of them. A
//! blocked direction *holds* its packets and lets them go when it heals, which is what TCP's retransmission
//! does to its user. The wires of a host without power drop what it sends, and what only an answer would have
//! made known; what its peers would send again is held until it is back, and its kernel, which has forgotten every
//! connection, answers it with a reset.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use turmoil_net::{EnterGuard, HostId, KernelConfig, Packet, TcpFlags, TcpSegment, Transport};

use super::engine::Engine;
use super::rng::Rng;
use super::{World, address, host_at, locked};

/// How long a packet travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latency {
    /// At least, in milliseconds.
    pub least_ms: u64,
    /// At most, in milliseconds.
    pub most_ms: u64,
}

/// Until when a healed direction keeps what it held, and to which connections, by their ports, it belongs.
pub(super) type Late = (Duration, BTreeSet<(u16, u16)>);

/// What becomes of packets in one direction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Way {
    /// They arrive.
    #[default]
    Open,
    /// They wait for the direction to heal.
    Held,
    /// They are lost.
    Dead,
}

/// The network of one world.
pub struct Net {
    /// The first engine's stack; the second one has its own, and follows [`Net::way`].
    guard: Option<EnterGuard>,
    poked: Notify,
    healed: Notify,
    state: Mutex<State>,
}

struct State {
    latency: Latency,
    rng: Rng,
    /// Under way, by arrival and then by departure.
    flying: BTreeMap<(Duration, u64), Packet>,
    departures: u64,
    /// The last arrival per direction: packets don't overtake.
    last: BTreeMap<(usize, usize), Duration>,
    /// How many faults block each direction.
    blocked: BTreeMap<(usize, usize), u32>,
    /// What the blocked directions hold, in order.
    held: BTreeMap<(usize, usize), Vec<Packet>>,
    /// Hosts whose wires are dead.
    cut: BTreeSet<usize>,
    /// Connections that one end has let go of: that end, and the other.
    left: BTreeSet<(SocketAddr, SocketAddr)>,
    /// By how much packets to and from a host take longer now.
    spikes: BTreeMap<usize, Vec<Duration>>,
    /// Until when a healed direction still keeps what it held, and whatever follows on the same connections.
    late: BTreeMap<(usize, usize), Late>,
    /// How many reasons there are for a host to refuse connections.
    refusing: BTreeMap<usize, u32>,
    collected: Vec<Packet>,
}

impl Net {
    /// A network of that many hosts, entered by this thread; their stacks, if they share one.
    pub fn new(engine: Engine, hosts: usize, latency: Latency, seed: u64) -> (Self, Vec<HostId>) {
        let (guard, ids) = match engine {
            Engine::Jumping => Self::enter(hosts),
            Engine::Turmoil => (None, Vec::new()),
        };
        let state = State {
            latency,
            rng: Rng::new(seed, "network"),
            flying: BTreeMap::new(),
            departures: 0,
            last: BTreeMap::new(),
            blocked: BTreeMap::new(),
            held: BTreeMap::new(),
            cut: BTreeSet::new(),
            left: BTreeSet::new(),
            spikes: BTreeMap::new(),
            late: BTreeMap::new(),
            refusing: BTreeMap::new(),
            collected: Vec::new(),
        };
        let net = Self { guard, poked: Notify::new(), healed: Notify::new(), state: Mutex::new(state) };
        (net, ids)
    }

    fn enter(hosts: usize) -> (Option<EnterGuard>, Vec<HostId>) {
        // Retransmission counts egress passes, not time, so it is off: nothing is lost but to dead wires.
        let config = KernelConfig::default().retx_threshold(u32::MAX);
        let mut net = turmoil_net::Net::with_config(config);
        let ids = (0..hosts).map(|host| net.add_host(address(host))).collect();
        (Some(net.enter()), ids)
    }

    /// A stream has done something: packets may be waiting.
    pub fn poke(&self) {
        self.poked.notify_one();
    }

    /// Carries packets for as long as it is polled.
    pub async fn run(&self, world: &World) {
        loop {
            let next = self.turn(world);
            tokio::select! {
                biased;
                () = self.poked.notified() => {}
                () = sleep_until_some(world, next) => {}
            }
        }
    }

    /// Delivers what has arrived and collects what was sent, until neither is left; the next arrival.
    fn turn(&self, world: &World) -> Option<Duration> {
        let guard = self.guard.as_ref()?;
        let now = world.now();
        loop {
            let mut collected = std::mem::take(&mut locked(&self.state).collected);
            guard.egress_all(&mut collected);
            let mut state = locked(&self.state);
            for packet in collected.drain(..) {
                state.depart(now, packet);
            }
            state.collected = collected;
            let mut delivered = false;
            while let Some(entry) = state.flying.first_entry() {
                if entry.key().0 > now {
                    break;
                }
                let packet = entry.remove();
                let (from, to) = direction(&packet);
                if state.cut.contains(&to) || state.cut.contains(&from) {
                    state.lose(packet);
                    continue;
                }
                delivered = true;
                if let Some(reset) = state.answer_for_who_left(&packet) {
                    // The simulated stack would take it, and keep it from everybody for good.
                    guard.deliver(reset_between(&packet, false));
                    state.depart(now, reset);
                    continue;
                }
                let mut trace = world.trace();
                if let Transport::Tcp(segment) = &packet.payload {
                    trace.mix(
                        now,
                        to,
                        &(from, segment.seq, segment.payload.len(), segment.flags.fin, segment.flags.rst),
                    );
                }
                drop(trace);
                guard.deliver(packet);
            }
            if !delivered {
                return state.flying.keys().next().map(|(at, _)| *at);
            }
        }
    }

    /// Blocks one direction.
    pub fn block(&self, from: usize, to: usize) {
        *locked(&self.state).blocked.entry((from, to)).or_default() += 1;
    }

    /// Undoes one [`Net::block`]; what was held goes on its way.
    pub fn unblock(&self, world: &World, from: usize, to: usize) {
        self.release(world, from, to, Duration::ZERO);
    }

    /// Undoes one [`Net::block`]; what was held, and all that follows on the connections that it belongs to,
    /// arrives no sooner than `late` from now, while new connections work at once.
    pub fn release(&self, world: &World, from: usize, to: usize, late: Duration) {
        {
            let mut state = locked(&self.state);
            let count = state.blocked.entry((from, to)).or_default();
            *count = count.saturating_sub(1);
            if *count > 0 {
                return;
            }
            let now = world.now();
            let held = state.held.remove(&(from, to)).unwrap_or_default();
            if !late.is_zero() {
                let connections = held.iter().filter_map(ports).collect();
                state.late.insert((from, to), (now + late, connections));
            }
            for packet in held {
                state.depart(now, packet);
            }
        }
        self.healed.notify_waiters();
        self.poke();
    }

    /// Kills the host's wires: what it sent is lost, what is under way to it comes to nothing before they are
    /// mended.
    pub fn cut(&self, host: usize) {
        let mut state = locked(&self.state);
        state.cut.insert(host);
        state.held.retain(|(from, _), _| *from != host);
        for ((_, to), held) in &mut state.held {
            if *to == host {
                held.retain(is_sent_again);
            }
        }
    }

    /// Mends the host's wires: it has forgotten all connections, and its peers send again what they still mean to
    /// say. No process runs on it.
    pub fn mend(&self, host: usize) {
        if let Some(guard) = &self.guard {
            let forgotten = turmoil_net::netstat(address(host)).entries;
            for (local, peer) in forgotten.iter().filter_map(|entry| Some((entry.local, entry.peer?))) {
                guard.deliver(reset_from(peer, local, 0));
            }
        }
        {
            let mut state = locked(&self.state);
            state.cut.remove(&host);
            let late: Vec<_> = state.held.keys().copied().filter(|(_, to)| *to == host).collect();
            for direction in late {
                let packets = state.held.remove(&direction).unwrap_or_default();
                // They depart with what is sent next, or are held on if the direction is blocked too.
                state.collected.extend(packets);
            }
        }
        self.healed.notify_waiters();
        self.poke();
    }

    /// The end at `local` has let go of its connection: nobody will read what comes on it, and who says anything
    /// on it is told so.
    pub fn leave(&self, local: SocketAddr, peer: SocketAddr) {
        locked(&self.state).left.insert((local, peer));
    }

    /// Packets to and from that host take so much longer.
    pub fn slow_down(&self, host: usize, by: Duration) {
        locked(&self.state).spikes.entry(host).or_default().push(by);
    }

    /// Undoes one [`Net::slow_down`].
    pub fn speed_up(&self, host: usize, by: Duration) {
        let mut state = locked(&self.state);
        let spikes = state.spikes.entry(host).or_default();
        if let Some(at) = spikes.iter().position(|spike| *spike == by) {
            spikes.remove(at);
        }
    }

    /// Nothing listens at that host any more.
    pub fn refuse(&self, host: usize) {
        *locked(&self.state).refusing.entry(host).or_default() += 1;
    }

    /// Undoes one [`Net::refuse`].
    pub fn admit(&self, host: usize) {
        let mut state = locked(&self.state);
        let count = state.refusing.entry(host).or_default();
        *count = count.saturating_sub(1);
    }

    /// Whether nothing listens at that host.
    pub fn refuses(&self, host: usize) -> bool {
        locked(&self.state).refusing.get(&host).is_some_and(|count| *count > 0)
    }

    /// What becomes of packets in that direction now.
    pub fn way(&self, from: usize, to: usize) -> Way {
        let state = locked(&self.state);
        if state.cut.contains(&from) {
            Way::Dead
        } else if state.cut.contains(&to) || state.is_blocked(from, to) {
            // Who sends to a machine without power sends again, until that has power.
            Way::Held
        } else {
            Way::Open
        }
    }

    /// Whether any direction may be anything but open.
    pub fn is_troubled(&self) -> bool {
        let state = locked(&self.state);
        !state.cut.is_empty()
            || state.blocked.values().any(|count| *count > 0)
            || state.spikes.values().any(|spikes| !spikes.is_empty())
    }

    /// Until when a healed direction keeps what it held, if it ever does.
    pub fn late_until(&self, from: usize, to: usize) -> Option<Duration> {
        locked(&self.state).late.get(&(from, to)).map(|(until, _)| *until)
    }

    /// By how much packets between two hosts take longer now.
    pub fn slowness(&self, a: usize, b: usize) -> Duration {
        let state = locked(&self.state);
        state.spike(a) + state.spike(b)
    }

    /// How long packets travel.
    pub fn latency(&self) -> Latency {
        locked(&self.state).latency
    }

    /// The way of something that is no TCP stream (a call to the store) from host to host: held while the
    /// direction is blocked, lost (never ready) when a wire is dead.
    pub async fn travel(&self, world: &World, from: usize, to: usize) {
        let mut was_held = false;
        loop {
            let (held, lost, latency, late) = {
                let mut state = locked(&self.state);
                let lost = state.cut.contains(&from) || state.cut.contains(&to);
                let late = state.late.get(&(from, to)).map(|(until, _)| *until).filter(|_| was_held);
                (state.is_blocked(from, to), lost, state.draw(from, to), late)
            };
            if lost {
                return std::future::pending().await;
            }
            if held {
                was_held = true;
                self.healed.notified().await;
                continue;
            }
            let arrival = world.now() + latency;
            world.sleep_until(late.map_or(arrival, |late| late.max(arrival))).await;
            return;
        }
    }
}

impl State {
    fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked.get(&(from, to)).is_some_and(|count| *count > 0)
    }

    fn draw(&mut self, from: usize, to: usize) -> Duration {
        let drawn = Duration::from_millis(self.rng.between(self.latency.least_ms, self.latency.most_ms));
        drawn + self.spike(from) + self.spike(to)
    }

    fn spike(&self, host: usize) -> Duration {
        self.spikes.get(&host).and_then(|spikes| spikes.iter().max()).copied().unwrap_or_default()
    }

    /// The instant before which nothing arrives on a connection whose packets are late.
    fn late_until(&self, from: usize, to: usize, packet: &Packet) -> Option<Duration> {
        let (until, connections) = self.late.get(&(from, to))?;
        ports(packet).is_some_and(|ports| connections.contains(&ports)).then_some(*until)
    }

    /// A packet that a dead wire does not carry.
    fn lose(&mut self, packet: Packet) {
        let (from, to) = direction(&packet);
        if !self.cut.contains(&from) && is_sent_again(&packet) {
            self.held.entry((from, to)).or_default().push(packet);
        }
    }

    /// The reset with which a kernel answers what comes on a connection that its process has let go of.
    fn answer_for_who_left(&mut self, packet: &Packet) -> Option<Packet> {
        let Transport::Tcp(segment) = &packet.payload else { return None };
        let (source, target) = ends(packet)?;
        let left = !segment.payload.is_empty() && self.left.remove(&(target, source));
        left.then(|| reset_between(packet, true))
    }

    fn depart(&mut self, now: Duration, packet: Packet) {
        let (from, to) = direction(&packet);
        if self.cut.contains(&from) || self.cut.contains(&to) {
            self.lose(packet);
            return;
        }
        if let (
            Transport::Tcp(TcpSegment { flags: TcpFlags { syn: true, ack: false, .. }, .. }),
            Some((source, target)),
        ) = (&packet.payload, ends(&packet))
        {
            // A new connection between the same two ends.
            self.left.remove(&(source, target));
            self.left.remove(&(target, source));
        }
        if self.is_blocked(from, to) {
            self.held.entry((from, to)).or_default().push(packet);
            return;
        }
        // An acknowledgement alone tells an application nothing; when nothing is under way that it could
        // overtake it arrives at once, which halves the events of a run.
        let idle = self.last.get(&(from, to)).is_none_or(|last| *last <= now);
        let spiked = !(self.spike(from) + self.spike(to)).is_zero();
        let at_once = idle && !spiked && is_bare_acknowledgement(&packet);
        let latency = if at_once { Duration::ZERO } else { self.draw(from, to) };
        // Late connections keep their own order and hold up nobody else's.
        let arrival = match self.late_until(from, to, &packet).filter(|until| *until > now) {
            Some(until) => until,
            None => {
                let last = self.last.entry((from, to)).or_default();
                *last = (*last).max(now + latency);
                *last
            }
        };
        self.flying.insert((arrival, self.departures), packet);
        self.departures += 1;
    }
}

fn is_bare_acknowledgement(packet: &Packet) -> bool {
    match &packet.payload {
        Transport::Tcp(segment) => {
            let flags = segment.flags;
            segment.payload.is_empty() && flags.ack && !flags.syn && !flags.fin && !flags.rst
        }
        Transport::Udp(_) => false,
    }
}

/// Whether the sender's kernel would send it again until it is answered. It would do so to a first packet too, but
/// in this world the next life of a process listens on another port, and would be asked on the old one.
fn is_sent_again(packet: &Packet) -> bool {
    match &packet.payload {
        Transport::Tcp(segment) => !segment.payload.is_empty() || segment.flags.fin,
        Transport::Udp(_) => false,
    }
}

/// Where a packet comes from and where it goes.
fn ends(packet: &Packet) -> Option<(SocketAddr, SocketAddr)> {
    let (source, target) = ports(packet)?;
    Some((SocketAddr::new(packet.src, source), SocketAddr::new(packet.dst, target)))
}

/// A reset on the connection of `packet`: as the answer to it, or as if it came in its place.
fn reset_between(packet: &Packet, answer: bool) -> Packet {
    let (source, target) = ends(packet).expect("a connection has two ends");
    match &packet.payload {
        Transport::Tcp(segment) if answer => reset_from(target, source, segment.ack),
        Transport::Tcp(segment) => reset_from(source, target, segment.seq),
        Transport::Udp(_) => unreachable!("ends are those of a TCP connection"),
    }
}

fn reset_from(source: SocketAddr, target: SocketAddr, seq: u32) -> Packet {
    let segment = TcpSegment {
        src_port: source.port(),
        dst_port: target.port(),
        seq,
        ack: 0,
        flags: TcpFlags { rst: true, ..TcpFlags::default() },
        window: 0,
        payload: bytes::Bytes::new(),
    };
    Packet { src: source.ip(), dst: target.ip(), ttl: 64, payload: Transport::Tcp(segment) }
}

/// The two ends of the connection that a packet belongs to.
fn ports(packet: &Packet) -> Option<(u16, u16)> {
    match &packet.payload {
        Transport::Tcp(segment) => Some((segment.src_port, segment.dst_port)),
        Transport::Udp(_) => None,
    }
}

fn direction(packet: &Packet) -> (usize, usize) {
    let host = |ip| host_at(ip).expect("packets are between hosts of this world");
    (host(packet.src), host(packet.dst))
}

async fn sleep_until_some(world: &World, at: Option<Duration>) {
    match at {
        Some(at) => world.sleep_until(at).await,
        None => std::future::pending().await,
    }
}
