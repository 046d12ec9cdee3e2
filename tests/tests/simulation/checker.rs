//! The judge: every change of the table, in order, from its own stream; and at the end what became of everything
//! that was accepted.

use std::collections::BTreeMap;

use af_local::aws::Engine;
use af_local::stream::StreamSource;
use serde_json::Value;

use crate::queue::{Meta, message, meta};
use crate::world::World;

/// Records read at a time.
const RECORDS_MAX: usize = 1_000;
/// A claim is decided a little before it is committed: by as much as clocks differ and requests are held up, a
/// message may become due or arrive in between.
const DECIDED_MS_BEFORE_MAX: u64 = 10_000;

type Broken = Result<(), String>;

pub struct Checker {
    engine: Engine,
    table: String,
    after: Option<String>,
    conversations: BTreeMap<String, Meta>,
    /// State and fence of each message.
    messages: BTreeMap<String, (String, u64)>,
    /// Claims of each message.
    claimed: BTreeMap<String, u64>,
    /// The message and fence of each conversation's latest lease.
    leased: BTreeMap<String, (String, u64)>,
    /// When each conversation's latest lease was claimed, and its fence.
    latest: BTreeMap<String, (u64, u64)>,
    retries_block: bool,
    pub claims: u64,
}

impl Checker {
    pub fn new(world: &World, engine: Engine) -> Self {
        Self {
            engine,
            table: world.table(),
            after: None,
            conversations: BTreeMap::new(),
            messages: BTreeMap::new(),
            claimed: BTreeMap::new(),
            leased: BTreeMap::new(),
            latest: BTreeMap::new(),
            retries_block: world.retries_block(),
            claims: 0,
        }
    }

    /// Judges everything that changed since the last look.
    pub fn look(&mut self, world: &World) -> Broken {
        if let Some(complaint) = world.complaints.lock().unwrap().first() {
            return Err(complaint.clone());
        }
        loop {
            let records = self.engine.records(&self.table, self.after.as_deref(), RECORDS_MAX).unwrap();
            for record in &records {
                let change = &record["dynamodb"];
                let pk = change["Keys"]["pk"]["S"].as_str().unwrap();
                let sk = change["Keys"]["sk"]["S"].as_str().unwrap();
                match (pk.split('#').next(), sk) {
                    (Some("C"), "#") => self.conversation(change)?,
                    (Some("M"), "#") => self.message(change)?,
                    _ => {}
                }
                self.after = change["SequenceNumber"].as_str().map(str::to_owned);
            }
            if records.len() < RECORDS_MAX {
                return self.heartbeats(world);
            }
        }
    }

    /// No heartbeat is answered held when another had the lease before it was sent.
    fn heartbeats(&self, world: &World) -> Broken {
        for (key, fence, sent) in world.extended.lock().unwrap().drain(..) {
            let taken_over =
                self.latest.get(&key).filter(|(at, f)| *f > fence && at + DECIDED_MS_BEFORE_MAX < sent);
            if let Some((at, newer)) = taken_over {
                return Err(format!(
                    "{key}: a heartbeat under fence {fence} was held, {newer} was claimed at {at}"
                ));
            }
        }
        Ok(())
    }

    fn conversation(&mut self, change: &Value) -> Broken {
        let after = meta(&change["NewImage"]);
        let before = self.conversations.insert(after.key.clone(), after.clone()).unwrap_or_default();
        let wrong = |what: String| Err(format!("{what}\n  before {before:?}\n  after  {after:?}"));
        if let Some(lease) = &after.lease {
            if after.owner.as_ref().is_none_or(|(worker, _)| *worker != lease.worker) {
                return wrong("a lease whose holder does not own the conversation".into());
            }
            if lease.entry.attempts - lease.entry.drained > lease.entry.attempts_max {
                return wrong("more attempts than allowed".into());
            }
        }
        if after.owner.is_some() == after.in_index {
            return wrong("owned conversations, and only they, stand outside the ready index".into());
        }
        if after.pending.is_empty() != after.ready.is_none() {
            return wrong("a ready key without work, or work without a ready key".into());
        }
        if let (Some(ready), Some(from)) = (&after.ready, after.claimable_from(self.retries_block)) {
            let shown_from = ready.strip_prefix("1#").map_or(0, |t| t.parse().unwrap());
            if shown_from > from {
                return wrong(format!("claimable from {from}, but shown only from {shown_from}"));
            }
        }
        match after.fence.checked_sub(before.fence) {
            Some(0) => self.no_claim(&before, &after),
            Some(1) => self.claim(&before, &after),
            _ => wrong("a fence that fell or jumped".into()),
        }
    }

