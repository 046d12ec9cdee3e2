//! Snapshots: archives of a conversation's files, which one worker uploads and the next one restores.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// An archive that a worker announces before it uploads it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrepareSnapshotRequest {
    /// The conversation that the files belong to.
    pub conversation_id: String,
    /// `drain`, `signal` (the worker stops, and drains from now on) or `manual`.
    pub reason: String,
    /// Size of the archive.
    pub size_bytes: u64,
    /// SHA-256 of the archive, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Where to upload the archive. The URL is a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreparedSnapshot {
    /// The snapshot's id.
    pub snapshot_id: String,
    /// Accepts the announced bytes and no others.
    pub upload_url: String,
    /// Always `PUT`.
    pub method: String,
    /// Headers that the upload must have.
    pub headers: BTreeMap<String, String>,
    /// Until when the upload may begin, epoch ms.
    pub expires_at: u64,
}

/// The snapshot, which is the conversation's latest one now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinalizedSnapshot {
    /// The snapshot's id.
    pub snapshot_id: String,
    /// `ready`.
    pub status: String,
}

/// Why an archive was not uploaded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailSnapshotRequest {
    /// The reason, for people. The first 2 000 characters are stored.
    pub error: String,
}

/// The snapshot has failed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct FailSnapshotAnswer {
    /// Always true.
    pub failed: bool,
}

/// The query of `GET /v1/worker/snapshots/latest`.
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LatestSnapshotQuery {
    /// The conversation that the files belong to.
    pub conversation_id: String,
}

/// The latest ready snapshot of a conversation. Its URL is a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatestSnapshot {
    /// The snapshot's id.
    pub snapshot_id: String,
    /// Answers a plain GET, for 15 minutes at most.
    pub download_url: String,
    /// SHA-256 of the archive, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// Size of the archive.
    pub size_bytes: Option<u64>,
    /// When the snapshot was prepared, epoch ms.
    pub created_at: u64,
    /// 1: a gzipped tar of the data folder.
    pub format_version: u64,
}
