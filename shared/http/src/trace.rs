//! Logs of a deployed function: JSON lines on standard output, where CloudWatch picks them up.

use tracing_subscriber::EnvFilter;

/// What is logged when `RUST_LOG` does not say, or says something unreadable.
const LEVEL_DEFAULT: &str = "info";

/// Logs as JSON lines from now on, at the level of `RUST_LOG`. For a function's `main`; a second call does nothing.
pub fn init_tracing() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LEVEL_DEFAULT));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter);
    let installed = subscriber.try_init().is_ok();
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
