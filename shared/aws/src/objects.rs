//! The bucket: presigned URLs for those who carry files, and what is needed to check and remove them.
//!
//! Files do not pass through functions, but for what published images upload. Whoever else uploads gets a URL that takes
//! one body only: its size and SHA-256 are signed in, and S3 refuses another one.
//!
//! URLs age by the machine's clock, the only one that S3 goes by: presigning must not see a virtual clock.

use std::time::Duration;

use af_domain::ids::{ContentType, Sha256Hex};
use af_domain::snapshot::Stored;
use af_domain::time::Millis;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Config;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::ChecksumMode;
use aws_types::SdkConfig;
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::config::timeouts;

/// What a small function sends to S3 at the least.
const MIN_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;

/// A failed call to S3, or a URL that could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed for {key}: {message}")]
pub struct ObjectsError {
    /// The operation.
    operation: &'static str,
    /// Which object.
    key: String,
    /// What S3 or the connection said.
    message: String,
}

impl ObjectsError {
    fn new(operation: &'static str, key: &str, message: impl Into<String>) -> Self {
        Self { operation, key: key.to_owned(), message: message.into() }
    }

    fn of(operation: &'static str, key: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(operation, key, DisplayErrorContext(error).to_string())
    }
}

/// A request that somebody without AWS credentials can send. It is a secret: `Debug` does not show its URL.
#[derive(Clone)]
pub struct Presigned {
    /// Where to send it.
    pub url: String,
    /// Headers that belong to what was signed, and must be sent along.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Presigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presigned")
    }
}

/// The bucket.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
    bucket: String,
}

impl Objects {
    /// The bucket named `bucket`.
    pub fn new(config: &SdkConfig, bucket: impl Into<String>) -> Self {
        Self { client: Client::new(config), bucket: bucket.into() }
    }

    /// A request that puts exactly this content under `key`, said to be of this type.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub async fn put_url(
        &self,
        key: &str,
        content: &Stored,
        content_type: Option<&ContentType>,
        good_for: Millis,
    ) -> Result<Presigned, ObjectsError> {
        const OPERATION: &str = "signing a PUT";
        let size = i64::try_from(content.size_bytes)
            .map_err(|_| ObjectsError::new(OPERATION, key, "it is too large"))?;
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_length(size)
            .set_content_type(content_type.map(ToString::to_string))
            .checksum_sha256(in_base64(&content.sha256));
        let signed = request.presigned(lasting(OPERATION, key, good_for)?).await;
        let signed = signed.map_err(|e| ObjectsError::of(OPERATION, key, &e))?;
        let headers = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Presigned { url: signed.uri().to_owned(), headers: headers.collect() })
    }

    /// A URL that answers a plain GET with what is under `key`.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub async fn get_url(&self, key: &str, good_for: Millis) -> Result<String, ObjectsError> {
        const OPERATION: &str = "signing a GET";
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let signed = request.presigned(lasting(OPERATION, key, good_for)?).await;
        let signed = signed.map_err(|e| ObjectsError::of(OPERATION, key, &e))?;
        Ok(signed.uri().to_owned())
    }

    /// Puts `body`, which is `content`, under `key`; `false` when something was there, which stays. That may be the same,
    /// by an earlier sending.
    ///
    /// # Errors
    /// When S3 cannot answer.
    pub async fn put_if_absent(
        &self,
        key: &str,
        body: Vec<u8>,
        content: &Stored,
        content_type: Option<&str>,
    ) -> Result<bool, ObjectsError> {
        let request = self.client.put_object().bucket(&self.bucket).key(key).body(body.into());
        let request = request
            .if_none_match("*")
            .checksum_sha256(in_base64(&content.sha256))
            .set_content_type(content_type.map(str::to_owned));
        let patient = Config::builder().timeout_config(timeouts_for(content.size_bytes));
        match request.customize().config_override(patient).send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.err().meta().code() == Some("PreconditionFailed") => {
                Ok(false)
            }
            Err(error) => Err(ObjectsError::of("PutObject", key, &error)),
        }
    }

    /// What is really there; `None` when nothing is.
    ///
    /// # Errors
    /// When S3 cannot answer.
    pub async fn stored(&self, key: &str) -> Result<Option<Stored>, ObjectsError> {
        const OPERATION: &str = "HeadObject";
        let request = self.client.head_object().bucket(&self.bucket).key(key);
        let head = match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => head,
            Err(SdkError::ServiceError(error)) if error.err().is_not_found() => return Ok(None),
            Err(error) => return Err(ObjectsError::of(OPERATION, key, &error)),
        };
        let size_bytes = head.content_length().and_then(|size| u64::try_from(size).ok());
        let size_bytes = size_bytes.ok_or_else(|| ObjectsError::new(OPERATION, key, "it names no size"))?;
        match head.checksum_sha256().and_then(in_hex) {
            Some(sha256) => Ok(Some(Stored { size_bytes, sha256 })),
            None => self.hashed(key).await,
        }
    }

    /// The same by reading it: S3 keeps a checksum only with what was put with one. On AWS that is everything that
    /// came by our URLs; the S3 of one machine forgets it when it refuses a body, which it keeps all the same.
    async fn hashed(&self, key: &str) -> Result<Option<Stored>, ObjectsError> {
        const OPERATION: &str = "GetObject";
        let mut body = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(object) => object.body,
            Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => return Ok(None),
            Err(error) => return Err(ObjectsError::of(OPERATION, key, &error)),
        };
        let (mut hash, mut size_bytes) = (Sha256::new(), 0);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|e| ObjectsError::of(OPERATION, key, &e))?;
            hash.update(&chunk);
            size_bytes += chunk.len() as u64;
        }
        Ok(Some(Stored { size_bytes, sha256: hex_of(hash) }))
    }

    /// Removes what is under `key`. What is not there is gone.
    ///
    /// # Errors
    /// When S3 cannot answer.
    pub async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        let sent = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        match sent {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error)) if error.err().meta().code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(ObjectsError::of("DeleteObject", key, &error)),
        }
    }
}

