//! Where in a body its reader stopped, as a JSON pointer: the reader says line and column, people look for a field.

/// Longer pointers than this are more than anybody would read.
const LONGEST: usize = 200;

/// The JSON pointer (RFC 6901) of what stands at the end of `flaw`, which says `.. at line L column C` of `body`. None
/// when it says no such thing, or when the pointer would be too long.
pub(crate) fn pointer_of(body: &[u8], flaw: &str) -> Option<String> {
    let (_, place) = flaw.rsplit_once(" at line ")?;
    let (line, column) = place.split_once(" column ")?;
    let (line, column) = (line.parse::<usize>().ok()?, column.parse::<usize>().ok()?);
    let before: usize = body.split_inclusive(|byte| *byte == b'\n').take(line.checked_sub(1)?).map(<[u8]>::len).sum();
    pointer_at(&body[..body.len().min(before.checked_add(column)?)])
}

enum Inside {
    /// With the key that was read last, and whether it is its value's turn.
    Object(Option<String>, bool),
    /// With the place of the element at hand.
    Array(usize),
}

/// The pointer of what is at hand when `begun`, the beginning of a JSON text, ends.
fn pointer_at(begun: &[u8]) -> Option<String> {
    let mut path: Vec<Inside> = Vec::new();
    let mut at = 0;
    while let Some(byte) = begun.get(at) {
        match byte {
            b'{' => path.push(Inside::Object(None, false)),
            b'[' => path.push(Inside::Array(0)),
            // The last byte is what the reader stopped at: it closes nothing any more.
            b'}' | b']' if at + 1 < begun.len() => {
                path.pop();
            }
            b':' => {
                if let Some(Inside::Object(_, is_value)) = path.last_mut() {
                    *is_value = true;
                }
            }
            b',' => match path.last_mut() {
                Some(Inside::Object(_, is_value)) => *is_value = false,
                Some(Inside::Array(place)) => *place += 1,
                None => {}
            },
            b'"' => {
                let end = end_of_string(begun, at);
                if let Some(Inside::Object(key, false)) = path.last_mut() {
                    *key = serde_json::from_slice(&begun[at..end]).ok();
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    let mut pointer = String::new();
    for inside in path {
        match inside {
            Inside::Object(None, _) => {}
            Inside::Object(Some(key), _) => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Inside::Array(place) => pointer.push_str(&format!("/{place}")),
        }
        if pointer.len() > LONGEST {
            return None;
        }
    }
    Some(pointer)
}

/// Behind the closing quote of the string that opens at `at`, or the end.
fn end_of_string(text: &[u8], at: usize) -> usize {
    let mut next = at + 1;
    while let Some(byte) = text.get(next) {
        match byte {
            b'\\' => next += 2,
            b'"' => return next + 1,
            _ => next += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use oncegate_protocol::{IdentityRule, Signal};

    use super::*;

    fn pointer(body: &str) -> Option<String> {
        let flaw = Signal::read(body.as_bytes(), &IdentityRule::default()).unwrap_err().to_string();
        pointer_of(body.as_bytes(), &flaw)
    }

    #[test]
    fn a_flaw_is_found_by_its_pointer() {
        for (body, place) in [
            (r#"{"a":1,"a":2}"#, "/a"),
            ("{\"x\":[{},\n {\"b\":1,\"\\u0062\":2}]}", "/x/1/b"),
            (r#"{"a/b":{"c~d":9007199254740993}}"#, "/a~1b/c~0d"),
            (r#"{"x":[1,2,{"y":"]},{","z":1e999}]}"#, "/x/2/z"),
            (r#"{"x":[1,nul]}"#, "/x/1"),
            (r#"{"x":{"y":}}"#, "/x/y"),
            ("{", ""),
            ("", ""),
            ("{} {}", ""),
        ] {
            assert_eq!(pointer(body).as_deref(), Some(place), "{body}");
        }
    }

    #[test]
    fn what_is_too_long_to_read_is_left_out_and_no_bytes_make_it_panic() {
        assert_eq!(pointer(&format!("{{\"{}\":x}}", "k".repeat(300))), None);
        for body in [&b"\"\\"[..], b"{\"\\", b"]]]}}}", b"{\"a\\\"", b"\xff\"\xff\"{"] {
            for flaw in
                ["x at line 1 column 9", "x at line 0 column 0", "x at line 99 column 99", "x", "x at line a column b"]
            {
                let _ = pointer_of(body, flaw);
            }
        }
    }
}
