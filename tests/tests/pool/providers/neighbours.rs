//! Two deployments in one app, beside machines that somebody made by hand: neither touches what is not its own.

use af_app::pool::provider::cleanup::cleanup;
use af_app::pool::provider::readiness::readiness;
use af_app::pool::provider::{configure, volume};
use af_domain::ids::VolumeId;
use af_domain::time::Millis;
use af_providers::Provider;
use af_tests::bundle::Bundle;
use serde_json::Value;

use crate::providers::deployment::{Pool, config};
use crate::providers::suite::scope;

const MINUTE: Millis = Millis::from_secs(60);

/// Two deployments, and what belongs to neither.
struct Street {
    ours: Pool,
    theirs: Pool,
    machine: String,
    volume: String,
}

impl Street {
    async fn new() -> Self {
        let ours = Pool::with_work().await;
        let theirs = ours.neighbour("neighbour").await;
        theirs.enqueue("talk").await;
        assert_ne!(ours.app.deployment_id, theirs.app.deployment_id);
        let (machine, volume) = ours.world.by_hand().await;
        Self { ours, theirs, machine, volume }
    }

    /// What was made by hand stands as it was made.
    async fn strangers_are_untouched(&self) {
        let get = async |what: &str| -> Value {
            let url = format!("{}/apps/workers/{what}", self.ours.world.url);
            let request = reqwest::Client::new().get(url).bearer_auth(crate::providers::fly::TOKEN);
            request.send().await.unwrap().json().await.unwrap()
        };
        let machine = get(&format!("machines/{}", self.machine)).await;
        assert_eq!(machine["state"], "started", "{machine}");
        let volume = get(&format!("volumes/{}", self.volume)).await;
        assert_eq!(volume["state"], "created", "{volume}");
    }
}

/// What a deployment has: machines that run, volumes, rows.
async fn has(pool: &Pool) -> (usize, usize, usize) {
    let running = pool.machines().await.iter().filter(|m| m.state.is_running()).count();
    (running, pool.volumes().await.len(), pool.rows().await.len())
}

/// The same name may be taken in another account or region, and an app of the provider knows of neither.
#[tokio::test]
async fn the_mark_has_account_and_region_in_it_and_the_secrets_do_not() {
    let bundle = Bundle::fresh().await.beside("prod").await;
    for function in &bundle.template.functions {
        assert_eq!(function.environment["DEPLOYMENT_ID"], "prod-000000000000-local");
        assert_eq!(function.environment["SECRETS_PREFIX"], "agent-factory/prod");
    }
}

#[tokio::test]
async fn each_spawns_drains_and_tears_down_its_own() {
    let street = Street::new().await;
    let (ours, theirs) = (&street.ours, &street.theirs);
    for pool in [ours, theirs] {
        pool.run().await;
    }
    assert_eq!((has(ours).await, has(theirs).await), ((1, 1, 1), (1, 1, 1)));
    let shared =
        "the app is shared: 2 machines and 2 volumes in it are not this deployment's, and are left alone";
    let foreign = async |pool: &Pool| pool.app.store.reconcile_state().await.unwrap().foreign;
    assert_eq!((foreign(ours).await, foreign(theirs).await), ((1, 1), (2, 2)), "as each has come");
    for pool in [ours, theirs] {
        assert_eq!(readiness(&pool.app, None).await.unwrap().warnings, [shared]);
    }

    let worker = theirs.machines().await[0].worker_id.clone();
    theirs.serve(&worker).await;
    // Our worker never says anything: drained, torn down, replaced. Theirs is alive.
    let silent = ours.live().await;
    ours.until("another worker", async |ours| {
        theirs.alive(&worker).await;
        theirs.run().await;
        let live = ours.live().await;
        live.len() == 1 && live != silent
    })
    .await;
    assert_eq!(theirs.live().await, [worker.to_string()]);
    assert_eq!(has(theirs).await, (1, 1, 1));
    assert_eq!(ours.run().await.warnings, [shared]);
    street.strangers_are_untouched().await;
}

#[tokio::test]
async fn a_deployment_without_rows_takes_no_machine_of_another_for_its_own() {
    let street = Street::new().await;
    let (ours, theirs) = (&street.ours, &street.theirs);
    theirs.run().await;
    let worker = theirs.machines().await[0].worker_id.clone();
    theirs.serve(&worker).await;
    let third = ours.neighbour("third").await;
    for _ in 0..15 {
        theirs.alive(&worker).await;
        ours.pass(MINUTE);
        let report = third.run().await;
        assert_eq!((report.actions.len(), report.errors.len()), (0, 0), "{report:?}");
    }
    assert_eq!(has(theirs).await, (1, 1, 1));
    street.strangers_are_untouched().await;
}

#[tokio::test]
async fn clearing_the_app_clears_what_is_ours() {
    let street = Street::new().await;
    let (ours, theirs) = (&street.ours, &street.theirs);
    for pool in [ours, theirs] {
        pool.run().await;
    }
    let first = cleanup(&ours.app, "workers", "workers").await.unwrap();
    assert_eq!((first.machines.found, first.machines.remaining), (1, 0), "{first:?}");
    // Fly lets a volume go some moments after its machine.
    ours.pass(Millis::from_secs(1));
    let second = cleanup(&ours.app, "workers", "workers").await.unwrap();
    assert_eq!((second.volumes.found, second.volumes.remaining), (1, 0), "{second:?}");
    assert_eq!(has(theirs).await, (1, 1, 1));
    street.strangers_are_untouched().await;
}

#[tokio::test]
async fn a_volume_of_another_is_not_found_whoever_asks() {
    let street = Street::new().await;
    let (ours, theirs) = (&street.ours, &street.theirs);
    theirs.run().await;
    let foreign = theirs.volumes().await.remove(0).volume.volume_id;
    for id in [foreign, street.volume.clone()] {
        let refused = volume::delete(&ours.app, &VolumeId::parse(id).unwrap()).await;
        assert!(matches!(refused, Err(af_app::AppError::Refused(_))), "{refused:?}");
    }
    assert_eq!(theirs.volumes().await.len(), 1);
    street.strangers_are_untouched().await;
}

#[tokio::test]
async fn readiness_says_when_the_app_is_missing_or_in_another_organization() {
    let pool = Pool::new().await;
    let mut elsewhere = config("1");
    elsewhere.organization_slug = Some("acme".to_owned());
    configure(&pool.app, &elsewhere.clone().into()).await.unwrap();
    let told = readiness(&pool.app, Some("https://factory.example")).await.unwrap();
    let words = "app workers belongs to organization org, and providerConfig.organizationSlug is acme";
    assert_eq!((told.ready, told.warnings), (true, vec![words.to_owned()]));
    elsewhere.app_name = Some("none".to_owned());
    configure(&pool.app, &elsewhere.clone().into()).await.unwrap();
    let told = readiness(&pool.app, Some("https://factory.example")).await.unwrap();
    let words = "App none does not exist. Create it in organization acme, or correct providerConfig.appName.";
    assert_eq!((told.ready, told.missing), (false, vec![words.to_owned()]));
    assert_eq!(pool.provider.list_volumes(&scope()).await.unwrap().ours.len(), 0);
}
