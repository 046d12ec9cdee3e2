//! Prerequisites of a pool. Reconcile reports each missing prerequisite with its fix, and does all other work: a lease
//! is recovered, and no row is written for a machine that cannot be created.

use std::sync::Arc;

use af_app::App;
use af_app::pool::reconcile::{Reconciled, reconcile};
use af_app::pool::workers;
use af_app::worker::{Poll, poll};
use af_domain::ids::{ConversationId, MessageId, WorkerId};
use af_domain::message::MessageStatus;
use af_domain::time::Millis;
use af_emulator_aws::{Fault, Faults, Service, WireRequest};
use af_providers::Providers;
use af_runtime::env::Env;
use aws_smithy_types::retry::RetryConfig;
use serde_json::json;

use crate::world::World;

const CONVERSATION: &str = "conversation-0";
/// After the end of a lease, and before its worker is stale.
pub const PAST_THE_LEASE: Millis = Millis::from_secs(91);

/// A function as it is deployed, with the environment of the template only.
fn deployed(world: &World) -> App {
    let mut boot = world.bundle.boot("reconcile");
    boot.providers = Providers::none();
    App::from_boot(&boot).unwrap()
}

/// A function without its public URL in the environment.
fn without_url(world: &World) -> App {
    let mut boot = world.bundle.boot("reconcile");
    let function = world.bundle.template.functions.iter().find(|f| f.binary == "reconcile").unwrap();
    let mut environment = function.environment.clone();
    assert!(environment.remove("PUBLIC_URL").is_some());
    boot.env = Env::from(environment);
    App::from_boot(&boot).unwrap()
}

/// Registers a worker by hand, whose lease on a message has expired.
pub async fn loses_its_lease(world: &World, app: &App) -> (WorkerId, MessageId) {
    let by_hand = WorkerId::parse("by-hand").unwrap();
    let message = world.enqueue(CONVERSATION).await;
    let conversation = ConversationId::parse(CONVERSATION).unwrap();
    workers::register(app, by_hand.clone(), Some(&conversation), None, "http://127.0.0.1:9", None)
        .await
        .unwrap();
    let job =
        poll(app, &by_hand, &Poll { conversation: Some(conversation), ..Poll::default() }).await.unwrap().job;
    assert!(job.is_some());
    world.advance(PAST_THE_LEASE);
    (by_hand, message)
}

/// Checks the error of a run in which a registered worker's lease has expired and another conversation waits for a
/// worker.
async fn assert_missing(world: &World, app: &App, missing: &str) {
    assert_eq!(missing_prerequisite(world, app).await, missing);
}

/// Returns the only error of such a run, and checks that the run did all other work.
async fn missing_prerequisite(world: &World, app: &App) -> String {
    let lost = loses_its_lease(world, &world.app).await;
    missing_prerequisite_of(world, app, lost).await
}

async fn missing_prerequisite_of(
    world: &World,
    app: &App,
    (by_hand, message): (WorkerId, MessageId),
) -> String {
    world.enqueue("conversation-1").await;
    let Reconciled::Ran(report) = Box::pin(reconcile(app)).await.unwrap() else {
        panic!("no other reconcile runs")
    };

    let [missing] = report.errors.try_into().unwrap();
    let done = report.actions.iter().filter(|a| a.outcome == "done").map(|a| &*a.action).collect::<Vec<_>>();
    assert_eq!(done, ["recover"]);
    let spawns = report.actions.iter().filter(|a| a.action == "spawn").map(|a| &*a.outcome);
    assert_eq!(spawns.collect::<Vec<_>>(), [format!("failed: {missing}")]);
    assert_eq!(world.status_and_attempts(&message).await, (MessageStatus::Queued, 1));
    let rows: Vec<_> = world.workers().await.into_iter().map(|w| w.id).collect();
    assert_eq!(rows, [by_hand]);
    missing
}

