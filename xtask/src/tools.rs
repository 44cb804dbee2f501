//! What the tests need beside Rust: found, or installed where that is possible without asking.

use std::fs::metadata;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::step::{End, Step};

/// Something that must be on the path.
struct Tool {
    /// Any of these programs will do.
    programs: &'static [&'static str],
    /// What it is needed for.
    purpose: &'static str,
    /// The packages of Debian and Ubuntu that bring it.
    packages: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        programs: &["redis-server"],
        purpose: "the tests compare the simulated Redis with a real one",
        packages: "redis-server",
    },
    Tool { programs: &["ip"], purpose: "the tests compare the simulated network with real ones", packages: "iproute2" },
    Tool {
        programs: &["python3"],
        purpose: "the tests run the example engine, which is in Python",
        packages: "python3",
    },
    Tool { programs: &["cc", "gcc", "clang"], purpose: "SQLite is built from its C source", packages: "gcc libc6-dev" },
    Tool {
        programs: &["promtool"],
        purpose: "the tests ask a real Prometheus about the figures, the alerts and the dashboard",
        packages: "prometheus",
    },
    Tool {
        programs: &["chromedriver"],
        purpose: "the tests show the dashboard to a browser",
        packages: "chromium chromium-driver fonts-dejavu-core",
    },
    Tool { programs: &["initdb"], purpose: "the tests keep signals in a real PostgreSQL", packages: "postgresql" },
    Tool { programs: &["systemd-analyze"], purpose: "the tests check the unit in deploy/systemd", packages: "systemd" },
];

/// Makes sure that every tool is there.
///
/// # Errors
/// What is missing and which command brings it, for people.
pub(crate) fn find_or_install() -> Result<(), String> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.iter().map(|tool| tool.packages).collect::<Vec<_>>().join(" ");
    let install = [
        Step::new("install", "apt-get update"),
        Step::new("install", &format!("apt-get install -y --no-install-recommends {packages}"))
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Keeps packages from starting their services where the system heeds it. Where it doesn't, the
            // service is idle: the tests start servers of their own, on ports of their own.
            .env("RUNLEVEL", "1"),
    ];
    if is_root() && on_path("apt-get").is_some() {
        // A list that could not be refreshed may still be good enough.
        for step in &install {
            if matches!(step.run(), End::Failed(_)) {
                eprintln!("{} failed", step.typed());
            }
        }
    }
    advice(&self::missing(), &packages)
}

/// Says what is still missing, if anything.
fn advice(missing: &[&Tool], packages: &str) -> Result<(), String> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut text = String::from("Missing, and could not be installed from here:\n");
    for tool in missing {
        text.push_str(&format!("    {} ({})\n", tool.programs.join(" or "), tool.purpose));
    }
    text.push_str(&format!(
        "Install and try again, on Debian or Ubuntu:\n    sudo apt-get update && sudo apt-get install -y {packages}"
    ));
    Err(text)
}

fn missing() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| tool.programs.iter().all(|program| on_path(program).is_none())).collect()
}

/// Where on the path the program is.
fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .chain(postgres_folders())
        .map(|folder| folder.join(program))
        .find(|file| metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0))
}

/// Where Debian and Ubuntu keep the servers of PostgreSQL, each version by itself and none on the path.
fn postgres_folders() -> impl Iterator<Item = PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin"))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_the_command_that_brings_it() {
        assert_eq!(advice(&[], "x"), Ok(()));
        let text = advice(&[&TOOLS[0]], "redis-server").unwrap_err();
        assert!(text.contains("redis-server (the tests compare"), "{text}");
        assert!(text.ends_with("apt-get install -y redis-server"), "{text}");
    }

    #[test]
    fn programs_are_found_on_the_path_only() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-anywhere").is_none());
    }
}
