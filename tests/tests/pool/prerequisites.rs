//! What a pool cannot do without. Each that is missing is said in words that name the fix, and stops nothing else: a
//! lease is recovered, and no row is made for a machine that cannot come.

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

const TALK: &str = "talk-0";
/// Past the end of a lease, and before its worker is stale.
pub const PAST_THE_LEASE: Millis = Millis::from_secs(91);

/// A function as it is deployed, with nothing but the template's environment.
fn deployed(world: &World) -> App {
    let mut boot = world.bundle.boot("reconcile");
    boot.providers = Providers::none();
    App::from_boot(&boot).unwrap()
}

/// A function that is not told its public URL.
fn without_url(world: &World) -> App {
    let mut boot = world.bundle.boot("reconcile");
    let function = world.bundle.template.functions.iter().find(|f| f.binary == "reconcile").unwrap();
    let mut environment = function.environment.clone();
    assert!(environment.remove("PUBLIC_URL").is_some());
    boot.env = Env::from(environment);
    App::from_boot(&boot).unwrap()
}

/// A worker by hand, whose lease on a message is over.
pub async fn loses_its_lease(world: &World, app: &App) -> (WorkerId, MessageId) {
    let by_hand = WorkerId::parse("by-hand").unwrap();
    let message = world.enqueue(TALK).await;
    let talk = ConversationId::parse(TALK).unwrap();
    workers::register(app, by_hand.clone(), Some(&talk), None, "http://127.0.0.1:9", None).await.unwrap();
    let job = poll(app, &by_hand, &Poll { conversation: Some(talk), ..Poll::default() }).await.unwrap().job;
    assert!(job.is_some());
    world.pass(PAST_THE_LEASE);
    (by_hand, message)
}

/// A run in which a worker by hand has lost its lease, and another conversation waits for a worker.
async fn says(world: &World, app: &App, missing: &str) {
    assert_eq!(says_once(world, app).await, missing);
}

/// What such a run says is missing, which stops nothing else.
async fn says_once(world: &World, app: &App) -> String {
    let lost = loses_its_lease(world, &world.app).await;
    says_of(world, app, lost).await
}

async fn says_of(world: &World, app: &App, (by_hand, message): (WorkerId, MessageId)) -> String {
    world.enqueue("talk-1").await;
    let Reconciled::Ran(report) = Box::pin(reconcile(app)).await.unwrap() else { panic!("nobody else runs") };

    let [missing] = report.errors.try_into().unwrap();
    let done = report.actions.iter().filter(|a| a.outcome == "done").map(|a| &*a.action).collect::<Vec<_>>();
    assert_eq!(done, ["recover"]);
    let spawns = report.actions.iter().filter(|a| a.action == "spawn").map(|a| &*a.outcome);
    assert_eq!(spawns.collect::<Vec<_>>(), [format!("failed: {missing}")]);
    assert_eq!(world.end_of(&message).await, (MessageStatus::Queued, 1));
    let rows: Vec<_> = world.workers().await.into_iter().map(|w| w.id).collect();
    assert_eq!(rows, [by_hand]);
    missing
}

#[tokio::test]
async fn without_a_token() {
    let world = World::new().await;
    let words = "Missing Fly API token. Import an active 'fly.apiToken' secret.";
    says(&world, &deployed(&world), words).await;
}

#[tokio::test]
async fn without_a_public_url() {
    let world = World::new().await;
    let words = "Missing public URL. Set it at deploy time or import an active 'factory.url' secret.";
    says(&world, &without_url(&world), words).await;
}

/// Secrets Manager fails.
struct NoSecrets;

impl Faults for NoSecrets {
    fn before(&self, request: &WireRequest) -> Fault {
        if request.service == Service::SecretsManager { Fault::LoseRequest } else { Fault::None }
    }
}

#[tokio::test]
async fn without_an_answer_about_the_public_url() {
    let world = World::new().await;
    let mut boot = world.bundle.boot("reconcile");
    boot.sdk = world.bundle.aws.clone().with_faults(Arc::new(NoSecrets)).sdk_config(RetryConfig::disabled());
    let told = says_once(&world, &App::from_boot(&boot).unwrap()).await;
    assert!(told.starts_with("the public URL cannot be read: "), "{told}");
}

#[tokio::test]
async fn with_a_provider_config_of_a_later_version() {
    let world = World::new().await;
    let lost = loses_its_lease(&world, &world.app).await;
    let config = json!({"kind": "fly", "appName": "a", "zones": ["eu"]});
    world.app.store.put_config("provider", &config.to_string()).await.unwrap();
    let told = says_of(&world, &deployed(&world), lost).await;
    let (words, fix) = ("providerConfig cannot be read: unknown field `zones`", "Set it again.");
    assert!(told.starts_with(words) && told.ends_with(fix), "{told}");
    let readiness = af_app::pool::provider::readiness::readiness(&world.app, None).await.unwrap();
    assert_eq!(readiness.missing, [told]);
}

#[tokio::test]
async fn policies_of_a_later_version_stop_nobody() {
    let world = World::new().await;
    let later = json!({"scaling": {"maxWorkers": 7, "burst": 3}, "weather": {"rain": true}});
    world.app.store.put_config("policies", &later.to_string()).await.unwrap();
    let function = App::from_boot(&world.bundle.boot("reconcile")).unwrap();
    assert_eq!(af_app::settings::policies::in_force(&function).await.unwrap().scaling.max_workers, 7);
    world.enqueue(TALK).await;
    let Reconciled::Ran(report) = Box::pin(reconcile(&function)).await.unwrap() else {
        panic!("nobody else")
    };
    assert_eq!(report.actions.iter().map(|a| &*a.outcome).collect::<Vec<_>>(), ["done"]);
    let change = serde_json::from_value(json!({"scaling": {"maxWorkers": 8}})).unwrap();
    af_app::settings::policies::set(&function, change).await.unwrap();
    let kept: serde_json::Value =
        serde_json::from_str(&world.app.store.config("policies").await.unwrap().unwrap()).unwrap();
    assert_eq!(kept, json!({"scaling": {"maxWorkers": 8, "burst": 3}, "weather": {"rain": true}}));
}

#[tokio::test]
async fn without_a_field_of_the_provider_config() {
    let whole = json!({"kind": "fly", "appName": "a", "image": "registry.fly.io/a:1", "region": "fra"});
    for field in ["appName", "image", "region"] {
        let world = World::new().await;
        // One that an earlier version has stored: the use case refuses it.
        let mut config = whole.clone();
        config.as_object_mut().unwrap().remove(field);
        world.app.store.put_config("provider", &config.to_string()).await.unwrap();
        says(&world, &deployed(&world), &format!("Missing providerConfig.{field}.")).await;
    }
}
