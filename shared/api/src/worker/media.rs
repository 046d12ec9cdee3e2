//! Files that an agent makes or fetches.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A file that a worker announces before it uploads it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnnounceFileRequest {
    /// Size of the file, at most 256 MB.
    pub size_bytes: u64,
    /// SHA-256 of the file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The media type, such as `image/png`. Downloads of the file have it as their `Content-Type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// Where to upload the file. The URL is a secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnnounceFileAnswer {
    /// The file's id.
    pub storage_id: String,
    /// Accepts the announced bytes and no others.
    pub upload_url: String,
    /// Always `PUT`.
    pub method: String,
    /// Headers that the upload must have.
    pub headers: BTreeMap<String, String>,
    /// Until when the upload may begin, epoch ms.
    pub expires_at: u64,
}

/// A file. Its URL is a secret.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredFile {
    /// The file's id.
    pub storage_id: String,
    /// Answers a plain GET, for 15 minutes at most.
    pub download_url: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// SHA-256 of the file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The media type, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// When the file was announced, epoch ms.
    pub created_at: u64,
    /// When the file is deleted, epoch ms.
    pub expires_at: u64,
}
