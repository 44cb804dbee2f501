//! Scenario files: read strictly, refused with file, line and what to write instead.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use oncegate_protocol::SignalState;
use oncegate_protocol::legs::MAX_LEGS;
use toml::de::{DeTable, DeValue};

use crate::world::anchor::Point;

use super::{Fault, FaultSpec, Form, Scenario, Span, StoreKind, WorldSpec};
use crate::hosts::redis::FURTHEST_BEHIND;

/// The shortest healed phase in which every promise can be kept.
pub const LEAST_HEALED: Span = Span::secs(90);
/// So many signals at once are more than any strategy sends.
const MOST_IN_A_BURST: u32 = 200;
/// So often no sender repeats what was acknowledged.
const MOST_TIMES: u32 = 20;
/// The longest phase that a file may ask for.
const LONGEST_PHASE: Span = Span::secs(24 * 3600);

/// Input that can't be used: exit code 2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadInput {
    /// Which file.
    pub file: String,
    /// Which line, from 1; none when it is about the file as a whole.
    pub line: Option<usize>,
    /// What is wrong and what to write instead.
    pub what: String,
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl std::error::Error for BadInput {}

/// What is impossible about a scenario, and where: the how-manieth table of which name (none: the top), and its
/// key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Impossible {
    table: &'static str,
    number: usize,
    key: &'static str,
    what: String,
}

/// Reads a scenario file.
///
/// # Errors
/// [`BadInput`], when it can't be read, is no scenario, or asks for the impossible.
pub fn file(path: &Path) -> Result<Scenario, BadInput> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| BadInput {
        file: name.clone(),
        line: None,
        what: format!("can't be read: {error}; recorded scenarios lie in scenarios/, failures in failures/"),
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        BadInput {
            file: name.clone(),
            line: Some(good.iter().filter(|byte| **byte == b'\n').count() + 1),
            what: "this line is not UTF-8: save the file as UTF-8 text".into(),
        }
    })?;
    text_of(&name, &text)
}

/// Reads a scenario from the text of the file `name`.
///
/// # Errors
/// [`BadInput`], when it is no scenario or asks for the impossible.
pub fn text_of(name: &str, text: &str) -> Result<Scenario, BadInput> {
    let scenario: Scenario = toml::from_str(text).map_err(|error| BadInput {
        file: name.into(),
        line: error.span().map(|span| line_at(text, span.start)),
        what: plainly(error.message()),
    })?;
    check(&scenario).map_err(|impossible| BadInput {
        file: name.into(),
        line: locate(text, &impossible),
        what: impossible.what,
    })?;
    Ok(scenario)
}

fn line_at(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}

/// What the TOML reader says, for somebody who does not know its words.
fn plainly(message: &str) -> String {
    const ONE_FAULT: &str = "write e.g. do = { crash = { host = \"@leader\", down = \"20s\" } }";
    let said = message.trim().replace('\n', ", ");
    if let Some((unknown, known)) =
        said.strip_prefix("unexpected keys in table: ").and_then(|rest| rest.split_once(", available keys: "))
    {
        return format!("unknown key `{unknown}`, expected one of `{}`", known.replace(", ", "`, `"));
    }
    if said.starts_with("invalid type: integer") && said.ends_with("expected a string") {
        return format!("{said}: times and names stand in quotes, e.g. \"25s\"");
    }
    if let Some((number, _)) =
        said.strip_prefix("invalid value: integer `").and_then(|rest| rest.split_once("`, expected "))
    {
        return format!("the number {number} is too large or too small here: scenarios/README.md shows every form");
    }
    if said.starts_with("wanted exactly 1 element") {
        return format!("a fault is one thing that goes wrong: {ONE_FAULT}, and a [[fault]] for each");
    }
    if said.starts_with("invalid type: unit variant") {
        return format!("this fault has members: {ONE_FAULT}; scenarios/README.md shows every form");
    }
    if said == "expected empty table" {
        return "this fault has no members: write e.g. do = \"redis-loses-data\"".into();
    }
    match said.strip_prefix("missing field ") {
        Some("`do`") => format!("the key `do` is missing: {ONE_FAULT}"),
        Some(key) => format!("the key {key} is missing: scenarios/README.md shows every form"),
        None => said.replace("unknown field", "unknown key").replace("unknown variant", "unknown name"),
    }
}

