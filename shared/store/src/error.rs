//! Why the store could not answer.

use std::fmt::Debug;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// A failed call to the table. The outcome of a write that fails so is unknown: it may have been carried out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too much for the table at the moment, after the client's own retries.
    #[error("the table throttles {operation}")]
    Throttled {
        /// The DynamoDB operation.
        operation: &'static str,
    },
    /// Other transactions kept touching the same items, for longer than we retry.
    #[error("{operation} kept meeting other transactions on the same items")]
    Contention {
        /// The DynamoDB operation.
        operation: &'static str,
    },
    /// The call failed or its answer was lost.
    #[error("{operation} failed: {message}")]
    Unavailable {
        /// The DynamoDB operation.
        operation: &'static str,
        /// What the client said, without item contents.
        message: String,
    },
    /// There is more of something than is ever read in one go. A part of it would pass for all.
    #[error("there are more {what} than can be read at once")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// An item is not of the shape that this code writes.
    #[error("item {key} is malformed: {problem}")]
    Malformed {
        /// The item's key.
        key: String,
        /// What is wrong with it.
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
            return StoreError::Throttled { operation };
        }
        // Not the whole chain: it ends in the raw response, which holds items.
        let what = match error {
            SdkError::ConstructionFailure(_) => "the request could not be made",
            SdkError::TimeoutError(_) => "no answer in time",
            SdkError::DispatchFailure(_) => "the connection failed",
            SdkError::ResponseError(_) => "the answer could not be read",
            _ => error.message().unwrap_or("refused"),
        };
        StoreError::Unavailable { operation, message: format!("{code} {what}").trim_start().to_owned() }
    }

    pub(crate) fn malformed(key: impl Into<String>, problem: impl Into<String>) -> Self {
        StoreError::Malformed { key: key.into(), problem: problem.into() }
    }
}

impl StoreError {
    pub(crate) fn from_service<E>(operation: &'static str, error: E) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        StoreError::from_sdk::<E, ()>(operation, &SdkError::service_error(error, ()))
    }
}
