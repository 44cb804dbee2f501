//! The peer: the same code on every ground. The first byte on a connection says what it does there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_coordinator::{Clock, SystemClock};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// Sends back what it reads; at the end it ends.
pub(crate) const ECHO: &str = "e";
/// Reads no more, and does not go.
pub(crate) const HOLD: &str = "h";
/// Goes at once, with nothing left unread.
pub(crate) const CLOSE: &str = "c";
/// Goes after a while, with what has come by then left unread.
pub(crate) const CLOSE_UNREAD: &str = "u";
/// Says "answer", and then goes as the one before.
pub(crate) const ANSWER_AND_CLOSE_UNREAD: &str = "a";
/// Ends its own side, and reads on to the end.
pub(crate) const HALF_CLOSE: &str = "f";
/// Reads to the end and then says how much came.
pub(crate) const TALLY: &str = "t";
/// As [`TALLY`], but not before another connection said [`GO`].
pub(crate) const SLOW_TALLY: &str = "s";
/// Lets the slow begin.
pub(crate) const GO: &str = "g";
/// Writes [`WRITTEN`] numbered bytes and goes.
pub(crate) const WRITE: &str = "w";
/// Says how many bytes came on the connection that ended last, and how it ended.
pub(crate) const TELL: &str = "?";

/// How much [`WRITE`] writes: more than all buffers between two hosts take without a reader.
pub(crate) const WRITTEN: usize = 12_000_000;

/// How long those who go after a while stay.
const A_WHILE: Duration = Duration::from_millis(100);

/// `count` numbered bytes from the `from`th on.
pub(crate) fn pattern(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// What one process of the peer's remembers.
#[derive(Default)]
pub(crate) struct Memory {
    go: Notify,
    last: Mutex<String>,
}

/// Serves one connection.
pub(crate) async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, clock: Arc<dyn Clock>, memory: Arc<Memory>) {
    let mut role = [0];
    if stream.read_exact(&mut role).await.is_err() {
        return;
    }
    let pass = || clock.sleep_until(clock.now().mono.plus(A_WHILE));
    match std::str::from_utf8(&role).unwrap() {
        ECHO => {
            let mut piece = [0; 4096];
            let mut came = 0;
            let end = loop {
                match stream.read(&mut piece).await {
                    Ok(0) => break "end".to_owned(),
                    Ok(count) => {
                        came += count;
                        if stream.write_all(&piece[..count]).await.is_err() {
                            break "a write that failed".to_owned();
                        }
                    }
                    Err(error) => break format!("{:?}", error.kind()),
                }
            };
            *memory.last.lock().unwrap() = format!("{came}, {end}");
        }
        HOLD => std::future::pending().await,
        CLOSE => {}
        CLOSE_UNREAD => pass().await,
        ANSWER_AND_CLOSE_UNREAD => {
            pass().await;
            let _ = stream.write_all(b"answer").await;
        }
        HALF_CLOSE => {
            let _ = stream.shutdown().await;
            let (came, end) = read_to_end(&mut stream).await;
            *memory.last.lock().unwrap() = format!("{}, {end}", came.len());
        }
        role @ (TALLY | SLOW_TALLY) => {
            if role == SLOW_TALLY {
                memory.go.notified().await;
            }
            let (came, _) = read_to_end(&mut stream).await;
            let right = if came == pattern(0, came.len()) { "in order" } else { "in disorder" };
            let _ = stream.write_all(format!("{} {right}", came.len()).as_bytes()).await;
        }
        GO => memory.go.notify_one(),
        WRITE => {
            let _ = stream.write_all(&pattern(0, WRITTEN)).await;
        }
        TELL => {
            let last = memory.last.lock().unwrap().clone();
            let _ = stream.write_all(last.as_bytes()).await;
        }
        role => panic!("nobody asks for {role}"),
    }
}

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> (Vec<u8>, String) {
    let mut came = Vec::new();
    let end = stream.read_to_end(&mut came).await;
    (came, end.map_or_else(|error| format!("{:?}", error.kind()), |_| "end".to_owned()))
}

/// What a process that was started to serve does, until it is killed or whoever started it is gone.
pub(crate) async fn serve_on(address: &str) {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    // Behind a line break: the test harness has begun a line of its own.
    println!("\n{}{}", crate::processes::READY, listener.local_addr().unwrap());
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let memory = Arc::new(Memory::default());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(stream, Arc::new(SystemClock), Arc::clone(&memory)));
    }
}
