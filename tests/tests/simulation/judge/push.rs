//! Each slot of a push job gets one record and one message at most, each slot that has come gets a record, and no job
//! stands still. A broadcast reaches each target once. Nothing of one user goes to another.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Check, Judge};
use crate::clock::MAX_SKEW_MS;
use crate::push::{conversation_to, text_for};
use crate::slots::Times;
use crate::tally::Event;
use crate::world::{AGENT, World};

/// How long before its record a dispatcher may have read a binding, ms: requests are delayed and sent again.
const READ_BEFORE_MS: u64 = 60_000;
/// How long after its cancellation a dispatcher may still send the page of a broadcast that it has begun, ms.
const MAX_PAGE_MS: u64 = 60_000;
/// How long a call that deletes a job may take after it has read the job, ms.
const MAX_DELETION_MS: u64 = 60_000;

/// A push job.
#[derive(Debug)]
struct Job {
    user: String,
    agent: String,
    /// What it is now; `None` after its deletion.
    current: Option<Version>,
    /// All schedules that it has had.
    times: Vec<Times>,
}

/// A job as it is stored.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    times: Times,
    enabled: bool,
    next: Option<u64>,
    updated: u64,
}

/// A dispatch as it is stored.
#[derive(Debug)]
struct Record {
    user: Option<String>,
    agent: String,
    slot: u64,
    status: String,
    message: Option<String>,
    error: String,
    at: u64,
}

/// The message of a run, when it was enqueued.
#[derive(Debug)]
struct Sent {
    message: String,
    conversation: String,
    text: String,
}

/// A broadcast.
#[derive(Debug)]
pub(super) struct Broadcast {
    pub status: String,
    pub created: u64,
    /// When it was cancelled, ms.
    pub cancelled: Option<u64>,
}

/// Push jobs, broadcasts, and their dispatches.
#[derive(Default)]
pub struct Pushes {
    jobs: BTreeMap<String, Job>,
    pub(super) broadcasts: BTreeMap<String, Broadcast>,
    /// By run key.
    records: BTreeMap<String, Record>,
    sent: BTreeMap<String, Sent>,
    /// The targets of broadcasts that have a record: broadcast, agent and user.
    pub(super) targets: BTreeSet<(String, String, Option<String>)>,
    /// Slots that need a record by the end of the check, and runs with a new record or message.
    owed: Vec<String>,
    new: BTreeSet<String>,
}

pub(super) fn text(image: &Value, name: &str) -> Option<String> {
    image[name]["S"].as_str().map(str::to_owned)
}

pub(super) fn number(image: &Value, name: &str) -> Option<u64> {
    image[name]["N"].as_str().and_then(|n| n.parse().ok())
}

fn version(image: &Value) -> Option<Version> {
    let times = Times::parse(&text(image, "sc")?, &text(image, "tz")?);
    let enabled = image["en"]["BOOL"] == true;
    Some(Version { times, enabled, next: number(image, "nx"), updated: number(image, "up")? })
}

fn run_key(job: &str, slot: u64) -> String {
    format!("scheduled:{job}:{slot}")
}

impl Pushes {
    /// Notes the change of a job. Each slot that the job has passed needs a record.
    fn job_changed(&mut self, now: u64, user: &str, sk: &str, change: &Value) -> Check {
        let (agent, id) = sk.trim_start_matches("J#").split_once('#').unwrap();
        let (before, after) = (version(&change["OldImage"]), version(&change["NewImage"]));
        let (agent, user) = (agent.to_owned(), user.trim_start_matches("U#").to_owned());
        let new = || Job { user, agent, current: None, times: Vec::new() };
        let job = self.jobs.entry(id.to_owned()).or_insert_with(new);
        job.current.clone_from(&after);
        job.times.extend(after.as_ref().map(|after| after.times));
        let is_moved =
            before.as_ref().map(|b| (b.times, b.enabled)) != after.as_ref().map(|a| (a.times, a.enabled));
        if let Some(Version { times, next: Some(next), enabled: true, .. }) = before {
            let until = match &after {
                Some(after) if is_moved => after.updated + 1,
                Some(after) => after.next.unwrap_or_default(),
                None => now.saturating_sub(MAX_DELETION_MS),
            };
            let mut slot = next;
            while slot < until {
                self.owed.push(run_key(id, slot));
                slot = times.next_after(slot);
            }
            if !is_moved && slot != until {
                return Err(format!("{id} waits for {until}, which is none of its slots: {change}"));
            }
        }
        match after {
            Some(after) if is_moved => {
                let expected = after.enabled.then(|| after.times.next_after(after.updated));
                if after.next == expected {
                    Ok(())
                } else {
                    Err(format!("{id} must wait for {expected:?}: {after:?}"))
                }
            }
            _ => Ok(()),
        }
    }

