//! Push jobs: create, change, list and delete.

use af_domain::agent::Binding;
use af_domain::ids::{AgentKey, CompanyId, ConsumerUserId, PushJobId, PushTemplateId};
use af_domain::push::{
    MAX_JOBS_OF_AGENT, Periodicity, PushJob, PushStats, PushTemplate, Schedule, ScheduleError, ZoneName,
};
use af_domain::refusal::{Code, Refusal};
use af_store::Page;
use af_store::conversation::Commit;
use af_store::idempotency::IdempotentCall;
use af_store::push::JobCreated;
pub use af_store::push::JobPlace;

use super::MAX_TRIES;
use super::dispatch_job::skip_due;
use crate::access::auth::Caller;
use crate::intake::idempotency;
use crate::{App, AppError, Result};

/// A request for a new job.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The company; `None` for the unnamed one.
    pub company: Option<CompanyId>,
    /// The template that the job is made from.
    pub template: Option<PushTemplateId>,
    /// The title; `None` for that of the template.
    pub title: Option<String>,
    /// The text; `None` for that of the template.
    pub text: Option<String>,
    /// How often it runs; `None` for the kind of the schedule.
    pub periodicity: Option<Periodicity>,
    /// The time zone; `None` is possible for a manual job only.
    pub timezone: Option<String>,
    /// When it runs; `None` for the first suggested time of the template.
    pub schedule: Option<Schedule>,
    /// Whether it runs by its schedule.
    pub enabled: bool,
}

/// A requested change of a job. `None` keeps the value.
#[derive(Debug, Clone, Default)]
pub struct JobChange {
    /// The title.
    pub title: Option<String>,
    /// The text.
    pub text: Option<String>,
    /// How often it runs.
    pub periodicity: Option<Periodicity>,
    /// The time zone.
    pub timezone: Option<String>,
    /// When it runs.
    pub schedule: Option<Schedule>,
    /// Whether it runs by its schedule.
    pub enabled: Option<bool>,
}

/// Creates a push job for a user of an agent. With `once`, a repetition of the same call returns the same job.
///
/// # Errors
/// Returns 404 if the user has no active binding, 409 if the user is bound to another agent or has too many jobs, and 422
/// with the invalid field.
pub async fn create(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    new: NewJob,
    once: Option<&IdempotentCall>,
) -> Result<PushJob> {
    if let Some(made) = idempotency::find_record(app, once).await? {
        return get(app, user, agent, &PushJobId::parse(made.id)?).await;
    }
    let job = described(app, user, agent, new).await?;
    match app.store.create_push_job_if_room(&job, once).await? {
        JobCreated::Done => Ok(job),
        JobCreated::Full => {
            let detail = format!(
                "user {user} has {MAX_JOBS_OF_AGENT} push jobs with agent {agent}; delete one before you create another"
            );
            Err(Refusal::new(Code::Conflict, detail).into())
        }
        JobCreated::Stale => match idempotency::find_record(app, once).await? {
            Some(made) => get(app, user, agent, &PushJobId::parse(made.id)?).await,
            None => Err(AppError::Overtaken("creating a push job")),
        },
    }
}

