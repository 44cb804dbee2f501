//! The probes: what TCP shows to a client, as a table of what is done and what is seen.

use std::io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};

use crate::peer::{
    ANSWER_AND_CLOSE_UNREAD, CLOSE, CLOSE_UNREAD, ECHO, GO, HALF_CLOSE, HOLD, SLOW_TALLY, TALLY, TELL, WRITE, WRITTEN,
};
use crate::script::Act::{Connect, Fill, Hear, HearPattern, HearTally, Say, Shut};
use crate::script::Fate::{BlockToClient, BlockToPeer, Heal, Kill, LosePower, RegainPower, Resume, Start, Stop};
use crate::script::Seen::{AllArrived, Connected, End, Failed, Full, Nothing, Written};
use crate::script::Who::{A, B};
use crate::script::{Act, Fate, Probe, Seen, Step, Who};

/// On which grounds a probe can be played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Needs {
    /// A peer that is a process.
    Processes,
    /// A peer with a machine and wires of its own.
    Machines,
}

fn heard(text: &str) -> Seen {
    Seen::Heard(text.to_owned())
}

fn client(who: Who, act: Act, seen: Seen) -> Step {
    Step::Client(who, act, seen)
}

fn peer(fate: Fate) -> Step {
    Step::Peer(fate)
}

/// `who` connects, and the peer plays that role to it.
fn begin(who: Who, role: &'static str) -> [Step; 2] {
    [client(who, Connect, Connected), client(who, Say(role), Written)]
}

/// A connection that works.
fn echo(who: Who) -> Vec<Step> {
    let mut steps = begin(who, ECHO).to_vec();
    steps.extend([client(who, Say("hello"), Written), client(who, Hear, heard("hello"))]);
    steps
}

fn probe(claim: &'static str, needs: Needs, parts: impl IntoIterator<Item = Vec<Step>>) -> Probe {
    Probe { claim, needs, steps: parts.into_iter().flatten().collect() }
}

/// All probes.
pub(crate) fn probes() -> Vec<Probe> {
    [ending(), standing_still(), flow(), far_away()].into_iter().flatten().collect()
}

/// Processes that are killed, and connections that are closed.
fn ending() -> Vec<Probe> {
    let needs = Needs::Processes;
    vec![
        probe(
            "where nobody listens, one is refused",
            needs,
            [vec![peer(Kill), client(A, Connect, Failed(ConnectionRefused))]],
        ),
        probe(
            "a process that is killed ends its connections, and what is said to it then breaks them",
            needs,
            [
                echo(A),
                vec![
                    peer(Kill),
                    client(A, Hear, End),
                    client(A, Say("x"), Written),
                    Step::Pass,
                    client(A, Say("x"), Failed(BrokenPipe)),
                    client(A, Hear, End),
                ],
            ],
        ),
        probe(
            "a process that is killed before it has read everything resets the connection",
            needs,
            [
                begin(A, HOLD).to_vec(),
                vec![
                    client(A, Say("never read"), Written),
                    Step::Pass,
                    peer(Kill),
                    client(A, Hear, Failed(ConnectionReset)),
                    client(A, Say("x"), Failed(BrokenPipe)),
                    client(A, Hear, End),
                ],
            ],
        ),
        probe(
            "who writes first learns of a reset by the write",
            needs,
            [
                begin(A, HOLD).to_vec(),
                vec![
                    client(A, Say("never read"), Written),
                    Step::Pass,
                    peer(Kill),
                    Step::Pass,
                    client(A, Say("x"), Failed(ConnectionReset)),
                    client(A, Say("x"), Failed(BrokenPipe)),
                    client(A, Hear, End),
                ],
            ],
        ),
        probe(
            "who writes before it has read the end learns by the write that the connection is broken",
            needs,
            [
                echo(A),
                vec![
                    peer(Kill),
                    Step::Pass,
                    client(A, Say("x"), Written),
                    Step::Pass,
                    client(A, Say("x"), Failed(BrokenPipe)),
                    client(A, Hear, End),
                ],
            ],
        ),
        probe(
            "a process that comes back listens where it did, and knows nothing of old connections",
            needs,
            [
                echo(A),
                vec![peer(Kill), peer(Start), client(A, Hear, End), client(A, Say("x"), Written), Step::Pass],
                echo(B),
                vec![client(A, Say("x"), Failed(BrokenPipe))],
            ],
        ),
        probe(
            "a peer that closes with nothing unread ends the connection",
            needs,
            [
                begin(A, CLOSE).to_vec(),
                vec![
                    client(A, Hear, End),
                    client(A, Say("x"), Written),
                    Step::Pass,
                    client(A, Say("x"), Failed(BrokenPipe)),
                ],
            ],
        ),
        probe(
            "a peer that closes with something unread resets the connection",
            needs,
            [
                begin(A, CLOSE_UNREAD).to_vec(),
                vec![client(A, Say("never read"), Written), client(A, Hear, Failed(ConnectionReset))],
            ],
        ),
        probe(
            "an answer that came before the reset can be read",
            needs,
            [
                begin(A, ANSWER_AND_CLOSE_UNREAD).to_vec(),
                vec![
                    client(A, Say("never read"), Written),
                    client(A, Hear, heard("answer")),
                    client(A, Hear, Failed(ConnectionReset)),
                ],
            ],
        ),
        probe(
            "a peer that ended its side still hears",
            needs,
            [
                begin(A, HALF_CLOSE).to_vec(),
                vec![
                    client(A, Hear, End),
                    client(A, Say("hello"), Written),
                    Step::Pass,
                    client(A, Say("again"), Written),
                    client(A, Shut, Written),
                    Step::Pass,
                ],
                begin(B, TELL).to_vec(),
                vec![client(B, Hear, heard("10, end")), client(B, Hear, End)],
            ],
        ),
        probe(
            "a client that ended its side still hears",
            needs,
            [
                begin(A, TALLY).to_vec(),
                vec![client(A, Shut, Written), client(A, Hear, heard("0 in order")), client(A, Hear, End)],
            ],
        ),
        probe(
            "a client that ended its side cannot write",
            needs,
            [echo(A), vec![client(A, Shut, Written), client(A, Say("x"), Failed(BrokenPipe)), client(A, Hear, End)]],
        ),
        probe(
            "a client that goes is seen to end",
            needs,
            [echo(A), vec![Step::Drop(A), Step::Pass], begin(B, TELL).to_vec(), vec![client(B, Hear, heard("5, end"))]],
        ),
        probe(
            "a client that goes with something unread is seen to reset",
            needs,
            [
                begin(A, ECHO).to_vec(),
                vec![client(A, Say("hello"), Written), Step::Pass, Step::Drop(A), Step::Pass],
                begin(B, TELL).to_vec(),
                vec![client(B, Hear, heard("5, ConnectionReset"))],
            ],
        ),
    ]
}

