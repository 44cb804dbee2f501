//! Who may act: one row that is never deleted, and the history beside it.

use oncegate_protocol::{Epoch, Holder, Leadership, StoreReply, Wall};
use rusqlite::{Connection, Error, Result};

use crate::rows::{epoch_in, epoch_out, holder_in, pause_in, unsigned, wall_in};
use crate::statements;

/// One leadership of the past, or the present one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryEntry {
    /// Its epoch.
    pub epoch: Epoch,
    /// Who opened it.
    pub holder: Holder,
    /// When, by the wall clock of who opened it.
    pub opened_at: Wall,
    /// When it ended, by the wall clock of who ended it, and why; none while it lasts.
    pub closed: Option<(Wall, String)>,
}

/// One word of an operator on new orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PauseWord {
    /// New orders are stopped from here on; else they go on.
    pub paused: bool,
    /// Why.
    pub reason: String,
    /// When, by the wall clock of the node that was told.
    pub at: Wall,
}

/// A reply, and what was seen when the history could not be written.
pub(crate) type Told = (StoreReply, Option<Error>);

pub(crate) fn read(connection: &Connection) -> Result<Leadership> {
    connection.prepare_cached(statements::READ_LEADERSHIP)?.query_row([], |row| {
        Ok(Leadership {
            epoch: epoch_in(row, 0)?,
            holder: holder_in(row, 1)?,
            heartbeat_at: wall_in(row, 2)?,
            paused: pause_in(row, 3)?,
            pause_words: unsigned(row, 5)?,
        })
    })
}

/// The leadership, if it is not that of `holder` under `epoch`.
pub(crate) fn fence(connection: &Connection, epoch: Epoch, holder: &Holder) -> Result<Option<Leadership>> {
    let leadership = read(connection)?;
    let own = leadership.epoch == epoch && leadership.holder.as_ref() == Some(holder);
    Ok((!own).then_some(leadership))
}

pub(crate) fn open(connection: &Connection, expected: Epoch, holder: &Holder, at: Wall) -> Result<Told> {
    let opened = connection.prepare_cached(statements::OPEN_EPOCH)?.execute((
        epoch_out(expected),
        holder.as_str(),
        at.as_millis(),
    ))?;
    if opened == 0 {
        return Ok((StoreReply::Fenced(read(connection)?), None));
    }
    let epoch = expected.next();
    let untold = write_history(connection, |connection| {
        connection.prepare_cached(statements::CLOSE_HISTORY)?.execute((
            epoch_out(expected),
            at.as_millis(),
            format!("{holder} opened epoch {epoch}"),
        ))?;
        connection.prepare_cached(statements::OPEN_HISTORY)?.execute((
            epoch_out(epoch),
            holder.as_str(),
            at.as_millis(),
        ))?;
        Ok(())
    })?;
    Ok((StoreReply::Opened(epoch), untold))
}

/// The history is for people: what keeps it from being written is returned, undone, and keeps nothing else from being
/// committed.
fn write_history(connection: &Connection, write: impl FnOnce(&Connection) -> Result<()>) -> Result<Option<Error>> {
    connection.prepare_cached(statements::SAVEPOINT_HISTORY)?.execute([])?;
    let Err(untold) = write(connection) else {
        connection.prepare_cached(statements::RELEASE_HISTORY)?.execute([])?;
        return Ok(None);
    };
    if connection.is_autocommit() {
        // What kept it from being written has rolled everything back, as a disk that fails may.
        return Err(untold);
    }
    connection.prepare_cached(statements::ROLLBACK_HISTORY)?.execute([])?;
    connection.prepare_cached(statements::RELEASE_HISTORY)?.execute([])?;
    Ok(Some(untold))
}

/// Whether it was taken. One statement, which is its own commit.
pub(crate) fn beat(connection: &Connection, epoch: Epoch, holder: &Holder, at: Wall) -> Result<bool> {
    let told = connection.prepare_cached(statements::HEARTBEAT)?.execute((
        epoch_out(epoch),
        holder.as_str(),
        at.as_millis(),
    ))?;
    Ok(told == 1)
}

/// For when [`beat`] was not taken: within one commit, so that the leadership told is the one that refused it.
pub(crate) fn heartbeat(connection: &Connection, epoch: Epoch, holder: &Holder, at: Wall) -> Result<StoreReply> {
    if beat(connection, epoch, holder, at)? {
        Ok(StoreReply::Done)
    } else {
        Ok(StoreReply::Fenced(read(connection)?))
    }
}

pub(crate) fn vacate(connection: &Connection, epoch: Epoch, holder: &Holder, reason: &str, at: Wall) -> Result<Told> {
    let vacated = connection.prepare_cached(statements::VACATE)?.execute((epoch_out(epoch), holder.as_str()))?;
    if vacated == 0 {
        return Ok((StoreReply::Fenced(read(connection)?), None));
    }
    let untold = write_history(connection, |connection| {
        connection.prepare_cached(statements::CLOSE_HISTORY)?.execute((epoch_out(epoch), at.as_millis(), reason))?;
        Ok(())
    })?;
    Ok((StoreReply::Done, untold))
}

/// Taken or not, the leadership that this leaves behind is the answer.
pub(crate) fn set_pause(
    connection: &Connection,
    paused: bool,
    seen: u64,
    reason: &str,
    at: Wall,
) -> Result<StoreReply> {
    // A number that does not fit comes after none that was ever taken.
    if let Ok(number) = i64::try_from(seen.saturating_add(1)) {
        connection.prepare_cached(statements::SET_PAUSE)?.execute((number, paused, reason, at.as_millis()))?;
    }
    Ok(StoreReply::Leadership(read(connection)?))
}

/// Every word of operators on new orders, oldest first.
pub(crate) fn pauses(connection: &Connection) -> Result<Vec<PauseWord>> {
    connection
        .prepare_cached("SELECT paused, reason, at FROM pauses ORDER BY number")?
        .query_map([], |row| Ok(PauseWord { paused: row.get(0)?, reason: row.get(1)?, at: wall_in(row, 2)? }))?
        .collect()
}

/// All leaderships, oldest first.
pub(crate) fn history(connection: &Connection) -> Result<Vec<HistoryEntry>> {
    connection
        .prepare_cached("SELECT epoch, holder, opened_at, closed_at, reason FROM leadership_history ORDER BY epoch")?
        .query_map([], |row| {
            let closed_at: Option<i64> = row.get(3)?;
            let reason: Option<String> = row.get(4)?;
            Ok(HistoryEntry {
                epoch: epoch_in(row, 0)?,
                holder: Holder::new(row.get::<_, String>(1)?),
                opened_at: wall_in(row, 2)?,
                closed: closed_at.map(Wall::from_millis).zip(reason),
            })
        })?
        .collect()
}
