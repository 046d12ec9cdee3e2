//! Workspace documents of an agent, and of a user with an agent.

use af_domain::document::{Document, Version};
use af_domain::ids::DocumentPath;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::id::Id;
use crate::pages::Limit;

/// A workspace document.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DocumentBody {
    /// The path in the workspace.
    pub path: String,
    /// Whose text it is: `operator`, or `agent`.
    pub owner: String,
    /// The SHA-256 of the text in hex; absent in a version that deleted the document.
    pub sha256: Option<String>,
    /// The bytes of the text.
    pub size_bytes: u64,
    /// The number of the version, from 1.
    pub version: u64,
    /// When this version was made, epoch ms.
    pub updated_at: u64,
    /// The caller who made this version: `key:<id>`, `user:<id>` or `worker:<id>`.
    pub updated_by: String,
    /// Whether this version deleted the document.
    pub deleted: bool,
    /// The text; lists leave it out.
    pub content: Option<String>,
}

impl From<Document> for DocumentBody {
    fn from(document: Document) -> Self {
        Self {
            size_bytes: document.size_bytes(),
            deleted: document.content.is_none(),
            path: document.path.to_string(),
            owner: document.owner.as_str().to_owned(),
            sha256: document.content.map(|content| content.sha256.to_string()),
            version: document.version,
            updated_at: document.updated_at.as_millis(),
            updated_by: document.updated_by,
            content: None,
        }
    }
}

impl From<Version> for DocumentBody {
    fn from(version: Version) -> Self {
        Self { content: version.text, ..version.document.into() }
    }
}

/// A new version of a document: either a text, or the text of an earlier version.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutDocumentRequest {
    /// The text, at most 65536 bytes.
    pub content: Option<String>,
    /// The version whose text becomes the newest version, in place of `content`.
    pub restore_version: Option<u64>,
    /// Whose text it is: `operator` or `agent`. Left out, the owner stays; a new USER.md, MEMORY.md or memory of a day is the
    /// agent's, and any other document the operator's.
    pub owner: Option<String>,
    /// The version that the caller has seen, 0 for none. Another current version is refused with 409.
    pub if_version: Option<u64>,
}

/// The query of a document.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentQuery {
    /// A version; left out, the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// The query of the versions of a document.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentVersionsQuery {
    /// The path of the document.
    #[param(value_type = String, example = "MEMORY.md")]
    pub path: Id<DocumentPath>,
    /// Versions on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
