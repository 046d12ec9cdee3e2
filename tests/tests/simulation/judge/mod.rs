//! The judge checks every change of the table, in order, from the table's stream. It checks the answers that actors
//! got, and at the end the final state of every accepted message.

mod answers;
mod broadcast;
mod conversation;
mod counters;
mod delivery;
mod destination;
mod message;
mod people;
mod policy;
mod push;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use af_emulator_aws::Engine;
use serde_json::Value;
use tokio::sync::watch;

use crate::faults::Shared;
use crate::queue::{Counts, Message, Meta, Row};
use crate::tally::Event;
use crate::world::{AGENT, World};

/// Limit of the records in one read of the stream.
const MAX_RECORDS: usize = 1_000;

/// The result of a check: `Err` describes the violation.
type Check = Result<(), String>;

pub struct Judge {
    engine: Engine,
    writes: watch::Receiver<u64>,
    /// Whether the stream may have unread records.
    has_unread_records: bool,
    table: String,
    after: Option<String>,
    history: DefaultHasher,
    shared: Arc<Shared>,
    /// The true time of this check, ms.
    now: u64,
    conversations: BTreeMap<String, Meta>,
    messages: BTreeMap<String, Message>,
    /// Messages that a dead-letter mark names.
    marked: BTreeSet<String>,
    /// Claims of each message since it was accepted or retried, and the number of them that a drain interrupted. The
    /// latter do not count as attempts.
    claimed: BTreeMap<String, u64>,
    drained: BTreeMap<String, u64>,
    /// The fence of the first claim of each message, which also a retried dead letter keeps.
    first_claims: BTreeMap<String, u64>,
    /// Messages that a change may have moved, each with its conversation.
    moved: BTreeSet<(String, String)>,
    /// Calls that have retried a message.
    retries: BTreeSet<(String, String)>,
    /// Messages that were retried.
    retried: BTreeSet<String>,
    /// Leases that ended because an operator freed the conversation: partition, message and outcome.
    freed: Vec<(String, String, String)>,
    /// The counters as they are stored.
    counters: Counts,
    /// The latest lease of each conversation.
    latest: BTreeMap<String, conversation::Claim>,
    /// How each lease ended, and by when.
    ended: BTreeMap<String, answers::End>,
    /// Leases under which history entries were written while the attempt ran.
    appended: BTreeSet<String>,
    workers: BTreeMap<String, Row>,
    /// Workers that ever had a row.
    registered: BTreeSet<String>,
    policies: policy::Policies,
    /// What the chats and the agent were bound to.
    destinations: destination::Destinations,
    /// What has arrived in the chats.
    deliveries: delivery::Deliveries,
    /// The messages that people have sent, and the drafts that they have seen.
    people: people::People,
    /// Push jobs, broadcasts, and their dispatches.
    pushes: push::Pushes,
}

impl Judge {
    pub fn new(world: &World) -> Self {
        Self {
            engine: world.engine().clone(),
            writes: world.engine().writes(),
            has_unread_records: true,
            table: world.table(),
            after: None,
            history: DefaultHasher::new(),
            shared: world.shared.clone(),
            now: 0,
            conversations: BTreeMap::new(),
            messages: BTreeMap::new(),
            marked: BTreeSet::new(),
            claimed: BTreeMap::new(),
            drained: BTreeMap::new(),
            first_claims: BTreeMap::new(),
            moved: BTreeSet::new(),
            retries: BTreeSet::new(),
            retried: BTreeSet::new(),
            freed: Vec::new(),
            counters: Counts::default(),
            latest: BTreeMap::new(),
            ended: BTreeMap::new(),
            appended: BTreeSet::new(),
            workers: BTreeMap::new(),
            registered: BTreeSet::new(),
            policies: policy::Policies::default(),
            destinations: destination::Destinations::default(),
            deliveries: delivery::Deliveries::default(),
            people: people::People::default(),
            pushes: push::Pushes::default(),
        }
    }

    /// A hash of all records that the judge has read.
    pub fn history(&self) -> u64 {
        self.history.finish()
    }

    fn count(&self, event: Event) {
        self.shared.tally.count(event);
    }

