//! Who may act: one row that is never deleted, and the history beside it.

use futures_util::future::{join3, try_join};
use oncegate_protocol::{Epoch, Holder, Leadership, StoreReply, Wall};

use crate::error::Failure;
use crate::rows::{leadership_in, text_out, unsigned_out};
use crate::session::{Params, Session};
use crate::statements;

/// A reply, and what was seen when the history could not be written.
pub(crate) type Told = (StoreReply, Option<String>);

pub(crate) async fn read(session: &Session) -> Result<Leadership, Failure> {
    leadership_in(&session.query_one(statements::READ_LEADERSHIP, &[]).await?)
}

/// From tables of a version that knew of no pauses.
pub(crate) async fn read_old(session: &Session) -> Result<Leadership, Failure> {
    leadership_in(&session.query_one(statements::READ_OLD_LEADERSHIP, &[]).await?)
}

/// The leadership, if it is not that of `holder` under `epoch`. Who was fenced once is fenced for ever, so this may be
/// read after the statement that was refused.
pub(crate) async fn fence(session: &Session, epoch: Epoch, holder: &Holder) -> Result<Option<Leadership>, Failure> {
    let leadership = read(session).await?;
    let own = leadership.epoch == epoch && leadership.holder.as_ref() == Some(holder);
    Ok((!own).then_some(leadership))
}

pub(crate) async fn open(session: &Session, expected: Epoch, holder: &Holder, at: Wall) -> Result<Told, Failure> {
    const READY: [&str; 4] =
        [statements::OPEN_EPOCH, statements::READ_LEADERSHIP, statements::CLOSE_HISTORY, statements::OPEN_HISTORY];
    session.ready(&READY).await?;
    let (old, at) = (unsigned_out(expected.0), at.as_millis());
    let params: Params<'_> = &[&old, &holder.as_str(), &at];
    let ((), opened) =
        try_join(session.batch(statements::BEGIN), session.execute(statements::OPEN_EPOCH, params)).await?;
    if opened == 0 {
        let leadership = read(session).await?;
        session.batch(statements::COMMIT).await?;
        return Ok((StoreReply::Fenced(leadership), None));
    }
    let epoch = expected.next();
    let reason = format!("{holder} opened epoch {epoch}");
    let close: Params<'_> = &[&old, &at, &reason];
    let new = unsigned_out(epoch.0);
    let open: Params<'_> = &[&new, &holder.as_str(), &at];
    let untold = write_history(session, close, Some(open)).await?;
    session.batch(statements::COMMIT).await?;
    Ok((StoreReply::Opened(epoch), untold))
}

pub(crate) async fn heartbeat(
    session: &Session,
    epoch: Epoch,
    holder: &Holder,
    at: Wall,
) -> Result<StoreReply, Failure> {
    let params: Params<'_> = &[&unsigned_out(epoch.0), &holder.as_str(), &at.as_millis()];
    if session.execute(statements::HEARTBEAT, params).await? == 1 {
        Ok(StoreReply::Done)
    } else {
        Ok(StoreReply::Fenced(read(session).await?))
    }
}

pub(crate) async fn vacate(
    session: &Session,
    epoch: Epoch,
    holder: &Holder,
    reason: &str,
    at: Wall,
) -> Result<Told, Failure> {
    session.ready(&[statements::VACATE, statements::READ_LEADERSHIP, statements::CLOSE_HISTORY]).await?;
    let old = unsigned_out(epoch.0);
    let params: Params<'_> = &[&old, &holder.as_str()];
    let ((), vacated) = try_join(session.batch(statements::BEGIN), session.execute(statements::VACATE, params)).await?;
    if vacated == 0 {
        let leadership = read(session).await?;
        session.batch(statements::COMMIT).await?;
        return Ok((StoreReply::Fenced(leadership), None));
    }
    let close: Params<'_> = &[&old, &at.as_millis(), &text_out(reason)];
    let untold = write_history(session, close, None).await?;
    session.batch(statements::COMMIT).await?;
    Ok((StoreReply::Done, untold))
}

/// Taken or not, the leadership that this leaves behind is the answer.
pub(crate) async fn set_pause(
    session: &Session,
    paused: bool,
    seen: u64,
    reason: &str,
    at: Wall,
) -> Result<StoreReply, Failure> {
    // A number that does not fit comes after none that was ever taken.
    if let Ok(number) = i64::try_from(seen.saturating_add(1)) {
        let params: Params<'_> = &[&number, &paused, &text_out(reason), &at.as_millis()];
        session.execute(statements::SET_PAUSE, params).await?;
    }
    Ok(StoreReply::Leadership(read(session).await?))
}

/// Closes one entry of the history and perhaps opens the next. The history is for people: what keeps it from being
/// written is returned, undone, and keeps nothing else from being committed.
async fn write_history(
    session: &Session,
    close: Params<'_>,
    open: Option<Params<'_>>,
) -> Result<Option<String>, Failure> {
    let opening = async {
        match open {
            Some(open) => session.execute(statements::OPEN_HISTORY, open).await,
            None => Ok(0),
        }
    };
    let closing = session.execute(statements::CLOSE_HISTORY, close);
    let (saved, closed, opened) = join3(session.batch(statements::SAVEPOINT_HISTORY), closing, opening).await;
    saved?;
    let Err(failure) = closed.and(opened) else { return Ok(None) };
    match failure {
        Failure::Sql(error) if error.as_db_error().is_some() => {
            session.batch(statements::ROLLBACK_HISTORY).await?;
            Ok(error.as_db_error().map(|seen| seen.message().to_owned()))
        }
        failure => Err(failure),
    }
}
