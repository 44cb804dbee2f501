//! The operator's commands: each asks a daemon over HTTP, and shows what it said.
//!
//! They know nothing that the API does not say, and decide nothing: what was seen goes along with what is asked, so
//! that the store can refuse what no longer fits.

mod bodies;
pub mod http;
mod show;
mod table;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use crate::Exit;
use crate::cli::{Ask, Remote, Word};
use crate::config::secret::Source;
use http::{Answer, Client, NoAnswer};

/// Why a command ended otherwise than well: what to say, and the exit code.
struct Failed(Exit, String);

impl From<NoAnswer> for Failed {
    fn from(no: NoAnswer) -> Self {
        Self(Exit::Unreachable, no.to_string())
    }
}

/// Carries out one command.
pub fn run(ask: &Ask, remote: &Remote) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match (runtime, client(remote)) {
        (Ok(runtime), Ok(client)) => runtime.block_on(perform(ask, remote.json, &client)),
        (Err(error), _) => Err(Failed(Exit::Refused, format!("the runtime can't be started: {error}"))),
        (_, Err(flaw)) => Err(Failed(Exit::Usage, flaw)),
    };
    match done {
        Ok(exit) => exit,
        Err(Failed(exit, what)) => {
            eprintln!("error: {}", table::plain(&what));
            exit
        }
    }
}

fn client(remote: &Remote) -> Result<Client, String> {
    let source = match (&remote.token_env, &remote.token_file) {
        (Some(name), _) => Some(Source::Env(name)),
        (None, Some(file)) => Some(Source::File(file)),
        (None, None) => None,
    };
    let token = source.map(|source| source.read(Path::new(""))).transpose()?;
    Client::new(&remote.url, token.as_ref(), remote.ca_file.as_deref())
}

async fn perform(ask: &Ask, as_json: bool, client: &Client) -> Result<Exit, Failed> {
    let say = |answer: &Answer, human: fn(&Value) -> String| print(&said(answer, as_json, human));
    match ask {
        Ask::Status => say(&got(client.get("/v1/overview").await?)?, show::overview),
        Ask::Leader => say(&got(client.get("/coordinator/leader").await?)?, show::leader),
        Ask::History { limit } => {
            say(&got(client.get(&format!("/coordinator/history?limit={limit}")).await?)?, show::history);
        }
        Ask::Signals { in_doubt, state, limit, before } => {
            let mut path = format!("/v1/signals?limit={limit}");
            let doubtful: &[&str] = if *in_doubt { &["in_doubt", "quarantined", "partial"] } else { &[] };
            for state in doubtful.iter().copied().chain(state.iter().map(|state| state.0.name())) {
                path.push_str("&state=");
                path.push_str(state);
            }
            if let Some(before) = before {
                path.push_str(&format!("&before={before}"));
            }
            say(&bodies::as_they_came(got(client.get(&path).await?)?), show::signals);
        }
        Ask::Show { fingerprint } => say(&signal(client, &fingerprint.0).await?, show::signal),
        Ask::Resolve { fingerprint, word, reason, yes } => {
            return resolve(client, &fingerprint.0, *word, reason, *yes, as_json).await;
        }
        Ask::Pause { reason } => {
            let done = "new orders are stopped, on all nodes, until `oncegate resume`";
            told(client, "pause", done, reason, as_json).await?;
        }
        Ask::Resume { reason } => told(client, "resume", "new orders go on", reason, as_json).await?,
        Ask::StepDown { reason } => {
            let done = "the node gives up leadership; `oncegate leader` shows, within a second or so, who has it";
            told(client, "step-down", done, reason, as_json).await?;
        }
    }
    Ok(Exit::Done)
}

/// What is printed: the answer as it came, or what `human` makes of it.
fn said(answer: &Answer, as_json: bool, human: impl Fn(&Value) -> String) -> String {
    if as_json { format!("{}\n", answer.text) } else { human(&answer.body) }
}

/// An answer that is not a refusal.
fn got(answer: Answer) -> Result<Answer, Failed> {
    let Answer { status, body, .. } = &answer;
    let status = *status;
    if status < 400 {
        return Ok(answer);
    }
    let said = body.pointer("/error/message").and_then(Value::as_str);
    let code = body.pointer("/error/code").and_then(Value::as_str).unwrap_or("no code");
    let what = said.map_or_else(|| format!("HTTP {status}"), |said| format!("{said} ({code}, HTTP {status})"));
    let advice = match status {
        401 => "; show a token: --token-file or --token-env",
        _ => "",
    };
    Err(Failed(Exit::Refused, format!("{what}{advice}")))
}

async fn signal(client: &Client, fingerprint: &str) -> Result<Answer, Failed> {
    Ok(bodies::as_they_came(got(client.get(&format!("/v1/signals/{fingerprint}")).await?)?))
}

/// An operator's word to the node, and what is so when it is answered.
async fn told(client: &Client, what: &str, done: &str, reason: &str, as_json: bool) -> Result<(), Failed> {
    let answer = got(client.post(&format!("/coordinator/{what}"), &json!({ "reason": reason })).await?)?;
    print(&said(&answer, as_json, |_| format!("{done}\n")));
    Ok(())
}

/// Shows the signal, asks, and says the word; the daemon is told how many attempts were shown, so that it refuses when
/// there are others by then.
async fn resolve(
    client: &Client,
    fingerprint: &str,
    word: Word,
    reason: &str,
    yes: bool,
    as_json: bool,
) -> Result<Exit, Failed> {
    let seen = signal(client, fingerprint).await?.body;
    let state = seen["state"].as_str().unwrap_or("unknown");
    let attempts = seen["attempts"].as_array().map_or(0, Vec::len);
    let whole = seen["fingerprint"].as_str().unwrap_or(fingerprint).to_owned();
    if !as_json {
        print(&show::signal(&seen));
    }
    if state != "quarantined" && state != "partial" {
        let what = format!(
            "it is {state}, and only what is quarantined or partial waits for an operator's word: nothing was done"
        );
        return Err(Failed(Exit::Refused, what));
    }
    if !yes && !confirmed(word)? {
        return Err(Failed(Exit::Refused, "not confirmed: nothing was done".into()));
    }
    let body = json!({ "resolution": word.wire(), "reason": reason, "attempts": attempts });
    let answer = got(client.post(&format!("/v1/signals/{whole}/resolve"), &body).await?)?;
    let taken = answer.body["taken"].as_bool().unwrap_or(false);
    let stands = answer.body["state"].as_str().unwrap_or("unknown").to_owned();
    if as_json || taken {
        print(&said(&answer, as_json, |_| format!("taken: it is {stands} now\n")));
    }
    if taken {
        return Ok(Exit::Done);
    }
    Err(Failed(
        Exit::Refused,
        format!("not taken: it is {stands}, or was tried again since it was shown; look at it again"),
    ))
}

/// Whether the operator means it.
fn confirmed(word: Word) -> Result<bool, Failed> {
    if !std::io::stdin().is_terminal() {
        return Err(Failed(Exit::Usage, "nobody is there to confirm it: look at the signal, and say --yes".into()));
    }
    print(&format!("\n{}\nType yes to go on: ", word.means()));
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    Ok(read.is_ok() && line.trim() == "yes")
}

/// To standard output; who has closed it has seen enough.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
