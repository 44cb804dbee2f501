//! One client's session.
//!
//! ```text
//!  idle --BEGIN--> open --first statement, when its turn has come--> working --COMMIT, ROLLBACK--> idle
//!                   |                                                 |   \--a statement is refused--> failed
//!                   \------------------ the stream ends, or idle for too long: rolled back <------------/
//! ```

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Sink, SinkExt, StreamExt, stream};
use oncegate_coordinator::Clock;
use oncegate_coordinator::timeout::until;
use oncegate_postgres_store::schema::NEWEST;
use pgwire::api::auth::{StartupHandler, protocol_negotiation};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{FieldFormat, FieldInfo, QueryResponse, Response, Tag};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, DefaultClient, NoopHandler, PgWireConnectionState, Type as PgType};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::data::DataRow;
use pgwire::messages::response::{NotificationResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::server::{PgWireMessageServerCodec, process_error, process_message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::codec::Framed;

use super::corked::Corked;
use super::dialect::{self, About, Known, Type};
use super::server::{After, Came, Hook, Refused, Server};
use crate::world::locked;

/// What PostgreSQL says of itself, as far as a client wants to know.
const PARAMETERS: [(&str, &str); 4] = [
    ("client_encoding", "UTF8"),
    ("integer_datetimes", "on"),
    ("server_version", "17.0"),
    ("standard_conforming_strings", "on"),
];

/// Serves one client until it leaves, or is left.
pub async fn serve<S>(stream: S, server: Arc<Server>, hook: Arc<dyn Hook>, clock: Arc<dyn Clock>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
{
    let number = server.next_session();
    let (notify, mut news) = unbounded_channel();
    let state = Mutex::new(State::new(&server, number, notify));
    let backend = Arc::new(Backend { server, hook, clock: Arc::clone(&clock), number, state });
    let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let mut socket = Framed::new(Corked::new(stream), PgWireMessageServerCodec::new(DefaultClient::new(nobody, false)));
    socket.set_state(PgWireConnectionState::AwaitingStartup);
    let none = Arc::new(NoopHandler);
    loop {
        let (open, patience) = {
            let state = locked(&backend.state);
            (state.open, state.timeouts.idle_in_transaction)
        };
        let idle = async {
            if open {
                clock.sleep_until(clock.now().mono.plus(patience)).await;
            } else {
                pending().await
            }
        };
        let message = tokio::select! {
            biased;
            message = socket.next() => message,
            Some(channel) = news.recv(), if !open => {
                let pid = i32::try_from(number).unwrap_or(i32::MAX);
                let told = NotificationResponse::new(pid, channel, String::new());
                // Sent by the next look for input.
                if socket.feed(PgWireBackendMessage::NotificationResponse(told)).await.is_err() {
                    return;
                }
                // A codec's buffer is not the stream's.
                if SinkExt::<PgWireBackendMessage>::flush(&mut socket).await.is_err() {
                    return;
                }
                continue;
            }
            () = idle => {
                let why = Refused::new("25P03", "terminating connection due to idle-in-transaction timeout");
                let _ = process_error(&mut socket, fatal(why), false).await;
                let _ = socket.get_mut().send().await;
                return;
            }
        };
        let Some(Ok(message)) = message else { return };
        if matches!(message, PgWireFrontendMessage::Terminate(_)) {
            return;
        }
        let extended = message.is_extended_query();
        let (a, q, e) = (Arc::clone(&backend), Arc::clone(&backend), Arc::clone(&backend));
        let done = process_message(message, &mut socket, a, q, e, Arc::clone(&none), Arc::clone(&none)).await;
        if locked(&backend.state).hung_up {
            return;
        }
        if let Err(error) = done {
            let ends = error.is_fatal();
            if process_error(&mut socket, error, extended).await.is_err() || ends {
                let _ = socket.get_mut().send().await;
                return;
            }
        }
    }
}

/// A session between two messages.
struct State {
    server: Arc<Server>,
    number: u64,
    notify: UnboundedSender<String>,
    timeouts: Timeouts,
    /// In a transaction.
    open: bool,
    /// Which only reads.
    reads_only: bool,
    /// A statement of it was refused.
    failed: bool,
    /// It has worked on the tables.
    turn: Option<OwnedSemaphorePermit>,
    hung_up: bool,
}

impl State {
    fn new(server: &Arc<Server>, number: u64, notify: UnboundedSender<String>) -> Self {
        Self {
            server: Arc::clone(server),
            number,
            notify,
            timeouts: Timeouts::default(),
            open: false,
            reads_only: false,
            failed: false,
            turn: None,
            hung_up: false,
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.server.forget(self.number);
        if self.turn.is_some() {
            let _ = self.server.end(false);
        }
    }
}

/// For how long a session waits; as PostgreSQL, for ever if nothing is said.
#[derive(Clone, Copy)]
struct Timeouts {
    lock: Duration,
    idle_in_transaction: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let for_ever = Duration::from_secs(365 * 24 * 3600);
        Self { lock: for_ever, idle_in_transaction: for_ever }
    }
}

impl Timeouts {
    /// From `-c name=value` options.
    fn from_options(options: &str) -> Self {
        let set: BTreeMap<&str, &str> = options.split(' ').filter_map(|word| word.split_once('=')).collect();
        let millis = |name: &str| Some(Duration::from_millis(set.get(name)?.parse().ok()?));
        let default = Self::default();
        Self {
            lock: millis("lock_timeout").unwrap_or(default.lock),
            idle_in_transaction: millis("idle_in_transaction_session_timeout").unwrap_or(default.idle_in_transaction),
        }
    }
}

/// The handlers of one session.
struct Backend {
    server: Arc<Server>,
    hook: Arc<dyn Hook>,
    clock: Arc<dyn Clock>,
    number: u64,
    state: Mutex<State>,
}

impl Backend {
    /// This session's turn with the tables: its own already, or for this statement, or until the transaction's end.
    async fn turn(&self) -> Result<Option<OwnedSemaphorePermit>, Refused> {
        let (open, reads_only, has, patience) = {
            let state = locked(&self.state);
            (state.open, state.reads_only, state.turn.is_some(), state.timeouts.lock)
        };
        if has {
            return Ok(None);
        }
        let deadline = self.clock.now().mono.plus(patience);
        let waiting = Arc::clone(&self.server.turn).acquire_owned();
        let turn = until(&*self.clock, deadline, waiting).await;
        let turn = turn.ok_or_else(|| Refused::new("55P03", "canceling statement due to lock timeout"))?;
        let turn = turn.expect("the semaphore is never closed");
        if !open {
            return Ok(Some(turn));
        }
        if !reads_only {
            self.server.begin();
        }
        locked(&self.state).turn = Some(turn);
        Ok(None)
    }

    async fn perform(&self, known: &Known, parameters: &[Option<Bytes>]) -> Result<Came, Refused> {
        let about = known.form.about;
        if locked(&self.state).failed {
            return Err(aborted());
        }
        let performed = async {
            if about.writes() && locked(&self.state).reads_only {
                return Err(Refused::new("25006", "cannot change rows in a read-only transaction"));
            }
            self.hook.before(about).await?;
            let turn = self.turn().await?;
            Ok((self.server.perform(known, parameters)?, turn))
        };
        let (came, turn) = match performed.await {
            Ok(performed) => performed,
            Err(refused) => {
                let mut state = locked(&self.state);
                state.failed = state.open;
                return Err(refused);
            }
        };
        let count = match &came {
            Came::Changed(rows) => *rows as u64,
            Came::Rows(rows) if about == About::WhetherOwed => u64::from(rows == &[vec![Some(vec![1])]]),
            Came::Rows(rows) => rows.len() as u64,
        };
        let open = locked(&self.state).open;
        let after = self.hook.after(about, count, open);
        drop(turn);
        self.mind(after);
        Ok(came)
    }

    fn mind(&self, after: After) {
        if after == After::HangUp {
            locked(&self.state).hung_up = true;
        }
    }

    fn end(&self, commit: bool) -> Result<Response, Refused> {
        let (worked, failed) = {
            let mut state = locked(&self.state);
            (state.turn.is_some(), std::mem::take(&mut state.failed))
        };
        let commit = commit && !failed;
        if worked {
            self.server.end(commit)?;
        }
        let after = if commit && worked { self.hook.committed() } else { After::Answer };
        let turn = {
            let mut state = locked(&self.state);
            (state.open, state.reads_only) = (false, false);
            state.turn.take()
        };
        drop(turn);
        self.mind(after);
        Ok(Response::TransactionEnd(Tag::new(if commit { "COMMIT" } else { "ROLLBACK" })))
    }

    /// What a simple query asks for, which is what is not worth preparing.
    fn simple(&self, sql: &str) -> Result<Response, Refused> {
        let text = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let failed = locked(&self.state).failed;
        match text.as_str() {
            "COMMIT" => return self.end(true),
            "ROLLBACK" => return self.end(false),
            "ROLLBACK TO SAVEPOINT history" => {
                self.server.batch(&text)?;
                locked(&self.state).failed = false;
                return Ok(Response::TransactionStart(Tag::new("ROLLBACK")));
            }
            _ if failed => return Err(aborted()),
            "BEGIN" | "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" => {
                let mut state = locked(&self.state);
                (state.open, state.reads_only) = (true, text.ends_with(" READ ONLY"));
                return Ok(Response::TransactionStart(Tag::new("BEGIN")));
            }
            "SAVEPOINT history" => {
                self.server.batch(&text)?;
                return Ok(Response::Execution(Tag::new("SAVEPOINT")));
            }
            _ => {}
        }
        if let Some(channel) = text.strip_prefix("LISTEN ") {
            let notify = locked(&self.state).notify.clone();
            self.server.listen(self.number, channel.to_owned(), notify);
            return Ok(Response::Execution(Tag::new("LISTEN")));
        }
        if text.starts_with("SELECT current_setting('synchronous_commit'), current_setting('fsync'),") {
            return Ok(text_row(&["on", "on", "", "false"]));
        }
        // The tables are there, and of the newest version.
        if text.starts_with("SELECT (SELECT count(*) FROM pg_class AS c JOIN pg_namespace") {
            return Ok(text_row(&["9", "t"]));
        }
        if text.starts_with("SELECT version FROM ") && text.ends_with(".oncegate_version WHERE id = 1") {
            return Ok(text_row(&[&NEWEST.to_string()]));
        }
        Err(self.server.refuse(&text))
    }
}

fn aborted() -> Refused {
    Refused::new("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}

fn error(refused: Refused) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".into(), refused.code.into(), refused.message)))
}

fn fatal(refused: Refused) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".into(), refused.code.into(), refused.message)))
}

fn data_row(cells: &[Option<Vec<u8>>]) -> DataRow {
    let mut data = BytesMut::new();
    for cell in cells {
        match cell {
            Some(bytes) => {
                data.put_i32(i32::try_from(bytes.len()).expect("cells are short"));
                data.put_slice(bytes);
            }
            None => data.put_i32(-1),
        }
    }
    DataRow::new(data, i16::try_from(cells.len()).expect("rows are short"))
}

fn response(fields: Vec<FieldInfo>, rows: Vec<DataRow>) -> Response {
    Response::Query(QueryResponse::new(Arc::new(fields), stream::iter(rows.into_iter().map(Ok))))
}

fn text_row(cells: &[&str]) -> Response {
    let field = |at| FieldInfo::new(format!("column{at}"), None, None, PgType::TEXT, FieldFormat::Text);
    let row: Vec<_> = cells.iter().map(|cell| Some(cell.as_bytes().to_vec())).collect();
    response((1..=cells.len()).map(field).collect(), vec![data_row(&row)])
}

fn of_postgres(of: Type) -> PgType {
    match of {
        Type::Int8 => PgType::INT8,
        Type::Text => PgType::TEXT,
        Type::Bytea => PgType::BYTEA,
        Type::Bool => PgType::BOOL,
        Type::Void => PgType::VOID,
    }
}

fn fields(known: &Known) -> Vec<FieldInfo> {
    let field = |(at, of): (usize, &Type)| {
        FieldInfo::new(format!("column{}", at + 1), None, None, of_postgres(*of), FieldFormat::Binary)
    };
    known.form.columns.iter().enumerate().map(field).collect()
}

#[async_trait]
impl StartupHandler for Backend {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let PgWireFrontendMessage::Startup(startup) = message else {
            return Err(error(self.server.refuse("a message before the first")));
        };
        protocol_negotiation(client, &startup).await?;
        if let Some(options) = startup.parameters.get("options") {
            locked(&self.state).timeouts = Timeouts::from_options(options);
        }
        client.feed(PgWireBackendMessage::Authentication(Authentication::Ok)).await?;
        for (name, value) in PARAMETERS {
            let parameter = ParameterStatus::new(name.into(), value.into());
            client.feed(PgWireBackendMessage::ParameterStatus(parameter)).await?;
        }
        let pid = i32::try_from(self.number).unwrap_or(i32::MAX);
        let key = BackendKeyData::new(pid, SecretKey::I32(0));
        client.feed(PgWireBackendMessage::BackendKeyData(key)).await?;
        client.send(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle))).await?;
        client.set_state(PgWireConnectionState::ReadyForQuery);
        Ok(())
    }
}

