//! The names of works and attempts, as engines see them.
//!
//! A work is named by the process's nonce and a number. An attempt's name says besides whose attempt in the store it
//! is, so that any node, after any crash, knows where an outcome belongs.

use oncegate_protocol::{Fingerprint, Holder, Leg};

/// One attempt in the store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct AttemptKey {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) leg: Leg,
    pub(crate) number: u32,
    pub(crate) owner: Holder,
}

/// The name of a work: `nonce-number`.
pub(crate) fn work_name(nonce: u64, number: u64) -> String {
    format!("{nonce:016x}-{number}")
}

/// The name of an attempt: `nonce-number-leg-attempt-fingerprint-owner`, the owner in hex.
pub(crate) fn attempt_name(nonce: u64, number: u64, key: &AttemptKey) -> String {
    let owner: String = key.owner.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{owner}", work_name(nonce, number), key.leg, key.number, key.fingerprint)
}

/// What a name names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    pub(crate) nonce: u64,
    pub(crate) number: u64,
    /// None for a work.
    pub(crate) attempt: Option<AttemptKey>,
}

/// Reads either kind of name; none when it is neither, to the letter.
pub(crate) fn read(text: &str) -> Option<Name> {
    let parts: Vec<&str> = text.split('-').collect();
    let name = match *parts {
        [nonce, number] => {
            Name { nonce: u64::from_str_radix(nonce, 16).ok()?, number: number.parse().ok()?, attempt: None }
        }
        [nonce, number, leg, attempt, fingerprint, owner] => Name {
            nonce: u64::from_str_radix(nonce, 16).ok()?,
            number: number.parse().ok()?,
            attempt: Some(AttemptKey {
                fingerprint: fingerprint.parse::<Fingerprint>().ok()?,
                leg: Leg(leg.parse().ok()?),
                number: attempt.parse().ok()?,
                owner: Holder::new(from_hex(owner)?),
            }),
        },
        _ => return None,
    };
    let spelled = match &name.attempt {
        Some(key) => attempt_name(name.nonce, name.number, key),
        None => work_name(name.nonce, name.number),
    };
    (spelled == text).then_some(name)
}

fn from_hex(text: &str) -> Option<String> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_nothing_else_does() {
        let key = AttemptKey {
            fingerprint: Fingerprint::of_bytes(b"x"),
            leg: Leg(1),
            number: 7,
            owner: Holder::new("dc-1:höst a:0000000000000007:3"),
        };
        let name = attempt_name(0xab, 12, &key);
        assert_eq!(read(&name), Some(Name { nonce: 0xab, number: 12, attempt: Some(key) }));
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "goes into a path as it is: {name}");
        assert_eq!(read(&work_name(0xab, 12)), Some(Name { nonce: 0xab, number: 12, attempt: None }));
        for stranger in ["", "-", "1-2", "00000000000000ab-012", "00000000000000AB-12", "00000000000000ab-+12"] {
            assert_eq!(read(stranger), None, "{stranger}");
        }
    }
}
