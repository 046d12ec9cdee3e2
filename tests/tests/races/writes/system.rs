//! Writes of configuration, API keys and the lease of reconcile.

use af_app::App;
use af_domain::time::Timestamp;
use af_store::api_key::ApiKey;
use af_store::idempotency::IdempotentCall;

use super::NONCE;
use crate::world::World;

pub async fn change_config_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    world.app.store.put_config("policies", "{}").await.unwrap();
    send!(times, app.store.change_config_if_unchanged("policies", Some("{}"), r#"{"queue":{}}"#))
}

pub async fn put_api_key_if_first(_: &World, app: &App, times: usize) -> Vec<String> {
    let key = ApiKey {
        id: "k".into(),
        name: "n".into(),
        scopes: vec!["read".into()],
        secret_hash: [1; 32],
        created_at: app.now(),
        expires_at: None,
        company: None,
    };
    send!(times, app.store.put_api_key_if_first(&key, &call(app)))
}

/// The id of a run.
const RUN: &str = "run";

fn call(app: &App) -> IdempotentCall {
    IdempotentCall { call: "call".into(), body: "body".into(), at: app.now() }
}

pub async fn record_call_if_new(_: &World, app: &App, times: usize) -> Vec<String> {
    send!(times, app.store.record_call_if_new(&call(app), "id"))
}

pub async fn begin_call_if_new(_: &World, app: &App, times: usize) -> Vec<String> {
    send!(times, app.store.begin_call_if_new(&call(app), RUN))
}

pub async fn finish_call_if_begun(world: &World, app: &App, times: usize) -> Vec<String> {
    world.app.store.begin_call_if_new(&call(app), RUN).await.unwrap();
    send!(times, app.store.finish_call_if_begun(&call(app), RUN, "{}"))
}

pub async fn abandon_call_if_begun(world: &World, app: &App, times: usize) -> Vec<String> {
    world.app.store.begin_call_if_new(&call(app), RUN).await.unwrap();
    send!(times, app.store.abandon_call_if_begun(&call(app), RUN))
}

pub async fn begin_reconcile(_: &World, app: &App, times: usize) -> Vec<String> {
    send!(times, app.store.begin_reconcile(NONCE, app.now()))
}

pub async fn end_reconcile(world: &World, app: &App, times: usize) -> Vec<String> {
    let (holder, now) = reconciling(world).await;
    send!(times, app.store.end_reconcile(&holder, "{}", &holder.state, now))
}

pub async fn abandon_reconcile(world: &World, app: &App, times: usize) -> Vec<String> {
    let (holder, _) = reconciling(world).await;
    send!(times, app.store.abandon_reconcile(&holder, &holder.state))
}

async fn reconciling(world: &World) -> (af_store::reconcile_lease::ReconcileHolder, Timestamp) {
    let now = world.app.now();
    (world.app.store.begin_reconcile(NONCE, now).await.unwrap().unwrap(), now)
}
