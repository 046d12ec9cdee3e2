//! An object as one file: a header of fixed size with its attributes, then its contents.

use std::io::{self, SeekFrom};
use std::path::Path;

use axum::body::Body;
use bytes::Bytes;
use crc32fast::Hasher as Crc32;
use data_encoding::{BASE64, HEXLOWER};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, PersistError};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::Refusal;

/// The start of the name of a file that is being uploaded. No key begins so, because a file name has it encoded.
pub(super) const UPLOAD_PREFIX: &str = "%upload-";
/// The size of the header. The attributes, as JSON, are filled up with spaces.
const HEADER_BYTES: usize = 1024;
/// The bytes that are read from a file at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The attributes of an object.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attributes {
    pub content_type: Option<String>,
    /// The SHA-256 of the contents, in Base64.
    pub sha256: String,
    pub size: u64,
}

/// What a request says of the object that it puts.
pub(super) struct Expected {
    pub content_type: Option<String>,
    pub size: Option<u64>,
    /// The SHA-256 of the body in hex, from the signature.
    pub payload_sha256: Option<String>,
    /// The SHA-256 in Base64.
    pub sha256: Option<String>,
    /// The CRC-32 in Base64, big-endian.
    pub crc32: Option<String>,
    /// Whether no object may be replaced.
    pub must_be_absent: bool,
}

/// Puts an object. The object stays as it was when this fails.
pub(super) async fn put(object: &Path, body: Body, expected: &Expected) -> Result<Attributes, Refusal> {
    let folder = object.parent().unwrap_or(object);
    let upload = tempfile::Builder::new().prefix(UPLOAD_PREFIX).tempfile_in(folder)?;
    let mut file = File::from_std(upload.reopen()?);
    file.write_all(&[b' '; HEADER_BYTES]).await?;
    let (mut sha256, mut crc32, mut size) = (Sha256::new(), Crc32::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let lost = |_| Refusal::new(400, "IncompleteBody", "the connection ended before the body");
        let chunk: Bytes = chunk.map_err(lost)?;
        sha256.update(&chunk);
        crc32.update(&chunk);
        size += chunk.len() as u64;
        file.write_all(&chunk).await?;
    }
    let sha256 = sha256.finalize();
    check(expected, &sha256, crc32.finalize(), size)?;
    let attributes =
        Attributes { content_type: expected.content_type.clone(), sha256: BASE64.encode(&sha256), size };
    let header = serde_json::to_vec(&attributes).map_err(io::Error::from)?;
    if header.len() > HEADER_BYTES {
        return Err(Refusal::new(400, "MetadataTooLarge", "the content type is too long"));
    }
    file.seek(SeekFrom::Start(0)).await?;
    file.write_all(&header).await?;
    file.flush().await?;
    store(upload, object, expected.must_be_absent)?;
    Ok(attributes)
}

/// Checks the body against what the request says of it.
fn check(expected: &Expected, sha256: &[u8], crc32: u32, size: u64) -> Result<(), Refusal> {
    if expected.size.is_some_and(|expected| expected != size) {
        return Err(Refusal::new(400, "IncompleteBody", "the body does not have the size of its header"));
    }
    let contradicts =
        |expected: &Option<String>, found: String| expected.as_ref().is_some_and(|e| *e != found);
    if contradicts(&expected.payload_sha256, HEXLOWER.encode(sha256)) {
        let message = "the body does not have the digest of x-amz-content-sha256";
        return Err(Refusal::new(400, "XAmzContentSHA256Mismatch", message));
    }
    if contradicts(&expected.sha256, BASE64.encode(sha256))
        || contradicts(&expected.crc32, BASE64.encode(&crc32.to_be_bytes()))
    {
        return Err(Refusal::new(400, "BadDigest", "the body does not have its checksum"));
    }
    Ok(())
}

/// Gives an upload its name, at once and only if its condition holds.
fn store(upload: NamedTempFile, object: &Path, must_be_absent: bool) -> Result<(), Refusal> {
    if !must_be_absent {
        upload.persist(object).map_err(|PersistError { error, .. }| error)?;
        return Ok(());
    }
    match upload.persist_noclobber(object) {
        Ok(_) => Ok(()),
        Err(PersistError { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Refusal::new(412, "PreconditionFailed", "an object with this key exists"))
        }
        Err(PersistError { error, .. }) => Err(error.into()),
    }
}

/// Returns the attributes and the contents of an object.
pub(super) async fn get(object: &Path) -> io::Result<(Attributes, Body)> {
    let mut file = File::open(object).await?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).await?;
    let attributes = serde_json::from_slice(&header)?;
    let chunks = futures::stream::try_unfold(file, |mut file| async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, io::Error>((read > 0).then(|| (Bytes::from(chunk), file)))
    });
    Ok((attributes, Body::from_stream(chunks)))
}

/// Deletes an object, if it exists.
pub(super) async fn delete(object: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(object).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