/// The line of the key in its table, else of the table, however they are written.
fn locate(text: &str, impossible: &Impossible) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let key_in = |table: &DeTable<'_>, key: &str| table.get_key_value(key).map(|(key, _)| key.span());
    let Some((named, value)) = root.get_ref().get_key_value(impossible.table) else {
        return key_in(root.get_ref(), impossible.key).map(|span| line_at(text, span.start));
    };
    let (table, whole) = match value.get_ref() {
        DeValue::Array(tables) => tables.get(impossible.number).map(|table| (table.get_ref(), table.span()))?,
        table => (table, named.span()),
    };
    let key = table.as_table().and_then(|table| key_in(table, impossible.key));
    Some(line_at(text, key.unwrap_or(whole).start))
}

/// Whether a scenario can happen at all.
///
/// # Errors
/// The first thing about it that can't.
pub fn check(scenario: &Scenario) -> Result<(), Impossible> {
    if scenario.name.is_empty() || !scenario.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        let what = format!("the name {:?} can't name a file: write letters, digits and dashes", scenario.name);
        return Err(Impossible { table: "", number: 0, key: "name", what });
    }
    check_world(&scenario.world)?;
    let nodes: Vec<String> = (1..=scenario.world.nodes).map(|n| format!("n{n}")).collect();
    let faults_for = scenario.world.faults_for;
    let mut ids = BTreeSet::new();
    for (signal, number) in scenario.signals.iter().zip(0..) {
        let wrong = |key, what| Err(Impossible { table: "signal", number, key, what });
        if signal.id.is_empty() || !ids.insert(&signal.id) {
            return wrong("id", format!("the id {:?} is empty or taken: give each signal one of its own", signal.id));
        }
        if signal.at < Span::default() || signal.at >= faults_for {
            let what =
                format!("a signal at {} is outside of the fault phase: write 0s to under {faults_for}", signal.at);
            return wrong("at", what);
        }
        if signal.to.is_empty() {
            return wrong("to", format!("sent to nobody: name one or more of {}", nodes.join(", ")));
        }
        if let Some(stranger) = signal.to.iter().find(|to| !nodes.contains(to)) {
            return wrong("to", format!("there is no node {stranger:?}: name one or more of {}", nodes.join(", ")));
        }
        if !(1..=MOST_IN_A_BURST).contains(&signal.burst) {
            return wrong("burst", format!("a burst of {}: write 1 to {MOST_IN_A_BURST}", signal.burst));
        }
        if !(1..=MOST_TIMES).contains(&signal.times) {
            return wrong("times", format!("sent {} times: write 1 to {MOST_TIMES}", signal.times));
        }
        if !(1..=u32::from(MAX_LEGS)).contains(&signal.legs) {
            return wrong("legs", format!("{} legs: write 1 to {MAX_LEGS}", signal.legs));
        }
        if signal.form == Form::Addressed && scenario.world.identity.is_empty() {
            let what = "bodies that differ are different signals, unless [world] says by what they are told apart: \
                        write identity = [\"/id\"]";
            return wrong("form", what.into());
        }
        if signal.good_for.is_some_and(|good_for| good_for <= Span::default()) {
            return wrong("good-for", "a signal must be good for longer than 0s, or leave good-for out".into());
        }
    }
    for (fault, number) in scenario.faults.iter().zip(0..) {
        check_fault(scenario, fault, &nodes).map_err(|(key, what)| Impossible { table: "fault", number, key, what })?;
    }
    let wrong = |key, what| Err(Impossible { table: "expect", number: 0, key, what });
    for (id, state) in &scenario.expect.states {
        if !ids.contains(id) {
            return wrong("states", format!("there is no signal {id:?} to expect anything of"));
        }
        if SignalState::from_name(state).is_none() {
            let names: Vec<_> = SignalState::ALL.into_iter().map(SignalState::name).collect();
            return wrong("states", format!("there is no state {state:?}: write one of {}", names.join(", ")));
        }
    }
    Ok(())
}

/// What the sources write, by JSON pointer.
const MEMBERS: [&str; 5] = ["/id", "/instrument", "/side", "/quantity", "/expires_at_ms"];

