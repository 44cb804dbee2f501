//! The least of an HTTP client: one request a connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What was answered: the status, and the body when it is JSON.
pub(crate) type Answer = io::Result<(u16, Value)>;

/// Gets `path` of the server at `address`.
pub(crate) fn get(address: &str, path: &str) -> Answer {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// Posts JSON.
pub(crate) fn post(address: &str, path: &str, body: &str) -> Answer {
    let length = body.len();
    exchange(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn exchange(address: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(1))?;
    // As impatient as senders of webhooks are: who stands still takes a connection and answers nothing.
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let torn = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(torn)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(torn)?;
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
