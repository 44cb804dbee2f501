//! One client's connection: RESP in and out, and the hook through which a world watches and disturbs it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::command::Session;
use super::model::{Message, RedisModel};
use super::scripts::Script;
use super::wire::{Reply, request};

/// One command as a world sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommandSummary<'a> {
    /// The connection's number on this server, from 1.
    pub connection: u64,
    /// The command in lower case: `eval`, `subscribe` ...
    pub name: &'a str,
    /// For a known script its name: `acquire`, `renew`, `release` or `read`.
    pub script: Option<&'static str>,
    /// The key (or channel) that it is about.
    pub key: Option<&'a str>,
    /// For a known script the holder that asks.
    pub holder: Option<&'a str>,
}

impl fmt::Display for CommandSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.script.unwrap_or(self.name))?;
        for word in [self.key, self.holder].into_iter().flatten() {
            write!(f, " {word}")?;
        }
        Ok(())
    }
}

/// What becomes of a command.
pub enum Disposition {
    /// It is carried out and answered.
    Perform,
    /// It is carried out and answered, once this is ready.
    PerformAfter(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// It is carried out, but neither its reply nor anything after it ever reaches this client: to a client,
    /// a reply cannot be missing and a later one come.
    PerformButDropReply,
    /// It is carried out, and the connection closed instead of answering.
    PerformThenClose,
    /// It is not carried out, and answered with this error, its code first.
    Refuse(String),
    /// It is not carried out, and the connection closed.
    Close,
}

/// What a world sees of a server's work, and how it may disturb it. No lock is held meanwhile.
pub trait Hook: Send + Sync {
    /// A command has arrived.
    fn before(&self, _command: &CommandSummary<'_>) -> Disposition {
        Disposition::Perform
    }

    /// A command was carried out, with this result, whether or not anybody will learn of it.
    fn after(&self, _command: &CommandSummary<'_>, _result: &Reply) {}
}

/// Looks at nothing, disturbs nothing.
impl Hook for () {}

impl<T: Hook + ?Sized> Hook for Arc<T> {
    fn before(&self, command: &CommandSummary<'_>) -> Disposition {
        (**self).before(command)
    }

    fn after(&self, command: &CommandSummary<'_>, result: &Reply) {
        (**self).after(command, result);
    }
}

/// Serves one client until it or the hook closes the connection. `now_ms` reads the server's wall clock.
/// Dropped halfway it leaves the model whole: a command is carried out in one go or not at all.
///
/// # Errors
/// Those of the stream.
pub async fn serve<S>(
    stream: S,
    model: Arc<Mutex<RedisModel>>,
    now_ms: impl Fn() -> u64,
    hook: impl Hook,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = Client::new(stream, model);
    loop {
        loop {
            match request(&mut client.input) {
                Ok(None) => break,
                Ok(Some(words)) if words.is_empty() => {}
                Ok(Some(words)) => {
                    if client.handle(&words, &now_ms, &hook).await == Next::Close {
                        return client.flush().await;
                    }
                }
                Err(_) => {
                    lock(&client.model).refuse("something that is not a RESP request".into());
                    client.say(&Reply::error("ERR Protocol error: not in the simulated Redis"));
                    return client.flush().await;
                }
            }
        }
        client.flush().await?;
        tokio::select! {
            biased;
            message = client.messages.recv() => if let Some(message) = message {
                client.tell(message);
            },
            read = client.stream.read_buf(&mut client.input) => if read? == 0 {
                return Ok(());
            },
        }
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    Close,
}

/// Disconnects from the model when dropped.
struct Client<S> {
    stream: S,
    model: Arc<Mutex<RedisModel>>,
    session: Session,
    messages: UnboundedReceiver<Message>,
    input: BytesMut,
    output: BytesMut,
    /// Nothing reaches this client any more.
    muted: bool,
}

impl<S> Drop for Client<S> {
    fn drop(&mut self) {
        lock(&self.model).disconnect(self.session.connection);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S, model: Arc<Mutex<RedisModel>>) -> Self {
        let (sender, messages) = unbounded_channel();
        let session = {
            let mut model = lock(&model);
            let connection = model.connect(sender);
            Session::new(connection, &model)
        };
        let (input, output) = (BytesMut::with_capacity(1024), BytesMut::new());
        Self { stream, model, session, messages, input, output, muted: false }
    }

    async fn handle(&mut self, words: &[Bytes], now_ms: &impl Fn() -> u64, hook: &impl Hook) -> Next {
        let name = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
        let command = summary(self.session.connection, &name, words);
        let next = match hook.before(&command) {
            Disposition::Perform => Next::GoOn,
            Disposition::PerformAfter(ready) => {
                ready.await;
                Next::GoOn
            }
            Disposition::PerformButDropReply => {
                self.muted = true;
                Next::GoOn
            }
            Disposition::PerformThenClose => {
                self.muted = true;
                Next::Close
            }
            Disposition::Refuse(error) => {
                self.say(&Reply::Error(error));
                return Next::GoOn;
            }
            Disposition::Close => return Next::Close,
        };
        let reply = self.session.perform(&name, words, &mut lock(&self.model), now_ms());
        hook.after(&command, &reply);
        // As Redis has it: who publishes to itself hears the message before it is told to how many it went.
        while let Ok(message) = self.messages.try_recv() {
            self.tell(message);
        }
        self.say(&reply);
        next
    }

    fn tell(&mut self, Message { channel, payload }: Message) {
        self.say(&Reply::Push(vec![Reply::text("message"), Reply::Bulk(channel), Reply::Bulk(payload)]));
    }

    fn say(&mut self, reply: &Reply) {
        if !self.muted {
            reply.encode(self.session.resp3, &mut self.output);
        }
    }

    /// Everything said since, in one write.
    async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }
}

fn summary<'a>(connection: u64, name: &'a str, words: &'a [Bytes]) -> CommandSummary<'a> {
    let word = |index: usize| words.get(index).and_then(|word| std::str::from_utf8(word).ok());
    let script = if name == "eval" { words.get(1).and_then(|text| Script::of(text)) } else { None };
    CommandSummary {
        connection,
        name,
        script: script.map(Script::name),
        key: match name {
            "eval" => script.and(word(3)),
            "get" | "set" | "del" | "pttl" | "pexpire" | "lpush" | "subscribe" | "publish" => word(1),
            _ => None,
        },
        holder: script.filter(|script| script.arguments() > 0).and_then(|script| word(3 + script.keys())),
    }
}

fn lock(model: &Mutex<RedisModel>) -> MutexGuard<'_, RedisModel> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use oncegate_redis_lease::scripts;
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;

