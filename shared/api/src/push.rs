//! Push templates, push jobs and their dispatches.

use af_domain::ids::{AgentKey, CompanyId, ConsumerUserId, PushTemplateId, PushTemplateKey};
use af_domain::push::{Dispatch, DispatchSource, PushJob, PushTemplate};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::id::Id;
use crate::pages::Limit;
use crate::schedule::{PeriodicityName, ScheduleBody};

/// A new push job.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "title": "Morning", "text": "What is due today?", "timezone": "Europe/Rome",
    "schedule": {"kind": "daily", "time": "09:30"},
}))]
pub struct PushJobRequest {
    /// The company of the job; by default `default`. A template must be of the same company.
    #[schema(value_type = Option<String>, example = "acme")]
    pub company_id: Option<Id<CompanyId>>,
    /// The id of the template that the job is made from. It gives the title, the text and the schedule that the request does
    /// not name.
    #[schema(value_type = Option<String>, example = "acme:morning")]
    pub source_template_id: Option<Id<PushTemplateId>>,
    /// The title, for lists; 1 to 200 characters.
    #[schema(example = "Morning")]
    pub title: Option<String>,
    /// The text of the message; 1 to 4 000 characters.
    #[schema(example = "What is due today?")]
    pub text: Option<String>,
    /// How often the job runs; by default the kind of the schedule, which it must be.
    pub periodicity: Option<PeriodicityName>,
    /// The time zone, by its IANA name. Only a manual job needs none.
    #[schema(example = "Europe/Rome")]
    pub timezone: Option<String>,
    /// When the job runs; by default the first suggested time of the template.
    pub schedule: Option<ScheduleBody>,
    /// Whether the job runs by its schedule; by default yes.
    #[schema(default = true)]
    pub enabled: Option<bool>,
}

/// A change of a push job. A missing field keeps its value.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushJobChange {
    /// The title; 1 to 200 characters.
    pub title: Option<String>,
    /// The text of the message; 1 to 4 000 characters.
    pub text: Option<String>,
    /// How often the job runs. It must be the kind of the schedule.
    pub periodicity: Option<PeriodicityName>,
    /// The time zone, by its IANA name.
    #[schema(example = "Europe/Rome")]
    pub timezone: Option<String>,
    /// When the job runs. The next run is computed again.
    pub schedule: Option<ScheduleBody>,
    /// Whether the job runs by its schedule.
    pub enabled: Option<bool>,
}

/// A push job.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushJobBody {
    /// The id.
    pub push_job_id: String,
    /// The company.
    pub company_id: String,
    /// The user whose agent gets the message.
    pub consumer_user_id: String,
    /// The agent.
    pub agent_key: String,
    /// The template that the job was made from.
    pub source_template_id: Option<String>,
    /// The title.
    pub title: String,
    /// The text of the message.
    pub text: String,
    /// How often the job runs.
    pub periodicity: PeriodicityName,
    /// The time zone of the schedule.
    #[schema(example = "Europe/Rome")]
    pub timezone: String,
    /// When the job runs.
    pub schedule: ScheduleBody,
    /// Whether the job runs by its schedule.
    pub enabled: bool,
    /// The next run, epoch ms; none for a manual or disabled job.
    pub next_run_at: Option<u64>,
    /// The last run, epoch ms.
    pub last_run_at: Option<u64>,
    /// The key of the last run.
    pub last_run_key: Option<String>,
    /// When the job was made, epoch ms.
    pub created_at: u64,
    /// When a caller last changed the job, epoch ms.
    pub updated_at: u64,
}

impl From<PushJob> for PushJobBody {
    fn from(job: PushJob) -> Self {
        let (last_run_at, last_run_key) =
            job.last.map(|last| (last.at.as_millis(), last.key.to_string())).unzip();
        Self {
            push_job_id: job.id.to_string(),
            company_id: job.company.to_string(),
            consumer_user_id: job.user.to_string(),
            agent_key: job.agent.to_string(),
            source_template_id: job.template.map(|id| id.to_string()),
            title: job.title,
            text: job.text,
            periodicity: job.schedule.periodicity().into(),
            timezone: job.zone.to_string(),
            schedule: job.schedule.into(),
            enabled: job.enabled,
            next_run_at: job.next.map(|slot| slot.at.as_millis()),
            last_run_at,
            last_run_key,
            created_at: job.created_at.as_millis(),
            updated_at: job.updated_at.as_millis(),
        }
    }
}

/// The record of a run.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushDispatchBody {
    /// The push job, unless the run is part of a broadcast.
    pub job_id: Option<String>,
    /// The broadcast that the run is part of.
    pub broadcast_id: Option<String>,
    /// The key of the run.
    pub run_key: String,
    /// The user whose agent gets the message.
    pub consumer_user_id: Option<String>,
    /// The agent.
    pub agent_key: String,
    /// The slot, or the time of the call that triggered the run, epoch ms.
    pub scheduled_for: u64,
    /// `enqueued`, `skipped` or `failed`.
    #[schema(example = "enqueued")]
    pub status: String,
    /// The message.
    pub enqueued_message_id: Option<String>,
    /// Why there is no message.
    pub error: Option<String>,
    /// When the record was made, epoch ms.
    pub created_at: u64,
}

