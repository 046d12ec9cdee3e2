//! `skills`: global skills, deployed from a folder.

mod folder;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::api::{Api, segment, text};
use crate::output;

/// Global skills.
#[derive(Debug, Subcommand)]
pub enum Skills {
    /// Deploy a folder as a version of a skill, and release it
    Deploy {
        /// The folder, with SKILL.md and scripts/index.mjs or .cjs; names that begin with a dot are left out
        folder: PathBuf,
        /// Its semantic version
        #[arg(long)]
        version: String,
        /// The skill; the folder's name by default
        #[arg(long)]
        slug: Option<String>,
        /// Where it is released
        #[arg(long, value_enum, default_value_t)]
        channel: Channel,
        /// What people see
        #[arg(long)]
        display_name: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
        /// What of its script is called
        #[arg(long, default_value = "default")]
        entry_point: String,
        #[command(flatten)]
        actor: Actor,
    },
    /// List skills
    List {
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show a skill and its versions
    Show {
        /// The skill
        slug: String,
        /// Where the previous page of versions ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Release a version that is deployed: a rollback, or a promotion
    Activate {
        /// The skill
        slug: String,
        /// The version
        version: String,
        /// Where it is released
        #[arg(long, value_enum, default_value_t)]
        channel: Channel,
        #[command(flatten)]
        actor: Actor,
    },
    /// Take a skill out of all channels; its releases are kept
    Disable {
        /// The skill
        slug: String,
        #[command(flatten)]
        actor: Actor,
    },
    /// Put a disabled skill back
    Enable {
        /// The skill
        slug: String,
        #[command(flatten)]
        actor: Actor,
    },
    /// Delete a skill with its versions and releases
    Delete {
        /// The skill
        slug: String,
    },
}

/// Who gets a release.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Channel {
    /// Every worker that does not ask for another
    #[default]
    Stable,
    /// Workers that try it first
    Canary,
}

/// Who does it.
#[derive(Debug, clap::Args)]
pub struct Actor {
    /// Who does it, kept with the change
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
                let mut body = json!({
                    "slug": slug.map_or_else(|| folder::name(&folder), Ok)?,
                    "version": version,
                    "files": read.files,
                    "moduleFormat": read.module_format,
                    "entryPoint": entry_point,
                    "releaseChannel": channel.name(),
                    "actor": actor.actor,
                });
                let texts = [("displayName", display_name), ("description", description)];
                for (field, given) in texts.into_iter().filter_map(|(f, g)| g.map(|g| (f, g))) {
                    body[field] = given.into();
                }
                deployed(api, &api.post("/v1/skills", &body).await?);
            }
            Skills::List { cursor } => list(api, cursor).await?,
            Skills::Show { slug, cursor } => show(api, &slug, cursor).await?,
            Skills::Activate { slug, version, channel, actor } => {
                let path = format!("/v1/skills/{}/activate", segment(&slug));
                let body =
                    json!({"version": version, "releaseChannel": channel.name(), "actor": actor.actor});
                let skill = api.post(&path, &body).await?;
                done(api, &skill, &format!("{slug} {version} is active on {}", channel.name()));
            }
            Skills::Disable { slug, actor } => set_status(api, &slug, "disabled", actor).await?,
            Skills::Enable { slug, actor } => set_status(api, &slug, "active", actor).await?,
            Skills::Delete { slug } => {
                api.delete(&format!("/v1/skills/{}", segment(&slug))).await?;
                done(api, &json!({"slug": slug, "deleted": true}), &format!("skill {slug} is gone"));
            }
        }
        Ok(())
    }
}

impl Channel {
    const fn name(self) -> &'static str {
        match self {
            Channel::Stable => "stable",
            Channel::Canary => "canary",
        }
    }
}

fn done(api: &Api, answer: &Value, words: &str) {
    if api.json { output::json(answer) } else { output::line(words) }
}

fn deployed(api: &Api, release: &Value) {
    let part = |field: &str| text(&release[field]);
    let served = if release["status"] == "active" { "" } else { "; the skill is disabled and not served" };
    let (slug, version, channel) = (part("slug"), part("version"), part("releaseChannel"));
    done(api, release, &format!("{slug} {version} is active on {channel} ({}){served}", part("sha256")));
}

async fn set_status(api: &Api, slug: &str, status: &str, actor: Actor) -> anyhow::Result<()> {
    let path = format!("/v1/skills/{}/status", segment(slug));
    let skill = api.put(&path, &json!({"status": status, "actor": actor.actor})).await?;
    done(api, &skill, &format!("skill {slug} is {status}"));
    Ok(())
}

async fn list(api: &Api, cursor: Option<String>) -> anyhow::Result<()> {
    let page = api.get(&format!("/v1/skills{}", query(cursor))).await?;
    if api.json {
        output::json(&page);
        return Ok(());
    }
    let row = |skill: &Value| {
        let active = |channel: &str| &skill["activeReleases"][channel]["version"];
        [&skill["slug"], &skill["status"], active("stable"), active("canary"), &skill["displayName"]]
            .map(text)
            .to_vec()
    };
    output::table(&["skill", "status", "stable", "canary", "name"], items(&page).map(row).collect());
    more(&page);
    Ok(())
}

async fn show(api: &Api, slug: &str, cursor: Option<String>) -> anyhow::Result<()> {
    let path = format!("/v1/skills/{}", segment(slug));
    let mut skill = api.get(&path).await?;
    let page = api.get(&format!("{path}/versions{}", query(cursor))).await?;
    if api.json {
        skill["versions"] = page;
        output::json(&skill);
        return Ok(());
    }
    for field in ["slug", "displayName", "description", "status"] {
        output::line(&format!("{field}: {}", text(&skill[field])));
    }
    output::line("");
    let row = |version: &Value| {
        let release = |channel: &str| {
            let release = &version["releases"][channel];
            match (release.is_null(), release["active"] == true) {
                (true, _) => "-",
                (_, true) => "active",
                (_, false) => "earlier",
            }
        };
        vec![
            text(&version["version"]),
            release("stable").to_owned(),
            release("canary").to_owned(),
            text(&version["sizeBytes"]),
            text(&version["deployedBy"]),
            text(&version["sha256"]),
        ]
    };
    let headings = ["version", "stable", "canary", "bytes", "by", "sha256"];
    output::table(&headings, items(&page).map(row).collect());
    more(&page);
    Ok(())
}

fn query(cursor: Option<String>) -> String {
    cursor.map(|cursor| format!("?cursor={}", segment(&cursor))).unwrap_or_default()
}

fn items(page: &Value) -> impl Iterator<Item = &Value> {
    page["items"].as_array().into_iter().flatten()
}

fn more(page: &Value) {
    if let Some(next) = page["nextCursor"].as_str() {
        output::line(&format!("more: --cursor {next}"));
    }
}
