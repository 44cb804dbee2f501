//! How the rest of the process talks to the loop.

use oncegate_protocol::call::Resolution;
use oncegate_protocol::election::Authority;
use oncegate_protocol::signal::SignalError;
use oncegate_protocol::{Answer, Fingerprint, IdentityRule, Leadership, Mono, Signal};
use tokio::sync::{mpsc, oneshot, watch};

/// What the loop is asked.
#[derive(Debug)]
pub(crate) enum Question {
    Offer {
        signal: Signal,
        answer: oneshot::Sender<Answer>,
    },
    Resolve {
        fingerprint: Fingerprint,
        resolution: Resolution,
        attempts: u32,
        reason: String,
        answer: oneshot::Sender<Answer>,
    },
    Leadership {
        answer: oneshot::Sender<Answer>,
    },
    SetPause {
        paused: bool,
        seen: u64,
        reason: String,
        answer: oneshot::Sender<Answer>,
    },
    StepDown {
        reason: String,
    },
    Ping {
        answer: oneshot::Sender<()>,
    },
    Shutdown,
}

/// What the loop last said about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// The right to act, while the node leads.
    pub authority: Option<Authority>,
}

impl Status {
    /// Whether the gate is open at `now` on this node's monotonic clock. A status that has not been refreshed
    /// because its process stood still closes by itself.
    pub fn gate_open(&self, now: Mono) -> bool {
        self.authority.as_ref().is_some_and(|authority| now < authority.trusted_until)
    }
}

/// Why a signal was not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitError {
    /// The sender must change it.
    #[error(transparent)]
    Malformed(#[from] SignalError),
    /// Another body bears this identity already; the sender must not repeat this one.
    #[error("a different body with the identity {0} is stored already")]
    Conflict(Fingerprint),
    /// It is not known to be durable; the sender must repeat it.
    #[error("not stored: {0}; send it again")]
    Unavailable(String),
}

/// What the sender of a signal is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Which signal it is.
    pub fingerprint: Fingerprint,
    /// It was not there before.
    pub new: bool,
    /// Where it stands.
    pub state: oncegate_protocol::SignalState,
}

/// Talks to one [`crate::Driver`]; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    ask: mpsc::Sender<Question>,
    status: watch::Receiver<Status>,
    identity: IdentityRule,
}

impl Handle {
    pub(crate) fn new(ask: mpsc::Sender<Question>, status: watch::Receiver<Status>, identity: IdentityRule) -> Self {
        Self { ask, status, identity }
    }

    /// Talks to nobody: every question is answered as by a loop that has stopped. For a process that shows what
    /// there is and runs no node.
    pub fn to_nobody(identity: IdentityRule) -> Self {
        Self::new(mpsc::channel(1).0, watch::channel(Status::default()).1, identity)
    }

    /// Ready when the loop has come round to this question, behind all that it does first: who waits for it against
    /// a deadline knows whether the loop turns. Dropping it leaves nothing.
    ///
    /// # Errors
    /// The loop has ended.
    pub async fn ping(&self) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let gone = || "the node has stopped".to_owned();
        self.ask.send(Question::Ping { answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }

    /// Offers a signal; a receipt means that it is durable. Dropping this leaves it unknown whether it is.
    ///
    /// # Errors
    /// [`SubmitError`], which tells the sender whether to change it, repeat it or let it be.
    pub async fn submit(&self, raw: &[u8]) -> Result<Receipt, SubmitError> {
        let signal = Signal::read(raw, &self.identity)?;
        match self.ask(|answer| Question::Offer { signal, answer }).await {
            Ok(Answer::Stored { fingerprint, new, state }) => Ok(Receipt { fingerprint, new, state }),
            Ok(Answer::Conflict { fingerprint }) => Err(SubmitError::Conflict(fingerprint)),
            Ok(Answer::Unavailable { reason }) => Err(SubmitError::Unavailable(reason)),
            Ok(Answer::State(_) | Answer::Leadership(_)) => Err(SubmitError::Unavailable(another_question())),
            Err(reason) => Err(SubmitError::Unavailable(reason)),
        }
    }

    /// An operator's word on a quarantined or partial signal, of which the operator saw so many attempts; returns where it
    /// stands now, if it exists. That is not what was asked for, and nothing was changed, when the signal was not
    /// quarantined or had other attempts.
    ///
    /// # Errors
    /// Why it is unknown whether the word was taken.
    pub async fn resolve(
        &self,
        fingerprint: Fingerprint,
        resolution: Resolution,
        attempts: u32,
        reason: String,
    ) -> Result<Option<oncegate_protocol::SignalState>, String> {
        match self.ask(|answer| Question::Resolve { fingerprint, resolution, attempts, reason, answer }).await? {
            Answer::State(state) => Ok(state),
            Answer::Unavailable { reason } => Err(reason),
            Answer::Stored { .. } | Answer::Conflict { .. } | Answer::Leadership(_) => Err(another_question()),
        }
    }

    /// Who leads, and whether new orders are stopped, as the store has it now.
    ///
    /// # Errors
    /// Why it could not be read.
    pub async fn leadership(&self) -> Result<Leadership, String> {
        leadership_in(self.ask(|answer| Question::Leadership { answer }).await?)
    }

    /// Stops new orders on all nodes, until [`Handle::resume`]: durable when this returns, whoever leads. What is in
    /// doubt is still recovered; what is claimed and not sent is handed back; what was sent is out. To be said at any
    /// node that can reach the store. Dropping this leaves it unknown whether it is said; but what one operator says
    /// and is confirmed, no earlier word undoes, however late it comes.
    ///
    /// # Errors
    /// Why it is not known to be so: look, and say it again, here or at another node.
    pub async fn pause(&self, reason: String) -> Result<(), String> {
        self.set_pause(true, reason).await
    }

    /// Lets new orders go on, with the oldest signal that has not expired; durable when this returns.
    ///
    /// # Errors
    /// As [`Handle::pause`].
    pub async fn resume(&self, reason: String) -> Result<(), String> {
        self.set_pause(false, reason).await
    }

    /// Two questions, the first by whoever still waits: so a node that stood still between them says nothing.
    async fn set_pause(&self, paused: bool, reason: String) -> Result<(), String> {
        let seen = self.leadership().await?.pause_words;
        let answered = self.ask(|answer| Question::SetPause { paused, seen, reason, answer }).await?;
        if leadership_in(answered)?.paused.is_some() == paused {
            Ok(())
        } else {
            Err("somebody has said otherwise at the same time: look, and say it again".into())
        }
    }

    /// Asks the node to give up leadership, if it has it, and let others go first.
    pub async fn step_down(&self, reason: String) {
        // A loop that has ended leads no more.
        let _ = self.ask.send(Question::StepDown { reason }).await;
    }

    /// Asks the node to step down and end.
    pub async fn shut_down(&self) {
        let _ = self.ask.send(Question::Shutdown).await;
    }

    /// What the loop last said about itself.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    async fn ask(&self, question: impl FnOnce(oneshot::Sender<Answer>) -> Question) -> Result<Answer, String> {
        let (answer, answered) = oneshot::channel();
        let gone = || "the node has stopped".to_owned();
        self.ask.send(question(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

fn leadership_in(answer: Answer) -> Result<Leadership, String> {
    match answer {
        Answer::Leadership(leadership) => Ok(leadership),
        Answer::Unavailable { reason } => Err(reason),
        Answer::State(_) | Answer::Stored { .. } | Answer::Conflict { .. } => Err(another_question()),
    }
}

fn another_question() -> String {
    "the node answered another question".into()
}
