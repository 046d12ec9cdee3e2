//! The `fly` provider against the Fly emulator, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use af_domain::ids::SecretRef;
use af_domain::time::{Millis, Timestamp};
use af_emulator_fly::{Action, Fault, FlyEmulator, Options};
use af_providers::{FlyProvider, MachineState, Provider, ProviderError, StopOutcome, Teardown, TokenSource};
use af_runtime::entropy::Entropy;
use af_runtime::time::LeapingTime;
use af_runtime::virtual_clock::VirtualClock;
use async_trait::async_trait;
use secrecy::SecretString;
use tokio::task::JoinHandle;

use crate::providers::suite::{
    DEPLOYMENT, TestBench, machines, scope, spawn_spec, stop, volume_spec, worker,
};

pub const TOKEN: &str = "FlyV1 fm2_secret";

struct FixedToken(Option<&'static str>);

#[async_trait]
impl TokenSource for FixedToken {
    async fn token(&self, _: &SecretRef) -> Result<Option<SecretString>, ProviderError> {
        Ok(self.0.map(SecretString::from))
    }
}

/// The Fly emulator with one app, and the provider of one deployment in it.
pub struct World {
    pub fly: FlyEmulator,
    pub clock: VirtualClock,
    pub url: String,
    pub provider: FlyProvider,
    server: JoinHandle<()>,
}

impl World {
    pub async fn new() -> Self {
        Self::by(VirtualClock::frozen_at(Timestamp::from_millis(1_000_000)), DEPLOYMENT).await
    }

    /// The same with this clock, for this deployment.
    pub async fn by(clock: VirtualClock, deployment: &str) -> Self {
        let fly = FlyEmulator::open(Options {
            data_dir: None,
            time: Arc::new(LeapingTime(clock.clone())),
            entropy: Arc::new(Entropy::seeded(1)),
            token: Some(TOKEN.to_owned()),
            runner: None,
            max_page_len: 2,
        })
        .unwrap();
        fly.add_app("workers", "org");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let api = fly.api();
        let server = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
        let provider = provider(&url, deployment, Some(TOKEN), &clock);
        Self { fly, clock, url, provider, server }
    }

    /// The provider of another deployment in the same app.
    fn other_provider(&self) -> FlyProvider {
        self.provider_of("another")
    }

    /// The provider of this deployment.
    pub fn provider_of(&self, deployment: &str) -> FlyProvider {
        provider(&self.url, deployment, Some(TOKEN), &self.clock)
    }

    /// Creates a machine and a volume without our mark, as an operator does by hand. Returns their ids.
    pub async fn create_unmarked(&self) -> (String, String) {
        let made = async |what: &str, body: serde_json::Value| {
            let url = format!("{}/apps/workers/{what}", self.url);
            let answer =
                reqwest::Client::new().post(url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
            let made: serde_json::Value = answer.error_for_status().unwrap().json().await.unwrap();
            made["id"].as_str().unwrap().to_owned()
        };
        let config = serde_json::json!({"image": "registry/other:1"});
        let machine = made("machines", serde_json::json!({"name": "by-hand", "config": config})).await;
        let volume = serde_json::json!({"name": "data", "region": "fra", "size_gb": 1});
        (machine, made("volumes", volume).await)
    }

    async fn start_worker(&self, id: &str) -> af_providers::Machine {
        let worker = worker(id);
        let volume = self.provider.ensure_volume(&volume_spec(&self.provider, &worker)).await.unwrap();
        let machine = self.provider.spawn(&spawn_spec(&worker, Some(volume))).await.unwrap();
        self.advance(Duration::from_secs(1)).await;
        machine
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[async_trait]
impl TestBench for World {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(Millis::new(u64::try_from(by.as_millis()).unwrap()));
    }
}

fn provider(url: &str, deployment: &str, token: Option<&'static str>, clock: &VirtualClock) -> FlyProvider {
    let time = Arc::new(LeapingTime(clock.clone()));
    FlyProvider::new(url, deployment, Arc::new(FixedToken(token)), time).unwrap()
}

#[tokio::test]
async fn a_creation_whose_response_was_lost_makes_no_second_machine() {
    let world = World::new().await;
    world.fly.fault(Action::CreateMachine, &Fault::AnswerLost, 1);
    world.fly.fault(Action::CreateVolume, &Fault::AnswerLost, 1);
    let first = world.start_worker("w-1").await;
    let again = world.start_worker("w-1").await;
    assert_eq!(first.machine, again.machine);
    assert_eq!(machines(world.provider()).await.len(), 1);
    assert_eq!(world.provider.list_volumes(&scope()).await.unwrap().ours.len(), 1);
}

#[tokio::test]
async fn an_unconfirmed_creation_is_found_by_the_next_spawn() {
    let world = World::new().await;
    world.fly.fault(Action::CreateMachine, &Fault::AnswerLost, 1);
    world.fly.fault(Action::ListMachines, &Fault::status(503), 1);
    let spec = spawn_spec(&worker("w-1"), None);
    let lost = world.provider.spawn(&spec).await;
    assert!(matches!(lost, Err(ProviderError::Unavailable { .. })), "{lost:?}");
    let found = world.provider.spawn(&spec).await.unwrap();
    assert_eq!(
        machines(world.provider()).await.iter().map(|m| &m.machine).collect::<Vec<_>>(),
        [&found.machine]
    );
}

#[tokio::test]
async fn a_failed_creation_leaves_no_machine() {
    let world = World::new().await;
    world.fly.fault(Action::CreateMachine, &Fault::status(422), 1);
    let refused = world.provider.spawn(&spawn_spec(&worker("w-1"), None)).await;
    assert!(refused.is_err());
    assert!(machines(world.provider()).await.is_empty());
}

#[tokio::test]
async fn a_failing_service_is_unavailable_until_it_recovers() {
    let world = World::new().await;
    world.fly.fault(Action::ListMachines, &Fault::status(500), 2);
    for _ in 0..2 {
        let failed = world.provider.list(&scope()).await;
        assert!(matches!(failed, Err(ProviderError::Unavailable { .. })), "{failed:?}");
    }
    assert!(world.provider.list(&scope()).await.is_ok());
}

#[tokio::test]
async fn a_rate_limited_request_waits_for_the_retry_time_of_fly() {
    let world = World::new().await;
    let refused = Fault::Refused { status: 429, error: "slow down".into(), retry_after_secs: Some(7) };
    world.fly.fault(Action::ListMachines, &refused, 1);
    let before = world.clock.offset();
    world.provider.list(&scope()).await.unwrap();
    assert_eq!(world.clock.offset().as_millis() - before.as_millis(), 7_000);
    let refused = Fault::Refused { status: 429, error: "slow down".into(), retry_after_secs: Some(60) };
    world.fly.fault(Action::ListMachines, &refused, 1);
    let too_long = world.provider.list(&scope()).await;
    let Err(ProviderError::RateLimited { retry_after }) = too_long else { panic!("{too_long:?}") };
    assert_eq!(retry_after, Duration::from_secs(60));
    let requests = world.fly.requests();
    assert!(matches!(world.provider.list(&scope()).await, Err(ProviderError::RateLimited { .. })));
    assert_eq!(world.fly.requests(), requests, "no request is sent before the retry time");
}

#[tokio::test]
async fn spawns_of_twenty_machines_keep_the_rate_limit() {
    let world = World::new().await;
    let began = world.clock.offset();
    for n in 0..20 {
        world.provider.spawn(&spawn_spec(&worker(&format!("w-{n}")), None)).await.unwrap();
    }
    let took = world.clock.offset().as_millis() - began.as_millis();
    assert_eq!((took, world.fly.refused_for_rate()), (17_000, 0), "three at once, then one a second");
    assert_eq!(machines(world.provider()).await.len(), 20);
}

#[tokio::test]
async fn a_machine_that_does_not_stop_is_removed_by_force_only() {
    let world = World::new().await;
    let machine = world.start_worker("w-1").await;
    world.fly.fault(Action::StopMachine, &Fault::StuckStopping, 1);
    assert_eq!(world.provider.stop(&machine.machine).await.unwrap(), StopOutcome::Stopping);
    world.advance(Duration::from_secs(3_600)).await;
    assert_eq!(world.provider.stop(&machine.machine).await.unwrap(), StopOutcome::Stopping);
    let orderly = world.provider.terminate(&machine.machine, Teardown::WhenStopped).await;
    assert!(matches!(orderly, Err(ProviderError::Precondition { .. })));
    world.provider.terminate(&machine.machine, Teardown::Force).await.unwrap();
    world.advance(Duration::from_secs(1)).await;
    assert!(machines(world.provider()).await.is_empty());
}

#[tokio::test]
async fn a_vanished_machine_is_not_listed_and_its_volume_can_be_deleted() {
    let world = World::new().await;
    let machine = world.start_worker("w-1").await;
    assert!(world.fly.vanish("workers", &machine.machine.machine_id).await);
    assert!(machines(world.provider()).await.is_empty());
    assert!(world.provider.stop(&machine.machine).await.unwrap_err().is_not_found());
    let volumes = world.provider.list_volumes(&scope()).await.unwrap().ours;
    assert_eq!(volumes[0].attached_to, None);
    world.provider.delete_volume(&volumes[0].volume).await.unwrap();
}

#[tokio::test]
async fn a_refused_deletion_of_a_volume_can_be_repeated() {
    let world = World::new().await;
    let worker = worker("w-1");
    let volume = world.provider.ensure_volume(&volume_spec(&world.provider, &worker)).await.unwrap();
    world.fly.fault(Action::DestroyVolume, &Fault::status(412), 1);
    let refused = world.provider.delete_volume(&volume).await;
    assert!(matches!(refused, Err(ProviderError::Precondition { .. })), "{refused:?}");
    world.provider.delete_volume(&volume).await.unwrap();
}

#[tokio::test]
async fn foreign_machines_are_counted_and_never_changed() {
    let world = World::new().await;
    let ours = world.start_worker("w-1").await;
    let other_provider = world.other_provider();
    let mut spec = spawn_spec(&worker("w-2"), None);
    spec.scope.deployment_id = "another".to_owned();
    let theirs = other_provider.spawn(&spec).await.unwrap();
    let (unmarked, _) = world.create_unmarked().await;

    assert_eq!(
        machines(world.provider()).await.iter().map(|m| &m.machine).collect::<Vec<_>>(),
        [&ours.machine]
    );
    assert_eq!(world.provider.survey(&scope()).await.unwrap().machines.foreign, 2);
    let mut foreign = vec![theirs.machine.clone()];
    foreign.push(af_providers::MachineRef { machine_id: unmarked, ..theirs.machine });
    for machine in &foreign {
        let refused = [
            world.provider.cordon(machine).await.unwrap_err(),
            world.provider.stop(machine).await.unwrap_err(),
            world.provider.terminate(machine, Teardown::Force).await.unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, ProviderError::Rejected { .. }), "{error}");
        }
    }
    world.advance(Duration::from_secs(1)).await;
    let theirs = other_provider.list(&scope()).await.unwrap().ours;
    assert_eq!(theirs[0].state, MachineState::Running);
}

#[tokio::test]
async fn a_spawn_is_refused_when_a_foreign_machine_has_the_workers_name() {
    let world = World::new().await;
    let mut spec = spawn_spec(&worker("w-1"), None);
    spec.scope.deployment_id = "another".to_owned();
    world.other_provider().spawn(&spec).await.unwrap();
    let refused = world.provider.spawn(&spawn_spec(&worker("w-1"), None)).await;
    assert!(matches!(refused, Err(ProviderError::Rejected { .. })), "{refused:?}");
}

#[tokio::test]
async fn foreign_volumes_are_counted_and_never_deleted() {
    let world = World::new().await;
    let mut spec = volume_spec(&world.provider, &worker("w-1"));
    spec.scope.deployment_id = "another".to_owned();
    spec.name = world.other_provider().volume_name(&spec.scope, &spec.worker_id).unwrap();
    let theirs = world.other_provider().ensure_volume(&spec).await.unwrap();
    let listed = world.provider.list_volumes(&scope()).await.unwrap();
    assert_eq!((listed.ours.len(), listed.foreign), (0, 1));
    let refused = world.provider.delete_volume(&theirs).await;
    assert!(matches!(refused, Err(ProviderError::Rejected { .. })), "{refused:?}");
}

#[tokio::test]
async fn machines_of_several_pages_are_all_listed() {
    let world = World::new().await;
    for n in 0..5 {
        world.provider.spawn(&spawn_spec(&worker(&format!("w-{n}")), None)).await.unwrap();
    }
    let before = world.fly.requests();
    let listed = machines(world.provider()).await;
    assert_eq!((listed.len(), world.fly.requests() - before), (5, 3), "two, two and one");
}

#[tokio::test]
async fn a_missing_token_is_an_error_with_its_fix_and_no_request_is_sent() {
    let world = World::new().await;
    let without_token = provider(&world.url, DEPLOYMENT, None, &world.clock);
    let missing = "Missing Fly API token. Import an active 'fly.apiToken' secret.";
    assert_eq!(without_token.check_credentials().await.unwrap_err().to_string(), missing);
    assert_eq!(without_token.list(&scope()).await.unwrap_err().to_string(), missing);
    assert_eq!(world.fly.requests(), 0);
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_not_shown() {
    let world = World::new().await;
    let wrong = provider(&world.url, DEPLOYMENT, Some("fm2_wrong"), &world.clock);
    let error = wrong.list(&scope()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Auth { .. }), "{error}");
    assert!(!format!("{error:?} {wrong:?}").contains("fm2_wrong"));
}

#[tokio::test]
async fn a_service_that_refuses_connections_is_unavailable() {
    let clock = VirtualClock::frozen_at(Timestamp::default());
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let unreachable = provider(&url, DEPLOYMENT, Some(TOKEN), &clock);
    let error = unreachable.list(&scope()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_stopped_machine_gets_no_second_stop_request() {
    let world = World::new().await;
    let machine = world.start_worker("w-1").await;
    stop(&world, &machine).await;
    let before = world.fly.requests();
    assert_eq!(world.provider.stop(&machine.machine).await.unwrap(), StopOutcome::Stopped);
    assert_eq!(world.fly.requests() - before, 1, "one read, and no stop");
}