    fn claim(&mut self, before: &Meta, after: &Meta) -> Broken {
        let wrong = |what: String| Err(format!("{what}\n  before {before:?}\n  after  {after:?}"));
        let Some(lease) = &after.lease else { return wrong("a new fence without a lease".into()) };
        if before.lease.is_some() {
            return wrong("a claim over a lease that was in force".into());
        }
        if before.owner.as_ref().is_some_and(|(worker, active)| *worker != lease.worker || !active) {
            return wrong(
                "a claim of a conversation that belongs to another, or whose owner is leaving".into(),
            );
        }
        let head = before.head(lease.claimed_at, self.retries_block);
        if head.is_none_or(|h| h.message != lease.entry.message) {
            return wrong(format!("claimed out of order: the head was {head:?}"));
        }
        let rest: Vec<_> =
            before.pending.iter().filter(|e| e.message != lease.entry.message).cloned().collect();
        if after.pending != rest {
            return wrong("a claim that changed more of the queue than its head".into());
        }
        self.claims += 1;
        let claims = self.claimed.entry(lease.entry.message.clone()).or_default();
        *claims += 1;
        if *claims != lease.entry.attempts {
            return wrong(format!("{claims} claims, but {} attempts counted", lease.entry.attempts));
        }
        self.leased.insert(after.key.clone(), (lease.entry.message.clone(), after.fence));
        self.latest.insert(after.key.clone(), (lease.claimed_at, after.fence));
        Ok(())
    }

    fn no_claim(&mut self, before: &Meta, after: &Meta) -> Broken {
        let wrong = |what: String| Err(format!("{what}\n  before {before:?}\n  after  {after:?}"));
        match (&before.lease, &after.lease) {
            (None, Some(_)) => return wrong("a lease without a new fence".into()),
            (Some(old), Some(new)) if old.id != new.id || old.entry != new.entry => {
                return wrong("a lease that became another".into());
            }
            (Some(old), Some(new))
                if new.expires_at < old.expires_at.saturating_sub(DECIDED_MS_BEFORE_MAX) =>
            {
                return wrong("a lease cut short".into());
            }
            (Some(old), None) => {
                let back = after.pending.iter().find(|e| e.message == old.entry.message);
                if back.is_some_and(|e| e.attempts != old.entry.attempts) {
                    return wrong("a message that came back with another count of attempts".into());
                }
                if back.is_none() && after.pending.len() != before.pending.len() {
                    return wrong("an end that changed the queue".into());
                }
            }
            _ => {}
        }
        let gone = before.pending.iter().find(|e| !after.pending.iter().any(|a| a.message == e.message));
        if let Some(gone) = gone {
            return wrong(format!("{} left the queue without a claim", gone.message));
        }
        if after.version < before.version {
            return wrong("a version that fell".into());
        }
        Ok(())
    }

    fn message(&mut self, change: &Value) -> Broken {
        let id = change["Keys"]["pk"]["S"].as_str().unwrap().trim_start_matches("M#").to_owned();
        let (status, fence) = message(&change["NewImage"]);
        let before = self.messages.insert(id.clone(), (status.clone(), fence));
        if let Some((before, _)) = &before
            && before != "queued"
        {
            return Err(format!("{id} was {before} and became {status}"));
        }
        if before.is_some() && change["OldImage"].is_null() {
            return Err(format!("{id} was made twice"));
        }
        if before.is_some() && status == "queued" && change["NewImage"]["er"].is_null() {
            return Err(format!("{id} was accepted again over itself"));
        }
        if status == "done" {
            let key = change["NewImage"]["lp"]["S"].as_str().unwrap();
            if self.leased.get(key) != Some(&(id.clone(), fence)) {
                return Err(format!(
                    "{id} was done under fence {fence}, but leased was {:?}",
                    self.leased.get(key)
                ));
            }
        }
        Ok(())
    }

    /// Whether nothing waits and nothing runs.
    pub fn is_at_rest(&self, world: &World) -> bool {
        let accepted = world.accepted.lock().unwrap();
        let ended = |id: &String| self.messages.get(id).is_some_and(|(status, _)| status != "queued");
        accepted.iter().all(ended)
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
        for id in world.accepted.lock().unwrap().iter() {
            if !self.messages.contains_key(id) {
                return Err(format!("{id} was accepted and is lost"));
            }
        }
        if let Some((id, _)) = self.messages.iter().find(|(_, (status, _))| status == "queued") {
            return Err(format!("{id} is queued, but no conversation has it"));
        }
        for (id, fence) in world.completed.lock().unwrap().iter() {
            let state = &self.messages[id];
            if *state != ("done".to_owned(), *fence) {
                return Err(format!("{id} was answered done under fence {fence}, but is {state:?}"));
            }
        }
        Ok(())
    }
}
