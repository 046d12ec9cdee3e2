//! Observing: workers, their conversations, the ready index, and what the provider says of the machines.

use std::collections::HashMap;

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, WorkerId};
use af_domain::policy::Policies;
use af_domain::pool::{MachineView, Observed, ObservedWorker, ReadyConversation, SPAWN_AHEAD};
use af_domain::worker::Worker;
use af_providers::Machine;

use crate::provider::{Place, place, public_url};
use crate::{App, AppError};

/// Entries of one page of a shard: far below the 1 MB that end a page anyway.
const READY_PAGE: i32 = 2_000;
/// Pages of one shard looked at: 10 000 conversations are ten times what the largest pool serves.
const READY_PAGES_MAX: usize = 5;

/// What a run sees.
pub(super) struct Sight {
    /// What the plan is made from.
    pub observed: Observed,
    /// Where workers run, when that is configured.
    pub place: Option<Place>,
    /// The URL that workers are told, when there is one.
    pub public_url: Option<String>,
    /// The provider's machines by worker.
    pub machines: HashMap<WorkerId, Machine>,
    /// What is missing or failed.
    pub errors: Vec<String>,
}

impl Sight {
    /// A conversation's id where it is known, else its key.
    pub fn name_of(&self, key: &ConversationKey) -> String {
        let known = self.observed.workers.iter().filter_map(|w| w.conversation.as_ref());
        known.into_iter().find(|c| &c.key == key).map_or_else(|| key.to_string(), |c| c.id.to_string())
    }

    /// The worker that owns a conversation, where that was observed.
    pub fn owner_of(&self, key: &ConversationKey) -> Option<&WorkerId> {
        let owns = |w: &&ObservedWorker| w.conversation.as_ref().is_some_and(|c| &c.key == key);
        self.observed.workers.iter().find(owns).map(|w| &w.worker.id)
    }
}

pub(super) async fn observe(
    app: &App,
    policies: &Policies,
    reached_at: Option<&str>,
) -> Result<Sight, AppError> {
    let shards = (0..policies.queue.ready_shards).map(|shard| ready(app, shard));
    let (workers, ready) = tokio::join!(app.store.workers(), futures::future::try_join_all(shards));
    let (workers, ready) = (workers?, ready?);
    let keys: Vec<_> = workers.iter().filter_map(|w| w.assignment.as_ref()).map(|a| a.key.clone()).collect();
    let mut errors = Vec::new();
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
        Some(_) => found(public_url(app, reached_at).await?, &mut errors),
        None => None,
    };
    let machines = match &place {
        Some(place) if workers.iter().any(|w| w.provider == place.provider.kind().as_str()) => {
            match place.provider.list(&place.scope).await {
                Ok(inventory) => Some(inventory.ours.into_iter().map(|m| (m.worker_id.clone(), m)).collect()),
                Err(error) => {
                    errors.push(format!("listing machines failed: {error}"));
                    None
                }
            }
        }
        _ => None,
    };
    let here = place.as_ref().map(|p| p.provider.kind().as_str());
    let workers = workers.into_iter().map(|w| {
        // The machine of one that another provider runs is not on this list.
        let machines = machines.as_ref().filter(|_| here == Some(w.provider.as_str()));
        observed(w, &by_key, machines)
    });
    let workers = workers.collect();
    let ready = ready.into_iter().flatten().collect();
    Ok(Sight {
        observed: Observed { workers, ready },
        place,
        public_url,
        machines: machines.unwrap_or_default(),
        errors,
    })
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
    machines: Option<&HashMap<WorkerId, Machine>>,
) -> ObservedWorker {
    // Two rows may name one conversation; it names one of them.
    let conversation = worker.assignment.as_ref().and_then(|a| conversations.get(&a.key));
    let conversation =
        conversation.filter(|c| c.owner.as_ref().is_some_and(|o| o.worker == worker.id)).cloned();
    let machine = match machines {
        None => MachineView::Unknown,
        Some(machines) => match machines.get(&worker.id) {
            None => MachineView::Missing,
            Some(machine) if machine.state.is_running() => MachineView::Running,
            Some(_) => MachineView::NotRunning,
        },
    };
    ObservedWorker { worker, conversation, machine }
}
