//! `push templates`: prepared texts and times of a company.

use af_api::id::Id;
use af_api::pages::{Limit, Page};
use af_api::push::{CompanyQuery, PushTemplateBody, PushTemplateRequest};
use af_api::schedule::ScheduleBody;
use af_domain::ids::{CompanyId, PushTemplateKey};
use af_domain::push::{Periodicity, Schedule};
use clap::Subcommand;

use super::schedule::{schedule, schedule_of};
use crate::api::{Answer, Api, segment};
use crate::output;

/// Push templates.
#[derive(Debug, Subcommand)]
pub enum Templates {
    /// List the templates of a company
    ///
    /// Example: agent-factory push templates list --company acme
    #[command(verbatim_doc_comment)]
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
        template: PushTemplateKey,
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
    ///
    /// Example: agent-factory push templates delete morning --company acme --yes
    #[command(verbatim_doc_comment)]
    Delete {
        /// The key
        template: PushTemplateKey,
        /// The company
        #[arg(long, default_value = "default")]
        company: CompanyId,
    },
}

impl Templates {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
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
            Templates::Create { template, company, title, text, times } => {
                let periodicity = times.first().map_or(Periodicity::Manual, Schedule::periodicity);
                let request = PushTemplateRequest {
                    company_id: company.map(Id),
                    template_key: Id(template),
                    title,
                    text,
                    periodicity: periodicity.into(),
                    suggested_times: times.into_iter().map(ScheduleBody::from).collect(),
                    enabled: None,
                };
                let made: Answer<PushTemplateBody> = api.post("/v1/push-templates", &request).await?;
                made.print(|made| output::line(&format!("push template {} is created", made.template_id)));
            }
            Templates::Delete { template, company } => {
                api.confirm(&format!("push template {company}:{template}"))?;
                let (company, key) = (segment(company.as_str()), segment(template.as_str()));
                api.delete(&format!("/v1/push-templates/{company}/{key}")).await?;
                output::line(&format!("push template {key} is deleted"));
            }
        }
        Ok(())
    }
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
