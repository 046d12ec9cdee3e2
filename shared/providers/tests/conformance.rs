//! What every provider must do alike. A new provider gets its own `#[tokio::test]` over the same suite.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::time::Duration;

use af_domain::ids::WorkerId;
use af_providers::{
    LocalConfig, LocalProvider, MachineState, Provider, ProviderError, Scope, SpawnEnv, SpawnSpec,
    StopOutcome, Teardown, VolumeSpec,
};

fn scope() -> Scope {
    Scope { app_name: "workers".to_owned(), deployment_id: "test".to_owned() }
}

fn volume_spec(provider: &dyn Provider, worker: &WorkerId) -> VolumeSpec {
    VolumeSpec {
        scope: scope(),
        worker_id: worker.clone(),
        name: provider.volume_name(&scope(), worker),
        region: "fra".to_owned(),
        size_gb: 1,
    }
}

async fn conforms(provider: &dyn Provider) {
    let worker = WorkerId::parse("w-conformance").unwrap();
    let volume_spec = volume_spec(provider, &worker);

    let volume = provider.ensure_volume(&volume_spec).await.unwrap();
    assert_eq!(volume.name, volume_spec.name, "the name stands in the row before the volume exists");
    assert_eq!(provider.ensure_volume(&volume_spec).await.unwrap(), volume, "a repeated call finds it");

    let spec = SpawnSpec {
        scope: scope(),
        worker_id: worker.clone(),
        image: "registry/worker:1".to_owned(),
        region: "fra".to_owned(),
        guest: None,
        env: SpawnEnv::default(),
        volume: Some(volume.clone()),
        volume_path: "/data".to_owned(),
    };
    let machine = provider.spawn(&spec).await.unwrap();
    assert!(machine.state.is_running());
    assert_eq!(provider.spawn(&spec).await.unwrap().machine, machine.machine, "one machine a worker");

    // The answer of the spawn may have been lost: the list names the worker.
    let listed = provider.list(&scope()).await.unwrap().ours;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].worker_id, &listed[0].machine), (&worker, &machine.machine));
    assert_eq!(listed[0].image, "registry/worker:1");
    let volumes = provider.list_volumes(&scope()).await.unwrap().ours;
    assert_eq!(volumes.len(), 1);
    assert_eq!(volumes[0].volume, volume);
    assert_eq!(volumes[0].attached_to.as_deref(), Some(&*machine.machine.machine_id));

    let machine = machine.machine;
    let early = provider.terminate(&machine, Teardown::WhenStopped).await;
    assert!(matches!(early, Err(ProviderError::Precondition { .. })), "it still runs: {early:?}");
    let early = provider.delete_volume(&volume).await;
    assert!(matches!(early, Err(ProviderError::Precondition { .. })), "it is attached: {early:?}");

    provider.cordon(&machine).await.unwrap();
    assert_eq!(provider.stop(&machine).await.unwrap(), StopOutcome::Stopped);
    assert_eq!(provider.stop(&machine).await.unwrap(), StopOutcome::Stopped, "stopping twice is no error");
    assert_eq!(provider.list(&scope()).await.unwrap().ours[0].state, MachineState::Stopped);
    provider.terminate(&machine, Teardown::WhenStopped).await.unwrap();
    provider.delete_volume(&volume).await.unwrap();
    assert!(provider.list(&scope()).await.unwrap().ours.is_empty());
    assert!(provider.list_volumes(&scope()).await.unwrap().ours.is_empty());

    assert!(provider.cordon(&machine).await.unwrap_err().is_not_found());
    assert!(provider.stop(&machine).await.unwrap_err().is_not_found());
    assert!(provider.terminate(&machine, Teardown::Force).await.unwrap_err().is_not_found());
    assert!(provider.delete_volume(&volume).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn the_local_provider_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let provider = LocalProvider::new(LocalConfig {
        program: "sleep".into(),
        args: vec!["60".to_owned()],
        data_dir: folder.path().to_owned(),
        stop_timeout: Duration::from_secs(10),
    });
    conforms(&provider).await;
}