    type Decide = Box<dyn Fn(&CommandSummary<'_>) -> Disposition + Send + Sync>;

    /// Decides as told, and writes down what it sees.
    struct Notes {
        decide: Decide,
        seen: Mutex<Vec<String>>,
    }

    impl Hook for Notes {
        fn before(&self, command: &CommandSummary<'_>) -> Disposition {
            (self.decide)(command)
        }

        fn after(&self, command: &CommandSummary<'_>, result: &Reply) {
            self.seen.lock().unwrap().push(format!("{}: {command}: {result}", command.connection));
        }
    }

    struct World {
        model: Arc<Mutex<RedisModel>>,
        notes: Arc<Notes>,
    }

    impl World {
        fn new(decide: impl Fn(&CommandSummary<'_>) -> Disposition + Send + Sync + 'static) -> Self {
            let notes = Notes { decide: Box::new(decide), seen: Mutex::default() };
            Self { model: Arc::default(), notes: Arc::new(notes) }
        }

        fn client(&self) -> (DuplexStream, JoinHandle<io::Result<()>>) {
            let (near, far) = duplex(1024);
            (near, tokio::spawn(serve(far, self.model.clone(), || 1_000, self.notes.clone())))
        }

        fn seen(&self) -> Vec<String> {
            self.notes.seen.lock().unwrap().clone()
        }
    }

    async fn send(client: &mut DuplexStream, words: &[&str]) {
        let rest: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        client.write_all(format!("*{}\r\n{rest}", words.len()).as_bytes()).await.unwrap();
    }

    /// What comes in one piece; empty when the connection was closed.
    async fn hear(client: &mut DuplexStream) -> String {
        let mut heard = vec![0; 1024];
        let count = client.read(&mut heard).await.unwrap();
        String::from_utf8(heard[..count].to_vec()).unwrap()
    }

    const ACQUIRE: [&str; 7] = ["EVAL", scripts::ACQUIRE, "2", "lease", "lease:epoch", "a:1:1", "500"];

    #[tokio::test]
    async fn a_world_sees_what_was_done_and_by_whom() {
        let world = World::new(|_| Disposition::Perform);
        let (mut one, _served) = world.client();
        let (mut two, _served) = world.client();
        send(&mut one, &ACQUIRE).await;
        assert_eq!(hear(&mut one).await, "*3\r\n$5\r\na:1:1\r\n:500\r\n$-1\r\n");
        send(&mut two, &["EVAL", scripts::READ, "1", "lease"]).await;
        hear(&mut two).await;
        send(&mut two, &["PING"]).await;
        hear(&mut two).await;
        let expected = ["1: acquire lease a:1:1: [a:1:1, 500, nil]", "2: read lease: [a:1:1, 500]", "2: ping: PONG"];
        assert_eq!(world.seen(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn each_disposition_has_its_effect_on_the_data_and_on_the_client() {
        let world = World::new(|command| match command.holder {
            Some("refused") => Disposition::Refuse("READONLY no".into()),
            Some("closed") => Disposition::Close,
            Some("closed-after") => Disposition::PerformThenClose,
            Some("unheard") => Disposition::PerformButDropReply,
            #[allow(clippy::disallowed_methods)] // Paused.
            Some("late") => Disposition::PerformAfter(Box::pin(tokio::time::sleep(std::time::Duration::from_secs(9)))),
            _ => Disposition::Perform,
        });
        for (holder, heard, held) in [
            ("refused", "-READONLY no\r\n", false),
            ("closed", "", false),
            ("closed-after", "", true),
            ("late", "*3\r\n$4\r\nlate\r\n:500\r\n$-1\r\n", true),
        ] {
            world.model.lock().unwrap().lose_data();
            let (mut client, _served) = world.client();
            let mut acquire = ACQUIRE;
            acquire[5] = holder;
            send(&mut client, &acquire).await;
            assert_eq!(hear(&mut client).await, heard, "{holder}");
            let holds = world.model.lock().unwrap().holder("lease", 1_000).map(|(holder, _)| holder);
            assert_eq!(holds.as_deref(), held.then_some(holder));
        }

        world.model.lock().unwrap().lose_data();
        let (mut client, served) = world.client();
        let mut acquire = ACQUIRE;
        acquire[5] = "unheard";
        send(&mut client, &acquire).await;
        send(&mut client, &["PING"]).await;
        client.shutdown().await.unwrap();
        served.await.unwrap().unwrap();
        assert_eq!(hear(&mut client).await, "", "nothing after a reply that was dropped");
        assert!(world.seen().last().unwrap().ends_with("ping: PONG"), "though it was carried out");
        assert!(world.model.lock().unwrap().holder("lease", 1_000).is_some());
    }

    #[tokio::test]
    async fn what_is_not_implemented_is_refused_and_noted() {
        let world = World::new(|_| Disposition::Perform);
        for (words, refusal) in [
            (&["FLUSHALL"][..], "-ERR unknown command 'FLUSHALL', with args beginning with: \r\n"),
            (&["EVAL", "return 1", "0"], "-ERR not in the simulated Redis: EVAL of 'return 1'\r\n"),
            (&["SET", "k", "v", "XX"], "-ERR not in the simulated Redis: SET with option 'XX'\r\n"),
            (&["SELECT", "1"], "-ERR not in the simulated Redis: SELECT of database '1'\r\n"),
            (&["CLIENT", "LIST"], "-ERR not in the simulated Redis: CLIENT 'LIST'\r\n"),
        ] {
            let before = world.model.lock().unwrap().unsupported().len();
            let (mut client, _served) = world.client();
            send(&mut client, words).await;
            assert_eq!(hear(&mut client).await, refusal);
            assert_eq!(world.model.lock().unwrap().unsupported().len(), before + 1, "{words:?}");
        }
        let (mut client, served) = world.client();
        client.write_all(b"GET k\r\n").await.unwrap();
        assert!(hear(&mut client).await.starts_with("-ERR Protocol error"));
        served.await.unwrap().unwrap();
        assert_eq!(world.model.lock().unwrap().unsupported().len(), 6);
    }

    #[tokio::test]
    async fn a_password_is_asked_for_first() {
        let world = World::new(|_| Disposition::Perform);
        world.model.lock().unwrap().require_password("secret");
        let (mut client, _served) = world.client();
        for (words, reply) in [
            (&["PING"][..], "-NOAUTH Authentication required.\r\n"),
            (&["AUTH", "wrong"], "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
            (&["AUTH", "nobody", "secret"], "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
            (&["AUTH", "secret"], "+OK\r\n"),
            (&["PING"], "+PONG\r\n"),
        ] {
            send(&mut client, words).await;
            assert_eq!(hear(&mut client).await, reply, "{words:?}");
        }
        let (mut client, _served) = world.client();
        send(&mut client, &["HELLO", "3"]).await;
        assert!(hear(&mut client).await.starts_with("-NOAUTH HELLO must be called"));
        send(&mut client, &["HELLO", "3", "AUTH", "default", "secret"]).await;
        assert!(hear(&mut client).await.starts_with("%7\r\n"));
    }
}
