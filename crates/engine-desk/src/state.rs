//! Who has which work, and what is known of it: every decision of the desk, under one lock and without waiting.
//!
//! ```text
//!   Open ──begin──► Begun ──report──► Finished
//!    │ ▲ hold over     │                  │
//!    │ └─ handed out   │ time-out, drop   │ told to the gate
//!    ▼                 ▼                  ▼
//!   gone: NotSent     past: Unknown      past: as reported
//! ```
//!
//! Must never: tell the gate *not sent* of a work that was begun, unless the engine says so; begin a work that the
//! gate was told of, or one that is begun already.

use std::collections::BTreeMap;
use std::time::Duration;

use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::record::outcome_may_become;
use oncegate_protocol::{ClientOrderId, Fingerprint, Leg, Mono, Order, Outcome};
use serde_json::value::RawValue;

use crate::error::DeskError;
use crate::id::AttemptKey;
use crate::wire::Report;

/// How many works that were begun and ended are remembered, for outcomes that come late or twice. Of older ones only
/// acceptances are still believed.
pub(crate) const PAST: usize = 256;

/// A work's number: counts from 1 within the process.
pub(crate) type Number = u64;

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    last: Number,
    works: BTreeMap<Number, Work>,
    past: BTreeMap<Number, Past>,
}

/// One order to be placed.
#[derive(Clone, Debug)]
pub(crate) struct Placing {
    pub(crate) order: Order,
    /// The order's body, as JSON.
    pub(crate) body: Box<RawValue>,
    pub(crate) key: AttemptKey,
    /// Every other attempt at this order has a definite end that leaves this one alone in question.
    pub(crate) alone: bool,
    /// From then on it can't be begun.
    pub(crate) begin_by: Mono,
    /// From then on the gate no longer waits for its outcome.
    pub(crate) deadline: Mono,
}

#[derive(Clone, Debug)]
enum Work {
    Place { placing: Placing, stage: Stage },
    LookUp { id: ClientOrderId, deadline: Mono, handed_until: Option<Mono>, answer: Option<LookupAnswer> },
}

#[derive(Clone, Debug)]
enum Stage {
    Open {
        handed_until: Option<Mono>,
    },
    /// Refused at its begin: the gate is to be told.
    Refused(String),
    Begun {
        key: Option<String>,
    },
    Finished(Report),
}

/// A work that was begun and that the gate no longer waits for.
#[derive(Clone, Debug)]
struct Past {
    key: AttemptKey,
    alone: bool,
    report: Option<Report>,
}

/// What is handed out.
#[derive(Clone, Debug)]
pub(crate) enum Handed {
    Place { number: Number, fingerprint: Fingerprint, leg: Leg, body: Box<RawValue>, begin_by: Mono },
    LookUp { number: Number, id: ClientOrderId, deadline: Mono },
}

/// What whoever waits for a work is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Turn<T> {
    /// Nothing yet; ask again then. `offered` when the work has just become free for others.
    Wait { until: Mono, offered: bool },
    /// It is over.
    Done(T),
}

/// How a report was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// The gate, or whoever looks up, is told.
    InTime,
    /// The gate was told *unknown*. A refusal is to be believed when no other send of the order can be on its way.
    Late { refusal_holds: bool },
    /// Nothing is known of the work here.
    Forgotten,
}

impl State {
    /// Takes an order to be placed, or its outcome where that is known by now.
    pub(crate) fn offer(&mut self, placing: Placing) -> Result<Number, Outcome> {
        // Said late of this very attempt, and on its way to the store: to send again would be a second order.
        let same = self.past.values().filter(|past| past.key == placing.key);
        let mut known = same.filter_map(|past| match &past.report {
            Some(report @ Report::Accepted { .. }) => report.outcome(),
            Some(report @ Report::Rejected { .. }) if past.alone => report.outcome(),
            Some(_) | None => None,
        });
        if let Some(outcome) = known.next_back() {
            return Err(outcome);
        }
        Ok(self.add(Work::Place { placing, stage: Stage::Open { handed_until: None } }))
    }

    /// Takes a question to be asked.
    pub(crate) fn offer_look_up(&mut self, id: ClientOrderId, deadline: Mono) -> Number {
        self.add(Work::LookUp { id, deadline, handed_until: None, answer: None })
    }

