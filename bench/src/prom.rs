//! `bench run --prom`: what the load generator does, for Prometheus, while it does it. Each metric and its unit: docs/metrics.md.
//!
//! Numbers grow over all repeats and scenarios of one command, as those of a long-lived process should; they are of the measured
//! phases only, like those of run.json, but for `answered`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use axum::Router;
use axum::routing::get;
use hdrhistogram::Histogram;
use replica::admin::exposition::{self, Distribution, Labels, Metrics, Page, Unit};
use replica::admin::{self, server};
use tokio::sync::oneshot;

use crate::exit::Exit;
use crate::options::RunError;
use crate::record::{Counters, Live};

/// Upper bounds of the buckets of latencies, as powers of two in nanoseconds: 65.5 us to 17.2 s. The counts below them are exact.
const BOUNDS_NS: std::ops::RangeInclusive<u32> = 16..=34;
const NS_PER_S: f64 = 1e9;

/// What the load generator has to show. Clones show the same.
#[derive(Clone, Debug, Default)]
pub struct LoadMetrics(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    scenario: String,
    repeat: u32,
    /// Of the repeats so far; one of them, the last, may be under way.
    lives: Vec<Arc<Live>>,
}

/// A port that shows [`LoadMetrics`], until dropped.
#[derive(Debug)]
pub struct Serving {
    metrics: LoadMetrics,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LoadMetrics {
    /// A repeat begins whose counters these are.
    pub fn begin(&self, scenario: &str, repeat: u32, live: &Arc<Live>) {
        let mut state = self.state();
        state.scenario = scenario.to_owned();
        state.repeat = repeat;
        state.lives.push(Arc::clone(live));
    }

    /// Shows new, empty metrics at `/metrics` of this address.
    ///
    /// # Errors
    /// If the address is taken or not of this machine.
    pub fn serve(address: SocketAddr) -> Result<Serving, RunError> {
        let environment =
            |error: &dyn fmt::Display| RunError::new(Exit::Environment, error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| environment(&error))?;
        let metrics = LoadMetrics::default();
        let shown = metrics.clone();
        let router = Router::new().route(
            "/metrics",
            get(move || async move { exposition::response(&shown) }),
        );
        let (stop, stopped) = oneshot::channel();
        let (opened, is_open) = mpsc::sync_channel(1);
        let serve = move || {
            runtime.block_on(async {
                let listener = match admin::listen(address, "--prom").await {
                    Ok(listener) => listener,
                    Err(error) => {
                        let _ = opened.send(Err(error));
                        return;
                    }
                };
                let _ = opened.send(Ok(listener.local_addr().unwrap_or(address)));
                tokio::select! {
                    () = server::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("prom".to_owned())
            .spawn(serve)
            .map_err(|error| environment(&error))?;
        match is_open.recv() {
            Ok(Ok(address)) => Ok(Serving {
                metrics,
                address,
                stop: Some(stop),
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(environment(&error)),
            Err(_) => Err(RunError::new(
                Exit::Runtime,
                "the thread that serves --prom ended at its start",
            )),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serving {
    /// What is shown.
    pub fn metrics(&self) -> &LoadMetrics {
        &self.metrics
    }

    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Page for LoadMetrics {
    fn write(&self, metrics: &mut Metrics<'_>) -> fmt::Result {
        let state = self.state();
        let mut counters = Counters::default();
        let mut answered = 0;
        for live in &state.lives {
            let snapshot = live.snapshot();
            counters.add(&snapshot.measured);
            answered += snapshot.answered;
        }
        let scenario = vec![("scenario", state.scenario.clone())];
        metrics.info(("quintet_load", "The scenario under way"), &scenario)?;
        level(
            metrics,
            "quintet_load_repeat",
            "The repeat under way, from 1",
            u64::from(state.repeat),
        )?;
        operations(metrics, &counters, answered)?;
        if let Some(seen) = state.lives.last().and_then(|live| live.cluster()) {
            level(
                metrics,
                "quintet_load_view",
                "The highest view that a replica was seen in",
                seen.view,
            )?;
            let up = u64::from(seen.replicas_up);
            level(
                metrics,
                "quintet_load_replicas_up",
                "Replicas that answered when they were last asked",
                up,
            )?;
        }
        let distributions = state
            .lives
            .iter()
            .map(|live| distribution(&live.latencies()));
        metrics.histogram(
            (
                "quintet_load_latency",
                "Latency of successful operations, from the intended start",
            ),
            Some(Unit::Seconds),
            [(Labels::new(), sum(distributions))],
        )
    }
}

fn level(
    metrics: &mut Metrics<'_>,
    name: &'static str,
    help: &'static str,
    value: u64,
) -> fmt::Result {
    metrics.gauge((name, help), None, [(Labels::new(), value as f64)])
}

fn operations(metrics: &mut Metrics<'_>, counters: &Counters, answered: u64) -> fmt::Result {
    let Counters {
        offered,
        sent,
        ok,
        failed,
        unknown,
        dropped,
        late,
        busy_replies,
    } = *counters;
    for (about, total) in [
        (
            (
                "quintet_load_offered_operations",
                "Operations that should have started",
            ),
            offered,
        ),
        (
            (
                "quintet_load_sent_operations",
                "Operations handed to the network",
            ),
            sent,
        ),
        (
            (
                "quintet_load_dropped_operations",
                "Operations never sent, because the client's queue was full",
            ),
            dropped,
        ),
        (
            (
                "quintet_load_late_operations",
                "Operations sent more than 10 ms after their intended start",
            ),
            late,
        ),
        (
            (
                "quintet_load_busy_replies",
                "Replies by which replicas refused a request for now",
            ),
            busy_replies,
        ),
        (
            (
                "quintet_load_answered_operations",
                "Operations answered in any phase, load and warm-up included",
            ),
            answered,
        ),
    ] {
        metrics.counter(about, None, [(Labels::new(), total as f64)])?;
    }
    let outcomes = [("ok", ok), ("failed", failed), ("unknown", unknown)];
    metrics.counter(
        (
            "quintet_load_finished_operations",
            "Operations answered or given up, by outcome",
        ),
        None,
        outcomes.map(|(outcome, total)| (vec![("outcome", outcome.to_owned())], total as f64)),
    )?;
    // The counters are read one after the other: for a moment more may have ended than were sent.
    let in_flight = sent.saturating_sub(ok + failed + unknown);
    level(
        metrics,
        "quintet_load_in_flight_operations",
        "Operations sent and not finished",
        in_flight,
    )
}

fn distribution(latencies: &Histogram<u64>) -> Distribution {
    let mut before = 0;
    let buckets = BOUNDS_NS.map(|bits| {
        let bound = 1u64 << bits;
        let upto = match latencies.is_empty() {
            true => 0,
            false => latencies.count_between(0, bound - 1),
        };
        let between = upto - before;
        before = upto;
        (bound as f64 / NS_PER_S, between)
    });
    Distribution {
        buckets: buckets.collect(),
        sum: latencies.mean() * latencies.len() as f64 / NS_PER_S,
        count: latencies.len(),
    }
}

fn sum(distributions: impl Iterator<Item = Distribution>) -> Distribution {
    let empty = distribution(&crate::record::new_histogram());
    distributions.fold(empty, |mut sum, each| {
        sum.sum += each.sum;
        sum.count += each.count;
        for (mine, theirs) in sum.buckets.iter_mut().zip(each.buckets) {
            mine.1 += theirs.1;
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::record::{Answer, Outcome, Phases, Recorder, SeenCluster, Times};
    use crate::workload::Operation;

    /// One repeat: operations of the measured phase that took these times, in milliseconds.
    fn repeat(latencies_ms: &[u64]) -> Arc<Live> {
        let live = Arc::new(Live::default());
        let mut recorder = Recorder::new(Phases::new(0, 0, u64::MAX), Arc::clone(&live), None);
        for ms in latencies_ms {
            recorder.offered(0, 1);
            recorder.sent(0, 0, 1);
            let times = Times {
                intended_ns: 0,
                sent_ns: 0,
                end_ns: ms * 1_000_000,
            };
            let read = Operation::Read { key: "k".into() };
            let answer = Answer::Executed {
                outcome: Outcome::Value(None),
                seq: None,
            };
            recorder.finished(0, &read, times, &answer);
        }
        drop(recorder.into_recording());
        live
    }

    fn value(text: &str, name: &str) -> Option<f64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    #[test]
    fn counters_go_on_over_repeats_and_the_histogram_has_every_latency() {
        let metrics = LoadMetrics::default();
        metrics.begin("first", 1, &repeat(&[1, 3]));
        metrics.begin("second", 2, &repeat(&[3, 40]));
        let text = exposition::text(&metrics).unwrap();
        assert_eq!(
            value(&text, "quintet_load_sent_operations_total"),
            Some(4.0)
        );
        let ok = "quintet_load_finished_operations_total{outcome=\"ok\"}";
        assert_eq!(value(&text, ok), Some(4.0));
        assert_eq!(value(&text, "quintet_load_in_flight_operations"), Some(0.0));
        assert_eq!(value(&text, "quintet_load_repeat"), Some(2.0));
        assert_eq!(
            value(&text, "quintet_load_latency_seconds_count"),
            Some(4.0)
        );
        let below = |bound: &str| {
            value(
                &text,
                &format!("quintet_load_latency_seconds_bucket{{le=\"{bound}\"}}"),
            )
        };
        assert_eq!(below("0.001048576"), Some(1.0));
        assert_eq!(below("0.004194304"), Some(3.0));
        assert_eq!(below("+Inf"), Some(4.0));
        let sum = value(&text, "quintet_load_latency_seconds_sum").unwrap();
        assert!((sum / 0.047 - 1.0).abs() < 0.01, "{sum}");
        assert!(
            text.contains("quintet_load_info{scenario=\"second\"} 1"),
            "{text}"
        );
    }

    /// Words of a text that look like metrics of a load generator.
    fn named(text: &str) -> BTreeSet<String> {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let ours = words.filter(|word| word.starts_with("quintet_load_"));
        ours.map(str::to_owned).collect()
    }

    #[test]
    fn docs_and_dashboard_name_what_is_shown() {
        let metrics = LoadMetrics::default();
        let live = repeat(&[1]);
        live.saw(SeenCluster {
            view: 0,
            replicas_up: 5,
        });
        metrics.begin("any", 1, &live);
        let text = exposition::text(&metrics).unwrap();
        let shown = |line: &str| {
            let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            Some(match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            })
        };
        let mut shown: BTreeSet<String> = text.lines().filter_map(shown).collect();
        assert_eq!(named(include_str!("../../docs/metrics.md")), shown);
        shown.insert("quintet_load_latency_seconds_bucket".to_owned());
        let dashboard: serde_json::Value =
            serde_json::from_str(include_str!("../../docs/grafana/quintet.json")).unwrap();
        let panels = dashboard["panels"].as_array().unwrap().iter();
        let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
        let asked: BTreeSet<String> = targets
            .flat_map(|target| named(target["expr"].as_str().unwrap()))
            .collect();
        assert!(asked.len() > 4 && asked.is_subset(&shown), "{asked:?}");
    }

    #[test]
    fn what_nobody_has_seen_yet_is_not_shown() {
        let metrics = LoadMetrics::default();
        let live = repeat(&[]);
        metrics.begin("first", 1, &live);
        let view = || value(&exposition::text(&metrics).unwrap(), "quintet_load_view");
        assert_eq!(view(), None);
        live.saw(SeenCluster {
            view: 3,
            replicas_up: 5,
        });
        assert_eq!(view(), Some(3.0));
    }

    #[test]
    fn a_taken_address_is_the_environments_fault_and_a_closed_port_is_free_again() {
        let any = "127.0.0.1:0".parse().unwrap();
        let serving = LoadMetrics::serve(any).unwrap();
        let address = serving.address();
        let refused = LoadMetrics::serve(address).unwrap_err();
        assert_eq!(refused.exit, Exit::Environment);
        assert!(refused.message.contains("--prom"), "{refused}");
        drop(serving);
        assert!(LoadMetrics::serve(address).is_ok());
    }
}
