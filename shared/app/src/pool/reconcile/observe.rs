//! Observing: workers, their conversations, the ready index, and what the provider says of the machines.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, WorkerId};
use af_domain::policy::Policies;
use af_domain::pool::{
    Image, ListedMachine, ListedVolume, MachineView, Observed, ObservedWorker, ReadyConversation,
    ReconcileState,
};
use af_domain::time::Millis;
use af_domain::worker::Worker;
use af_providers::{Machine, MachineState, Volume};
use tokio::time::Instant;

use super::{machines, waiting};
use crate::error::with_causes;
use crate::pool::provider::deadline::answer_by;
use crate::pool::provider::{ProviderTarget, place};
use crate::pool::workers::readable;
use crate::settings::public_url;
use crate::{App, AppError};

/// Conversations that cannot be read and are named one by one in a report.
const UNREADABLE_NAMED_MAX: usize = 10;

/// What a run sees.
pub(super) struct Observation {
    /// What the plan is made from.
    pub observed: Observed,
    /// Where workers run, when that is configured.
    pub place: Option<ProviderTarget>,
    /// The URL that workers are told, when there is one.
    pub public_url: Option<String>,
    /// What the provider has of this deployment.
    pub inventory: ProviderInventory,
    /// What is missing or failed.
    pub errors: Vec<String>,
}

/// What the provider has of this deployment, as far as it was asked.
#[derive(Default)]
pub(super) struct ProviderInventory {
    /// Its machines.
    pub machines: Option<Vec<Machine>>,
    /// Its volumes.
    pub volumes: Option<Vec<Volume>>,
    /// Machines beside ours; only where it was asked for everything.
    pub foreign_machines: Option<usize>,
    /// Volumes beside ours; likewise.
    pub foreign_volumes: Option<usize>,
    /// Whether it was asked for everything, whatever it answered.
    pub looked: bool,
}

impl Observation {
    /// A conversation's id where it is known, else its key.
    pub fn name_of(&self, key: &ConversationKey) -> String {
        let known = self.observed.workers.iter().filter_map(|w| w.conversation.as_ref());
        known.into_iter().find(|c| &c.key == key).map_or_else(|| key.to_string(), |c| c.id.to_string())
    }

    /// The machine that was made for a worker.
    pub fn machine_of(&self, worker: &WorkerId) -> Option<&Machine> {
        self.inventory.machines.iter().flatten().find(|m| &m.worker_id == worker)
    }

    /// Machines and volumes beside ours, when last looked.
    pub fn foreign(&self) -> (usize, usize) {
        let (machines, volumes) = self.observed.state.foreign;
        (
            self.inventory.foreign_machines.unwrap_or(machines),
            self.inventory.foreign_volumes.unwrap_or(volumes),
        )
    }

    /// The worker that owns a conversation, where that was observed.
    pub fn owner_of(&self, key: &ConversationKey) -> Option<&WorkerId> {
        let owns = |w: &&ObservedWorker| w.conversation.as_ref().is_some_and(|c| &c.key == key);
        self.observed.workers.iter().find(owns).map(|w| &w.worker.id)
    }
}

/// What the provider has is not waited for longer than `lists_for`.
pub(super) async fn observe(
    app: &App,
    policies: &Policies,
    state: ReconcileState,
    reached_at: Option<&str>,
    lists_for: Millis,
) -> Result<Observation, AppError> {
    let (workers, waiting) = tokio::join!(readable(app), waiting::listed(app, policies));
    let ((workers, unreadable), mut ready) = (workers?, waiting?);
    let mut errors: Vec<_> = unreadable.iter().map(ToString::to_string).collect();
    let by_key = conversations(app, &workers, &mut ready, policies, &mut errors).await?;
    let place = found(place(app).await?, &mut errors);
    // Told of one thing at a time: without a provider, a URL is of no use yet.
    let public_url = match &place {
        Some(_) => found(url(app, reached_at).await?, &mut errors),
        None => None,
    };
    let until = Instant::now() + Duration::from_millis(lists_for.as_millis());
    let inventory = match &place {
        Some(place) => {
            let everything = state.wants_look(policies, app.now());
            inventory(place, &workers, everything, until, &mut errors).await
        }
        None => ProviderInventory::default(),
    };
    let views = match (&place, &inventory.machines) {
        (Some(place), Some(listed)) => machines::views(place, listed, &workers, until, &mut errors).await,
        _ => HashMap::new(),
    };
    // Whose a machine is may stand in a row that cannot be read.
    let (machines, volumes) = match unreadable.is_empty() {
        true => listed(place.as_ref(), &inventory, &workers),
        false => (None, None),
    };
    let image = place.as_ref().map(|place| Image {
        provider: place.provider.kind().as_str().to_owned(),
        app: place.scope.app_name.clone(),
        name: place.image.clone(),
    });
    let workers = workers.into_iter().map(|worker| {
        let machine = views.get(&worker.id).copied().unwrap_or(MachineView::Unknown);
        observed(worker, &by_key, machine)
    });
    let workers = workers.collect();
    let observed = Observed { workers, ready, image, machines, volumes, state };
    Ok(Observation { observed, place, public_url, inventory, errors })
}

