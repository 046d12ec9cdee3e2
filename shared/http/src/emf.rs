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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A writer whose clones share their text.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Output {
        fn lines(&self) -> Vec<Value> {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let text = String::from_utf8(bytes.clone()).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Output {
        type Writer = Self;
        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    /// The lines of metrics and the log lines of `run`, with `level` as the level of the log.
    fn output(level: &str, run: impl FnOnce()) -> (Vec<Value>, Vec<Value>) {
        let (metrics, log) = (Output::default(), Output::default());
        let lines = tracing_subscriber::fmt::layer().json().with_writer(log.clone());
        let subscriber = tracing_subscriber::registry()
            .with(lines.with_filter(EnvFilter::new(level)))
            .with(metric_lines("AgentFactory/test".to_owned(), metrics.clone()));
        tracing::subscriber::with_default(subscriber, run);
        (metrics.lines(), log.lines())
    }

    #[test]
    fn a_metric_is_a_line_of_its_own_at_every_log_level() {
        for level in ["off", "error", "warn", "info", "debug"] {
            let (metrics, log) = output(level, || {
                Metric::MessageDone.add(2);
                Metric::MessageDone.add(0);
                Metric::ClaimWait.record(1_500);
            });
            assert_eq!(metrics.len(), 2, "{level}");
            assert_eq!(metrics[0]["MessageDone"], 2);
            assert_eq!(metrics[1]["ClaimWait"], 1_500);
            assert_eq!(log.len(), if level == "debug" { 2 } else { 0 }, "{level}");
        }
    }

    #[test]
    fn a_line_has_the_embedded_metric_format_without_dimensions() {
        let (metrics, _) = output("error", || Metric::ProcessingTime.record(20));
        let at = &metrics[0]["_aws"]["Timestamp"];
        let definition = json!({
            "Namespace": "AgentFactory/test",
            "Dimensions": [[]],
            "Metrics": [{"Name": "ProcessingTime", "Unit": "Milliseconds"}],
        });
        let wanted =
            json!({"_aws": {"Timestamp": at, "CloudWatchMetrics": [definition]}, "ProcessingTime": 20});
        assert_eq!(metrics, [wanted]);
        assert!(at.as_u64().unwrap() > 1_600_000_000_000, "milliseconds since the epoch");
    }

    #[test]
    fn nothing_else_is_in_the_lines_of_metrics() {
        let (metrics, log) = output("trace", || {
            let span = tracing::error_span!("request", text = "a message of a person");
            let _entered = span.enter();
            tracing::error!(metric = "MessageDone", value = 1, "a log line with the fields of a metric");
            tracing::error!(target: TARGET, metric = "a message of a person", value = 1);
            Metric::MessageDone.count();
        });
        assert_eq!(metrics.len(), 1);
        assert!(!metrics[0].to_string().contains("person"));
        assert_eq!(log.len(), 3);
    }
}
