//! The figures as Prometheus reads them: text format 0.0.4, by the encoder of the `prometheus` crate.
//!
//! (The project's own `prometheus-client` crate writes OpenMetrics alone: there a counter's type is told under
//! another name than its samples bear, and `info` is a type, both of which a reader of 0.0.4 takes for something else.)
//!
//! Counters are there from the start at 0. A gauge that is not known is absent, never 0.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::alerts::rules::{RULES, Rule};

use super::snapshot::{HistogramFigures, MetricsSnapshot, PortFigures};

/// One value of a family, under its labels.
type Row<'a, T> = (Vec<(&'static str, &'a str)>, T);

/// Writes the page.
pub(super) fn write(figures: &MetricsSnapshot) -> String {
    let mut page = Page::default();
    page.identity(figures);
    page.leadership(figures);
    page.cluster(figures);
    page.signals(figures);
    page.port("store_sync", "Calls to the signal store (each one is a sync)", &figures.store);
    page.port("lease", "Calls to the lease", &figures.lease);
    page.port("broker", "Orders and look-ups", &figures.broker);
    page.broker(figures);
    page.alerts(figures);
    TextEncoder::new().encode_to_string(&page.0).expect("a family is put on the page only with a row")
}

#[derive(Default)]
struct Page(Vec<MetricFamily>);

impl Page {
    fn identity(&mut self, figures: &MetricsSnapshot) {
        let labels = vec![("version", figures.version.as_str()), ("node", figures.instance.as_str())];
        self.gauges("oncegate_build_info", "The program and the name of this node; always 1.", vec![(labels, 1.0)]);
    }

    fn leadership(&mut self, figures: &MetricsSnapshot) {
        let f = &figures.leadership;
        self.gauge("oncegate_leader", "Whether this node leads: its gate is open.", truth(f.is_leader));
        self.gauges(
            "leader_election_master_status",
            "The same under the name that Kubernetes components use; name is that of the lease.",
            vec![(vec![("name", &figures.lease_name)], truth(f.is_leader))],
        );
        self.gauge("oncegate_epoch", "The newest epoch, as this node has seen it.", float(f.epoch));
        self.gauge(
            "oncegate_trust_remaining_seconds",
            "For how much longer this node may act without hearing from the lease; 0 while it does not lead.",
            f.trust_remaining_seconds,
        );
        self.counter(
            "oncegate_leadership_changes_total",
            "Epochs that any node was seen to open since this process watches; every node counts all of them.",
            f.changes_total,
        );
        self.counter("oncegate_leadership_acquired_total", "Leaderships that this node took.", f.acquired_total);
        self.counters(
            "oncegate_leadership_lost_total",
            "Leaderships that this node lost, by why.",
            rows("reason", &f.lost_total),
        );
        self.counter(
            "oncegate_leases_given_up_total",
            "Leases that this node acquired and let go of without having led.",
            f.leases_given_up_total,
        );
        self.counter(
            "oncegate_split_brain_detections_total",
            "Times that this node found lease and store to name different leaders.",
            f.split_brain_detections_total,
        );
        self.counter(
            "oncegate_epoch_went_back_total",
            "Times that the store was found to have lost epochs.",
            f.epoch_went_back_total,
        );
        self.counter(
            "oncegate_fenced_total",
            "Times that the store refused this node as a leader because a newer epoch is open.",
            f.fenced_total,
        );
        self.counter(
            "oncegate_fenced_claims_total",
            "Claims that the store refused because a newer epoch is open: orders that were not sent twice.",
            f.fenced_claims_total,
        );
        self.histograms(
            "oncegate_failover_duration_seconds",
            "From the last sign of life of the leader before to this node's taking over.",
            vec![(vec![], &f.failover)],
        );
        self.counter(
            "oncegate_history_write_failures_total",
            "Entries of the leadership history that could not be written.",
            f.history_write_failures_total,
        );
    }

