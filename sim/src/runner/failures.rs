//! Failing runs, kept: a scenario file each, and the command that replays it.

use std::io;
use std::path::{Path, PathBuf};

use super::shrink::Shrunk;
use crate::mutants::Mutant;
use crate::scenario::{Scenario, write};

/// Where failures are kept unless told otherwise.
pub const FOLDER: &str = "failures";

/// Writes the smallest form of a failure, with its story at the head; `found` says where it comes from, and the
/// last line of the story is the command that replays it.
///
/// # Errors
/// Those of the file system.
pub fn keep(folder: &Path, shrunk: &Shrunk, mutant: Option<Mutant>, found: &str) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let scenario = &shrunk.scenario;
    let planted = mutant.map(|mutant| format!("{}-", mutant.name())).unwrap_or_default();
    let name = match scenario.name.strip_prefix(&planted) {
        Some(_) => scenario.name.clone(),
        None => format!("{planted}{}", scenario.name),
    };
    let path = folder.join(format!("{name}.toml"));
    let story = story(shrunk, mutant, found, &path);
    std::fs::write(&path, write::to_text(&Scenario { name, ..scenario.clone() }, &story))?;
    Ok(path)
}

fn story(shrunk: &Shrunk, mutant: Option<Mutant>, found: &str, path: &Path) -> String {
    let broken = shrunk.run.violations.iter().find(|violation| violation.oracle == shrunk.oracle);
    let what = broken.map_or("", |violation| violation.what.as_str());
    let planted = mutant.map(|mutant| format!(" with the planted bug {}", mutant.name())).unwrap_or_default();
    let mut story = format!("{} is broken{planted}: {what}.\n\nFound by {found}. ", shrunk.oracle);
    story.push_str(&format!(
        "Came down from {} to {} in {} steps, and fails in {} of {} neighbours.\n",
        shrunk.from,
        shrunk.size,
        shrunk.kept,
        shrunk.neighbours,
        Shrunk::NEIGHBOURS,
    ));
    let others: std::collections::BTreeSet<_> =
        shrunk.run.violations.iter().map(|violation| violation.oracle).filter(|name| *name != shrunk.oracle).collect();
    if !others.is_empty() {
        let others: Vec<_> = others.into_iter().collect();
        story.push_str(&format!("Broken on the way: {}.\n", others.join(", ")));
    }
    story.push_str(&format!("\n{}", replay_command(path, mutant)));
    story
}

/// What to type to see it again.
pub fn replay_command(path: &Path, mutant: Option<Mutant>) -> String {
    let mutant = mutant.map(|mutant| format!(" --mutant {}", mutant.name())).unwrap_or_default();
    format!("cargo sim replay{mutant} {}", path.display())
}