    /// Checks everything that changed since the last call.
    pub fn check(&mut self, world: &World) -> Check {
        self.now = world.now().as_millis();
        self.has_unread_records |= self.writes.has_changed().unwrap_or(true);
        self.writes.mark_unchanged();
        if let Some(violation) = world.answers.violations.lock().unwrap().first() {
            return Err(violation.clone());
        }
        if let Some(excess) = self.shared.costs.excess() {
            return Err(excess);
        }
        // Most calls have no new records. Then the table needs no read.
        if !self.has_unread_records {
            self.arrivals(world)?;
            return self.answers(world);
        }
        while self.has_unread_records {
            let records = self.engine.records(&self.table, self.after.as_deref(), MAX_RECORDS).unwrap();
            for record in &records {
                self.change(world, &record["dynamodb"])?;
            }
            self.has_unread_records = records.len() == MAX_RECORDS;
            world.ledger.lock().unwrap().stream.extend(records);
        }
        self.check_locations()?;
        self.pushed()?;
        self.ownership(world)?;
        self.counted(world)?;
        self.arrivals(world)?;
        self.answers(world)
    }

    fn change(&mut self, world: &World, change: &Value) -> Check {
        let pk = change["Keys"]["pk"]["S"].as_str().unwrap();
        let sk = change["Keys"]["sk"]["S"].as_str().unwrap();
        self.after = change["SequenceNumber"].as_str().map(str::to_owned);
        for part in ["Keys", "NewImage"] {
            change[part].to_string().hash(&mut self.history);
        }
        match (pk.split('#').next().unwrap(), sk) {
            ("C", "#") => self.conversation(world, change),
            ("C", entry) => self.history_entry(pk, entry, &change["NewImage"]),
            ("M", "#") => {
                self.push_message(pk.trim_start_matches("M#"), change)?;
                self.message(change)
            }
            ("U", "B") => {
                self.destinations.user_changed(self.now, pk, &change["NewImage"]);
                Ok(())
            }
            ("U", job) if job.starts_with("J#") => self.push_job(pk, job, change),
            ("PD", _) => self.push_dispatch(change),
            ("BC", _) => self.broadcast(world, pk, change),
            ("DL", mark) => self.dead_letter_mark(mark, change),
            ("CNT", _) => {
                self.counters = Counts::stored(&change["NewImage"]);
                Ok(())
            }
            ("O", _) => {
                self.deliveries.outbox_changed(pk, &change["NewImage"]);
                Ok(())
            }
            ("W", worker) => self.worker(worker, change),
            ("BOT", chat) if chat.starts_with("C#") => {
                self.destinations.chat_changed(self.now, pk, chat, &change["NewImage"]);
                Ok(())
            }
            ("A", AGENT) => {
                self.destinations.agent_changed(self.now, &change["NewImage"]);
                Ok(())
            }
            ("CFG", "policies") => {
                self.policies.changed(self.now, &change["NewImage"]);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether no message waits or runs, and every record is counted.
    pub fn is_everything_done(&self, world: &World) -> bool {
        let accepted = world.answers.accepted.lock().unwrap();
        let ended = |id: &String| self.messages.get(id).is_some_and(|m| m.status != "queued");
        accepted.keys().all(ended)
            && world.ledger.lock().unwrap().is_balanced()
            && self.deliveries.is_everything_sent()
            && self.is_everything_pushed()
            && self.conversations.values().all(|c| c.lease.is_none() && c.pending.is_empty())
    }

    pub fn unfinished_work(&self, world: &World) -> String {
        let waiting: Vec<_> =
            self.conversations.values().filter(|c| c.lease.is_some() || !c.pending.is_empty()).collect();
        let machines = world.provider.count();
        format!(
            "unfinished work an hour after the last fault, with {machines} machines: {waiting:?}, {}",
            self.unfinished_pushes()
        )
    }

    /// Checks the final state of every accepted message.
    pub fn check_final_state(&self, world: &World) -> Check {
        for id in world.answers.accepted.lock().unwrap().keys() {
            if !self.messages.contains_key(id) {
                return Err(format!("{id} was accepted and is lost"));
            }
        }
        for (id, message) in &self.messages {
            if message.status == "queued" {
                return Err(format!("{id} is queued, but is in no conversation"));
            }
        }
        self.all_counted()?;
        self.all_accounted_for()?;
        self.all_pushed(world)?;
        for (id, fence) in world.answers.completed.lock().unwrap().iter() {
            let message = &self.messages[id];
            if !matches!(message.status.as_str(), "done" | "cancelled") || message.fence != *fence {
                return Err(format!(
                    "the completion of {id} was answered under fence {fence}, but the message is {message:?}"
                ));
            }
        }
        Ok(())
    }
}