    fn cluster(&mut self, figures: &MetricsSnapshot) {
        let f = &figures.cluster;
        let Some(looked_at) = f.looked_at_seconds else { return };
        self.gauge("oncegate_overview_timestamp_seconds", "When this node last looked at the cluster.", looked_at);
        let named = [("lease", &f.lease_leader), ("store", &f.store_leader)];
        self.gauges(
            "oncegate_leader_info",
            "Whom lease and store name as the leader; always 1.",
            named
                .iter()
                .filter_map(|(source, leader)| {
                    leader.as_ref().map(|leader| (vec![("source", *source), ("leader", leader.as_str())], 1.0))
                })
                .collect(),
        );
        self.gauge(
            "oncegate_split_brain",
            "Whether lease and store name different leaders for longer than the grace period.",
            truth(f.split_brain),
        );
        if let Some(remaining) = f.lease_remaining_seconds {
            self.gauge("oncegate_lease_remaining_seconds", "For how much longer the lease runs.", remaining);
        }
        if let Some(at) = f.last_heartbeat_seconds {
            self.gauge(
                "oncegate_last_heartbeat_timestamp_seconds",
                "When the leader last said in the store that it lives, by its own clock.",
                at,
            );
        }
        self.gauge("oncegate_paused", "Whether operators have stopped new orders.", truth(f.paused));
        let unreachable = |part: &str| truth(f.unreachable.iter().any(|name| name == part));
        self.gauges(
            "oncegate_unreachable",
            "Whether this node could not read the lease, or the store, when it last looked.",
            ["lease", "store"].into_iter().map(|part| (vec![("part", part)], unreachable(part))).collect(),
        );
        self.gauges(
            "oncegate_node_reachable",
            "Whether a node of the cluster answered this one.",
            f.nodes.iter().map(|node| (vec![("node", node.instance.as_str())], truth(node.reachable))).collect(),
        );
        self.gauges(
            "oncegate_node_clock_offset_seconds",
            "By how much a node's wall clock is ahead of this one's, at least.",
            f.nodes
                .iter()
                .filter_map(|node| Some((vec![("node", node.instance.as_str())], node.clock_offset_seconds?)))
                .collect(),
        );
    }

    fn signals(&mut self, figures: &MetricsSnapshot) {
        let f = &figures.signals;
        self.gauges(
            "oncegate_signals",
            "How many signals stand in each state, in the store that all nodes share.",
            f.by_state.iter().map(|(state, count)| (vec![("state", state.as_str())], float(*count))).collect(),
        );
        if figures.cluster.looked_at_seconds.is_some() {
            self.gauge(
                "oncegate_oldest_unhandled_signal_age_seconds",
                "The age of the oldest signal that is owed something; 0 when there is none.",
                f.oldest_unhandled_age_seconds.unwrap_or(0.0),
            );
        }
        self.counter("oncegate_orders_sending_total", "Orders that this node was about to send.", f.sending_total);
        self.counter(
            "oncegate_orders_not_sent_total",
            "Orders that this node claimed and provably did not send.",
            f.not_sent_total,
        );
        self.counter(
            "oncegate_in_doubt_total",
            "Times that this node could not tell how an attempt ended.",
            f.in_doubt_total,
        );
        self.counters(
            "oncegate_signals_settled_total",
            "Signals that this node saw come to rest, by where they stand then.",
            rows("state", &f.settled_total),
        );
        self.histograms(
            "oncegate_received_to_sent_seconds",
            "From stored to sent for the first time.",
            vec![(vec![], &f.received_to_sent)],
        );
        self.counter(
            "oncegate_port_failures_total",
            "Calls whose failure this node has told of.",
            f.port_failures_total,
        );
    }

