//! Errors of calls to the table.

use std::fmt::Debug;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// The result of a call to the table.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A failed call to the table. The result of a failed write is unknown: the write may have been carried out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table throttles this DynamoDB operation, even after the client's own retries.
    #[error("the table throttles {0}")]
    Throttled(&'static str),
    /// Other transactions changed the items of this operation during all retries.
    #[error("{0} conflicted with other transactions on the same items")]
    Contention(&'static str),
    /// The call failed, or its response was lost.
    #[error("{operation} failed: {message}")]
    Unavailable {
        /// The DynamoDB operation.
        operation: &'static str,
        /// The client's error message, without item contents.
        message: String,
    },
    /// There are more items of this kind than one read may return. A partial result would look complete.
    #[error("there are more {0} than one read may return")]
    TooMany(&'static str),
    /// An item does not have the expected attributes.
    #[error("item {key} is malformed: {problem}")]
    Malformed {
        /// The key of the item.
        key: String,
        /// What is wrong with the item.
        problem: String,
    },
}

impl StoreError {
    pub(crate) fn from_sdk<E, R>(operation: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: Debug,
    {
        let code = error.code().unwrap_or_default();
        if matches!(
            code,
            "ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded"
        ) {
            return StoreError::Throttled(operation);
        }
        // The error source chain is not included, because it ends in the raw response, which contains items.
        let what = match error {
            SdkError::ConstructionFailure(_) => "the request could not be built",
            SdkError::TimeoutError(_) => "the request timed out",
            SdkError::DispatchFailure(_) => "the connection failed",
            SdkError::ResponseError(_) => "the response could not be parsed",
            _ => error.message().unwrap_or("refused"),
        };
        StoreError::Unavailable { operation, message: format!("{code} {what}").trim_start().to_owned() }
    }

    pub(crate) fn malformed(key: impl Into<String>, problem: impl Into<String>) -> Self {
        StoreError::Malformed { key: key.into(), problem: problem.into() }
    }

    pub(crate) fn from_service<E>(operation: &'static str, error: E) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        StoreError::from_sdk::<E, ()>(operation, &SdkError::service_error(error, ()))
    }
}
