//! The story of a run, for a tired operator: who did what when, what went wrong around it, and what broke.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::oracles::Violation;
use crate::runner::Run;
use crate::world::trace::{Line, What};

/// The whole story.
pub fn tell(run: &Run) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}", run.name, if run.holds() { "every promise held" } else { "A PROMISE WAS BROKEN" });
    let about = Focus::of(run);
    let _ = writeln!(text, "\n   seconds  who     what");
    let mut left_out = 0;
    let mut seen: Vec<_> = run.violations.iter().collect();
    seen.sort_by_key(|violation| violation.at);
    let mut seen = seen.into_iter().peekable();
    for line in &run.story {
        // Told where they happened, not where the judges were heard.
        while let Some(violation) = seen.next_if(|violation| violation.at < line.at) {
            tell_violation(&mut text, violation, &about);
        }
        if matches!(line.what, What::Violation(_)) {
            continue;
        }
        if !about.wants(line) {
            left_out += 1;
            continue;
        }
        let mark = match &line.what {
            What::Fault(_) => '!',
            What::Healed(_) => '~',
            What::Broker(_) => '$',
            What::Notice(_)
            | What::Reached(_)
            | What::Life(_)
            | What::Source(_)
            | What::Store(_)
            | What::Redis(_)
            | What::Violation(_) => ' ',
        };
        let who = &run.hosts[line.host];
        let _ = writeln!(text, "{:10.3} {mark}{who:7} {}", line.at.as_secs_f64(), about.name(&words(&line.what)));
    }
    for violation in seen {
        tell_violation(&mut text, violation, &about);
    }
    if left_out > 0 {
        let _ = writeln!(text, "            ({left_out} lines about other signals are left out)");
    }
    let _ = writeln!(text);
    for signal in &run.signals {
        let state = signal.state.map_or("not stored", oncegate_protocol::SignalState::name);
        let orders = run.book.iter().filter(|booked| Some(booked.fingerprint) == signal.fingerprint).count();
        let _ =
            writeln!(text, "{:>10} is {state}, with {orders} order{}", signal.id, if orders == 1 { "" } else { "s" });
    }
    for violation in &run.violations {
        let _ = writeln!(text, "\nBROKEN {}: {}", violation.oracle, about.name(&violation.what));
    }
    let _ = writeln!(text, "\ntrace hash {}", run.hash);
    text
}

fn tell_violation(text: &mut String, violation: &Violation, about: &Focus<'_>) {
    let (at, oracle) = (violation.at.as_secs_f64(), violation.oracle);
    let _ = writeln!(text, "{at:10.3} Xoracle  {oracle}: {}", about.name(&violation.what));
}

/// Which signals the story is about.
struct Focus<'a> {
    run: &'a Run,
    /// The short fingerprints of signals that no violation mentions, when some are mentioned.
    others: BTreeSet<String>,
}

impl<'a> Focus<'a> {
    fn of(run: &'a Run) -> Self {
        let mentions =
            |text: &str, id: &str, short: &str| text.contains(short) || text.split(' ').any(|word| word == id);
        let (about, others): (Vec<_>, Vec<_>) = run.signals.iter().partition(|signal| {
            let short = signal.short();
            run.violations.iter().any(|violation| mentions(&violation.what, &signal.id, &short))
        });
        let others = if about.is_empty() { Vec::new() } else { others };
        Self { run, others: others.into_iter().map(|signal| signal.short()).collect() }
    }

    fn wants(&self, line: &Line) -> bool {
        let words = words(&line.what);
        let about_other = self.others.iter().any(|short| words.contains(short.as_str()));
        let id_of_other = matches!(line.what, What::Source(_))
            && self.run.signals.iter().any(|signal| {
                self.others.contains(&signal.short()) && words.split(' ').next() == Some(signal.id.as_str())
            });
        !about_other && !id_of_other
    }

    fn name(&self, words: &str) -> String {
        named(self.run, words)
    }
}

/// The same words with signals by the names that the scenario gives them.
pub fn named(run: &Run, words: &str) -> String {
    let mut named = words.to_owned();
    for signal in &run.signals {
        named = named.replace(&signal.short(), &signal.id);
    }
    named
}

fn words(what: &What) -> String {
    match what {
        What::Notice(notice) => notice.to_string(),
        What::Reached(point) => format!("reaches {}:", point.name()),
        What::Fault(text)
        | What::Healed(text)
        | What::Life(text)
        | What::Source(text)
        | What::Broker(text)
        | What::Store(text)
        | What::Redis(text)
        | What::Violation(text) => text.clone(),
    }
}
