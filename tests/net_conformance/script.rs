//! What a probe is made of: things that befall the peer, and things that a client does and sees.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use oncegate_coordinator::timeout::until;
use oncegate_coordinator::{BoxFuture, Clock, Connect, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peer::pattern;
use crate::probes::Needs;

/// How long nothing must happen before it counts as nothing.
const QUIET: Duration = Duration::from_millis(250);
/// How soon what must happen must have happened: time for TCP to send again what was swallowed.
const SOON: Duration = Duration::from_secs(5);
/// Time for what is under way to arrive.
const A_MOMENT: Duration = Duration::from_millis(50);
/// More than any pair of buffers takes, to tell a slow reader from one that reads.
const BOTTOMLESS: usize = 1 << 26;
/// How much is offered to a stream at once.
const CHUNK: usize = 1 << 14;

/// What a client sees of one thing that it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// It is connected.
    Connected,
    /// All of it was taken.
    Written,
    /// No more is taken: the buffers are full.
    Full,
    /// These bytes came.
    Heard(String),
    /// Every byte that was ever written got there, in order.
    AllArrived,
    /// The peer ended its side in order.
    End,
    /// It failed.
    Failed(io::ErrorKind),
    /// Nothing happened.
    Nothing,
}

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Connects, or goes on with that.
    Connect,
    /// Writes.
    Say(&'static str),
    /// Writes until no more is taken.
    Fill,
    /// Reads as much as it expects to hear.
    Hear,
    /// Reads all there is to the end, which must be the numbered bytes of [`pattern`], so many.
    HearPattern(usize),
    /// Reads how much the peer counted, to the end, and compares.
    HearTally,
    /// Ends its own side.
    Shut,
}

/// Which of the client's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    A,
    B,
}

/// What befalls the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Its process is killed.
    Kill,
    /// A new process is started where the old one was.
    Start,
    /// Its process is stopped.
    Stop,
    /// Its process goes on.
    Resume,
    /// No packet passes from the client to the peer.
    BlockToPeer,
    /// No packet passes from the peer to the client.
    BlockToClient,
    /// All packets pass again.
    Heal,
    /// Its machine is gone, without a word.
    LosePower,
    /// Its machine is back, and remembers nothing.
    RegainPower,
}

/// One step of a probe.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Something befalls the peer.
    Peer(Fate),
    /// The client does something, and this is what it sees.
    Client(Who, Act, Seen),
    /// The client lets go of a connection.
    Drop(Who),
    /// What is under way arrives.
    Pass,
}

/// A claim, and how to see that it holds.
#[derive(Clone)]
pub(crate) struct Probe {
    pub(crate) claim: &'static str,
    pub(crate) needs: Needs,
    pub(crate) steps: Vec<Step>,
}

impl Probe {
    /// What the client must see, in order.
    pub(crate) fn expected(&self) -> Vec<Seen> {
        let seen = self.steps.iter().filter_map(|step| match step {
            Step::Client(_, _, seen) => Some(seen.clone()),
            Step::Peer(_) | Step::Drop(_) | Step::Pass => None,
        });
        seen.collect()
    }
}

/// One ground with one peer, which serves already.
pub(crate) trait Arm: Send {
    /// Where it is.
    fn peer(&self) -> String;
    /// How the client gets there.
    fn connect(&self) -> Arc<dyn Connect>;
    /// The client's clock.
    fn clock(&self) -> Arc<dyn Clock>;
    /// Lets something happen to it; when that is ready, it has happened.
    fn befall(&mut self, fate: Fate) -> BoxFuture<'_, ()>;
}

