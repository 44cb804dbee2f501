//! Steps: commands that run one after the other until one fails or doesn't end, with the time each took.

use std::fmt::Write as _;
use std::io;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

/// One command with a name.
pub(crate) struct Step {
    /// As shown in the summary.
    pub(crate) name: &'static str,
    /// What it runs: the program, then its arguments.
    pub(crate) command: Vec<String>,
    /// Variables set for it.
    pub(crate) env: Vec<(&'static str, &'static str)>,
    /// How long it may take. What hangs would otherwise cost the machine's whole allowance and say nothing.
    pub(crate) within: Option<Duration>,
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
        Self { name, command: command.split(' ').map(Into::into).collect(), env: Vec::new(), within: None }
    }

    /// With a variable set.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    /// Ended, with all that it started, when it takes longer.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
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
            let child = Command::new(program_path(program))
                .args(words)
                .envs(self.env.iter().copied())
                .current_dir(crate::root())
                .spawn()?;
            self.wait(child, started)
        });
        let took = started.elapsed();
        match status {
            Some(Ok(status)) if status.success() => return End::Passed(took),
            Some(Ok(status)) => eprintln!("\n{}: {status}", self.name),
            Some(Err(error)) => eprintln!("\n{}: {error}", self.name),
            None => eprintln!("\n{}: there is no command to run", self.name),
        }
        End::Failed(took)
    }

    /// Its end, or an error when it would not come in time.
    fn wait(&self, mut child: Child, started: Instant) -> io::Result<ExitStatus> {
        let Some(limit) = self.within else { return child.wait() };
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > limit {
                end_tree(&mut child)?;
                let why = format!("did not end within {} s: what it printed last is what hangs", limit.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Kills the process and all that it started, and returns when they are gone.
fn end_tree(child: &mut Child) -> io::Result<()> {
    let tell =
        |signal: &str, tree: &[u32]| Command::new("kill").arg(signal).args(tree.iter().map(u32::to_string)).status();
    // Stopped first, and looked at again until there are no new ones: what is killed can't say whom it has started.
    let mut tree = with_descendants(child.id());
    loop {
        tell("-STOP", &tree)?;
        let now = with_descendants(child.id());
        if now.len() == tree.len() {
            break;
        }
        tree = now;
    }
    tell("-KILL", &tree)?;
    child.wait()?;
    while tree.iter().any(|pid| runs(*pid)) {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Whether the process is there, and is more than its exit code.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next())
        .is_some_and(|state| !["Z", "X"].contains(&state))
}

/// The process, those that it started, and so on, as Linux tells.
fn with_descendants(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // "pid (name) state parent ..", and a name may hold anything, brackets too.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    let mut tree = vec![root];
    let mut at = 0;
    while at < tree.len() {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == tree[at]).map(|(pid, _)| *pid).collect::<Vec<_>>());
        at += 1;
    }
    tree
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
    fn what_does_not_end_is_ended_with_all_that_it_started() {
        let started = Instant::now();
        let mut step = Step::new("hangs", "sh -c").within(Duration::from_secs(1));
        // The inner sleep keeps a name of its own, to be looked for.
        step.command.push("sleep 61.25 & wait".into());
        assert!(matches!(step.run(), End::Failed(_)));
        assert!(started.elapsed() < Duration::from_secs(30));
        let left = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line.starts_with(b"sleep\x0061.25"))
        });
        assert!(!left, "the sleep goes on");
    }

    #[test]
    fn what_cannot_start_has_failed() {
        assert!(matches!(Step::new("none", "/no/such/program").run(), End::Failed(_)));
    }
}
