//! Whose tables these are, of which version, and how older ones become the newest.
//!
//! A row of `oncegate_version` says how many migrations the schema has been through; it changes in the same commit as
//! the tables. Migrating is something that an operator does, never something that starting does.

use std::sync::atomic::AtomicUsize;

use oncegate_coordinator::ports::{BoxFuture, Clock, Connect};

use crate::config::PostgresConfig;
use crate::error::{Failure, PgError};
use crate::link::{Access, Link, drive};
use crate::session::Session;

/// In order; tables of version n have been through the first n. Released ones are never edited.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_core.sql"),
    include_str!("migrations/0002_history_and_lease.sql"),
    include_str!("migrations/0003_pauses.sql"),
    include_str!("migrations/0004_legs.sql"),
];

/// From this version on operators can stop new orders.
pub(crate) const KNOWS_PAUSES: i64 = 3;

/// The version that this oncegate reads and writes.
pub const NEWEST: i64 = MIGRATIONS.len() as i64;

const VERSION_TABLE: &str = "\
CREATE TABLE IF NOT EXISTS oncegate_version (id integer PRIMARY KEY CHECK (id = 1), version bigint NOT NULL);";

/// Waiting for others who migrate, or for a last commit of an oncegate that is being stopped.
const PATIENCE: &str = "SET statement_timeout = 0; SET lock_timeout = '10s'; SET client_min_messages = warning";

/// The version of the tables that `config` leads to; zero when there is nothing yet. Writes nothing.
///
/// # Errors
/// [`PgError::NewerVersion`], [`PgError::NotOurs`], [`PgError::NotConnected`].
pub async fn version(config: &PostgresConfig, connect: &dyn Connect, clock: &dyn Clock) -> Result<i64, PgError> {
    config.validate()?;
    let mut link = Link::open(config, &AtomicUsize::new(0), Access::Reads, connect, clock, &[], None).await?;
    let found = drive(&mut link.bytes, read_version(&config.schema)(&link.session)).await;
    known(found.map_err(|failure| failure.at("read the version", config.place()))?, config)
}

/// Brings the tables to the newest version, all of it or nothing, and says from which they came. Creates the schema if
/// it is not there. Several at once wait for one another.
///
/// # Errors
/// Those of [`version`]; [`PgError::NotDurable`]; [`PgError::Sql`] when the role may not, or a lock was not to be had
/// within ten seconds.
pub async fn migrate(config: &PostgresConfig, connect: &dyn Connect, clock: &dyn Clock) -> Result<i64, PgError> {
    migrate_to(config, connect, clock, MIGRATIONS.len()).await
}

/// As an oncegate left it that knew only the first `count` migrations; for tests of what comes after it.
#[doc(hidden)]
pub async fn migrate_to(
    config: &PostgresConfig,
    connect: &dyn Connect,
    clock: &dyn Clock,
    count: usize,
) -> Result<i64, PgError> {
    migrate_with(config, connect, clock, &MIGRATIONS[..count]).await
}

pub(crate) async fn migrate_with(
    config: &PostgresConfig,
    connect: &dyn Connect,
    clock: &dyn Clock,
    migrations: &[&str],
) -> Result<i64, PgError> {
    config.validate()?;
    let mut link = Link::open(config, &AtomicUsize::new(0), Access::Writes, connect, clock, &[], None).await?;
    let failed = |failure: Failure| failure.at("migrate the store", config.place());
    let schema = &config.schema;
    let begin = format!("{PATIENCE}; BEGIN; SELECT pg_advisory_xact_lock(hashtext('oncegate migrate {schema}'))");
    drive(&mut link.bytes, link.session.batch(&begin)).await.map_err(failed)?;
    let found = drive(&mut link.bytes, read_version(schema)(&link.session)).await.map_err(failed)?;
    let present = known(found, config)?;
    let mut sql = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"; {VERSION_TABLE}");
    for (migration, number) in migrations.iter().zip(1_i64..) {
        if number > present {
            sql.push_str(migration);
        }
    }
    let newest = (migrations.len() as i64).max(present);
    sql.push_str(&format!(
        "INSERT INTO oncegate_version (id, version) VALUES (1, {newest})
         ON CONFLICT (id) DO UPDATE SET version = excluded.version;"
    ));
    if newest > present {
        drive(&mut link.bytes, link.session.batch(&sql)).await.map_err(failed)?;
    }
    drive(&mut link.bytes, link.session.batch("COMMIT")).await.map_err(failed)?;
    Ok(present)
}

/// Reads the version on a session; none when the tables there are not ours.
pub(crate) fn read_version(
    schema: &str,
) -> impl for<'a> FnOnce(&'a Session) -> BoxFuture<'a, Result<Option<i64>, Failure>> + use<> {
    // The name is made of letters, digits and underscores, the configuration sees to it; it may be a word of SQL.
    let look = format!(
        "SELECT (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                 WHERE n.nspname = '{schema}'),
                to_regclass('\"{schema}\".oncegate_version') IS NOT NULL"
    );
    let read = format!("SELECT version FROM \"{schema}\".oncegate_version WHERE id = 1");
    move |session| {
        Box::pin(async move {
            let row = session.text_row(&look).await?;
            match (row[0].as_deref(), row[1].as_deref()) {
                (_, Some("t")) => Ok(session.text_row(&read).await?[0].as_deref().and_then(|v| v.parse().ok())),
                (Some("0"), _) => Ok(Some(0)),
                _ => Ok(None),
            }
        })
    }
}

/// The version, if it is one of ours that this oncegate can read.
pub(crate) fn known(found: Option<i64>, config: &PostgresConfig) -> Result<i64, PgError> {
    match found {
        Some(version) if version > NEWEST => {
            Err(PgError::NewerVersion { place: config.place(), found: version, known: NEWEST })
        }
        Some(version) => Ok(version),
        None => Err(PgError::NotOurs {
            place: config.place(),
            found: format!("schema {} holds tables, and none that says its version", config.schema),
        }),
    }
}

pub(crate) fn must_be_newest(found: Option<i64>, config: &PostgresConfig) -> Result<(), PgError> {
    match known(found, config)? {
        NEWEST => Ok(()),
        older => Err(PgError::OlderVersion { place: config.place(), found: older, known: NEWEST }),
    }
}
