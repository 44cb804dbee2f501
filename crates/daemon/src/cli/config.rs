//! `oncegate config`: settings, shown and checked.

use std::net::SocketAddr;
use std::path::Path;

use crate::Exit;
use crate::config::{example, read};
use crate::serve::settings;

/// Prints the example file.
pub(super) fn example() -> Exit {
    print!("{}", example::text());
    Exit::Done
}

/// Reads `file` as `serve` would.
pub(super) fn check(file: &Path, with_secrets: bool) -> Exit {
    let read = read::file(file).and_then(|(config, origin)| {
        if with_secrets {
            settings::settings(&config, &origin).map(drop)?;
        }
        Ok(config)
    });
    match read {
        Ok(config) => {
            println!("{}: good{}", file.display(), if with_secrets { "" } else { "; its secrets were not fetched" });
            let at_home = config.listen.address.parse::<SocketAddr>().is_ok_and(|at| at.ip().is_loopback());
            if !at_home && config.listen.tls_certificate.is_none() && !config.api.tokens.is_empty() {
                println!(
                    "note: without TLS, tokens can be read by whoever sees the network at {}",
                    config.listen.address
                );
            }
            Exit::Done
        }
        Err(wrong) => {
            for wrong in wrong {
                eprintln!("error: {wrong}");
            }
            Exit::Usage
        }
    }
}
