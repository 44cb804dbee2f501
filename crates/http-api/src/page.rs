//! The page's security policy: it runs its own scripts and no others.
//!
//! The page shows what strangers sent (the bodies of signals) to somebody who may place orders. So its policy names
//! its scripts by their digests: whatever else got into it would not run.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// The content security policy of `page`. Scripts in attributes (`onclick=".."`) are not run.
pub(crate) fn policy(page: &str) -> String {
    let mut sources = String::new();
    for script in scripts(page) {
        sources.push_str(&format!(" 'sha256-{}'", BASE64.encode(&Sha256::digest(script.as_bytes()))));
    }
    if sources.is_empty() {
        sources.push_str(" 'none'");
    }
    format!(
        "default-src 'none'; script-src{sources}; style-src 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The scripts that stand in the page, as a browser digests them. The page is ours: its tags are in lower case.
fn scripts(page: &str) -> impl Iterator<Item = &str> {
    page.split("<script").skip(1).filter_map(|rest| {
        let (_, script) = rest.split_once('>')?;
        Some(script.split_once("</script")?.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_is_named_by_its_digest() {
        let policy = policy("<p><script>let a = 1 > 0;</script><script type=\"module\">\nb()\n</script>");
        for script in ["let a = 1 > 0;", "\nb()\n"] {
            let digest = BASE64.encode(&Sha256::digest(script.as_bytes()));
            assert!(policy.contains(&format!("'sha256-{digest}'")), "{policy}");
        }
        assert!(!policy.split(';').any(|rule| rule.contains("script-src") && rule.contains("unsafe")));
        assert!(super::policy("<p>none</p>").contains("script-src 'none'"));
    }
}
