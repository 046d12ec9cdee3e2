//! `push`: push templates, push jobs and their dispatches.

use af_api::id::Id;
use af_api::pages::{Limit, Page, PageQuery};
use af_api::push::{
    CompanyQuery, DispatchRunBody, PushDispatchBody, PushDispatchQuery, PushJobBody, PushJobRequest,
    PushTemplateBody, PushTemplateRequest,
};
use af_api::schedule::ScheduleBody;
use af_domain::ids::{
    AgentKey, BroadcastId, CompanyId, ConsumerUserId, PushJobId, PushTemplateId, PushTemplateKey,
};
use af_domain::push::{Periodicity, Schedule};
use clap::Subcommand;
use serde_json::json;

use crate::api::{Answer, Api, segment};
use crate::output;

/// Push.
#[derive(Debug, Subcommand)]
pub enum Push {
    /// Push templates, from which push jobs are made
    #[command(subcommand)]
    Templates(Templates),
    /// Push jobs: messages to the agent of a user at set times
    #[command(subcommand)]
    Jobs(Jobs),
    /// List what was dispatched by a push job or a broadcast, or to a user of an agent
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
    Run,
}

/// Push templates.
#[derive(Debug, Subcommand)]
pub enum Templates {
    /// List the templates of a company
    List {
        /// The company
        #[arg(long)]
        company: Option<CompanyId>,
        /// Most templates on the page, 1 to 200
        #[arg(long, default_value_t)]
        limit: Limit,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Create a template
    ///
    /// Example: agent-factory push templates create morning --title Morning --text 'What is due today?' --time 'daily 09:30'
    #[command(verbatim_doc_comment)]
    Create {
        /// The key, unique within the company
        key: PushTemplateKey,
        /// The company
        #[arg(long)]
        company: Option<CompanyId>,
        /// The title of its jobs
        #[arg(long)]
        title: String,
        /// The text of its jobs
        #[arg(long)]
        text: String,
        /// A suggested schedule: "daily 09:30", "weekly 1 09:30", "monthly last 09:30"; may be repeated
        #[arg(long = "time", value_parser = schedule)]
        times: Vec<Schedule>,
    },
    /// Delete a template; its jobs are kept
    Delete {
        /// The key
        key: PushTemplateKey,
        /// The company
        #[arg(long, default_value = "default")]
        company: CompanyId,
    },
}

/// Push jobs.
#[derive(Debug, Subcommand)]
pub enum Jobs {
    /// List the jobs of a user with an agent, or of a company
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
    Show {
        #[command(flatten)]
        at: At,
    },
    /// Let a job run by its schedule again
    Enable {
        #[command(flatten)]
        at: At,
    },
    /// Let a job not run by its schedule
    Disable {
        #[command(flatten)]
        at: At,
    },
    /// Run a job now; its schedule does not move
    Trigger {
        #[command(flatten)]
        at: At,
    },
    /// Delete a job
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

/// Reads a schedule of the command line.
fn schedule(text: &str) -> Result<Schedule, String> {
    Schedule::parse(text).ok_or_else(|| {
        "must be \"manual\", \"daily HH:mm\", \"weekly <1-7> HH:mm\" or \"monthly <1-31|last> HH:mm\"; a job cannot \
         repeat by the minute"
            .to_owned()
    })
}

impl Push {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Push::Templates(templates) => templates.run(api).await,
            Push::Jobs(jobs) => jobs.run(api).await,
            Push::Dispatches { job, broadcast, agent, user, limit, cursor } => {
                let query = PushDispatchQuery {
                    job_id: job.map(Id),
                    broadcast_id: broadcast.map(Id),
                    agent_key: agent.map(Id),
                    consumer_user_id: user.map(Id),
                    limit,
                    cursor,
                };
                let listed: Answer<Page<PushDispatchBody>> = api.find("/v1/push-dispatches", &query).await?;
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

impl Templates {
    async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Templates::List { company, limit, cursor } => {
                let query = CompanyQuery { company_id: company.map(Id), limit, cursor };
                let listed: Answer<Page<PushTemplateBody>> = api.find("/v1/push-templates", &query).await?;
                listed.print(|page| {
                    output::page(
                        &["id", "title", "periodicity", "suggested times", "enabled"],
                        page,
                        template,
                    );
                });
            }
            Templates::Create { key, company, title, text, times } => {
                let periodicity = times.first().map_or(Periodicity::Manual, Schedule::periodicity);
                let request = PushTemplateRequest {
                    company_id: company.map(Id),
                    template_key: Id(key),
                    title,
                    text,
                    periodicity: periodicity.into(),
                    suggested_times: times.into_iter().map(ScheduleBody::from).collect(),
                    enabled: None,
                };
                let made: Answer<PushTemplateBody> = api.post("/v1/push-templates", &request).await?;
                made.print(|made| output::line(&format!("push template {} is created", made.template_id)));
            }
            Templates::Delete { key, company } => {
                let (company, key) = (segment(company.as_str()), segment(key.as_str()));
                api.delete(&format!("/v1/push-templates/{company}/{key}")).await?;
                output::line(&format!("push template {key} is deleted"));
            }
        }
        Ok(())
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

/// The schedule as the command line takes it.
fn schedule_of(body: &ScheduleBody) -> String {
    body.schedule("").map_or_else(|refusal| refusal.detail, |schedule| schedule.to_string())
}

fn template(template: PushTemplateBody) -> Vec<String> {
    let times: Vec<_> = template.suggested_times.iter().map(schedule_of).collect();
    vec![
        template.template_id,
        template.title,
        Periodicity::from(template.periodicity).as_str().to_owned(),
        output::or_dash(Some(times.join(", ")).filter(|times| !times.is_empty())),
        template.enabled.to_string(),
    ]
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
        output::or_dash(job.next_run_at),
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
        ("nextRunAt", job.next_run_at.map(|at| at.to_string())),
        ("lastRunAt", job.last_run_at.map(|at| at.to_string())),
        ("lastRunKey", job.last_run_key),
    ]);
}

fn dispatches(page: Page<PushDispatchBody>) {
    let row = |dispatch: PushDispatchBody| {
        vec![
            dispatch.run_key,
            output::or_dash(dispatch.consumer_user_id),
            dispatch.agent_key,
            dispatch.scheduled_for.to_string(),
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

#[cfg(test)]
mod tests {
    use af_api::schedule::ScheduleBody;

    use super::{schedule, schedule_of};

    #[test]
    fn a_schedule_is_shown_as_the_command_line_takes_it() {
        for text in ["manual", "daily 09:30", "weekly 1 09:30", "monthly 31 09:30", "monthly last 09:30"] {
            assert_eq!(schedule_of(&ScheduleBody::from(schedule(text).unwrap())), text);
        }
        let refused = schedule("*/5 * * * *").unwrap_err();
        assert!(refused.contains("cannot repeat by the minute"), "{refused}");
    }
}
