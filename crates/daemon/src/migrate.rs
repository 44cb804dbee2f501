//! `oncegate migrate`: an old store becomes one that this program can work with.

use std::path::{Path, PathBuf};

use oncegate_coordinator::{SystemClock, TcpConnect};
use oncegate_postgres_store::{PgError, PostgresConfig};
use oncegate_sqlite_store::{Db, DbError, schema};

use crate::Exit;
use crate::cli::ConfigFile;
use crate::config::StoreKind;
use crate::serve::parts::sqlite_path;
use crate::serve::{self, settings::settings};

/// Migrates the store of the config, or only says what that would do.
pub fn run(file: &ConfigFile, dry_run: bool) -> Exit {
    let (config, origin) = match serve::config(file) {
        Ok(read) => read,
        Err(wrong) => {
            wrong.iter().for_each(|wrong| eprintln!("error: {wrong}"));
            return Exit::Usage;
        }
    };
    let done = match config.store.kind {
        StoreKind::Sqlite => sqlite(&sqlite_path(&config, &origin), dry_run).map_err(|error| error.to_string()),
        StoreKind::Postgres => {
            let settings = match settings(&config, &origin) {
                Ok(settings) => settings,
                Err(wrong) => {
                    wrong.iter().for_each(|wrong| eprintln!("error: {wrong}"));
                    return Exit::Usage;
                }
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match (runtime, settings.postgres) {
                (Ok(runtime), Some(postgres)) => {
                    runtime.block_on(in_postgres(&postgres, dry_run)).map_err(|error| error.to_string())
                }
                (Err(error), _) => Err(format!("the runtime can't be started: {error}")),
                (Ok(_), None) => unreachable!("settings fetch what a database needs"),
            }
        }
    };
    match done {
        Ok(told) => {
            print!("{told}");
            Exit::Done
        }
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Refused
        }
    }
}

/// What was done, or would be, for people.
fn sqlite(path: &Path, dry_run: bool) -> Result<String, DbError> {
    let place = path.display();
    let found = Db::version(path)?;
    if found == 0 {
        return Ok(format!("{place}: nothing is there yet; `oncegate serve` makes it\n"));
    }
    if found == schema::NEWEST {
        return Ok(format!("{place}: version {found}, which is the newest: nothing to do\n"));
    }
    let steps: String = schema::migrations_after(found).iter().map(|(n, what)| format!("  to {n}: {what}\n")).collect();
    let newest = schema::NEWEST;
    if dry_run {
        return Ok(format!("{place}: version {found}, would become {newest}; nothing was done\n{steps}"));
    }
    let copy = copy_of(path, found);
    Db::copy_to(path, &copy)?;
    Db::open(path)?;
    Ok(format!("{place}: version {found} became {newest}; as it was it is kept in {}\n{steps}", copy.display()))
}

/// The same of a database, whose owner makes the copies.
async fn in_postgres(postgres: &PostgresConfig, dry_run: bool) -> Result<String, PgError> {
    let (connect, clock, place) = (TcpConnect, SystemClock, postgres.place());
    let newest = oncegate_postgres_store::schema::NEWEST;
    let found = oncegate_postgres_store::schema::version(postgres, &connect, &clock).await?;
    if found == newest {
        return Ok(format!("{place}: version {found}, which is the newest: nothing to do\n"));
    }
    let what = if found == 0 { "nothing is there yet".to_owned() } else { format!("version {found}") };
    if dry_run {
        return Ok(format!("{place}: {what}, would become version {newest}; nothing was done\n"));
    }
    oncegate_postgres_store::schema::migrate(postgres, &connect, &clock).await?;
    Ok(format!("{place}: {what}, became version {newest}\n"))
}

/// `oncegate.db.version-3`, and another name if that is taken: a copy is never written over.
fn copy_of(path: &Path, version: i64) -> PathBuf {
    let named = |end: String| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(end);
        path.with_file_name(name)
    };
    let first = named(format!(".version-{version}"));
    if !first.exists() {
        return first;
    }
    (2..).map(|n| named(format!(".version-{version}.{n}"))).find(|copy| !copy.exists()).unwrap_or(first)
}
