//! Failing runs, kept: a scenario file each, and the command that replays it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Run;
use super::shrink::Shrunk;
use crate::mutants::Mutant;
use crate::report::narrative::named;
use crate::scenario::{Scenario, write};

/// How long a line of a story is at most.
const WIDTH: usize = 110;

/// Where failures are kept unless told otherwise.
pub const FOLDER: &str = "failures";

/// Writes the scenario of a failing run as it is.
///
/// # Errors
/// Those of the file system.
pub fn keep(folder: &Path, scenario: &Scenario, run: &Run, mutant: Option<Mutant>) -> io::Result<PathBuf> {
    write_file(folder, scenario, mutant, |path| {
        let mut broken = String::from("Found by a sweep.");
        for violation in &run.violations {
            broken.push_str(&format!("\n{}: {}", violation.oracle, named(run, &violation.what)));
        }
        format!("{broken}\n\n{}", replay_command(path, mutant))
    })
}

/// Writes the smallest form of a failure, with its story at the head; `found` says where it comes from, and the
/// last line of the story is the command that replays it.
///
/// # Errors
/// Those of the file system.
pub fn keep_shrunk(folder: &Path, shrunk: &Shrunk, mutant: Option<Mutant>, found: &str) -> io::Result<PathBuf> {
    write_file(folder, &shrunk.scenario, mutant, |path| story(shrunk, mutant, found, path))
}

fn write_file(
    folder: &Path,
    scenario: &Scenario,
    mutant: Option<Mutant>,
    story: impl FnOnce(&Path) -> String,
) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let planted = mutant.map(|mutant| format!("{}-", mutant.name())).unwrap_or_default();
    // What was kept once and is shrunk again keeps its name.
    let name = match scenario.name.strip_prefix(&planted) {
        Some(_) => scenario.name.clone(),
        None => format!("{planted}{}", scenario.name),
    };
    let path = folder.join(format!("{name}.toml"));
    let story = story(&path);
    std::fs::write(&path, write::to_text(&Scenario { name, ..scenario.clone() }, &story))?;
    Ok(path)
}

fn story(shrunk: &Shrunk, mutant: Option<Mutant>, found: &str, path: &Path) -> String {
    let run = &shrunk.run;
    let broken = run.violations.iter().find(|violation| violation.oracle == shrunk.oracle);
    let what = broken.map_or(String::new(), |violation| named(run, &violation.what));
    let planted = mutant.map(|mutant| format!(", with the planted bug {}", mutant.name())).unwrap_or_default();
    let others: BTreeSet<_> = run.violations.iter().map(|violation| violation.oracle).collect();
    let others: Vec<_> = others.into_iter().filter(|oracle| *oracle != shrunk.oracle).collect();
    let beside = if others.is_empty() {
        String::new()
    } else {
        format!(" Broken on the way: {}.", others.join(", "))
    };
    let paragraphs = [
        wrapped(&format!("{} is broken{planted}: {what}.", shrunk.oracle)),
        wrapped(&format!(
            "Found by {found}. From {} to {} in {} steps; fails in {} of {} neighbours as well.{beside}",
            shrunk.from,
            shrunk.size,
            shrunk.kept,
            shrunk.neighbours,
            Shrunk::NEIGHBOURS,
        )),
        replay_command(path, mutant),
    ];
    paragraphs.join("\n\n")
}

/// Lines of at most [`WIDTH`] characters.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        if width > 0 && width + 1 + word.len() > WIDTH {
            lines.push('\n');
            width = 0;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += word.len();
    }
    lines
}

/// What to type to see it again.
pub fn replay_command(path: &Path, mutant: Option<Mutant>) -> String {
    let mutant = mutant.map(|mutant| format!(" --mutant {}", mutant.name())).unwrap_or_default();
    format!("cargo sim replay{mutant} {}", path.display())
}
