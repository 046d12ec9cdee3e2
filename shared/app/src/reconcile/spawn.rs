//! Spawning: the row first, with its conversation, then the machine.

use std::collections::BTreeMap;

use af_domain::ids::{ConversationKey, WorkerId};
use af_domain::policy::Policies;
use af_domain::pool::SPAWN_AHEAD;
use af_domain::worker::{DrainReason, Machine, Volume, Worker};
use af_providers::{SpawnEnv, SpawnSpec, VolumeSpec};
use af_store::conversation::Commit;

use super::Outcome;
use super::execute::{FinalSnapshot, drain, settle};
use super::observe::Sight;
use super::repair::examine;
use crate::environment::{Ingredients, environment};
use crate::provider::Place;
use crate::workers::assignment;
use crate::{App, AppError, bridge, worker_token};

pub(super) async fn spawn(
    app: &App,
    sight: &Sight,
    conversation: Option<&ConversationKey>,
    policies: &Policies,
) -> Result<Outcome, AppError> {
    let (Some(place), Some(url)) = (&sight.place, &sight.public_url) else {
        return Ok(Outcome::Failed(sight.errors.first().cloned().unwrap_or_default()));
    };
    // Before the row: without it, there would be nothing to start.
    let bridge = bridge::variables(app).await?;
    let Some(worker) = register(app, place, conversation, policies).await? else { return Ok(Outcome::Stale) };
    match start(app, place, url, &worker, bridge, policies).await {
        Ok((machine, volume)) => {
            app.store.machine_if_registered(&worker.id, &machine, volume.as_ref()).await?;
            tracing::info!(worker = %worker.id, machine = machine.id, "worker started");
            Ok(Outcome::Done)
        }
        Err(error) => {
            // The machine may exist although its provider did not say so: the row goes the usual way, whose
            // teardown looks for it, and the conversation is free at once.
            drain(app, &worker.id, DrainReason::MachineGone, policies).await?;
            settle(app, &worker.id, FinalSnapshot::Lost, policies).await?;
            Err(error)
        }
    }
}

async fn register(
    app: &App,
    place: &Place,
    conversation: Option<&ConversationKey>,
    policies: &Policies,
) -> Result<Option<Worker>, AppError> {
    let now = app.now();
    let id = WorkerId::parse(format!("w-{}", app.entropy.ulid(now).to_ascii_lowercase()))?;
    let mut worker = Worker::registered(id, place.provider.kind().as_str().to_owned(), now);
    worker.image = (!place.image.is_empty()).then(|| place.image.clone());
    if place.provider.capabilities().volumes {
        let name = place.provider.volume_name(&place.scope, &worker.id);
        worker.volume = Some(Volume { name, id: None });
    }
    let commit = match conversation {
        None => app.store.register_if_new(&worker).await?,
        Some(key) => {
            let Some(before) = app.store.conversation(key, true).await? else { return Ok(None) };
            // The index may show what has been answered meanwhile.
            if before.readiness(now + SPAWN_AHEAD, policies).head.is_none() {
                return Ok(None);
            }
            let Some(after) = before.assigned_to(&worker.id, now, policies) else {
                if before.is_listed_by_mistake(now) {
                    examine(app, key, true, policies).await?;
                }
                return Ok(None);
            };
            worker.assignment = Some(assignment(&before, now));
            app.store.register_if_free(&worker, &before, &after, policies).await?
        }
    };
    Ok(match commit {
        Commit::Done => Some(worker),
        Commit::Stale => None,
    })
}

async fn start(
    app: &App,
    place: &Place,
    public_url: &str,
    worker: &Worker,
    bridge: BTreeMap<String, String>,
    policies: &Policies,
) -> Result<(Machine, Option<Volume>), AppError> {
    let (token, _) = worker_token::mint(app, &worker.id).await?;
    let env = environment(Ingredients {
        worker,
        token: &token,
        public_url,
        telegram_url: app.telegram_url.as_deref(),
        policies,
        volume_path: &place.volume_path,
        operators: &place.env,
        bridge,
    });
    let volume = match &worker.volume {
        Some(volume) => {
            let spec = VolumeSpec {
                scope: place.scope.clone(),
                worker_id: worker.id.clone(),
                name: volume.name.clone(),
                region: place.region.clone(),
                size_gb: place.volume_size_gb,
            };
            Some(place.provider.ensure_volume(&spec).await?)
        }
        None => None,
    };
    let named = volume.as_ref().map(|v| Volume { name: v.name.clone(), id: Some(v.volume_id.clone()) });
    let spec = SpawnSpec {
        scope: place.scope.clone(),
        worker_id: worker.id.clone(),
        image: place.image.clone(),
        region: place.region.clone(),
        guest: place.guest.clone(),
        env: SpawnEnv::from(env),
        volume,
        volume_path: place.volume_path.clone(),
    };
    let machine = place.provider.spawn(&spec).await?.machine;
    Ok((Machine { app: machine.app_name, id: machine.machine_id, region: machine.region }, named))
}
