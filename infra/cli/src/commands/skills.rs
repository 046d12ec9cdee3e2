//! `skills`: global skills, deployed from a folder.

mod folder;

use std::path::PathBuf;

use af_api::id::Id;
use af_api::pages::{Page, PageQuery};
use af_api::skills::{
    ActivateRequest, DeployAnswer, DeployRequest, EditionBody, SkillBody, SkillStatusRequest, SkillSwitch,
    VersionBody,
};
use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::skill::ReleaseChannel;
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use crate::api::{Answer, Api, segment};
use crate::output;

/// Global skills.
#[derive(Debug, Subcommand)]
pub enum Skills {
    /// Deploy a folder as a version of a skill, and release it
    ///
    /// Example: agent-factory skills deploy ./hello --version 1.0.0 --channel canary
    #[command(verbatim_doc_comment)]
    Deploy {
        /// The folder, with SKILL.md and scripts/index.mjs or .cjs; names that begin with a dot are left out
        folder: PathBuf,
        /// Its semantic version
        #[arg(long)]
        version: SkillVersion,
        /// The skill; the folder's name by default
        #[arg(long)]
        slug: Option<SkillSlug>,
        /// Where it is released
        #[arg(long, value_enum, default_value_t)]
        channel: Channel,
        /// The name that people see
        #[arg(long)]
        display_name: Option<String>,
        /// Its purpose
        #[arg(long)]
        description: Option<String>,
        /// The export of its script that workers call
        #[arg(long, default_value = "default")]
        entry_point: String,
        #[command(flatten)]
        actor: Actor,
    },
    /// List skills
    ///
    /// Example: agent-factory skills list
    #[command(verbatim_doc_comment)]
    List {
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show a skill and its versions
    ///
    /// Example: agent-factory skills show hello
    #[command(verbatim_doc_comment)]
    Show {
        /// The skill
        slug: String,
        /// Where the previous page of versions ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Release a deployed version: a rollback or a promotion
    ///
    /// Example: agent-factory skills activate hello 1.0.0 --channel stable
    #[command(verbatim_doc_comment)]
    Activate {
        /// The skill
        slug: String,
        /// The version
        version: SkillVersion,
        /// Where it is released
        #[arg(long, value_enum, default_value_t)]
        channel: Channel,
        #[command(flatten)]
        actor: Actor,
    },
    /// Stop serving a skill; its releases are kept
    ///
    /// Example: agent-factory skills disable hello
    #[command(verbatim_doc_comment)]
    Disable {
        /// The skill
        slug: String,
        #[command(flatten)]
        actor: Actor,
    },
    /// Serve a disabled skill again
    ///
    /// Example: agent-factory skills enable hello
    #[command(verbatim_doc_comment)]
    Enable {
        /// The skill
        slug: String,
        #[command(flatten)]
        actor: Actor,
    },
    /// Delete a skill with its versions and releases
    ///
    /// Example: agent-factory skills delete hello --yes
    #[command(verbatim_doc_comment)]
    Delete {
        /// The skill
        slug: String,
    },
}

/// The workers that get a release.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Channel {
    /// Every worker that does not ask for another
    #[default]
    Stable,
    /// Workers that try it first
    Canary,
}

/// The author of a change.
#[derive(Debug, clap::Args)]
pub struct Actor {
    /// Your name, kept with the change
    #[arg(long, env = "USER", default_value = "cli")]
    actor: String,
}

impl Skills {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Skills::Deploy {
                folder,
                version,
                slug,
                channel,
                display_name,
                description,
                entry_point,
                actor,
            } => {
                let read = folder::read(&folder)?;
                let slug = slug.map_or_else(|| folder::name(&folder), Ok)?;
                let request = DeployRequest {
                    slug: Id(slug),
                    display_name,
                    description,
                    version: Id(version),
                    files: read.files,
                    entry_point,
                    module_format: Some(Id(read.module_format)),
                    release_channel: Some(Id(channel.into())),
                    actor: actor.actor,
                };
                api.post("/v1/skills", &request).await?.print(deployed);
                Ok(())
            }
            Skills::List { cursor } => list(api, cursor).await,
            Skills::Show { slug, cursor } => show(api, &slug, cursor).await,
            Skills::Activate { slug, version, channel, actor } => {
                activate(api, &slug, version, channel.into(), actor).await
            }
            Skills::Disable { slug, actor } => set_status(api, &slug, SkillSwitch::Disabled, actor).await,
            Skills::Enable { slug, actor } => set_status(api, &slug, SkillSwitch::Active, actor).await,
            Skills::Delete { slug } => {
                api.confirm(&format!("skill {slug} with its versions"))?;
                api.delete(&format!("/v1/skills/{}", segment(&slug))).await?;
                if api.json {
                    output::json(&json!({"slug": slug, "deleted": true}));
                } else {
                    output::line(&format!("skill {slug} is deleted"));
                }
                Ok(())
            }
        }
    }
}

