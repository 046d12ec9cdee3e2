//! `agents documents`: workspace documents, one by one or as a folder.

mod diff;
mod folder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use af_api::documents::{DocumentBody, DocumentVersionsQuery, PutDocumentRequest};
use af_api::id::Id;
use af_api::pages::{Limit, Page, PageQuery};
use af_domain::ids::DocumentPath;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::api::{Answer, Api, segment};
use crate::output;

/// Pages of the list: a set has at most 1000 documents.
const MAX_PAGES: usize = 10;

/// Workspace documents of an agent, or of a user with the agent.
#[derive(Debug, Subcommand)]
pub enum Documents {
    /// List documents
    ///
    /// Example: agent-factory agents documents list support
    #[command(verbatim_doc_comment)]
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Print a document, or one of its versions
    ///
    /// Example: agent-factory agents documents show support SOUL.md --version 3
    #[command(verbatim_doc_comment)]
    Show {
        #[command(flatten)]
        of: Of,
        /// The document, such as SOUL.md or memory/2026-01-31.md
        path: DocumentPath,
        /// A version; the current one by default
        #[arg(long)]
        version: Option<u64>,
    },
    /// Write all documents into a folder
    ///
    /// Example: agent-factory agents documents pull support ./support
    #[command(verbatim_doc_comment)]
    Pull {
        #[command(flatten)]
        of: Of,
        /// The folder, which is made if it does not exist; documents in it that the deployment lacks stay
        folder: PathBuf,
    },
    /// Make the documents those of a folder: shows the difference, asks, and then stores and deletes documents
    ///
    /// Example: agent-factory agents documents push support ./support --yes
    #[command(verbatim_doc_comment)]
    Push {
        #[command(flatten)]
        of: Of,
        /// The folder; other files in it are left out
        folder: PathBuf,
    },
    /// List the versions of a document
    ///
    /// Example: agent-factory agents documents history support SOUL.md
    #[command(verbatim_doc_comment)]
    History {
        #[command(flatten)]
        of: Of,
        /// The document
        path: DocumentPath,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Make the text of an earlier version the newest version
    ///
    /// Example: agent-factory agents documents restore support SOUL.md 3
    #[command(verbatim_doc_comment)]
    Restore {
        #[command(flatten)]
        of: Of,
        /// The document
        path: DocumentPath,
        /// The version
        version: u64,
    },
}

/// Whose documents.
#[derive(Debug, Args)]
pub struct Of {
    /// The agent's key
    agent: String,
    /// A user of the agent: the documents of this user instead of the agent's
    #[arg(long)]
    user: Option<String>,
}

impl Of {
    fn base(&self) -> String {
        let agent = segment(&self.agent);
        match &self.user {
            Some(user) => format!("/v1/users/{}/agents/{agent}", segment(user)),
            None => format!("/v1/agents/{agent}"),
        }
    }

    /// The route of a document. Its path has no characters with a meaning in a URL.
    fn route(&self, path: &str) -> String {
        format!("{}/documents/{path}", self.base())
    }

    /// All documents without their texts, by path.
    async fn all(&self, api: &Api) -> anyhow::Result<Vec<DocumentBody>> {
        let (mut found, mut cursor) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let query = PageQuery { limit: Limit::new(Limit::MAX.into()).unwrap_or_default(), cursor };
            let page: Answer<Page<DocumentBody>> =
                api.find(&format!("{}/documents", self.base()), &query).await?;
            found.extend(page.body.items);
            cursor = page.body.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The text of a document.
    async fn text(&self, api: &Api, path: &str) -> anyhow::Result<String> {
        let shown: Answer<DocumentBody> = api.get(&self.route(path)).await?;
        Ok(shown.body.content.unwrap_or_default())
    }
}

impl Documents {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Documents::List { of } => list(api, &of).await,
            Documents::Show { of, path, version } => {
                let query = af_api::documents::DocumentQuery { version };
                let shown: Answer<DocumentBody> = api.find(&of.route(path.as_str()), &query).await?;
                shown.print(|document| output::line(document.content.unwrap_or_default().trim_end()));
                Ok(())
            }
            Documents::Pull { of, folder } => pull(api, &of, &folder).await,
            Documents::Push { of, folder } => push(api, &of, &folder).await,
            Documents::History { of, path, cursor } => {
                let query = DocumentVersionsQuery { path: Id(path), limit: Limit::default(), cursor };
                let route = format!("{}/document-versions", of.base());
                let page: Answer<Page<DocumentBody>> = api.find(&route, &query).await?;
                let headings = ["version", "changed", "by", "bytes", "sha256"];
                page.print(|page| output::page(&headings, page, version_row));
                Ok(())
            }
            Documents::Restore { of, path, version } => {
                let request = PutDocumentRequest { restore_version: Some(version), ..Default::default() };
                let stored: Answer<DocumentBody> = api.put(&of.route(path.as_str()), &request).await?;
                stored.print(|document| {
                    let DocumentBody { path, version: newest, .. } = document;
                    output::line(&format!("{path} has the text of version {version}, as version {newest}"));
                });
                Ok(())
            }
        }
    }
}