/// Processes that are stopped.
fn standing_still() -> Vec<Probe> {
    let needs = Needs::Processes;
    vec![
        probe(
            "a stopped process takes what is said to it, answers nothing, and goes on in order",
            needs,
            [
                echo(A),
                vec![
                    peer(Stop),
                    client(A, Say("one "), Written),
                    client(A, Hear, Nothing),
                    client(A, Say("two"), Written),
                    peer(Resume),
                    client(A, Hear, heard("one two")),
                ],
            ],
        ),
        probe(
            "one can connect to a stopped process, and is served when it goes on",
            needs,
            [
                vec![peer(Stop)],
                begin(A, ECHO).to_vec(),
                vec![
                    client(A, Say("hello"), Written),
                    client(A, Hear, Nothing),
                    peer(Resume),
                    client(A, Hear, heard("hello")),
                ],
            ],
        ),
        probe(
            "a stopped process takes no more than its buffers hold, and loses nothing of it",
            needs,
            [
                begin(A, TALLY).to_vec(),
                vec![
                    peer(Stop),
                    client(A, Fill, Full),
                    peer(Resume),
                    client(A, Shut, Written),
                    client(A, HearTally, AllArrived),
                ],
            ],
        ),
        probe(
            "a stopped process that is killed resets what it has not read",
            needs,
            [
                echo(A),
                vec![
                    peer(Stop),
                    client(A, Say("never read"), Written),
                    client(A, Hear, Nothing),
                    peer(Kill),
                    client(A, Hear, Failed(ConnectionReset)),
                ],
            ],
        ),
        probe(
            "a connection that was never accepted is reset when the process is killed",
            needs,
            [
                vec![peer(Stop)],
                begin(A, ECHO).to_vec(),
                vec![client(A, Hear, Nothing), peer(Kill), client(A, Hear, Failed(ConnectionReset))],
            ],
        ),
        probe(
            "a connection that was never accepted is reset even if nothing was said",
            needs,
            [
                vec![peer(Stop), client(A, Connect, Connected)],
                vec![client(A, Hear, Nothing), peer(Kill), client(A, Hear, Failed(ConnectionReset))],
            ],
        ),
        probe(
            "a client that goes while the process is stopped is heard to the end",
            needs,
            [
                echo(A),
                vec![peer(Stop), client(A, Say("late"), Written), Step::Drop(A), Step::Pass, peer(Resume), Step::Pass],
                begin(B, TELL).to_vec(),
                vec![client(B, Hear, heard("9, end"))],
            ],
        ),
    ]
}

