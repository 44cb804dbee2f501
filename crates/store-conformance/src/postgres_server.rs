//! A real PostgreSQL of one's own: a new cluster in a temporary folder, a free port on loopback, ended by its own
//! handle. As root it runs as `nobody`, because `postgres` refuses to run as root.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oncegate_coordinator::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// `nobody` on every Linux that has PostgreSQL.
const NOBODY: u32 = 65_534;
/// The role that the cluster belongs to.
pub const USER: &str = "oncegate";
/// The database that is there from the beginning.
pub const DATABASE: &str = "postgres";

/// A private server that lives no longer than the test.
pub struct PostgresServer {
    process: Child,
    programs: PathBuf,
    folder: TempDir,
    settings: Vec<String>,
    /// Where it listens, `host:port`.
    pub peer: String,
}

impl PostgresServer {
    /// Creates a cluster with these settings (`name=value`) beside the default ones, and waits until it listens.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start: its own words are part of the message.
    pub async fn start(settings: &[&str]) -> Self {
        let programs = programs();
        let folder = TempDir::new().expect("a temporary folder can be made");
        if as_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("root may give a folder away");
        }
        let made = command(&programs.join("initdb"))
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .args(["--username", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .output()
            .expect("initdb is installed");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Free a moment ago; should somebody be faster, the server ends and the wait below says so.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let peer = free.expect("there is a free port").to_string();
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let process = spawn(&programs, folder.path(), &peer, &settings);
        let mut server = Self { process, programs, folder, settings, peer };
        server.listens().await;
        server
    }

    /// Starts it again after [`PostgresServer::kill`], with what was committed.
    pub async fn start_again(&mut self) {
        self.process = spawn(&self.programs, self.folder.path(), &self.peer, &self.settings);
        self.listens().await;
    }

    /// Ends it like a power cut that spares the disk: nobody gets to say a word.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn kill(&mut self) {
        self.process.kill().expect("the server runs");
        self.process.wait().expect("the server is a child of this process");
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Another program of its version, by name.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The folder of the cluster, for certificates and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until it takes statements.
    async fn listens(&mut self) {
        let clock = SystemClock;
        let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        for _ in 0..600 {
            if log().contains("ready to accept connections") {
                return;
            }
            if self.process.try_wait().expect("the server is a child of this process").is_some() {
                // After a kill the old processes may hold their memory for a moment longer.
                let log = log();
                assert!(log.contains("still in use"), "postgres has ended: {log}");
                self.process = spawn(&self.programs, self.folder.path(), &self.peer, &self.settings);
            }
            clock.sleep_until(clock.now().mono.plus(Duration::from_millis(25))).await;
        }
        panic!("postgres does not listen on {}: {}", self.peer, log());
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Immediate shutdown: it takes its children along, which a kill would leave to themselves.
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process(Pid::from_child(&self.process), Signal::QUIT);
        }
        let _ = self.process.wait();
    }
}

/// Ends one process of that number without a word; for sessions of a [`PostgresServer`].
///
/// # Panics
/// When there is no such process.
pub fn kill_session(id: i32) {
    let id = Pid::from_raw(id).expect("process ids are positive");
    kill_process(id, Signal::KILL).expect("the session runs");
}

fn spawn(programs: &Path, folder: &Path, peer: &str, settings: &[String]) -> Child {
    let (host, port) = peer.rsplit_once(':').expect("it was written so");
    let log = File::create(folder.join("log")).expect("the folder can be written");
    let mut postgres = command(&programs.join("postgres"));
    postgres.arg("-D").arg(folder.join("data")).args(["-h", host, "-p", port]);
    postgres.args(["-c", "unix_socket_directories=", "-c", "shared_buffers=16MB", "-c", "autovacuum=off"]);
    for setting in settings {
        postgres.args(["-c", setting]);
    }
    postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("postgres is installed")
}

/// A command of an unprivileged user.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env_clear().env("LC_ALL", "C");
    if as_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn as_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where the server's programs are, all of them: on the path, where some may be links, or where Debian puts them,
/// which is no place on the path.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut on_path = std::env::split_paths(&path).filter_map(|folder| folder.join("initdb").canonicalize().ok());
    let on_path = on_path.next().and_then(|program| program.parent().map(Path::to_path_buf));
    let debian = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut found: Vec<(u32, PathBuf)> = versions
            .filter_map(Result::ok)
            .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
            .filter(|(_, folder)| folder.join("initdb").is_file())
            .collect();
        found.sort();
        found.pop().map(|(_, folder)| folder)
    };
    on_path.or_else(debian).expect("PostgreSQL is installed: apt-get install postgresql")
}