fn check_world(world: &WorldSpec) -> Result<(), Impossible> {
    let wrong = |key, what| Err(Impossible { table: "world", number: 0, key, what });
    if !(1..=5).contains(&world.nodes) {
        return wrong("nodes", format!("{} nodes: write 1 to 5", world.nodes));
    }
    if world.latency_min < Span::millis(1) || world.latency_max < world.latency_min || world.latency_max > Span::secs(1)
    {
        let what =
            format!("latencies from {} to {}: write 1ms to 1s, the least first", world.latency_min, world.latency_max);
        return wrong("latency-max", what);
    }
    if let Some(stranger) = world.identity.iter().find(|pointer| !MEMBERS.contains(&pointer.as_str())) {
        let what = format!("the sources write no {stranger:?}: name one or more of {}", MEMBERS.join(", "));
        return wrong("identity", what);
    }
    if !world.identity.is_empty() && !world.identity.iter().any(|pointer| pointer == "/id") {
        return wrong("identity", "without \"/id\" all signals would be one: add it".into());
    }
    if let Err(error) = world.timing.timing().check() {
        return wrong("timing", format!("{error}"));
    }
    if world.faults_for < Span::secs(1) || world.faults_for > LONGEST_PHASE {
        return wrong("faults-for", format!("a fault phase of {}: write 1s to {LONGEST_PHASE}", world.faults_for));
    }
    if world.healed_for < LEAST_HEALED || world.healed_for > LONGEST_PHASE {
        let what = format!(
            "a healed phase of {}: write at least {LEAST_HEALED}, which is how long progress may take",
            world.healed_for
        );
        return wrong("healed-for", what);
    }
    Ok(())
}

