//! Conversations and messages in the table's stream. This module decodes them without the code under test.

use std::ops::{AddAssign, SubAssign};

use serde_json::Value;

/// A waiting message, decoded from its conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub priority: u64,
    pub due: u64,
    pub scheduled: bool,
    pub attempts: u64,
    /// The attempts that a drain interrupted, which do not count.
    pub drained: u64,
    pub max_attempts: u64,
    pub not_before: u64,
    pub first_fence: u64,
    pub message: String,
}

/// A conversation's meta item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    pub key: String,
    pub fence: u64,
    pub version: u64,
    pub pending: Vec<Entry>,
    pub lease: Option<Lease>,
    pub last: Option<Ended>,
    pub owner: Option<(String, bool)>,
    pub in_index: bool,
    pub ready: Option<String>,
    /// Until when the agent's being disabled holds it.
    pub held_until: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub id: String,
    pub worker: String,
    pub entry: Entry,
    pub claimed_at: u64,
    pub expires_at: u64,
    pub redeliveries: u64,
    /// Whether the message was cancelled while it ran.
    pub cancelled: bool,
}

/// How the last lease ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub lease: String,
    pub outcome: String,
    pub recovered: bool,
}

fn text(image: &Value, name: &str) -> Option<String> {
    image[name]["S"].as_str().map(str::to_owned)
}

fn number(image: &Value, name: &str) -> u64 {
    image[name]["N"].as_str().and_then(|n| n.parse().ok()).unwrap_or_default()
}

pub fn entry(encoded: &str) -> Entry {
    let fields: Vec<&str> = encoded.splitn(8, '|').collect();
    let number = |i: usize| fields[i].parse().unwrap();
    Entry {
        priority: number(0),
        due: number(1),
        scheduled: fields[2].contains('s'),
        attempts: number(3),
        drained: fields[2].matches('d').count() as u64,
        max_attempts: number(4),
        not_before: number(5),
        first_fence: number(6),
        message: fields[7].to_owned(),
    }
}

pub fn meta(image: &Value) -> Meta {
    let lease = &image["ls"]["M"];
    let owner = &image["ow"]["M"];
    let ended = &image["la"]["M"];
    let pending = image["pe"]["L"].as_array().cloned().unwrap_or_default();
    Meta {
        key: text(image, "pk").unwrap_or_default(),
        fence: number(image, "fn"),
        version: number(image, "v"),
        pending: pending.iter().map(|e| entry(e["S"].as_str().unwrap())).collect(),
        lease: (!lease.is_null()).then(|| Lease {
            id: text(lease, "l").unwrap(),
            worker: text(lease, "w").unwrap(),
            entry: entry(lease["e"]["S"].as_str().unwrap()),
            claimed_at: number(lease, "at"),
            expires_at: number(lease, "ex"),
            redeliveries: number(lease, "rd"),
            cancelled: lease["c"]["BOOL"] == true,
        }),
        last: (!ended.is_null()).then(|| Ended {
            lease: text(ended, "l").unwrap(),
            outcome: text(ended, "o").unwrap(),
            recovered: ended["rc"]["BOOL"] == true,
        }),
        owner: (!owner.is_null())
            .then(|| (text(owner, "w").unwrap(), text(owner, "st").unwrap() == "active")),
        in_index: text(image, "rp").is_some(),
        ready: text(image, "rk"),
        held_until: image["hu"]["N"].as_str().map(|n| n.parse().unwrap()),
    }
}

/// A message as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub status: String,
    /// The partition of its conversation.
    pub conversation: String,
    /// The fence that ended it.
    pub fence: u64,
    pub attempts: u64,
    pub error: Option<String>,
    /// The call that last retried it.
    pub retried_by: Option<String>,
    /// Whether the fetch of its attachments is pending.
    pub awaits_attachments: bool,
    /// What became of its reply, as JSON.
    pub delivery: Option<String>,
    /// The number of its files.
    pub files: usize,
    /// When it was accepted, ms.
    pub accepted_at: u64,
}

pub fn message(image: &Value) -> Message {
    Message {
        status: text(image, "st").unwrap_or_default(),
        conversation: text(image, "lp").unwrap_or_default(),
        fence: number(image, "fe"),
        attempts: number(image, "at"),
        error: text(image, "er"),
        retried_by: text(image, "rt"),
        awaits_attachments: text(image, "fb").is_some(),
        delivery: text(image, "dl"),
        files: text(image, "fi").map_or(0, |json| serde_json::from_str::<Vec<Value>>(&json).unwrap().len()),
        accepted_at: number(image, "en"),
    }
}

