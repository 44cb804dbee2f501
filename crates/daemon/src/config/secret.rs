//! Secrets: they come from the environment or from files, and are never printed.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Text that must not reach a log or a screen: printed for debugging it shows only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text; for the wire only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where a secret is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source<'a> {
    /// In the variable of this name.
    Env(&'a str),
    /// In the file at this path, without the newline at its end.
    File(&'a Path),
}

/// The largest file that is taken for a secret, in bytes.
const LARGEST: u64 = 16 * 1024;

impl Source<'_> {
    /// Reads it. `folder` is what a relative path is relative to.
    ///
    /// # Errors
    /// What is wrong and what to do, without the secret.
    pub fn read(self, folder: &Path) -> Result<Secret, String> {
        match self {
            Self::Env(name) => match std::env::var(name) {
                Ok(text) => of_text(&text, &format!("the variable {name}")),
                Err(std::env::VarError::NotPresent) => {
                    Err(format!("the variable {name} is not set in this process's environment"))
                }
                Err(std::env::VarError::NotUnicode(_)) => Err(format!("the variable {name} is not UTF-8")),
            },
            Self::File(path) => {
                let path = folder.join(path);
                of_text(&read_file(&path)?, &path.display().to_string())
            }
        }
    }

    /// The same for a secret of many lines, such as a private key, which comes from a file alone.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read_lines(self, folder: &Path) -> Result<Secret, String> {
        match self {
            Self::File(path) => read_file(&folder.join(path)).map(Secret),
            Self::Env(_) => self.read(folder),
        }
    }
}

fn read_file(path: &PathBuf) -> Result<String, String> {
    let place = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| format!("{place} can't be read: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{place} is not a file"));
    }
    let mode = metadata.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(format!(
            "{place} is open to every user of this host (mode {:04o}): chmod o-rwx {place}",
            mode & 0o7777
        ));
    }
    if metadata.len() > LARGEST {
        return Err(format!("{place} has {} bytes, which is more than a secret has", metadata.len()));
    }
    std::fs::read_to_string(path).map_err(|error| format!("{place} can't be read: {error}"))
}

fn of_text(text: &str, place: &str) -> Result<Secret, String> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(format!("{place} is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{place} holds more than one line, or control characters"));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_is_a_files_one_line_and_never_everybodys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = || Source::File(Path::new("token")).read(folder.path());
        assert!(read().unwrap_err().contains("can't be read"));
        for (text, secret) in [("hunter2", "hunter2"), ("hunter2\n", "hunter2"), ("hunter2\r\n", "hunter2")] {
            write(&path, text, 0o640);
            assert_eq!(read(), Ok(Secret::new(secret)));
        }
        for mode in [0o604, 0o644, 0o666, 0o602] {
            write(&path, "hunter2", mode);
            let error = read().unwrap_err();
            assert!(error.contains("chmod o-rwx") && !error.contains("hunter2"), "{error}");
        }
        for text in ["", "\n", "hunter2\nhunter3"] {
            write(&path, text, 0o600);
            let error = read().unwrap_err();
            assert!(!error.contains("hunter"), "{error}");
        }
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(..)");
    }
}
