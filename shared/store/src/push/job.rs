//! Push jobs, and the figures of a user's jobs.
//!
//! A job that waits for a slot is in the ready index. `rk` is the time of the slot, or a later time when the job has no
//! slot that can be computed and must be looked at again.

use std::collections::HashMap;

use af_domain::ids::{AgentKey, CompanyId, ConsumerUserId, PushJobId, PushTemplateId, RunKey};
use af_domain::push::{Day, LastRun, MAX_JOBS_OF_AGENT, PushJob, PushStats, Schedule, Slot, ZoneName};
use af_domain::time::Timestamp;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::keys::{self, PUSH_JOB_PREFIX};
use crate::write::{Commit, Committed, queried};
use crate::{Page, Result, Store};

/// The place of a job in the table, as an index shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPlace {
    /// The user.
    pub user: ConsumerUserId,
    /// The agent.
    pub agent: AgentKey,
    /// The id.
    pub id: PushJobId,
}

/// A due job of a page.
#[derive(Debug)]
pub struct DueJob {
    /// Its place.
    pub place: JobPlace,
    /// The job; an error if its item is malformed, and `None` if it was deleted.
    pub job: Result<Option<PushJob>>,
}

/// The result of a new job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobCreated {
    /// It is stored.
    Done,
    /// The user has too many jobs with this agent. Nothing was written.
    Full,
    /// The call was carried out before. Nothing was written.
    Stale,
}

impl Store {
    /// Returns a job, strongly consistent.
    pub async fn push_job(&self, place: &JobPlace) -> Result<Option<PushJob>> {
        let key = keys::push_job(&place.user, &place.agent, &place.id);
        self.get(key, true).await?.as_ref().map(job_from).transpose()
    }

    /// Returns one page of the jobs of a user with an agent, the newest first, starting before the id `before`.
    pub async fn push_jobs(
        &self,
        user: &ConsumerUserId,
        agent: &AgentKey,
        limit: i32,
        before: Option<&str>,
    ) -> Result<Vec<PushJob>> {
        let (pk, first) = (format!("U#{user}"), format!("{PUSH_JOB_PREFIX}{agent}#"));
        // BETWEEN includes its ends, so the id of the last job of the page before must not be an end.
        let last = before.map_or_else(|| format!("{first}~"), |id| format!("{first}{}", just_before(id)));
        let values = [(":pk", pk.into()), (":first", first.into()), (":last", last.into())];
        let query = self.query("#pk = :pk AND #sk BETWEEN :first AND :last", values);
        let query = query.scan_index_forward(false).consistent_read(true).limit(limit);
        queried(query).await?.items().iter().map(job_from).collect()
    }

    /// Returns one page of the jobs of a company, the newest first, starting before the id `before`. A job that was
    /// deleted a moment ago is missing, so a page may have less than `limit` jobs.
    pub async fn push_jobs_of_company(
        &self,
        company: &CompanyId,
        limit: i32,
        before: Option<&str>,
    ) -> Result<Page<PushJob, String>> {
        let page = self.listed_before(keys::push_jobs_of_company(company), before, limit).await?;
        let places = page.items.iter().map(place_from).collect::<Result<Vec<_>>>()?;
        let keys = places.iter().map(|place| keys::push_job(&place.user, &place.agent, &place.id));
        let mut items: Vec<PushJob> =
            self.batch_get(keys, false).await?.iter().map(job_from).collect::<Result<_>>()?;
        items.sort_by(|one, other| other.id.cmp(&one.id));
        Ok(Page { items, next: page.next })
    }

