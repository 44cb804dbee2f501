//! The one draw of chance that a node needs.

use rustix::rand::{GetRandomFlags, getrandom};

/// A number that no other process of this instance has drawn, from the operating system.
///
/// # Errors
/// The operating system's, when it has no entropy to give.
pub fn boot_nonce() -> std::io::Result<u64> {
    let mut bytes = [0_u8; 8];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(u64::from_le_bytes(bytes))
}