    fn port(&mut self, port: &'static str, what: &str, f: &PortFigures) {
        let calls = || f.calls.iter().map(|(kind, calls)| (vec![("call", kind.as_str())], calls));
        self.counters(
            &format!("oncegate_{port}_attempts_total"),
            &format!("{what}, by kind, as they begin."),
            calls().map(|(labels, calls)| (labels, calls.attempts_total)).collect(),
        );
        let failures = calls().flat_map(|(labels, calls)| {
            let with = |how| labels.iter().copied().chain([("how", how)]).collect::<Vec<_>>();
            [(with("error"), calls.errors_total), (with("timeout"), calls.timeouts_total)]
        });
        self.counters(
            &format!("oncegate_{port}_failures_total"),
            &format!("{what} that failed or were given up."),
            failures.collect(),
        );
        self.gauge(
            &format!("oncegate_{port}_failure_ratio"),
            &format!("{what} that failed, of all that ended in the last {} s.", f.lately.window_seconds),
            f.lately.failure_ratio,
        );
        self.histograms(
            &format!("oncegate_{port}_duration_seconds"),
            &format!("{what}: how long they took, however they ended."),
            calls().map(|(labels, calls)| (labels, &calls.duration)).collect(),
        );
    }

    fn broker(&mut self, figures: &MetricsSnapshot) {
        self.counters(
            "oncegate_broker_outcomes_total",
            "Orders by what is known of how they ended.",
            rows("outcome", &figures.broker_outcomes),
        );
        self.counters(
            "oncegate_broker_lookups_total",
            "Look-ups by what was answered.",
            rows("answer", &figures.broker_lookups),
        );
    }

    fn alerts(&mut self, figures: &MetricsSnapshot) {
        let active = |rule: &Rule| {
            figures.alerts.iter().any(|alert| alert.name == rule.name && alert.severity == rule.level.name())
        };
        self.gauges(
            "oncegate_alert_active",
            "Whether this node finds that an alert holds.",
            RULES
                .iter()
                .map(|rule| (vec![("name", rule.name), ("severity", rule.level.name())], truth(active(rule))))
                .collect(),
        );
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, vec![(vec![], value)]);
    }

    fn counters(&mut self, name: &str, help: &str, rows: Vec<Row<'_, u64>>) {
        self.family(name, help, MetricType::COUNTER, rows, |metric, value| {
            let mut counter = Counter::default();
            counter.set_value(float(value));
            metric.set_counter(counter);
        });
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauges(name, help, vec![(vec![], value)]);
    }

    fn gauges(&mut self, name: &str, help: &str, rows: Vec<Row<'_, f64>>) {
        self.family(name, help, MetricType::GAUGE, rows, |metric, value| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        });
    }

    fn histograms(&mut self, name: &str, help: &str, rows: Vec<Row<'_, &HistogramFigures>>) {
        self.family(name, help, MetricType::HISTOGRAM, rows, |metric, figures| {
            let mut histogram = Histogram::default();
            histogram.set_sample_count(figures.count);
            histogram.set_sample_sum(figures.sum_seconds);
            let buckets = figures.buckets.iter().map(|step| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(step.le_seconds);
                bucket.set_cumulative_count(step.count);
                bucket
            });
            histogram.set_bucket(buckets.collect());
            metric.set_histogram(histogram);
        });
    }

    fn family<T>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        rows: Vec<Row<'_, T>>,
        put: impl Fn(&mut Metric, T),
    ) {
        if rows.is_empty() {
            return;
        }
        let metrics = rows.into_iter().map(|(labels, value)| {
            let mut metric = Metric::default();
            metric.set_label(labels.into_iter().map(|(name, value)| pair(name, value)).collect());
            put(&mut metric, value);
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics.collect());
        self.0.push(family);
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn rows<'a>(label: &'static str, counters: &'a std::collections::BTreeMap<String, u64>) -> Vec<Row<'a, u64>> {
    counters.iter().map(|(name, count)| (vec![(label, name.as_str())], *count)).collect()
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

#[allow(clippy::cast_precision_loss)] // Every value of Prometheus is a float.
fn float(count: u64) -> f64 {
    count as f64
}