    fn add(&mut self, work: Work) -> Number {
        self.last += 1;
        self.works.insert(self.last, work);
        self.last
    }

    /// The oldest work that nobody has, kept from others until `hold` is over.
    pub(crate) fn hand_out(&mut self, now: Mono, hold: Duration) -> Option<Handed> {
        self.works.iter_mut().find_map(|(number, work)| {
            let is_free = |handed_until: &Option<Mono>| handed_until.is_none_or(|until| now >= until);
            match work {
                Work::Place { placing, stage: Stage::Open { handed_until } } => {
                    if now >= placing.begin_by || !is_free(handed_until) {
                        return None;
                    }
                    *handed_until = Some(now.plus(hold));
                    let Order { fingerprint, leg, .. } = placing.order;
                    let (body, begin_by) = (placing.body.clone(), placing.begin_by);
                    Some(Handed::Place { number: *number, fingerprint, leg, body, begin_by })
                }
                Work::LookUp { id, deadline, handed_until, answer: None } => {
                    if now >= *deadline || !is_free(handed_until) {
                        return None;
                    }
                    *handed_until = Some(now.plus(hold));
                    Some(Handed::LookUp { number: *number, id: id.clone(), deadline: *deadline })
                }
                Work::Place { .. } | Work::LookUp { .. } => None,
            }
        })
    }

    /// Begins an order: from here on it may be on its way. A repeat with the same key is answered alike for as long as
    /// there is time to send.
    pub(crate) fn begin(
        &mut self,
        number: Number,
        key: Option<&str>,
        now: Mono,
        leads: impl Fn(&Placing) -> bool,
    ) -> Result<Placing, DeskError> {
        let Some(Work::Place { placing, stage }) = self.works.get_mut(&number) else {
            return Err(DeskError::WorkOver);
        };
        match stage {
            Stage::Open { .. } if now >= placing.begin_by => Err(DeskError::TooLate),
            Stage::Open { .. } if !leads(placing) => {
                *stage = Stage::Refused("leadership was lost before an engine began the order".into());
                Err(DeskError::NotLeading)
            }
            Stage::Open { .. } => {
                *stage = Stage::Begun { key: key.map(str::to_owned) };
                Ok(placing.clone())
            }
            Stage::Begun { key: first } => {
                if key.is_none() || first.as_deref() != key {
                    Err(DeskError::Taken)
                } else if now >= placing.order.send_before.min(placing.deadline) {
                    Err(DeskError::TooLate)
                } else if !leads(placing) {
                    Err(DeskError::NotLeading)
                } else {
                    Ok(placing.clone())
                }
            }
            Stage::Refused(_) | Stage::Finished(_) => Err(DeskError::WorkOver),
        }
    }

    /// Takes the outcome of an attempt. What is known only grows.
    pub(crate) fn report(&mut self, number: Number, key: &AttemptKey, report: &Report) -> Result<Heard, DeskError> {
        if let Some(work) = self.works.get_mut(&number) {
            return match work {
                Work::Place { placing, stage } if placing.key == *key => match stage {
                    Stage::Begun { .. } => {
                        *stage = Stage::Finished(report.clone());
                        Ok(Heard::InTime)
                    }
                    Stage::Finished(said) => {
                        grow(said, report)?;
                        Ok(Heard::InTime)
                    }
                    // Nobody knows the attempt's name before the begin.
                    Stage::Open { .. } | Stage::Refused(_) => Err(DeskError::WorkOver),
                },
                Work::Place { .. } | Work::LookUp { .. } => Err(DeskError::WorkOver),
            };
        }
        let busy = self.works.values().any(|work| matches!(work, Work::Place { placing, .. } if placing.key == *key));
        let sends = self.past.values().filter(|past| past.key == *key).count();
        let Some(past) = self.past.get_mut(&number).filter(|past| past.key == *key) else {
            return Ok(Heard::Forgotten);
        };
        match &mut past.report {
            Some(said) => grow(said, report)?,
            None => past.report = Some(report.clone()),
        }
        past.alone &= sends == 1 && !busy;
        Ok(Heard::Late { refusal_holds: past.alone })
    }