/// How long a call may take that sends so many bytes: as any, and the time that the bytes take.
fn timeouts_for(size_bytes: u64) -> TimeoutConfig {
    let longer = Duration::from_secs(size_bytes / MIN_BYTES_PER_SECOND);
    let mut patient = timeouts().to_builder();
    patient.set_operation_attempt_timeout(timeouts().operation_attempt_timeout().map(|t| t + longer));
    patient.set_operation_timeout(timeouts().operation_timeout().map(|t| t + longer));
    patient.build()
}

/// What `body` would be in the bucket.
pub fn measured(body: &[u8]) -> Stored {
    Stored { size_bytes: body.len() as u64, sha256: hex_of(Sha256::new_with_prefix(body)) }
}

fn hex_of(hash: Sha256) -> Sha256Hex {
    Sha256Hex::parse(HEXLOWER.encode(&hash.finalize())).expect("it is one")
}

fn lasting(operation: &'static str, key: &str, good_for: Millis) -> Result<PresigningConfig, ObjectsError> {
    PresigningConfig::expires_in(Duration::from_millis(good_for.as_millis()))
        .map_err(|e| ObjectsError::of(operation, key, &e))
}

/// As S3 wants it.
fn in_base64(sha256: &Sha256Hex) -> String {
    let bytes = HEXLOWER.decode(sha256.as_str().as_bytes()).expect("checked when it was made");
    BASE64.encode(&bytes)
}

/// As everybody else writes it; `None` when that is no SHA-256 (of an upload in parts, S3 answers another hash).
fn in_hex(base64: &str) -> Option<Sha256Hex> {
    let bytes = BASE64.decode(base64.as_bytes()).ok()?;
    Sha256Hex::parse(HEXLOWER.encode(&bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_survives_being_written_as_s3_wants_it() {
        let sha256 = Sha256Hex::parse("0f".repeat(32)).unwrap();
        assert_eq!(in_hex(&in_base64(&sha256)), Some(sha256));
        assert_eq!(in_hex("JwQvTm7KfQsqfuQCbfLs+g==-2"), None);
        assert_eq!(in_hex("AAAA"), None);
    }

    #[test]
    fn a_presigned_request_does_not_show_itself() {
        let presigned = Presigned { url: "https://signature".into(), headers: vec![] };
        assert!(!format!("{presigned:?}").contains("signature"));
    }
}
