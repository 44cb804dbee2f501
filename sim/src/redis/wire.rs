//! RESP: requests in, replies out.
//!
//! Requests look the same in RESP2 and RESP3, and so do all scalar replies but nil; what differs is how
//! aggregates are announced.

use std::fmt;

use bytes::{Bytes, BytesMut};
use redis_protocol::error::RedisProtocolError;
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::BytesFrame;

use super::model::Refusal;

/// What goes back for a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// A status.
    Simple(&'static str),
    /// An error, its code first.
    Error(String),
    /// An integer.
    Int(i64),
    /// A string.
    Bulk(Bytes),
    /// Nothing.
    Nil,
    /// A list.
    Array(Vec<Reply>),
    /// Keys with values; a flat list in RESP2.
    Map(Vec<(&'static str, Reply)>),
    /// Said unasked, or about subscriptions; a list in RESP2.
    Push(Vec<Reply>),
    /// One after the other: some commands are answered more than once.
    Several(Vec<Reply>),
}

impl Reply {
    pub(super) fn text(text: &'static str) -> Self {
        Self::Bulk(Bytes::from_static(text.as_bytes()))
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    pub(super) fn encode(&self, resp3: bool, out: &mut BytesMut) {
        let scalar = match self {
            Self::Simple(text) => BytesFrame::SimpleString(Bytes::from_static(text.as_bytes())),
            Self::Error(text) => BytesFrame::Error(text.as_str().into()),
            Self::Int(number) => BytesFrame::Integer(*number),
            Self::Bulk(text) => BytesFrame::BulkString(text.clone()),
            Self::Nil if resp3 => {
                out.extend_from_slice(b"_\r\n");
                return;
            }
            Self::Nil => BytesFrame::Null,
            Self::Array(items) => return aggregate('*', items.len(), items, resp3, out),
            Self::Push(items) => return aggregate(if resp3 { '>' } else { '*' }, items.len(), items, resp3, out),
            Self::Map(pairs) => {
                let (mark, length) = if resp3 { ('%', pairs.len()) } else { ('*', 2 * pairs.len()) };
                aggregate(mark, length, &[], resp3, out);
                for (key, value) in pairs {
                    Self::text(key).encode(resp3, out);
                    value.encode(resp3, out);
                }
                return;
            }
            Self::Several(replies) => {
                for reply in replies {
                    reply.encode(resp3, out);
                }
                return;
            }
        };
        extend_encode(out, &scalar, false).expect("the buffer grows to the length that the frame itself states");
    }
}

fn aggregate(mark: char, length: usize, items: &[Reply], resp3: bool, out: &mut BytesMut) {
    out.extend_from_slice(format!("{mark}{length}\r\n").as_bytes());
    for item in items {
        item.encode(resp3, out);
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => f.write_str(text),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Int(number) => number.fmt(f),
            Self::Bulk(text) => String::from_utf8_lossy(text).fmt(f),
            Self::Nil => f.write_str("nil"),
            Self::Array(items) | Self::Push(items) | Self::Several(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                f.write_str("]")
            }
            Self::Map(pairs) => {
                f.write_str("{")?;
                for (index, (key, value)) in pairs.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{key}: {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::WrongType => Self::error("WRONGTYPE Operation against a key holding the wrong kind of value"),
            Refusal::NotAnInteger => Self::error("ERR value is not an integer or out of range"),
            Refusal::InvalidExpire { command } => {
                Self::error(format!("ERR invalid expire time in '{command}' command"))
            }
        }
    }
}

/// The words of the next whole request in `input`; none until more bytes have come.
///
/// # Errors
/// It is not a request: nothing after it can be understood.
pub(super) fn request(input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, RequestError> {
    let Some((frame, _, _)) = decode_bytes_mut(input)? else { return Ok(None) };
    let BytesFrame::Array(words) = frame else { return Err(RequestError) };
    let word = |frame| match frame {
        BytesFrame::BulkString(word) => Ok(word),
        _ => Err(RequestError),
    };
    words.into_iter().map(word).collect::<Result<_, _>>().map(Some)
}

/// Not a list of strings.
#[derive(Debug)]
pub(super) struct RequestError;

impl From<RedisProtocolError> for RequestError {
    fn from(_: RedisProtocolError) -> Self {
        Self
    }
}

/// A number as Redis reads it.
pub(super) fn integer(word: &[u8]) -> Result<i64, Refusal> {
    let text = std::str::from_utf8(word).map_err(|_| Refusal::NotAnInteger)?;
    let number: i64 = text.parse().map_err(|_| Refusal::NotAnInteger)?;
    // Redis takes only the canonical form: no plus sign, no leading zeros.
    if number.to_string() == text { Ok(number) } else { Err(Refusal::NotAnInteger) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reply: &Reply, resp3: bool) -> String {
        let mut out = BytesMut::new();
        reply.encode(resp3, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn each_reply_in_both_versions_of_the_protocol() {
        let pair = Reply::Array(vec![Reply::Nil, Reply::Int(-2)]);
        assert_eq!(encoded(&pair, false), "*2\r\n$-1\r\n:-2\r\n");
        assert_eq!(encoded(&pair, true), "*2\r\n_\r\n:-2\r\n");
        let map = Reply::Map(vec![("proto", Reply::Int(3)), ("role", Reply::text("master"))]);
        assert_eq!(encoded(&map, false), "*4\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n$6\r\nmaster\r\n");
        assert_eq!(encoded(&map, true), "%2\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n$6\r\nmaster\r\n");
        let push = Reply::Push(vec![Reply::text("message")]);
        assert_eq!(encoded(&push, false), "*1\r\n$7\r\nmessage\r\n");
        assert_eq!(encoded(&push, true), ">1\r\n$7\r\nmessage\r\n");
        let several = Reply::Several(vec![Reply::Simple("OK"), Reply::error("ERR no")]);
        assert_eq!(encoded(&several, true), "+OK\r\n-ERR no\r\n");
        assert_eq!(map.to_string(), "{proto: 3, role: master}");
        assert_eq!(pair.to_string(), "[nil, -2]");
    }

    #[test]
    fn a_request_is_whole_or_not_there_or_nonsense() {
        let whole = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
        for cut in 0..whole.len() {
            assert_eq!(request(&mut BytesMut::from(&whole[..cut])).unwrap(), None, "cut at {cut}");
        }
        let mut input = BytesMut::from(&whole[..]);
        input.extend_from_slice(b"*1\r\n");
        assert_eq!(request(&mut input).unwrap(), Some(vec!["GET".into(), "k".into()]));
        assert_eq!(input, "*1\r\n");
        for nonsense in ["+OK\r\n", "*1\r\n:1\r\n", "GET k\r\n"] {
            assert!(request(&mut BytesMut::from(nonsense)).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn only_canonical_integers_are_integers() {
        assert_eq!(integer(b"-5"), Ok(-5));
        for word in ["", "+5", "05", " 5", "5.0", "9223372036854775808", "x"] {
            assert_eq!(integer(word.as_bytes()), Err(Refusal::NotAnInteger), "{word:?}");
        }
    }
}
