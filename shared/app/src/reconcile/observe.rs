//! Observing: workers, their conversations, the ready index, and what the provider says of the machines.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, WorkerId};
use af_domain::policy::Policies;
use af_domain::pool::{
    Image, ListedMachine, ListedVolume, MachineView, Memory, Observed, ObservedWorker, ReadyConversation,
    SPAWN_AHEAD,
};
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::Worker;
use af_providers::{Machine, MachineState, ProviderError, Volume};
use tokio::time::Instant;

use crate::provider::{Place, place};
use crate::workers::readable;
use crate::{App, AppError, public_url};

/// Entries of one page of a shard: far below the 1 MB that end a page anyway.
const READY_PAGE: i32 = 2_000;
/// Pages of one shard looked at: 10 000 conversations are ten times what the largest pool serves.
const READY_PAGES_MAX: usize = 5;
/// How long the provider's lists may take: of a thousand machines they take some ten seconds, and half of a run's time
/// is left for what does not need them.
const LISTS_FOR: Millis = Millis::from_secs(20);

/// What a run sees.
pub(super) struct Sight {
    /// What the plan is made from.
    pub observed: Observed,
    /// Where workers run, when that is configured.
    pub place: Option<Place>,
    /// The URL that workers are told, when there is one.
    pub public_url: Option<String>,
    /// What the provider has of this deployment.
    pub stock: Stock,
    /// What is missing or failed.
    pub errors: Vec<String>,
}

/// What the provider has of this deployment, as far as it was asked.
#[derive(Default)]
pub(super) struct Stock {
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

impl Sight {
    /// A conversation's id where it is known, else its key.
    pub fn name_of(&self, key: &ConversationKey) -> String {
        let known = self.observed.workers.iter().filter_map(|w| w.conversation.as_ref());
        known.into_iter().find(|c| &c.key == key).map_or_else(|| key.to_string(), |c| c.id.to_string())
    }

    /// The machine that was made for a worker.
    pub fn machine_of(&self, worker: &WorkerId) -> Option<&Machine> {
        self.stock.machines.iter().flatten().find(|m| &m.worker_id == worker)
    }

    /// Machines and volumes beside ours, when last looked.
    pub fn foreign(&self) -> (usize, usize) {
        let (machines, volumes) = self.observed.memory.foreign;
        (self.stock.foreign_machines.unwrap_or(machines), self.stock.foreign_volumes.unwrap_or(volumes))
    }

