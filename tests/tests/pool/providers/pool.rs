//! Reconcile with machines of the Fly emulator: the next runs correct the effects of its faults.

use std::sync::Arc;

use af_app::agents::profiles::{AgentSettings, configure};
use af_app::pool::provider;
use af_domain::bridge::BridgeConfig;
use af_domain::time::Millis;
use af_emulator_fly::{Action, Fault};
use af_providers::{LocalConfig, MachineState};
use af_tests::world::agent_settings;

use crate::providers::deployment::{Pool, agent};
use crate::providers::fly::TOKEN;
use crate::providers::suite::scope;

#[tokio::test]
async fn a_waiting_message_gets_one_machine_with_its_volume() {
    let pool = Pool::with_work().await;
    let report = pool.run().await;
    assert!(report.errors.is_empty(), "{report:?}");
    pool.run().await;
    let machines = pool.machines().await;
    assert_eq!(machines.len(), 1);
    assert_eq!(pool.worker_ids().await, [machines[0].worker_id.to_string()]);
    let volumes = af_providers::Provider::list_volumes(&pool.world.provider, &scope()).await.unwrap().ours;
    assert_eq!(volumes[0].attached_to.as_deref(), Some(&*machines[0].machine.machine_id));
}

#[tokio::test]
async fn the_environment_of_a_machine_has_the_worker_token_the_url_and_the_bridge() {
    let pool = Pool::with_work().await;
    let bridge = BridgeConfig { enabled: true, service_id: Some("crm".into()), ..BridgeConfig::default() };
    let settings = AgentSettings { bridge: Some(bridge), ..agent_settings() };
    configure(&pool.app, &agent(), settings).await.unwrap();
    pool.run().await;
    let request = reqwest::Client::new().get(format!("{}/apps/workers/machines", pool.world.url));
    let machines: serde_json::Value = request.bearer_auth(TOKEN).send().await.unwrap().json().await.unwrap();
    let env = &machines[0]["config"]["env"];
    let token = env["AGENT_FACTORY_WORKER_TOKEN"].as_str().unwrap();
    let url = env["AGENT_FACTORY_URL"].as_str().unwrap();
    assert_eq!(env["CONVEX_URL"], format!("{url}/w/{token}"));
    assert_eq!(
        (&env["OPENCLAW_CONVERSATION_ID"], &env["OPENCLAW_AGENT_KEY"]),
        (&"talk".into(), &"demo".into())
    );
    assert_eq!((&env["OPENCLAW_SERVICE_ID"], env.get("OPENCLAW_SERVICE_KEY")), (&"crm".into(), None));
    assert_eq!(env["OPENCLAW_STATE_DIR"], "/data/.clawdbot");
}

#[tokio::test]
async fn a_machine_without_a_confirmed_creation_is_removed_and_replaced() {
    let pool = Pool::with_work().await;
    pool.world.fly.fault(Action::CreateMachine, &Fault::AnswerLost, 1);
    // The list before the plan, and the list that looks for the machine.
    pool.world.fly.fault(Action::ListMachines, &Fault::status(503), 2);
    pool.run().await;
    let lost = pool.machines().await[0].worker_id.clone();
    pool.until("one machine exists, and it is another one", async |pool| {
        let machines = pool.machines().await;
        machines.len() == 1 && machines[0].worker_id != lost && pool.worker_ids().await.len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_worker_whose_machine_vanished_is_replaced_and_its_volume_is_deleted() {
    let pool = Pool::with_work().await;
    pool.run().await;
    let first = pool.machines().await.remove(0);
    assert!(pool.world.fly.vanish("workers", &first.machine.machine_id).await);
    pool.until("another machine and one volume exist", async |pool| {
        let volumes = af_providers::Provider::list_volumes(&pool.world.provider, &scope()).await.unwrap();
        let machines = pool.machines().await;
        machines.len() == 1 && machines[0].worker_id != first.worker_id && volumes.ours.len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_machine_that_does_not_stop_is_removed_by_force_after_ten_minutes() {
    let pool = Pool::with_work().await;
    pool.run().await;
    let stuck = pool.machines().await.remove(0);
    pool.world.fly.fault(Action::StopMachine, &Fault::StuckStopping, 1);
    let state_of_machine = async |pool: &Pool| {
        let all = pool.machines().await;
        all.into_iter().find(|m| m.worker_id == stuck.worker_id).map(|m| m.state)
    };
    // Its worker is silent: it becomes stale and drains, and its machine gets a stop request.
    pool.until("the machine gets a stop request", async |pool| {
        state_of_machine(pool).await == Some(MachineState::Stopping)
    })
    .await;
    for _ in 0..8 {
        pool.bundle.clock.advance(Millis::from_secs(60));
        pool.run().await;
        assert_eq!(
            state_of_machine(&pool).await,
            Some(MachineState::Stopping),
            "the machine has ten minutes to stop"
        );
    }
    pool.until("the machine is gone", async |pool| state_of_machine(pool).await.is_none()).await;
}

#[tokio::test]
async fn a_worker_of_another_provider_does_not_count_as_a_worker_without_a_machine() {
    let mut pool = Pool::with_work().await;
    pool.run().await;
    let before = pool.worker_ids().await;
    let folder = tempfile::tempdir().unwrap();
    let local = af_providers::LocalProvider::new(af_providers::LocalOptions {
        program: "sleep".into(),
        args: vec!["60".to_owned()],
        kind: af_providers::WorkerKind::Reference,
        env: Default::default(),
        data_dir: folder.path().to_owned(),
        stop_timeout: std::time::Duration::from_secs(1),
    });
    pool.bundle.providers = pool.bundle.providers.clone().with(Arc::new(local));
    pool.app = pool.bundle.app("reconcile");
    provider::configure(&pool.app, &LocalConfig::default().into()).await.unwrap();
    pool.run().await;
    assert_eq!(pool.worker_ids().await, before, "the worker stays active");
    pool.until("the silent worker is torn down at its own provider", async |pool| {
        pool.machines().await.is_empty() && !pool.worker_ids().await.contains(&before[0])
    })
    .await;
    for machine in af_providers::Provider::list(pool.app.providers.get("local").unwrap().as_ref(), &scope())
        .await
        .unwrap()
        .ours
    {
        let local = pool.app.providers.get("local").unwrap();
        local.terminate(&machine.machine, af_providers::Teardown::Force).await.unwrap();
    }
}
