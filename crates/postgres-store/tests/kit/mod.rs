//! What the tests of this crate share: a server, a schema in it, and a look beneath the store.

#![allow(dead_code, clippy::unwrap_used)] // Each test binary uses some of it.

use std::sync::Arc;

use oncegate_coordinator::{Clock, Connect, SignalStore, SystemClock, TcpConnect};
use oncegate_postgres_store::{PostgresConfig, PostgresLease, PostgresStore, schema};
use oncegate_protocol::{StoreCall, StoreReply};
use oncegate_store_conformance::PostgresServer;
use oncegate_store_conformance::postgres_server::{DATABASE, USER};

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

pub(crate) fn connect() -> Arc<dyn Connect> {
    Arc::new(TcpConnect)
}

pub(crate) fn config(server: &PostgresServer) -> PostgresConfig {
    PostgresConfig::new(&server.peer, USER, DATABASE)
}

/// The same, in a schema of one's own.
pub(crate) fn config_in(server: &PostgresServer, schema: &str) -> PostgresConfig {
    PostgresConfig { schema: schema.into(), ..config(server) }
}

pub(crate) async fn migrate(config: &PostgresConfig) -> i64 {
    schema::migrate(config, &TcpConnect, &SystemClock).await.unwrap()
}

pub(crate) async fn open(config: &PostgresConfig) -> PostgresStore {
    PostgresStore::open(config.clone(), connect(), clock()).await.unwrap()
}

pub(crate) async fn lease(config: &PostgresConfig) -> PostgresLease {
    PostgresLease::open(config.clone(), connect(), clock()).await.unwrap()
}

/// A new store in a schema of that name.
pub(crate) async fn new_store(server: &PostgresServer, schema: &str) -> PostgresStore {
    let config = config_in(server, schema);
    migrate(&config).await;
    open(&config).await
}

/// A session beneath the store, in its schema, as an operator at the `psql` prompt has it.
pub(crate) async fn psql(config: &PostgresConfig) -> tokio_postgres::Client {
    let (host, port) = config.peers[0].rsplit_once(':').unwrap();
    let mut library = tokio_postgres::Config::new();
    library.host(host).port(port.parse().unwrap()).user(&config.user).dbname(&config.database);
    library.options(format!("-c search_path=\"{}\"", config.schema));
    let (client, connection) = library.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// One cell of the first row, as text.
pub(crate) async fn text(client: &tokio_postgres::Client, sql: &str) -> String {
    for message in client.simple_query(sql).await.unwrap() {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
            return row.get(0).unwrap_or("").to_owned();
        }
    }
    panic!("no row: {sql}")
}

pub(crate) async fn ask(store: &dyn SignalStore, call: StoreCall) -> StoreReply {
    store.call(call).await.unwrap()
}

pub(crate) async fn ask_all(store: &dyn SignalStore, calls: impl IntoIterator<Item = StoreCall>) {
    for call in calls {
        ask(store, call).await;
    }
}
