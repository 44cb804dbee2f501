//! Failing runs, kept: a scenario file each, and the command that replays it.

use std::io;
use std::path::{Path, PathBuf};

use super::Run;
use crate::mutants::Mutant;
use crate::scenario::{Scenario, write};

/// Where failures are kept unless told otherwise.
pub const FOLDER: &str = "failures";

/// Writes the scenario of a failing run.
///
/// # Errors
/// Those of the file system.
pub fn keep(folder: &Path, scenario: &Scenario, run: &Run, mutant: Option<Mutant>) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let name = match mutant {
        Some(mutant) => format!("{}-{}", mutant.name(), scenario.name),
        None => scenario.name.clone(),
    };
    let path = folder.join(format!("{name}.toml"));
    let mut story = String::from("Found by a sweep.");
    for violation in &run.violations {
        story.push_str(&format!("\n{}: {}", violation.oracle, violation.what));
    }
    story.push_str(&format!("\nReplay: {}", replay_command(&path, mutant)));
    std::fs::write(&path, write::to_text(&Scenario { name, ..scenario.clone() }, &story))?;
    Ok(path)
}

/// What to type to see it again.
pub fn replay_command(path: &Path, mutant: Option<Mutant>) -> String {
    let mutant = mutant.map(|mutant| format!(" --mutant {}", mutant.name())).unwrap_or_default();
    format!("cargo sim replay{mutant} {}", path.display())
}
