//! The judge: every change of the table, in order, from its own stream; what actors were answered meanwhile; and at
//! the end what became of everything that was accepted.

mod answers;
mod conversation;
mod counters;
mod message;
mod policy;
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
use crate::world::World;

/// Records read at a time.
const MAX_RECORDS: usize = 1_000;

type Broken = Result<(), String>;

pub struct Judge {
    engine: Engine,
    writes: watch::Receiver<u64>,
    /// Whether there may be changes that it has not seen.
    unseen: bool,
    table: String,
    after: Option<String>,
    history: DefaultHasher,
    shared: Arc<Shared>,
    /// The true time of this look, ms.
    now: u64,
    conversations: BTreeMap<String, Meta>,
    messages: BTreeMap<String, Message>,
    /// Messages that a dead-letter mark names.
    marked: BTreeSet<String>,
    /// Claims of each message, since it was accepted or retried, and how many of them do not count: cut off by a drain.
    claimed: BTreeMap<String, u64>,
    drained: BTreeMap<String, u64>,
    /// Messages that a change may have moved, each with its conversation.
    moved: BTreeSet<(String, String)>,
    /// Calls that have retried a message.
    retries: BTreeSet<(String, String)>,
    /// Messages that were retried.
    retried: BTreeSet<String>,
    /// Leases that were ended by freeing their conversations: partition, message and what became of it.
    freed: Vec<(String, String, String)>,
    /// The counters as they are stored.
    counters: Counts,
    /// The latest lease of each conversation.
    latest: BTreeMap<String, conversation::Claim>,
    /// How each lease ended, and by when.
    ended: BTreeMap<String, answers::End>,
    /// Leases of whose attempt history entries were written while it ran.
    appended: BTreeSet<String>,
    workers: BTreeMap<String, Row>,
    /// Workers that ever had a row.
    registered: BTreeSet<String>,
    policies: policy::Policies,
}

impl Judge {
    pub fn new(world: &World) -> Self {
        Self {
            engine: world.engine().clone(),
            writes: world.engine().writes(),
            unseen: true,
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
        }
    }

    /// A hash of everything that it has seen.
    pub fn history(&self) -> u64 {
        self.history.finish()
    }

    fn count(&self, event: Event) {
        self.shared.tally.count(event);
    }

    /// Judges everything that changed since the last look.
    pub fn look(&mut self, world: &World) -> Broken {
        self.now = world.now().as_millis();
        self.unseen |= self.writes.has_changed().unwrap_or(true);
        self.writes.mark_unchanged();
        if let Some(complaint) = world.answers.complaints.lock().unwrap().first() {
            return Err(complaint.clone());
        }
        if let Some(excess) = self.shared.costs.excess() {
            return Err(excess);
        }
        // Most looks see nothing new, which need not be asked of the table.
        if !self.unseen {
            return self.answers(world);
        }
        while self.unseen {
            let records = self.engine.records(&self.table, self.after.as_deref(), MAX_RECORDS).unwrap();
            for record in &records {
                self.change(world, &record["dynamodb"])?;
            }
            self.unseen = records.len() == MAX_RECORDS;
            world.ledger.lock().unwrap().stream.extend(records);
        }
        self.places()?;
        self.ownership(world)?;
        self.counted(world)?;
        self.answers(world)
    }

    fn change(&mut self, world: &World, change: &Value) -> Broken {
        let pk = change["Keys"]["pk"]["S"].as_str().unwrap();
        let sk = change["Keys"]["sk"]["S"].as_str().unwrap();
        self.after = change["SequenceNumber"].as_str().map(str::to_owned);
        for part in ["Keys", "NewImage"] {
            change[part].to_string().hash(&mut self.history);
        }
        match (pk.split('#').next().unwrap(), sk) {
            ("C", "#") => self.conversation(world, change),
            ("C", entry) => self.history_entry(pk, entry, &change["NewImage"]),
            ("M", "#") => self.message(change),
            ("DL", mark) => self.dead_letter_mark(mark, change),
            ("CNT", _) => {
                self.counters = Counts::stored(&change["NewImage"]);
                Ok(())
            }
            ("W", worker) => self.worker(worker, change),
            ("CFG", "policies") => {
                self.policies.changed(self.now, &change["NewImage"]);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether nothing waits, nothing runs, and everything is counted.
    pub fn is_at_rest(&self, world: &World) -> bool {
        let accepted = world.answers.accepted.lock().unwrap();
        let ended = |id: &String| self.messages.get(id).is_some_and(|m| m.status != "queued");
        accepted.keys().all(ended)
            && world.ledger.lock().unwrap().is_balanced()
            && self.conversations.values().all(|c| c.lease.is_none() && c.pending.is_empty())
    }

    pub fn unfinished(&self, world: &World) -> String {
        let waiting: Vec<_> =
            self.conversations.values().filter(|c| c.lease.is_some() || !c.pending.is_empty()).collect();
        let machines = world.provider.count();
        format!("not at rest an hour after the last fault, with {machines} machines: {waiting:?}")
    }

    /// Judges what became of everything.
    pub fn judge_the_end(&self, world: &World) -> Broken {
        for id in world.answers.accepted.lock().unwrap().keys() {
            if !self.messages.contains_key(id) {
                return Err(format!("{id} was accepted and is lost"));
            }
        }
        for (id, message) in &self.messages {
            if message.status == "queued" {
                return Err(format!("{id} is queued, but no conversation has it"));
            }
        }
        self.all_counted()?;
        for (id, fence) in world.answers.completed.lock().unwrap().iter() {
            let message = &self.messages[id];
            if !matches!(message.status.as_str(), "done" | "cancelled") || message.fence != *fence {
                return Err(format!("{id} was answered done under fence {fence}, but is {message:?}"));
            }
        }
        Ok(())
    }
}