impl From<Dispatch> for PushDispatchBody {
    fn from(dispatch: Dispatch) -> Self {
        let (job_id, broadcast_id) = match dispatch.source {
            DispatchSource::Job(id) => (Some(id.to_string()), None),
            DispatchSource::Broadcast(id) => (None, Some(id.to_string())),
        };
        Self {
            job_id,
            broadcast_id,
            run_key: dispatch.run_key.to_string(),
            consumer_user_id: dispatch.user.map(|user| user.to_string()),
            agent_key: dispatch.agent.to_string(),
            scheduled_for: dispatch.scheduled_for.as_millis(),
            status: dispatch.status.as_str().to_owned(),
            enqueued_message_id: dispatch.message.map(|id| id.to_string()),
            error: dispatch.error,
            created_at: dispatch.created_at.as_millis(),
        }
    }
}

/// The agent and the user of a list of dispatches.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushDispatchQuery {
    /// Those to this agent. Without a user, those of broadcasts to an agent without users.
    #[param(value_type = String)]
    pub agent_key: Id<AgentKey>,
    /// Those to this user of the agent.
    #[param(value_type = Option<String>)]
    pub consumer_user_id: Option<Id<ConsumerUserId>>,
    /// Items on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// The company of a list.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompanyQuery {
    /// The company; by default `default`.
    #[param(value_type = Option<String>)]
    pub company_id: Option<Id<CompanyId>>,
    /// Items on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

impl CompanyQuery {
    /// The company.
    pub fn company(&self) -> CompanyId {
        self.company_id.as_ref().map_or_else(CompanyId::unnamed, |id| id.0.clone())
    }
}

/// A new push template.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushTemplateRequest {
    /// The company that owns it; by default `default`.
    #[schema(value_type = Option<String>, example = "acme")]
    pub company_id: Option<Id<CompanyId>>,
    /// Its key, unique within the company.
    #[schema(value_type = String, example = "morning")]
    pub template_key: Id<PushTemplateKey>,
    /// The title of its jobs; 1 to 200 characters.
    #[schema(example = "Morning")]
    pub title: String,
    /// The text of its jobs; 1 to 4 000 characters.
    #[schema(example = "What is due today?")]
    pub text: String,
    /// How often its jobs run.
    pub periodicity: PeriodicityName,
    /// Schedules to choose from, at most 20, all of this periodicity. A manual template has none.
    #[serde(default)]
    pub suggested_times: Vec<ScheduleBody>,
    /// Whether new jobs can be made from it; by default yes.
    #[schema(default = true)]
    pub enabled: Option<bool>,
}

/// The settings of a push template.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushTemplateChange {
    /// The title of its jobs; 1 to 200 characters.
    #[schema(example = "Morning")]
    pub title: String,
    /// The text of its jobs; 1 to 4 000 characters.
    #[schema(example = "What is due today?")]
    pub text: String,
    /// How often its jobs run.
    pub periodicity: PeriodicityName,
    /// Schedules to choose from, at most 20, all of this periodicity. A manual template has none.
    #[serde(default)]
    pub suggested_times: Vec<ScheduleBody>,
    /// Whether new jobs can be made from it; by default yes.
    #[schema(default = true)]
    pub enabled: Option<bool>,
}

/// A push template.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushTemplateBody {
    /// The id, which a new push job names as its `sourceTemplateId`.
    #[schema(example = "acme:morning")]
    pub template_id: String,
    /// The company.
    pub company_id: String,
    /// The key.
    pub template_key: String,
    /// The title of its jobs.
    pub title: String,
    /// The text of its jobs.
    pub text: String,
    /// How often its jobs run.
    pub periodicity: PeriodicityName,
    /// Schedules to choose from.
    pub suggested_times: Vec<ScheduleBody>,
    /// Whether new jobs can be made from it.
    pub enabled: bool,
    /// The API key that made it.
    pub created_by: String,
    /// The API key that changed it last.
    pub updated_by: String,
    /// When it was made, epoch ms.
    pub created_at: u64,
    /// When it was last changed, epoch ms.
    pub updated_at: u64,
}

impl From<PushTemplate> for PushTemplateBody {
    fn from(template: PushTemplate) -> Self {
        Self {
            template_id: template.id().to_string(),
            company_id: template.company.to_string(),
            template_key: template.key.to_string(),
            title: template.title,
            text: template.text,
            periodicity: template.periodicity.into(),
            suggested_times: template.suggested.into_iter().map(Into::into).collect(),
            enabled: template.enabled,
            created_by: template.created_by,
            updated_by: template.updated_by,
            created_at: template.created_at.as_millis(),
            updated_at: template.updated_at.as_millis(),
        }
    }
}

/// What a run of the dispatcher has done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DispatchRunBody {
    /// Messages of push jobs that were enqueued.
    pub enqueued: u64,
    /// Slots without a message; their dispatches say why.
    pub failed: u64,
    /// Missed slots that were recorded.
    pub skipped: u64,
    /// Targets of broadcasts.
    pub targets: u64,
    /// Push jobs and broadcasts with an error; the next run tries them again.
    pub errors: u64,
    /// Whether more is due; the next run goes on.
    pub unfinished: bool,
}
