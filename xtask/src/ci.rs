//! `cargo xtask ci`: everything that a change must pass, cheapest first.

use std::process::ExitCode;
use std::time::Duration;

use crate::step::{Step, run_all};

/// Runs all steps.
pub(crate) fn run() -> ExitCode {
    run_all(&steps())
}

/// Three times what the tests need on two cores, with everything to build: a test that hangs is named, not waited for.
const TESTS: Duration = Duration::from_secs(45 * 60);
/// Three times the sign-off's budget.
const SIGN_OFF: Duration = Duration::from_secs(20 * 60);

/// What a change must pass.
///
/// Building is most of the time, so as little as possible is built twice: lints and docs share one pass of
/// type checking over the dependencies, and the tests run in the sign-off's profile (`sim`: optimised, with
/// assertions and overflow checks on), which saves an optimised build of all dependencies for `dev`. What the
/// tests ask of shared dependencies beyond the harness's own needs is still built apart.
fn steps() -> Vec<Step> {
    vec![
        Step::new("format", "cargo fmt --all --check"),
        Step::new("lints", "cargo clippy --workspace --all-targets -- -D warnings"),
        Step::new("docs", "cargo doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings"),
        // A snapshot that differs is a failure here, never a new snapshot.
        Step::new("tests", "cargo xtask test --profile sim").env("INSTA_UPDATE", "no").within(TESTS),
        Step::new("sign-off", "cargo signoff --runs 300").within(SIGN_OFF),
    ]
}
