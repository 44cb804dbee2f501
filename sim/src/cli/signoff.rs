//! `sim signoff` and `sim merge`: the verdict, and what it rests on.

use std::path::PathBuf;

use oncegate_sim::report::{json, narrative};
use oncegate_sim::runner::signoff::progress::{self, Shard};
use oncegate_sim::runner::signoff::{self, Phase, Plan, Verdict};
use oncegate_sim::scenario::Span;
use oncegate_sim::scenario::read::BadInput;
use serde_json::json;

use super::End;

pub(super) fn signoff(plan: &Plan, as_json: bool) -> Result<End, BadInput> {
    if plan.shard != Shard::WHOLE && plan.state.is_none() {
        let what = "a shard is of use only with --state FILE, for `sim merge` to read".into();
        return Err(BadInput { file: "--shard".into(), line: None, what });
    }
    if !as_json {
        let budget = Span::of(plan.budget);
        let part = if plan.shard == Shard::WHOLE {
            String::new()
        } else {
            format!(", part {} of {}", plan.shard.number, plan.shard.of)
        };
        let runs = plan.runs.map(|runs| format!(", {runs} drawn runs")).unwrap_or_default();
        println!("oncegate sign-off: budget {budget}{runs}, from seed {}{part}\n", plan.seed);
    }
    let verdict = signoff::sign_off(plan, |phase| {
        if !as_json {
            print_phase(phase);
        }
    })?;
    Ok(tell(&verdict, plan.shard, as_json))
}

pub(super) fn merge(files: &[PathBuf], as_json: bool) -> Result<End, BadInput> {
    let verdict = signoff::judge(&progress::merge(files)?);
    if !as_json {
        println!("oncegate sign-off, joined from {} parts\n", files.len());
        verdict.phases.iter().for_each(print_phase);
    }
    Ok(tell(&verdict, Shard::WHOLE, as_json))
}

fn print_phase(phase: &Phase) {
    let mark = if phase.passed { "ok  " } else { "FAIL" };
    println!("{mark} {:12} {:6.1} s  {}", phase.name, phase.took.as_secs_f64(), phase.figure);
}

fn tell(verdict: &Verdict, shard: Shard, as_json: bool) -> End {
    let end = match (verdict.passed(), verdict.nondeterministic()) {
        (true, _) => End::Holds,
        (false, true) => End::NotDeterministic,
        (false, false) => End::Violation,
    };
    if as_json {
        let word = if verdict.passed() { "PASS" } else { "FAIL" };
        let failure = verdict.story.as_ref().map(json::run);
        println!(
            "{}",
            json!({ "verdict": word, "shard": shard, "phases": verdict.phases, "replay": verdict.replay, "failure": failure })
        );
        return end;
    }
    if let Some(run) = &verdict.story {
        println!("\n{}", narrative::tell(run));
    }
    if !verdict.passed() {
        let failed: Vec<_> = verdict.phases.iter().filter(|phase| !phase.passed).collect();
        let reasons: Vec<_> = failed.iter().map(|phase| format!("{} ({})", phase.name, phase.figure)).collect();
        println!("\nFAIL: {}", reasons.join("; "));
        if let Some(replay) = &verdict.replay {
            println!("Replay:\n{replay}");
        }
    } else if shard == Shard::WHOLE {
        println!(
            "\nPASS: no promise was broken. What this means and what it does not: README.md, \"What a sign-off says\""
        );
    } else {
        println!("\nThis part holds. `cargo sim merge FILE...` over all {} parts gives the verdict.", shard.of);
    }
    end
}
