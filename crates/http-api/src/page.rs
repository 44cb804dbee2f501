//! The page's security policy: it runs its own scripts and no others.
//!
//! The page shows what strangers sent (the bodies of signals) to somebody who may place orders. So its policy names
//! its scripts and styles by their digests: whatever else got into it would not run.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// The content security policy of `page`. Scripts and styles in attributes (`onclick=".."`) are not run.
pub(crate) fn policy(page: &str) -> String {
    let (scripts, styles) = (sources(page, "script"), sources(page, "style"));
    format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The digests of what stands between the page's tags of that name, as a browser makes them. The page is ours: its
/// tags are in lower case.
fn sources(page: &str, tag: &str) -> String {
    let (opens, closes) = (format!("<{tag}"), format!("</{tag}"));
    let within = page.split(&opens).skip(1).filter_map(|rest| {
        let (_, text) = rest.split_once('>')?;
        Some(text.split_once(&closes)?.0)
    });
    let digests: Vec<_> =
        within.map(|text| format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text.as_bytes())))).collect();
    if digests.is_empty() { "'none'".into() } else { digests.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_and_style_is_named_by_its_digest() {
        let page =
            "<style>p { top: 0 }</style><p><script>let a = 1 > 0;</script><script type=\"module\">\nb()\n</script>";
        let policy = policy(page);
        for script in ["let a = 1 > 0;", "\nb()\n", "p { top: 0 }"] {
            let digest = BASE64.encode(&Sha256::digest(script.as_bytes()));
            assert!(policy.contains(&format!("'sha256-{digest}'")), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert!(super::policy("<p>none</p>").contains("script-src 'none'"));
    }
}
