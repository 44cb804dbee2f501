//! What the dashboard must never do, as far as its text tells; `dashboard` shows it to a browser.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

const PAGE: &str = include_str!("../src/page/index.html");

/// What stands between `<name>` and `</name>`, which is there once.
fn element(name: &str) -> &'static str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    assert_eq!((PAGE.matches(&open).count(), PAGE.matches(&close).count()), (1, 1), "one {open} and one {close}");
    PAGE.split_once(&open).unwrap().1.split_once(&close).unwrap().0
}

#[test]
fn nothing_from_the_api_becomes_markup_or_code() {
    let script = element("script");
    let makers = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "DOMParser"];
    for maker in makers.into_iter().chain(["setTimeout('", "javascript:", "createContextualFragment", "srcdoc"]) {
        assert!(!script.contains(maker), "{maker} can make markup or code of a signal");
    }
}

#[test]
fn the_page_is_self_contained() {
    for (at, _) in PAGE.match_indices("http") {
        let rest = &PAGE[at..];
        let names_no_place = rest.starts_with("http://www.w3.org/2000/svg") || rest.starts_with(r"https?:\/\/");
        assert!(names_no_place, "{}", &rest[..rest.len().min(60)]);
    }
    for tag in ["<script src", "<link rel=\"stylesheet\"", "@import", "url(", "<iframe", "<img"] {
        assert!(!PAGE.contains(tag), "{tag} loads something from elsewhere");
    }
}