#[tokio::test]
async fn a_missing_provider_token_is_reported_with_its_fix() {
    let world = World::new().await;
    let words = "Missing Fly API token. Import an active 'fly.apiToken' secret.";
    assert_missing(&world, &deployed(&world), words).await;
}

#[tokio::test]
async fn a_missing_public_url_is_reported_with_its_fix() {
    let world = World::new().await;
    let words = "Missing public URL. Set it at deploy time or import an active 'factory.url' secret.";
    assert_missing(&world, &without_url(&world), words).await;
}

/// Secrets Manager fails.
struct NoSecrets;

impl Faults for NoSecrets {
    fn before(&self, request: &WireRequest) -> Fault {
        if request.service == Service::SecretsManager { Fault::LoseRequest } else { Fault::None }
    }
}

#[tokio::test]
async fn a_public_url_that_cannot_be_read_is_reported() {
    let world = World::new().await;
    let mut boot = world.bundle.boot("reconcile");
    boot.sdk = world.bundle.aws.clone().with_faults(Arc::new(NoSecrets)).sdk_config(RetryConfig::disabled());
    let error = missing_prerequisite(&world, &App::from_boot(&boot).unwrap()).await;
    assert!(error.starts_with("the public URL cannot be read: "), "{error}");
}

#[tokio::test]
async fn an_unknown_field_of_the_provider_config_is_reported_with_its_fix() {
    let world = World::new().await;
    let lost = loses_its_lease(&world, &world.app).await;
    let config = json!({"kind": "fly", "appName": "a", "zones": ["eu"]});
    world.app.store.put_config("provider", &config.to_string()).await.unwrap();
    let error = missing_prerequisite_of(&world, &deployed(&world), lost).await;
    let (words, fix) = ("providerConfig cannot be read: unknown field `zones`", "Set it again.");
    assert!(error.starts_with(words) && error.ends_with(fix), "{error}");
    let readiness = af_app::pool::provider::readiness::readiness(&world.app, None).await.unwrap();
    assert_eq!(readiness.missing, [error]);
}

#[tokio::test]
async fn unknown_policies_of_a_later_version_are_ignored_and_kept() {
    let world = World::new().await;
    let later = json!({"scaling": {"maxWorkers": 7, "burst": 3}, "weather": {"rain": true}});
    world.app.store.put_config("policies", &later.to_string()).await.unwrap();
    let function = App::from_boot(&world.bundle.boot("reconcile")).unwrap();
    assert_eq!(af_app::settings::policies::in_force(&function).await.unwrap().scaling.max_workers, 7);
    world.enqueue(CONVERSATION).await;
    let Reconciled::Ran(report) = Box::pin(reconcile(&function)).await.unwrap() else {
        panic!("no other reconcile runs")
    };
    assert_eq!(report.actions.iter().map(|a| &*a.outcome).collect::<Vec<_>>(), ["done"]);
    let change = serde_json::from_value(json!({"scaling": {"maxWorkers": 8}})).unwrap();
    af_app::settings::policies::set(&function, change).await.unwrap();
    let kept: serde_json::Value =
        serde_json::from_str(&world.app.store.config("policies", false).await.unwrap().unwrap()).unwrap();
    assert_eq!(kept, json!({"scaling": {"maxWorkers": 8, "burst": 3}, "weather": {"rain": true}}));
}

#[tokio::test]
async fn a_missing_field_of_the_provider_config_is_reported() {
    let whole = json!({"kind": "fly", "appName": "a", "image": "registry.fly.io/a:1", "region": "fra"});
    for field in ["appName", "image", "region"] {
        let world = World::new().await;
        // Such a config can only come from an earlier version; the use case refuses it.
        let mut config = whole.clone();
        config.as_object_mut().unwrap().remove(field);
        world.app.store.put_config("provider", &config.to_string()).await.unwrap();
        assert_missing(&world, &deployed(&world), &format!("Missing providerConfig.{field}.")).await;
    }
}
