//! Errors of calls to Secrets Manager.

use std::error::Error;
use std::fmt;

use af_domain::ids::SecretRef;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

/// Most causes of a failed connection in an error message.
const MAX_CAUSES: usize = 8;

/// The message for a response that is neither a result nor a service error. The response, and the parser's
/// error message, may contain a secret value.
const UNREADABLE: &str = "the response could not be parsed";

/// A failed call to Secrets Manager. It contains only text from this module. The SDK's own errors contain the
/// raw response, which may contain a secret value.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Too many calls of this operation, even after the client's own retries.
    #[error("Secrets Manager throttles {0}")]
    Throttled(&'static str),
    /// The secret contains bytes, but this system stores text.
    #[error("the secret {0} contains binary data")]
    NotText(SecretRef),
    /// Other callers repeatedly created or deleted the secret at the same time.
    #[error("the secret {0} was repeatedly changed by other callers")]
    Contended(SecretRef),
    /// The call failed, or its response was lost.
    #[error("{operation} failed for {}: {message}", Subject(secret_ref))]
    Failed {
        /// The operation.
        operation: &'static str,
        /// The secret, unless the call was for several secrets.
        secret_ref: Option<SecretRef>,
        /// The error message of Secrets Manager or of the connection.
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
                    return SecretsError::Throttled(operation);
                }
                Some(code) => format!("{code}: {}", context.err().message().unwrap_or_default()),
                None => UNREADABLE.to_owned(),
            },
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(cause) => format!("no response: {}", Chain(cause)),
                None => "no response".to_owned(),
            },
            SdkError::TimeoutError(_) => "the request timed out".to_owned(),
            SdkError::ConstructionFailure(_) => "the request could not be built".to_owned(),
            _ => UNREADABLE.to_owned(),
        };
        SecretsError::Failed { operation, secret_ref, message }
    }
}

/// The secret of a call, for messages.
struct Subject<'a>(&'a Option<SecretRef>);

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(secret) => write!(f, "{secret}"),
            None => f.write_str("several secrets"),
        }
    }
}

/// A failed connection and its causes: addresses and system errors, but nothing of the request.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |&cause| cause.source());
        causes.take(MAX_CAUSES).try_for_each(|cause| write!(f, ": {cause}"))
    }
}
