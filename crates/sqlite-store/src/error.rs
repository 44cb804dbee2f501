//! What can go wrong with a store's file, by what a caller would do about it.

use rusqlite::ErrorCode;

/// Why a store could not be opened, or a call could not be performed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A newer oncegate has been here. Stop: what it wrote may mean something that this one can't see.
    #[error(
        "{place} is a store of version {found}, and this oncegate knows versions up to {known}: \
         start the oncegate that wrote it, or a newer one"
    )]
    NewerVersion {
        /// Which file.
        place: String,
        /// The version found in it.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// An older oncegate wrote it, and the caller did not ask for a migration. It was left as it is.
    #[error("{place} is a store of version {found}, and this oncegate needs version {known}: run `oncegate migrate`")]
    OlderVersion {
        /// Which file.
        place: String,
        /// The version found in it; zero when nothing is there yet.
        found: i64,
        /// The version needed here.
        known: i64,
    },
    /// Somebody else's file, or no database at all; it was left as it is.
    #[error("{place} is not a store of oncegate ({found}): give the path of one, or of a file that is not there yet")]
    NotOurs {
        /// Which file.
        place: String,
        /// What it was instead.
        found: String,
    },
    /// Without a write-ahead log no commit is promised here.
    #[error("{place} can't keep a write-ahead log (journal mode {mode}): put it on a local disk")]
    NoWal {
        /// Which file.
        place: String,
        /// The journal mode that it is in instead.
        mode: String,
    },
    /// The thread that was to serve the store did not start.
    #[error("could not start the thread that serves {place}: {source}; check the limits of this user")]
    Thread {
        /// Which file.
        place: String,
        /// What was seen.
        source: std::io::Error,
    },
    /// `SQLite` refused. Whether a commit that was under way happened is unknown; anything before it did not.
    #[error("could not {doing} in {place}: {source}; {}", advice(source))]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        place: String,
        /// What was seen.
        source: rusqlite::Error,
    },
}

impl DbError {
    pub(crate) fn sqlite(doing: &'static str, place: &str, source: rusqlite::Error) -> Self {
        Self::Sqlite { doing, place: place.to_owned(), source }
    }
}

/// What a person does next.
fn advice(source: &rusqlite::Error) -> &'static str {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process is writing: repeat the call, and look for a sqlite3 shell left in a transaction"
        }
        Some(ErrorCode::DiskFull) => "free space on its disk and repeat the call",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            "check that its folder exists and that this user may write there"
        }
        Some(ErrorCode::SystemIoFailure) => "check its disk before anything else is written",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "stop every oncegate on it, keep a copy, and let `sqlite3 FILE .recover` tell what is left"
        }
        Some(ErrorCode::ConstraintViolation) => "a guard of the store held: nothing was changed",
        _ => "nothing is known to have been changed",
    }
}
