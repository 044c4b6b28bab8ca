//! Writes metrics for Prometheus, in the OpenMetrics text format. What is counted is kept elsewhere; a page reads it at the moment
//! at which it is asked for.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
pub use prometheus_client::registry::Unit;

/// What Prometheus calls this format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names and values that tell the samples of one metric apart.
pub type Labels = Vec<(&'static str, String)>;

/// Something that has metrics to show.
pub trait Page {
    /// Writes all of them.
    ///
    /// # Errors
    /// The writer's.
    fn write(&self, metrics: &mut Metrics<'_>) -> fmt::Result;
}

/// Where a [`Page`] writes its metrics.
pub struct Metrics<'e>(DescriptorEncoder<'e>);

/// Durations or sizes by their size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// The sum of all, in the unit of the metric.
    pub sum: f64,
    /// How many there are.
    pub count: u64,
    /// Upper bounds, ascending, and how many were between the bound before and this one. What is larger is in `count` only.
    pub buckets: Vec<(f64, u64)>,
}

/// A metric's name, without unit and suffix, and what it says.
pub type About = (&'static str, &'static str);

impl Metrics<'_> {
    /// Numbers that only grow.
    ///
    /// # Errors
    /// The writer's.
    pub fn counter(
        &mut self,
        (name, help): About,
        unit: Option<Unit>,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in samples {
            sample(&mut metric, &labels, |sample| {
                sample.encode_counter::<NoLabelSet, f64, f64>(&value, None)
            })?;
        }
        Ok(())
    }

    /// Numbers that grow and shrink.
    ///
    /// # Errors
    /// The writer's.
    pub fn gauge(
        &mut self,
        (name, help): About,
        unit: Option<Unit>,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in samples {
            sample(&mut metric, &labels, |sample| sample.encode_gauge(&value))?;
        }
        Ok(())
    }

    /// Distributions.
    ///
    /// # Errors
    /// The writer's.
    pub fn histogram(
        &mut self,
        (name, help): About,
        unit: Option<Unit>,
        samples: impl IntoIterator<Item = (Labels, Distribution)>,
    ) -> fmt::Result {
        let kind = MetricType::Histogram;
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, distribution) in samples {
            let Distribution {
                sum,
                count,
                mut buckets,
            } = distribution;
            let told: u64 = buckets.iter().map(|bucket| bucket.1).sum();
            buckets.push((f64::INFINITY, count.saturating_sub(told)));
            sample(&mut metric, &labels, |sample| {
                sample.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            })?;
        }
        Ok(())
    }

    /// Facts in labels.
    ///
    /// # Errors
    /// The writer's.
    pub fn info(&mut self, (name, help): About, labels: &Labels) -> fmt::Result {
        let kind = MetricType::Info;
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        metric.encode_info(labels)
    }
}

/// An empty set of labels would be written as `{}`.
fn sample(
    metric: &mut MetricEncoder<'_>,
    labels: &Labels,
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    match labels.is_empty() {
        true => write(metric),
        false => write(&mut metric.encode_family(labels)?),
    }
}

/// The page as text.
///
/// # Errors
/// The page's.
pub fn text<P: Page + Clone + Send + Sync + 'static>(page: &P) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected(page.clone())));
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The page as an answer.
pub fn response<P: Page + Clone + Send + Sync + 'static>(page: &P) -> Response {
    match text(page) {
        Ok(text) => {
            let kind = HeaderValue::from_static(CONTENT_TYPE);
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// How the library asks for metrics.
struct Collected<P>(P);

impl<P: Page + Send + Sync + 'static> Collector for Collected<P> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(&mut Metrics(encoder))
    }
}

impl<P> fmt::Debug for Collected<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collected")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Clone)]
    struct Example;

    impl Page for Example {
        fn write(&self, metrics: &mut Metrics<'_>) -> fmt::Result {
            let labels = |value: &str| vec![("type", value.to_owned())];
            let samples = [(labels("a"), 3.0), (labels("b"), 4.0)];
            metrics.counter(("x_sent", "What was sent"), Some(Unit::Bytes), samples)?;
            metrics.gauge(("x_view", "The view"), None, [(Labels::new(), 7.0)])?;
            let distribution = Distribution {
                sum: 1.5,
                count: 6,
                buckets: vec![(0.25, 2), (1.0, 3)],
            };
            let about = ("x_duration", "How long");
            metrics.histogram(about, Some(Unit::Seconds), [(labels("a"), distribution)])?;
            metrics.info(("x", "About x"), &labels("q\"uoted"))
        }
    }

    #[test]
    fn metrics_have_units_suffixes_and_cumulative_buckets() {
        let wanted = r#"# HELP x_sent_bytes What was sent
# TYPE x_sent_bytes counter
# UNIT x_sent_bytes bytes
x_sent_bytes_total{type="a"} 3.0
x_sent_bytes_total{type="b"} 4.0
# HELP x_view The view
# TYPE x_view gauge
x_view 7.0
# HELP x_duration_seconds How long
# TYPE x_duration_seconds histogram
# UNIT x_duration_seconds seconds
x_duration_seconds_sum{type="a"} 1.5
x_duration_seconds_count{type="a"} 6
x_duration_seconds_bucket{le="0.25",type="a"} 2
x_duration_seconds_bucket{le="1.0",type="a"} 5
x_duration_seconds_bucket{le="+Inf",type="a"} 6
# HELP x About x
# TYPE x info
x_info{type="q\"uoted"} 1
# EOF
"#;
        assert_eq!(text(&Example).unwrap(), wanted);
    }
}
