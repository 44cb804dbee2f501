//! `cargo xtask test`: every test, also those that need a real server.

use std::process::ExitCode;

use crate::step::{End, Step};
use crate::tools;

/// Finds what the tests need, then runs them all.
pub(crate) fn run(args: &[String]) -> ExitCode {
    if let Err(missing) = tools::find_or_install() {
        return crate::cannot_start(&missing);
    }
    match step(args).run() {
        End::Passed(_) => ExitCode::SUCCESS,
        End::Failed(_) | End::NotRun => ExitCode::FAILURE,
    }
}

/// The tests as a step. Arguments before `--` are for cargo, those after it for the tests.
fn step(args: &[String]) -> Step {
    let (for_cargo, for_tests) = match args.iter().position(|arg| arg == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (args, &[][..]),
    };
    // Cargo lets `--workspace` win over a package that was named.
    let names_package = |arg: &String| arg == "--package" || arg.starts_with("--package=") || arg.starts_with("-p");
    let mut step = Step::new("tests", "cargo test");
    if !for_cargo.iter().any(names_package) {
        step.command.push("--workspace".into());
    }
    step.command.extend_from_slice(for_cargo);
    step.command.extend(["--".into(), "--include-ignored".into()]);
    step.command.extend_from_slice(for_tests);
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(args: &[&str]) -> String {
        step(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).typed()
    }

    #[test]
    fn arguments_reach_those_whom_they_are_for() {
        assert_eq!(typed(&[]), "cargo test --workspace -- --include-ignored");
        assert_eq!(typed(&["--profile", "sim"]), "cargo test --workspace --profile sim -- --include-ignored");
        assert_eq!(typed(&["--", "--nocapture"]), "cargo test --workspace -- --include-ignored --nocapture");
        assert_eq!(typed(&["-p", "a", "b", "--", "c"]), "cargo test -p a b -- --include-ignored c");
        assert_eq!(typed(&["--package=a"]), "cargo test --package=a -- --include-ignored");
    }
}
