//! A config file, read strictly: refused with file, line, key and rule.

use std::fmt;
use std::path::{Path, PathBuf};

use super::place::{line_at, line_of, path_at};
pub use super::rules::url;
use super::{Config, rules};

/// Where a config came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The file; none when there is none and the defaults hold.
    pub file: Option<PathBuf>,
    /// What relative paths in it are relative to.
    pub folder: PathBuf,
    /// Its text.
    text: String,
}

/// Something in a config that can't be used. Its message never shows a secret, because none stands in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadConfig {
    /// Which file; none for the defaults.
    pub file: Option<PathBuf>,
    /// Which line, from 1; none when it is about the file as a whole, or about what it does not say.
    pub line: Option<usize>,
    /// Which key, e.g. `timing.ttl`; empty when it is about none.
    pub key: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => f.write_str("defaults")?,
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

impl Origin {
    /// No file: the defaults. Relative paths are relative to where the process was started.
    pub fn none() -> Self {
        Self { file: None, folder: PathBuf::new(), text: String::new() }
    }

    /// What is wrong with `key`, where it stands.
    pub fn wrong(&self, key: &str, what: impl Into<String>) -> BadConfig {
        let line = line_of(&self.text, key);
        BadConfig { file: self.file.clone(), line, key: key.to_owned(), what: what.into() }
    }

    /// The text of the file, empty without one.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Reads the config file at `path` and checks every rule that needs nothing but the file: not its secrets, nor who
/// answers at its addresses.
///
/// # Errors
/// Everything that is wrong with it, in the order of its lines; at a mistake in its form, only that.
pub fn file(path: &Path) -> Result<(Config, Origin), Vec<BadConfig>> {
    let about = |line, what: String| vec![BadConfig { file: Some(path.to_owned()), line, key: String::new(), what }];
    let bytes = std::fs::read(path).map_err(|error| {
        about(None, format!("can't be read: {error}; `oncegate config example` prints a file to start from"))
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        about(Some(line), "this line is not UTF-8: save the file as UTF-8 text".into())
    })?;
    text_of(path, text)
}

/// The same for the text of the file at `path`.
///
/// # Errors
/// As [`file()`].
pub fn text_of(path: &Path, text: String) -> Result<(Config, Origin), Vec<BadConfig>> {
    let config: Config = toml::from_str(&text).map_err(|error| {
        let at = error.span().map(|span| span.start);
        vec![BadConfig {
            file: Some(path.to_owned()),
            line: at.map(|at| line_at(&text, at)),
            key: at.and_then(|at| path_at(&text, at)).unwrap_or_default(),
            what: plainly(error.message()),
        }]
    })?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let origin = Origin { file: Some(path.to_owned()), folder, text };
    let mut wrong = rules::check(&config, &origin);
    if wrong.is_empty() {
        return Ok((config, origin));
    }
    wrong.sort_by_key(|wrong| wrong.line);
    Err(wrong)
}

/// What the TOML reader says, for somebody who does not know its words.
fn plainly(message: &str) -> String {
    let said = message.trim().replace('\n', ", ");
    if let Some((unknown, known)) = said.strip_prefix("unknown field `").and_then(|rest| rest.split_once("`, ")) {
        let known = known.trim_start_matches("expected one of ").trim_start_matches("expected ");
        for way in ["env", "file"] {
            if known.contains(&format!("`{unknown}_{way}`")) {
                return format!(
                    "a secret never stands in this file: write {unknown}_env = \"NAME OF A VARIABLE\" or \
                     {unknown}_file = \"PATH\""
                );
            }
        }
        return format!("there is no such key here; there are {known}");
    }
    if let Some((unknown, known)) = said.strip_prefix("unknown variant `").and_then(|rest| rest.split_once("`, ")) {
        let known = known.trim_start_matches("expected one of ").trim_start_matches("expected ").replace('`', "\"");
        return format!("\"{unknown}\" is not known here: write {known}");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_or_not_text_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oncegate.toml");
        let told = |result: Result<_, Vec<BadConfig>>| result.map(|_: (Config, Origin)| ()).unwrap_err()[0].clone();
        assert!(told(file(&path)).what.contains("oncegate config example"));
        std::fs::write(&path, b"[log]\n# \xff\n").unwrap();
        assert_eq!(told(file(&path)).line, Some(2));
    }
}
