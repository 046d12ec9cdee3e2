//! Two deployments in one app with unmarked machines: each deployment changes only its own machines and volumes.

use af_api::provider::CleanupRequest;
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

/// Two deployments in one app, and a machine and a volume without a mark.
struct SharedApp {
    ours: Pool,
    theirs: Pool,
    machine: String,
    volume: String,
}

impl SharedApp {
    async fn new() -> Self {
        let ours = Pool::with_work().await;
        let theirs = ours.neighbour("neighbour").await;
        theirs.enqueue("talk").await;
        assert_ne!(ours.app.deployment_id, theirs.app.deployment_id);
        let (machine, volume) = ours.world.create_unmarked().await;
        Self { ours, theirs, machine, volume }
    }

    /// Checks that the unmarked machine and volume are unchanged.
    async fn assert_unmarked_unchanged(&self) {
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

/// The numbers of running machines, volumes and rows of a deployment.
async fn counts(pool: &Pool) -> (usize, usize, usize) {
    let running = pool.machines().await.iter().filter(|m| m.state.is_running()).count();
    (running, pool.volumes().await.len(), pool.rows().await.len())
}

/// Another account or region may have a deployment of the same name in the same provider app.
#[tokio::test]
async fn the_mark_contains_account_and_region_and_the_names_of_secrets_do_not() {
    let bundle = Bundle::fresh().await.beside("prod").await;
    for function in &bundle.template.functions {
        assert_eq!(function.environment["DEPLOYMENT_ID"], "prod-000000000000-local");
        assert_eq!(function.environment["SECRETS_PREFIX"], "agent-factory/prod");
    }
}

#[tokio::test]
async fn each_deployment_spawns_drains_and_tears_down_its_own_workers() {
    let shared_app = SharedApp::new().await;
    let (ours, theirs) = (&shared_app.ours, &shared_app.theirs);
    for pool in [ours, theirs] {
        pool.run().await;
    }
    assert_eq!((counts(ours).await, counts(theirs).await), ((1, 1, 1), (1, 1, 1)));
    let shared =
        "the app is shared: 2 machines and 2 volumes in it are not this deployment's, and are left alone";
    let foreign = async |pool: &Pool| {
        let foreign = pool.app.store.reconcile_state().await.unwrap().foreign;
        (foreign.machines, foreign.volumes)
    };
    assert_eq!(
        (foreign(ours).await, foreign(theirs).await),
        ((1, 1), (2, 2)),
        "the counts at the time of each deployment's run"
    );
    for pool in [ours, theirs] {
        assert_eq!(readiness(&pool.app, None).await.unwrap().warnings, [shared]);
    }

    let worker = theirs.machines().await[0].worker_id.clone();
    theirs.serve(&worker).await;
    // Our worker is silent: it is drained, torn down and replaced. Their worker is alive.
    let silent = ours.worker_ids().await;
    ours.until("another worker", async |ours| {
        theirs.sign_of_life(&worker).await;
        theirs.run().await;
        let live = ours.worker_ids().await;
        live.len() == 1 && live != silent
    })
    .await;
    assert_eq!(theirs.worker_ids().await, [worker.to_string()]);
    assert_eq!(counts(theirs).await, (1, 1, 1));
    assert_eq!(ours.run().await.warnings, [shared]);
    shared_app.assert_unmarked_unchanged().await;
}

#[tokio::test]
async fn a_deployment_without_rows_does_not_remove_foreign_machines() {
    let shared_app = SharedApp::new().await;
    let (ours, theirs) = (&shared_app.ours, &shared_app.theirs);
    theirs.run().await;
    let worker = theirs.machines().await[0].worker_id.clone();
    theirs.serve(&worker).await;
    let third = ours.neighbour("third").await;
    for _ in 0..15 {
        theirs.sign_of_life(&worker).await;
        ours.advance(MINUTE);
        let report = third.run().await;
        assert_eq!((report.actions.len(), report.errors.len()), (0, 0), "{report:?}");
    }
    assert_eq!(counts(theirs).await, (1, 1, 1));
    shared_app.assert_unmarked_unchanged().await;
}

#[tokio::test]
async fn a_cleanup_of_the_app_removes_only_our_machines_and_volumes() {
    let shared_app = SharedApp::new().await;
    let (ours, theirs) = (&shared_app.ours, &shared_app.theirs);
    for pool in [ours, theirs] {
        pool.run().await;
    }
    let request = |dry_run| {
        let (app_name, confirm) = ("workers".to_owned(), "workers".to_owned());
        CleanupRequest { app_name, confirm, dry_run }
    };
    let dry = cleanup(&ours.app, &request(true)).await.unwrap();
    assert_eq!((dry.machines.found, dry.machines.deleted, dry.volumes.remaining), (1, 0, 1), "{dry:?}");
    assert_eq!(counts(ours).await.0, 1, "a dry run removes nothing");
    let first = cleanup(&ours.app, &request(false)).await.unwrap();
    assert_eq!((first.machines.found, first.machines.remaining), (1, 0), "{first:?}");
    // Fly detaches a volume some moments after it has removed the machine.
    ours.advance(Millis::from_secs(1));
    let second = cleanup(&ours.app, &request(false)).await.unwrap();
    assert_eq!((second.volumes.found, second.volumes.remaining), (1, 0), "{second:?}");
    assert_eq!(counts(theirs).await, (1, 1, 1));
    shared_app.assert_unmarked_unchanged().await;
}

#[tokio::test]
async fn a_foreign_volume_is_not_found() {
    let shared_app = SharedApp::new().await;
    let (ours, theirs) = (&shared_app.ours, &shared_app.theirs);
    theirs.run().await;
    let foreign = theirs.volumes().await.remove(0).volume.volume_id;
    for id in [foreign, shared_app.volume.clone()] {
        let refused = volume::delete(&ours.app, &VolumeId::parse(id).unwrap()).await;
        assert!(matches!(refused, Err(af_app::AppError::Refused(_))), "{refused:?}");
    }
    assert_eq!(theirs.volumes().await.len(), 1);
    shared_app.assert_unmarked_unchanged().await;
}

#[tokio::test]
async fn readiness_reports_an_app_that_is_missing_or_in_another_organization() {
    let pool = Pool::new().await;
    let mut elsewhere = config("1");
    elsewhere.organization_slug = Some("acme".to_owned());
    configure(&pool.app, &elsewhere.clone().into()).await.unwrap();
    let reported = readiness(&pool.app, Some("https://factory.example")).await.unwrap();
    let words = "app workers belongs to organization org, and providerConfig.organizationSlug is acme";
    assert_eq!((reported.ready, reported.warnings), (true, vec![words.to_owned()]));
    elsewhere.app_name = Some("none".to_owned());
    configure(&pool.app, &elsewhere.clone().into()).await.unwrap();
    let reported = readiness(&pool.app, Some("https://factory.example")).await.unwrap();
    let words = "App none does not exist. Create it in organization acme, or correct providerConfig.appName.";
    assert_eq!((reported.ready, reported.missing), (false, vec![words.to_owned()]));
    assert_eq!(pool.provider.list_volumes(&scope()).await.unwrap().ours.len(), 0);
}
