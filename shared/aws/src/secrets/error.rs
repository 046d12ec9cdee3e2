//! Why Secrets Manager did not do what was asked.

use std::error::Error;
use std::fmt;

use af_domain::ids::SecretRef;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

/// How many causes of a failed connection are named.
const MAX_CAUSES: usize = 8;

/// All that is said of an answer that is neither a result nor an error of the service: it may hold a value, and so
/// may what its reader says of it.
const UNREADABLE: &str = "the answer cannot be read";

/// A failed call to Secrets Manager. Holds text only, put together here: the SDK's own errors carry the raw answer,
/// which may be a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Too many calls at the moment, after the client's own retries.
    #[error("Secrets Manager throttles {operation}")]
    Throttled {
        /// The operation.
        operation: &'static str,
    },
    /// The secret holds bytes; ours are text.
    #[error("the secret {secret_ref} holds binary data")]
    NotText {
        /// Which secret.
        secret_ref: SecretRef,
    },
    /// Others kept creating or deleting the secret meanwhile.
    #[error("the secret {secret_ref} kept being changed by others")]
    Contended {
        /// Which secret.
        secret_ref: SecretRef,
    },
    /// The call failed or its answer was lost.
    #[error("{operation} failed for {}: {message}", Subject(secret_ref))]
    Failed {
        /// The operation.
        operation: &'static str,
        /// Which secret, unless the call was for several.
        secret_ref: Option<SecretRef>,
        /// What Secrets Manager or the connection said.
        message: String,
    },
}

impl SecretsError {
    pub(super) fn of<E, R>(operation: &'static str, secret: &SecretRef, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        Self::from_sdk(operation, Some(secret.clone()), error)
    }

    pub(super) fn of_batch<E, R>(operation: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        Self::from_sdk(operation, None, error)
    }

    fn from_sdk<E, R>(operation: &'static str, secret_ref: Option<SecretRef>, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        let message = match error {
            SdkError::ServiceError(context) => match context.err().code() {
                Some("ThrottlingException" | "TooManyRequestsException" | "RequestLimitExceeded") => {
                    return SecretsError::Throttled { operation };
                }
                Some(code) => format!("{code}: {}", context.err().message().unwrap_or_default()),
                None => UNREADABLE.to_owned(),
            },
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(cause) => format!("no answer: {}", Chain(cause)),
                None => "no answer".to_owned(),
            },
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            SdkError::ConstructionFailure(_) => "the request could not be made".to_owned(),
            _ => UNREADABLE.to_owned(),
        };
        SecretsError::Failed { operation, secret_ref, message }
    }
}

/// Which secret a call was for.
struct Subject<'a>(&'a Option<SecretRef>);

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(secret) => write!(f, "{secret}"),
            None => f.write_str("several secrets"),
        }
    }
}

/// A failed connection and its causes: addresses and system errors, nothing of the request.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |&cause| cause.source());
        causes.take(MAX_CAUSES).try_for_each(|cause| write!(f, ": {cause}"))
    }
}
