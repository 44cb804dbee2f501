//! `oncegate paper-broker`: a broker for drills in a process of its own, with a book that others can judge by.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use oncegate_coordinator::{Listen as _, SystemClock, TcpListen};
use oncegate_http_broker::{PaperBroker, PaperKind, serve_paper};

use crate::Exit;

/// Takes orders at `listen` until the process is ended, and writes each that it executes to `book`.
pub fn run(listen: &str, kind: PaperKind, book: Option<&Path>) -> Exit {
    let broker = PaperBroker::of_kind(kind, Arc::new(SystemClock));
    if let Some(path) = book {
        match File::options().create(true).append(true).open(path) {
            Ok(file) => broker.write_to(file),
            Err(error) => {
                eprintln!("error: --book {}: {error}", path.display());
                return Exit::Usage;
            }
        }
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start: {error}");
            return Exit::Refused;
        }
    };
    runtime.block_on(serve(listen, Arc::new(broker)))
}

async fn serve(listen: &str, broker: Arc<PaperBroker>) -> Exit {
    let listener = match TcpListen::bind(listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: --listen {listen}: {error}");
            return Exit::Usage;
        }
    };
    match listener.local_address() {
        Ok(address) => println!("a paper broker takes orders at http://{address}; it places nothing anywhere"),
        Err(error) => eprintln!("where it listens can't be told: {error}"),
    }
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.push(serve_paper(stream, Arc::clone(&broker))),
                Err(error) => eprintln!("a connection could not be taken: {error}"),
            },
            // However a connection ends, the book has what was executed.
            Some(_) = connections.next() => {}
        }
    }
}
