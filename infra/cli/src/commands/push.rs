//! `push`: push templates, push jobs and their dispatches.

use af_api::id::Id;
use af_api::pages::{Limit, Page, PageQuery};
use af_api::push::{
    CompanyQuery, DispatchRunBody, PushDispatchBody, PushDispatchQuery, PushJobBody, PushJobRequest,
};
use af_domain::ids::{AgentKey, BroadcastId, CompanyId, ConsumerUserId, PushJobId, PushTemplateId};
use af_domain::push::Schedule;
use clap::Subcommand;
use serde_json::json;

use crate::api::{Answer, Api, segment};
use crate::output;

mod schedule;
mod templates;

use schedule::{schedule, schedule_of};
use templates::Templates;

/// Push.
#[derive(Debug, Subcommand)]
pub enum Push {
    /// Push templates, from which push jobs are made
    ///
    /// Example: agent-factory push templates list --company acme
    #[command(subcommand, verbatim_doc_comment)]
    Templates(Templates),
    /// Push jobs: messages to the agent of a user at set times
    ///
    /// Example: agent-factory push jobs list --user ann --agent support
    #[command(subcommand, verbatim_doc_comment)]
    Jobs(Jobs),
    /// List the dispatches of a push job, of a broadcast, or to a user of an agent
    ///
    /// Example: agent-factory push dispatches --agent support --user ann
    #[command(verbatim_doc_comment)]
    Dispatches {
        /// The id of a push job
        #[arg(long, required_unless_present_any = ["broadcast", "agent"], conflicts_with_all = ["broadcast", "agent"])]
        job: Option<PushJobId>,
        /// The id of a broadcast
        #[arg(long, conflicts_with = "agent")]
        broadcast: Option<BroadcastId>,
        /// The key of an agent
        #[arg(long)]
        agent: Option<AgentKey>,
        /// A user of the agent
        #[arg(long, requires = "agent")]
        user: Option<ConsumerUserId>,
        /// Most dispatches on the page, 1 to 200
        #[arg(long, default_value_t)]
        limit: Limit,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Dispatch the push jobs that are due now, as the schedule does
    ///
    /// Example: agent-factory push run
    #[command(verbatim_doc_comment)]
    Run,
}

/// Push jobs.
#[derive(Debug, Subcommand)]
pub enum Jobs {
    /// List the jobs of a user with an agent, or of a company
    ///
    /// Example: agent-factory push jobs list --user ann --agent support
    #[command(verbatim_doc_comment)]
    List {
        /// The user
        #[arg(long, requires = "agent")]
        user: Option<ConsumerUserId>,
        /// The agent's key
        #[arg(long, requires = "user")]
        agent: Option<AgentKey>,
        /// The company
        #[arg(long, conflicts_with = "user")]
        company: Option<CompanyId>,
        /// Most jobs on the page, 1 to 200
        #[arg(long, default_value_t)]
        limit: Limit,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Create a job
    ///
    /// Example: agent-factory push jobs create ann support 'daily 09:30' --zone Europe/Rome --title Morning --text 'What is due?'
    #[command(verbatim_doc_comment)]
    Create {
        /// The user
        user: ConsumerUserId,
        /// The agent's key, the active one of the user
        agent: AgentKey,
        /// When it runs: "daily 09:30", "weekly 1 09:30" (1 is Monday), "monthly 31 09:30", "monthly last 09:30" or "manual"
        #[arg(value_parser = schedule, required_unless_present = "template")]
        schedule: Option<Schedule>,
        /// The time zone of the schedule, such as Europe/Rome
        #[arg(long = "zone")]
        zone: Option<String>,
        /// The title
        #[arg(long, required_unless_present = "template")]
        title: Option<String>,
        /// The text of the message
        #[arg(long, required_unless_present = "template")]
        text: Option<String>,
        /// The id of a template, such as acme:morning
        #[arg(long)]
        template: Option<PushTemplateId>,
        /// The company
        #[arg(long)]
        company: Option<CompanyId>,
    },
    /// Show a job
    ///
    /// Example: agent-factory push jobs show ann support 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Show {
        #[command(flatten)]
        at: At,
    },
    /// Enable a job: it runs by its schedule again
    ///
    /// Example: agent-factory push jobs enable ann support 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Enable {
        #[command(flatten)]
        at: At,
    },
    /// Disable a job: it does not run by its schedule
    ///
    /// Example: agent-factory push jobs disable ann support 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Disable {
        #[command(flatten)]
        at: At,
    },
    /// Run a job now; its schedule does not move
    ///
    /// Example: agent-factory push jobs trigger ann support 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Trigger {
        #[command(flatten)]
        at: At,
    },
    /// Delete a job
    ///
    /// Example: agent-factory push jobs delete ann support 01K8ZD3V7Q2M4N6P8R0T2W4Y6A --yes
    #[command(verbatim_doc_comment)]
    Delete {
        #[command(flatten)]
        at: At,
    },
}

/// The place of a job.
#[derive(Debug, clap::Args)]
pub struct At {
    /// The user
    user: ConsumerUserId,
    /// The agent's key
    agent: AgentKey,
    /// The id of the job
    job: PushJobId,
}

impl At {
    fn path(&self) -> String {
        format!("{}/{}", jobs_of(&self.user, &self.agent), segment(self.job.as_str()))
    }
}

fn jobs_of(user: &ConsumerUserId, agent: &AgentKey) -> String {
    format!("/v1/users/{}/agents/{}/push-jobs", segment(user.as_str()), segment(agent.as_str()))
}

