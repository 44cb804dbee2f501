//! The recorded scenarios and their manual: every scenario holds, twice with the same hash; every story can be
//! found, is told at the head of its file and is true; the manual leaves nothing out that a scenario may name.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oncegate_sim::mutants::Mutant;
use oncegate_sim::oracles::sightings::Sighting;
use oncegate_sim::runner::signoff::recorded;
use oncegate_sim::runner::{Options, run};
use oncegate_sim::scenario::{Expect, Scenario, read};
use oncegate_sim::world::anchor::Point;

/// How a story says what the planted bug does with it.
const OF_THE_MUTANT: &str = "Mutant check-then-act: ";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn corpus() -> Vec<(PathBuf, Scenario)> {
    recorded(&folder()).unwrap_or_else(|bad| panic!("{bad}"))
}

/// The comment at the head of a file, line by line.
fn story(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map_while(|line| line.strip_prefix('#')).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn every_recorded_scenario_holds_twice_with_the_same_hash() {
    for (path, scenario) in corpus() {
        let once = run(&scenario, Options::default());
        assert_eq!(once.violations, [], "cargo sim replay {}", path.display());
        assert_eq!(run(&scenario, Options::default()).hash, once.hash, "{} differs from run to run", path.display());
    }
}

#[test]
fn each_scenario_has_its_files_name_a_story_and_something_to_show() {
    for (path, scenario) in corpus() {
        let file = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(format!("{}.toml", scenario.name), file);
        let story = story(&path);
        assert!(story.len() > 4 && story[1].is_empty(), "{file}: a headline, an empty line, then the story");
        let headline = &story[0];
        assert!(headline.ends_with('.') && headline.len() <= 118, "{file}: the headline is one sentence on one line");
        assert!(story.iter().any(|line| line.contains("Must hold:")), "{file}: the story says what must hold");
        let Expect { orders, states, reached, seen } = &scenario.expect;
        // What is no signal has no state to end in.
        let signals = scenario.signals.iter().filter(|signal| !signal.form.is_refused()).count();
        assert!(orders.is_some() && states.len() == signals, "{file}: how does it end?");
        assert!(!reached.is_empty() || !seen.is_empty(), "{file}: it could pass without having happened");
    }
}

/// Whether a story happens at all may differ for the mutant, so only the end counts here.
#[test]
fn what_stories_say_of_the_planted_bug_is_so() {
    let options = Options { mutant: Some(Mutant::CheckThenAct), ..Options::default() };
    let mut doubled = 0;
    for (path, mut scenario) in corpus() {
        scenario.expect.reached.clear();
        scenario.expect.seen.clear();
        let run = run(&scenario, options);
        let broken: BTreeSet<_> = run.violations.iter().map(|violation| violation.oracle).collect();
        doubled += usize::from(run.breaks(Some(options.mutant.unwrap().against())));
        let truth = if broken.is_empty() {
            "keeps every promise here.".to_owned()
        } else {
            format!("breaks {}.", broken.into_iter().collect::<Vec<_>>().join(", "))
        };
        let story = story(&path);
        let told = story.last().and_then(|line| line.strip_prefix(OF_THE_MUTANT));
        assert_eq!(told, Some(truth.as_str()), "the last line of the story of {}", path.display());
    }
    assert!(doubled >= 2, "the corpus shows how the replaced system executes a signal twice");
}

fn manual() -> String {
    std::fs::read_to_string(folder().join("README.md")).unwrap()
}

#[test]
fn the_manuals_examples_are_scenarios() {
    let manual = manual();
    let examples: Vec<_> = manual.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        read::text_of("scenarios/README.md", example).unwrap_or_else(|bad| panic!("{bad}"));
    }
}

#[test]
fn the_manual_shows_every_fault_as_it_is_written() {
    let manual = manual();
    let forms: Vec<_> = manual.split('`').filter(|code| code.starts_with("do = ")).collect();
    let mut shown = BTreeSet::new();
    for form in forms {
        let text = format!("name = \"x\"\n[[fault]]\nwhen = {{ point = \"before-claim\" }}\n{form}\n");
        let scenario = read::text_of("scenarios/README.md", &text).unwrap_or_else(|bad| panic!("{form}: {bad}"));
        shown.insert(scenario.faults[0].fault.name().to_owned());
    }
    let refused = read::text_of("x", "name = \"x\"\n[[fault]]\nat = \"1s\"\ndo = \"no-such-fault\"\n").unwrap_err();
    assert_eq!(shown, names_in(&refused.what));
}

/// A key that nobody knows is refused with all that are known.
#[test]
fn the_manual_names_every_key() {
    let manual = manual();
    for (before, after) in [
        ("", ""),
        ("[world]\n", ""),
        ("[[signal]]\n", ""),
        ("[[fault]]\n", ""),
        ("[[fault]]\nwhen = { ", " }"),
        ("[expect]\n", ""),
    ] {
        let text = format!("{before}no-such-key = 1{after}\n");
        let refused = read::text_of("x", &text).unwrap_err();
        let keys = names_in(&refused.what);
        assert!(keys.len() >= 3, "{text}: {refused}");
        for key in keys {
            let named = [format!("{key} = "), format!("[[{key}]]"), format!("[{key}]")];
            assert!(named.iter().any(|named| manual.contains(named.as_str())), "{key} is not in scenarios/README.md");
        }
    }
}

#[test]
fn the_manual_names_every_point_sighting_state_and_exit_code() {
    let manual = manual();
    let points = Point::ALL.into_iter().map(Point::name);
    let sightings = Sighting::ALL.iter().map(|sighting| sighting.name());
    for name in points.chain(sightings) {
        assert!(manual.contains(&format!("\n| `{name}` | ")), "{name} has no row in scenarios/README.md");
    }
    for state in oncegate_protocol::SignalState::ALL {
        assert!(manual.contains(&format!("`{}`", state.name())), "{state:?} is not in scenarios/README.md");
    }
    for code in ["`0` every promise held", "`1` a promise was broken", "`2` the input can't be used", "`3` two runs"] {
        assert!(manual.contains(code), "{code}");
    }
}

/// What a message of serde's says that there is: "... expected one of `a`, `b`".
fn names_in(message: &str) -> BTreeSet<String> {
    let expected = message.split("expected").nth(1).unwrap_or_default();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