/// One connection of the client's.
enum Line {
    Absent,
    Connecting(BoxFuture<'static, io::Result<Box<dyn Stream>>>),
    Open(Box<dyn Stream>),
}

struct Client {
    clock: Arc<dyn Clock>,
    connect: Arc<dyn Connect>,
    peer: String,
    lines: [Line; 2],
    /// How many numbered bytes were taken.
    filled: usize,
}

/// Plays a probe; what the client saw.
pub(crate) async fn play(probe: &Probe, arm: &mut dyn Arm) -> Vec<Seen> {
    let lines = [Line::Absent, Line::Absent];
    let mut client = Client { clock: arm.clock(), connect: arm.connect(), peer: arm.peer(), lines, filled: 0 };
    let mut all = Vec::new();
    for step in &probe.steps {
        match step {
            Step::Peer(fate) => arm.befall(*fate).await,
            Step::Drop(who) => client.lines[*who as usize] = Line::Absent,
            Step::Pass => client.clock.sleep_until(client.clock.now().mono.plus(A_MOMENT)).await,
            Step::Client(who, act, expected) => {
                let seen = client.act(*who as usize, *act, expected).await;
                all.push(seen);
            }
        }
    }
    all
}

impl Client {
    async fn act(&mut self, line: usize, act: Act, expected: &Seen) -> Seen {
        let clock = Arc::clone(&self.clock);
        let patience = if *expected == Seen::Nothing { QUIET } else { SOON };
        let deadline = clock.now().mono.plus(patience);
        if let (Act::Connect, Line::Absent) = (act, &self.lines[line]) {
            let (connect, peer) = (Arc::clone(&self.connect), self.peer.clone());
            self.lines[line] = Line::Connecting(Box::pin(async move { connect.connect(&peer).await }));
        }
        let stream = match &mut self.lines[line] {
            Line::Absent => panic!("{act:?} without a connection"),
            Line::Connecting(connecting) => {
                return match until(&*clock, deadline, connecting.as_mut()).await {
                    None => Seen::Nothing,
                    Some(Err(error)) => Seen::Failed(error.kind()),
                    Some(Ok(stream)) => {
                        self.lines[line] = Line::Open(stream);
                        Seen::Connected
                    }
                };
            }
            Line::Open(stream) => stream,
        };
        let seen = match act {
            Act::Connect => panic!("connected already"),
            Act::Fill => Ok(fill(&*clock, stream, &mut self.filled).await),
            Act::Say(text) => until(&*clock, deadline, stream.write_all(text.as_bytes()))
                .await
                .map_or(Ok(Seen::Nothing), |said| said.map(|()| Seen::Written)),
            Act::Shut => until(&*clock, deadline, stream.shutdown())
                .await
                .map_or(Ok(Seen::Nothing), |shut| shut.map(|()| Seen::Written)),
            Act::Hear => {
                let enough = if let Seen::Heard(text) = expected { text.len() } else { CHUNK };
                let mut heard = Vec::new();
                let listened = until(&*clock, deadline, async {
                    while heard.len() < enough {
                        let mut piece = vec![0; enough - heard.len()];
                        let count = stream.read(&mut piece).await?;
                        heard.extend_from_slice(&piece[..count]);
                        if count == 0 || enough == CHUNK {
                            break;
                        }
                    }
                    Ok(())
                });
                let listened = listened.await;
                match listened {
                    _ if !heard.is_empty() => Ok(Seen::Heard(String::from_utf8_lossy(&heard).into_owned())),
                    None => Ok(Seen::Nothing),
                    Some(ended) => ended.map(|()| Seen::End),
                }
            }
            Act::HearTally | Act::HearPattern(_) => {
                let mut heard = Vec::new();
                match until(&*clock, deadline, stream.read_to_end(&mut heard)).await {
                    None => Ok(Seen::Nothing),
                    Some(Err(error)) => Err(error),
                    Some(Ok(_)) => Ok(match act {
                        Act::HearPattern(size) if heard == pattern(0, size) => Seen::AllArrived,
                        Act::HearPattern(_) => Seen::Heard(format!("{} bytes, or not these", heard.len())),
                        _ if heard == format!("{} in order", self.filled).as_bytes() => Seen::AllArrived,
                        _ => Seen::Heard(String::from_utf8_lossy(&heard).into_owned()),
                    }),
                }
            }
        };
        seen.unwrap_or_else(|error| Seen::Failed(error.kind()))
    }
}

async fn fill(clock: &dyn Clock, stream: &mut Box<dyn Stream>, filled: &mut usize) -> Seen {
    while *filled < BOTTOMLESS {
        let chunk = pattern(*filled, CHUNK);
        match until(clock, clock.now().mono.plus(QUIET), stream.write(&chunk)).await {
            None => return Seen::Full,
            Some(Ok(count)) => *filled += count,
            Some(Err(error)) => return Seen::Failed(error.kind()),
        }
    }
    Seen::Written
}