impl Push {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Push::Templates(templates) => templates.run(api).await,
            Push::Jobs(jobs) => jobs.run(api).await,
            Push::Dispatches { job, broadcast, agent, user, limit, cursor } => {
                let page = PageQuery { limit, cursor: cursor.clone() };
                let listed: Answer<Page<PushDispatchBody>> = match (job, broadcast, agent) {
                    (Some(job), ..) => api.find(&format!("/v1/push-jobs/{job}/dispatches"), &page).await?,
                    (None, Some(broadcast), _) => {
                        api.find(&format!("/v1/broadcasts/{broadcast}/dispatches"), &page).await?
                    }
                    (None, None, Some(agent)) => {
                        let consumer_user_id = user.map(Id);
                        let query =
                            PushDispatchQuery { agent_key: Id(agent), consumer_user_id, limit, cursor };
                        api.find("/v1/push-dispatches", &query).await?
                    }
                    (None, None, None) => anyhow::bail!("give --job, --broadcast or --agent"),
                };
                listed.print(dispatches);
                Ok(())
            }
            Push::Run => {
                let done: Answer<DispatchRunBody> = api.post("/v1/push-jobs/dispatch", &json!({})).await?;
                done.print(ran);
                Ok(())
            }
        }
    }
}

impl Jobs {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Jobs::List { user, agent, company, limit, cursor } => {
                let listed: Answer<Page<PushJobBody>> = match user.zip(agent) {
                    Some((user, agent)) => {
                        api.find(&jobs_of(&user, &agent), &PageQuery { limit, cursor }).await?
                    }
                    None => {
                        let query = CompanyQuery { company_id: company.map(Id), limit, cursor };
                        api.find("/v1/push-jobs", &query).await?
                    }
                };
                let headings = ["id", "user", "agent", "title", "schedule", "zone", "enabled", "next run"];
                listed.print(|page| output::page(&headings, page, row));
            }
            Jobs::Create { user, agent, schedule, zone, title, text, template, company } => {
                let request = PushJobRequest {
                    company_id: company.map(Id),
                    source_template_id: template.map(Id),
                    title,
                    text,
                    timezone: zone,
                    schedule: schedule.map(Into::into),
                    ..PushJobRequest::default()
                };
                let made: Answer<PushJobBody> = api.post(&jobs_of(&user, &agent), &request).await?;
                made.print(show);
            }
            Jobs::Show { at } => api.get::<PushJobBody>(&at.path()).await?.print(show),
            Jobs::Enable { at } => set_enabled(api, &at, true).await?,
            Jobs::Disable { at } => set_enabled(api, &at, false).await?,
            Jobs::Trigger { at } => {
                let path = format!("{}/trigger", at.path());
                let done: Answer<PushDispatchBody> = api.post(&path, &json!({})).await?;
                done.print(|done| {
                    let message = output::or_dash(done.enqueued_message_id);
                    output::line(&format!("push job {} runs: message {message}", at.job));
                });
            }
            Jobs::Delete { at } => {
                api.confirm(&format!("push job {}", at.job))?;
                api.delete(&at.path()).await?;
                output::line(&format!("push job {} is deleted", at.job));
            }
        }
        Ok(())
    }
}

async fn set_enabled(api: &Api, at: &At, enabled: bool) -> anyhow::Result<()> {
    let changed: Answer<PushJobBody> = api.patch(&at.path(), &json!({"enabled": enabled})).await?;
    changed.print(show);
    Ok(())
}

fn row(job: PushJobBody) -> Vec<String> {
    let schedule = schedule_of(&job.schedule);
    vec![
        job.push_job_id,
        job.consumer_user_id,
        job.agent_key,
        job.title,
        schedule,
        job.timezone,
        job.enabled.to_string(),
        output::or_dash(job.next_run_at.map(output::time)),
    ]
}

fn show(job: PushJobBody) {
    let schedule = schedule_of(&job.schedule);
    output::fields([
        ("id", Some(job.push_job_id)),
        ("company", Some(job.company_id)),
        ("user", Some(job.consumer_user_id)),
        ("agent", Some(job.agent_key)),
        ("template", job.source_template_id),
        ("title", Some(job.title)),
        ("text", Some(job.text)),
        ("schedule", Some(schedule)),
        ("zone", Some(job.timezone)),
        ("enabled", Some(job.enabled.to_string())),
        ("next run", job.next_run_at.map(output::time)),
        ("last run", job.last_run_at.map(output::time)),
        ("lastRunKey", job.last_run_key),
    ]);
}

fn dispatches(page: Page<PushDispatchBody>) {
    let row = |dispatch: PushDispatchBody| {
        vec![
            dispatch.run_key,
            output::or_dash(dispatch.consumer_user_id),
            dispatch.agent_key,
            output::time(dispatch.scheduled_for),
            dispatch.status,
            output::or_dash(dispatch.enqueued_message_id.or(dispatch.error)),
        ]
    };
    output::page(&["run", "user", "agent", "for", "status", "message or error"], page, row);
}

fn ran(done: DispatchRunBody) {
    output::fields([
        ("enqueued", Some(done.enqueued.to_string())),
        ("failed", Some(done.failed.to_string())),
        ("skipped", Some(done.skipped.to_string())),
        ("broadcast targets", Some(done.targets.to_string())),
        ("errors", Some(done.errors.to_string())),
        ("unfinished", Some(done.unfinished.to_string())),
    ]);
}
