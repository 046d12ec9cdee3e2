//! The data folder: one conversation's files at a time, restored from its latest snapshot, kept by a new one.
//!
//! **Consistency.** A snapshot is made while no engine runs: the message has ended, and the `command` engine kills its
//! program's whole process group with it. So a SQLite database in the folder is archived together with its `-wal`, as
//! they are on disk, which is what SQLite recovers from after a crash. The archive is packed twice, once to learn its
//! size and SHA-256, once into the upload, whose checksum is signed: if anything still wrote in between, the bytes
//! differ and S3 refuses them.
//!
//! Global skills lie in the folder, too. They are the deployment's and not the conversation's: no snapshot holds them, and
//! they are brought again after a restore.
//!
//! **Isolation.** The file [`folder::MARKER`] says whose files the folder holds. It says "nobody's" before the first of
//! them is removed and until the last one is restored, so that a crash in between leaves nothing that is taken for
//! somebody's. A folder with files and without that mark is somebody else's, and is not touched.

mod archive;
mod folder;
mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::wire::{PrepareRequest, Prepared};
use archive::ArchiveError;
use folder::{Folder, Holds};
use transfer::{Storage, TransferError};

/// Tries of one restore or upload, each anew from its beginning. More than a few do not help against a full disk.
const TRIES_MAX: u32 = 4;
/// How long keeping a snapshot may take. A drain waits five minutes, and the worker may learn of it a little late.
const KEEP_LIMIT: Duration = Duration::from_secs(270);
/// A server that says nothing for this long while we leave is not waited for.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Why files could not be restored or kept.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The folder holds files that no worker of ours has put there.
    #[error("the data folder {0} holds files that are no worker's; empty it or name another one")]
    NotOurs(PathBuf),
    /// The folder cannot be used.
    #[error("the data folder cannot be used")]
    Folder(#[source] std::io::Error),
    /// An archive cannot be packed or unpacked.
    #[error("the archive cannot be used")]
    Archive(#[from] ArchiveError),
    /// The archive did not get through.
    #[error("the archive could not be transferred")]
    Transfer(#[from] TransferError),
    /// The server refused, or could not be reached.
    #[error("the server did not go along")]
    Server(#[from] ApiError),
    /// It took too long.
    #[error("there was no time left")]
    Late,
}

impl FilesError {
    /// The error with its causes, for the server's lists.
    fn in_words(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |&cause| cause.source());
        causes.fold(self.to_string(), |words, cause| format!("{words}: {cause}"))
    }
}

/// How keeping the files ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A snapshot holds them.
    Snapshot,
    /// There is nothing to keep.
    Nothing,
    /// They could not be kept.
    Lost,
}

/// The data folder.
pub struct Files {
    folder: Folder,
    storage: Storage,
}

impl Files {
    /// The folder at `path`, which is made if it is not there, for a worker of the server at `base`.
    ///
    /// # Errors
    /// When it holds files that are not ours, or cannot be used.
    pub async fn open(path: PathBuf, base: &str) -> Result<Self, FilesError> {
        let storage = Storage::of(base)?;
        Ok(Self { folder: Folder::open(path).await?, storage })
    }

    /// Makes sure that the folder holds this conversation's files, restoring them if it does not; whether that was so.
    ///
    /// # Errors
    /// When they cannot be restored; the folder is nobody's then, and the next call tries again.
    pub async fn ensure(&self, api: &Api, conversation_id: &str) -> Result<bool, FilesError> {
        if self.folder.holds().await?.is_of(conversation_id) {
            return Ok(false);
        }
        let mut backoff = Backoff::new();
        for attempt in 1.. {
            match self.restore(api, conversation_id).await {
                Ok(restored) => {
                    let conversation_id = Some(conversation_id.to_owned());
                    self.folder.mark(Holds { conversation_id, restored }).await?;
                    return Ok(true);
                }
                Err(error @ FilesError::Server(ApiError::Denied { .. } | ApiError::Refused { .. })) => {
                    return Err(error);
                }
                Err(error) if attempt >= TRIES_MAX => return Err(error),
                Err(error) => tracing::warn!(error = error.in_words(), "a restore failed, once more"),
            }
            sleep(backoff.next()).await;
        }
        unreachable!("the loop ends by returning")
    }

    /// Empties the folder and fills it from the latest snapshot; whether there was one.
    async fn restore(&self, api: &Api, conversation_id: &str) -> Result<bool, FilesError> {
        self.folder.empty().await?;
        let Some(latest) = api.latest_snapshot(conversation_id).await? else { return Ok(false) };
        self.storage.download(&latest, self.folder.path()).await?;
        tracing::info!(conversation_id, snapshot_id = latest.snapshot_id, "files restored");
        Ok(true)
    }

    /// Keeps the files in a snapshot, trying for a few minutes. After that the folder is nobody's.
    pub async fn keep(&self, api: &Api, reason: &'static str) -> Kept {
        let deadline = Instant::now() + KEEP_LIMIT;
        let kept = match self.keep_until(api, reason, deadline).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!(error = error.in_words(), "the final snapshot could not be kept");
                Kept::Lost
            }
        };
        if kept == Kept::Lost {
            return kept;
        }
        // Another worker may have the conversation from now on: what is here gets old.
        match self.folder.empty().await {
            Ok(()) => kept,
            Err(error) => {
                tracing::error!(error = error.in_words(), "the data folder could not be emptied");
                Kept::Lost
            }
        }
    }

    async fn keep_until(
        &self,
        api: &Api,
        reason: &'static str,
        deadline: Instant,
    ) -> Result<Kept, FilesError> {
        let holds = self.folder.holds().await?;
        let Some(conversation_id) = holds.conversation_id else { return Ok(Kept::Nothing) };
        if !holds.restored && !self.folder.has_files().await? {
            return Ok(Kept::Nothing);
        }
        let mut backoff = Backoff::new();
        for attempt in 1.. {
            let tried = timeout_at(deadline, self.keep_once(api, reason, &conversation_id)).await;
            let error = match tried {
                Ok(Ok(())) => return Ok(Kept::Snapshot),
                Ok(Err(Attempt { error: FilesError::Server(error), prepared: None }))
                    if is_nothing_to_keep(&error) =>
                {
                    return Ok(Kept::Nothing);
                }
                Ok(Err(Attempt { error, prepared })) => {
                    // A server that is busy has not been tried.
                    let busy = matches!(error, FilesError::Server(ApiError::Busy { .. }));
                    let last = (attempt >= TRIES_MAX && !busy) || !may_help(&error, api);
                    if let Some(prepared) = prepared.filter(|_| last) {
                        // Whether the server hears of it or not, nobody waits beyond the drain's deadline.
                        let _ = api.fail_snapshot(&prepared.snapshot_id, &error.in_words()).await;
                    }
                    if last {
                        return Err(error);
                    }
                    error
                }
                Err(_) => return Err(FilesError::Late),
            };
            tracing::warn!(error = error.in_words(), "a snapshot could not be kept, once more");
            sleep(backoff.next()).await;
        }
        unreachable!("the loop ends by returning")
    }

    async fn keep_once(&self, api: &Api, reason: &'static str, conversation_id: &str) -> Result<(), Attempt> {
        let failed = |error: FilesError| Attempt { error, prepared: None };
        let measured = transfer::measure(self.folder.path()).await.map_err(|e| failed(e.into()))?;
        let request = PrepareRequest {
            conversation_id,
            reason,
            size_bytes: measured.size_bytes,
            sha256: &measured.sha256,
        };
        let prepared = api.prepare_snapshot(&request).await.map_err(|e| failed(e.into()))?;
        let ended = self.upload(api, &prepared, measured.size_bytes).await;
        ended.map_err(|error| Attempt { error, prepared: Some(prepared) })
    }

    async fn upload(&self, api: &Api, prepared: &Prepared, size_bytes: u64) -> Result<(), FilesError> {
        self.storage.upload(prepared, self.folder.path()).await?;
        let mut backoff = Backoff::new();
        for attempt in 1.. {
            let Err(error) = api.finalize_snapshot(&prepared.snapshot_id).await else { break };
            // Whether it took effect is unknown: the server recognises it when it comes again.
            match error.retry_in(backoff.next()) {
                Some(wait) if attempt < TRIES_MAX => sleep(wait).await,
                _ => return Err(error.into()),
            }
        }
        tracing::info!(snapshot_id = prepared.snapshot_id, size_bytes, "snapshot kept");
        Ok(())
    }
}