/// Returns the job that `new` describes.
async fn described(app: &App, user: &ConsumerUserId, agent: &AgentKey, new: NewJob) -> Result<PushJob> {
    let company = new.company.unwrap_or_else(CompanyId::unnamed);
    let template = match &new.template {
        Some(id) => Some(template_of(app, &company, id).await?),
        None => None,
    };
    let template = template.as_ref();
    let schedule = chosen_schedule(new.schedule, template)?;
    check_periodicity(new.periodicity.or(template.map(|template| template.periodicity)), &schedule)?;
    let word = |name: &str, said: Option<String>, of_template: Option<&String>| {
        said.or_else(|| of_template.cloned()).ok_or_else(|| {
            Refusal::field(format!("/{name}"), format!("{name} is required without a sourceTemplateId"))
        })
    };
    let now = app.now();
    let mut job = PushJob {
        id: PushJobId::parse(app.entropy.ulid(now))?,
        company,
        user: user.clone(),
        agent: agent.clone(),
        title: word("title", new.title, template.map(|template| &template.title))?,
        text: word("text", new.text, template.map(|template| &template.text))?,
        template: new.template,
        zone: zone_of(new.timezone.as_deref(), &schedule)?,
        schedule,
        enabled: new.enabled,
        next: None,
        last: None,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    job.check()?;
    job.next = job.first_run(now).map_err(|error| not_computable(&error))?;
    active_binding(app, user, agent).await?;
    Ok(job)
}

/// Returns a template of this company that can be used.
async fn template_of(app: &App, company: &CompanyId, id: &PushTemplateId) -> Result<PushTemplate> {
    let refuse = |detail: String| Refusal::field("/sourceTemplateId", detail);
    let (of, key) = id.parts();
    if of != *company {
        let detail = format!("sourceTemplateId must be a template of company {company}, as companyId says");
        return Err(refuse(detail).into());
    }
    let template = app.store.push_template(company, &key).await?;
    let template = template.ok_or_else(|| {
        refuse(format!("company {company} has no push template {key}; see GET /v1/push-templates"))
    })?;
    if !template.enabled {
        return Err(refuse(format!("push template {key} is disabled; enable it or use another one")).into());
    }
    Ok(template)
}

fn chosen_schedule(said: Option<Schedule>, template: Option<&PushTemplate>) -> Result<Schedule, Refusal> {
    if let Some(said) = said {
        return Ok(said);
    }
    match template {
        Some(template) if template.periodicity == Periodicity::Manual => Ok(Schedule::Manual),
        Some(PushTemplate { suggested, .. }) if !suggested.is_empty() => Ok(suggested[0]),
        Some(_) => Err(Refusal::field("/schedule", "schedule is required: the template suggests no time")),
        None => Err(Refusal::field("/schedule", "schedule is required without a sourceTemplateId")),
    }
}

fn check_periodicity(periodicity: Option<Periodicity>, schedule: &Schedule) -> Result<(), Refusal> {
    let kind = schedule.periodicity();
    match periodicity {
        Some(periodicity) if periodicity != kind => {
            let detail = format!(
                "schedule.kind is {}, but periodicity is {}; make them the same",
                kind.as_str(),
                periodicity.as_str()
            );
            Err(Refusal::field("/schedule/kind", detail))
        }
        _ => Ok(()),
    }
}

fn zone_of(timezone: Option<&str>, schedule: &Schedule) -> Result<ZoneName, Refusal> {
    let refuse = |detail: String| Refusal::field("/timezone", detail);
    match (timezone, schedule) {
        (Some(name), _) => ZoneName::parse(name).map_err(|unknown| refuse(unknown.to_string())),
        (None, Schedule::Manual) => Ok(ZoneName::from_stored("UTC")),
        (None, _) => {
            Err(refuse("timezone is required for a schedule; use a name such as Europe/Rome".into()))
        }
    }
}

fn not_computable(error: &ScheduleError) -> Refusal {
    Refusal::field("/schedule", error.to_string())
}

/// Returns the binding of a user whose active agent is `agent`.
pub(super) async fn active_binding(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<Binding> {
    let at_agent = |refusal| Refusal { pointer: Some("/agentKey".to_owned()), ..refusal };
    let Some(binding) = app.store.binding(user, true).await? else {
        let detail = format!(
            "user {user} has no active agent; bind the user to {agent} with PUT /v1/users/{{consumerUserId}}/binding"
        );
        return Err(at_agent(Refusal::new(Code::NotFound, detail)).into());
    };
    if binding.agent != *agent {
        let detail = format!(
            "agentKey must be the active agent of user {user}, which is {}; bind the user to {agent} with PUT \
             /v1/users/{{consumerUserId}}/binding",
            binding.agent
        );
        return Err(at_agent(Refusal::new(Code::Conflict, detail)).into());
    }
    Ok(binding)
}

/// Changes a job. A new schedule, zone or state computes the next run again, after now. A slot that has come and was not
/// dispatched is recorded as skipped then.
///
/// # Errors
/// Returns 404 if there is none, and 422 with the invalid field.
pub async fn change(app: &App, place: &JobPlace, change: &JobChange) -> Result<PushJob> {
    for _ in 0..MAX_TRIES {
        let before = at(app, place).await?;
        let after = changed(&before, change, app.now())?;
        if moves(&before, &after) && skip_due(app, &before).await? {
            continue;
        }
        if let Commit::Done = app.store.change_push_job_if_unchanged(&before, &after).await? {
            return Ok(after);
        }
    }
    Err(AppError::Overtaken("changing a push job"))
}

fn changed(before: &PushJob, change: &JobChange, now: af_domain::time::Timestamp) -> Result<PushJob> {
    let schedule = change.schedule.unwrap_or(before.schedule);
    check_periodicity(change.periodicity, &schedule)?;
    let zone = match &change.timezone {
        Some(name) => zone_of(Some(name), &schedule)?,
        None => before.zone.clone(),
    };
    let enabled = change.enabled.unwrap_or(before.enabled);
    let mut after = PushJob {
        title: change.title.clone().unwrap_or_else(|| before.title.clone()),
        text: change.text.clone().unwrap_or_else(|| before.text.clone()),
        schedule,
        zone,
        enabled,
        updated_at: now,
        version: before.version + 1,
        ..before.clone()
    };
    after.check()?;
    if moves(before, &after) {
        after.next = after.first_run(now).map_err(|error| not_computable(&error))?;
    }
    Ok(after)
}

/// Whether the change of a job computes its next run again.
fn moves(before: &PushJob, after: &PushJob) -> bool {
    after.schedule != before.schedule || after.zone != before.zone || after.enabled != before.enabled
}

/// Deletes a job, or returns 404 if there is none. Its messages and dispatches are kept. A slot that has come and was not
/// dispatched is recorded as skipped.
pub async fn delete(app: &App, place: &JobPlace) -> Result<()> {
    for _ in 0..MAX_TRIES {
        let job = at(app, place).await?;
        if skip_due(app, &job).await? {
            continue;
        }
        if let Commit::Done = app.store.delete_push_job_if_unchanged(&job).await? {
            return Ok(());
        }
    }
    Err(AppError::Overtaken("deleting a push job"))
}

/// Returns a job of a user, or 404 if there is none.
pub async fn get(app: &App, user: &ConsumerUserId, agent: &AgentKey, id: &PushJobId) -> Result<PushJob> {
    at(app, &JobPlace { user: user.clone(), agent: agent.clone(), id: id.clone() }).await
}

/// Returns the job at this place, or 404 if there is none.
pub async fn at(app: &App, place: &JobPlace) -> Result<PushJob> {
    let found = app.store.push_job(place).await?;
    Ok(found.ok_or_else(|| missing(place))?)
}

fn missing(place: &JobPlace) -> Refusal {
    Refusal::not_found(format!("push job {} of user {}", place.id, place.user))
}

/// Returns the job at this place if the key of `caller` reaches its company.
///
/// # Errors
/// 404 if there is no such job, or if it belongs to another company.
pub async fn reached(app: &App, place: &JobPlace, caller: &Caller) -> Result<PushJob> {
    let job = at(app, place).await?;
    if caller.reaches(&job.company) { Ok(job) } else { Err(missing(place).into()) }
}

/// Requires what `reached` requires. Only a key that is bound to a company costs a read.
///
/// # Errors
/// Those of `reached`.
pub async fn require_reached(app: &App, place: &JobPlace, caller: &Caller) -> Result<()> {
    if caller.company.is_some() {
        reached(app, place, caller).await?;
    }
    Ok(())
}

/// Returns one page of the jobs of a user with an agent, the newest first. `before` is the id of the last job of the page
/// before.
pub async fn list(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    limit: u32,
    before: Option<&str>,
) -> Result<Vec<PushJob>> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    Ok(app.store.push_jobs(user, agent, limit, before).await?)
}

/// Returns one page of the jobs of a company, the newest first.
pub async fn list_of_company(
    app: &App,
    company: &CompanyId,
    limit: u32,
    before: Option<&str>,
) -> Result<Page<PushJob, String>> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    Ok(app.store.push_jobs_of_company(company, limit, before).await?)
}

/// Returns the figures of the jobs of a user with an agent. They are stored as counters, so this is one read.
pub async fn stats(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<PushStats> {
    Ok(app.store.push_stats(user, agent).await?)
}
