//! Observe: workers, their conversations, the ready index, and the machines and volumes at the provider.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, WorkerId};
use af_domain::policy::Policies;
use af_domain::pool::{
    ForeignCounts, Image, ListedMachine, ListedVolume, MachineView, Observed, ObservedWorker,
    ReadyConversation, ReconcileState,
};
use af_domain::time::Millis;
use af_domain::worker::Worker;
use af_providers::{Machine, MachineState, Volume};
use tokio::time::Instant;

use super::{machines, waiting};
use crate::error::with_causes;
use crate::pool::provider::deadline::answer_by;
use crate::pool::provider::target::{ProviderTarget, find_target};
use crate::pool::workers::readable;
use crate::settings::prerequisite::Prerequisite;
use crate::settings::public_url;
use crate::{App, AppError, Result};

/// The most unreadable conversations that a report names one by one.
const MAX_UNREADABLE_NAMED: usize = 10;

/// What a run has read.
pub(super) struct Observation {
    /// The input of the plan.
    pub observed: Observed,
    /// The provider that runs workers, when everything that it needs is there.
    pub target: Option<ProviderTarget>,
    /// The URL that workers get, when there is one.
    pub public_url: Option<String>,
    /// The machines and volumes of this deployment at the provider.
    pub inventory: ProviderInventory,
    /// Conversations in the ready index whose agents are disabled.
    pub disabled: Vec<Conversation>,
    /// What is missing or failed.
    pub errors: Vec<String>,
}

/// The machines and volumes of this deployment at the provider. A list that was not requested or failed is `None`.
#[derive(Default)]
pub(super) struct ProviderInventory {
    /// The machines.
    pub machines: Option<Vec<Machine>>,
    /// The volumes.
    pub volumes: Option<Vec<Volume>>,
    /// What others have in the same app, as of the last full listing.
    pub foreign: ForeignCounts,
    /// Whether this run requested the full lists, even if the provider did not answer.
    pub is_full: bool,
}

impl Observation {
    /// The id of a conversation where it is known, else its key.
    pub fn name_of(&self, key: &ConversationKey) -> String {
        let known = self.observed.workers.iter().filter_map(|w| w.conversation.as_ref());
        known.into_iter().find(|c| &c.key == key).map_or_else(|| key.to_string(), |c| c.id.to_string())
    }

    /// The machine of a worker.
    pub fn machine_of(&self, worker: &WorkerId) -> Option<&Machine> {
        self.inventory.machines.iter().flatten().find(|m| &m.worker_id == worker)
    }

    /// The worker that owns a conversation, if it was observed.
    pub fn owner_of(&self, key: &ConversationKey) -> Option<&WorkerId> {
        let owns = |w: &&ObservedWorker| w.conversation.as_ref().is_some_and(|c| &c.key == key);
        self.observed.workers.iter().find(owns).map(|w| &w.worker.id)
    }
}

/// Reads everything that a plan needs. The lists of the provider get at most the time `lists_for`.
pub(super) async fn observe(
    app: &App,
    policies: &Policies,
    state: ReconcileState,
    reached_at: Option<&str>,
    lists_for: Millis,
) -> Result<Observation> {
    let (workers, waiting) = tokio::join!(readable(app), waiting::listed(app, policies));
    let ((workers, unreadable), mut ready) = (workers?, waiting?);
    let mut errors: Vec<_> = unreadable.iter().map(ToString::to_string).collect();
    let (by_key, disabled) = conversations(app, &workers, &mut ready, policies, &mut errors).await?;
    let target = find_target(app).await?.or_note(&mut errors);
    // Without a provider the URL is not needed yet, so the report names one missing prerequisite at a time.
    let public_url = match &target {
        Some(_) => public_url(app, reached_at).await?.or_note(&mut errors),
        None => None,
    };
    let until = Instant::now() + Duration::from_millis(lists_for.as_millis());
    let inventory = match &target {
        Some(target) => {
            let is_full = state.wants_full_listing(policies, app.now());
            inventory(target, &workers, is_full, state.foreign, until, &mut errors).await
        }
        None => ProviderInventory { foreign: state.foreign, ..ProviderInventory::default() },
    };
    let views = match (&target, &inventory.machines) {
        (Some(target), Some(listed)) => machines::views(target, listed, &workers, until, &mut errors).await,
        _ => HashMap::new(),
    };
    // A row that cannot be read may be the owner of any machine, so then no machine counts as an orphan.
    let known = unreadable.is_empty().then_some(&inventory);
    let machines = known.and_then(|i| i.machines.as_deref()).map(existing_machines);
    let volumes = target.as_ref().zip(known.and_then(|i| i.volumes.as_deref()));
    let volumes = volumes.map(|(target, all)| listed_volumes(target, all, &workers));
    let image = target.as_ref().map(|target| Image {
        provider: target.provider.kind().as_str().to_owned(),
        app: target.scope.app_name.clone(),
        name: target.settings.image.clone(),
    });
    let workers = workers.into_iter().map(|worker| {
        let machine = views.get(&worker.id).copied().unwrap_or(MachineView::Unknown);
        observed(worker, &by_key, machine)
    });
    let workers = workers.collect();
    let observed = Observed { workers, ready, image, machines, volumes, state };
    Ok(Observation { observed, target, public_url, inventory, disabled, errors })
}

