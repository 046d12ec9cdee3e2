//! Logs of a deployed function: JSON lines on standard output, where CloudWatch picks them up.

use af_runtime::env::Env;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::emf::metric_lines;

/// What is logged when `RUST_LOG` does not say, or says something unreadable.
const LEVEL_DEFAULT: &str = "info";

/// The variable with the namespace of the metrics at CloudWatch. Without it, no metric lines are written.
const METRICS_NAMESPACE: &str = "METRICS_NAMESPACE";

/// The starts of the names of our crates, as targets of log events.
const OURS: [&str; 2] = ["af_", "agent_factory"];

/// The filter of `RUST_LOG`, or else of `default`. Below the level info it lets only our own events pass: at debug and
/// trace, the SDK and the HTTP crates log whole requests and responses, and so keys, tokens and the values of secrets.
/// The span of an invocation passes at each level, so that a log of errors alone has the ids of its requests.
pub fn log_filter<S: Subscriber + for<'span> LookupSpan<'span>>(
    default: &str,
) -> impl Filter<S> + Sync + 'static {
    let asked = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    asked.and(filter_fn(may_be_logged)).or(filter_fn(is_invocation))
}

fn may_be_logged(event: &Metadata<'_>) -> bool {
    *event.level() <= LevelFilter::INFO || OURS.iter().any(|ours| event.target().starts_with(ours))
}

/// The span that the Lambda runtime opens for each invocation. Its `requestId` is the one of the platform's log lines.
fn is_invocation(span: &Metadata<'_>) -> bool {
    span.is_span() && span.target().starts_with("lambda_runtime")
}

/// Logs as JSON lines from now on, at the level of `RUST_LOG`, and writes metrics in any case. For a function's `main`; a
/// second call does nothing.
pub fn init_tracing() {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_filter(log_filter(LEVEL_DEFAULT));
    let env = Env::of_process();
    let metrics = env.get(METRICS_NAMESPACE).map(|name| metric_lines(name.to_owned(), std::io::stdout));
    let installed = Registry::default().with(lines).with(metrics).try_init().is_ok();
    if installed && cfg!(panic = "abort") {
        log_panics();
    }
}

/// Release builds abort on panic, so that this is the last chance to say why, with the request's ids.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "the function panicked");
    }));
}
