//! The data folder. It holds the files of one conversation at a time. They are restored from the latest snapshot, and a
//! new snapshot is taken at the end.
//!
//! **Consistency.** A snapshot is taken while no engine runs: the message has ended, and the `command` engine has killed
//! the whole process group of its program. So a SQLite database is archived together with its `-wal`, as they are on the
//! disk, and SQLite can recover from that as after a crash. The archive is packed twice: once to compute its size and
//! SHA-256, and once into the upload, whose checksum is signed. If a file changes in between, the bytes differ and S3
//! refuses them.
//!
//! **A snapshot that cannot be restored** does not stop its conversation. The worker reports why, the server makes the
//! snapshot before the latest one again, and the worker restores that one. Without another one, the folder is empty.
//!
//! Global skills are in the folder, too. They belong to the deployment and not to the conversation. No snapshot holds
//! them, and they are installed again after a restore.
//!
//! **Isolation.** The file [`names::OWNER_FILE`] names the conversation whose files the folder holds. It names no
//! conversation from the moment before the first file is removed until the last file is restored. So files from an
//! interrupted restore are never attributed to a conversation. A folder with files and without the owner file does not
//! come from a worker, and is not touched.

mod archive;
mod error;
mod folder;
mod names;
mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use af_api::worker::snapshots::{LatestSnapshot, PrepareSnapshotRequest, PreparedSnapshot};
use tokio::time::{Instant, sleep, timeout_at};

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
pub use error::FilesError;
use folder::{Contents, Folder};
use transfer::Storage;

/// Most tries of one restore or upload, each from its beginning. More tries would not help against a full disk.
const MAX_TRIES: u32 = 4;
/// Most snapshots that one restore skips. More damaged ones have another cause, such as an error in this worker.
const MAX_SKIPPED: u32 = 3;
/// Time limit of taking a snapshot. A drain waits five minutes, and the worker may notice the drain a little late.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(270);
/// The worker stops retries while it ends if the server is silent for this long.
const MAX_SILENCE: Duration = Duration::from_secs(20);

/// The result of taking a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// A snapshot holds the files.
    Taken,
    /// There are no files to keep.
    NothingToKeep,
    /// The snapshot failed.
    Failed,
}

/// The data folder.
pub struct Files {
    folder: Folder,
    storage: Storage,
    /// The user that the files belong to, if it is not the worker's own.
    uid: Option<u32>,
}

impl Files {
    /// The folder at `path`, which is created if it does not exist, for a worker of the server at `base`. The files
    /// belong to the user `uid`, if one is given.
    ///
    /// # Errors
    /// When it holds files that do not come from a worker, or cannot be used.
    pub async fn open(path: PathBuf, base: &str, uid: Option<u32>) -> Result<Self, FilesError> {
        let storage = Storage::of(base)?;
        Ok(Self { folder: Folder::open(path).await?, storage, uid })
    }

    /// Makes sure that the folder holds this conversation's files. Restores them if it does not, and answers whether it
    /// did. Before it changes them, it awaits `at_rest`, after which no program uses them. The files of a fresh folder, which
    /// has belonged to no conversation, stay if there is no snapshot.
    ///
    /// # Errors
    /// When they cannot be restored. Then the folder belongs to no conversation, and the next call tries again.
    pub async fn ensure(
        &self,
        api: &Api,
        conversation_id: &str,
        at_rest: impl Future<Output = ()>,
    ) -> Result<bool, FilesError> {
        if self.folder.contents().conversation_id.as_deref() == Some(conversation_id) {
            return Ok(false);
        }
        let mut known = None;
        if self.folder.is_fresh() {
            known = latest(api, conversation_id).await?;
            if known.is_none() {
                if let Some(uid) = self.uid {
                    self.folder.give_itself_to(uid).await?;
                }
                self.folder.write_contents(Contents::of(conversation_id, false)).await?;
                return Ok(false);
            }
        }
        at_rest.await;
        let mut skipped = 0;
        let restored = loop {
            self.empty().await?;
            let found = match known.take() {
                Some(known) => Some(known),
                None => latest(api, conversation_id).await?,
            };
            let Some(latest) = found else { break false };
            match self.restore(&latest).await {
                Ok(()) => break true,
                Err(error) if error.is_of_snapshot() && skipped < MAX_SKIPPED => {
                    skipped += 1;
                    // The conversation goes on with the snapshot before, and with an empty folder if there is none.
                    let (snapshot_id, error) = (latest.snapshot_id, error.with_causes());
                    tracing::error!(
                        conversation_id,
                        snapshot_id,
                        error,
                        "a snapshot cannot be restored and is skipped"
                    );
                    api.skip_snapshot(&snapshot_id, error).await?;
                }
                Err(error) => return Err(error),
            }
        };
        if let Some(uid) = self.uid {
            self.folder.give_to(uid).await?;
        }
        self.folder.write_contents(Contents::of(conversation_id, restored)).await?;
        Ok(true)
    }

    /// Empties the folder. A process of its user cannot change the folder from now on until it is given to the user again.
    async fn empty(&self) -> Result<(), FilesError> {
        if self.uid.is_some() {
            self.folder.take_back().await?;
        }
        self.folder.empty().await
    }

    /// Restores a snapshot into the empty folder. The folder is empty before each try.
    async fn restore(&self, latest: &LatestSnapshot) -> Result<(), FilesError> {
        let mut backoff = Backoff::new();
        for _ in 1..MAX_TRIES {
            let Err(error) = self.storage.download(latest, self.folder.path()).await else {
                tracing::info!(snapshot_id = latest.snapshot_id, "files restored");
                return Ok(());
            };
            let error = FilesError::from(error).with_causes();
            tracing::warn!(error, "a restore failed and is repeated");
            sleep(backoff.next()).await;
            self.empty().await?;
        }
        Ok(self.storage.download(latest, self.folder.path()).await?)
    }

