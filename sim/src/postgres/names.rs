//! Gives a client's prepared statements names of their connection's own.
//!
//! `tokio-postgres` numbers them by a counter of the whole process (`s0`, `s1` ..), so that the bytes on a connection
//! would depend on what else ran in this process. Here they pass on their way out, and each new name becomes the next
//! one of this connection.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, BytesMut};

/// What a client has written and what leaves in its place.
#[derive(Debug, Default)]
pub struct Names {
    /// Not a whole message yet.
    rest: BytesMut,
    /// The first message has no type byte.
    begun: bool,
    given: BTreeMap<Vec<u8>, u32>,
}

impl Names {
    /// Takes what the client writes; what is whole by now is added to `out`.
    pub fn pass(&mut self, bytes: &[u8], out: &mut BytesMut) {
        self.rest.extend_from_slice(bytes);
        loop {
            let head = usize::from(self.begun);
            if self.rest.len() < head + 4 {
                return;
            }
            let length = (&self.rest[head..head + 4]).get_u32() as usize;
            if self.rest.len() < head + length {
                return;
            }
            let message = self.rest.split_to(head + length);
            if std::mem::replace(&mut self.begun, true) {
                self.rewrite(&message, out);
            } else {
                out.extend_from_slice(&message);
            }
        }
    }

    fn rewrite(&mut self, message: &[u8], out: &mut BytesMut) {
        let (kind, body) = (message[0], &message[5..]);
        // Before the name: nothing, the portal's name, or what is described or closed.
        let before = match kind {
            b'P' => 0,
            b'B' => body.iter().position(|byte| *byte == 0).map_or(body.len(), |end| end + 1),
            b'D' | b'C' if body.first() == Some(&b'S') => 1,
            _ => {
                out.extend_from_slice(message);
                return;
            }
        };
        let name = body[before..].split(|byte| *byte == 0).next().unwrap_or_default();
        if name.is_empty() {
            out.extend_from_slice(message);
            return;
        }
        let next = u32::try_from(self.given.len()).unwrap_or(u32::MAX);
        let number = *self.given.entry(name.to_vec()).or_insert(next);
        let given = format!("s{number}");
        out.put_u8(kind);
        let length = 4 + body.len() - name.len() + given.len();
        out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        out.extend_from_slice(&body[..before]);
        out.extend_from_slice(given.as_bytes());
        out.extend_from_slice(&body[before + name.len()..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    #[test]
    fn names_are_counted_per_connection_however_the_bytes_are_cut() {
        let startup = [&9_u32.to_be_bytes()[..], b"hello"].concat();
        let sent = [
            startup.clone(),
            message(b'P', b"s81\0SELECT 1\0\0\0"),
            message(b'D', b"Ss81\0"),
            message(b'P', b"s1234\0SELECT 2\0\0\0"),
            message(b'B', b"\0s1234\0rest"),
            message(b'D', b"P\0"),
            message(b'C', b"Ss81\0"),
            message(b'Q', b"s81\0"),
        ];
        let due = [
            startup,
            message(b'P', b"s0\0SELECT 1\0\0\0"),
            message(b'D', b"Ss0\0"),
            message(b'P', b"s1\0SELECT 2\0\0\0"),
            message(b'B', b"\0s1\0rest"),
            message(b'D', b"P\0"),
            message(b'C', b"Ss0\0"),
            message(b'Q', b"s81\0"),
        ];
        let (sent, due) = (sent.concat(), due.concat());
        for cut in 1..sent.len() {
            let (mut names, mut out) = (Names::default(), BytesMut::new());
            sent.chunks(cut).for_each(|bytes| names.pass(bytes, &mut out));
            assert_eq!(out, due, "in pieces of {cut}");
        }
    }
}
