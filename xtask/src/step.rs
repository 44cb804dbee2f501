//! Steps: commands that run one after the other until one fails, with the time each took.

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// One command with a name.
pub(crate) struct Step {
    /// As shown in the summary.
    pub(crate) name: &'static str,
    /// What it runs: the program, then its arguments.
    pub(crate) command: Vec<String>,
    /// Variables set for it.
    pub(crate) env: Vec<(&'static str, &'static str)>,
}

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// With success, after this long.
    Passed(Duration),
    /// Without, after this long.
    Failed(Duration),
    /// It never began, as an earlier one failed.
    NotRun,
}

impl Step {
    /// A step that runs `command`, its words separated by single spaces.
    pub(crate) fn new(name: &'static str, command: &str) -> Self {
        Self { name, command: command.split(' ').map(Into::into).collect(), env: Vec::new() }
    }

    /// With a variable set.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    /// The command as one would type it into a shell.
    pub(crate) fn typed(&self) -> String {
        let set = self.env.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        set.chain(self.command.iter().map(|word| quoted(word))).collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end, its output going where ours goes.
    pub(crate) fn run(&self) -> End {
        println!("\n=== {}: {}", self.name, self.typed());
        let started = Instant::now();
        let mut words = self.command.iter();
        let status = words.next().map(|program| {
            Command::new(program_path(program))
                .args(words)
                .envs(self.env.iter().copied())
                .current_dir(crate::root())
                .status()
        });
        let took = started.elapsed();
        match status {
            Some(Ok(status)) if status.success() => return End::Passed(took),
            Some(Ok(status)) => eprintln!("\n{}: {status}", self.name),
            Some(Err(error)) => eprintln!("\n{}: could not start: {error}", self.name),
            None => eprintln!("\n{}: there is no command to run", self.name),
        }
        End::Failed(took)
    }
}

/// Runs the steps until one fails, then says what happened.
pub(crate) fn run_all(steps: &[Step]) -> ExitCode {
    let mut ends = vec![End::NotRun; steps.len()];
    for (step, end) in steps.iter().zip(&mut ends) {
        *end = step.run();
        if matches!(end, End::Failed(_)) {
            break;
        }
    }
    print!("\n{}", summary(steps, &ends));
    if ends.iter().all(|end| matches!(end, End::Passed(_))) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A table of all steps, and what to run after a failure.
fn summary(steps: &[Step], ends: &[End]) -> String {
    let mut text = String::new();
    let mut total = Duration::ZERO;
    let mut again = None;
    for (step, end) in steps.iter().zip(ends) {
        let (word, took) = match end {
            End::Passed(took) => ("ok", Some(*took)),
            End::Failed(took) => ("FAILED", Some(*took)),
            End::NotRun => ("not run", None),
        };
        // Writing to a String can't fail.
        let _ = match took {
            Some(took) => writeln!(text, "{:<10} {word:<8} {:>8.1} s", step.name, took.as_secs_f64()),
            None => writeln!(text, "{:<10} {word}", step.name),
        };
        total += took.unwrap_or_default();
        if matches!(end, End::Failed(_)) {
            again = Some(step);
        }
    }
    let _ = writeln!(text, "{:<10} {:<8} {:>8.1} s", "total", "", total.as_secs_f64());
    if let Some(step) = again {
        let _ = writeln!(text, "\n{} failed. Run it alone:\n    {}", step.name, step.typed());
    }
    text
}

/// The cargo that runs us also runs the steps, whatever else is installed.
fn program_path(program: &str) -> String {
    match program {
        "cargo" => std::env::var("CARGO").unwrap_or_else(|_| program.into()),
        _ => program.into(),
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_shown_as_one_would_type_it() {
        let mut step = Step::new("docs", "cargo doc --no-deps").env("RUSTDOCFLAGS", "-D warnings");
        step.command.push("it's".into());
        assert_eq!(step.typed(), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }

    #[test]
    fn the_summary_names_the_step_that_failed_and_how_to_run_it() {
        let steps =
            [Step::new("format", "cargo fmt"), Step::new("lints", "cargo clippy"), Step::new("docs", "cargo doc")];
        let ends = [End::Passed(Duration::from_millis(1_240)), End::Failed(Duration::from_secs(61)), End::NotRun];
        let expected = "\
format     ok            1.2 s
lints      FAILED       61.0 s
docs       not run
total                   62.2 s

lints failed. Run it alone:
    cargo clippy
";
        assert_eq!(summary(&steps, &ends), expected);
    }

    #[test]
    fn what_cannot_start_has_failed() {
        assert!(matches!(Step::new("none", "/no/such/program").run(), End::Failed(_)));
    }
}
