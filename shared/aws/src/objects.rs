//! The bucket: presigned URLs for uploads and downloads, and operations that check and delete objects.
//!
//! Files do not pass through functions, except for uploads of published images. Any other uploader gets a
//! presigned URL that accepts exactly one body: its size and SHA-256 are signed, and S3 refuses another body.
//!
//! Presigned URLs expire by the machine's clock, because S3 uses the real time. Presigning must not use a
//! virtual clock.

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

/// The minimum rate at which a small function uploads to S3.
const MIN_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;

/// A failed call to S3, or a URL that could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed for {key}: {message}")]
pub struct ObjectsError {
    /// The operation.
    operation: &'static str,
    /// The object key.
    key: String,
    /// The error message of S3 or of the connection.
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

/// A request that a client without AWS credentials can send. It is a secret, so `Debug` does not show its
/// URL.
#[derive(Clone)]
pub struct Presigned {
    /// The URL.
    pub url: String,
    /// Headers that are part of the signature and must be sent.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Presigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presigned")
    }
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
    bucket: String,
}

impl Objects {
    /// Creates a client for the bucket `bucket`.
    pub fn new(config: &SdkConfig, bucket: impl Into<String>) -> Self {
        Self { client: Client::new(config), bucket: bucket.into() }
    }

    /// Presigns a PUT of exactly this content with this content type under `key`.
    pub async fn put_url(
        &self,
        key: &str,
        content: &Stored,
        content_type: Option<&ContentType>,
        good_for: Millis,
    ) -> Result<Presigned, ObjectsError> {
        const OPERATION: &str = "signing a PUT";
        let size = i64::try_from(content.size_bytes)
            .map_err(|_| ObjectsError::new(OPERATION, key, "the object is too large"))?;
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
        Ok(Presigned {
            url: signed.uri().to_owned(),
            headers: signed_headers(signed.uri(), signed.headers()),
        })
    }

    /// Presigns a GET of the object under `key`.
    pub async fn get_url(&self, key: &str, good_for: Millis) -> Result<String, ObjectsError> {
        const OPERATION: &str = "signing a GET";
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let signed = request.presigned(lasting(OPERATION, key, good_for)?).await;
        let signed = signed.map_err(|e| ObjectsError::of(OPERATION, key, &e))?;
        Ok(signed.uri().to_owned())
    }

    /// Puts `body`, whose size and digest are `content`, under `key`. Returns `false` if an object exists
    /// already; it is not replaced. It may be the same object from an earlier attempt.
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

    /// Returns the size and digest of the object under `key`; `None` if there is none.
    ///
    /// # Errors
    /// Returns an error if S3 does not answer, or has no SHA-256 of the object. It has one of each object that was put
    /// by a presigned URL or by [`Objects::put_if_absent`].
    pub async fn stored(&self, key: &str) -> Result<Option<Stored>, ObjectsError> {
        const OPERATION: &str = "HeadObject";
        let request = self.client.head_object().bucket(&self.bucket).key(key);
        let head = match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => head,
            Err(SdkError::ServiceError(error)) if error.err().is_not_found() => return Ok(None),
            Err(error) => return Err(ObjectsError::of(OPERATION, key, &error)),
        };
        let size_bytes = head.content_length().and_then(|size| u64::try_from(size).ok());
        let size_bytes =
            size_bytes.ok_or_else(|| ObjectsError::new(OPERATION, key, "the response has no size"))?;
        let sha256 = head.checksum_sha256().and_then(in_hex);
        let sha256 = sha256.ok_or_else(|| ObjectsError::new(OPERATION, key, "the object has no SHA-256"))?;
        Ok(Some(Stored { size_bytes, sha256 }))
    }

    /// Deletes the object under `key`. A missing object is not an error.
    pub async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        let sent = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        match sent {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error)) if error.err().meta().code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(ObjectsError::of("DeleteObject", key, &error)),
        }
    }
}

/// The headers of a presigned request that its signature contains, and that the sender must therefore send. On Lambda, the
/// SDK adds the header `x-amzn-trace-id` of our own invocation and does not sign it.
fn signed_headers<'a>(url: &str, headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let (_, query) = url.split_once('?').unwrap_or_default();
    let names = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-SignedHeaders="));
    let names: Vec<&str> = names.unwrap_or_default().split("%3B").collect();
    let signed = headers.filter(|(name, _)| names.contains(&name.to_ascii_lowercase().as_str()));
    signed.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The timeouts of a call that uploads this many bytes: the usual ones plus the upload time.
fn timeouts_for(size_bytes: u64) -> TimeoutConfig {
    let longer = Duration::from_secs(size_bytes / MIN_BYTES_PER_SECOND);
    let mut patient = timeouts().to_builder();
    patient.set_operation_attempt_timeout(timeouts().operation_attempt_timeout().map(|t| t + longer));
    patient.set_operation_timeout(timeouts().operation_timeout().map(|t| t + longer));
    patient.build()
}

/// Returns the size and digest of `body`.
pub fn measured(body: &[u8]) -> Stored {
    Stored { size_bytes: body.len() as u64, sha256: hex_of(Sha256::new_with_prefix(body)) }
}

fn hex_of(hash: Sha256) -> Sha256Hex {
    Sha256Hex::parse(HEXLOWER.encode(&hash.finalize())).expect("a SHA-256 digest is valid hex")
}

fn lasting(operation: &'static str, key: &str, good_for: Millis) -> Result<PresigningConfig, ObjectsError> {
    PresigningConfig::expires_in(Duration::from_millis(good_for.as_millis()))
        .map_err(|e| ObjectsError::of(operation, key, &e))
}

/// Converts a digest to base64, as S3 requires it.
fn in_base64(sha256: &Sha256Hex) -> String {
    let bytes = HEXLOWER.decode(sha256.as_str().as_bytes()).expect("checked when it was made");
    BASE64.encode(&bytes)
}

/// Converts a digest from base64; `None` if it is not a SHA-256 (S3 returns another hash for a multipart
/// upload).
fn in_hex(base64: &str) -> Option<Sha256Hex> {
    let bytes = BASE64.decode(base64.as_bytes()).ok()?;
    Sha256Hex::parse(HEXLOWER.encode(&bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_survives_the_conversion_to_base64() {
        let sha256 = Sha256Hex::parse("0f".repeat(32)).unwrap();
        assert_eq!(in_hex(&in_base64(&sha256)), Some(sha256));
        assert_eq!(in_hex("JwQvTm7KfQsqfuQCbfLs+g==-2"), None);
        assert_eq!(in_hex("AAAA"), None);
    }

    #[test]
    fn a_presigned_request_has_only_the_headers_that_are_signed() {
        let url = "https://bucket.example/key?X-Amz-Expires=60&X-Amz-SignedHeaders=content-length%3Bhost&X-Amz-Signature=00";
        let headers =
            [("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793"), ("Content-Length", "3")];
        let signed = signed_headers(url, headers.into_iter());
        assert_eq!(signed, [("Content-Length".to_owned(), "3".to_owned())]);
        assert_eq!(signed_headers("https://bucket.example/key", headers.into_iter()), []);
    }

    #[test]
    fn debug_of_a_presigned_request_hides_its_url() {
        let presigned = Presigned { url: "https://signature".into(), headers: vec![] };
        assert!(!format!("{presigned:?}").contains("signature"));
    }
}
