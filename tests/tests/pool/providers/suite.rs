//! The conformance suite of all providers. A new provider gets its own test bench and the same suite.

use std::time::Duration;

use af_domain::ids::WorkerId;
use af_providers::{
    Machine, MachineState, Provider, ProviderError, Scope, SpawnEnv, SpawnSpec, StopOutcome, Teardown,
    VolumeRef, VolumeSpec,
};
use async_trait::async_trait;

pub const DEPLOYMENT: &str = "test";
const IMAGE: &str = "registry/worker:1";
/// The largest number of stop requests until a machine has stopped; each request waits for a few seconds.
const MAX_STOPS: usize = 20;

/// A provider and the control of its time.
#[async_trait]
pub trait TestBench: Send + Sync {
    fn provider(&self) -> &dyn Provider;

    /// Advances the time that machines need.
    async fn advance(&self, by: Duration);
}

pub fn scope() -> Scope {
    Scope {
        app_name: "workers".to_owned(),
        deployment_id: DEPLOYMENT.to_owned(),
        volume_name: "data".to_owned(),
    }
}

pub fn worker(id: &str) -> WorkerId {
    WorkerId::parse(id).unwrap()
}

pub fn volume_spec(provider: &dyn Provider, worker: &WorkerId) -> VolumeSpec {
    VolumeSpec {
        scope: scope(),
        worker_id: worker.clone(),
        name: provider.volume_name(&scope(), worker).unwrap(),
        region: "fra".to_owned(),
        size_gb: 1,
    }
}

pub fn spawn_spec(worker: &WorkerId, volume: Option<VolumeRef>) -> SpawnSpec {
    SpawnSpec {
        scope: scope(),
        worker_id: worker.clone(),
        image: IMAGE.to_owned(),
        region: "fra".to_owned(),
        guest: None,
        env: SpawnEnv::default(),
        volume,
        volume_path: "/data".to_owned(),
    }
}

pub async fn machines(provider: &dyn Provider) -> Vec<Machine> {
    let listed = provider.list(&scope()).await.unwrap().ours;
    listed.into_iter().filter(|m| m.state != MachineState::Gone).collect()
}

/// Stops a machine as the pool does: it repeats the request until the machine has stopped.
pub async fn stop(bench: &dyn TestBench, machine: &Machine) {
    for _ in 0..MAX_STOPS {
        if bench.provider().stop(&machine.machine).await.unwrap() == StopOutcome::Stopped {
            return;
        }
        bench.advance(Duration::from_secs(1)).await;
    }
    panic!("machine {} does not stop", machine.machine.machine_id);
}

pub async fn conforms(bench: &dyn TestBench) {
    let (volume, machine) = spawns_once(bench).await;
    lists_its_machine(bench, &volume, &machine).await;
    refuses_early_removal(bench, &volume, &machine).await;
    tears_down_in_steps(bench, &volume, &machine).await;
    is_not_found_after_removal(bench, &volume, &machine).await;
    removes_by_force(bench).await;
    keeps_workers_apart(bench).await;
}

async fn spawns_once(bench: &dyn TestBench) -> (VolumeRef, Machine) {
    let provider = bench.provider();
    provider.check_credentials().await.unwrap();
    let worker = worker("w-conformance");
    assert!(machines(provider).await.is_empty());
    let spec = volume_spec(provider, &worker);
    let volume = provider.ensure_volume(&spec).await.unwrap();
    assert_eq!(volume.name, spec.name, "the row has the name before the volume exists");
    assert!(provider.is_volume_of(&scope(), &worker, &volume.name));
    assert_eq!(provider.ensure_volume(&spec).await.unwrap(), volume, "a repeated call finds the volume");
    let spec = spawn_spec(&worker, Some(volume.clone()));
    let machine = provider.spawn(&spec).await.unwrap();
    assert!(machine.state.is_running());
    assert_eq!(machine.machine.app_name, scope().app_name, "the machine is in the requested app");
    assert_eq!(provider.spawn(&spec).await.unwrap().machine, machine.machine, "one worker has one machine");
    (volume, machine)
}