/// The conversations of all workers and those that workers may be started for, and those of disabled agents. A conversation
/// that cannot be read goes to `errors` and does not stop the pool.
async fn conversations(
    app: &App,
    workers: &[Worker],
    ready: &mut Vec<ReadyConversation>,
    policies: &Policies,
    errors: &mut Vec<String>,
) -> Result<(HashMap<ConversationKey, Conversation>, Vec<Conversation>)> {
    let step = usize::try_from(policies.scaling.spawn_step).unwrap_or(usize::MAX);
    let assigned = workers.iter().filter_map(|w| w.assignment.as_ref()).map(|a| a.key.clone());
    let wanted: Vec<_> = assigned.chain(waiting::first(ready, step)).collect();
    let mut read = app.store.conversations_each(&wanted).await?;
    let disabled = waiting::drop_unservable(app, ready, step, &mut read).await?;
    let (found, unreadable): (Vec<_>, Vec<_>) = read.into_iter().partition(|(_, read)| read.is_ok());
    let reasons = unreadable.iter().filter_map(|(_, read)| read.as_ref().err());
    errors.extend(reasons.take(MAX_UNREADABLE_NAMED).map(ToString::to_string));
    if let Some(more) = unreadable.len().checked_sub(MAX_UNREADABLE_NAMED).filter(|more| *more > 0) {
        errors.push(format!("{more} more conversations cannot be read"));
    }
    Ok((found.into_iter().filter_map(|(key, read)| Some((key, read.ok()?))).collect(), disabled))
}

/// The URL that workers get. It is missing while Secrets Manager fails.
async fn public_url(app: &App, reached_at: Option<&str>) -> Result<Prerequisite<String>> {
    match public_url::find(app, reached_at).await {
        Err(AppError::Secrets(error)) => {
            let text = format!("the public URL cannot be read: {}", with_causes(&error));
            Ok(Prerequisite::Missing(text))
        }
        found => found,
    }
}

/// The machines and volumes at the provider. If no worker runs there, only a full listing (`is_full`) sends requests. The
/// lists fail independently of each other. When the full list of machines fails, the list of our machines is requested.
async fn inventory(
    target: &ProviderTarget,
    workers: &[Worker],
    is_full: bool,
    foreign: ForeignCounts,
    until: Instant,
    errors: &mut Vec<String>,
) -> ProviderInventory {
    let (provider, scope) = (&target.provider, &target.scope);
    let mut inventory = ProviderInventory { is_full, foreign, ..ProviderInventory::default() };
    if is_full {
        match answer_by(until, provider.list_all(scope)).await {
            Ok(all) => (inventory.machines, inventory.foreign.machines) = (Some(all.ours), all.foreign),
            Err(error) => errors.push(format!("listing all machines failed: {error}")),
        }
        match answer_by(until, provider.list_volumes(scope)).await {
            Ok(all) => (inventory.volumes, inventory.foreign.volumes) = (Some(all.ours), all.foreign),
            Err(error) => errors.push(format!("listing volumes failed: {error}")),
        }
    }
    let is_used = workers.iter().any(|w| w.provider == provider.kind().as_str());
    if inventory.machines.is_none() && (is_full || is_used) {
        match answer_by(until, provider.list(scope)).await {
            Ok(ours) => inventory.machines = Some(ours.ours),
            Err(error) => errors.push(format!("listing machines failed: {error}")),
        }
    }
    inventory
}

/// The machines as the plan reads them, without those that the provider has removed.
fn existing_machines(all: &[Machine]) -> Vec<ListedMachine> {
    let existing = all.iter().filter(|m| m.state != MachineState::Gone);
    existing
        .map(|m| ListedMachine { id: m.machine.machine_id.clone(), worker: m.worker_id.clone() })
        .collect()
}

/// The volumes as the plan reads them.
fn listed_volumes(target: &ProviderTarget, all: &[Volume], workers: &[Worker]) -> Vec<ListedVolume> {
    let live = LiveVolumes::of(target, workers);
    let volume = |v: &Volume| ListedVolume {
        id: v.volume.volume_id.clone(),
        is_of_live_worker: live.has(&v.volume.name),
        attached_to: v.attached_to.clone(),
    };
    all.iter().map(volume).collect()
}

/// The volumes of workers that are not stopped.
pub(super) struct LiveVolumes<'a> {
    target: &'a ProviderTarget,
    workers: Vec<&'a WorkerId>,
    names: HashSet<String>,
}

impl<'a> LiveVolumes<'a> {
    pub fn of(target: &'a ProviderTarget, workers: &'a [Worker]) -> Self {
        let workers: Vec<_> = workers.iter().map(|w| &w.id).collect();
        let names = workers.iter().filter_map(|id| target.provider.volume_name(&target.scope, id)).collect();
        Self { target, workers, names }
    }

    /// Whether one of them has this name, also under an earlier `volumeName`.
    pub fn has(&self, name: &str) -> bool {
        let target = self.target;
        self.names.contains(name)
            || self.workers.iter().any(|id| target.provider.is_volume_of(&target.scope, id, name))
    }
}

fn observed(
    worker: Worker,
    conversations: &HashMap<ConversationKey, Conversation>,
    machine: MachineView,
) -> ObservedWorker {
    // Two rows may name one conversation. The conversation names one of them as its owner.
    let named = worker.assignment.as_ref().and_then(|a| conversations.get(&a.key));
    let owner = named.and_then(|c| c.owner.as_ref());
    let has_other_owner = owner.is_some_and(|o| o.worker != worker.id);
    let conversation = named.filter(|_| owner.is_some_and(|o| o.worker == worker.id)).cloned();
    ObservedWorker { worker, conversation, has_other_owner, machine }
}
