//! Errors of restoring and of taking snapshots.

use std::path::PathBuf;

use super::archive::ArchiveError;
use super::transfer::TransferError;
use crate::api::ApiError;

/// Why files could not be restored, or a snapshot could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The folder holds files that no worker has put there.
    #[error("the data folder {0} holds files that do not come from a worker; empty it or name another one")]
    NotAWorkersFolder(PathBuf),
    /// The folder cannot be used.
    #[error("the data folder cannot be used")]
    Folder(#[source] std::io::Error),
    /// An archive cannot be packed or unpacked.
    #[error("the archive cannot be used")]
    Archive(#[from] ArchiveError),
    /// The archive could not be uploaded or downloaded.
    #[error("the archive could not be transferred")]
    Transfer(#[from] TransferError),
    /// The server refused a call, or could not be reached.
    #[error("a call to the server failed")]
    Server(#[from] ApiError),
    /// The time limit has passed.
    #[error("there was no time left")]
    Timeout,
}

impl FilesError {
    /// Whether the snapshot is the cause: no worker with this volume can restore it.
    pub fn is_of_snapshot(&self) -> bool {
        match self {
            Self::Archive(error) | Self::Transfer(TransferError::Archive(error)) => error.is_of_archive(),
            // Status 404: the bucket has no such archive. A newer worker knows the format of a `Format`.
            Self::Transfer(error) => matches!(error, TransferError::Mismatch | TransferError::Refused(404)),
            _ => false,
        }
    }

    /// The error with its causes in one text.
    pub fn with_causes(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |&cause| cause.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }
}