    /// Takes a snapshot of the files, and retries for a few minutes. After a success the folder belongs to no
    /// conversation.
    pub async fn take_snapshot(&self, api: &Api, reason: &'static str) -> SnapshotOutcome {
        let deadline = Instant::now() + SNAPSHOT_TIMEOUT;
        let outcome = match self.take_until(api, reason, deadline).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(error = error.with_causes(), "the final snapshot failed");
                SnapshotOutcome::Failed
            }
        };
        if outcome == SnapshotOutcome::Failed {
            return outcome;
        }
        // Another worker may own the conversation from now on, so these files become outdated.
        match self.empty().await {
            Ok(()) => outcome,
            Err(error) => {
                tracing::error!(error = error.with_causes(), "the data folder could not be emptied");
                SnapshotOutcome::Failed
            }
        }
    }

    async fn take_until(
        &self,
        api: &Api,
        reason: &'static str,
        deadline: Instant,
    ) -> Result<SnapshotOutcome, FilesError> {
        let contents = self.folder.contents();
        let Some(conversation_id) = contents.conversation_id else {
            return Ok(SnapshotOutcome::NothingToKeep);
        };
        if !contents.restored && !self.folder.has_files().await? {
            return Ok(SnapshotOutcome::NothingToKeep);
        }
        let mut backoff = Backoff::new();
        for attempt in 1.. {
            let mut prepared = None;
            let tried =
                timeout_at(deadline, self.take_once(api, reason, &conversation_id, &mut prepared)).await;
            let error = match tried {
                Ok(Ok(())) => return Ok(SnapshotOutcome::Taken),
                Ok(Err(FilesError::Server(error))) if prepared.is_none() && is_nothing_to_keep(&error) => {
                    return Ok(SnapshotOutcome::NothingToKeep);
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(FilesError::Timeout),
            };
            // A busy server does not count as a try.
            let busy = matches!(error, FilesError::Server(ApiError::Busy { .. }));
            if (attempt >= MAX_TRIES && !busy) || !is_retry_useful(&error, api) {
                if let Some(prepared) = prepared {
                    // If this call fails, the server waits until the deadline of the drain, and no longer.
                    let _ = api.fail_snapshot(&prepared.snapshot_id, error.with_causes()).await;
                }
                return Err(error);
            }
            tracing::warn!(error = error.with_causes(), "a snapshot failed and is repeated");
            sleep(backoff.next()).await;
        }
        unreachable!("the loop ends by returning")
    }

    /// Tries once. `prepared` gets the snapshot that the server prepared for this try.
    async fn take_once(
        &self,
        api: &Api,
        reason: &'static str,
        conversation_id: &str,
        prepared: &mut Option<PreparedSnapshot>,
    ) -> Result<(), FilesError> {
        let transfer::Measured { size_bytes, sha256 } = transfer::measure(self.folder.path()).await?;
        let (conversation_id, reason) = (conversation_id.to_owned(), reason.to_owned());
        let request = PrepareSnapshotRequest { conversation_id, reason, size_bytes, sha256 };
        let prepared = prepared.insert(api.prepare_snapshot(&request).await?);
        self.storage.upload(prepared, self.folder.path()).await?;
        let mut backoff = Backoff::new();
        for attempt in 1.. {
            let Err(error) = api.finalize_snapshot(&prepared.snapshot_id).await else { break };
            // It is unknown whether the call took effect. The server recognises a repeated call.
            match error.retry_in(backoff.next()) {
                Some(wait) if attempt < MAX_TRIES => sleep(wait).await,
                _ => return Err(error.into()),
            }
        }
        tracing::info!(snapshot_id = prepared.snapshot_id, size_bytes, "snapshot taken");
        Ok(())
    }
}

/// The conversation's latest snapshot. Asks again while the server is busy.
async fn latest(api: &Api, conversation_id: &str) -> Result<Option<LatestSnapshot>, ApiError> {
    let mut backoff = Backoff::new();
    for _ in 1..MAX_TRIES {
        match api.latest_snapshot(conversation_id).await {
            Ok(latest) => return Ok(latest),
            Err(error) => match error.retry_in(backoff.next()) {
                Some(wait) => sleep(wait).await,
                None => return Err(error),
            },
        }
    }
    api.latest_snapshot(conversation_id).await
}

/// Whether the server refused a snapshot because this worker no longer owns the conversation, or has run no message of it.
/// Then the files are not needed. After any other refusal, such as for an archive that is too large, they would be lost.
fn is_nothing_to_keep(error: &ApiError) -> bool {
    let ApiError::Refused { status, code } = error else { return false };
    *status == 404 || (*status == 409 && code == "conflict")
}

/// Whether a retry may succeed.
fn is_retry_useful(error: &FilesError, api: &Api) -> bool {
    match error {
        FilesError::Server(ApiError::Denied { .. } | ApiError::Refused { .. } | ApiError::StaleLease) => {
            false
        }
        FilesError::Server(_) => api.silent_for() < MAX_SILENCE,
        // The bucket or the disk failed. The time that this took says nothing about the server.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::transfer::TransferError;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failed_upload_is_retried_and_a_silent_server_is_not() {
        let api = Api::new("http://127.0.0.1:9", "token".into()).unwrap();
        let busy = FilesError::Server(ApiError::Busy { status: 503, retry_after: None });
        assert!(is_retry_useful(&busy, &api));
        tokio::time::advance(MAX_SILENCE).await;
        assert!(!is_retry_useful(&busy, &api));
        assert!(is_retry_useful(&FilesError::Transfer(TransferError::Refused(500)), &api));
    }
}