    fn recorded(&mut self, change: &Value) -> Check {
        let image = &change["NewImage"];
        let run = text(image, "rn").ok_or("a dispatch was deleted")?;
        let record = Record {
            user: text(image, "u"),
            agent: text(image, "ag").unwrap_or_default(),
            slot: number(image, "sf").unwrap_or_default(),
            status: text(image, "st").unwrap_or_default(),
            message: text(image, "m"),
            error: text(image, "er").unwrap_or_default(),
            at: number(image, "at").unwrap_or_default(),
        };
        if let Some(id) = run.strip_prefix("broadcast:").and_then(|rest| rest.split(':').next()) {
            let target = (id.to_owned(), record.agent.clone(), record.user.clone());
            if !self.targets.insert(target) {
                return Err(format!("a target of a broadcast was dispatched twice: {run} {record:?}"));
            }
        }
        self.new.insert(run.clone());
        match self.records.insert(run.clone(), record) {
            None => Ok(()),
            Some(before) => Err(format!("{run} was dispatched twice: {before:?} was replaced")),
        }
    }

    /// The metadata of a message says which run it belongs to.
    fn enqueued(&mut self, id: &str, image: &Value) -> Check {
        let payload: Option<Value> = text(image, "pl").and_then(|json| serde_json::from_str(&json).ok());
        let run = payload.as_ref().and_then(|payload| payload["metadata"]["runKey"].as_str());
        let Some((payload, run)) = payload.as_ref().zip(run) else {
            return if id.starts_with("push:") { Err(format!("{id} names no run")) } else { Ok(()) };
        };
        self.new.insert(run.to_owned());
        let sent = Sent {
            message: id.to_owned(),
            conversation: text(image, "lp").unwrap_or_default(),
            text: payload["messageText"].as_str().unwrap_or_default().to_owned(),
        };
        match self.sent.insert(run.to_owned(), sent) {
            None => Ok(()),
            Some(before) => Err(format!("{run} has enqueued {id} after {before:?}")),
        }
    }

    fn job_of(&self, run: &str) -> Option<&Job> {
        self.jobs.get(run.split(':').nth(1)?)
    }

    /// A slot is dispatched at its time or later, and only the latest one that has come. Older ones are skipped.
    fn slot(&self, run: &str, record: &Record) -> Check {
        let Some(job) = self.job_of(run) else { return Err(format!("{run} is of no job")) };
        let mut of_schedule = job.times.iter().filter(|times| times.is_slot(record.slot));
        let is_latest = |times: &Times| times.next_after(record.slot) > record.at;
        let is_right = match record.status.as_str() {
            "skipped" if record.error.starts_with("a caller") => of_schedule.next().is_some(),
            "skipped" => of_schedule.any(|times| !is_latest(times)),
            _ => of_schedule.any(is_latest),
        };
        if !is_right || record.at < record.slot {
            return Err(format!("{run} was dispatched at a wrong time: {record:?} {:?}", job.times));
        }
        Ok(())
    }

    /// A dispatch belongs to the user of its job, and its message is in the conversation of this user.
    fn user(&self, run: &str, record: &Record) -> Check {
        let is_of_job = !run.starts_with("broadcast:");
        let job = self.job_of(run).filter(|_| is_of_job);
        if is_of_job
            && job.is_none_or(|job| Some(&job.user) != record.user.as_ref() || job.agent != record.agent)
        {
            return Err(format!("{run} went to another user than its job: {record:?}"));
        }
        let sent = self.sent.get(run);
        if sent.map(|sent| &sent.message) != record.message.as_ref()
            || sent.is_some() != (record.status == "enqueued")
        {
            return Err(format!("{run} has the record {record:?}, but the message {sent:?}"));
        }
        let Some(sent) = sent else { return Ok(()) };
        let has_text = job.is_none_or(|job| sent.text == text_for(&job.user));
        if !has_text || sent.conversation != conversation_to(&record.agent, record.user.as_deref()) {
            return Err(format!("{run} of {record:?} went to another user: {sent:?}"));
        }
        Ok(())
    }
}

impl Judge {
    pub(super) fn push_job(&mut self, pk: &str, sk: &str, change: &Value) -> Check {
        self.pushes.job_changed(self.now, pk, sk, change)
    }

    pub(super) fn push_dispatch(&mut self, change: &Value) -> Check {
        self.pushes.recorded(change)
    }

    pub(super) fn push_message(&mut self, id: &str, change: &Value) -> Check {
        if change["OldImage"].is_null() { self.pushes.enqueued(id, &change["NewImage"]) } else { Ok(()) }
    }