fn check_fault(scenario: &Scenario, spec: &FaultSpec, nodes: &[String]) -> Result<(), (&'static str, String)> {
    let faults_for = scenario.world.faults_for;
    let fault = &spec.fault;
    let lasts = Span::millis(i64::try_from(fault.lasts().as_millis()).unwrap_or(i64::MAX));
    match (&spec.at, &spec.when) {
        (Some(_), Some(_)) => {
            return Err(("when", "a fault strikes either at a time or when a point is reached: leave one out".into()));
        }
        (None, None) => {
            return Err(("do", "when does it strike? write at = \"20s\", or when = { point = \"claimed\" }".into()));
        }
        (Some(at), None) => {
            if *at < Span::default() || *at >= faults_for {
                return Err((
                    "at",
                    format!("a fault at {at} is outside of the fault phase: write 0s to under {faults_for}"),
                ));
            }
            let ends = Span::millis(at.as_millis().saturating_add(lasts.as_millis()));
            if ends > faults_for {
                return Err((
                    "do",
                    format!(
                        "it would last until {ends}, but every fault ends at {faults_for}: shorten it, or lengthen faults-for"
                    ),
                ));
            }
        }
        (None, Some(anchor)) => {
            if lasts > faults_for {
                let what = format!(
                    "it would last {lasts}, but every fault ends at {faults_for}: shorten it, or lengthen faults-for"
                );
                return Err(("do", what));
            }
            if anchor.nth == 0 {
                return Err(("when", "nth counts from 1".into()));
            }
            if let Some(by) = &anchor.by
                && !nodes.contains(by)
                && by != "broker"
            {
                return Err((
                    "when",
                    format!("nobody called {by:?} reaches points: name one of {}, broker", nodes.join(", ")),
                ));
            }
            let of_a_call = matches!(anchor.point, Point::Before(_));
            if fault.is_of_a_call() && !of_a_call {
                let what = format!(
                    "{} is done to a call: write when = {{ point = \"before-claim\" }}, or before another call",
                    fault.name()
                );
                return Err(("when", what));
            }
            let at_the_broker = anchor.point == Point::OrderBooked;
            if anchor.by.as_ref().is_some_and(|by| at_the_broker != (by == "broker")) {
                let who = if at_the_broker { "the broker" } else { "a node" };
                return Err(("when", format!("{} is reached by {who}: leave by out", anchor.point.name())));
            }
        }
    }
    if fault.is_of_a_call() && spec.when.is_none() {
        let what =
            format!("{} is done to a call: write when = {{ point = \"before-claim\" }} instead of at", fault.name());
        return Err(("at", what));
    }
    for host in fault.hosts() {
        check_host(fault, host, spec.when.is_some(), nodes, scenario.world.store)?;
    }
    let same = match fault {
        Fault::Partition { between: [a, b], .. }
        | Fault::LateRelease { between: [a, b], .. }
        | Fault::Reset { between: [a, b] } => a == b,
        Fault::OneWay { from, to, .. } => from == to,
        _ => false,
    };
    if same {
        return Err(("do", "a host can't be parted from itself: name two".into()));
    }
    if !fault.is_instant() && lasts <= Span::default() {
        return Err(("do", format!("{} must last longer than 0s", fault.name())));
    }
    match fault {
        Fault::ClockDrift { ppm, .. } if ppm.abs() > 200_000 => {
            Err(("do", format!("a clock that runs {ppm} ppm fast: write -200000 to 200000")))
        }
        Fault::StoreSlow { by, .. }
        | Fault::BrokerLate { by, .. }
        | Fault::BrokerHides { by, .. }
        | Fault::RedisSlow { by, .. }
        | Fault::LatencySpike { by, .. }
        | Fault::CallRepeated { by }
            if *by <= Span::default() =>
        {
            Err(("do", "by must be longer than 0s".into()))
        }
        Fault::LateRelease { late, .. } if *late <= Span::default() => {
            Err(("do", "late must be longer than 0s; without it this is a partition".into()))
        }
        Fault::RedisFailsOver { loses } if loses.get() > FURTHEST_BEHIND || *loses < Span::default() => {
            Err(("do", format!("a replica that is {loses} behind: write 0s to {FURTHEST_BEHIND:?}")))
        }
        Fault::BrokerMisanswers { status, .. } if !(400..600).contains(status) => {
            Err(("do", format!("{status} is no status that says that something failed: write 400 to 599")))
        }
        Fault::Split { groups, .. } => {
            let mut named = BTreeSet::new();
            if groups.len() < 2 || groups.iter().any(Vec::is_empty) {
                Err(("do", "a network falls apart into two groups or more, none of them empty".into()))
            } else if let Some(twice) = groups.iter().flatten().find(|host| !named.insert(*host)) {
                Err(("do", format!("{twice} is in two groups: leave one out")))
            } else {
                Ok(())
            }
        }
        Fault::RedisTwoMasters { hosts, .. } if hosts.is_empty() => {
            Err(("do", format!("the second master serves nobody: name one or more of {}", nodes.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Who may be named in which fault.
fn check_host(
    fault: &Fault,
    host: &str,
    anchored: bool,
    nodes: &[String],
    store: StoreKind,
) -> Result<(), (&'static str, String)> {
    // SQLite is no process of its own, and nobody has a connection to it.
    let served = store == StoreKind::Postgres;
    let services: &[&str] = match fault {
        Fault::Partition { .. }
        | Fault::OneWay { .. }
        | Fault::Isolate { .. }
        | Fault::Split { .. }
        | Fault::LateRelease { .. }
        | Fault::LatencySpike { .. } => &["redis", "store", "broker", "source"],
        Fault::Reset { .. } if served => &["redis", "store", "broker", "source"],
        Fault::Reset { .. } => &["redis", "broker", "source"],
        Fault::Refuse { .. } | Fault::Crash { .. } | Fault::PowerLoss { .. } | Fault::Pause { .. } if served => {
            &["redis", "store", "broker"]
        }
        Fault::Refuse { .. } | Fault::Crash { .. } | Fault::PowerLoss { .. } | Fault::Pause { .. } => {
            &["redis", "broker"]
        }
        Fault::ClockStep { .. } | Fault::ClockDrift { .. } => &["redis"],
        _ => &[],
    };
    if host == "@actor" && !anchored {
        return Err(("do", "@actor is who reached the point: only a fault with `when` has one; write @leader".into()));
    }
    let known = nodes.iter().any(|node| node == host)
        || services.contains(&host)
        || ["@leader", "@follower", "@actor"].contains(&host);
    if known {
        return Ok(());
    }
    let mut names: Vec<&str> = nodes.iter().map(String::as_str).collect();
    names.extend(services);
    names.extend(["@leader", "@follower"]);
    if anchored {
        names.push("@actor");
    }
    Err(("do", format!("{} can't strike {host:?}: name one of {}", fault.name(), names.join(", "))))
}