/// Buffers that fill.
fn flow() -> Vec<Probe> {
    let needs = Needs::Processes;
    vec![
        probe(
            "a slow reader stops its writer, and gets everything in order",
            needs,
            [
                begin(A, SLOW_TALLY).to_vec(),
                vec![client(A, Fill, Full)],
                begin(B, GO).to_vec(),
                vec![client(B, Hear, End), client(A, Shut, Written), client(A, HearTally, AllArrived)],
            ],
        ),
        probe(
            "a slow client gets everything in order, and then the end",
            needs,
            [begin(A, WRITE).to_vec(), vec![Step::Pass, client(A, HearPattern(WRITTEN), AllArrived)]],
        ),
        probe(
            "a writer that was stopped by full buffers hears of a reset",
            needs,
            [
                begin(A, HOLD).to_vec(),
                vec![
                    client(A, Fill, Full),
                    peer(Kill),
                    Step::Pass,
                    client(A, Say("x"), Failed(ConnectionReset)),
                    client(A, Say("x"), Failed(BrokenPipe)),
                ],
            ],
        ),
    ]
}

/// Partitions and losses of power.
fn far_away() -> Vec<Probe> {
    let needs = Needs::Machines;
    let partition = || vec![peer(BlockToPeer), peer(BlockToClient)];
    vec![
        probe(
            "what is said in a partition arrives in order when it heals",
            needs,
            [
                echo(A),
                partition(),
                vec![
                    client(A, Say("one "), Written),
                    client(A, Hear, Nothing),
                    client(A, Say("two"), Written),
                    peer(Heal),
                    client(A, Hear, heard("one two")),
                ],
            ],
        ),
        probe(
            "who connects in a partition is connected when it heals",
            needs,
            [partition(), vec![client(A, Connect, Nothing), peer(Heal)], echo(A)],
        ),
        probe(
            "a request that cannot leave has no effect before the partition heals",
            needs,
            [
                echo(A),
                vec![
                    peer(BlockToPeer),
                    client(A, Say("later"), Written),
                    client(A, Hear, Nothing),
                    peer(Heal),
                    client(A, Hear, heard("later")),
                ],
            ],
        ),
        probe(
            "a client that goes in a partition is heard to the end when it heals",
            needs,
            [
                echo(A),
                partition(),
                vec![client(A, Say("late"), Written), Step::Drop(A), Step::Pass, peer(Heal)],
                // Time for what was swallowed to be sent again.
                vec![client(B, Connect, Connected), client(B, Hear, Nothing), client(B, Hear, Nothing)],
                vec![client(B, Say(TELL), Written), client(B, Hear, heard("9, end"))],
            ],
        ),
        probe(
            "an answer that cannot leave comes when the partition heals",
            needs,
            [
                echo(A),
                vec![
                    peer(BlockToClient),
                    client(A, Say("answer me"), Written),
                    client(A, Hear, Nothing),
                    peer(Heal),
                    client(A, Hear, heard("answer me")),
                ],
            ],
        ),
        probe(
            "who connects while answers cannot leave waits",
            needs,
            [vec![peer(BlockToClient), client(A, Connect, Nothing), peer(Heal)], echo(A)],
        ),
        probe(
            "a process that is killed behind a partition is seen to end when that heals",
            needs,
            [echo(A), partition(), vec![peer(Kill), client(A, Hear, Nothing), peer(Heal), client(A, Hear, End)]],
        ),
        probe(
            "a process that was killed and is back behind a partition is seen to end, and then breaks",
            needs,
            [
                echo(A),
                partition(),
                vec![
                    peer(Kill),
                    peer(Start),
                    client(A, Hear, Nothing),
                    peer(Heal),
                    client(A, Hear, End),
                    client(A, Say("x"), Written),
                ],
                echo(B),
                vec![Step::Pass, client(A, Say("x"), Failed(BrokenPipe))],
            ],
        ),
        probe(
            "buffers fill in a partition, and nothing of it is lost",
            needs,
            [
                begin(A, TALLY).to_vec(),
                partition(),
                vec![client(A, Fill, Full), peer(Heal), client(A, Shut, Written), client(A, HearTally, AllArrived)],
            ],
        ),
        probe(
            "a machine that loses its power says nothing",
            needs,
            [
                echo(A),
                vec![
                    peer(LosePower),
                    client(A, Hear, Nothing),
                    client(A, Say("x"), Written),
                    client(A, Hear, Nothing),
                    client(B, Connect, Nothing),
                ],
            ],
        ),
        probe(
            "a machine that is back from a loss of power resets what it does not know",
            needs,
            [
                echo(A),
                vec![
                    peer(LosePower),
                    peer(RegainPower),
                    client(A, Hear, Nothing),
                    client(A, Say("x"), Written),
                    client(A, Hear, Failed(ConnectionReset)),
                    client(A, Hear, End),
                ],
                echo(B),
            ],
        ),
        probe(
            "what was said to a machine without power is reset when it is back",
            needs,
            [
                echo(A),
                vec![
                    peer(LosePower),
                    client(A, Say("x"), Written),
                    client(A, Hear, Nothing),
                    peer(RegainPower),
                    client(A, Hear, Failed(ConnectionReset)),
                ],
            ],
        ),
        probe(
            "who connects to a machine without power is connected when it is back",
            needs,
            [vec![peer(LosePower), client(A, Connect, Nothing), peer(RegainPower), client(A, Connect, Connected)]],
        ),
    ]
}