impl From<Channel> for ReleaseChannel {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Stable => Self::Stable,
            Channel::Canary => Self::Canary,
        }
    }
}

fn deployed(DeployAnswer { slug, status, release_channel, release }: DeployAnswer) {
    let EditionBody { version, sha256, .. } = &release.edition;
    let served = if status == "active" { "" } else { "; the skill is disabled and not served" };
    output::line(&format!("{slug} {version} is active on {release_channel} ({sha256}){served}"));
}

async fn activate(
    api: &Api,
    slug: &str,
    version: SkillVersion,
    channel: ReleaseChannel,
    actor: Actor,
) -> anyhow::Result<()> {
    let sentence = format!("{slug} {version} is active on {}", channel.as_str());
    let request =
        ActivateRequest { version: Id(version), release_channel: Some(Id(channel)), actor: actor.actor };
    let path = format!("/v1/skills/{}/activate", segment(slug));
    let skill: Answer<SkillBody> = api.post(&path, &request).await?;
    skill.print(|_| output::line(&sentence));
    Ok(())
}

async fn set_status(api: &Api, slug: &str, status: SkillSwitch, actor: Actor) -> anyhow::Result<()> {
    let path = format!("/v1/skills/{}/status", segment(slug));
    let request = SkillStatusRequest { status, actor: actor.actor };
    let skill: Answer<SkillBody> = api.put(&path, &request).await?;
    let state = match status {
        SkillSwitch::Active => "active",
        SkillSwitch::Disabled => "disabled",
    };
    skill.print(|_| output::line(&format!("skill {slug} is {state}")));
    Ok(())
}

async fn list(api: &Api, cursor: Option<String>) -> anyhow::Result<()> {
    let query = PageQuery { cursor, ..PageQuery::default() };
    let page: Answer<Page<SkillBody>> = api.find("/v1/skills", &query).await?;
    let row = |skill: SkillBody| {
        let active = |channel: &str| {
            output::or_dash(skill.active_releases.get(channel).map(|release| &release.edition.version))
        };
        let (stable, canary) = (active("stable"), active("canary"));
        vec![skill.slug, skill.status, stable, canary, output::or_dash(skill.display_name)]
    };
    page.print(|page| output::page(&["skill", "status", "stable", "canary", "name"], page, row));
    Ok(())
}

async fn show(api: &Api, slug: &str, cursor: Option<String>) -> anyhow::Result<()> {
    let path = format!("/v1/skills/{}", segment(slug));
    let mut skill: Answer<SkillBody> = api.get(&path).await?;
    let query = PageQuery { cursor, ..PageQuery::default() };
    let page: Answer<Page<VersionBody>> = api.find(&format!("{path}/versions"), &query).await?;
    skill.json["versions"] = page.json;
    skill.print(|SkillBody { slug, display_name, description, status, .. }| {
        output::line(&format!("slug: {slug}"));
        output::line(&format!("displayName: {}", output::or_dash(display_name)));
        output::line(&format!("description: {}", output::or_dash(description)));
        output::line(&format!("status: {status}\n"));
        let headings = ["version", "stable", "canary", "bytes", "by", "sha256"];
        output::page(&headings, page.body, version_row);
    });
    Ok(())
}

fn version_row(version: VersionBody) -> Vec<String> {
    let release = |channel: &str| match version.releases.get(channel) {
        None => "-".to_owned(),
        Some(release) if release.active => "active".to_owned(),
        Some(_) => "earlier".to_owned(),
    };
    let (stable, canary) = (release("stable"), release("canary"));
    let EditionBody { version: name, sha256, size_bytes, .. } = version.edition;
    vec![name, stable, canary, size_bytes.to_string(), version.deployed_by, sha256]
}