/// A try that failed, with the snapshot that it had prepared.
struct Attempt {
    error: FilesError,
    prepared: Option<Prepared>,
}

/// Whether a preparation was refused because the conversation is not ours any more, or we have done nothing in it: nobody
/// wants these files. Any other refusal, as of an archive that is too large, is a loss.
fn is_nothing_to_keep(error: &ApiError) -> bool {
    let ApiError::Refused { status, code } = error else { return false };
    *status == 404 || (*status == 409 && code == "conflict")
}

/// Whether the same may succeed when it is tried again.
fn may_help(error: &FilesError, api: &Api) -> bool {
    match error {
        FilesError::Server(ApiError::Denied { .. } | ApiError::Refused { .. } | ApiError::StaleLease) => {
            false
        }
        FilesError::Server(_) => api.silent_for() < SILENCE_MAX,
        // The bucket failed, or the disk: how long that took says nothing of the server.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_fails_late_is_tried_again_and_a_server_that_fell_silent_is_not_waited_for() {
        let api = Api::new("http://127.0.0.1:9", "token".into()).unwrap();
        let busy = FilesError::Server(ApiError::Busy { status: 503, retry_after: None });
        assert!(may_help(&busy, &api));
        tokio::time::advance(SILENCE_MAX).await;
        assert!(!may_help(&busy, &api));
        assert!(may_help(&FilesError::Transfer(TransferError::Refused(500)), &api));
    }
}
