//! Metrics as lines in CloudWatch's embedded metric format (EMF). CloudWatch makes metrics of such lines, without calls
//! of its API.

use std::fmt;
use std::io::Write;

use af_runtime::clock::{Clock as _, SystemClock};
use af_runtime::metric::{Metric, TARGET};
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// A layer that writes each metric as a line to `writer`, whatever the log level is.
pub(crate) fn metric_lines<S, W>(namespace: String, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    MetricLines { namespace, writer }.with_filter(filter_fn(|event| event.target() == TARGET))
}

struct MetricLines<W> {
    namespace: String,
    writer: W,
}

impl<S: Subscriber, W: for<'w> MakeWriter<'w> + 'static> Layer<S> for MetricLines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut recorded = Recorded::default();
        event.record(&mut recorded);
        if let Recorded { metric: Some(metric), value } = recorded {
            let line = line(&self.namespace, metric, value, SystemClock.now().as_millis());
            // As for log lines, there is no place to report that standard output is closed.
            let _ = self.writer.make_writer().write_all(line.as_bytes());
        }
    }
}

fn line(namespace: &str, metric: Metric, value: u64, at: u64) -> String {
    let definition = json!({
        "Namespace": namespace,
        "Dimensions": [[]],
        "Metrics": [{"Name": metric.name(), "Unit": metric.unit().as_str()}],
    });
    let mut line = Map::new();
    line.insert("_aws".to_owned(), json!({"Timestamp": at, "CloudWatchMetrics": [definition]}));
    line.insert(metric.name().to_owned(), value.into());
    format!("{}\n", Value::Object(line))
}

/// The fields of an event that records a metric.
#[derive(Default)]
struct Recorded {
    metric: Option<Metric>,
    value: u64,
}

impl Visit for Recorded {
    fn record_str(&mut self, field: &Field, text: &str) {
        if field.name() == "metric" {
            self.metric = Metric::of_name(text);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "value" {
            self.value = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