#[async_trait]
impl SimpleQueryHandler for Backend {
    async fn do_query<C>(&self, _client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self.simple(query).map(|response| vec![response]).map_err(error)
    }
}

#[async_trait]
impl ExtendedQueryHandler for Backend {
    type Statement = Known;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Parser> {
        Arc::new(Parser(Arc::clone(&self.server)))
    }

    async fn do_query<C>(&self, _client: &mut C, portal: &Portal<Known>, _max_rows: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Known>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let known = &portal.statement.statement;
        let binary = |format: &Format, count: usize| (0..count).all(|at| format.is_binary(at));
        if !binary(&portal.parameter_format, portal.parameters.len())
            || !binary(&portal.result_column_format, known.form.columns.len())
        {
            return Err(error(self.server.refuse("values as text")));
        }
        match self.perform(known, &portal.parameters).await.map_err(error)? {
            Came::Changed(rows) => {
                let tag = if known.sql.starts_with("INSERT") { "INSERT 0" } else { "UPDATE" };
                Ok(Response::Execution(Tag::new(tag).with_rows(rows)))
            }
            Came::Rows(rows) => Ok(response(fields(known), rows.iter().map(|row| data_row(row)).collect())),
        }
    }
}

/// Knows the store's statements.
struct Parser(Arc<Server>);

#[async_trait]
impl QueryParser for Parser {
    type Statement = Known;

    async fn parse_sql<C>(&self, _client: &C, sql: &str, _types: &[Option<PgType>]) -> PgWireResult<Option<Known>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        dialect::known(sql).map(Some).ok_or_else(|| error(self.0.refuse(sql)))
    }

    fn get_parameter_types(&self, known: &Known) -> PgWireResult<Vec<PgType>> {
        Ok(known.form.parameters.iter().map(|of| of_postgres(*of)).collect())
    }

    fn get_result_schema(&self, known: &Known, _format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        Ok(fields(known))
    }
}