    /// Takes the answer to a look-up.
    pub(crate) fn answer(&mut self, number: Number, said: LookupAnswer) -> Result<(), DeskError> {
        match self.works.get_mut(&number) {
            Some(Work::LookUp { answer, .. }) => {
                // That it was found is never taken back by somebody who looked elsewhere or earlier.
                if !matches!(answer, Some(LookupAnswer::Found(_))) {
                    *answer = Some(said);
                }
                Ok(())
            }
            Some(Work::Place { .. }) | None => Err(DeskError::WorkOver),
        }
    }

    /// What there is to tell about an order.
    pub(crate) fn turn(&mut self, number: Number, now: Mono) -> Turn<Outcome> {
        let Some(Work::Place { placing, stage }) = self.works.get_mut(&number) else {
            return Turn::Done(Outcome::Unknown("the desk has lost the work: this is a defect".into()));
        };
        let over = match stage {
            Stage::Open { handed_until } if now < placing.begin_by => {
                let (until, offered) = next_offer(*handed_until, now, placing.begin_by);
                return Turn::Wait { until, offered };
            }
            Stage::Begun { .. } if now < placing.deadline => {
                return Turn::Wait { until: placing.deadline, offered: false };
            }
            Stage::Open { handed_until: None } => {
                Outcome::NotSent("no engine asked for work while there was time to send the order".into())
            }
            Stage::Open { handed_until: Some(_) } => {
                Outcome::NotSent("an engine was handed the order, and did not begin it in time".into())
            }
            Stage::Refused(reason) => Outcome::NotSent(reason.clone()),
            Stage::Begun { .. } => Outcome::Unknown("an engine began the order, and told no outcome in time".into()),
            Stage::Finished(report) => report
                .outcome()
                .unwrap_or_else(|| Outcome::Unknown("the engine told something that is no outcome".into())),
        };
        self.close(number);
        Turn::Done(over)
    }

    /// What there is to tell about a look-up.
    pub(crate) fn turn_look_up(&mut self, number: Number, now: Mono) -> Turn<LookupAnswer> {
        let over = match self.works.get_mut(&number) {
            Some(Work::LookUp { answer: Some(answer), .. }) => answer.clone(),
            Some(Work::LookUp { deadline, handed_until, .. }) if now < *deadline => {
                let (until, offered) = next_offer(*handed_until, now, *deadline);
                return Turn::Wait { until, offered };
            }
            Some(Work::LookUp { handed_until: None, .. }) => {
                LookupAnswer::Unavailable("no engine asked for work in time".into())
            }
            Some(Work::LookUp { .. }) => LookupAnswer::Unavailable("the engine gave no answer in time".into()),
            Some(Work::Place { .. }) | None => {
                LookupAnswer::Unavailable("the desk has lost the look-up: this is a defect".into())
            }
        };
        self.close(number);
        Turn::Done(over)
    }

    /// Nobody waits for this work any more, told or not.
    pub(crate) fn close(&mut self, number: Number) {
        let Some(Work::Place { placing: Placing { key, alone, .. }, stage }) = self.works.remove(&number) else {
            return;
        };
        let report = match stage {
            Stage::Open { .. } | Stage::Refused(_) => return,
            Stage::Begun { .. } => None,
            Stage::Finished(report) => Some(report),
        };
        // Sent more than once under one attempt, a refusal of one send says nothing of the others.
        let alone = alone && self.past.values().all(|past| past.key != key);
        self.past.insert(number, Past { key, alone, report });
        while self.past.len() > PAST {
            self.past.pop_first();
        }
    }
}

/// When an un-begun work is to be looked at next, and whether it has become free for others.
fn next_offer(handed_until: Option<Mono>, now: Mono, end: Mono) -> (Mono, bool) {
    match handed_until {
        Some(until) if now < until => (until.min(end), false),
        Some(_) => (end, true),
        None => (end, false),
    }
}

fn grow(said: &mut Report, new: &Report) -> Result<(), DeskError> {
    let same = match (&*said, new) {
        // A reason may be told in other words.
        (Report::Rejected { .. }, Report::Rejected { .. })
        | (Report::NotSent { .. }, Report::NotSent { .. })
        | (_, Report::Unknown { .. }) => true,
        (said, new) => said == new,
    };
    if same {
        return Ok(());
    }
    let grows = new.outcome().is_some_and(|new| outcome_may_become(said.outcome().as_ref(), &new));
    if !grows {
        return Err(DeskError::Contradiction { said: said.name(), new: new.name() });
    }
    *said = new.clone();
    Ok(())
}
