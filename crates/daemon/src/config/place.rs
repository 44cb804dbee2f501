//! Where in a file a key stands: the other half of a message that somebody can act on.

use toml::de::{DeTable, DeValue};

/// The line, from 1, of the byte at `offset`.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The line of `path` (`store.sqlite.path`, `api.token.0.role`), or of the nearest table around it that is there.
pub(super) fn line_of(text: &str, path: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut line = None;
    let mut at = Some(Node::Table(root.get_ref()));
    for part in path.split('.') {
        let Some((span, value)) = at.and_then(|node| node.step(part)) else { break };
        line = Some(line_at(text, span.start));
        at = Node::of(value);
    }
    line
}

/// Whether the file says anything at `path`; an empty table says nothing.
pub(super) fn is_set(text: &str, path: &str) -> bool {
    let Ok(root) = DeTable::parse(text) else { return false };
    let mut at = Some(Node::Table(root.get_ref()));
    let mut last = None;
    for part in path.split('.') {
        match at.and_then(|node| node.step(part)) {
            Some((_, value)) => {
                last = Some(value);
                at = Node::of(value);
            }
            None => return false,
        }
    }
    match last {
        Some(DeValue::Table(table)) => !table.is_empty(),
        Some(_) => true,
        None => false,
    }
}

/// The path of the innermost key whose name or value stands at `offset`. A table's own span is no more than its header,
/// so all of them are looked into.
pub(super) fn path_at(text: &str, offset: usize) -> Option<String> {
    let root = DeTable::parse(text).ok()?;
    Node::Table(root.get_ref()).path_to(offset)
}

#[derive(Clone, Copy)]
enum Node<'a> {
    Table(&'a DeTable<'a>),
    Array(&'a toml::de::DeArray<'a>),
}

impl<'a> Node<'a> {
    fn of(value: &'a DeValue<'a>) -> Option<Self> {
        match value {
            DeValue::Table(table) => Some(Self::Table(table)),
            DeValue::Array(array) => Some(Self::Array(array)),
            _ => None,
        }
    }

    fn step(self, part: &str) -> Option<(std::ops::Range<usize>, &'a DeValue<'a>)> {
        match self {
            Self::Table(table) => {
                let (key, value) = table.get_key_value(part)?;
                Some((key.span(), value.get_ref()))
            }
            Self::Array(array) => {
                let value = array.get(part.parse::<usize>().ok()?)?;
                Some((value.span(), value.get_ref()))
            }
        }
    }

    fn path_to(self, offset: usize) -> Option<String> {
        let within = |part: String, here: bool, value: &DeValue<'_>| {
            let inner = Node::of(value).and_then(|node| node.path_to(offset));
            match inner {
                Some(inner) => Some(format!("{part}.{inner}")),
                None => here.then_some(part),
            }
        };
        match self {
            Self::Table(table) => table.iter().find_map(|(key, value)| {
                let here = key.span().contains(&offset) || value.span().contains(&offset);
                within(key.get_ref().to_string(), here, value.get_ref())
            }),
            Self::Array(array) => array.iter().enumerate().find_map(|(number, value)| {
                within(number.to_string(), value.span().contains(&offset), value.get_ref())
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[store]\nkind = \"sqlite\"\n[store.sqlite]\n[[api.token]]\nname = \"a\"\n[[api.token]]\nname = \"b\"\nrole = 1\n";

    #[test]
    fn keys_are_found_by_path_and_paths_by_place() {
        assert_eq!(line_of(TEXT, "store.kind"), Some(2));
        assert_eq!(line_of(TEXT, "api.token.1.name"), Some(7));
        assert_eq!(line_of(TEXT, "api.token.1.token_env"), Some(6), "the table, when the key is not there");
        assert_eq!(line_of(TEXT, "store.sqlite.path"), Some(3));
        assert_eq!(line_of(TEXT, "lease.kind"), None);
        assert_eq!(path_at(TEXT, TEXT.find("role").unwrap()).as_deref(), Some("api.token.1.role"));
        assert_eq!(path_at(TEXT, TEXT.find("\"sqlite\"").unwrap()).as_deref(), Some("store.kind"));
        assert!(is_set(TEXT, "store.kind") && !is_set(TEXT, "store.sqlite") && !is_set(TEXT, "lease.redis"));
    }
}