    /// Returns one page of the jobs whose slots have come at `now`, the longest due first, starting after `after`. The jobs
    /// are strongly consistent. The index is not, so a job may have been dispatched already.
    pub async fn due_push_jobs(
        &self,
        now: Timestamp,
        limit: i32,
        after: Option<DueCursor>,
    ) -> Result<Page<DueJob, DueCursor>> {
        let values = [(":rp", keys::PUSH_JOBS.into()), (":until", keys::outbox_due(now).into())];
        let query = self.query("#rp = :rp AND #rk <= :until", values).index_name(keys::READY_INDEX);
        let page = queried(query.limit(limit).set_exclusive_start_key(after.map(|after| after.0))).await?;
        let places = page.items().iter().map(place_from).collect::<Result<Vec<_>>>()?;
        let key = |place: &JobPlace| keys::push_job(&place.user, &place.agent, &place.id);
        let mut found = HashMap::new();
        for item in self.batch_get(places.iter().map(key), true).await? {
            found.insert(place_from(&item)?.id, item);
        }
        let job = |place: JobPlace| {
            let job = found.get(&place.id).map(job_from).transpose();
            DueJob { place, job }
        };
        let items = places.into_iter().map(job).collect();
        Ok(Page { items, next: page.last_evaluated_key.map(DueCursor) })
    }

    /// Returns the figures of a user's jobs with an agent, strongly consistent.
    pub async fn push_stats(&self, user: &ConsumerUserId, agent: &AgentKey) -> Result<PushStats> {
        let Some(item) = self.get(keys::push_stats(user, agent), true).await? else {
            return Ok(PushStats::default());
        };
        let reader = Reader::of(&item);
        let count = |name| Ok::<_, crate::StoreError>(reader.number_if(name)?.unwrap_or_default());
        Ok(PushStats {
            total_jobs: count("tj")?,
            active_jobs: count("aj")?,
            total_dispatches: count("td")?,
            latest_dispatch_at: reader.time_if("ld")?,
        })
    }

    /// Stores a new job and counts it. With `once`, the call is recorded.
    pub async fn create_push_job_if_room(
        &self,
        job: &PushJob,
        once: Option<&IdempotentCall>,
    ) -> Result<JobCreated> {
        let counted = counted(job, 1, i64::from(job.enabled))
            .when("attribute_not_exists(#tj) OR #tj < :max")
            .bind(":max", MAX_JOBS_OF_AGENT);
        let transaction = self.transaction().put_new(job_item(job)).update(counted);
        Ok(match self.commit(transaction.record_call(once, job.id.as_str())).await? {
            Committed::Done => JobCreated::Done,
            Committed::Refused(failed) if failed.iter().all(|failed| failed.index == 1) => JobCreated::Full,
            Committed::Refused(_) => JobCreated::Stale,
        })
    }

    /// Replaces a job. It is stale if it has changed since it was read.
    pub async fn change_push_job_if_unchanged(&self, before: &PushJob, after: &PushJob) -> Result<Commit> {
        let mut transaction = self.transaction().put_when(job_item(after), &unchanged(before));
        if before.enabled != after.enabled {
            transaction = transaction.update(counted(after, 0, if after.enabled { 1 } else { -1 }));
        }
        self.commit_or_stale(transaction).await
    }

    /// Deletes a job. Its dispatches are kept until they expire. It is stale if it has changed since it was read.
    pub async fn delete_push_job_if_unchanged(&self, job: &PushJob) -> Result<Commit> {
        let transaction = self.transaction().delete_when(&unchanged(job));
        self.commit_or_stale(transaction.update(counted(job, -1, -i64::from(job.enabled)))).await
    }

    /// Lets a job whose item is malformed wait until `until`, so that it does not stand before the others.
    pub async fn postpone_push_job_if_waiting(&self, place: &JobPlace, until: Timestamp) -> Result<Commit> {
        let update = Update::of(keys::push_job(&place.user, &place.agent, &place.id))
            .set("rk", keys::outbox_due(until))
            .when("attribute_exists(#rk)");
        self.update_or_stale(update).await
    }
}

/// The position after a page of due jobs.
#[derive(Debug, Clone)]
pub struct DueCursor(HashMap<String, AttributeValue>);