    /// The worker that owns a conversation, where that was observed.
    pub fn owner_of(&self, key: &ConversationKey) -> Option<&WorkerId> {
        let owns = |w: &&ObservedWorker| w.conversation.as_ref().is_some_and(|c| &c.key == key);
        self.observed.workers.iter().find(owns).map(|w| &w.worker.id)
    }
}

/// The provider is not waited for beyond `ends_at`.
pub(super) async fn observe(
    app: &App,
    policies: &Policies,
    memory: Memory,
    reached_at: Option<&str>,
    ends_at: Timestamp,
) -> Result<Sight, AppError> {
    let shards = (0..policies.queue.ready_shards).map(|shard| ready(app, shard));
    let (workers, ready) = tokio::join!(readable(app), futures::future::try_join_all(shards));
    let ((workers, unreadable), ready) = (workers?, ready?);
    let keys: Vec<_> = workers.iter().filter_map(|w| w.assignment.as_ref()).map(|a| a.key.clone()).collect();
    let mut errors: Vec<_> = unreadable.iter().map(ToString::to_string).collect();
    let mut by_key = HashMap::with_capacity(keys.len());
    for conversation in app.store.conversations_each(&keys).await? {
        match conversation {
            Ok(conversation) => drop(by_key.insert(conversation.key.clone(), conversation)),
            // One that cannot be read must not stop the pool.
            Err(error) => errors.push(error.to_string()),
        }
    }
    let place = found(place(app).await?, &mut errors);
    // Told of one thing at a time: without a provider, a URL is of no use yet.
    let public_url = match &place {
        Some(_) => found(public_url::find(app, reached_at).await?, &mut errors),
        None => None,
    };
    let stock = match &place {
        Some(place) => {
            let everything = memory.wants_look(policies, app.now());
            stock(app, place, &workers, everything, ends_at, &mut errors).await
        }
        None => Stock::default(),
    };
    // Whose a machine is may stand in a row that cannot be read.
    let (machines, volumes) = match unreadable.is_empty() {
        true => listed(place.as_ref(), &stock, &workers),
        false => (None, None),
    };
    let image = place.as_ref().map(|place| Image {
        provider: place.provider.kind().as_str().to_owned(),
        app: place.scope.app_name.clone(),
        name: place.image.clone(),
    });
    let by_worker: Option<HashMap<&WorkerId, &Machine>> =
        stock.machines.as_ref().map(|all| all.iter().map(|m| (&m.worker_id, m)).collect());
    let workers = workers.into_iter().map(|worker| {
        // The machine of one that another provider runs, or in another app, is not on this list.
        let is_here = image.as_ref().is_some_and(|here| {
            here.provider == worker.provider && worker.app().is_none_or(|app| app == here.app)
        });
        observed(worker, &by_key, by_worker.as_ref().filter(|_| is_here))
    });
    let workers = workers.collect();
    let ready = ready.into_iter().flatten().collect();
    let observed = Observed { workers, ready, image, machines, volumes, memory };
    Ok(Sight { observed, place, public_url, stock, errors })
}

/// What the provider has. With no worker of it, it is asked when it is time for `everything` only. A list that cannot be
/// had takes no other with it, and without the one of all machines there is still the one of ours.
async fn stock(
    app: &App,
    place: &Place,
    workers: &[Worker],
    everything: bool,
    ends_at: Timestamp,
    errors: &mut Vec<String>,
) -> Stock {
    let (provider, scope) = (&place.provider, &place.scope);
    let left = ends_at.since(app.now()).min(LISTS_FOR);
    let until = Instant::now() + Duration::from_millis(left.as_millis());
    let mut stock = Stock { looked: everything, ..Stock::default() };
    if everything {
        match in_time(until, provider.list_all(scope)).await {
            Ok(all) => (stock.machines, stock.foreign_machines) = (Some(all.ours), Some(all.foreign)),
            Err(error) => errors.push(format!("listing all machines failed: {error}")),
        }
        match in_time(until, provider.list_volumes(scope)).await {
            Ok(all) => (stock.volumes, stock.foreign_volumes) = (Some(all.ours), Some(all.foreign)),
            Err(error) => errors.push(format!("listing volumes failed: {error}")),
        }
    }
    let is_used = workers.iter().any(|w| w.provider == provider.kind().as_str());
    if stock.machines.is_none() && (everything || is_used) {
        match in_time(until, provider.list(scope)).await {
            Ok(ours) => stock.machines = Some(ours.ours),
            Err(error) => errors.push(format!("listing machines failed: {error}")),
        }
    }
    stock
}

/// The answer of a call, if it comes by `until`.
async fn in_time<T>(
    until: Instant,
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    let late = || ProviderError::Unavailable { reason: "no answer in time".to_owned(), source: None };
    tokio::time::timeout_at(until, call).await.unwrap_or_else(|_| Err(late()))
}

/// The stock in the planner's words, without what is being removed.
fn listed(
    place: Option<&Place>,
    stock: &Stock,
    workers: &[Worker],
) -> (Option<Vec<ListedMachine>>, Option<Vec<ListedVolume>>) {
    let there = |all: &Vec<Machine>| {
        let there = all.iter().filter(|m| m.state != MachineState::Gone);
        there
            .map(|m| ListedMachine { id: m.machine.machine_id.clone(), worker: m.worker_id.clone() })
            .collect()
    };
    let volumes = place.zip(stock.volumes.as_ref()).map(|(place, all)| {
        let live = LiveVolumes::of(place, workers);
        let volume = |v: &Volume| ListedVolume {
            id: v.volume.volume_id.clone(),
            is_of_live_worker: live.has(&v.volume.name),
            attached_to: v.attached_to.clone(),
        };
        all.iter().map(volume).collect()
    });
    (stock.machines.as_ref().map(there), volumes)
}

/// Which volumes belong to workers that are not stopped.
pub(super) struct LiveVolumes<'a> {
    place: &'a Place,
    workers: Vec<&'a WorkerId>,
    names: HashSet<String>,
}

impl<'a> LiveVolumes<'a> {
    pub fn of(place: &'a Place, workers: &'a [Worker]) -> Self {
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

async fn ready(app: &App, shard: u64) -> Result<Vec<ReadyConversation>, AppError> {
    let until = app.now() + SPAWN_AHEAD;
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..READY_PAGES_MAX {
        let (page, next) = app.store.ready_page(shard, until, READY_PAGE, after).await?;
        found.extend(page);
        after = next;
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}

fn observed(
    worker: Worker,
    conversations: &HashMap<ConversationKey, Conversation>,
    machines: Option<&HashMap<&WorkerId, &Machine>>,
) -> ObservedWorker {
    // Two rows may name one conversation; it names one of them.
    let named = worker.assignment.as_ref().and_then(|a| conversations.get(&a.key));
    let owner = named.and_then(|c| c.owner.as_ref());
    let is_anothers = owner.is_some_and(|o| o.worker != worker.id);
    let conversation = named.filter(|_| owner.is_some_and(|o| o.worker == worker.id)).cloned();
    let machine = match machines {
        None => MachineView::Unknown,
        Some(machines) => match machines.get(&worker.id) {
            None => MachineView::Missing,
            Some(machine) if machine.state.is_running() => MachineView::Running,
            Some(machine) if machine.state == MachineState::Stopping => MachineView::Stopping,
            Some(_) => MachineView::NotRunning,
        },
    };
    ObservedWorker { worker, conversation, is_anothers, machine }
}
