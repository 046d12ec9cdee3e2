//! What a pool cannot do without. Each that is missing is said in words that name the fix, and stops nothing else: a
//! lease is recovered, and no row is made for a machine that cannot come.

use af_app::reconcile::{Reconciled, reconcile};
use af_app::worker::{Poll, poll};
use af_app::{App, Env, workers};
use af_domain::ids::{ConversationId, MessageId, WorkerId};
use af_domain::message::MessageStatus;
use af_domain::time::Millis;
use af_providers::Providers;
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
    let (by_hand, message) = loses_its_lease(world, app).await;
    world.enqueue("talk-1").await;
    let Reconciled::Ran(report) = Box::pin(reconcile(app)).await.unwrap() else { panic!("nobody else runs") };

    assert_eq!(report.errors, [missing]);
    let done = report.actions.iter().filter(|a| a.outcome == "done").map(|a| &*a.action).collect::<Vec<_>>();
    assert_eq!(done, ["recover"]);
    let spawns = report.actions.iter().filter(|a| a.action == "spawn").map(|a| &*a.outcome);
    assert_eq!(spawns.collect::<Vec<_>>(), [format!("failed: {missing}")]);
    assert_eq!(world.end_of(&message).await, (MessageStatus::Queued, 1));
    let rows: Vec<_> = world.workers().await.into_iter().map(|w| w.id).collect();
    assert_eq!(rows, [by_hand]);
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