/// A worker's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub status: String,
    /// The partition of its conversation.
    pub conversation: Option<String>,
    pub drain_by: u64,
}

pub fn row(image: &Value) -> Row {
    Row {
        status: text(image, "st").unwrap_or_default(),
        conversation: text(&image["as"]["M"], "ck").map(|ck| format!("C#{ck}")),
        drain_by: number(image, "db"),
    }
}

/// The contribution of an item to the counters, or the counters: ready, scheduled, processing and dead-letter messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([i64; 4]);

impl Counts {
    pub fn new(ready: i64, scheduled: i64, processing: i64, dead: i64) -> Self {
        Self([ready, scheduled, processing, dead])
    }

    /// The contribution of a conversation or of a dead-letter mark.
    pub fn of(image: &Value) -> Self {
        if text(image, "pk").is_some_and(|pk| pk.starts_with("DL#")) {
            return Self::new(0, 0, 0, 1);
        }
        let meta = meta(image);
        let scheduled =
            meta.pending.iter().filter(|e| e.scheduled || (e.attempts > 0 && e.not_before > 0)).count()
                as i64;
        let ready = meta.pending.len() as i64 - scheduled;
        Self::new(ready, scheduled, i64::from(meta.lease.is_some()), 0)
    }

    /// The counters as they are stored.
    pub fn stored(image: &Value) -> Self {
        let number = |name: &str| image[name]["N"].as_str().and_then(|n| n.parse().ok()).unwrap_or_default();
        Self(["qr", "qs", "pg", "dl"].map(number))
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }
}

impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine -= theirs);
    }
}

impl Entry {
    /// Whether the message waits for its attachments, or has waited until the time limit.
    pub fn has_awaited_attachments(&self) -> bool {
        self.attempts == 0 && self.not_before > 0
    }
}

impl Meta {
    /// The number of entries and leases of this conversation that name the message.
    pub fn holds(&self, message: &str) -> usize {
        let waiting = self.pending.iter().filter(|e| e.message == message).count();
        waiting + usize::from(self.lease.as_ref().is_some_and(|l| l.entry.message == message))
    }

    /// The messages that wait or run in this conversation.
    pub fn messages(&self) -> impl Iterator<Item = &String> {
        self.pending.iter().chain(self.lease.iter().map(|l| &l.entry)).map(|e| &e.message)
    }

    /// The entry that must be claimed next at `now`. When retries block, a waiting retry is the head, whatever the
    /// priority of other messages. Otherwise the due entries are ordered by priority, then due time, then arrival.
    /// Messages that were sent for "now" keep their order of arrival, whatever the clocks of their functions say. A
    /// requeued message keeps its due time. A message that waits for attachments, and was never claimed, blocks the
    /// entries after it until its time limit.
    pub fn head(&self, now: u64, retries_block: bool) -> Option<&Entry> {
        let due = |e: &&Entry| e.due.max(e.not_before) <= now;
        match self.first(|e| e.attempts > 0).filter(|_| retries_block) {
            Some(retry) => Some(retry).filter(due),
            None => self.first(|e| due(&e) || (e.has_awaited_attachments() && e.due <= now)).filter(due),
        }
    }

    /// The first entry of the order among the entries that match `may`.
    fn first(&self, may: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let candidates = (0..self.pending.len()).filter(|&i| may(&self.pending[i]));
        candidates.min_by_key(|&i| self.order_key(i)).map(|i| &self.pending[i])
    }

    /// The sort key of an entry in the order.
    fn order_key(&self, i: usize) -> (u64, u64, usize) {
        let entry = &self.pending[i];
        let is_of_now = |e: &&Entry| !e.scheduled && e.attempts == 0;
        let earlier = self.pending[..=i].iter().filter(is_of_now).map(|e| e.due).max();
        let due = earlier.filter(|_| is_of_now(&entry)).unwrap_or(entry.due);
        (100 - entry.priority, due, i)
    }

    /// The first time at which a message of this conversation may be claimed.
    pub fn claimable_from(&self, retries_block: bool) -> Option<u64> {
        let from = |e: &Entry| e.due.max(e.not_before);
        let retry = self.first(|e| e.attempts > 0).filter(|_| retries_block);
        // Entries after one that waits for its attachments do not count.
        let mut in_order: Vec<usize> = (0..self.pending.len()).collect();
        in_order.sort_by_key(|&i| self.order_key(i));
        let last = in_order.iter().position(|&i| self.pending[i].has_awaited_attachments());
        in_order.truncate(last.map_or(in_order.len(), |last| last + 1));
        retry.map(from).or_else(|| in_order.into_iter().map(|i| from(&self.pending[i])).min())
    }
}
