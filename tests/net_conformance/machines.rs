//! Real peers on machines of their own: network namespaces behind a router, which can swallow the packets of either
//! direction without a word, and from which a machine can be unplugged.
//!
//! The client moves into a namespace of its own too, by starting this program again: nothing of the real machine's
//! network is touched, and all of it is gone when the processes are. It takes root, or the right to make user
//! namespaces.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use oncegate_coordinator::{BoxFuture, Clock, Connect};

use crate::processes::Process;
use crate::script::{Arm, Fate};

/// Set for the client in its namespace.
const INSIDE: &str = "ONCEGATE_TEST_INSIDE";
const CLIENT: &str = "10.0.0.2";
const ROUTER: &str = "10.0.0.1";
const PORT: u16 = 7000;

/// Whether this process is the client in its namespace.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs the test of that name again, in a network namespace of its own, and fails if it does.
///
/// # Errors
/// Why there can be none.
pub(crate) fn run_inside(test: &str) -> Result<(), String> {
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    let possible = |way: &&&[&str]| {
        // Not only the namespace but what is to be done in it.
        let script = "ip link add v0 type veth peer name v1 && echo 1 >/proc/sys/net/ipv4/ip_forward";
        let tried = Command::new("unshare").args(**way).args(["sh", "-c", script]).output();
        tried.map_err(|error| format!("unshare: {error}")).and_then(|tried| {
            let said = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
            if tried.status.success() { Ok(()) } else { Err(said) }
        })
    };
    let mut reasons = Vec::new();
    for way in &ways {
        match possible(&way) {
            Ok(()) => {
                let ended = Command::new("unshare")
                    .args(*way)
                    .arg(std::env::current_exe().unwrap())
                    .args(["--exact", test, "--nocapture"])
                    .env(INSIDE, "1")
                    .output()
                    .unwrap();
                let said =
                    [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
                eprintln!("{said}");
                assert!(ended.status.success(), "between machines something else is seen");
                return Ok(());
            }
            Err(reason) => reasons.push(reason),
        }
    }
    Err(format!("it takes network namespaces, unshare and ip: {}", reasons.join("; ")))
}

/// Somebody who does nothing but hold a namespace, until its input is closed.
struct Namespace(Child);

impl Namespace {
    fn new() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo made; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "made\n");
        Self(child)
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    /// What leads a command there.
    fn by(&self) -> Vec<String> {
        ["nsenter", "--net", "--target", &self.id().to_string(), "--"].map(str::to_owned).to_vec()
    }

    /// Runs these commands there.
    fn run(&self, script: &str) {
        let by = self.by();
        run(Command::new(&by[0]).args(&by[1..]).args(["sh", "-ec", script]), script);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command, script: &str) {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// The way from the client to every machine.
pub(crate) struct Router {
    namespace: Namespace,
    machines: u8,
}

impl Router {
    /// Puts one beside the client, which must be inside.
    pub(crate) fn start() -> Self {
        let namespace = Namespace::new();
        let script = format!(
            "ip link set lo up
             ip link add client type veth peer name router netns {router}
             ip addr add {CLIENT}/24 dev client
             ip link set client up",
            router = namespace.id(),
        );
        run(Command::new("sh").args(["-ec", &script]), &script);
        namespace.run(&format!(
            "ip addr add {ROUTER}/24 dev router
             ip link set router up
             echo 1 >/proc/sys/net/ipv4/ip_forward"
        ));
        let script = format!("ip route add default via {ROUTER}");
        run(Command::new("sh").args(["-ec", &script]), &script);
        Self { namespace, machines: 0 }
    }

    /// A new machine with a peer on it. One at a time: they share the way to the client.
    pub(crate) fn machine(&mut self) -> Machine<'_> {
        self.machines += 1;
        let net = format!("10.0.{}", self.machines);
        let namespace = plug_in(self, &net);
        let process = Process::start(namespace.by(), &format!("{net}.2:{PORT}"));
        Machine { router: self, net, namespace, process, swallowed: Vec::new() }
    }
}

fn plug_in(router: &Router, net: &str) -> Namespace {
    let namespace = Namespace::new();
    router.namespace.run(&format!(
        "ip link add machine type veth peer name router netns {machine}
         ip addr add {net}.1/24 dev machine
         ip link set machine up",
        machine = namespace.id(),
    ));
    namespace.run(&format!(
        "ip link set lo up
         ip addr add {net}.2/24 dev router
         ip link set router up
         ip route add default via {net}.1"
    ));
    namespace
}

/// One machine with a peer on it.
pub(crate) struct Machine<'a> {
    router: &'a Router,
    net: String,
    namespace: Namespace,
    process: Process,
    /// The addresses whose packets go nowhere.
    swallowed: Vec<String>,
}

impl Machine<'_> {
    fn swallow(&mut self, address: String) {
        // Nobody is told: a link that is down would be answered for.
        self.router.namespace.run(&format!("ip route add blackhole {address}/32"));
        self.swallowed.push(address);
    }

    fn heal(&mut self) {
        for address in std::mem::take(&mut self.swallowed) {
            self.router.namespace.run(&format!("ip route del blackhole {address}/32"));
        }
    }

    fn unplug(&self) {
        self.router.namespace.run("ip link del machine");
    }

    async fn suffer(&mut self, fate: Fate) {
        let peer = format!("{}.2", self.net);
        match fate {
            Fate::Kill | Fate::Start | Fate::Stop | Fate::Resume => self.process.suffer(fate).await,
            Fate::BlockToPeer => self.swallow(peer),
            Fate::BlockToClient => self.swallow(CLIENT.to_owned()),
            Fate::Heal => self.heal(),
            Fate::LosePower => {
                self.swallow(peer);
                // The wire goes first: what the kernel says when it closes the sockets gets nowhere, now or later.
                self.unplug();
                self.process.kill();
            }
            Fate::RegainPower => {
                // Another namespace: the old one's kernel would still remember the connections.
                self.namespace = plug_in(self.router, &self.net);
                self.process.start_again(self.namespace.by());
                self.heal();
            }
        }
    }
}

impl Arm for Machine<'_> {
    fn peer(&self) -> String {
        self.process.address().to_owned()
    }

    fn connect(&self) -> Arc<dyn Connect> {
        self.process.connect()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.process.clock()
    }

    fn befall(&mut self, fate: Fate) -> BoxFuture<'_, ()> {
        Box::pin(self.suffer(fate))
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The namespaces go with the processes.
            return;
        }
        self.heal();
        // After a loss of power it is unplugged already.
        self.router.namespace.run("ip link del machine || true");
    }
}
