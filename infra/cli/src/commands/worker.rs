//! `worker`: the reference worker.

use tokio::signal::unix::{SignalKind, signal};

/// Runs until the deployment or a signal stops it.
pub async fn run() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(filter()).with_ansi(false).init();
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

fn filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into())
}