    /// Checks the new dispatches and messages, when all records of their transactions have been read.
    pub(super) fn pushed(&mut self) -> Check {
        for run in std::mem::take(&mut self.pushes.owed) {
            if !self.pushes.records.contains_key(&run) {
                return Err(format!("{run} has come, but it has no record"));
            }
        }
        for run in std::mem::take(&mut self.pushes.new) {
            let Some(record) = self.pushes.records.get(&run) else {
                return Err(format!("{run} has no record, but the message {:?}", self.pushes.sent[&run]));
            };
            if record.at > self.now + MAX_SKEW_MS {
                return Err(format!("{run} was recorded before its time: {record:?}"));
            }
            if run.starts_with("scheduled:") {
                self.pushes.slot(&run, record)?;
            }
            self.pushes.user(&run, record)?;
            self.is_for_a_bound_user(&run, record)?;
            match (run.split(':').next(), record.status.as_str()) {
                (Some("scheduled"), "enqueued") => self.count(Event::SlotEnqueued),
                (Some("scheduled"), "failed") => self.count(Event::SlotFailed),
                (Some("scheduled"), _) => self.count(Event::SlotSkipped),
                (Some("broadcast"), _) => self.count(Event::TargetDispatched),
                _ => {}
            }
        }
        Ok(())
    }

    /// A message was enqueued only for a user who was bound to the agent, and failed only for a user who may not have
    /// been, or while the agent was stopped. A cancelled broadcast has no new target.
    fn is_for_a_bound_user(&self, run: &str, record: &Record) -> Check {
        let from = record.at.saturating_sub(READ_BEFORE_MS);
        if let Some(broadcast) = run
            .strip_prefix("broadcast:")
            .and_then(|rest| self.pushes.broadcasts.get(rest.split(':').next()?))
            && broadcast.cancelled.is_some_and(|at| at + MAX_PAGE_MS < record.at)
        {
            return Err(format!("{run} was sent after the end of its broadcast: {broadcast:?} {record:?}"));
        }
        let Some(user) = &record.user else { return Ok(()) };
        let is_wrong = match record.status.as_str() {
            "enqueued" => !self.destinations.may_have_been_bound(user, &record.agent, from, self.now),
            "failed" => {
                let stopped = record.agent == AGENT && !self.destinations.agent_ran(from, self.now);
                self.destinations.was_bound(user, &record.agent, from, self.now) && !stopped
            }
            _ => false,
        };
        if is_wrong {
            Err(format!("{run} does not agree with the binding of its user: {record:?}"))
        } else {
            Ok(())
        }
    }

    /// Whether no job is due and no broadcast runs.
    pub(super) fn is_everything_pushed(&self) -> bool {
        let is_due = |job: &Job| {
            job.current
                .as_ref()
                .is_some_and(|job| job.enabled && job.next.is_none_or(|next| next <= self.now))
        };
        !self.pushes.jobs.values().any(is_due)
            && self.pushes.broadcasts.values().all(|b| b.status != "running")
    }

    pub(super) fn unfinished_pushes(&self) -> String {
        format!("{:?} {:?}", self.pushes.jobs, self.pushes.broadcasts)
    }

    /// Checks the answers to the calls about jobs and broadcasts at the end.
    pub(super) fn all_pushed(&self, world: &World) -> Check {
        let answers = world.answers.push.lock().unwrap();
        if let Some(lost) = answers.created.iter().find(|id| !self.pushes.jobs.contains_key(*id)) {
            return Err(format!("the job {lost} was created and is lost"));
        }
        let is_enqueued = |run: &String| self.pushes.records.get(run).is_some_and(|r| r.status == "enqueued");
        if let Some(lost) = answers.triggered.iter().find(|run| !is_enqueued(run)) {
            return Err(format!("the trigger {lost} was answered and has no message"));
        }
        if self.pushes.records.keys().filter(|run| run.starts_with("manual:")).count() > answers.trigger_calls
        {
            return Err("a call has triggered a job twice".to_owned());
        }
        if self.pushes.broadcasts.len() > answers.broadcast_calls {
            return Err("a call has sent a broadcast twice".to_owned());
        }
        let status = |id: &String| self.pushes.broadcasts.get(id).map(|broadcast| broadcast.status.as_str());
        if let Some(lost) = answers.sent.iter().find(|id| status(id).is_none()) {
            return Err(format!("the broadcast {lost} was accepted and is lost"));
        }
        match answers.cancelled.iter().find(|id| status(id) != Some("cancelled")) {
            Some(id) => Err(format!("the broadcast {id} was cancelled, but it is {:?}", status(id))),
            None => Ok(()),
        }
    }
}