/// The conversations of all workers, and a look at those that workers may be started for. One that cannot be read must
/// not stop the pool.
async fn conversations(
    app: &App,
    workers: &[Worker],
    ready: &mut Vec<ReadyConversation>,
    policies: &Policies,
    errors: &mut Vec<String>,
) -> Result<HashMap<ConversationKey, Conversation>, AppError> {
    let step = usize::try_from(policies.scaling.spawn_step).unwrap_or(usize::MAX);
    let assigned = workers.iter().filter_map(|w| w.assignment.as_ref()).map(|a| a.key.clone());
    let wanted: Vec<_> = assigned.chain(waiting::first(ready, step)).collect();
    let mut read = app.store.conversations_each(&wanted).await?;
    waiting::drop_unreadable(app, ready, step, &mut read).await?;
    let (found, unreadable): (Vec<_>, Vec<_>) = read.into_iter().partition(|(_, read)| read.is_ok());
    let told = unreadable.iter().filter_map(|(_, read)| read.as_ref().err());
    errors.extend(told.take(UNREADABLE_NAMED_MAX).map(ToString::to_string));
    if let Some(more) = unreadable.len().checked_sub(UNREADABLE_NAMED_MAX).filter(|more| *more > 0) {
        errors.push(format!("{more} more conversations cannot be read"));
    }
    Ok(found.into_iter().filter_map(|(key, read)| Some((key, read.ok()?))).collect())
}

/// The URL that workers are told. While Secrets Manager fails, there is none.
async fn url(app: &App, reached_at: Option<&str>) -> Result<Result<String, String>, AppError> {
    match public_url::find(app, reached_at).await {
        Err(AppError::Secrets(error)) => {
            Ok(Err(format!("the public URL cannot be read: {}", with_causes(&error))))
        }
        found => found,
    }
}

/// What the provider has. With no worker of it, it is asked when it is time for `everything` only. A list that cannot be
/// had takes no other with it, and without the one of all machines there is still the one of ours.
async fn inventory(
    place: &ProviderTarget,
    workers: &[Worker],
    everything: bool,
    until: Instant,
    errors: &mut Vec<String>,
) -> ProviderInventory {
    let (provider, scope) = (&place.provider, &place.scope);
    let mut inventory = ProviderInventory { looked: everything, ..ProviderInventory::default() };
    if everything {
        match answer_by(until, provider.list_all(scope)).await {
            Ok(all) => (inventory.machines, inventory.foreign_machines) = (Some(all.ours), Some(all.foreign)),
            Err(error) => errors.push(format!("listing all machines failed: {error}")),
        }
        match answer_by(until, provider.list_volumes(scope)).await {
            Ok(all) => (inventory.volumes, inventory.foreign_volumes) = (Some(all.ours), Some(all.foreign)),
            Err(error) => errors.push(format!("listing volumes failed: {error}")),
        }
    }
    let is_used = workers.iter().any(|w| w.provider == provider.kind().as_str());
    if inventory.machines.is_none() && (everything || is_used) {
        match answer_by(until, provider.list(scope)).await {
            Ok(ours) => inventory.machines = Some(ours.ours),
            Err(error) => errors.push(format!("listing machines failed: {error}")),
        }
    }
    inventory
}

/// The inventory in the planner's words, without what is being removed.
fn listed(
    place: Option<&ProviderTarget>,
    inventory: &ProviderInventory,
    workers: &[Worker],
) -> (Option<Vec<ListedMachine>>, Option<Vec<ListedVolume>>) {
    let there = |all: &Vec<Machine>| {
        let there = all.iter().filter(|m| m.state != MachineState::Gone);
        there
            .map(|m| ListedMachine { id: m.machine.machine_id.clone(), worker: m.worker_id.clone() })
            .collect()
    };
    let volumes = place.zip(inventory.volumes.as_ref()).map(|(place, all)| {
        let live = LiveVolumes::of(place, workers);
        let volume = |v: &Volume| ListedVolume {
            id: v.volume.volume_id.clone(),
            is_of_live_worker: live.has(&v.volume.name),
            attached_to: v.attached_to.clone(),
        };
        all.iter().map(volume).collect()
    });
    (inventory.machines.as_ref().map(there), volumes)
}

/// Which volumes belong to workers that are not stopped.
pub(super) struct LiveVolumes<'a> {
    place: &'a ProviderTarget,
    workers: Vec<&'a WorkerId>,
    names: HashSet<String>,
}

impl<'a> LiveVolumes<'a> {
    pub fn of(place: &'a ProviderTarget, workers: &'a [Worker]) -> Self {
        let workers: Vec<_> = workers.iter().map(|w| &w.id).collect();
        let names = workers.iter().map(|id| place.provider.volume_name(&place.scope, id)).collect();
        Self { place, workers, names }
    }

    /// Whether one has this name, or had it when volumes were called otherwise.
    pub fn has(&self, name: &str) -> bool {
        let place = self.place;
        self.names.contains(name)
            || self.workers.iter().any(|id| place.provider.is_volume_of(&place.scope, id, name))
    }
}

fn found<T>(what: Result<T, String>, errors: &mut Vec<String>) -> Option<T> {
    what.map_err(|missing| errors.push(missing)).ok()
}

fn observed(
    worker: Worker,
    conversations: &HashMap<ConversationKey, Conversation>,
    machine: MachineView,
) -> ObservedWorker {
    // Two rows may name one conversation; it names one of them.
    let named = worker.assignment.as_ref().and_then(|a| conversations.get(&a.key));
    let owner = named.and_then(|c| c.owner.as_ref());
    let is_anothers = owner.is_some_and(|o| o.worker != worker.id);
    let conversation = named.filter(|_| owner.is_some_and(|o| o.worker == worker.id)).cloned();
    ObservedWorker { worker, conversation, is_anothers, machine }
}
