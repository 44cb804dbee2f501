//! One signed-in session: statements that are prepared when first needed and kept for as long as it lasts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

use crate::error::Failure;

/// What a statement is given.
pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Answers come only while the link of this session is driven.
///
/// Calls may be joined: they reach the server in the order in which their futures are first polled, which is the
/// order in which `futures_util`'s joins list them, as long as every statement was made [`Session::ready`] before.
pub(crate) struct Session {
    client: Client,
    /// A new session begins without any: that is how statements outlive a connection.
    prepared: Mutex<BTreeMap<&'static str, Statement>>,
}

impl Session {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, prepared: Mutex::default() }
    }

    fn known(&self, sql: &'static str) -> Option<Statement> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    async fn statement(&self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(statement) = self.known(sql) {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, statement.clone());
        Ok(statement)
    }

    /// Prepares what is not prepared yet, all at once.
    pub(crate) async fn ready(&self, statements: &[&'static str]) -> Result<(), Error> {
        if statements.iter().all(|sql| self.known(sql).is_some()) {
            return Ok(());
        }
        try_join_all(statements.iter().map(|sql| self.statement(sql))).await.map(drop)
    }

    /// How many rows it changed.
    pub(crate) async fn execute(&self, sql: &'static str, params: Params<'_>) -> Result<u64, Failure> {
        Ok(self.client.execute(&self.statement(sql).await?, params).await?)
    }

    pub(crate) async fn query(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        Ok(self.client.query(&self.statement(sql).await?, params).await?)
    }

    /// The first row, if there is one.
    pub(crate) async fn query_opt(&self, sql: &'static str, params: Params<'_>) -> Result<Option<Row>, Failure> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    pub(crate) async fn query_one(&self, sql: &'static str, params: Params<'_>) -> Result<Row, Failure> {
        let row = self.query_opt(sql, params).await?;
        row.ok_or_else(|| Failure::Unreadable(format!("no row where there is always one: {sql}")))
    }

    /// Statements without parameters or rows, as they stand: `BEGIN`, `COMMIT`, migrations.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// The first row of a statement that is not worth preparing, as text.
    pub(crate) async fn text_row(&self, sql: &str) -> Result<Vec<Option<String>>, Failure> {
        for message in self.client.simple_query(sql).await? {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                return Ok((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect());
            }
        }
        Err(Failure::Unreadable(format!("no row where there is always one: {sql}")))
    }

    /// Whether the server still answers.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        self.client.check_connection().await
    }
}