/// Returns the greatest text of one character more that is less than `id`: its last character is one less.
fn just_before(id: &str) -> String {
    let mut bytes = id.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = last.saturating_sub(1);
    }
    bytes.push(b'~');
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Requires that a job is as it was read.
pub(super) fn unchanged(job: &PushJob) -> Update {
    Update::of(keys::push_job(&job.user, &job.agent, &job.id)).when_is("v", job.version)
}

/// Adds to the numbers of jobs of a user.
fn counted(job: &PushJob, total: i64, active: i64) -> Update {
    let number = |n: i64| crate::item::Value(AttributeValue::N(n.to_string()));
    Update::of(keys::push_stats(&job.user, &job.agent))
        .set_to("tj", "if_not_exists(#tj, :zero) + :total")
        .set_to("aj", "if_not_exists(#aj, :zero) + :active")
        .bind(":zero", 0_u64)
        .bind(":total", number(total))
        .bind(":active", number(active))
}

fn job_item(job: &PushJob) -> Item {
    let item = Writer::at(keys::push_job(&job.user, &job.agent, &job.id))
        .put("co", job.company.as_str())
        .put("u", job.user.as_str())
        .put("ag", job.agent.as_str())
        .put_some("tp", job.template.as_ref().map(PushTemplateId::as_str))
        .put("ti", job.title.as_str())
        .put("tx", job.text.as_str())
        .put("sc", job.schedule.to_string())
        .put("tz", job.zone.as_str())
        .put("en", job.enabled)
        .put_some("lr", job.last.as_ref().map(|last| last.at))
        .put_some("lrk", job.last.as_ref().map(|last| last.key.as_str()))
        .put("at", job.created_at)
        .put("up", job.updated_at)
        .put("v", job.version)
        .put("lp", keys::push_jobs_of_company(&job.company))
        .put("lk", job.id.as_str());
    let Some(next) = &job.next else { return item.build() };
    item.put("nx", next.at)
        .put("nd", next.day.to_string())
        .put("rp", keys::PUSH_JOBS)
        .put("rk", keys::outbox_due(next.at))
        .build()
}

/// Reads the place of a job from its key.
fn place_from(item: &Item) -> Result<JobPlace> {
    let reader = Reader::of(item);
    let sort_key = reader.text("sk")?;
    let parts = sort_key.strip_prefix(PUSH_JOB_PREFIX).and_then(|rest| rest.split_once('#'));
    let place =
        parts.and_then(|(agent, id)| Some((AgentKey::parse(agent).ok()?, PushJobId::parse(id).ok()?)));
    let (agent, id) = place.ok_or_else(|| reader.malformed("sk", "not a push job"))?;
    Ok(JobPlace { user: reader.id_after("U#", "pk", ConsumerUserId::parse)?, agent, id })
}

pub(super) fn job_from(item: &Item) -> Result<PushJob> {
    let reader = Reader::of(item);
    let JobPlace { user, agent, id } = place_from(item)?;
    let day = |text: &str| Day::parse(text).ok_or_else(|| reader.malformed("nd", "not a day"));
    let next = match reader.time_if("nx")? {
        Some(at) => Some(Slot { at, day: day(reader.text("nd")?)? }),
        None => None,
    };
    let last = match reader.time_if("lr")? {
        Some(at) => Some(LastRun { at, key: reader.id("lrk", RunKey::parse)? }),
        None => None,
    };
    Ok(PushJob {
        id,
        company: reader.id("co", CompanyId::parse)?,
        user,
        agent,
        template: reader.id_if("tp", PushTemplateId::parse)?,
        title: reader.text("ti")?.to_owned(),
        text: reader.text("tx")?.to_owned(),
        schedule: Schedule::parse(reader.text("sc")?)
            .ok_or_else(|| reader.malformed("sc", "not a schedule"))?,
        zone: ZoneName::from_stored(reader.text("tz")?),
        enabled: reader.flag("en"),
        next,
        last,
        created_at: reader.time("at")?,
        updated_at: reader.time("up")?,
        version: reader.number("v")?,
    })
}
