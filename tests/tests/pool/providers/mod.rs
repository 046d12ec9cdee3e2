//! Providers: one suite for all of them, and tests of the Fly provider on the Fly emulator.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod cool_down;
mod deployment;
mod fly;
mod fly_emulator;
mod metrics;
mod neighbours;
mod orphans;
mod pool;
mod refusals;
mod rollover;
mod slow;
mod suite;

use std::time::Duration;

use af_providers::{LocalOptions, LocalProvider, Provider};
use async_trait::async_trait;

use suite::{TestBench, conforms};

struct Local(LocalProvider);

#[async_trait]
impl TestBench for Local {
    fn provider(&self) -> &dyn Provider {
        &self.0
    }

    /// Processes do not use the virtual clock: the provider waits for them itself.
    async fn advance(&self, _by: Duration) {}
}

#[tokio::test]
async fn the_local_provider_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let provider = LocalProvider::new(LocalOptions {
        program: "sleep".into(),
        args: vec!["60".to_owned()],
        kind: af_providers::WorkerKind::Reference,
        env: Default::default(),
        data_dir: folder.path().to_owned(),
        stop_timeout: Duration::from_secs(10),
    });
    conforms(&Local(provider)).await;
}

#[tokio::test]
async fn the_fly_provider_conforms() {
    let world = fly::World::new().await;
    conforms(&world).await;
    assert_eq!(world.fly.refused_for_rate(), 0, "the provider waits to keep the rate limits");
}
