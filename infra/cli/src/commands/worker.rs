//! `worker`: the reference worker.

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Runs until the deployment or a signal stops it.
pub async fn run() -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false);
    tracing_subscriber::registry().with(lines.with_filter(af_http::log_filter("info"))).init();
    let config = af_agent::Config::from_env(|name| std::env::var(name).ok())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let exit = af_agent::run(config, shutdown).await?;
    tracing::info!(?exit, "worker ends");
    Ok(())
}