/// The lists name the worker, because the response to the spawn may have been lost.
async fn lists_its_machine(bench: &dyn TestBench, volume: &VolumeRef, machine: &Machine) {
    let provider = bench.provider();
    bench.advance(Duration::from_secs(2)).await;
    let listed = machines(provider).await;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].worker_id, &listed[0].machine), (&machine.worker_id, &machine.machine));
    assert_eq!((listed[0].state, listed[0].image.as_str()), (MachineState::Running, IMAGE));
    let volumes = provider.list_volumes(&scope()).await.unwrap().ours;
    assert_eq!(volumes.len(), 1);
    assert_eq!(&volumes[0].volume, volume);
    assert_eq!(volumes[0].attached_to.as_deref(), Some(&*machine.machine.machine_id));
    assert_eq!(provider.inspect(&machine.machine).await.unwrap(), MachineState::Running);
    let survey = provider.survey(&scope()).await.unwrap();
    assert_eq!((survey.machines.ours, survey.volumes.ours), (listed, volumes));
}

async fn refuses_early_removal(bench: &dyn TestBench, volume: &VolumeRef, machine: &Machine) {
    let early = bench.provider().terminate(&machine.machine, Teardown::WhenStopped).await;
    assert!(matches!(early, Err(ProviderError::Precondition { .. })), "the machine still runs: {early:?}");
    let early = bench.provider().delete_volume(volume).await;
    assert!(matches!(early, Err(ProviderError::Precondition { .. })), "the volume is attached: {early:?}");
}

async fn tears_down_in_steps(bench: &dyn TestBench, volume: &VolumeRef, machine: &Machine) {
    let provider = bench.provider();
    provider.cordon(&machine.machine).await.unwrap();
    provider.cordon(&machine.machine).await.unwrap();
    stop(bench, machine).await;
    let again = provider.stop(&machine.machine).await.unwrap();
    assert_eq!(again, StopOutcome::Stopped, "a second stop is no error");
    assert_eq!(machines(provider).await[0].state, MachineState::Stopped);
    assert_eq!(provider.inspect(&machine.machine).await.unwrap(), MachineState::Stopped);
    provider.terminate(&machine.machine, Teardown::WhenStopped).await.unwrap();
    bench.advance(Duration::from_secs(1)).await;
    provider.delete_volume(volume).await.unwrap();
    assert!(machines(provider).await.is_empty());
    assert!(provider.list_volumes(&scope()).await.unwrap().ours.is_empty());
}

async fn is_not_found_after_removal(bench: &dyn TestBench, volume: &VolumeRef, machine: &Machine) {
    let provider = bench.provider();
    let machine = &machine.machine;
    assert!(provider.terminate(machine, Teardown::WhenStopped).await.unwrap_err().is_not_found());
    assert!(provider.terminate(machine, Teardown::Force).await.unwrap_err().is_not_found());
    assert!(provider.delete_volume(volume).await.unwrap_err().is_not_found());
    assert!(provider.inspect(machine).await.unwrap_err().is_not_found());
    assert!(provider.cordon(machine).await.unwrap_err().is_not_found());
    assert!(provider.stop(machine).await.unwrap_err().is_not_found());
}

async fn removes_by_force(bench: &dyn TestBench) {
    let provider = bench.provider();
    let worker = worker("w-forced");
    let volume = provider.ensure_volume(&volume_spec(provider, &worker)).await.unwrap();
    let machine = provider.spawn(&spawn_spec(&worker, Some(volume.clone()))).await.unwrap();
    provider.terminate(&machine.machine, Teardown::Force).await.unwrap();
    bench.advance(Duration::from_secs(1)).await;
    assert!(machines(provider).await.is_empty());
    provider.delete_volume(&volume).await.unwrap();
}

async fn keeps_workers_apart(bench: &dyn TestBench) {
    let provider = bench.provider();
    let ids = ["w-1", "w-2"].map(worker);
    let mut made = Vec::new();
    for id in &ids {
        let volume = provider.ensure_volume(&volume_spec(provider, id)).await.unwrap();
        made.push((provider.spawn(&spawn_spec(id, Some(volume.clone()))).await.unwrap(), volume));
    }
    assert_ne!(made[0].1, made[1].1);
    assert!(!provider.is_volume_of(&scope(), &ids[0], &made[1].1.name));
    provider.terminate(&made[0].0.machine, Teardown::Force).await.unwrap();
    bench.advance(Duration::from_secs(1)).await;
    provider.delete_volume(&made[0].1).await.unwrap();
    let left = machines(provider).await;
    assert_eq!(left.iter().map(|m| &m.worker_id).collect::<Vec<_>>(), [&ids[1]]);
    provider.terminate(&made[1].0.machine, Teardown::Force).await.unwrap();
    bench.advance(Duration::from_secs(1)).await;
    provider.delete_volume(&made[1].1).await.unwrap();
}