fn version_row(version: DocumentBody) -> Vec<String> {
    let digest = version.sha256.unwrap_or_else(|| "deleted".to_owned());
    let (bytes, at) = (version.size_bytes.to_string(), output::time(version.updated_at));
    vec![version.version.to_string(), at, version.updated_by, bytes, digest]
}

async fn list(api: &Api, of: &Of) -> anyhow::Result<()> {
    let all = of.all(api).await?;
    if api.json {
        output::json(&json!({"items": all}));
        return Ok(());
    }
    let row = |document: DocumentBody| {
        let (bytes, at) = (document.size_bytes.to_string(), output::time(document.updated_at));
        vec![document.path, document.owner, document.version.to_string(), bytes, at, document.updated_by]
    };
    let headings = ["path", "owner", "version", "bytes", "changed", "by"];
    output::table(&headings, all.into_iter().map(row).collect());
    Ok(())
}

async fn pull(api: &Api, of: &Of, folder: &Path) -> anyhow::Result<()> {
    let all = of.all(api).await?;
    for document in &all {
        let path = DocumentPath::parse(document.path.clone())?;
        folder::write(folder, &path, &of.text(api, &document.path).await?)?;
    }
    if api.json {
        output::json(&json!({"pulled": all}));
    } else {
        output::line(&format!("{} documents are in {}", all.len(), folder.display()));
    }
    Ok(())
}

/// One difference between the folder and the deployment.
struct Difference {
    path: String,
    /// The text of the deployment; `None` for a new document.
    before: Option<String>,
    /// The text of the folder; `None` for a document that is deleted.
    after: Option<String>,
    /// The version of the deployment, 0 for none.
    version: u64,
}

async fn push(api: &Api, of: &Of, folder: &Path) -> anyhow::Result<()> {
    let differences = differences(api, of, folder::read(folder)?).await?;
    if !api.json {
        for Difference { path, before, after, .. } in &differences {
            output::line(&diff::unified(path, before.as_deref(), after.as_deref()));
        }
    }
    if !differences.is_empty() {
        api.confirm_replacement(&format!("{} documents of agent {}", differences.len(), of.agent))?;
    }
    for Difference { path, after, version, .. } in &differences {
        match after {
            Some(text) => {
                // A change since the difference was shown is refused, and not overwritten.
                let request = PutDocumentRequest {
                    content: Some(text.clone()),
                    if_version: (*version > 0).then_some(*version),
                    ..Default::default()
                };
                api.put::<DocumentBody>(&of.route(path), &request).await?;
            }
            None => api.delete(&of.route(path)).await?,
        }
    }
    if api.json {
        let paths: Vec<_> = differences.iter().map(|difference| &difference.path).collect();
        output::json(&json!({"changed": paths}));
    } else {
        output::line(&format!("{} documents changed", differences.len()));
    }
    Ok(())
}

async fn differences(
    api: &Api,
    of: &Of,
    mut wanted: BTreeMap<DocumentPath, String>,
) -> anyhow::Result<Vec<Difference>> {
    let mut differences = Vec::new();
    for document in of.all(api).await? {
        let after = wanted.remove(&DocumentPath::parse(document.path.clone())?);
        let digest = after.as_ref().map(|text| af_domain::skill::bundle::sha256(text.as_bytes()).to_string());
        if digest != document.sha256 {
            let before = Some(of.text(api, &document.path).await?);
            differences.push(Difference { path: document.path, before, after, version: document.version });
        }
    }
    let new = wanted.into_iter().map(|(path, text)| Difference {
        path: path.to_string(),
        before: None,
        after: Some(text),
        version: 0,
    });
    differences.extend(new);
    Ok(differences)
}
