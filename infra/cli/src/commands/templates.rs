//! `templates`: texts that apps send often.

use std::path::PathBuf;

use af_api::pages::{Page, PageQuery};
use af_api::templates::{MessageTemplateBody, MessageTemplateRequest};
use af_domain::ids::TemplateKey;
use anyhow::bail;
use clap::{Args, Subcommand};

use crate::api::{Answer, Api, segment};
use crate::{input, output};

/// Message templates.
#[derive(Debug, Subcommand)]
pub enum Templates {
    /// List templates, the most used first
    ///
    /// Example: agent-factory templates list
    #[command(verbatim_doc_comment)]
    List {
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show a template and its text
    ///
    /// Example: agent-factory templates get good-morning
    #[command(verbatim_doc_comment)]
    Get {
        /// The template's key
        template: TemplateKey,
    },
    /// Make a template; its key follows from the title
    ///
    /// Example: agent-factory templates create "Good morning" --text "Good morning! How are you?" --tag greeting
    #[command(verbatim_doc_comment)]
    Create {
        /// The title
        title: String,
        #[command(flatten)]
        content: Content,
    },
    /// Replace title, text and tags of a template; its key stays
    ///
    /// Example: agent-factory templates update good-morning "Good morning" --file text.md
    #[command(verbatim_doc_comment)]
    Update {
        /// The template's key
        template: TemplateKey,
        /// The title
        title: String,
        #[command(flatten)]
        content: Content,
    },
    /// Delete a template; messages that were sent with it stay
    ///
    /// Example: agent-factory templates delete good-morning
    #[command(verbatim_doc_comment)]
    Delete {
        /// The template's key
        template: TemplateKey,
    },
}

/// The text and the tags of a template
#[derive(Debug, Args)]
pub struct Content {
    /// The text; read from --file or from standard input by default
    #[arg(long, conflicts_with = "file")]
    text: Option<String>,
    /// A file with the text
    #[arg(long)]
    file: Option<PathBuf>,
    /// A tag; give the option again for more
    #[arg(long = "tag")]
    tags: Vec<String>,
}

const PATH: &str = "/v1/message-templates";

impl Templates {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Templates::List { cursor } => {
                let query = PageQuery { cursor, ..PageQuery::default() };
                let page: Answer<Page<MessageTemplateBody>> = api.find(PATH, &query).await?;
                page.print(|page| output::page(&["key", "title", "uses", "tags"], page, row));
                Ok(())
            }
            Templates::Get { template } => print(api.get(&path(&template)).await?),
            Templates::Create { title, content } => print(api.post(PATH, &content.request(title)?).await?),
            Templates::Update { template, title, content } => {
                print(api.put(&path(&template), &content.request(title)?).await?)
            }
            Templates::Delete { template } => {
                api.confirm(&format!("template {template}"))?;
                api.delete(&path(&template)).await?;
                output::line(&format!("template {template} is deleted"));
                Ok(())
            }
        }
    }
}

impl Content {
    fn request(self, title: String) -> anyhow::Result<MessageTemplateRequest> {
        let content = match self.text {
            Some(text) => text,
            None => input::read(self.file, "the text")?.trim_end_matches(['\n', '\r']).to_owned(),
        };
        if content.trim().is_empty() {
            bail!("the text is empty");
        }
        Ok(MessageTemplateRequest { title, content, tags: self.tags })
    }
}

fn path(key: &TemplateKey) -> String {
    format!("{PATH}/{}", segment(key.as_str()))
}

fn row(template: MessageTemplateBody) -> Vec<String> {
    let uses = template.usage_count.to_string();
    vec![template.template_key, template.title, uses, template.tags.join(", ")]
}

#[allow(clippy::unnecessary_wraps, reason = "every command returns a result")]
fn print(template: Answer<MessageTemplateBody>) -> anyhow::Result<()> {
    template.print(|template| {
        output::fields([
            ("key", Some(template.template_key)),
            ("title", Some(template.title)),
            ("uses", Some(template.usage_count.to_string())),
            ("tags", Some(template.tags.join(", ")).filter(|tags| !tags.is_empty())),
            ("createdAt", Some(output::time(template.created_at))),
            ("updatedAt", Some(output::time(template.updated_at))),
        ]);
        output::line(&template.content);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        _templates: Templates,
    }

    #[test]
    fn a_template_has_a_text_or_a_file_and_a_valid_key() {
        let accepted = |args: &[&str]| Line::try_parse_from(["templates"].iter().chain(args)).is_ok();
        assert!(accepted(&["create", "Good morning", "--text", "hi", "--tag", "a", "--tag", "b"]));
        assert!(accepted(&["update", "good-morning", "Good morning", "--file", "text.md"]));
        assert!(!accepted(&["create", "Good morning", "--text", "hi", "--file", "text.md"]));
        assert!(!accepted(&["get", "Good morning"]));
    }
}
